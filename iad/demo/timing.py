"""How long a clip of the full-size model will take: said before the click, and asked of ZeroGPU."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iad.config import BaseConfig, FullSizePreset
from iad.full_size.forms import RequestDefaults
from iad.request import Request

PATCH = 16  # pixels of a video token's side: 8 a latent, 2 latents a patch
FACE_TOKENS_COST = 1.1  # ConsisID's step beside the base's: its own adapters are larger than ours
UNET_STEP = 1.8e12  # operations a frame of ID-Animator's step at 512 x 512, both with and without words
DECODE = 1e8  # operations a pixel of a frame, of the autoencoder
STEP_SECONDS = 0.02  # that a step takes however little it computes
SETUP = {"zerogpu": 5.0, "cuda": 5.0, "cpu": 0.5}  # reading the words, looking at the faces
MOVING = {"zerogpu": 15.0}  # weights to the GPU, before a call begins
MARGIN = {"zerogpu": 1.2}  # what is asked for too little ends the work
LEAST, MOST = 0.3, 20.0  # times the expected seconds: a run of a single step says little
SLOWER = {"sequential": 2.5, "int8": 1.3, "fp8": 1.3}  # than a memory mode that computes as it is


@dataclass(frozen=True)
class Duration:
    """Seconds that a request takes: too many use up a visitor's day, too few end the work too early."""

    accelerator: str
    rate: float  # operations a second
    preset: FullSizePreset
    defaults: Mapping[str, RequestDefaults]  # by arm
    memory: str = "full"
    seen: dict[str, float] = field(default_factory=dict)  # by kind: real over expected seconds

    def __call__(self, request: Request, *_: Any) -> int:
        """Estimate one call, given its own arguments."""
        known = self.seen.get(_find_kind(request), SLOWER.get(self.memory, 1.0))
        seconds = SETUP[self.accelerator] + self._compute(request) * known
        seconds = MOVING.get(self.accelerator, 0.0) + seconds * MARGIN.get(self.accelerator, 1.0)
        return math.ceil(seconds)

    def learn(self, request: Request, seconds: float) -> None:
        """Take over how long a request really took."""
        ratio = (seconds - SETUP[self.accelerator]) / self._compute(request)
        self.seen[_find_kind(request)] = min(max(ratio, LEAST), MOST)

    def _compute(self, request: Request) -> float:
        made = self.defaults[request.arm]
        request = made.complete(request)
        frames, steps, pixels = request.num_frames, request.num_inference_steps, made.height * made.width
        if request.arm == "id-animator":
            operations = UNET_STEP * frames * pixels / 512**2
        else:
            tokens = self.preset.count_latents(frames) * pixels // PATCH**2 + self.preset.text.tokens
            operations = count_step(self.preset.base, tokens)
            operations *= FACE_TOKENS_COST if request.arm == "consisid" else 1.0
        return steps * (operations / self.rate + STEP_SECONDS) + DECODE * frames * pixels / self.rate


def _find_kind(request: Request) -> str:
    """Say what the time of a step depends on beside its size."""
    return f"{request.arm} {request.cache or ''}".strip()


def count_step(base: BaseConfig, tokens: int) -> float:
    """Count the operations of a denoising step, with the words and without.

    They are those of the linear layers, and of every token looking at every other.
    """
    linear = 2 * 12 * base.dim**2 * tokens
    return 2 * base.layers * (linear + 4 * tokens**2 * base.dim)


def write_seconds(seconds: float) -> str:
    """Write a length of time as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
