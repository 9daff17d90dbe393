"""What comes out of a pipeline is looked at before it is called a picture."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from generation.engine.items import Drawn, NotDrawn

# In some channel a drawing spans at least this many of 255 levels; a failed decode is one flat colour.
LEAST_SPREAD = 2


def picture_of(key: str, pixels: NDArray[np.floating]) -> Drawn | NotDrawn:
    """Make a PNG of decoded pixels, (height, width, 3), or say why they are no picture. Beyond 0..1 is cut off.

    NaN compares false with everything, so it is asked for by name and never by a threshold.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        return NotDrawn(key, "undecodable", f"the decoder gave an array of shape {pixels.shape}")
    if not np.isfinite(pixels).all():
        return NotDrawn(key, "not_finite", f"{int((~np.isfinite(pixels)).sum())} values are no finite number")
    values = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    spread = values.max(axis=(0, 1)).astype(int) - values.min(axis=(0, 1))
    if spread.max() < LEAST_SPREAD:
        return NotDrawn(key, "constant", "every pixel has the same colour")
    written = io.BytesIO()
    Image.fromarray(values).save(written, format="PNG")
    return Drawn(key, written.getvalue(), width=values.shape[1], height=values.shape[0])
