"""A film between two pictures, for models that draw single pictures: each frame is drawn over a point between them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import StableDiffusionImg2ImgPipeline
from diffusers.utils.torch_utils import randn_tensor
from PIL.Image import Image

# How much of the way to noise the points between are taken back: enough to be drawn as pictures, not as a cross-fade.
STRENGTH = 0.5


class LatentInterpolationPipeline(StableDiffusionImg2ImgPipeline):  # type: ignore[misc]
    """Latents between those of two pictures, along the arc, half noised and denoised together with one noise.

    The nearer a frame is to an end, the more of it is the end itself, so the film begins and ends with the pictures as
    the decoder knows them. Slerp as for random latents: White, "Sampling Generative Networks" (2016).
    """

    def __call__(
        self,
        prompt: str,
        image: Image,
        last_image: Image,
        num_frames: int,
        num_inference_steps: int,
        guidance_scale: float,
        generator: torch.Generator,
        negative_prompt: str = "",
        output_type: str = "np",
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> SimpleNamespace:
        """Draw num_frames frames, one batch. Returns .frames, a list of one film."""
        at = torch.linspace(0, 1, num_frames)
        self._at = at
        last_step = max(int(num_inference_steps * STRENGTH), 1) - 1

        def after_step(pipeline: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if callback_on_step_end is not None:
                tensors = callback_on_step_end(pipeline, step, time, tensors) or tensors
            if step >= last_step:
                latents = tensors["latents"]
                near = ((2 * at - 1).abs() ** 3).to(latents).view(-1, 1, 1, 1)
                tensors["latents"] = latents.lerp(self._path.to(latents), near)
            return tensors

        drawn = super().__call__(
            prompt=[prompt] * num_frames,
            negative_prompt=[negative_prompt] * num_frames,
            image=[image, last_image],
            strength=max(STRENGTH, 1 / num_inference_steps),
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=[generator] * num_frames,
            output_type=output_type,
            callback_on_step_end=after_step,
            callback_on_step_end_tensor_inputs=list(callback_on_step_end_tensor_inputs),
        )
        return SimpleNamespace(frames=[drawn.images])

    def prepare_latents(
        self,
        image: torch.Tensor,
        timestep: torch.Tensor,
        batch_size: int,
        num_images_per_prompt: int,
        dtype: torch.dtype,
        device: torch.device,
        generator: list[torch.Generator],
    ) -> torch.Tensor:
        """Latents of each point between the two pictures, noised alike: another noise a frame would flicker."""
        ends = self.vae.encode(image.to(device=device, dtype=dtype)).latent_dist.mode() * self.vae.config.scaling_factor
        self._path = slerp(ends[0], ends[1], self._at.to(ends))
        noise = randn_tensor(ends[:1].shape, generator=generator[0], device=device, dtype=dtype)
        noised: torch.Tensor = self.scheduler.add_noise(self._path, noise.expand_as(self._path), timestep)
        return noised


def slerp(one: torch.Tensor, two: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Points along the arc from one to two, n x their shape; straight where they point the same way."""
    flat = torch.nn.functional.cosine_similarity(one.flatten(), two.flatten(), dim=0).clamp(-1, 1)
    angle, at = torch.acos(flat), at.view(-1, *[1] * one.ndim)
    if torch.sin(angle).abs() < 1e-3:
        return one + (two - one) * at
    return (torch.sin((1 - at) * angle) * one + torch.sin(at * angle) * two) / torch.sin(angle)
