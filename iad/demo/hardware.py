"""What the app runs on, found out once at its start, and what its environment says of a large model.

On ZeroGPU, `choose_hardware` must come before anything touches CUDA: `spaces`, which it imports, insists.
"""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from iad.config import ARMS

FULL_SIZE = "cogvideox-5b"  # what is offered where nobody named another
FULL_SIZE_GB = 17  # of GPU memory that it takes with one part on the GPU at a time
# Operations a second that a denoiser gets out of each multiprocessor at each tick, by compute capability:
# about half of what the data sheets promise.
PER_TICK = {8.0: 1300, 9.0: 1700, 10.0: 3000}
PER_TICK_ELSEWHERE = 360  # cards for games and workstations
ZERO_GPU_RATE = 1.5e14  # operations a second on a slice of a card
CPU_RATE = 1e13  # of tiny models, whose autoencoders are tiny too
SYSTEMS = {"iad": "IaD", "consisid": "ConsisID", "id-animator": "ID-Animator"}
SOURCES = {"consisid": "IAD_CONSISID", "id-animator": "IAD_ID_ANIMATOR"}  # variables with folders or hub ids
CACHES = ("first-block", "taylorseer", "pab")  # "mag" needs numbers that nobody has measured
ZERO_GPU_ARMS = ("iad", "id-animator")  # both fit; ConsisID is a second model of five billion parameters
ZERO_GPU_MEMORY = "full"  # each call has its own process: nothing of it should move twice
MOST_SECONDS = 80  # a visitor without an account has 120 a day, and some cards count half as much again
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


@dataclass(frozen=True)
class Settings:
    """What whoever runs the page has set in its environment."""

    adapter: str | None
    memory: str
    cache: str | None
    arms: tuple[str, ...]
    baselines: dict[str, str]
    device: str | None
    most_seconds: int | None

    @classmethod
    def read(cls, hardware: Hardware) -> "Settings":
        """Read the environment.

        Raises:
            ValueError: a cache or an arm that there is not.
        """
        here, zero = os.environ, hardware.accelerator == "zerogpu"
        cache, arms = here.get("IAD_STEP_CACHE") or None, here.get("IAD_ARMS")
        if cache not in (None, *CACHES):
            raise ValueError(f"IAD_STEP_CACHE is {cache!r}; choose one of {', '.join(CACHES)}, or unset it.")
        wanted = tuple(arms.replace(",", " ").split()) if arms else ZERO_GPU_ARMS if zero else ARMS
        if unknown := [arm for arm in wanted if arm not in ARMS]:
            raise ValueError(f"IAD_ARMS names {unknown[0]!r}; choose from {', '.join(ARMS)}.")
        return cls(
            adapter=here.get("IAD_ADAPTER") or None,
            memory=here.get("IAD_MEMORY") or (ZERO_GPU_MEMORY if zero else "auto"),
            cache=cache,
            arms=tuple(arm for arm in ARMS if arm in wanted),
            baselines={arm: here[name] for arm, name in SOURCES.items() if here.get(name)},
            device=here.get("IAD_DEVICE") or None,
            most_seconds=read_whole("IAD_GPU_SECONDS", MOST_SECONDS) if zero else None,
        )


def read_whole(name: str, default: int) -> int:
    """Read a whole number from the environment.

    Raises:
        ValueError: it is something else.
    """
    value = os.environ.get(name) or str(default)
    if not value.isdecimal():
        raise ValueError(f"{name} is {value!r}; set it to a whole number, such as {default or 60}.")
    return int(value)


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
    """Tell whether the app can serve its endpoints as MCP tools, which needs the package `mcp`."""
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
