"""What a mask leaves out stays as it was: the decoder knows a picture only roughly."""

from dataclasses import replace

import numpy as np
from PIL import ImageFilter

from generation.engine.items import DrawItem, Drawn

# How far the new reaches in before it is all there is, as a share of the side: a seam is not to be seen.
SEAM = 1 / 128


def keep_outside(drawn: Drawn, item: DrawItem) -> Drawn:
    """Put the picture that went in back where the mask is black, to the bit, and blend within the seam beside it."""
    assert item.picture is not None
    assert item.mask is not None
    mask = item.mask.convert("L").point(lambda value: 255 if value > 127 else 0)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(SEAM * max(mask.size))), dtype=np.float32) / 255
    inside = np.asarray(mask) > 0
    # At the mask's edge the blurred mask is a half; a part too thin for the seam is all new.
    share = np.where(inside, np.clip(2 * soft - 0.5, 0.5, 1), 0)[None, :, :, None]
    before = np.asarray(item.picture.convert("RGB"), dtype=np.float32)[None]
    mixed = before + (drawn.pixels - before) * share
    return replace(drawn, pixels=mixed.round().astype(np.uint8))
