"""ID-Animator's face adapter: read under its published names and put into diffusers' AnimateDiff.

In: `animator.safetensors` or the published `animator.ckpt`. It holds a resampler, which makes sixteen
tokens of a face out of CLIP's patches, and for every cross-attention of the UNet keys and values of these
tokens, beside a LoRA of all four projections. Out: the same pipeline, conditioned on faces. The resampler
and the attention to its tokens are those of diffusers' IP-Adapter Plus; the LoRA, never off as published,
is added to the weights.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iad.checkpoint import check_fit
from iad.full_size.published import read_published

ADAPTERS = ("animator.safetensors", "animator.ckpt")  # the first that is there is read
TOKENS = 16
RANK = 128  # of the LoRA
HEAD_DIM = 64  # of the resampler
DEPTH = 4
SHOWN = 5  # keys in one warning

_RESAMPLER, _ATTENTION = "image_proj_model.", "adapter_modules."
_BY_PART = {"image_proj": _RESAMPLER, "face_adapter": _ATTENTION}  # the file's other form


class PhotoMean(nn.Module):
    """Project every photo of one person and give the mean of their tokens, as ID-Animator mixes faces.

    Args:
        projection: diffusers' `MultiIPAdapterImageProjection`, which alone shows the tokens of every photo.
    """

    def __init__(self, projection: nn.Module):
        super().__init__()
        self.projection = projection

    @property
    def image_projection_layers(self) -> nn.ModuleList:
        """The projections by adapter; the pipeline asks for them to know what they take."""
        return self.projection.image_projection_layers

    def forward(self, image_embeds: list[Float[Tensor, "b n p e"]]) -> list[Float[Tensor, "b 1 t c"]]:
        """Return what the cross-attention reads: one set of tokens for each adapter."""
        return [tokens.mean(dim=1, keepdim=True) for tokens in self.projection(image_embeds)]


def read_adapter(file: Path) -> dict[str, Tensor]:
    """Read the weights of an adapter file by their published names; nothing in it is run.

    Raises:
        ValueError: the file cannot be read, or holds more than weights.
    """
    weights = read_published(file)
    for part, start in _BY_PART.items():
        weights = {re.sub(rf"^{part}\.", start, name): value for name, value in weights.items()}
    return weights


def list_shapes(unet: nn.Module, *, token_dim: int) -> dict[str, tuple[int, ...]]:
    """List the shape of every weight that an adapter for this UNet has, by published name."""
    shapes = {
        _RESAMPLER + name: shape
        for name, shape in _resampler_shapes(unet.config.cross_attention_dim, token_dim).items()
    }
    for index, place in list_places(unet).items():
        inner, width = unet.get_submodule(place).to_k.weight.shape
        for name, takes in (("to_q", inner), ("to_k", width), ("to_v", width), ("to_out", inner)):
            shapes[f"{_ATTENTION}{index}.{name}_lora.down.weight"] = (RANK, takes)
            shapes[f"{_ATTENTION}{index}.{name}_lora.up.weight"] = (inner, RANK)
        for name in ("to_k_face", "to_v_face"):
            shapes[f"{_ATTENTION}{index}.{name}.weight"] = (inner, width)
    return shapes


def _resampler_shapes(dim: int, token_dim: int) -> dict[str, tuple[int, ...]]:
    inner = dim // HEAD_DIM * HEAD_DIM
    shapes = {"latents": (1, TOKENS, dim)}
    shapes |= {"proj_in.weight": (dim, token_dim), "proj_in.bias": (dim,)}
    shapes |= {"proj_out.weight": (dim, dim), "proj_out.bias": (dim,)}
    norms = ["norm_out"]
    for layer in (f"layers.{depth}." for depth in range(DEPTH)):
        norms += [f"{layer}0.norm1", f"{layer}0.norm2", f"{layer}1.0"]
        shapes |= {f"{layer}0.to_q.weight": (inner, dim), f"{layer}0.to_kv.weight": (2 * inner, dim)}
        shapes |= {f"{layer}0.to_out.weight": (dim, inner)}
        shapes |= {f"{layer}1.1.weight": (4 * dim, dim), f"{layer}1.3.weight": (dim, 4 * dim)}
    return shapes | {f"{norm}.{part}": (dim,) for norm in norms for part in ("weight", "bias")}


def list_places(unet: nn.Module) -> dict[int, str]:
    """Name the cross-attentions by their number in the file, which passes over the motion modules."""
    names = [name for name in unet.attn_processors if "motion_modules" not in name]
    return {k: name.removesuffix(".processor") for k, name in enumerate(names) if ".attn2." in name}


def install_adapter(pipeline: Any, state: Mapping[str, Tensor], *, file: Path) -> None:
    """Condition an `AnimateDiffPipeline` on faces.

    Weights that have no place here are left out with a warning on stderr, as the published code leaves them
    out without one.

    Args:
        pipeline: whole, without adapter.
        state: the adapter's weights by published name.
        file: where they come from, for messages.

    Raises:
        ValueError: keys are missing or misshapen; at most five are named.
    """
    shapes = list_shapes(pipeline.unet, token_dim=pipeline.image_encoder.config.hidden_size)
    wanted = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    extra = [name for name in state if name not in wanted]
    if extra:
        named = ", ".join(extra[:SHOWN]) + (", ..." if len(extra) > SHOWN else "")
        print(f"{file}: {len(extra)} keys are extra and left out ({named}).", file=sys.stderr)
    state = {name: value for name, value in state.items() if name in wanted}
    check_fit(wanted, state, what=f"weights in {file}")
    places = list_places(pipeline.unet)
    for index, place in places.items():
        _add_lora(pipeline.unet.get_submodule(place), state, f"{_ATTENTION}{index}.")
    resampler = {k.removeprefix(_RESAMPLER): v for k, v in state.items() if k.startswith(_RESAMPLER)}
    attention = {
        f"{index}.{name}_ip.weight": state[f"{_ATTENTION}{index}.{name}_face.weight"]
        for index in places
        for name in ("to_k", "to_v")
    }
    pipeline.load_ip_adapter(
        {"image_proj": resampler, "ip_adapter": attention},
        subfolder="",
        weight_name="",
        low_cpu_mem_usage=False,  # the other way does not notice a weight that it does not fill
    )
    pipeline.unet.encoder_hid_proj = PhotoMean(pipeline.unet.encoder_hid_proj)


@torch.no_grad()
def _add_lora(attention: nn.Module, state: Mapping[str, Tensor], start: str) -> None:
    layers = {name: getattr(attention, name) for name in ("to_q", "to_k", "to_v")}
    for name, layer in (layers | {"to_out": attention.to_out[0]}).items():
        up, down = (state[f"{start}{name}_lora.{half}.weight"].float() for half in ("up", "down"))
        layer.weight.copy_(layer.weight.float() + up @ down)
