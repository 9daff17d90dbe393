"""How a pipeline is called: what items hold, in the names that diffusers' classes have for it."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition

from generation.engine.items import DrawItem
from generation.engine.modes import MODES

# How far AnimateDiff may leave a picture that it sets in motion: less hardly moves, more is another picture.
MOTION_STRENGTH = 0.8
# How much of guidance's contrast is taken back where noise begins with no signal at all, as Lin et al. (2023) advise:
# else colours are overdone.
GUIDANCE_RESCALE = 0.7


class WrongItems(ValueError):
    """Items that are no batch, or lack what their mode needs. A mistake of the caller."""


def check(items: Sequence[DrawItem]) -> None:
    """Refuse what could not be drawn together. Raises WrongItems."""
    if not items or len({item.batch for item in items}) != 1:
        raise WrongItems("A batch has one mode, one size, one number of steps, and the same scales and length.")
    mode = MODES.get(items[0].mode)
    if mode is None:
        raise WrongItems(f"There is no mode {items[0].mode!r}.")
    for item in items:
        if missing := set(mode.needs) - item.given():
            raise WrongItems(f"{mode.name} needs {', '.join(sorted(missing))}.")
        pictures = [item.picture, item.mask, item.control, item.last, *item.film]
        for size in {each.size for each in pictures if each is not None} - {(item.width, item.height)}:
            raise WrongItems(f"What goes in is {size[0]}x{size[1]}; it is drawn at {item.width}x{item.height}.")
        if mode.has_strength and item.strength is None:
            raise WrongItems(f"{mode.name} needs a strength.")


def arguments(pipeline: Any, items: Sequence[DrawItem]) -> dict[str, Any]:
    """The arguments of one call for items that `check` let pass; a film's are for one item.

    What every mode has and a class does not take (a negative prompt, a strength) is left out; what a mode needs and a
    class does not take raises TypeError in the call.
    """
    takes = inspect.signature(type(pipeline).__call__).parameters
    first = items[0]
    mode = MODES[first.mode]
    plain = {
        "negative_prompt": [item.negative_prompt for item in items],
        "width": first.width,
        "height": first.height,
        "guidance_scale": first.guidance_scale,
        "max_guidance_scale": max(first.guidance_scale, 1.0),
        "guidance_rescale": guidance_rescale(pipeline),
        "strength": _strength(first),
        "denoise_strength": _strength(first),
        "num_frames": first.frames,
        "frame_rate": first.fps,
        "fps": first.fps,
    }
    # Strength of its own is each condition's for LTX; the film's is `denoise_strength`.
    if not mode.has_strength or "denoise_strength" in takes:
        del plain["strength"]
    if not mode.has_strength:
        del plain["denoise_strength"]
    if not mode.is_film:
        plain = {name: value for name, value in plain.items() if name not in ("num_frames", "frame_rate", "fps")}
    found = {name: value for name, value in plain.items() if name in takes}
    if "prompt" in takes:
        # A list of our own for each call: Z-Image writes its chat template into it.
        found["prompt"] = [item.prompt for item in items]
    found |= {
        "generator": [torch.Generator("cpu").manual_seed(item.seed) for item in items],
        "num_inference_steps": first.steps,
        **_inputs(takes, items),
    }
    return {name: value[0] for name, value in found.items() if isinstance(value, list) and mode.is_film} | {
        name: value for name, value in found.items() if not (isinstance(value, list) and mode.is_film)
    }


def guidance_rescale(pipeline: Any) -> float:
    """GUIDANCE_RESCALE for a model that was trained down to zero terminal signal, nothing for others. Pipelines of
    pictures and ControlNets take none."""
    return GUIDANCE_RESCALE if pipeline.scheduler.config.get("rescale_betas_zero_snr") else 0.0


def _strength(item: DrawItem) -> float:
    """The item's strength, but at least one step of it: nought steps are an error."""
    return max(1.0 if item.strength is None else item.strength, 1 / item.steps)


def _window(item: DrawItem) -> torch.Tensor:
    """What a ControlNet for inpainting sees (as lllyasviel's of 2023): the picture, 3 x height x width of 0..1, and -1
    wherever it is drawn anew."""
    assert item.picture is not None
    assert item.mask is not None
    seen = torch.from_numpy(np.asarray(item.picture.convert("RGB"), dtype=np.float32) / 255).permute(2, 0, 1)
    return seen.masked_fill(torch.from_numpy(np.asarray(item.mask.convert("L")) > 127), -1.0)


def _inputs(takes: Any, items: Sequence[DrawItem]) -> dict[str, Any]:
    """What goes in beside words. In a list, one for each item, which for a film is taken out again."""
    item = items[0]
    match item.mode:
        case "inpainting" if "control_image" in takes:
            lead = torch.stack([_window(each) for each in items])
            return _inputs({}, items) | {"control_image": lead}
        case "inpainting":
            return {"image": [each.picture for each in items], "mask_image": [each.mask for each in items]}
        case "image_to_image" | "variation":
            return {"image": [each.picture for each in items]}
        case "scribble" | "segmentation":
            return {"image": [each.control for each in items]}
        case "image_to_film" if "conditions" in takes:
            return {"conditions": [[LTXVideoCondition(image=item.picture, frame_index=0)]]}
        case "image_to_film" if "image" not in takes:
            return {"video": [[item.picture] * item.frames], "strength": MOTION_STRENGTH}
        case "image_to_film":
            return {"image": [item.picture]}
        case "film_between" if "conditions" in takes:
            ends = ((item.picture, 0), (item.last, item.frames - 1))
            return {"conditions": [[LTXVideoCondition(image=each, frame_index=at) for each, at in ends]]}
        case "film_between":
            return {"image": [item.picture], "last_image": [item.last]}
        case "film_variation" if "conditions" in takes:
            return {"conditions": [[LTXVideoCondition(video=list(item.film), frame_index=0)]]}
        case "film_variation":
            return {"video": [list(item.film)]}
    return {}
