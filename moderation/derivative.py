"""Make the file that is released: resized, marked, re-encoded without metadata, kept under its own hash."""

import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import imagehash
import numpy as np
from PIL import Image

from journal import files
from journal.failpoints import failpoint
from moderation.provenance.credentials import Made, Signer
from moderation.provenance.pdq import pdq
from moderation.provenance.watermark import Watermark
from moderation.screening.originals import Original
from moderation.signals import MachineryFault

# Bits of 64 in which the perceptual hashes may differ before a person has to compare the two.
# Two different pictures are about 32 apart, and hardly ever less than 18.
FARTHEST = 12

# Of 32 x 32 places, by how much (of 255) they may be another in the mean, and each, without being seen to be.
COARSE, MEAN_CHANGE, MOST_CHANGE = (32, 32), 4, 40

RESAMPLING = {"lanczos": Image.Resampling.LANCZOS, "nearest": Image.Resampling.NEAREST}


@dataclass(frozen=True)
class Derivative:
    """A file in the released store, and how far it is from its original to the eye. A film has a poster beside it."""

    key: str
    sha256: str
    distance: int
    poster_key: str = ""
    poster_sha256: str = ""
    # Perceptual hashes of what is seen in it: [where, 64 hexadecimal digits, quality], one for a picture.
    traces: tuple[tuple[str, str, int], ...] = ()

    @property
    def is_faithful(self) -> bool:
        """Whether it still shows what was screened."""
        return self.distance <= FARTHEST

    def fields(self) -> dict[str, Any]:
        """What the case remembers of it."""
        return {
            "derivative_key": self.key,
            "derivative_sha256": self.sha256,
            "derivative_distance": self.distance,
            "poster_key": self.poster_key,
            "poster_sha256": self.poster_sha256,
            "derivative_traces": [list(trace) for trace in self.traces],
        }


def warm_up() -> None:
    """Load what the first derivative would otherwise wait for: the perceptual hash brings scipy along."""
    imagehash.phash(Image.new("L", (32, 32)))


def make(
    original: Original, evidence: dict[str, Any], *, folder: str, signer: Signer | None,
    watermark: Watermark | None = None,
) -> Derivative:  # fmt: skip
    """Make the derivative and keep it in the private released store, where only the gate's join shows it.

    It is resized to what the evidence says it is released at, and stays as it is where that says nothing. `folder` is
    the lease token: a worker that lost its lease leaves dust, never another's file. `signer` signs what a model made;
    None for an upload, which is its owner's. `watermark` is put into pictures that the evidence calls photographic, and
    into the poster of such a film; not into its frames, each of which would take as long as a picture does.

    The distance is taken from the bytes as written, not from what we meant to write; a film's is that of its farthest
    frame that was looked at. The perceptual hashes are of those bytes too. Raises MachineryFault where a picture should
    be marked and there is nothing to mark it with.
    """
    failpoint("derivative.before_make")
    view = original.views[0]
    first = view.picture
    size = (int(evidence.get("release_width", first.width)), int(evidence.get("release_height", first.height)))
    resampling = RESAMPLING[evidence.get("resampling", "lanczos")]

    is_marked = signer is not None and bool(evidence.get("is_photographic"))
    if is_marked and watermark is None:
        raise MachineryFault("a photographic picture is to be marked, and there is no watermark to mark it with")

    def signed(data: bytes, media_type: str, *, watermarked: bool = False) -> bytes:
        if signer is None:
            return data
        made: Made = "compositeWithTrainedAlgorithmicMedia" if evidence.get("goes_in") else "trainedAlgorithmicMedia"
        return signer.sign(data, media_type, made=made, model=evidence.get("model", ""), watermarked=watermarked)

    def still(size: tuple[int, int]) -> bytes:
        plain = first if first.size == size else first.resize(size, resampling)
        marked = watermark.embed(plain.convert("RGB")) if is_marked and watermark else None
        return signed(_png(marked or plain), "image/png", watermarked=marked is not None)

    if original.film is not None:
        return _film(original, size, resampling, folder, signed, still)
    data = still(size)
    sha256 = files.digest(data)
    failpoint("derivative.before_write")
    key = files.write_once(files.released(), f"{folder}/{sha256}.png", data)
    failpoint("derivative.after_write")
    with Image.open(io.BytesIO(files.read(files.released(), key))) as file:
        kept = file.convert("RGB")
    # The same pixels were hashed when they were looked up.
    is_same = kept.size == first.size and kept.tobytes() == first.tobytes()
    trace = ("", view.hashes[0].digits, view.hashes[0].quality) if is_same else _trace("", kept)
    return Derivative(key, sha256, _distance(first, kept), traces=(trace,))


