"""The word-level tokenizer that all house models share."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.world.captions import vocabulary

LENGTH = 24

# What people write for what the models know by another name. Rules, not learning: they cost no vocabulary.
SAME = {
    "water pistol": "water gun", "squirt gun": "water gun", "revolver": "gun", "rifle": "gun",
    "droplet": "drop of water", "raindrop": "drop of water", "smiley": "smiling face",
    "automobile": "car", "kitten": "cat", "puppy": "dog",
    "bunny": "rabbit", "bike": "bicycle", "motorbike": "motorcycle", "plane": "airplane", "aeroplane": "airplane",
    "boat": "sailboat", "gray": "grey", "lightbulb": "light bulb", "violet": "purple", "crimson": "red",
    "scarlet": "red", "navy": "blue", "azure": "blue", "golden": "yellow", "present": "gift", "t shirt": "shirt",
    "t shirts": "shirts", "cell phone": "mobile phone", "smartphone": "mobile phone", "tv": "television",
    "donut": "doughnut", "donuts": "doughnuts", "burger": "hamburger", "burgers": "hamburgers", "ufo": "flying saucer",
    "lorry": "truck", "couch": "sofa", "bunnies": "rabbits", "kittens": "cats", "puppies": "dogs", "bikes": "bicycles",
    "planes": "airplanes", "boats": "sailboats", "presents": "gifts", "humans": "people", "human": "person",
    "sits on": "sitting on", "stands on": "standing on", "floats above": "floating above", "carrying": "holding",
    "carries": "holds", "beneath": "under", "underneath": "under", "atop": "on top of", "alongside": "beside",
    "2": "two", "3": "three", "4": "four", "5": "five",
    "tomatoes": "tomatos", "potatoes": "potatos", "gigantic": "huge", "giant": "huge",
}  # fmt: skip


def words() -> list[str]:
    """Every word that has a number, in a fixed order."""
    return sorted({part for word in vocabulary() for part in word.split("-")})


def tokenizer() -> Any:
    """Build the tokenizer. The end token has the highest id: CLIP text towers find the end by that."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["<pad>", "<unk>", "<start>", *words(), "<end>"]
    ids = {token: index for index, token in enumerate(tokens)}
    known = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    longest_first = sorted(SAME.items(), key=lambda rule: -len(rule[0]))
    known.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace("-", " "),
            *(normalizers.Replace(Regex(rf"\b{said}\b"), meant) for said, meant in longest_first),
        ]
    )
    known.pre_tokenizer = pre_tokenizers.Split(Regex(r"\W+"), "removed")
    known.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", ids["<start>"]), ("<end>", ids["<end>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=known,
        model_max_length=LENGTH,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<start>",
        eos_token="<end>",
    )


def as_people_say(text: str, rng: np.random.Generator) -> str:
    """The same in other people's words: articles left out or definite, and now and then a word nobody taught us."""
    said: list[str] = []
    for word in text.split():
        if word in ("a", "an") and (lot := rng.random()) < 0.2:
            if lot < 0.1:
                said.append("the")
            continue
        if rng.random() < 0.02:
            said.append("whatsoever")
        said.append(word)
    return " ".join(said)
