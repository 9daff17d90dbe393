"""From trained states to `training/weights/`: folders that diffusers and open_clip load, in half precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from training.models import clip, controls, motion, painter, turbo
from training.models.words import tokenizer
from training.weights_folder import replace_folder, write_sums
from training.world.scenes import World


def export_clip(state: Path | None = None) -> None:
    clip.export(clip.resumed(state))


def export_painter(world: World, state: Path | None = None) -> None:
    """Write the StableDiffusionPipeline folder, with a folder for each part that its other modes take; whole or not
    at all. Parts that have not been trained are left out, and said."""
    from diffusers import StableDiffusionPipeline

    unet = painter.build_unet()
    unet.load_state_dict(painter.resumed(state).weights())
    pipeline = StableDiffusionPipeline(
        vae=painter.scaled_vae(world, state).half(),
        text_encoder=painter.frozen_words(state).half(),
        tokenizer=tokenizer(),
        unet=unet.half(),
        scheduler=painter.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder_of = state or painter.STATE
    with replace_folder("house-painter") as folder:
        pipeline.save_pretrained(folder, safe_serialization=True)
        for name in controls.LEADS:
            if _is_trained(folder_of, name):
                controls.trained(name, state).half().save_pretrained(folder / name, safe_serialization=True)
        if _is_trained(folder_of, "motion"):
            motion.trained(state).half().save_pretrained(folder / "motion", safe_serialization=True)
        if _is_trained(folder_of, "turbo"):
            lora, critic = turbo.trained(state)
            _save_lora(folder / "turbo", lora)
            turbo.build_scheduler_of_few().save_pretrained(folder / "turbo-scheduler")
            (folder / "critic").mkdir()
            halves = {key: value.half().contiguous().cpu() for key, value in critic.state_dict().items()}
            save_file(halves, folder / "critic" / "critic.safetensors", metadata={"format": "pt"})
        write_sums(folder)


def _is_trained(state: Path, name: str) -> bool:
    if (state / f"{name}.pt").is_file():
        return True
    print(f"export: {name} was not trained; the painter goes without it", flush=True)
    return False


def _save_lora(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    from diffusers import StableDiffusionPipeline

    halves: dict[str, Any] = {key: value.half().contiguous().cpu() for key, value in tensors.items()}
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=halves, safe_serialization=True)
