"""Read an original from quarantine as pixels, or say why not. Never imported by the web process."""

import io
import warnings

from PIL import Image, ImageChops

from journal import files
from moderation.models import Case, Upload
from moderation.screening import uploads
from moderation.screening.originals import Flat, Original, Unfit, Unreadable, View, is_flat
from moderation.signals import MachineryFault

BLANK = {
    Upload.Role.PICTURE: "The picture is one flat colour all over; there is nothing in it to start from.",
    Upload.Role.MASK: "The mask marks nothing.",
    Upload.Role.SKETCH: "The sketch is blank. Draw some lines.",
    Upload.Role.MAP: "The map has one colour all over. Paint two parts at the least.",
    Upload.Role.FILM: "The film shows nothing but flat colours.",
}
FORMATS = ("PNG", "JPEG", "WEBP")
# Far above what any model draws, far below what fills the memory.
MOST_PIXELS = 40_000_000


def read_original(case: Case) -> Original:
    """What a case is about, as the classifiers see it. An upload is decoded first, by a process of its own.

    Raises Unreadable when the file is missing, is not the one that was drawn or brought, or is not whole; Unfit when
    an upload is not taken; MachineryFault when the store does not answer.
    """
    if case.subject == Case.Subject.UPLOAD:
        upload = uploads.decoded(case)
        assert upload.width is not None
        assert upload.height is not None
        data = fetch(upload.pixels_key, upload.pixels_sha256)
        alpha = fetch(upload.alpha_key, upload.alpha_sha256) if upload.alpha_key else None
        try:
            return look_at(data, size=(upload.width, upload.height), alpha=alpha, is_film=upload.kind == "film")
        except Flat as flat:
            raise Unfit(BLANK[Upload.Role(upload.role)]) from flat
    evidence = case.evidence
    data = fetch(evidence["original_key"], evidence["original_sha256"])
    return look_at(data, size=(evidence["width"], evidence["height"]), is_film=evidence.get("fps", 0) > 0)


def look_at(data: bytes, *, size: tuple[int, int], alpha: bytes | None = None, is_film: bool = False) -> Original:
    """The views of a file of ours. Raises Unreadable."""
    if is_film:
        # Only here: most of what is screened are pictures, and FFmpeg's libraries are large.
        from moderation.screening.films import read_film

        return read_film(data, size=size)
    white = decode(data, size=size)
    views = [View(white)]
    if alpha:
        # What is harmless on white may not be so on black.
        clear = ImageChops.invert(decode(alpha, size=size))
        views.append(View(ImageChops.subtract(white, clear), "on black"))
    seen = tuple(view for view in views if not is_flat(view.picture))
    if not seen:
        raise Flat("the picture is one flat colour")
    return Original(seen)


def fetch(key: str, sha256: str) -> bytes:
    """A file in quarantine that has these bytes. Raises Unreadable, or MachineryFault when the store is away."""
    try:
        data = files.read(files.quarantine(), key)
    except files.StoreAway as error:
        raise MachineryFault(str(error)) from error
    except files.StoreBroken as error:
        raise Unreadable(str(error)) from error
    if files.digest(data) != sha256:
        raise Unreadable("the file in quarantine is not the one that was kept there")
    return data


def decode(data: bytes, *, size: tuple[int, int]) -> Image.Image:
    """Decode a picture of a known size, of few formats and of bounded pixels. Raises Unreadable."""
    if size[0] * size[1] > MOST_PIXELS:
        raise Unreadable(f"the picture has more than {MOST_PIXELS:,} pixels")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                # The header is read, the pixels are not yet.
                if file.size != size:
                    raise Unreadable(f"the picture is {file.size[0]}x{file.size[1]}, not {size[0]}x{size[1]}")
                return file.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Warning) as error:
        raise Unreadable(f"the file is no whole picture: {error}") from error
