"""Make the file that is released: resized, re-encoded without metadata, kept under its own hash."""

import io
from dataclasses import dataclass
from typing import Any

import imagehash
from PIL import Image

from journal import files
from journal.failpoints import failpoint

# Bits of 64 in which the perceptual hashes may differ before a person has to compare the two.
# Two different pictures are about 32 apart, and hardly ever less than 18.
FARTHEST = 12

RESAMPLING = {"lanczos": Image.Resampling.LANCZOS, "nearest": Image.Resampling.NEAREST}


@dataclass(frozen=True)
class Derivative:
    """A file in the released store, and how far it is from its original to the eye."""

    key: str
    sha256: str
    distance: int

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
        }


def warm_up() -> None:
    """Load what the first derivative would otherwise wait for: the perceptual hash brings scipy along."""
    imagehash.phash(Image.new("L", (32, 32)))


def make(original: Image.Image, evidence: dict[str, Any], *, folder: str) -> Derivative:
    """Make the derivative and keep it in the private released store, where only the gate's join shows it.

    `folder` is the lease token: a worker that lost its lease leaves dust, never another's file.
    The distance is taken from the bytes as written, not from what we meant to write.
    """
    failpoint("derivative.before_make")
    size = (int(evidence["release_width"]), int(evidence["release_height"]))
    resampling = RESAMPLING[evidence.get("resampling", "lanczos")]
    resized = original if original.size == size else original.resize(size, resampling)
    # A new picture from pixels alone: no text chunk, profile or camera fact travels along.
    clean = Image.frombytes("RGB", resized.size, resized.convert("RGB").tobytes())
    written = io.BytesIO()
    clean.save(written, format="PNG", optimize=False)
    data = written.getvalue()
    sha256 = files.digest(data)
    failpoint("derivative.before_write")
    key = files.write_once(files.released(), f"{folder}/{sha256}.png", data)
    failpoint("derivative.after_write")
    with Image.open(io.BytesIO(files.read(files.released(), key))) as kept:
        # At the original's own size, so that what is compared is the picture and not the resize.
        distance = int(imagehash.phash(original) - imagehash.phash(kept.resize(original.size, Image.Resampling.BOX)))
    return Derivative(key=key, sha256=sha256, distance=distance)
