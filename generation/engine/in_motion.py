"""A picture set in motion as the words say, for models whose motion modules do not heed them: the moved picture leads,
and the model draws the film over it.

As Text2Video-Zero moves latents (Khachatryan et al., 2023) and SDEdit leads by a rough picture (Meng et al., 2022).
"""

import copy
import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    AnimateDiffVideoToVideoPipeline,
    AutoencoderKL,
    MotionAdapter,
    SchedulerMixin,
    UNet2DConditionModel,
    UNetMotionModel,
)
from PIL.Image import Image
from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from generation.engine.two_things import TwoThingsPipeline

# How much of the way to noise the moved picture is taken back: enough to hide where its edge was drawn out, too little
# to lose what it shows.
STRENGTH = 0.35
# How far a thing goes, as a share of the side; how high it jumps.
FAR, HIGH = 0.4, 0.3
# A film that is told nothing of moving comes slowly nearer.
UNTOLD = "nearer"

_GOES = (
    r"(?:mov|go|com|driv|walk|runn?|fly|flie|slid|drift|roll|swimm?|float|rid|sail|turn|head|danc|hopp?|jump)"
    r"(?:e?s|ing|e)?(?: (?:to|towards?|from \w+ to)(?: the)?)?"
)
_VA = (
    r"(?:si muove|si muovono|si sposta|va|vanno|vola|corre|cammina|scivola|nuota|rotola|naviga|gira|diretto|diretta)"
    r" (?:verso (?:la |il |l')?|a |in )?"
)
# What is asked for by which words, English and Italian. Where a thing is ("to the left of a dog") is no motion.
MOTIONS: dict[str, re.Pattern[str]] = {
    name: re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    for name, words in {
        "left": (rf"{_GOES} left(?:wards?)?(?! of)", "leftwards?", rf"{_VA}sinistra(?! d)"),
        "right": (rf"{_GOES} right(?:wards?)?(?! of)", "rightwards?", rf"{_VA}destra(?! d)"),
        "up": (
            rf"{_GOES} up(?:wards?)?",
            *("ris(?:es|ing)", "ascend(?:s|ing)", "tak(?:es|ing) off"),
            *(rf"{_VA}alto", "che (?:sale|salgono)", "si alza(?:no)?", "decolla(?:no)?"),
        ),
        "down": (
            rf"{_GOES} down(?:wards?)?",
            *("fall(?:s|ing)", "drop(?:s|ping)", "sink(?:s|ing)", "descend(?:s|ing)"),
            *(rf"{_VA}basso", "cade", "cadono", "scende", "scendono"),
        ),
        "bounce": (
            "bounc(?:es|ing)",
            "jump(?:s|ing)",
            "hop(?:s|ping)",
            "rimbalza(?:no)?",
            "salta(?:no)?",
            "saltella(?:no)?",
        ),
        "turn": ("turn(?:s|ing)", "spin(?:s|ning)", "rotat(?:es|ing)", "twirl(?:s|ing)", "gira(?:no)?", "ruota(?:no)?"),
        "grow": (
            *("grow(?:s|ing)", "(?:gett?|becom)(?:s|es|ing) (?:bigger|larger|closer)", "zoom(?:s|ing)? in"),
            *("approach(?:es|ing)", "com(?:es|ing) (?:closer|nearer)"),
            *("cresce", "crescono", "si ingrandisc(?:e|ono)", "si avvicina(?:no)?", r"divent\w+ più grand[ei]"),
        ),
        "shrink": (
            *("shrink(?:s|ing)", "(?:gett?|becom)(?:s|es|ing) smaller", "zoom(?:s|ing)? out", "go(?:es|ing) away"),
            *(r"rimpicciolisc\w+", "si allontana(?:no)?", r"divent\w+ più piccol[aeio]"),
        ),
    }.items()
}


def motion_of(prompt: str) -> tuple[str, str]:
    """Which motion a prompt asks for, and the prompt without those words: to a painter of pictures "driving to the
    left" is a second thing on the left.

    The motion is the one said first; of those said in one place the one with more words.
    """
    found = [(match.start(), -len(match[0]), name) for name, each in MOTIONS.items() if (match := each.search(prompt))]
    if not found:
        return UNTOLD, prompt
    start, length, name = min(found)
    rest = " ".join((prompt[:start] + prompt[start - length :]).split())
    return name, rest or prompt


