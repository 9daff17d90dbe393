"""The word-level tokenizer that the house CLIP and the house painter share."""

from __future__ import annotations

from typing import Any

from training.scenes import vocabulary

LENGTH = 20


def tokenizer() -> Any:
    """Build the tokenizer. The end token has the highest id: CLIP text towers find the end by that."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["<pad>", "<unk>", "<start>", *vocabulary(), "<end>"]
    ids = {token: index for index, token in enumerate(tokens)}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\w\-]+"), "removed")
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
