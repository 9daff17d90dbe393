"""Model cards: one TOML file for each entry of the catalogue, and the check of the folder that it names."""

import hashlib
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from generation.engine.errors import CardError, ChangedWeights, MissingWeights, UnsafeWeights

# diffusers classes that a card may name. Growing it is a decision: each has its own traps.
PIPELINES = frozenset({"StableDiffusionPipeline", "StableDiffusionXLPipeline", "fake"})
MODES = frozenset({"text_to_image"})
DTYPES = frozenset({"float32", "float16", "bfloat16"})
# What a model folder may hold. Pickles (.bin, .ckpt, .pt, .pkl) and code are refused by not being here.
DATA_FILES = frozenset({".safetensors", ".json", ".txt", ".md", ".model"})
SUMS = "SHA256SUMS"
LATENT = 8  # pixels; diffusers draws no other sides than multiples of it

Size = tuple[int, int]


@dataclass(frozen=True)
class ModelCard:
    """One entry of the catalogue.

    sizes maps what is released to what is drawn, (width, height) in pixels; the difference is made by a plain
    resize. price is in credits for one picture; max_batch is in pictures.
    """

    name: str
    title: str
    description: str
    pipeline: str
    folder: Path
    modes: tuple[str, ...]
    sizes: Mapping[Size, Size]
    steps_default: int
    steps_min: int
    steps_max: int
    guidance_default: float
    guidance_min: float
    guidance_max: float
    max_batch: int
    n_max: int
    price: int
    licence: str
    commercial_ok: bool
    use_limits: str
    dtype: str
    sums_sha256: str

    @property
    def release_sizes(self) -> tuple[Size, ...]:
        """The sizes that can be asked for, the default first."""
        return tuple(self.sizes)

    def native_size(self, released: Size) -> Size:
        """At which size a picture is drawn that is released at `released`. Raises KeyError for one not offered."""
        return self.sizes[released]


class _Table:
    """One table of a card; every key is taken once, and what nobody took is a typo."""

    def __init__(self, card: Path, values: Mapping[str, Any], prefix: str = "") -> None:
        self.card, self.values, self.prefix = card, dict(values), prefix

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        if key not in self.values:
            if default is not None:
                return default
            raise CardError(self.card, self.prefix + key, "is missing.")
        value = self.values.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            wanted = kind.__name__ if isinstance(kind, type) else "number"
            raise CardError(self.card, self.prefix + key, f"must be a {wanted}, not {value!r}.")
        return value

    def among(self, key: str, known: frozenset[str]) -> str:
        value: str = self.take(key, str)
        if value not in known:
            raise CardError(self.card, self.prefix + key, f"is {value!r}; known are {', '.join(sorted(known))}.")
        return value

    def whole(self, key: str, least: int = 1) -> int:
        value: int = self.take(key, int)
        if value < least:
            raise CardError(self.card, self.prefix + key, f"must be at least {least}, not {value}.")
        return value

    def decimal(self, key: str) -> float:
        value = float(self.take(key, (int, float)))
        if not math.isfinite(value):
            raise CardError(self.card, self.prefix + key, f"must be a finite number, not {value}.")
        return value

    def table(self, key: str) -> "_Table":
        return _Table(self.card, self.take(key, dict), f"{self.prefix}{key}.")

    def end(self) -> None:
        for key in self.values:
            raise CardError(self.card, self.prefix + key, "is not known. Is it a typo?")


def load_card(path: Path, *, weights_root: Path) -> ModelCard:
    """Read one card. Raises CardError, naming file and key."""
    try:
        top = _Table(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(path, "the file", f"is not valid TOML: {error}") from error
    steps, guidance = top.table("steps"), top.table("guidance_scale")
    card = ModelCard(
        name=top.take("name", str),
        title=top.take("title", str),
        description=top.take("description", str),
        pipeline=top.among("pipeline", PIPELINES),
        folder=_folder(top, weights_root),
        modes=_modes(top),
        sizes=_sizes(top),
        steps_default=steps.whole("default"),
        steps_min=steps.whole("min"),
        steps_max=steps.whole("max"),
        guidance_default=guidance.decimal("default"),
        guidance_min=guidance.decimal("min"),
        guidance_max=guidance.decimal("max"),
        max_batch=top.whole("max_batch"),
        n_max=top.whole("n_max"),
        price=top.whole("price"),
        licence=top.take("licence", str),
        commercial_ok=top.take("commercial_ok", bool),
        use_limits=top.take("use_limits", str, default=" ").strip(),
        dtype=top.among("dtype", DTYPES),
        sums_sha256=top.take("sums_sha256", str, default=" ").strip(),
    )
    for table in (steps, guidance, top):
        table.end()
    if card.name != path.stem:
        raise CardError(path, "name", f"is {card.name!r} and must be the file's name, {path.stem!r}.")
    if not card.steps_min <= card.steps_default <= card.steps_max:
        raise CardError(path, "steps.default", "must lie between steps.min and steps.max.")
    if not card.guidance_min <= card.guidance_default <= card.guidance_max:
        raise CardError(path, "guidance_scale.default", "must lie between guidance_scale.min and .max.")
    return card


def _folder(top: _Table, weights_root: Path) -> Path:
    name: str = top.take("folder", str)
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise CardError(top.card, "folder", f"must lie inside the weights folder, not {name!r}.")
    return weights_root / name


def _modes(top: _Table) -> tuple[str, ...]:
    modes = tuple(top.take("modes", list))
    if not modes:
        raise CardError(top.card, "modes", "is empty.")
    for mode in modes:
        if not isinstance(mode, str) or mode not in MODES:
            raise CardError(top.card, "modes", f"names {mode!r}; known are {', '.join(sorted(MODES))}.")
    return modes


def _sizes(top: _Table) -> dict[Size, Size]:
    sizes: dict[Size, Size] = {}
    for row in top.take("sizes", list):
        if not isinstance(row, dict):
            raise CardError(top.card, "sizes", f"holds {row!r}; each must name released and drawn.")
        table = _Table(top.card, row, "sizes.")
        released, drawn = _size(table, "released"), _size(table, "drawn")
        table.end()
        if released in sizes:
            raise CardError(top.card, "sizes.released", f"names {released[0]}x{released[1]} twice.")
        if drawn[0] % LATENT or drawn[1] % LATENT:
            raise CardError(top.card, "sizes.drawn", f"must be multiples of {LATENT}, not {drawn[0]}x{drawn[1]}.")
        sizes[released] = drawn
    if not sizes:
        raise CardError(top.card, "sizes", "is empty.")
    return sizes


def _size(table: _Table, key: str) -> Size:
    text: str = table.take(key, str)
    width, by, height = text.partition("x")
    if not (by and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise CardError(table.card, table.prefix + key, f"must look like 512x512, not {text!r}.")
    return int(width), int(height)


def load_catalogue(folder: Path, *, weights_root: Path) -> dict[str, ModelCard]:
    """Every card of a folder, by name. Raises CardError; an empty catalogue is one too."""
    cards = {path.stem: load_card(path, weights_root=weights_root) for path in sorted(folder.glob("*.toml"))}
    if not cards:
        raise CardError(folder, "the catalogue", f"has no model card (*.toml) in {folder}.")
    return cards


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
