"""Step caches of diffusers on our transformer, and compiled blocks: fewer or quicker steps, at some drift.

A denoising step resembles the one before it. "first-block" and "mag" reuse what the blocks (all but the
first, or all) added to the latents, "taylorseer" extrapolates self-attention, "pab" reuses it. The
adapters sit inside the blocks: what is reused includes what a block was told of the person.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from iad.full_size.memory import on_zero_gpu

CACHES = ("first-block", "mag", "taylorseer", "pab")

FIRST_BLOCK_THRESHOLD = 0.08  # relative change of the first block below which the others are reused
MAG_THRESHOLD = 0.06  # accumulated error, the default of MagCache
TAYLOR_INTERVAL = 3  # every third step is computed
PAB_RANGE = 2  # every second self-attention is computed,
PAB_TIMESTEPS = (100, 800)  # in the middle of the way
_RATIOS = "_mag_ratios"  # where a transformer keeps what was measured on it
COMPILED_PARTS = ("norm1", "attn1", "norm2", "ff")  # of a CogVideoX block


@contextmanager
def step_cache(
    pipeline: Any, name: str | None, *, steps: int, ratios: Sequence[float] | None = None
) -> Iterator[None]:
    """Cache steps while one clip is made, and forget it before the next; None caches nothing.

    Args:
        pipeline: of diffusers, whose transformer may have step caches.
        name: one of `CACHES`.
        steps: denoising steps of the clip.
        ratios: what `measure_ratios` found on this checkpoint, for "mag". Without them the first clip is used
            to measure them, and clips are quicker from the second on.

    Raises:
        ValueError: an unknown cache, or a denoiser that cannot have one.
    """
    if name is None:
        yield
        return
    transformer = pipeline.transformer
    _check_cache(transformer, name)
    ratios = ratios or transformer.__dict__.get(_RATIOS)
    if name == "mag" and not ratios:
        print("The cache 'mag' measures its ratios on this clip; the next is quicker.", file=sys.stderr)
        with measure_ratios(transformer) as measured:
            yield
        transformer.__dict__[_RATIOS] = measured
        return
    _register_block()
    transformer.enable_cache(_configure(pipeline, name, steps, ratios))
    try:
        yield
    finally:
        transformer.disable_cache()


@contextmanager
def measure_ratios(transformer: nn.Module) -> Iterator[list[float]]:
    """Fill a list with what MagCache needs, one number a step, while a clip is made without caches.

    A number says how much the blocks added, relative to the step before, on average over the tokens.
    """
    blocks, ratios, seen = transformer.transformer_blocks, [], {}

    def enter(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        seen["before"] = kwargs["hidden_states"]

    def leave(block: nn.Module, args: tuple, output: tuple[Tensor, Tensor]) -> None:
        length = (output[0] - seen["before"]).float().norm(dim=-1)
        ratios.append(float((length / (seen["length"] + 1e-8)).mean()) if "length" in seen else 1.0)
        seen["length"] = length

    hooks = [
        blocks[0].register_forward_pre_hook(enter, with_kwargs=True),
        blocks[-1].register_forward_hook(leave),
    ]
    try:
        yield ratios
    finally:
        for hook in hooks:
            hook.remove()


def compile_blocks(transformer: nn.Module) -> bool:
    """Compile what repeats in the blocks where that pays; tell whether it was done.

    Only CUDA has kernels to fuse, and ZeroGPU gives every call a fresh process, which must not compile.
    """
    if not torch.cuda.is_available() or on_zero_gpu():
        return False
    compile_parts(transformer)
    return True


def compile_parts(transformer: nn.Module, *, backend: str | Callable = "inductor") -> None:
    """Compile part by part, not whole blocks.

    Each block looks its own keys and values up: whole, it would be compiled anew for every place, and after
    eight times not at all.
    """
    for block in transformer.transformer_blocks:
        for part in COMPILED_PARTS:
            getattr(block, part).compile(backend=backend)


def _check_cache(transformer: nn.Module, name: str) -> None:
    if name not in CACHES:
        raise ValueError(f"Unknown cache {name!r}; choose one of {', '.join(CACHES)}.")
    kind = type(transformer).__name__
    if not hasattr(transformer, "enable_cache"):
        raise ValueError(
            f"{kind} has no step caches in diffusers; leave out the cache {name!r} for this arm."
        )


def _configure(pipeline: Any, name: str, steps: int, ratios: Sequence[float] | None) -> Any:
    from diffusers import hooks

    if name == "first-block":
        return hooks.FirstBlockCacheConfig(threshold=FIRST_BLOCK_THRESHOLD)
    if name == "mag":
        return hooks.MagCacheConfig(
            threshold=MAG_THRESHOLD, num_inference_steps=steps, mag_ratios=torch.tensor(ratios)
        )
    if name == "taylorseer":
        return hooks.TaylorSeerCacheConfig(
            cache_interval=TAYLOR_INTERVAL,
            disable_cache_before_step=max(TAYLOR_INTERVAL, steps // 10),
            cache_identifiers=[r"transformer_blocks\.\d+\.attn1"],  # its own patterns miss CogVideoX's
        )
    return hooks.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=PAB_RANGE,
        spatial_attention_timestep_skip_range=PAB_TIMESTEPS,
        current_timestep_callback=lambda: int(pipeline.current_timestep),
    )


def _register_block() -> None:
    """Tell diffusers where our block returns latents and text; it knows blocks by their exact class."""
    from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry

    from iad.models.transformer import IaDBlock

    places = TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=1)
    TransformerBlockRegistry.register(IaDBlock, places)
