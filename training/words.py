"""The word-level tokenizer that the house CLIP and the house painter share."""

from __future__ import annotations

from typing import Any

from training.objects import THINGS
from training.scenes import vocabulary

LENGTH = 20

# Words that people use for what the models know by another name. Rules, not learning: they cost no vocabulary.
SAME = {
    "water pistol": "water gun", "squirt gun": "water gun", "revolver": "gun", "rifle": "gun",
    "droplet": "drop of water",
    "raindrop": "drop of water", "smiley": "smiling face", "automobile": "car", "kitten": "cat", "puppy": "dog",
    "bunny": "rabbit", "bike": "bicycle", "plane": "airplane", "aeroplane": "airplane", "boat": "sailboat",
    "gray": "grey", "lightbulb": "light bulb", "violet": "purple", "crimson": "red", "scarlet": "red",
    "present": "gift", "t shirt": "shirt", "spaceship": "rocket", "knives": "knife", "leaves": "leaf",
    "cherry": "cherries", "strawberries": "strawberry", "butterflies": "butterfly",
}  # fmt: skip


def _rules() -> list[tuple[str, str]]:
    plurals = {f"{name}s": name for thing in THINGS for name in (thing.word, *thing.also) if not name.endswith("s")}
    return [("-", " "), *((rf"\b{said}\b", known) for said, known in (plurals | SAME).items())]


def tokenizer() -> Any:
    """Build the tokenizer. The end token has the highest id: CLIP text towers find the end by that."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["<pad>", "<unk>", "<start>", *vocabulary(), "<end>"]
    ids = {token: index for index, token in enumerate(tokens)}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), *(normalizers.Replace(Regex(said), known) for said, known in _rules())]
    )
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r"\W+"), "removed")
    words.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", ids["<start>"]), ("<end>", ids["<end>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        model_max_length=LENGTH,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<start>",
        eos_token="<end>",
    )
