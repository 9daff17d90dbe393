"""An invisible watermark in photographic pictures: 32 bits that say "from this house", found again in copies.

RivaGAN (Zhang et al., 2019) as the package invisible-watermark carries it: a network that hides bits and one that
reads them, run by onnxruntime; the package itself, which would load PyTorch, is never imported. What it hides lies at
the size of single pixels, which neither halving nor JPEG leaves alone. So it is hidden in a small copy of the picture,
and the difference is laid over the picture itself, larger: a reader that makes the same small copy finds it at any
size.

All marks of a house are one word, derived from a secret. Whoever has many marked files and the public network can learn
it and put it into others: the mark says where a picture probably came from, and only the credentials prove it.
"""

import hashlib
import hmac
import importlib.util
import io
import logging
import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moderation.signals import MachineryFault

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

BITS = 32
# The small copy has about as many pixels as a square of this side.
SIDE = 256
# How strongly the mark is laid on, the weakest first: 1 changes a pixel by 2 of 255 in the mean.
GAINS = (1.0, 1.4, 2.0, 3.0)
# A copy may be a part of the picture: its small copy is made for so large a share of the whole, by its sides.
SHARES = (1.0, 0.9, 0.75, 0.5)
# At each share, how probably a word that was drawn by chance fits as well to what a picture says.
MOST_CHANCE = 1e-7
# What a mark should outlive: halved, and saved like this.
QUALITY = 50
THREADS = 2
SUMS = {
    "rivagan_encoder.onnx": "66bc7814fadac7d686105c8ab26c6cf2cc8e40deb83e67bb6ef5b9de9b8ece0d",
    "rivagan_decoder.onnx": "6b006690cf352fa50a91a0b6d6241dbcded0a9957969e2c0665cf9a7011b3880",
}

Numbers = NDArray[np.float32]


class WatermarkUnusable(MachineryFault):
    """The networks of the watermark are missing, or not those that were measured. The message names the file."""


class Watermark:
    """Marks pictures with the house's word, and finds it. One call at a time; 0.3 to 3 s each on a CPU, 80 MB."""

    def __init__(self, keys: Sequence[str], folder: Path | None = None) -> None:
        """keys are secrets: the first marks, all of them are looked for. Raises WatermarkUnusable.

        The networks are read from `folder`, or from where the package lies.
        """
        self._words = [_word(key) for key in keys]
        # onnxruntime reports each session to its maker unless it is told not to, before it is loaded.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        hide, read = (_checked(folder or _package(), name, sha256) for name, sha256 in SUMS.items())
        self._hide, self._read = _session(hide), _session(read)

    def embed(self, picture: "Image.Image") -> "Image.Image | None":
        """The picture with the mark, as weak as it may be to be found in a copy that was halved and saved as JPEG.

        Where none is strong enough for that, the strongest; None where not even that can be read: in much of what is
        flat, and in a few pictures that are all texture.
        """
        mark = self._mark(picture)
        for gain in GAINS:
            marked = _laid_over(picture, gain * mark)
            if self._says_ours(_poor_copy(marked)):
                return marked
        if self._says_ours(marked):
            return marked
        log.warning("a picture of %d x %d carries no watermark", *picture.size)
        return None

    def is_in(self, picture: "Image.Image") -> bool:
        """Whether the picture, or a copy of which it is a part, was marked by this house."""
        return any(self._says_ours(picture, share) for share in SHARES)

    def _mark(self, picture: "Image.Image") -> Numbers:
        """What the mark adds to each pixel, of 255: height x width x 3, at the picture's own size."""
        from PIL import Image

        small = _frame(picture, 1.0)
        (hidden,) = self._hide.run(None, {"frame": small, "data": self._words[0][None].astype(np.float32)})
        planes = (hidden - small)[0, :, 0] * 127.5
        return np.stack(
            [np.asarray(Image.fromarray(plane).resize(picture.size, Image.Resampling.BICUBIC)) for plane in planes], -1
        )

    def _says_ours(self, picture: "Image.Image", share: float = 1.0) -> bool:
        (said,) = self._read.run(None, {"frame": _frame(picture, share)})
        return any(chance(said[0], word) <= MOST_CHANCE for word in self._words)


def chance(said: Numbers, word: NDArray[np.bool_]) -> float:
    """How probably a word that was drawn by chance agrees with these 32 numbers as well as this one does.

    What the network is least sure of counts least: the numbers are ranked by size, and the ranks of those whose sign
    is the word's are summed (Wilcoxon's signed ranks, exactly). It holds for any picture, whatever the network makes
    of it, as long as it was not made with this word.
    """
    if not np.isfinite(said).all():
        return 1.0
    ranks = np.argsort(np.argsort(np.abs(said), kind="stable")) + 1
    return _tails()[int(ranks[(said > 0) == word].sum())]


@cache
def _tails() -> list[float]:
    """For each sum of ranks the share of all words that reach it or more."""
    ways = [1] + [0] * (BITS * (BITS + 1) // 2)
    for rank in range(1, BITS + 1):
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    return [sum(ways[total:]) / 2**BITS for total in range(len(ways))]


def _word(key: str) -> NDArray[np.bool_]:
    digest = hmac.new(key.encode(), b"vaglio.watermark", hashlib.sha256).digest()
    return np.unpackbits(np.frombuffer(digest[: BITS // 8], np.uint8)).astype(np.bool_)


def _frame(picture: "Image.Image", share: float) -> Numbers:
    """The small copy as the networks take it: 1 x 3 x 1 x height x width, -1 to 1."""
    from PIL import Image

    scale = SIDE * share / math.sqrt(picture.width * picture.height)
    size = max(16, round(picture.width * scale)), max(16, round(picture.height * scale))
    way = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    small = np.asarray(picture.convert("RGB").resize(size, way), dtype=np.float32) / 127.5 - 1
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None, :, None])


def _laid_over(picture: "Image.Image", mark: Numbers) -> "Image.Image":
    from PIL import Image

    sums = np.asarray(picture.convert("RGB"), dtype=np.float32) + mark
    return Image.fromarray(np.clip(np.rint(sums), 0, 255).astype(np.uint8))


def _poor_copy(picture: "Image.Image") -> "Image.Image":
    from PIL import Image

    half = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    half.save(written, "JPEG", quality=QUALITY)
    return Image.open(written).convert("RGB")


def _package() -> Path:
    found = importlib.util.find_spec("imwatermark")
    if found is None or found.origin is None:
        raise WatermarkUnusable("the package invisible-watermark is not installed, so no photograph can be marked")
    return Path(found.origin).parent


def _checked(folder: Path, name: str, sha256: str) -> bytes:
    """The file's bytes, read once: what is run is what was checked."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise WatermarkUnusable(f"{name}, a network of the watermark, is missing") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WatermarkUnusable(f"{name}, a network of the watermark, is not the one that was measured")
    return data


def _session(network: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
