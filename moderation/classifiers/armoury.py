"""All classifiers of a screening process: loaded together or not at all."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.classifiers.likeness import Refused, nobody
from moderation.lexicon import judge_prompt
from moderation.policy import HOUSE_CLIP, LEXICON, NAMES, PolicySet
from moderation.signals import Classifier, FaceFinder, ItemFault, PictureClassifier, PromptClassifier, Signal, Unarmed

if TYPE_CHECKING:
    from PIL import Image

    from moderation.classifiers.faces import Templates

# A picture whose brightest and darkest value lie closer than this (of 255) shows nothing that could be judged.
LEAST_SPREAD = 2

# Known to be sound: classifiers that fail over these are broken.
SAMPLE_PROMPT = ("a red apple", "")


def sample_picture() -> "Image.Image":
    """A ramp from black to white, of 64 x 64 pixels."""
    from PIL import Image

    return Image.linear_gradient("L").resize((64, 64)).convert("RGB")


class Armoury:
    """The classifiers of this process. Made by `load` only, so that one which is missing is never overlooked."""

    def __init__(
        self,
        pictures: Sequence[PictureClassifier],
        policies: PolicySet,
        prompts: Sequence[PromptClassifier] = (),
        face_finder: FaceFinder | None = None,
    ) -> None:
        # None where the house has no model that describes faces.
        self.face_finder = face_finder
        self._pictures = tuple(pictures)
        self._prompts = tuple(prompts)
        self._policies = policies

    @classmethod
    def load(
        cls,
        kind: str,
        *,
        weights: Path,
        policies: PolicySet,
        clips: Sequence[Path] = (),
        protected: "Templates | None" = None,
        refused: Refused = nobody,
    ) -> "Armoury":
        """Load every classifier: `house` for the real ones, `fake` for those that read the fake engine's marks.

        `clips` are folders of other CLIPs, beside the house's own, with their heads; `protected` gives the faces that
        are registered when it is asked; without it nobody is. `refused` gives what was refused here, as a CLIP sees it.

        Raises Unarmed, naming each that could not be loaded and why; ValueError for an unknown kind.
        """
        pictures: list[PictureClassifier]
        prompts: list[PromptClassifier]
        finder: FaceFinder | None = None
        if kind == "fake":
            from moderation.classifiers.fake import FakeFaceFinder, FakePictureClassifier, FakePromptClassifier

            pictures, prompts = [FakePictureClassifier(policies)], [FakePromptClassifier(policies)]
            finder = FakeFaceFinder()
        elif kind == "house":
            import torch

            from moderation.classifiers.clip import Clip
            from moderation.classifiers.faces import Faces
            from moderation.classifiers.meaning import Meaning
            from moderation.classifiers.nsfw import OpenNsfw
            from moderation.classifiers.persons import Persons
            from moderation.classifiers.text_in_pictures import TextInPictures

            # Threads of a pool spin while they wait for each other: beside another busy process on the same cores a
            # prompt took 400 ms with two, and 15 with one.
            torch.set_num_threads(1)
            # One meaning for both: what is written in a picture is understood as a prompt is.
            meaning, faces = Meaning(policies), Faces(weights / "face-descriptor", protected)
            eyes = [Clip(folder, policies, refused) for folder in (weights / HOUSE_CLIP, *clips)]
            pictures = [*eyes, OpenNsfw(), faces, TextInPictures(policies, meaning)]
            prompts, finder = [meaning, Persons()], faces
        else:
            raise ValueError(f"There are no classifiers {kind!r}; there are house and fake.")
        missing = {}
        every: list[Classifier] = [*pictures, *prompts]
        for classifier in every:
            try:
                classifier.load()
            except Exception as error:
                missing[classifier.name] = f"{type(error).__name__}: {error}"
        if missing:
            raise Unarmed(missing)
        return cls(pictures, policies, prompts, finder)

    def __str__(self) -> str:
        every: list[Classifier] = [*self._pictures, *self._prompts]
        names = [f"{one.name} {one.version[:8]}" for one in every]
        return ", ".join([*names, LEXICON])

    def required(self, subject: str) -> frozenset[str]:
        """Which classifiers must have spoken about such a subject."""
        if subject == "prompt":
            return frozenset({LEXICON, *(one.name for one in self._prompts)})
        return frozenset(one.name for one in self._pictures)

    def screen_prompts(self, prompts: Sequence[tuple[str, str]]) -> list[list[Signal]]:
        """The signals of each (prompt, negative prompt)."""
        found = [judge_prompt(prompt, negative, self._policies) for prompt, negative in prompts]
        for classifier in self._prompts:
            answers = classifier.screen([prompt for prompt, _ in prompts])
            if len(answers) != len(prompts):
                raise RuntimeError(f"{classifier.name} gave {len(answers)} answers for {len(prompts)} prompts.")
            for signals, answer in zip(found, answers, strict=True):
                signals.extend(answer)
        return found

    def named(self, prompts: Sequence[str]) -> list[list[Signal]]:
        """Whether each prompt names somebody: what was drawn of it is judged by that too."""
        found: list[list[Signal]] = [[] for _ in prompts]
        for classifier in self._prompts:
            if classifier.name == NAMES:
                for signals, answer in zip(found, classifier.screen(prompts), strict=True):
                    signals.extend(answer)
        return found

    def screen_pictures(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        """The signals of each picture, all classifiers together. Raises ItemFault for one that none should judge."""
        for index, picture in enumerate(pictures):
            spreads = [high - low for low, high in picture.convert("RGB").getextrema()]  # type: ignore[misc]
            if max(spreads) < LEAST_SPREAD:
                raise ItemFault(index, "every pixel has the same colour")
        found: list[list[Signal]] = [[] for _ in pictures]
        for classifier in self._pictures:
            answers = classifier.screen(pictures)
            if len(answers) != len(pictures):
                raise RuntimeError(f"{classifier.name} gave {len(answers)} answers for {len(pictures)} pictures.")
            for index, (signals, answer) in enumerate(zip(found, answers, strict=True)):
                if any(not math.isfinite(signal.score) for signal in answer):
                    raise ItemFault(index, f"{classifier.name} gave a score that is no number")
                signals.extend(answer)
        return found
