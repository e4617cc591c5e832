"""The full size by random weights: three systems and what each is given for a step, true or as a tiny twin.

CogVideoX-5B, IaD on it, and ConsisID, each making the preset's clip with guidance; on the meta device, too,
which has shapes and no numbers.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from iad.config import DecouplerConfig, FullSizePreset, get_preset
from iad.full_size.base import adapter_settings
from iad.full_size.memory import find_device

ROWS = 2  # with and without the prompt: guidance
SYSTEMS = ("CogVideoX", "IaD", "ConsisID")
LATENT_STRIDE = 8  # pixels of a latent
EVA_TOKENS = 577  # of each level that ConsisID is told of a face

_COGVIDEOX = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
# As published; everything else is diffusers' default.
PUBLISHED: dict[str, dict[str, Any]] = {
    "CogVideoX": _COGVIDEOX,
    "IaD": _COGVIDEOX,
    "ConsisID": _COGVIDEOX
    | {"in_channels": 32, "use_learned_positional_embeddings": True, "is_train_face": True, "is_kps": False},
    "VAE": {
        "block_out_channels": (128, 256, 256, 512),
        "down_block_types": ("CogVideoXDownBlock3D",) * 4,
        "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    },
    "T5": {
        "d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "d_kv": 64, "vocab_size": 32128,
        "is_gated_act": True,
    },
}  # fmt: skip
_TWIN = {
    "num_attention_heads": 4, "attention_head_dim": 16, "num_layers": 6, "time_embed_dim": 8,
    "text_embed_dim": 32, "sample_width": 8, "sample_height": 8, "sample_frames": 9,
}  # fmt: skip
TWINS: dict[str, dict[str, Any]] = {
    "CogVideoX": _TWIN,
    "IaD": _TWIN,
    "ConsisID": _TWIN | {
        "cross_attn_dim_head": 16, "cross_attn_num_heads": 2, "LFE_id_dim": 20, "LFE_vit_dim": 16,
        "LFE_depth": 5, "LFE_dim_head": 8, "LFE_num_heads": 2, "LFE_num_querie": 8,
        "LFE_output_dim": 42,  # two thirds of the width, as ConsisID wires it
    },
    "VAE": {
        "block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 2, "sample_height": 64,
        "sample_width": 64,
    },
    "T5": {"d_model": 32, "d_ff": 37, "num_layers": 2, "num_heads": 4, "d_kv": 8, "vocab_size": 64},
}  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Where and how large it is measured."""

    device: torch.device
    preset: FullSizePreset
    twin: bool = False  # by networks that any machine runs in seconds

    @classmethod
    def true(cls, device: str | None = None) -> "Scale":
        """Return the published sizes: 49 frames of 720 x 480 by 5.6 billion parameters."""
        return cls(find_device(device), get_preset("cogvideox-5b"))

    @classmethod
    def tiny(cls, device: str | None = None) -> "Scale":
        """Return a twin, whose numbers say nothing of the true ones."""
        preset = get_preset("cogvideox-5b")
        split = DecouplerConfig(queries=4, dim=16, layers=1, heads=2, code_dim=8)
        adapters = replace(preset.adapters, token_dim=16, heads=2, head_dim=16)
        preset = replace(preset, decoupler=split, adapters=adapters, height=64, width=64, frames=9)
        return cls(find_device(device), preset, twin=True)

    def build(self, name: str) -> nn.Module:
        """Build a network with random weights on the device, in the precision in which it would run."""
        settings = PUBLISHED[name] | (TWINS[name] if self.twin else {})
        settings |= adapter_settings(self.preset) if name == "IaD" else {}
        before = torch.get_default_dtype()
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16 if self.device.type == "cuda" else torch.float32)
        try:
            with self.device:
                model = _create(name, settings).eval().requires_grad_(False)
                for key, weight in model.named_parameters():
                    if "_attention.to_out" in key:  # adapters that matter
                        nn.init.normal_(weight, std=0.02)
        finally:
            torch.set_default_dtype(before)
        return model

    def build_system(self, name: str) -> tuple[nn.Module, dict[str, Any]]:
        """Build a denoiser, and random inputs of one step with guidance, on its device."""
        model, preset = self.build(name), self.preset
        config, like = model.config, {"dtype": model.dtype, "device": model.device}
        sides = (preset.height // LATENT_STRIDE, preset.width // LATENT_STRIDE)
        frames = preset.latent_frames
        patches = frames * sides[0] * sides[1] // config.patch_size**2
        angles = torch.randn(patches, config.attention_head_dim, device=model.device, dtype=torch.float32)
        text = (ROWS, config.max_text_seq_length, config.text_embed_dim)
        inputs = {
            "hidden_states": torch.randn(ROWS, frames, config.in_channels, *sides, **like),
            "encoder_hidden_states": torch.randn(text, **like),
            "timestep": torch.full((ROWS,), 500, device=model.device),
            "image_rotary_emb": (angles.cos(), angles.sin()),
            "return_dict": False,
        }
        if name == "IaD":  # the adapters' keys and values are computed once a clip
            tokens = (preset.decoupler.queries, preset.decoupler.dim)
            identity, action = torch.randn(ROWS, *tokens, **like), torch.randn(ROWS, frames, *tokens, **like)
            inputs["attention_kwargs"] = {"adapter": model.adapt(identity, action, frames=frames)}
        if name == "ConsisID":  # it reads the face anew at every step
            level = (1, EVA_TOKENS, config.LFE_vit_dim)
            inputs["id_vit_hidden"] = [torch.randn(level, **like) for _ in range(config.LFE_num_scale)]
            inputs["id_cond"] = torch.randn(1, config.LFE_id_dim, **like)
        return model, inputs


def _create(name: str, settings: dict[str, Any]) -> nn.Module:
    import diffusers
    from transformers import T5Config, T5EncoderModel

    from iad.models.transformer import IaDTransformer3DModel

    if name == "T5":
        return T5EncoderModel(T5Config(**settings))
    kinds = {
        "CogVideoX": diffusers.CogVideoXTransformer3DModel,
        "IaD": IaDTransformer3DModel,
        "ConsisID": diffusers.ConsisIDTransformer3DModel,
        "VAE": diffusers.AutoencoderKLCogVideoX,
    }
    return kinds[name](**settings)
