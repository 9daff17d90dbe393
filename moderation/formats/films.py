"""Films as files: H.264 in MP4, written and read with PyAV. Knows neither Django nor numpy."""

from collections.abc import Iterable
from fractions import Fraction

import av

# What every browser plays, looked at by x264 as flat drawings are.
FOR_PLAYING = {"crf": "18", "preset": "medium", "tune": "animation"}
# Each pixel as it was; few players know it.
LOSSLESS = {"qp": "0", "preset": "ultrafast"}


def write(path: str, frames: Iterable[av.VideoFrame], size: tuple[int, int], fps: Fraction, *, lossless: bool) -> int:
    """Write an MP4 that lasts exactly frames / fps seconds, its index in front. Returns how many frames it has.

    For playing, sides must be even: H.264 keeps colours for two pixels together. Raises ValueError for odd ones.
    """
    width, height = size
    if not lossless and (height % 2 or width % 2):
        raise ValueError(f"A film for playing has even sides, not {width}x{height}.")
    # In the usual thousandths of a second a length like 81/16 s would be cut.
    options = {"movflags": "+faststart", "movie_timescale": str(1000 * fps.numerator)}
    number = 0
    with av.open(path, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264rgb" if lossless else "libx264", rate=fps)
        stream.options = {**(LOSSLESS if lossless else FOR_PLAYING)}
        stream.width, stream.height = width, height
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        stream.time_base = 1 / fps
        for number, frame in enumerate(frames, start=1):
            frame.pts, frame.duration, frame.time_base = number - 1, 1, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return number
