"""A tiny model of every family that the catalogue knows, with random weights made in code, as diffusers saves them.

The real ones differ in size only: the same classes, the same files, the same loader.
"""

import copy
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import sentencepiece
import torch
import transformers
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

LETTERS = [chr(code) for code in range(33, 127)]
WIDTH = 8


@dataclass(frozen=True)
class Family:
    """How its folder is made, and which modes a card of it can have: mode, pipeline, and parts in the folder."""

    build: Callable[[Path], None]
    modes: tuple[tuple[str, str, dict[str, str]], ...]
    frames: tuple[int, ...] = (5,)


# --- words ------------------------------------------------------------------------------------------------------------


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's, for single letters."""
    tokens = [*LETTERS, *[letter + "</w>" for letter in LETTERS], "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
        (Path(folder) / "merges.txt").write_text("#version: 0.2\n")
        return CLIPTokenizer(f"{folder}/vocab.json", f"{folder}/merges.txt", model_max_length=77)


def clip_text(*, projection: bool = False) -> Any:
    size = 2 * len(LETTERS) + 2
    config = CLIPTextConfig(
        vocab_size=size,
        hidden_size=WIDTH,
        intermediate_size=16,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def t5_tokenizer() -> Any:
    """T5's, as a fast tokenizer."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    known = Tokenizer(models.Unigram(pieces, unk_id=2))
    known.pre_tokenizer = pre_tokenizers.Metaspace()
    return transformers.T5TokenizerFast(tokenizer_object=known, model_max_length=77, extra_ids=0)


def t5_text(kind: type = transformers.T5EncoderModel, width: int = WIDTH) -> Any:
    config = transformers.UMT5Config if kind is transformers.UMT5EncoderModel else transformers.T5Config
    return kind(config(vocab_size=200, d_model=width, d_kv=4, d_ff=16, num_layers=1, num_heads=2))


def sentencepiece_only(folder: Path) -> None:
    """Leave of a tokenizer what LTX's repository has: sentencepiece's own file, and no fast tokenizer."""
    for path in folder.iterdir():
        path.unlink()
    words = folder.parent / "words.txt"
    words.write_text("".join(f"{''.join(LETTERS[at:] + LETTERS[:at])} a red apple on blue\n" for at in range(94)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(words), model_prefix=str(folder / "spiece"), vocab_size=130, model_type="unigram", pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    words.unlink()
    (folder / "spiece.vocab").unlink()
    told = {"tokenizer_class": "T5Tokenizer", "model_max_length": 128, "extra_ids": 0, "pad_token": "<pad>",
            "eos_token": "</s>", "unk_token": "<unk>"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


def qwen_tokenizer() -> Any:
    """Qwen's, with a chat template."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    known = Tokenizer(models.BPE({each: index for index, each in enumerate([*letters, *specials])}, []))
    known.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = transformers.Qwen2TokenizerFast(tokenizer_object=known, model_max_length=512)
    made.add_special_tokens({"additional_special_tokens": specials, "pad_token": "<|endoftext|>"})
    made.chat_template = "{% for each in messages %}<|im_start|>{{ each.content }}<|im_end|>{% endfor %}"
    return made


def qwen_text(kind: type, layers: int) -> Any:
    return kind(
        transformers.Qwen3Config(
            vocab_size=260,
            hidden_size=WIDTH,
            intermediate_size=16,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=4,
        )
    )


# --- pictures ---------------------------------------------------------------------------------------------------------


def vae(latents: int = 4, **changed: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latents,
        norm_num_groups=2,
        layers_per_block=1,
        **changed,
    )


def unet(**changed: Any) -> UNet2DConditionModel:
    values: dict[str, Any] = {
        "sample_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (4, 8),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": WIDTH,
        "norm_num_groups": 2,
        "attention_head_dim": 4,
    }
    return UNet2DConditionModel(**values | changed)


def save_sd(folder: Path) -> None:
    """Stable Diffusion, with a U-Net for inpainting, three ControlNets, a motion adapter, a LoRA and a tiny decoder
    in folders beside."""
    base, words = unet(), clip_text()
    diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=words,
        tokenizer=clip_tokenizer(),
        unet=base,
        scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    unet(in_channels=9).save_pretrained(folder / "unet-inpainting")
    for name in ("controlnet-scribble", "controlnet-segmentation", "controlnet-inpainting"):
        _control(base).save_pretrained(folder / name)
    save_lora(folder / "lora", unet=base)
    save_lora(folder / "lora-words", unet=base, text_encoder=words)
    tensors = load_file(folder / "lora-words" / "pytorch_lora_weights.safetensors")
    for name in ("lora-unet-of-words", "lora-foreign"):
        (folder / name).mkdir()
    foreign = {name.replace("unet.", "transformer."): one for name, one in tensors.items() if name.startswith("unet.")}
    save_file(foreign, folder / "lora-foreign" / "pytorch_lora_weights.safetensors", metadata={"format": "pt"})
    of_unet = {name: tensor for name, tensor in tensors.items() if name.startswith("unet.")}
    save_file(of_unet, folder / "lora-unet-of-words" / "pytorch_lora_weights.safetensors", metadata={"format": "pt"})
    diffusers.MotionAdapter(
        block_out_channels=(4, 8),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=2,
        use_motion_mid_block=False,
    ).save_pretrained(folder / "motion-adapter")
    diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(folder / "tiny-decoder")  # fmt: skip


def save_lora(folder: Path, **parts: Any) -> None:
    """A LoRA of these parts that does something: a fresh one's second half is nought."""
    layers = {"unet": ["to_q", "to_v", "conv1"], "text_encoder": ["q_proj", "fc1"]}
    kept = {}
    for part, module in parts.items():
        changed = copy.deepcopy(module)
        changed.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=layers[part]))
        kept[f"{part}_lora_layers"] = tensors = get_peft_model_state_dict(changed)
        for name, tensor in tensors.items():
            if "lora_B" in name:
                torch.nn.init.normal_(tensor, std=0.5)
    diffusers.StableDiffusionPipeline.save_lora_weights(folder, **kept)


