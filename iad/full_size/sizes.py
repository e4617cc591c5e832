"""The full size by random weights: three systems and what each is given for a step, true or as a tiny twin.

CogVideoX-5B, IaD on it, and ConsisID, each making the preset's clip with guidance; on the meta device, too,
which has shapes and no numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from iad.config import DecouplerConfig, FullSizePreset, get_preset
from iad.full_size.base import adapter_settings
from iad.full_size.memory import find_device

ROWS = 2  # with and without the prompt: guidance

# As published; everything else is diffusers' default.
COGVIDEOX_5B: dict[str, Any] = {
    "num_attention_heads": 48,
    "num_layers": 42,
    "use_rotary_positional_embeddings": True,
}
CONSISID_5B = COGVIDEOX_5B | {
    "in_channels": 32,
    "use_learned_positional_embeddings": True,
    "is_train_face": True,
    "is_kps": False,
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 256, 512),
    "down_block_types": ("CogVideoXDownBlock3D",) * 4,
    "up_block_types": ("CogVideoXUpBlock3D",) * 4,
}
T5_XXL: dict[str, Any] = {
    "d_model": 4096,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "d_kv": 64,
    "vocab_size": 32128,
    "is_gated_act": True,
}
SYSTEMS = ("CogVideoX", "IaD", "ConsisID")
LATENT_STRIDE = 8  # pixels of a latent
CLIP_VECTOR, EVA_TOKENS, EVA_LEVELS = 1280, (577, 1024), 5  # what ConsisID is told of a face


_TWIN = {
    "num_attention_heads": 4,
    "attention_head_dim": 16,
    "num_layers": 6,
    "time_embed_dim": 8,
    "text_embed_dim": 32,
    "sample_width": 8,
    "sample_height": 8,
    "sample_frames": 9,
}
_CONSISID_TWIN = _TWIN | {
    "cross_attn_dim_head": 16,
    "cross_attn_num_heads": 2,
    "LFE_id_dim": 20,
    "LFE_vit_dim": 16,
    "LFE_depth": 5,
    "LFE_dim_head": 8,
    "LFE_num_heads": 2,
    "LFE_num_querie": 8,
    "LFE_output_dim": 42,  # two thirds of the width, as ConsisID wires it
}
_VAE_TWIN = {
    "block_out_channels": (8,) * 4,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "sample_height": 64,
    "sample_width": 64,
}
_T5_TWIN = {"d_model": 32, "d_ff": 37, "num_layers": 2, "num_heads": 4, "d_kv": 8, "vocab_size": 64}


def create_base(**changes: Any) -> nn.Module:
    """Build CogVideoX-5B's transformer where torch's default device is, with random weights."""
    from diffusers import CogVideoXTransformer3DModel

    return CogVideoXTransformer3DModel(**COGVIDEOX_5B | changes).eval()


def create_iad(preset: FullSizePreset, **changes: Any) -> nn.Module:
    """Build it with the preset's adapters."""
    from iad.models.transformer import IaDTransformer3DModel

    return IaDTransformer3DModel(**COGVIDEOX_5B | adapter_settings(preset) | changes).eval()


def create_consisid(**changes: Any) -> nn.Module:
    """Build ConsisID's transformer."""
    from diffusers import ConsisIDTransformer3DModel

    return ConsisIDTransformer3DModel(**CONSISID_5B | changes).eval()


def create_vae(**changes: Any) -> nn.Module:
    """Build the autoencoder of all three."""
    from diffusers import AutoencoderKLCogVideoX

    return AutoencoderKLCogVideoX(**VAE | changes).eval()


