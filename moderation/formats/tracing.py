"""What can be told of any file that a stranger brings: its sum, credentials, perceptual hashes. In the limited process.

`trace` never refuses: a file that is no picture and no film has a sum all the same, and a sentence says what it is not.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moderation.formats import limits, opening

if TYPE_CHECKING:
    from moderation.provenance.credentials import Credentials

# How files that can hold credentials begin, by the place of the first byte: a damaged one may still say whose it was.
BEGINNINGS = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
    (4, b"ftyp", "video/mp4"),
)
# Of a film so many frames are hashed, at even distances, the first and the last among them.
FRAMES = 12


def trace(path: Path, folder: Path) -> dict[str, Any]:
    """sha256, bytes, kind (picture, film, other), hashes ([where, digits, quality] ...), credentials, why (a sentence),
    and of a picture look, the size of folder/look.png: this process is too small for the network that reads watermarks.

    folder/anchors.pem holds the roots that are ours.
    """
    data = path.read_bytes()
    told: dict[str, Any] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "hashes": [], "why": ""}
    try:
        opening.decode_picture(path, folder)
        told |= {"kind": "picture", "hashes": _of_picture(folder / "picture.png")}
        told["look"] = _look(folder / "picture.png", folder / "look.png")
    except opening.Refused as no_picture:
        try:
            opening.decode_film(path, folder)
            told |= {"kind": "film", "hashes": _of_film(folder / "film.mp4")}
        except opening.Refused as no_film:
            # A film that is too long says so; of anything else the word about pictures is the better one.
            is_film = "film" in str(no_film) and "can be read" not in str(no_film)
            told |= {"kind": "other", "why": str(no_film if is_film else no_picture)}
    return told | {"credentials": asdict(credentials_of(data, (folder / "anchors.pem").read_bytes()))}


def _of_picture(path: Path) -> list[list[Any]]:
    """All eight ways to turn and mirror it."""
    from PIL import Image

    from moderation.provenance.pdq import turned

    with Image.open(path, formats=("PNG",)) as picture:
        return [["", one.digits, one.quality] for one in turned(picture.convert("RGB"))]


def _look(path: Path, kept: Path) -> list[int]:
    """The picture, made smaller where it is large, without loss."""
    from PIL import Image

    with Image.open(path, formats=("PNG",)) as picture:
        share = min(1.0, (limits.LOOK_PIXELS / (picture.width * picture.height)) ** 0.5)
        size = max(1, int(picture.width * share)), max(1, int(picture.height * share))
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(kept)
    return list(size)


def _of_film(path: Path) -> list[list[Any]]:
    import av

    from moderation.provenance.pdq import pdq

    with av.open(str(path), "r", format="mp4") as container:
        number = container.streams.video[0].frames
        wanted = {round(at * (number - 1) / (FRAMES - 1)) for at in range(FRAMES)}
        found = []
        for at, frame in enumerate(container.decode(video=0)):
            if at in wanted:
                one = pdq(frame.to_image())  # type: ignore[no-untyped-call]
                found.append([f"{frame.time or 0:.2f} s", one.digits, one.quality])
        return found


def credentials_of(data: bytes, anchors: bytes = b"") -> "Credentials":
    """What the credentials in a file say; without roots of ours none of them are ours."""
    from moderation.provenance.credentials import read

    media_type = next((kind for at, begins, kind in BEGINNINGS if data[at : at + len(begins)] == begins), "")
    return read(data, media_type, anchors)