def _trace(where: str, kept: Image.Image) -> tuple[str, str, int]:
    found = pdq(kept)
    return where, found.digits, found.quality


def _film(
    original: Original, size: tuple[int, int], resampling: Image.Resampling, folder: str,
    signed: Callable[[bytes, str], bytes], still: Callable[[tuple[int, int]], bytes],
) -> Derivative:  # fmt: skip
    assert original.film is not None
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    data, poster = signed(_mp4(original.film, even, resampling), "video/mp4"), still(even)
    sha256, poster_sha256 = files.digest(data), files.digest(poster)
    failpoint("derivative.before_write")
    key = files.write_once(files.released(), f"{folder}/{sha256}.mp4", data)
    poster_key = files.write_once(files.released(), f"{folder}/{poster_sha256}.png", poster)
    failpoint("derivative.after_write")
    times = {view.where: view.picture for view in original.views}
    distance, traces = 0, []
    for where, kept in _named_frames(files.read(files.released(), key)):
        if where in times:
            distance = max(distance, _distance(times.pop(where), kept))
            traces.append(_trace(where, kept))
    # A frame that was looked at and is not in the file is as far as can be.
    return Derivative(key, sha256, 64 if times else distance, poster_key, poster_sha256, tuple(traces))


def _png(picture: Image.Image) -> bytes:
    # A new picture from pixels alone: no text chunk, profile or camera fact travels along.
    clean = Image.frombytes("RGB", picture.size, picture.convert("RGB").tobytes())
    written = io.BytesIO()
    clean.save(written, format="PNG", optimize=False)
    return written.getvalue()


def _mp4(film: bytes, size: tuple[int, int], resampling: Image.Resampling) -> bytes:
    """For playing, from bare pixels, one frame in memory at a time."""
    import av

    from moderation.formats import films
    from moderation.screening.films import as_picture

    with av.open(io.BytesIO(film), "r", format="mp4") as container, tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        stream = container.streams.video[0]

        def frames() -> Iterator[av.VideoFrame]:
            for frame in container.decode(stream):
                picture = as_picture(frame)
                resized = picture if picture.size == size else picture.resize(size, resampling)
                yield av.VideoFrame.from_image(resized)  # type: ignore[no-untyped-call]

        films.write(file.name, frames(), size, Fraction(stream.average_rate or 8), lossless=False)
        return file.read()


def _named_frames(film: bytes) -> Iterator[tuple[str, Image.Image]]:
    """Each frame with its time, named as a view is."""
    import av

    from moderation.screening.films import as_picture, named

    with av.open(io.BytesIO(film), "r", format="mp4") as container:
        for frame in container.decode(video=0):
            yield named(frame), as_picture(frame)


def _distance(original: Image.Image, kept: Image.Image) -> int:
    """Bits of 64; at the original's own size, so that what is compared is the picture and not the resize.

    0 where no place is visibly another. Half of a symmetric drawing's bits stand on the sign of a number that should
    be zero, and what a film's encoder rounds away turns them over.
    """
    alike = kept.resize(original.size, Image.Resampling.BOX)
    coarse = (np.asarray(each.resize(COARSE, Image.Resampling.BOX), dtype=np.int16) for each in (original, alike))
    change = np.abs(np.subtract(*coarse))
    if change.mean() <= MEAN_CHANGE and change.max() <= MOST_CHANGE:
        return 0
    return int(imagehash.phash(original) - imagehash.phash(alike))