def path(motion: str, frames: int) -> torch.Tensor:
    """frames x (right, down, scale, degrees): where the picture is in each frame, beside where it stands by itself.

    Distances are shares of the side.
    """
    time = torch.linspace(0, 1, frames)
    way = torch.tensor([0.0, 0.0, 0.8, 0.0]).repeat(frames, 1)  # there is room to move
    match motion:
        case "left" | "right":
            way[:, 0] = FAR * (time - 0.5) * (1 if motion == "right" else -1)
        case "up" | "down":
            way[:, 1] = FAR * (time - 0.5) * (1 if motion == "down" else -1)
        case "bounce":
            way[:, 1] = HIGH * (0.5 - torch.sin(2 * math.pi * time).abs())
        case "turn":
            way[:, 3] = 300 * time
        case "grow":
            way[:, 2] = 0.55 + 0.6 * time
        case "shrink":
            way[:, 2] = 1.15 - 0.6 * time
        case _:
            way[:, 2] = 0.9 + 0.15 * time
    return way


def from_the_start(way: torch.Tensor) -> torch.Tensor:
    """The same way, but the first frame is the picture as it is."""
    first = way[:1]
    return torch.cat([way[:, :2] - first[:, :2], way[:, 2:3] / first[:, 2:3], way[:, 3:] - first[:, 3:]], 1)


def moved(picture: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
    """frames x 3 x height x width: the picture (3 x height x width) on its way, its edges drawn out."""
    right, down, scale, degrees = way.to(picture).unbind(1)
    angle = degrees * math.pi / 180
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    # From a place in the frame back to one in the picture, both -1..1 along either side.
    wide = picture.shape[2] / picture.shape[1]
    back = torch.stack([torch.stack([cos, sin / wide], 1), torch.stack([-sin * wide, cos], 1)], 1)
    from_where = -back @ (2 * torch.stack([right, down], 1))[:, :, None]
    grid = torch.nn.functional.affine_grid(
        torch.cat([back, from_where], 2), [len(way), *picture.shape], align_corners=False
    )
    return torch.nn.functional.grid_sample(
        picture.expand(len(way), *picture.shape), grid, padding_mode="border", align_corners=False
    )


class PictureInMotionPipeline(AnimateDiffVideoToVideoPipeline):  # type: ignore[misc]
    """Draws a picture, or takes one, and draws a film over it as it moves.

    The picture is the plain painter's; of two things each is drawn alone.
    """

    _optional_components = [*AnimateDiffVideoToVideoPipeline._optional_components, "painter"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel | UNetMotionModel,
        motion_adapter: MotionAdapter,
        scheduler: SchedulerMixin,
        feature_extractor: CLIPImageProcessor | None = None,
        image_encoder: CLIPVisionModelWithProjection | None = None,
        painter: UNet2DConditionModel | None = None,
    ) -> None:
        parts = vae, text_encoder, tokenizer, unet, motion_adapter, scheduler
        super().__init__(*parts, feature_extractor, image_encoder)
        self.register_modules(painter=painter or unet)

    def __call__(
        self,
        prompt: str,
        num_frames: int,
        num_inference_steps: int,
        guidance_scale: float,
        generator: torch.Generator,
        width: int,
        height: int,
        image: Image | None = None,
        negative_prompt: str = "",
        guidance_rescale: float = 0.0,
        output_type: str = "np",
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> Any:
        """Draw num_frames frames; guidance_rescale is the picture's. Returns .frames, a list of one film."""
        motion, prompt = motion_of(prompt)
        strength = max(STRENGTH, 1 / num_inference_steps)
        of = SimpleNamespace(num_timesteps=1 + int(num_inference_steps * strength))
        common: dict[str, Any] = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "num_inference_steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "generator": generator,
            "callback_on_step_end_tensor_inputs": list(callback_on_step_end_tensor_inputs),
        }

        def told(first: int, every: int) -> Callable[..., dict[str, Any]]:
            def after_step(_: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
                if callback_on_step_end is None:
                    return tensors
                return callback_on_step_end(of, first + step * every, time, tensors) or tensors

            return after_step

        way = path(motion, num_frames)
        if image is None:
            alone = {name: [common[name]] for name in ("prompt", "negative_prompt", "generator")}
            # One picture is as much work as a step of the film, and is told as that.
            picture = self._still()(
                **common | alone,
                guidance_rescale=guidance_rescale,
                width=width,
                height=height,
                callback_on_step_end=told(0, 0),
            ).images[0]
        else:
            picture = self.video_processor.pil_to_numpy(image)[0]
            way = from_the_start(way)
        shown = torch.from_numpy(picture).permute(2, 0, 1).to(self.vae.device, torch.float32)
        # Of what is no number nothing is to be made white: the engine looks for it in the film.
        shown = torch.where(shown.isfinite(), shown.clamp(0, 1), torch.nan)
        return super().__call__(
            **common,
            video=[moved(shown, way)],
            width=width,
            height=height,
            strength=strength,
            output_type=output_type,
            callback_on_step_end=told(1, 1),
        )

    def _still(self) -> TwoThingsPipeline:
        made = TwoThingsPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.painter,
            scheduler=copy.deepcopy(self.scheduler),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        made.set_progress_bar_config(disable=True)
        made.image_processor.denormalize = self.video_processor.denormalize  # as the engine wants it: nothing cut off
        return made
