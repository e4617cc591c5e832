"""How a large pipeline fits into the memory there is: six modes, one of them chosen by itself.

    full        all parts on the device
    offload     one part on the device at a time
    int8, fp8   offload, and the denoiser's weights at one byte each; its adapters and norms as they are
    sequential  one layer on the device at a time
    auto        the first of these that free memory allows

Works on any diffusers pipeline. What a mode needs is estimated from the sizes of the parts.
"""

import gc
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from iad.checks import check_device
from iad.full_size.hub import GB, count_parameters
from iad.models.adapters import ADAPTER_KEYS

MEMORY_MODES = ("auto", "full", "offload", "sequential", "int8", "fp8")
LADDER = ("full", "offload", "int8", "fp8", "sequential")  # from the fastest to the smallest
SMALLER = {"full": ("offload",), "offload": ("int8", "fp8"), "int8": ("sequential",), "fp8": ("sequential",)}
CPU_MODES = ("full", "sequential", "int8", "fp8")
DENOISERS = ("transformer", "unet")

WORKING = 5 * GB  # 49 frames of 720x480: as much as the VAE takes to decode a tile of them
DECODING = 22 * GB  # beside the weights: what decoding such a clip in one piece takes
SPARE = 1.05  # estimates are no measurements
LARGEST_ON_CPU = 10**9  # parameters of a denoiser; more would take hours a clip
ONE_BYTE = 0.53  # of a denoiser's size in two bytes: adapters, norms and ends are kept as they are
ONE_LAYER = 0.05  # of a denoiser's size: what `sequential` holds at once
_KEPT = ("pos_embed", "patch_embed", "norm", "^proj_in$", "^proj_out$", "time_embedding", *ADAPTER_KEYS)


@dataclass(frozen=True)
class Needs:
    """Bytes of a pipeline's parts on the device, and of what it computes with."""

    parts: dict[str, int]
    working: int

    def by_mode(self) -> dict[str, int]:
        """Estimate the device memory that each mode needs."""
        sizes, whole = self.parts, sum(self.parts.values())
        small = [round(size * ONE_BYTE) if name in DENOISERS else size for name, size in sizes.items()]
        largest = max(sizes.values(), default=0)
        weights = {
            "full": whole,
            "offload": largest,
            "int8": max(small, default=0),
            "fp8": max(small, default=0),
            "sequential": min(round(largest * ONE_LAYER) + sizes.get("vae", 0), whole),
        }
        return {mode: weights[mode] + self.working for mode in LADDER}


@dataclass(frozen=True)
class MemoryChoice:
    """A memory mode, and in a sentence why it was chosen."""

    mode: str
    reason: str


def read_needs(folder: Path) -> Needs:
    """Estimate from a folder, before anything is loaded, what a pipeline needs in two bytes a weight."""
    return _needs({name: 2 * count for name, count in count_parameters(folder).items() if name})


def measure_needs(pipeline: Any) -> Needs:
    """Measure the parts of a pipeline in memory."""
    modules = {n: part for n, part in pipeline.components.items() if isinstance(part, nn.Module)}
    return _needs({name: sum(p.nbytes for p in module.parameters()) for name, module in modules.items()})


def _needs(parts: dict[str, int]) -> Needs:
    return Needs(parts, min(WORKING, sum(parts.values())))


def choose_memory(needs: Needs, *, device: str | torch.device) -> MemoryChoice:
    """Choose the fastest mode that fits into the device's free memory."""
    device = torch.device(device)
    if device.type != "cuda":
        return MemoryChoice("full", "Memory mode full: without a CUDA device all parts stay in main memory.")
    free, wanted = free_memory(device), needs.by_mode()
    ladder = [mode for mode in LADDER if mode != "int8" or find_spec("torchao")]
    fitting = [mode for mode in ladder if wanted[mode] * SPARE <= free]
    have = f"{free / GB:.1f} GB are free"
    if not fitting:
        smallest = f"even that wants about {wanted[ladder[-1]] / GB:.1f} GB and {have}; it may not suffice."
        return MemoryChoice(ladder[-1], f"Memory mode {ladder[-1]}: {smallest}")
    mode = fitting[0]
    reason = f"Memory mode {mode}: it wants about {wanted[mode] / GB:.1f} GB, {have}"
    if mode != ladder[0]:
        faster = ladder[ladder.index(mode) - 1]
        reason += f" ({faster} would want {wanted[faster] / GB:.1f})"
    return MemoryChoice(mode, f"{reason}.")


