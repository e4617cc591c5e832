"""What the app runs on, found out once at its start: `mini`, and beside it a large model on a GPU.

On ZeroGPU, `choose_hardware` must come before anything touches CUDA: `spaces`, which it imports, insists.
"""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

FULL_SIZE = "cogvideox-5b"  # what is offered where nobody named another
FULL_SIZE_GB = 17  # of GPU memory that it takes with one part on the GPU at a time
# Operations a second that a denoiser gets out of each multiprocessor at each tick, by compute capability:
# about half of what the data sheets promise.
PER_TICK = {8.0: 1300, 9.0: 1700, 10.0: 3000}
PER_TICK_ELSEWHERE = 360  # cards for games and workstations
ZERO_GPU_RATE = 1.5e14  # operations a second on a slice of a card
CPU_RATE = 1e13  # of tiny models, whose autoencoders are tiny too
_CLOCK, _PROCESSORS, _MAJOR, _MINOR = 13, 16, 75, 76  # attributes, as the driver numbers them


@dataclass(frozen=True)
class Hardware:
    """Where models run. `mini` stays off a GPU of one's own unless it is named, so that it never waits."""

    accelerator: Literal["zerogpu", "cuda", "cpu", "none"]  # of the big model; on ZeroGPU of both
    model: str  # ready at once
    big_model: str | None  # beside it, on the accelerator; None: nothing could run it, or nobody wants it
    rate: float = CPU_RATE  # operations a second, roughly
    named: bool = False  # whether somebody named the big model, who then wants it loaded at the start
    device: str = "cpu"  # of `model`; on ZeroGPU it draws on the GPU that each clip is given

    @property
    def place(self) -> str:
        """Name the accelerator as a visitor knows it."""
        return {
            "zerogpu": "a GPU shared with other visitors", "cuda": "this computer's GPU", "cpu": "the CPU",
            "none": "no GPU",
        }[self.accelerator]  # fmt: skip

    def describe(self, *, big: str | None = None) -> str:
        """Say on the page what runs where.

        Args:
            big: the name of the big model, once it is really there.
        """
        shared = self.accelerator == "zerogpu"
        where = self.place if shared else "CPU" if self.device == "cpu" else "this computer's GPU"
        sentence = f"Runs on: {where}, {self.model}"
        return f"{sentence}, at once; {big} on {self.place}." if big else f"{sentence}."


@functools.cache
def choose_hardware() -> Hardware:
    """Find the accelerator and the models.

    IAD_MODEL, or mini, and beside it on a GPU IAD_BIG_MODEL, or CogVideoX-5B; "none" for none. On ZeroGPU
    only a named one, which has to be there before the page is. IAD_DEVICE names a device for all: with "cpu"
    a named big model runs without a GPU, which suits tiny ones.
    """
    device = os.environ.get("IAD_DEVICE") or ("cuda" if is_zero_gpu() else "cpu")
    model, named = os.environ.get("IAD_MODEL") or "mini", os.environ.get("IAD_BIG_MODEL") or None
    big = None if named == "none" else named or FULL_SIZE
    if is_zero_gpu():
        import spaces  # noqa: F401 (now, before CUDA)

        return Hardware("zerogpu", model, named and big, ZERO_GPU_RATE, named=True, device=device)
    if os.environ.get("IAD_DEVICE") == "cpu":
        return Hardware("cpu" if named and big else "none", model, named and big, named=True)
    rate = _rate_cuda()
    if rate is None:
        return Hardware("none", model, None, device=device)
    return Hardware("cuda", model, big, rate, named=named is not None, device=device)


def gpu(function: Callable, *, duration: Callable[..., int]) -> Callable:
    """Give a function a GPU for as long as it runs, on ZeroGPU; elsewhere it is the function itself.

    Args:
        function: on ZeroGPU it runs in another process: what goes in and comes out is pickled.
        duration: called with the function's own arguments; says for how many seconds to ask.
    """
    if not is_zero_gpu():
        return function
    import spaces

    from iad.demo.runs import Cancelled, plain_errors

    def work(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        import cv2
        import torch

        cv2.setNumThreads(0)  # the threads of the process before did not come along
        torch.set_num_threads(1)
        with plain_errors():  # sentences are handed over only as errors of gradio
            return function(*args, **kwargs)
        return None  # cancelled

    # As two arguments, for an argument of its own name would take the place of `spaces`' duration.
    there = spaces.GPU(work, duration=lambda args, kwargs: duration(*args, **kwargs))

    def ask(*args: Any, **kwargs: Any) -> Any:
        result = there(args, kwargs)
        if result is None:
            raise Cancelled
        return result

    return ask


def has_mcp() -> bool:
    """Tell whether the app can serve its endpoints as MCP tools, which needs `gradio[mcp]`."""
    if importlib.util.find_spec("mcp") is None:
        return False
    try:
        import gradio.mcp  # noqa: F401 (it wants more than the package's name, and not every version of it)
    except ImportError:
        return False
    return True


def is_zero_gpu() -> bool:
    """Tell whether this is a Space on ZeroGPU, as `spaces` does."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def _rate_cuda() -> float | None:
    """Return roughly how many operations a second the first GPU does, None without one.

    The driver is asked, which is quicker than importing torch, and starts nothing on the GPU.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        count = ctypes.c_int()
        if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or count.value < 1:
            return None
        clock, processors, major, minor = (_ask(driver, n) for n in (_CLOCK, _PROCESSORS, _MAJOR, _MINOR))
    except (OSError, AttributeError):
        return None
    return processors * clock * 1e3 * PER_TICK.get(major + minor / 10, PER_TICK_ELSEWHERE)


def _ask(driver: Any, attribute: int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0)
    return max(value.value, 1)
