"""What the full size weighs and costs, without a weight in memory: parameters, operations and bytes.

Three systems, each making the preset's clip with guidance: CogVideoX-5B, IaD on it, and ConsisID. Their
networks are built on the meta device, which has shapes and no numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from iad.adapters import is_adapter_key
from iad.config import FullSizePreset, get_preset
from iad.decoupling import create_split
from iad.full_size.base import adapter_settings
from iad.full_size.caching import CACHES
from iad.full_size.memory import GB, LADDER, WORKING, Needs

ROWS = 2  # with and without the prompt: guidance
HALF = 2  # bytes of a weight and of a latent in bfloat16
ID_ADAPTER_KEYS = ("local_facial_extractor", "perceiver_cross_attention")  # of ConsisID

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
T5_XXL: dict[str, Any] = {
    "d_model": 4096,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "d_kv": 64,
    "vocab_size": 32128,
    "is_gated_act": True,
}
LATENT_STRIDE = 8  # pixels of a latent
CLIP_VECTOR, EVA_TOKENS, EVA_LEVELS = 1280, (577, 1024), 5  # what ConsisID is told of a face


@dataclass(frozen=True)
class ModelSize:
    """One system: parameters by part, and the operations of one denoising step."""

    name: str
    parts: dict[str, int]
    step_flops: int
    latent_bytes: int  # of all tokens between two blocks
    blocks: int

    @property
    def adapter_share(self) -> float:
        """Adapters in relation to the base transformer."""
        return self.parts["adapters"] / self.parts["transformer"]

    @property
    def memory(self) -> dict[str, int]:
        """Estimated bytes on the device, by memory mode."""
        denoiser = self.parts["transformer"] + self.parts["adapters"]
        parts = {"transformer": denoiser} | {name: self.parts[name] for name in ("text_encoder", "vae")}
        return Needs({name: HALF * count for name, count in parts.items()}, WORKING).by_mode()

    @property
    def cache_memory(self) -> dict[str, int]:
        """Estimated bytes that a step cache holds beside the rest."""
        kept = {"first-block": 4, "mag": 2, "taylorseer": 2 * self.blocks, "pab": self.blocks}
        return {name: kept[name] * self.latent_bytes for name in CACHES}


def describe_sizes(preset: FullSizePreset | None = None) -> list[ModelSize]:
    """Measure base, IaD and ConsisID on the meta device; takes seconds."""
    preset = preset or get_preset("cogvideox-5b")
    with torch.device("meta"):
        shared = _count_shared()
        split = create_split(preset)
        own = {name: _count(split[name]) for name in ("decoupler", "text_action")}
        none = dict.fromkeys(own, 0)
        return [
            _measure("CogVideoX-5B", create_base(), shared | none, preset, lambda model: {}),
            _measure("IaD", create_iad(preset), shared | own, preset, lambda model: tell_iad(model, preset)),
            _measure("ConsisID", create_consisid(), shared | none, preset, tell_consisid),
        ]


def tabulate_sizes(sizes: list[ModelSize]) -> list[list[str]]:
    """Return rows of text, the first the head, for a table."""
    parts = sizes[0].parts
    rows = [["", *(size.name for size in sizes)]]
    rows += [[f"{part}, M parameters", *(f"{s.parts[part] / 1e6:.1f}" for s in sizes)] for part in parts]
    rows.append(["adapters, share of the base", *(f"{s.adapter_share:.2%}" for s in sizes)])
    rows.append(["one step, TFLOP", *(f"{s.step_flops / 1e12:.1f}" for s in sizes)])
    first = sizes[0].step_flops
    rows.append(["one step, relative", *(f"{s.step_flops / first:.3f}" for s in sizes)])
    rows += [[f"memory mode {m}, GB (estimate)", *(f"{s.memory[m] / GB:.1f}" for s in sizes)] for m in LADDER]
    more = sizes[0].cache_memory
    rows += [[f"cache {c}, GB more (estimate)", *[f"{more[c] / GB:.1f}"] * 2, "none"] for c in CACHES]
    return rows


def create_base(**changes: Any) -> nn.Module:
    """Build CogVideoX-5B's transformer where torch's default device is, with random weights."""
    from diffusers import CogVideoXTransformer3DModel

    return CogVideoXTransformer3DModel(**COGVIDEOX_5B | changes).eval()


def create_iad(preset: FullSizePreset, **changes: Any) -> nn.Module:
    """Build it with the preset's adapters."""
    from iad.transformer import IaDTransformer3DModel

    return IaDTransformer3DModel(**COGVIDEOX_5B | adapter_settings(preset) | changes).eval()


def create_consisid(**changes: Any) -> nn.Module:
    """Build ConsisID's transformer."""
    from diffusers import ConsisIDTransformer3DModel

    return ConsisIDTransformer3DModel(**CONSISID_5B | changes).eval()


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


def _measure(
    name: str,
    model: nn.Module,
    shared: dict[str, int],
    preset: FullSizePreset,
    tell: Callable[[nn.Module], dict[str, Any]],
) -> ModelSize:
    from torch.utils.flop_counter import FlopCounterMode

    added = sum(weight.numel() for key, weight in model.named_parameters() if _is_added(key))
    counter = FlopCounterMode(display=False)
    inputs = step_inputs(model, preset) | tell(model)
    with torch.inference_mode(), counter:
        model(**inputs)
    parts = {"transformer": _count(model) - added, "adapters": added} | shared
    tokens = inputs["image_rotary_emb"][0].shape[0] + model.config.max_text_seq_length
    width = model.config.num_attention_heads * model.config.attention_head_dim
    latent_bytes = HALF * ROWS * tokens * width
    return ModelSize(name, parts, counter.get_total_flops(), latent_bytes, model.config.num_layers)


def _is_added(key: str) -> bool:
    return is_adapter_key(key) or key.startswith(ID_ADAPTER_KEYS)


def _count_shared() -> dict[str, int]:
    """Count what all three have: text encoder and VAE."""
    from diffusers import AutoencoderKLCogVideoX
    from transformers import T5Config, T5EncoderModel

    blocks = {
        "block_out_channels": (128, 256, 256, 512),
        "down_block_types": ("CogVideoXDownBlock3D",) * 4,
        "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    }
    text = T5EncoderModel(T5Config(**T5_XXL))
    return {"text_encoder": _count(text), "vae": _count(AutoencoderKLCogVideoX(**blocks))}


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
