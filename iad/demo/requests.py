"""What is asked of the full-size model, and what whoever runs the page allows."""

import os
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from iad.config import ARMS
from iad.demo.hardware import Hardware

SYSTEMS = {"iad": "IaD", "consisid": "ConsisID", "id-animator": "ID-Animator"}
SOURCES = {"consisid": "IAD_CONSISID", "id-animator": "IAD_ID_ANIMATOR"}  # variables with folders or hub ids
CACHES = ("first-block", "taylorseer", "pab")  # "mag" needs numbers that nobody has measured
ZERO_GPU_ARMS = ("iad", "id-animator")  # both fit; ConsisID is a second model of five billion parameters
ZERO_GPU_MEMORY = "full"  # each call has its own process: nothing of it should move twice
MOST_SECONDS = 80  # a visitor without an account has 120 a day, and some cards count half as much again


@dataclass(frozen=True)
class Request:
    """What one call on the accelerator gets: plain data, because ZeroGPU draws in another process."""

    people: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
    prompt: str
    arm: str = "iad"
    steps: int | None = None  # None, here and below: as the system does by itself
    frames: int | None = None
    guidance_scale: float | None = None
    seed: int = 0
    driver: str | None = None  # a file whose face shows the action
    face: int | None = None
    identity_scale: float = 1.0
    action_scale: float = 1.0
    cache: str | None = None

    @property
    def kind(self) -> str:
        """What the time of a step depends on beside its size."""
        return f"{self.arm} {self.cache or ''}".strip()


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
            most_seconds=int(here.get("IAD_GPU_SECONDS") or MOST_SECONDS) if zero else None,
        )
