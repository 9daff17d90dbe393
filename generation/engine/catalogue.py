"""Reading the catalogue: one TOML file for each model card, and a sentence for whatever is wrong in it."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from generation.engine.cards import ModeCard, ModelCard, Number, Offload, Price, Size, Source, Span, Tuning
from generation.engine.errors import CardError
from generation.engine.modes import MODES, Mode

DTYPES = frozenset({"float32", "float16", "bfloat16"})
LATENT = 8  # pixels; diffusers draws no other sides than multiples of it
# What a mode may say for itself, and otherwise takes from the card.
SHARED = ("sizes", "steps", "guidance_scale", "strength", "frames", "fps", "max_batch", "n_max", "price")


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

    def among(self, key: str, known: frozenset[str], default: str | None = None) -> str:
        value: str = self.take(key, str, default)
        if value not in known:
            raise CardError(self.card, self.prefix + key, f"is {value!r}; known are {', '.join(sorted(known))}.")
        return value

    def whole(self, key: str, least: int = 1) -> int:
        value: int = self.take(key, int)
        if value < least:
            raise CardError(self.card, self.prefix + key, f"must be at least {least}, not {value}.")
        return value

    def decimal(self, key: str, default: int | None = None) -> Decimal:
        value = Decimal(self.take(key, (int, Decimal), default))
        if not value.is_finite():
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
        values = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(path, "the file", f"is not valid TOML: {error}") from error
    shared = {key: values.pop(key) for key in SHARED if key in values}
    top = _Table(path, values)
    card = ModelCard(
        name=top.take("name", str),
        title=top.take("title", str),
        description=top.take("description", str),
        folder=weights_root / _below(top, "folder"),
        sources=_sources(top),
        modes=_modes(top, shared),
        licence=top.take("licence", str),
        commercial_ok=top.take("commercial_ok", bool),
        use_limits=top.take("use_limits", str, default=" ").strip(),
        # What a card does not say is marked: only a card can excuse its pictures.
        is_photographic=top.take("is_photographic", bool, default=True),
        dtype=top.among("dtype", DTYPES),
        memory_gb=float(top.decimal("memory_gb")),
        tuning=_tuning(top),
        sums_sha256=top.take("sums_sha256", str, default=" ").strip(),
    )
    top.end()
    if card.name != path.stem:
        raise CardError(path, "name", f"is {card.name!r} and must be the file's name, {path.stem!r}.")
    if card.memory_gb < 0:
        raise CardError(path, "memory_gb", "must not be negative.")
    return card


def _below(table: _Table, key: str, default: str | None = None) -> str:
    """A folder's name that leads nowhere else."""
    name: str = table.take(key, str, default)
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise CardError(table.card, table.prefix + key, f"must lie inside the weights folder, not {name!r}.")
    return name


def _sources(top: _Table) -> tuple[Source, ...]:
    sources = []
    for row in top.take("sources", list, default=[]):
        if not isinstance(row, dict):
            raise CardError(top.card, "sources", f"holds {row!r}; each must name repository and revision.")
        table = _Table(top.card, row, "sources.")
        source = Source(
            repository=table.take("repository", str),
            revision=table.take("revision", str),
            into=_below(table, "into", "."),
            only=_below(table, "only", " ").strip(),
            variant=table.take("variant", str, default=" ").strip(),
        )
        table.end()
        if source.revision and not (len(source.revision) == 40 and set(source.revision) <= set("0123456789abcdef")):
            what = f"must be the full hash of a commit, not {source.revision!r}: a branch or a tag can be moved."
            raise CardError(top.card, "sources.revision", what)
        if source.repository.count("/") != 1:
            raise CardError(top.card, "sources.repository", f"must look like owner/name, not {source.repository!r}.")
        sources.append(source)
    return tuple(sources)


def _tuning(top: _Table) -> Tuning:
    table = _Table(top.card, top.take("tuning", dict, default={}), "tuning.")
    tuning = Tuning(
        compile=table.take("compile", bool, default=False),
        channels_last=table.take("channels_last", bool, default=False),
        offload=table.among("offload", frozenset(get_args(Offload)), default="none"),  # type: ignore[arg-type]
        tiny_decoder=_below(table, "tiny_decoder", " ").strip(),
    )
    table.end()
    return tuning


