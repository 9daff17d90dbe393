"""Bringing a card's weights from a model hub: one commit, data only, every file's hash checked, whole or not at all."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from generation.engine.cards import ModelCard, Source
from generation.engine.errors import WeightsError
from generation.engine.folder import DATA_FILES, SUMS

# Libraries whose classes may stand in a model_index.json; anything else is code in the repository.
LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion"})
# Parts that we draw without: the sieve judges, and nothing blackens what it should see.
LEFT_OUT = frozenset({"safety_checker", "feature_extractor"})
PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl"})
# Beside the weights of a pipeline, only these of a repository's own folder: what lies there besides is the same once
# more, in one file for other programs.
ROOT_FILES = frozenset({"model_index.json", "README.md", "LICENSE.md", "LICENSE.txt"})
# Left free on the disk.
ROOM = 2 * 10**9


class CannotFetch(WeightsError):
    """The card's weights are not brought: not pinned, no room, not data, or not what the hub says they are."""


@dataclass(frozen=True)
class Wanted:
    """One file to bring. sha256 is the hub's own for large files; small ones have git's hash."""

    source: Source
    name: str
    size: int
    sha256: str
    git: str

    @property
    def place(self) -> str:
        """Where it goes, below the card's folder."""
        return (PurePosixPath(self.source.into) / self.name).as_posix()


def plan(card: ModelCard) -> list[Wanted]:
    """Which files a card needs. Asks the hub. Raises CannotFetch."""
    if not card.sources:
        raise CannotFetch(card.name, card.folder.name, "has no source to be fetched from; it comes with Vaglio.")
    wanted: list[Wanted] = []
    for source in card.sources:
        if not source.revision:
            what = (
                f"is not pinned. Choose a commit of {source.repository}, read what is in it, and write its hash into "
                "the card as `revision`."
            )
            raise CannotFetch(card.name, source.repository, what)
        with _asking(card, source):
            wanted += _of(card, source)
    return wanted


@contextlib.contextmanager
def _asking(card: ModelCard, source: Source) -> Iterator[None]:
    """Say of what the hub's client raises whose repository it was about.

    Of anything: which HTTP client it is built on, and so what it raises, changes with its version.
    """
    try:
        yield
    except CannotFetch:
        raise
    except Exception as error:
        what = f"was not brought: {error} What came so far is kept; fetch again."
        raise CannotFetch(card.name, source.repository, what) from error


def _bring(source: Source, name: str, folder: Path) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download(source.repository, name, revision=source.revision, local_dir=folder)


