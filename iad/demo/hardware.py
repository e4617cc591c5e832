"""What the app runs on, found out once at its start: `mini` on the CPU, and a big model where there is a GPU.

On ZeroGPU, `choose_hardware` must come before anything touches CUDA: `spaces`, which it imports, insists.
"""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

MOST_SECONDS = 110  # a visitor without an account has two minutes of GPU a day, and what is asked for counts


@dataclass(frozen=True)
class Hardware:
    """Where models run. `mini` never waits for a GPU, so that there is a clip at once."""

    accelerator: Literal["zerogpu", "cuda", "none"]
    model: str  # ready at once, on the CPU
    big_model: str | None  # beside it, on the accelerator; None: nobody named one, or nothing could run it

    def describe(self, *, big_ready: bool = False) -> str:
        """Say on the page what runs where; of the big model only when it is really there."""
        sentence = f"Runs on: CPU, {self.model}"
        if self.big_model is None or not big_ready:
            return f"{sentence}."
        where = "a GPU shared with other visitors" if self.accelerator == "zerogpu" else "this computer's GPU"
        return f"{sentence}, at once; {self.big_model} on {where}."


@dataclass(frozen=True)
class Duration:
    """Seconds of GPU to ask for: too many use up a visitor's day, too few end the work before it is done."""

    setup: float
    per_step: float
    steps: int  # where the call does not say

    def __call__(self, *_: Any, num_inference_steps: int | None = None, **__: Any) -> int:
        """Estimate one call, given its own arguments."""
        seconds = self.setup + self.per_step * (num_inference_steps or self.steps)
        return round(min(max(seconds, 1), MOST_SECONDS))


@functools.cache
def choose_hardware() -> Hardware:
    """Find the accelerator and the models: IAD_MODEL, or mini, and IAD_BIG_MODEL, which needs a GPU."""
    model, big = os.environ.get("IAD_MODEL") or "mini", os.environ.get("IAD_BIG_MODEL") or None
    if _is_zero_gpu():
        if big:
            import spaces  # noqa: F401 (now, before CUDA; mini alone has no use for it)
        return Hardware("zerogpu", model, big)
    return Hardware("cuda", model, big) if _finds_cuda() else Hardware("none", model, None)


def gpu(function: Callable, *, duration: Duration) -> Callable:
    """Give a function a GPU for as long as it runs, on ZeroGPU; elsewhere it is the function itself."""
    if not _is_zero_gpu():
        return function
    import spaces

    return spaces.GPU(function, duration=duration)


def has_mcp() -> bool:
    """Tell whether the app can serve its endpoints as MCP tools, which needs `gradio[mcp]`."""
    if importlib.util.find_spec("mcp") is None:
        return False
    try:
        import gradio.mcp  # noqa: F401 (it wants more than the package's name, and not every version of it)
    except ImportError:
        return False
    return True


def _is_zero_gpu() -> bool:
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")  # as `spaces` reads it


def _finds_cuda() -> bool:
    """Ask the driver, which is quicker than importing torch, and starts nothing on the GPU."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        count = ctypes.c_int()
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
