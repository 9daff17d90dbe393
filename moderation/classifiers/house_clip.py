"""Zero-shot policies on the house CLIP: is the picture nearer to what a policy looks for, or to what looks like it?"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moderation.policy import Concept, PolicySet
from moderation.signals import Signal

if TYPE_CHECKING:
    from PIL import Image

SUMS = "SHA256SUMS"
ALLOWED = frozenset({".safetensors", ".json", ".md", ".txt"})


class WeightsRefused(Exception):
    """The folder of weights is not what its sums say, or holds something that could run code."""


def checked_sums(folder: Path) -> str:
    """Check every file of a folder against its SHA256SUMS and return the sum of that list.

    Raises WeightsRefused for a file that is missing, changed, unlisted or no data.
    """
    try:
        listing = (folder / SUMS).read_bytes()
    except OSError as error:
        raise WeightsRefused(f"{folder.name}/{SUMS} is missing") from error
    listed = {name: sha256 for sha256, _, name in (line.partition("  ") for line in listing.decode().splitlines())}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SUMS}
    for name in sorted(present | set(listed)):
        if name not in present:
            raise WeightsRefused(f"{folder.name}/{name} is missing")
        if name not in listed or Path(name).suffix not in ALLOWED or (folder / name).is_symlink():
            raise WeightsRefused(f"{folder.name}/{name} is not listed, or is no data")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != listed[name]:
            raise WeightsRefused(f"{folder.name}/{name} is truncated or was changed")
    return hashlib.sha256(listing).hexdigest()


def weights_version(folder: Path) -> str:
    """The sha256 of the weights themselves, whatever is written beside them."""
    return hashlib.sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()


class HouseClip:
    """A small CLIP in open_clip's format, trained on drawings. One pass for each picture, shared by all policies.

    A score is sigmoid((margin - bias) / temperature) with the policy's own bias and temperature.
    """

    name = "house-clip"

    def __init__(self, folder: Path, policies: PolicySet) -> None:
        self.version = ""
        self._folder = folder
        self._concepts: list[tuple[str, Concept]] = [
            (policy.code, policy.concept) for policy in policies if policy.concept is not None
        ]
        self._model: Any = None
        self._transform: Any = None
        self._heads: list[tuple[str, Concept, Any, Any]] = []

    def load(self) -> None:
        """Load offline, checked; and read every policy's exemplars and look-alikes once."""
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        checked_sums(self._folder)
        import open_clip
        import torch

        source = f"local-dir:{self._folder}"
        self._model, _, self._transform = open_clip.create_model_and_transforms(source)
        self._model.eval()
        read = open_clip.get_tokenizer(source)
        with torch.inference_mode():
            for code, concept in self._concepts:
                towards = self._model.encode_text(read(list(concept.exemplars)), normalize=True).float()
                away = self._model.encode_text(read(list(concept.lookalikes)), normalize=True).float()
                self._heads.append((code, concept, towards, away))
        self.version = weights_version(self._folder)

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        import torch

        with torch.inference_mode():
            batch = torch.stack([self._transform(picture.convert("RGB")) for picture in pictures])
            seen = self._model.encode_image(batch, normalize=True).float()
            scores = {
                code: torch.sigmoid(
                    ((seen @ towards.T).amax(1) - (seen @ away.T).amax(1) - concept.bias) / concept.temperature
                )
                for code, concept, towards, away in self._heads
            }
        return [
            [Signal(code, float(score[index]), self.name, self.version) for code, score in scores.items()]
            for index in range(len(pictures))
        ]
