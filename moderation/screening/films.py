"""Which frames of a film the classifiers see. Never imported by the web process."""

import io
from collections.abc import Iterator
from itertools import pairwise

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from moderation.screening.originals import Flat, Original, Unreadable, View, is_flat

# The first, the last, and others at even distances: so many in all; and what comes after a cut.
EVEN, MOST_CUTS = 16, 8
# A cut: the mean brightness of a pixel changes by so much (of 255), and by so many times what it does in the median.
LEAST_CHANGE, TIMES_MEDIAN = 20, 4
# One of those at even distances shows nothing new, and is left out, while no place of it has moved so far (of 255, in
# any colour) from the last that is looked at. Places are a 48th of each side: classifiers see hardly anything smaller.
SIDE, NOTHING_NEW = 48, 16
RULE = f"first, last, {EVEN} evenly where something is new, {MOST_CUTS} cuts"


def read_film(data: bytes, *, size: tuple[int, int]) -> Original:
    """The frames to look at of a film of ours, each with its time. Reads it twice, one frame in memory at a time.

    A frame of one flat colour is left out: no classifier can speak of it. Raises Unreadable where nothing else is
    there, or where it is no film of this size.
    """
    small = [_small(frame) for frame in _frames(data, size)]
    if not small:
        raise Unreadable("the film has no frames")
    wanted = chosen(small)
    views = []
    for number, frame in enumerate(_frames(data, size)):
        if number in wanted and not is_flat(picture := as_picture(frame)):
            views.append(View(picture, named(frame)))
    if not views:
        raise Flat("every frame that was looked at is one flat colour")
    return Original(tuple(views), data)


def chosen(small: list[NDArray[np.int16]]) -> set[int]:
    """The numbers of the frames to look at, from small ones (SIDE x SIDE x 3, 0..255)."""
    last = len(small) - 1
    even = {round(last * share / (EVEN - 1)) for share in range(EVEN)}
    if last < 2:
        return even
    changes = np.array([np.abs(after - before).mean() for before, after in pairwise(small)])
    least = max(LEAST_CHANGE, TIMES_MEDIAN * float(np.median(changes)))
    cuts = [int(place) for place in np.argsort(changes)[::-1][:MOST_CUTS] if changes[place] >= least]
    always = {0, last, *(place + 1 for place in cuts)}
    seen, kept = small[0], set(always)
    for number in sorted(even | always):
        if number in always or np.abs(small[number] - seen).max() >= NOTHING_NEW:
            kept.add(number)
            seen = small[number]
    return kept


def as_picture(frame: av.VideoFrame) -> Image.Image:
    """A frame as RGB."""
    picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    return picture


def named(frame: av.VideoFrame) -> str:
    """What a frame is called in signals and in front of moderators."""
    return f"frame at {float(frame.time or 0):.2f} s"


def _small(frame: av.VideoFrame) -> NDArray[np.int16]:
    """The mean of each place."""
    small = frame.reformat(width=SIDE, height=SIDE, format="rgb24", interpolation="AREA")
    return np.asarray(small.to_ndarray(), dtype=np.int16)


def _frames(data: bytes, size: tuple[int, int]) -> Iterator[av.VideoFrame]:
    try:
        # MP4 alone: FFmpeg takes nearly anything for a film.
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            stream = container.streams.video[0]
            if (stream.width, stream.height) != size:
                raise Unreadable(f"the film is {stream.width}x{stream.height}, not {size[0]}x{size[1]}")
            yield from container.decode(stream)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise Unreadable(f"the file is no whole film: {error}") from error