def save_lcm(folder: Path) -> None:
    diffusers.LatentConsistencyModelPipeline(
        vae=vae(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=unet(time_cond_proj_dim=8),
        scheduler=diffusers.LCMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    diffusers.DDIMScheduler(clip_sample=False, steps_offset=1).save_pretrained(folder / "ddim")


def _control(base: UNet2DConditionModel) -> Any:
    """A ControlNet that does something: a fresh one's last convolutions are nought."""
    control = diffusers.ControlNetModel.from_unet(base, conditioning_embedding_out_channels=(4, 4))
    for part in (control.controlnet_down_blocks, control.controlnet_cond_embedding.conv_out):
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=1.0)
    return control


def save_sdxl(folder: Path) -> None:
    base = unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDTH + 6 * 8,
    )
    diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(projection=True),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=base,
        scheduler=diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    ).save_pretrained(folder)
    _control(base).save_pretrained(folder / "controlnet")


def save_sd3(folder: Path) -> None:
    diffusers.StableDiffusion3Pipeline(
        vae=vae(16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=clip_text(projection=True),
        text_encoder_2=clip_text(projection=True),
        text_encoder_3=t5_text(width=2 * WIDTH),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=t5_tokenizer(),
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=32,
            patch_size=1,
            num_layers=1,
            attention_head_dim=4,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def save_flux(folder: Path) -> None:
    diffusers.FluxPipeline(
        vae=vae(1, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=clip_text(),
        text_encoder_2=t5_text(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=t5_tokenizer(),
        transformer=diffusers.FluxTransformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def save_flux2(folder: Path) -> None:
    diffusers.Flux2KleinPipeline(
        vae=diffusers.AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(4, 8),
            layers_per_block=1,
            latent_channels=1,
            norm_num_groups=1,
        ),
        # It reads the 9th, 18th and 27th layer.
        text_encoder=qwen_text(transformers.Qwen3ForCausalLM, 28),
        tokenizer=qwen_tokenizer(),
        transformer=diffusers.Flux2Transformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=3 * WIDTH,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        is_distilled=True,
    ).save_pretrained(folder)


def save_z_image(folder: Path) -> None:
    diffusers.ZImagePipeline(
        vae=vae(4, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=qwen_text(transformers.Qwen3Model, 2),
        tokenizer=qwen_tokenizer(),
        transformer=diffusers.ZImageTransformer2DModel(
            in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=WIDTH,
            axes_dims=[4, 4, 8], axes_lens=[600, 64, 64],
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip


# --- films ------------------------------------------------------------------------------------------------------------


def save_svd(folder: Path) -> None:
    vision = transformers.CLIPVisionConfig(
        hidden_size=WIDTH, projection_dim=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=224, patch_size=32,
    )  # fmt: skip
    diffusers.StableVideoDiffusionPipeline(
        vae=diffusers.AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4
        ),
        image_encoder=transformers.CLIPVisionModelWithProjection(vision),
        unet=diffusers.UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=WIDTH,
            num_attention_heads=2,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True),
        feature_extractor=transformers.CLIPImageProcessor(crop_size=224, size=224),
    ).save_pretrained(folder)


def save_ltx(folder: Path) -> None:
    diffusers.LTXPipeline(
        vae=diffusers.AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        ),
        text_encoder=t5_text(),
        tokenizer=t5_tokenizer(),
        transformer=diffusers.LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
            num_layers=1, caption_channels=WIDTH,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)  # fmt: skip
    sentencepiece_only(folder / "tokenizer")


def save_wan(folder: Path) -> None:
    """As Wan 2.2 5B: one transformer for words and pictures, and a time of its own for each frame."""
    diffusers.WanPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5_text(transformers.UMT5EncoderModel),
        transformer=_wan_transformer(16),
        vae=_wan_vae(),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
        ),
        expand_timesteps=True,
    ).save_pretrained(folder)


def save_wan_between(folder: Path) -> None:
    """As Wan 2.1 for a first and a last frame: mask and pictures beside the latents, and a picture encoder."""
    vision = transformers.CLIPVisionConfig(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=32,
        patch_size=16,
    )  # fmt: skip
    diffusers.WanImageToVideoPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5_text(transformers.UMT5EncoderModel),
        transformer=_wan_transformer(36, image_dim=WIDTH, pos_embed_seq_len=2 * 5),
        vae=_wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        image_encoder=transformers.CLIPVisionModel(vision),
        image_processor=transformers.CLIPImageProcessor(crop_size=32, size=32),
    ).save_pretrained(folder)


def _wan_transformer(channels: int, **changed: Any) -> Any:
    return diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=16, text_dim=WIDTH,
        freq_dim=32, ffn_dim=32, num_layers=1, rope_max_seq_len=32, **changed,
    )  # fmt: skip