def create_t5(**changes: Any) -> nn.Module:
    """Build the text encoder of all three."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(**T5_XXL | changes)).eval()


def step_inputs(model: nn.Module, preset: FullSizePreset) -> dict[str, Any]:
    """Return random inputs of one denoising step with guidance, on the model's device and in its type."""
    frames, height, width = (
        preset.latent_frames,
        preset.height // LATENT_STRIDE,
        preset.width // LATENT_STRIDE,
    )
    config, like = model.config, {"dtype": model.dtype, "device": model.device}
    patches = frames * height * width // config.patch_size**2
    angles = torch.randn(patches, config.attention_head_dim, device=model.device, dtype=torch.float32)
    return {
        "hidden_states": torch.randn(ROWS, frames, config.in_channels, height, width, **like),
        "encoder_hidden_states": torch.randn(ROWS, config.max_text_seq_length, config.text_embed_dim, **like),
        "timestep": torch.full((ROWS,), 500, device=model.device),
        "image_rotary_emb": (angles.cos(), angles.sin()),
        "return_dict": False,
    }


def tell_iad(model: nn.Module, preset: FullSizePreset) -> dict[str, Any]:
    """Return what the adapters get at a step, their keys and values computed once."""
    split, frames = preset.decoupler, preset.latent_frames
    like = {"dtype": model.dtype, "device": model.device}
    identity = torch.randn(ROWS, split.queries, split.dim, **like)
    action = torch.randn(ROWS, frames, split.queries, split.dim, **like)
    return {"attention_kwargs": {"adapter": model.adapt(identity, action, frames=frames)}}


def tell_consisid(model: nn.Module) -> dict[str, Any]:
    """Return what ConsisID gets at a step; it reads the face anew every time."""
    config, like = model.config, {"dtype": model.dtype, "device": model.device}
    shape = (1, EVA_TOKENS[0], config.LFE_vit_dim)
    levels = [torch.randn(shape, **like) for _ in range(config.LFE_num_scale)]
    return {"id_cond": torch.randn(1, config.LFE_id_dim, **like), "id_vit_hidden": levels}


@dataclass(frozen=True)
class Scale:
    """Where and how large it is measured: the settings that differ from the published ones."""

    device: torch.device
    preset: FullSizePreset
    base: dict[str, Any] = field(default_factory=dict)
    consisid: dict[str, Any] = field(default_factory=dict)
    vae: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def true(cls, device: str | None = None) -> "Scale":
        """Return the published sizes: 49 frames of 720 x 480 by 5.6 billion parameters."""
        return cls(find_device(device), get_preset("cogvideox-5b"))

    @classmethod
    def tiny(cls, device: str | None = None) -> "Scale":
        """Return a twin that any machine runs in seconds; its numbers say nothing of the true ones."""
        preset = get_preset("cogvideox-5b")
        split = DecouplerConfig(queries=4, dim=16, layers=1, heads=2, code_dim=8)
        adapters = replace(preset.adapters, token_dim=16, heads=2, head_dim=16)
        preset = replace(preset, decoupler=split, adapters=adapters, height=64, width=64, frames=9)
        return cls(find_device(device), preset, _TWIN, _CONSISID_TWIN, _VAE_TWIN, _T5_TWIN)

    def build(self, create: Callable[..., nn.Module], *given: Any, **changes: Any) -> nn.Module:
        """Build a network with random weights on the device, in the precision in which it would run."""
        before = torch.get_default_dtype()
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16 if self.device.type == "cuda" else torch.float32)
        try:
            with self.device:
                model = create(*given, **changes).eval().requires_grad_(False)
                for name, weight in model.named_parameters():
                    if "_attention.to_out" in name:  # adapters that matter
                        nn.init.normal_(weight, std=0.02)
        finally:
            torch.set_default_dtype(before)
        return model

    def build_system(self, name: str) -> tuple[nn.Module, dict[str, Any]]:
        """Build a denoiser, and what one step of it with guidance takes."""
        if name == "IaD":
            model = self.build(create_iad, self.preset, **self.base)
            told = tell_iad(model, self.preset)
        elif name == "ConsisID":
            model = self.build(create_consisid, **self.consisid)
            told = tell_consisid(model)
        else:
            model, told = self.build(create_base, **self.base), {}
        return model, step_inputs(model, self.preset) | told
