"""A checkpoint of ViT-L-14's full shape with heads of the published shapes, through the path that screens."""

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from moderation import policy_files
from moderation.classifiers.clip import Clip
from tests.sieve.test_heads import add_head, layers, linear

ROOT = Path(__file__).resolve().parents[2]


def test_vit_l_14_with_univfd_and_laion(tmp_path: Path) -> None:
    folder = tmp_path / "ViT-L-14"
    folder.mkdir()
    config = open_clip.get_model_config("ViT-L-14")
    preprocess = {"mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD)}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    with torch.device("meta"):
        shapes = open_clip.create_model("ViT-L-14", pretrained=None, device="meta").state_dict()
    chance = torch.Generator().manual_seed(0)
    save_file(
        {key: (torch.randn(value.shape, generator=chance) * 0.02).half() for key, value in shapes.items()},
        folder / "open_clip_model.safetensors",
    )
    add_head(folder, "synthetic", linear(768), embedding="raw")
    add_head(folder, "nsfw", layers(768))
    clip = Clip(folder, policy_files.load(ROOT / "moderation" / "policies"))
    clip.load()
    noise = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), dtype=np.uint8)
    answers = clip.screen([Image.fromarray(one) for one in noise])
    assert [[(one.name, one.model) for one in each] for each in answers] == [
        [("nsfw", "ViT-L-14"), ("synthetic", "ViT-L-14")]
    ] * 2
    assert all(0 <= one.score <= 1 for each in answers for one in each)