def _modes(top: _Table, shared: Mapping[str, Any]) -> dict[str, ModeCard]:
    modes = {}
    unused = set(shared)
    for name, values in top.take("modes", dict).items():
        if name not in MODES:
            raise CardError(top.card, "modes", f"names {name!r}; known are {', '.join(sorted(MODES))}.")
        if not isinstance(values, dict):
            raise CardError(top.card, f"modes.{name}", f"must be a table, not {values!r}.")
        wanted = {key for key in SHARED if _applies(key, MODES[name])}
        unused -= wanted
        inherited = {key: value for key, value in shared.items() if key in wanted}
        modes[name] = _mode(_Table(top.card, {**inherited, **values}, f"modes.{name}."), MODES[name])
    if not modes:
        raise CardError(top.card, "modes", "is empty.")
    for key in sorted(unused):
        raise CardError(top.card, key, "is of no use to any mode of the card.")
    return modes


def _applies(key: str, mode: Mode) -> bool:
    if key in ("frames", "fps"):
        return mode.is_film
    return mode.has_strength if key == "strength" else True


def _mode(table: _Table, mode: Mode) -> ModeCard:
    parts = table.table("parts") if "parts" in table.values else _Table(table.card, {})
    made = ModeCard(
        mode=mode,
        pipeline=table.among("pipeline", mode.pipelines),
        parts={key: _below(parts, key) for key in list(parts.values)},
        lora=_below(table, "lora", " ").strip(),
        sizes=_sizes(table),
        steps=_steps(table),
        guidance_scale=_span(table, "guidance_scale"),
        strength=_span(table, "strength", most=1) if mode.has_strength else None,
        frames=_frames(table) if mode.is_film else (1,),
        fps=table.whole("fps") if mode.is_film else 0,
        max_batch=table.whole("max_batch"),
        n_max=table.whole("n_max"),
        price=_price(table),
        palette=_palette(table) if mode.has_palette else {},
    )
    table.end()
    return made


def _palette(outer: _Table) -> dict[str, tuple[int, int, int]]:
    table = outer.table("palette")
    palette: dict[str, tuple[int, int, int]] = {}
    for name in list(table.values):
        text: str = table.take(name, str)
        digits = text.removeprefix("#")
        if text == digits or len(digits) != 6 or not set(digits.lower()) <= set("0123456789abcdef"):
            raise CardError(table.card, table.prefix + name, f"must look like #06e6e6, not {text!r}.")
        red, green, blue = bytes.fromhex(digits)
        if (red, green, blue) in palette.values():
            raise CardError(table.card, table.prefix + name, f"has the colour of another thing, {text}.")
        palette[name] = (red, green, blue)
    if len(palette) < 2:
        raise CardError(table.card, table.prefix.rstrip("."), "must name two things or more.")
    return palette


def _steps(outer: _Table) -> Span[int]:
    table = outer.table("steps")
    return _ordered(table, Span(table.whole("default"), table.whole("min"), table.whole("max")))


def _span(outer: _Table, key: str, *, most: float = float("inf")) -> Span[float]:
    """A span of numbers from 0 to `most`."""
    table = outer.table(key)
    span = Span(*(float(table.decimal(each)) for each in ("default", "min", "max")))
    if span.least < 0 or span.most > most:
        raise CardError(table.card, table.prefix.rstrip("."), f"must lie between 0 and {most:g}.")
    return _ordered(table, span)


def _ordered(table: _Table, span: Span[Number]) -> Span[Number]:
    table.end()
    if not span.least <= span.default <= span.most:
        raise CardError(table.card, f"{table.prefix}default", "must lie between min and max.")
    return span


def _frames(table: _Table) -> tuple[int, ...]:
    frames = tuple(table.take("frames", list))
    if not frames or any(not isinstance(each, int) or isinstance(each, bool) or each < 2 for each in frames):
        raise CardError(table.card, f"{table.prefix}frames", "must list lengths of film, each of 2 frames or more.")
    return frames


def _price(outer: _Table) -> Price:
    table = outer.table("price")
    price = Price(table.whole("minimum"), table.decimal("per_megapixel_step", 0), table.decimal("per_second", 0))
    table.end()
    if price.per_megapixel_step < 0 or price.per_second < 0:
        raise CardError(table.card, table.prefix.rstrip("."), "must not be negative.")
    return price


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
