"""Zero-shot policies on a CLIP: is the picture nearer to what a policy looks for, or to what looks like it?"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moderation.classifiers.heads import Head, read_all
from moderation.classifiers.likeness import Refused, nobody
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


class Clip:
    """Any CLIP in open_clip's format. One pass for each picture, shared by all policies and heads.

    Its name is its folder's. A score of a policy is sigmoid((margin - bias) / temperature) with the policy's own bias
    and temperature, which belong to one CLIP. The scores of the heads beside it are of each head's own version.
    `refused` gives what was refused here, for every batch anew.
    """

    def __init__(self, folder: Path, policies: PolicySet, refused: Refused = nobody) -> None:
        self.version, self.name = "", folder.name
        self._refused = refused
        self._folder = folder
        self._concepts: list[tuple[str, Concept]] = [
            (policy.code, policy.concept)
            for policy in policies
            if policy.concept is not None and policy.concept.model == self.name
        ]
        self._more: list[Head] = []
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
        version = weights_version(self._folder)
        self._more = read_all(self._folder, clip=version)
        if not self._heads and not self._more:
            raise WeightsRefused(f"no policy and no head uses {self.name}: it would see everything and say nothing")
        self.version = version

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        import torch

        with torch.inference_mode():
            batch = torch.stack([self._transform(picture.convert("RGB")) for picture in pictures])
            raw = self._model.encode_image(batch).float()
            seen = torch.nn.functional.normalize(raw, dim=-1)
            scores = {
                code: torch.sigmoid(
                    ((seen @ towards.T).amax(1) - (seen @ away.T).amax(1) - concept.bias) / concept.temperature
                )
                for code, concept, towards, away in self._heads
            }
            told = [(head, head.scores(raw)) for head in self._more]
        refused, vectors = self._refused(self.name, self.version), seen.numpy()
        return [
            [
                *(Signal(code, float(score[index]), self.name, self.version) for code, score in scores.items()),
                *(Signal(head.signal, score[index], self.name, head.version) for head, score in told),
                refused.signal(vectors[index], self.name, self.version),
            ]
            for index in range(len(pictures))
        ]
