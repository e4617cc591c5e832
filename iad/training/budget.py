"""What one run of a stage may take: minutes or steps, step sizes, what is written how often; its clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from iad.decoupling import IdentityWeights, TextWeights
from iad.training.timetable import PLAN, Amounts, count_cores


def get_device() -> torch.device:
    """Return where training happens: the GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def enlarge(stage: str) -> int:
    """Return how many times as large as on a CPU a stage's batches are."""
    return PLAN[stage].enlarged if get_device().type == "cuda" else 1


@dataclass(frozen=True)
class LoopConfig:
    """Budget and step sizes of one run.

    Attributes:
        minutes: of this run, or with `total` of all runs since the first.
        max_steps: counted from the very first; the learning rate then follows steps instead of minutes.
        workers: processes that make batches beforehand; 0 makes them in between, which suits a CPU.
        should_stop: asked after every step; where it says so, `fit` leaves a checkpoint and raises `Paused`.
    """

    output: Path
    minutes: float = 10.0
    total: bool = False
    resume: bool = False
    seed: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    precision: Literal["bf16", "fp32"] = "bf16"
    warmup: int = 100  # steps
    cooldown: float = 0.25  # share of the budget in which the learning rate falls to a twentieth
    log_every: int = 20
    picture_minutes: float = 5.0
    checkpoint_minutes: float = 4.0
    snapshots: int = 10
    max_steps: int | None = None
    workers: int = 0
    should_stop: Callable[[], bool] | None = None

    def rate(self, step: int, left: float) -> float:
        """Return the learning rate of a step, with such a share of the budget left."""
        rising, falling = (step + 1) / self.warmup, max(0.05, left / self.cooldown)
        return self.learning_rate * (min(1.0, rising) * min(1.0, falling))


@dataclass(frozen=True)
class Options:
    """What the command line says of one stage's run.

    Attributes:
        minutes: of this run, or with `total` of all runs of the stage together.
        arms: that take turns in the stages adapters and joint.
        amounts: how much data there is to be made; those of the preset by default.
        checkpoint_minutes: between two checkpoints.
        should_stop: see `LoopConfig`.
        begun: by the monotonic clock, where the minutes are also those of what comes before the first step.
    """

    data: Path
    output: Path
    minutes: float = 10.0
    total: bool = False
    resume: bool = False
    seed: int = 0
    max_steps: int | None = None
    arms: tuple[str, ...] = ("iad",)
    identity_weights: IdentityWeights = IdentityWeights()
    text_weights: TextWeights = TextWeights()
    amounts: Amounts = Amounts()
    checkpoint_minutes: float = 4.0
    should_stop: Callable[[], bool] | None = None
    begun: float | None = None

    @property
    def weights(self) -> Path:
        """The folder that every finished stage adds to."""
        return self.output / "weights"

    def loop(self, stage: str, *, part: str = "", share: float = 1.0, **more: Any) -> LoopConfig:
        """Say how a stage runs through `fit`: what its row of the plan and these options say.

        Args:
            stage: a name in `PLAN`.
            part: of several that the stage trains, each in a folder of its own.
            share: of the minutes.
            more: other fields of `LoopConfig`.
        """
        row, minutes = PLAN[stage], self.minutes * share
        if self.begun is not None and not part:
            minutes = max(minutes - (time.monotonic() - self.begun) / 60, minutes / 4)
        shared = ("total", "resume", "seed", "max_steps", "checkpoint_minutes", "should_stop")
        given: dict[str, Any] = {name: getattr(self, name) for name in shared} | {
            "learning_rate": row.learning_rate,
            "precision": row.precision,
            "workers": min(row.workers, count_cores() - 1) if get_device().type == "cuda" else 0,
            "picture_minutes": min(5.0, max(minutes / 3, 0.2)),
        }
        return LoopConfig(output=self.output / stage / part, minutes=minutes, **(given | more))


class Clock:
    """The budget: what is over, what is left, and what is due."""

    def __init__(self, config: LoopConfig, *, spent: float, fresh: bool):
        self.config, now = config, time.monotonic()
        self.begun = now - (spent if config.total else 0.0)
        self.every = {
            "picture": config.picture_minutes * 60,
            "checkpoint": config.checkpoint_minutes * 60,
            "snapshot": config.minutes * 60 / max(1, config.snapshots),
        }
        self.last = dict.fromkeys(self.every, now)
        if fresh:
            self.last["snapshot"] -= self.every["snapshot"]  # the first one shows the start

    def elapsed(self) -> float:
        """Return the seconds that count."""
        return time.monotonic() - self.begun

    def left(self, step: int) -> float:
        """Return the share of steps or minutes that is left."""
        steps, whole = self.config.max_steps, self.config.minutes * 60
        return 1 - (step / steps if steps else self.elapsed() / whole)

    def over(self, step: int) -> bool:
        """Tell whether steps or minutes are over."""
        steps = self.config.max_steps
        return self.elapsed() > self.config.minutes * 60 or (steps is not None and step >= steps)

    def due(self, key: str) -> bool:
        """Tell whether something is due again; then it counts as done."""
        now = time.monotonic()
        if now - self.last[key] < self.every[key]:
            return False
        self.last[key] = now
        return True