def _wan_vae() -> Any:
    return diffusers.AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )


SD = "StableDiffusion{}Pipeline"
FAMILIES: dict[str, Family] = {
    "sd": Family(
        save_sd,
        (
            ("text_to_image", SD.format(""), {}),
            ("image_to_image", SD.format("Img2Img"), {}),
            ("variation", SD.format("Img2Img"), {}),
            ("inpainting", SD.format("Inpaint"), {"unet": "unet-inpainting"}),
            ("scribble", SD.format("ControlNet"), {"controlnet": "controlnet-scribble"}),
            ("segmentation", SD.format("ControlNet"), {"controlnet": "controlnet-segmentation"}),
            ("text_to_film", "AnimateDiffPipeline", {"motion_adapter": "motion-adapter"}),
            ("image_to_film", "AnimateDiffVideoToVideoPipeline", {"motion_adapter": "motion-adapter"}),
            ("film_variation", "AnimateDiffVideoToVideoPipeline", {"motion_adapter": "motion-adapter"}),
            ("film_between", "LatentInterpolationPipeline", {}),
        ),
    ),
    # As the house's: a ControlNet for inpainting, a LoRA for few steps. And one that changes the words too.
    "sd-led": Family(
        save_sd,
        (
            ("text_to_image", SD.format(""), {"lora": "lora"}),
            ("image_to_image", SD.format("Img2Img"), {}),
            ("inpainting", SD.format("ControlNetInpaint"), {"controlnet": "controlnet-inpainting"}),
            ("text_to_film", "AnimateDiffPipeline", {"motion_adapter": "motion-adapter", "lora": "lora-words"}),
        ),
    ),
    # As the house's: pictures of two things that are laid together, films of a picture that the engine moves.
    "sd-moved": Family(
        save_sd,
        (
            ("text_to_image", "TwoThingsPipeline", {}),
            ("text_to_film", "PictureInMotionPipeline", {"motion_adapter": "motion-adapter"}),
            ("image_to_film", "PictureInMotionPipeline", {"motion_adapter": "motion-adapter"}),
        ),
    ),
    # Distilled to few steps: the guidance scale goes into the U-Net. Inpainting without weights of its own.
    "lcm": Family(
        save_lcm,
        (
            ("text_to_image", "LatentConsistencyModelPipeline", {}),
            ("variation", "LatentConsistencyModelImg2ImgPipeline", {}),
            ("inpainting", SD.format("Inpaint"), {"scheduler": "ddim"}),
        ),
    ),
    "sdxl": Family(
        save_sdxl,
        (
            ("text_to_image", SD.format("XL"), {}),
            ("image_to_image", SD.format("XLImg2Img"), {}),
            ("inpainting", SD.format("XLInpaint"), {}),
            ("scribble", SD.format("XLControlNet"), {"controlnet": "controlnet"}),
            ("segmentation", SD.format("XLControlNet"), {"controlnet": "controlnet"}),
        ),
    ),
    "sd3": Family(
        save_sd3,
        (
            ("text_to_image", SD.format("3"), {}),
            ("image_to_image", SD.format("3Img2Img"), {}),
            ("inpainting", SD.format("3Inpaint"), {}),
        ),
    ),
    "flux": Family(
        save_flux,
        (
            ("text_to_image", "FluxPipeline", {}),
            ("image_to_image", "FluxImg2ImgPipeline", {}),
            ("inpainting", "FluxInpaintPipeline", {}),
        ),
    ),
    "flux2-klein": Family(
        save_flux2, (("text_to_image", "Flux2KleinPipeline", {}), ("image_to_image", "Flux2KleinPipeline", {}))
    ),
    "z-image": Family(
        save_z_image,
        (
            ("text_to_image", "ZImagePipeline", {}),
            ("image_to_image", "ZImageImg2ImgPipeline", {}),
            ("inpainting", "ZImageInpaintPipeline", {}),
        ),
    ),
    "svd": Family(save_svd, (("image_to_film", "StableVideoDiffusionPipeline", {}),)),
    "ltx": Family(
        save_ltx,
        (
            ("text_to_film", "LTXPipeline", {}),
            ("image_to_film", "LTXImageToVideoPipeline", {}),
            ("film_between", "LTXConditionPipeline", {}),
            ("film_variation", "LTXConditionPipeline", {}),
        ),
        frames=(9,),
    ),
    # As from 0.9.5: one pipeline for whatever goes in.
    "ltx-condition": Family(save_ltx, (("image_to_film", "LTXConditionPipeline", {}),), frames=(9,)),
    "wan": Family(
        save_wan,
        (
            ("text_to_film", "WanPipeline", {}),
            ("image_to_film", "WanImageToVideoPipeline", {}),
            ("film_variation", "WanVideoToVideoPipeline", {}),
        ),
    ),
    "wan-between": Family(save_wan_between, (("film_between", "WanImageToVideoPipeline", {}),)),
}
