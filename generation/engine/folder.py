"""The folder of a model: every file is checked before anything of it is loaded."""

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from generation.engine.cards import ModelCard
from generation.engine.errors import ChangedWeights, MissingWeights, UnsafeWeights

# What a model folder may hold. Pickles (.bin, .ckpt, .pt, .pkl) and code are refused by not being here. A chat template
# (.jinja) is rendered by transformers in a sandbox.
DATA_FILES = frozenset({".safetensors", ".json", ".txt", ".md", ".model", ".jinja"})
SUMS = "SHA256SUMS"


def verify(card: ModelCard) -> None:
    """Check every file of a card's folder before anything of it is loaded.

    1. Nothing that could run code, and nothing that the sums do not list.
    2. Everything that the sums list is there, with these bytes.

    Reads all weights once: seconds for gigabytes. Raises MissingWeights, UnsafeWeights or ChangedWeights.
    """
    sums = card.folder / SUMS
    if not sums.is_file():
        raise MissingWeights(card.name, SUMS, f"is missing in {card.folder.name}. Fetch the model again.")
    listing = sums.read_bytes()
    if card.sums_sha256 and hashlib.sha256(listing).hexdigest() != card.sums_sha256:
        raise ChangedWeights(card.name, SUMS, "is not the list that the card names. Fetch the model again.")
    listed = dict(_lines(card, listing.decode("utf-8", "replace")))
    for path in sorted(card.folder.rglob("*")):
        name = path.relative_to(card.folder).as_posix()
        if path.is_symlink():
            raise UnsafeWeights(card.name, name, "is a link. Put the file itself there.")
        if path.is_dir() or name == SUMS:
            continue
        if path.suffix not in DATA_FILES:
            raise UnsafeWeights(card.name, name, "may run code: only safetensors and text are loaded. Remove it.")
        if name not in listed:
            raise UnsafeWeights(card.name, name, f"is not listed in {SUMS}. Remove it, or fetch the model again.")
    for name, sha256 in listed.items():
        path = card.folder / name
        if not path.is_file():
            raise MissingWeights(card.name, name, "is missing. Fetch the model again.")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ChangedWeights(card.name, name, "is truncated or was changed. Fetch the model again.")


def _lines(card: ModelCard, listing: str) -> Iterator[tuple[str, str]]:
    for line in listing.splitlines():
        sha256, _, name = line.partition("  ")
        if not name or len(sha256) != 64 or ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise ChangedWeights(card.name, SUMS, f"has a line that is no sum: {line[:80]!r}. Fetch the model again.")
        yield name, sha256