def fetch(card: ModelCard, *, tell: Callable[[str], None]) -> str:
    """Bring a card's weights, or what is missing of them. Returns the sha256 of the list of sums, to be pinned.

    An interrupted fetch goes on where it was. The folder appears only when all of it was checked. Raises CannotFetch.
    """
    wanted = plan(card)
    part = card.folder.with_name(f".{card.folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    missing = sum(each.size for each in wanted if not (part / each.place).is_file())
    free = shutil.disk_usage(part).free
    if missing + ROOM > free:
        what = f"needs {missing / 1e9:.1f} GB more and {ROOM / 1e9:.0f} GB to spare; {free / 1e9:.1f} GB are free."
        raise CannotFetch(card.name, card.folder.name, what)
    sums = []
    for number, each in enumerate(sorted(wanted, key=lambda one: one.place), start=1):
        tell(f"{number}/{len(wanted)} {each.place}, {each.size / 1e6:.1f} MB")
        path = part / each.place
        if not path.is_file():
            with _asking(card, each.source):
                _bring(each.source, each.name, part / each.source.into)
        sums.append(f"{_checked(card, each, path)}  {each.place}\n")
    for cache in list(part.rglob(".cache")):
        shutil.rmtree(cache)
    listing = "".join(sums)
    (part / SUMS).write_text(listing, encoding="utf-8")
    old = card.folder.with_name(f".{card.folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if card.folder.exists():
        card.folder.rename(old)
    part.rename(card.folder)
    shutil.rmtree(old, ignore_errors=True)
    return hashlib.sha256(listing.encode()).hexdigest()


def _checked(card: ModelCard, wanted: Wanted, path: Path) -> str:
    """The file's sha256, if it is the one that the hub lists; else it is thrown away and CannotFetch is raised."""
    sha256, git = hashlib.sha256(), hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            sha256.update(piece)
            git.update(piece)
    if (wanted.sha256 and sha256.hexdigest() != wanted.sha256) or (not wanted.sha256 and git.hexdigest() != wanted.git):
        path.unlink()
        raise CannotFetch(card.name, wanted.place, "is not what the hub lists. It was thrown away; fetch again.")
    return sha256.hexdigest()


def _of(card: ModelCard, source: Source) -> Iterator[Wanted]:
    """The files of one repository that are needed."""
    from huggingface_hub import HfApi

    told = HfApi().model_info(source.repository, revision=source.revision, files_metadata=True)
    if told.sha != source.revision:
        raise CannotFetch(card.name, source.repository, f"answers for {told.sha}, not for {source.revision}.")
    files = {each.rfilename: each for each in told.siblings or []}
    if source.only and not any(name.startswith(f"{source.only}/") for name in files):
        raise CannotFetch(card.name, source.repository, f"has no folder {source.only}.")
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise CannotFetch(card.name, name, "would lie outside its folder.")
    if source.only:
        folders = {source.only}
    elif "model_index.json" in files:
        with tempfile.TemporaryDirectory() as folder:
            _bring(source, "model_index.json", Path(folder))
            folders = _parts(card, json.loads((Path(folder) / "model_index.json").read_text(encoding="utf-8")))
    else:
        folders = {""}
    for each in sorted(folders):
        inside = [name for name in files if name.rpartition("/")[0] == each]
        for name in _data(card, source, each, inside):
            yield _wanted(source, files[name])
    if "" not in folders and not source.only:
        for name in sorted(ROOT_FILES & set(files)):
            yield _wanted(source, files[name])


def _parts(card: ModelCard, index: dict[str, Any]) -> set[str]:
    """The folders of a pipeline that hold its parts. Raises CannotFetch where one would need the repository's code."""
    folders = set()
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or len(value) != 2 or value[1] is None:
            continue
        if name in LEFT_OUT and card.first.pipeline != "StableVideoDiffusionPipeline":
            continue
        if value[0] not in LIBRARIES:
            what = f"names {value[0]}.{value[1]}: a class in the repository's own code, which is never run."
            raise CannotFetch(card.name, "model_index.json", what)
        folders.add(name)
    return folders


def _data(card: ModelCard, source: Source, folder: str, inside: list[str]) -> list[str]:
    """What is data among the files of one folder, in the wanted variant where there is one."""
    weights = [name for name in inside if ".safetensors" in PurePosixPath(name).name]
    if not weights and any(PurePosixPath(name).suffix in PICKLES for name in inside):
        what = "has its weights as pickles only, which can run code. Look for a commit with safetensors."
        raise CannotFetch(card.name, folder or source.repository, what)
    marked = [name for name in weights if source.variant and f".{source.variant}." in PurePosixPath(name).name]
    plain = [name for name in weights if not _variant(name)]
    chosen = set(marked or plain)
    return sorted(
        name for name in inside if PurePosixPath(name).suffix in DATA_FILES and (name in chosen or name not in weights)
    )


def _variant(name: str) -> bool:
    """Whether a file of weights is named for a variant: `model.fp16.safetensors`, `x.safetensors.index.fp16.json`."""
    stem = PurePosixPath(name).name
    for word in (".safetensors.index", ".safetensors", ".json"):
        stem = stem.replace(word, "")
    return "." in stem


def _wanted(source: Source, file: Any) -> Wanted:
    return Wanted(source, file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "", file.blob_id or "")
