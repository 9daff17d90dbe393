"""What can be wrong with a model, one class for each thing a caller tells apart."""

from pathlib import Path


class CardError(Exception):
    """A model card is written wrongly. The message names the file, the key, and what to do."""

    def __init__(self, card: Path, key: str, what: str) -> None:
        super().__init__(f"{card.name}: {key} {what}")
        self.card = card
        self.key = key


class EngineBroken(Exception):
    """This process can draw nothing, whatever it is given. Another one may."""


class WeightsError(Exception):
    """A model's folder is not what its card and its sums say. The model is not loaded."""

    def __init__(self, model: str, file: str, what: str) -> None:
        super().__init__(f"The model {model} is not loaded: {file} {what}")
        self.model = model
        self.file = file


class MissingWeights(WeightsError):
    """A file that must be there is not."""


class ChangedWeights(WeightsError):
    """A file has other bytes than those that were checked in: truncated, edited, or of another version."""


class UnsafeWeights(WeightsError):
    """A file that could run code: a pickle, a script, or something that nobody listed."""