def free_memory(device: torch.device) -> int:
    """Return how many bytes of a CUDA device a new model may take."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def apply_memory(pipeline: Any, mode: str, *, device: str | torch.device | None = None) -> str:
    """Set a freshly loaded pipeline up in a memory mode, once.

    Args:
        pipeline: any diffusers pipeline, its parts still in main memory.
        mode: one of `MEMORY_MODES`; the reason for what "auto" chooses is printed on stderr.
        device: where it computes; None the CUDA device if there is one, else the CPU.

    Returns:
        The mode, never "auto".

    Raises:
        ValueError: an unknown mode, or one that this machine cannot do.
    """
    device = find_device(device)
    check_mode(mode, device)
    if mode == "auto":
        choice = choose_memory(measure_needs(pipeline), device=device)
        print(choice.reason, file=sys.stderr)
        mode = choice.mode
    denoiser = next((getattr(pipeline, name) for name in DENOISERS if hasattr(pipeline, name)), None)
    if mode == "int8":
        _quantize(denoiser)
    elif mode == "fp8":  # cast back, layer by layer, to compute
        types = {"storage_dtype": torch.float8_e4m3fn, "compute_dtype": denoiser.dtype}
        denoiser.enable_layerwise_casting(**types, skip_modules_pattern=_KEPT)
    if mode == "sequential":  # the VAE, which is small and tiled, stays on the device
        layers = {"offload_type": "leaf_level", "use_stream": device.type == "cuda", "exclude_modules": "vae"}
        pipeline.enable_group_offload(onload_device=device, offload_device=torch.device("cpu"), **layers)
    elif mode == "full" or device.type == "cpu":
        pipeline.to(device)
    else:
        pipeline.enable_model_cpu_offload(device=device)
    _tile(getattr(pipeline, "vae", None), device, mode)
    return mode


def on_zero_gpu() -> bool:
    """Tell whether this is a Space that is lent a part of a GPU for seconds at a time."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def find_device(device: str | torch.device | None = "auto") -> torch.device:
    """Return where to compute: the device that is named; for "auto" CUDA where there is one, else the CPU.

    Raises:
        ValueError: there is no such device, at all or on this machine.
    """
    check_device(str(device or "auto"))
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    counts = {"cpu": 1, "cuda": cuda, "mps": int(torch.backends.mps.is_available())}
    if device in (None, "auto"):
        device = "cuda" if cuda else "cpu"
    kind, _, number = str(device).partition(":")
    if int(number or 0) >= counts[kind]:
        name = kind.upper() + (f" device {number}" if int(number or 0) else " device")
        raise ValueError(f"There is no {name} on this machine; use a machine with one, or the device cpu.")
    return torch.device(device)


def check_mode(mode: str, device: torch.device) -> None:
    """Refuse a memory mode that is unknown, or that a device cannot do.

    Raises:
        ValueError: such a mode; the message names those that can be done.
    """
    if mode not in MEMORY_MODES:
        raise ValueError(f"Unknown memory mode {mode!r}; choose one of {', '.join(MEMORY_MODES)}.")
    if device.type == "cpu" and mode not in ("auto", *CPU_MODES):
        allowed = ", ".join(CPU_MODES)
        raise ValueError(f"The memory mode {mode!r} needs a CUDA device; a CPU allows auto, {allowed}.")
    if mode == "int8" and not find_spec("torchao"):
        raise ValueError("The memory mode 'int8' needs torchao; run `pip install torchao`, or choose fp8.")


def refuse_without_cuda(folder: Path, *, device: str | torch.device | None = None) -> None:
    """Refuse a model that would take hours on a CPU, before it is loaded.

    Raises:
        ValueError: more than a billion parameters in the denoiser, and no accelerator.
    """
    if find_device(device).type != "cpu":
        return
    parameters = max((n for part, n in count_parameters(folder).items() if part in DENOISERS), default=0)
    if parameters > LARGEST_ON_CPU:
        least = read_needs(folder).by_mode()["sequential"] / GB
        raise ValueError(
            f"The denoiser in {folder} has {parameters / 1e9:.1f} billion parameters and there is no CUDA "
            f"device here; use a machine with at least {least:.0f} GB of GPU memory, or the model 'mini', "
            "which runs on a CPU."
        )


@contextmanager
def explain_out_of_memory(mode: str) -> Iterator[None]:
    """Turn running out of memory into advice: the next mode, where this machine can do it.

    Raises:
        ValueError: memory ran out; what was held is let go first.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        pass
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what the CPU's allocator says
            raise
    else:
        return
    gc.collect()  # past the handler, so that the frames that held the tensors are gone
    torch.cuda.empty_cache()
    smaller = [other for other in SMALLER.get(mode, ()) if other != "int8" or find_spec("torchao")]
    advice = "make fewer frames or smaller sides, close what else uses the device, or use a larger one."
    if smaller and torch.cuda.is_available():
        advice = f"try --memory {smaller[0]}."
    raise ValueError(f"Out of memory in the memory mode {mode!r}; {advice}")


def _quantize(denoiser: nn.Module) -> None:
    """Keep the weights of linear layers in eight bits, a scale for each row."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    def chosen(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and not any(re.search(part, name) for part in _KEPT)

    quantize_(denoiser.requires_grad_(False), Int8WeightOnlyConfig(), filter_fn=chosen)


def _tile(vae: Any, device: torch.device, mode: str) -> None:
    """Decode in pieces, unless the card has room for the whole clip beside all weights.

    Judged by the card's total memory, which does not change between two clips. On ZeroGPU always: the card
    is shared, and the weights come to it only after this.
    """
    if vae is None:
        return
    if mode == "full" and device.type == "cuda" and not on_zero_gpu():
        free = torch.cuda.mem_get_info(device)[1] - torch.cuda.memory_allocated(device)
        if free >= DECODING:
            return
    for switch in ("enable_slicing", "enable_tiling"):
        if hasattr(vae, switch):
            getattr(vae, switch)()
