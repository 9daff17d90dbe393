"""Whether a picture is like one that was refused here, as a CLIP sees it: also cropped, turned or lit otherwise, where
a perceptual hash is lost.

Costs one product with a matrix of all that was refused: n x d numbers, 50 MB for a hundred thousand of the house CLIP.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from moderation.policy import LIKE_REFUSED
from moderation.signals import Signal


@dataclass(frozen=True)
class Refusal:
    """A case that was refused: under which policy, how severe that is (0 to 3), and its embedding as `packed` it."""

    case_id: int
    policy_code: str
    severity: int
    vector: bytes


class Refusals:
    """All that was refused here, as one version of one CLIP sees it."""

    def __init__(self, known: Sequence[Refusal]) -> None:
        import numpy as np

        self._known = tuple(known)
        self._vectors = np.stack([unpacked(one.vector) for one in known]) if known else None

    def __len__(self) -> int:
        return len(self._known)

    def signal(self, vector: Any, model: str, version: str) -> Signal:
        """The highest cosine between a unit vector and those of what was refused, 0 where nothing was; which case it
        was; and the vector, to be kept."""
        said = Signal(LIKE_REFUSED, 0.0, model, version, trace=packed(vector))
        if self._vectors is None:
            return said
        cosines = self._vectors @ vector
        nearest = int(cosines.argmax())
        one, cosine = self._known[nearest], float(cosines[nearest])
        # What is no number stays none, and is found out by whoever reads the score.
        return dataclasses.replace(
            said,
            score=0.0 if cosine < 0 else cosine,
            note=f"like case {one.case_id}, refused under {one.policy_code}",
            severity=one.severity,
        )


# What was refused, as this CLIP of this version sees it.
Refused = Callable[[str, str], Refusals]


def nobody(model: str, version: str) -> Refusals:
    """Where nobody refused anything, or nobody asks."""
    return Refusals(())


def packed(vector: Any) -> bytes:
    """An embedding as it is kept: float16, little-endian. A cosine is off by less than 0.0005."""
    import numpy as np

    return bytes(np.asarray(vector, dtype="<f2").tobytes())


def unpacked(kept: bytes) -> Any:
    """What was kept, as a unit vector of float32."""
    import numpy as np

    vector = np.frombuffer(kept, dtype="<f2").astype(np.float32)
    return vector / np.linalg.norm(vector)
