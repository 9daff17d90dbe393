"""What comes out of a pipeline is looked at before it is called a picture or a film."""

import numpy as np
from numpy.typing import NDArray

from generation.engine.items import Drawn, NotDrawn

# In some channel a drawing spans at least this many of 255 levels; a failed decode is one flat colour.
LEAST_SPREAD = 2


def medium_of(key: str, pixels: NDArray[np.floating], *, fps: int = 0) -> Drawn | NotDrawn:
    """Make a medium of decoded pixels, (height, width, 3) or (frames, height, width, 3), or say why they are none.

    Beyond 0..1 is cut off. NaN compares false with everything, so it is asked for by name and never by a threshold.
    A film may have a frame of one colour; it is no film if all of them are.
    """
    frames = pixels[None] if pixels.ndim == 3 else pixels
    if frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        return NotDrawn(key, "undecodable", f"the decoder gave an array of shape {pixels.shape}")
    if not np.isfinite(frames).all():
        return NotDrawn(key, "not_finite", f"{int((~np.isfinite(frames)).sum())} values are no finite number")
    values = (frames.clip(0, 1) * 255).round().astype(np.uint8)
    spread = values.max(axis=(1, 2)).astype(int) - values.min(axis=(1, 2))
    if spread.max() < LEAST_SPREAD:
        return NotDrawn(key, "constant", "every pixel has the same colour")
    return Drawn(key, values, fps)
