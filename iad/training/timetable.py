"""What is trained, in order: one table of stages, how much data each size of model gets, what a run may take.

`python -m iad train STAGE` trains one row of it, `python -m iad train mini` all rows that have a share of the
minutes. Nothing here loads torch before it is needed: the command line names the stages, and a machine may
lack packages and a network.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

WHOLE = "mini"  # the name of all stages together
RENDER_SHARE = 0.1  # of the minutes: clips and stills, as far as they are missing
MANY, MORE = 8, 3  # cores; so many times as many stills are made there


@dataclass(frozen=True)
class Row:
    """One stage.

    Attributes:
        share: of the minutes when everything is trained; shares need not add up to one.
        needs: weight files that must be there before.
        writes: weight files that it leaves.
        learning_rate: of AdamW.
        precision: of the forward pass on a GPU; weights and optimiser are float32 always. What regresses
            coordinates and coefficients, or pixels, wants more than bfloat16's three digits.
        enlarged: a batch on a GPU is so many times as large as on a CPU.
        workers: other processes that make batches for a GPU, at most.
        optional: trained with everything only where it is asked for.
    """

    share: float = 0.0
    needs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    learning_rate: float = 1e-3
    precision: Literal["bf16", "fp32"] = "fp32"
    enlarged: int = 4
    workers: int = 6
    optional: bool = False


SPLIT = ("decoupling", "decoupling-heads")
PLAN: dict[str, Row] = {
    "geometry": Row(0.01, writes=("geometry",)),
    "performing": Row(0.06, writes=("performing",), learning_rate=2e-3, workers=3),
    "autoencoder": Row(0.05, writes=("autoencoder",), learning_rate=1.5e-3, workers=2),
    "encoder": Row(0.09, writes=("encoder",)),
    "reader": Row(0.23, writes=("reader",), learning_rate=1.5e-3, workers=10),
    "refiner": Row(0.12, ("reader",), ("refiner",)),
    "decoupler": Row(0.08, ("autoencoder", "encoder"), SPLIT),
    "recogniser": Row(0.05, ("encoder", "reader", "decoupling"), ("recogniser",)),
    "base": Row(0.0, ("autoencoder", "encoder"), ("base",), precision="bf16"),
    "adapters": Row(
        0.0,
        ("autoencoder", "encoder", "decoupling", "base"),
        (*SPLIT, "adapters-iad"),
        precision="bf16",
    ),
    "joint": Row(
        0.36,
        ("autoencoder", "encoder", "decoupling"),
        (*SPLIT, "base", "adapters-iad"),
        precision="bf16",
        enlarged=8,
        workers=4,
    ),
    "scorers": Row(0.07, writes=("scorers-arc", "scorers-cur", "scorers-action"), learning_rate=2e-3),
    "ablations": Row(0.15, ("autoencoder", "encoder"), optional=True),
}
STAGES = tuple(PLAN)


@dataclass(frozen=True)
class Amounts:
    """How much data a model is trained on, at most; fewer minutes render less.

    Attributes:
        clips: of the pool.
        least: of them, before the first stage that needs clips may begin on a GPU.
        groups: of four clips, in a shard of the pool.
        people: photo people of the reader's stills.
        animated: stills of each of them, beside the photo itself.
        views: photo people whom the recogniser sees.
        geometry: make the compact head anew, which takes a minute; else the one that ships is taken.
    """

    clips: int = 4000
    least: int = 160
    groups: int = 5
    people: int = 10_000
    animated: int = 5
    views: int = 300
    geometry: bool = True

    @property
    def stills(self) -> dict[str, int]:
        """How many stills are made: of each person more, where many cores make them."""
        return {"people": self.people, "animated": self.animated * (MORE if count_cores() >= MANY else 1)}


AMOUNTS = {
    "mini": Amounts(),
    "mini-large": Amounts(clips=6000),
    "tiny": Amounts(clips=4, least=4, groups=1, people=2, views=2, geometry=False),
}


def choose_stages(*, ablations: bool = False) -> tuple[str, ...]:
    """List the stages that are trained when everything is."""
    return tuple(name for name, row in PLAN.items() if row.share and (ablations or not row.optional))


def share_minutes(minutes: float, stages: Sequence[str]) -> dict[str, float]:
    """Share minutes out over stages, and over "render", which makes what they learn from."""
    shares = {"render": RENDER_SHARE} | {name: PLAN[name].share for name in stages}
    whole = sum(shares.values())
    return {name: minutes * share / whole for name, share in shares.items()}


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_device() -> "torch.device":
    """Return where training happens: the GPU, if there is one."""
    import torch

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


@dataclass(frozen=True, kw_only=True)
class Options(LoopConfig):
    """What the command line says of one stage's run; `output` holds a folder for every stage.

    Attributes:
        data: a pool of clips; None those in `output / "clips"`.
        arms: that take turns in the stages adapters and joint.
        without: terms of both losses of the split that are left out.
        amounts: how much data there is to be made; those of the preset by default.
        begun: by the monotonic clock, where the minutes are also those of what comes before the first step.
    """

    data: Path | None = None
    arms: tuple[str, ...] = ("iad",)
    without: tuple[str, ...] = ()
    amounts: Amounts = Amounts()
    begun: float | None = None

    @property
    def clips(self) -> Path:
        """The folder with the pool of clips."""
        return self.data or self.output / "clips"

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
        given: dict[str, Any] = {
            "learning_rate": row.learning_rate,
            "precision": row.precision,
            "workers": min(row.workers, count_cores() - 1) if get_device().type == "cuda" else 0,
            "picture_minutes": min(5.0, max(minutes / 3, 0.2)),
        }
        return replace(self, output=self.output / stage / part, minutes=minutes, **(given | more))


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


NEEDED = {  # module: what installs it
    "torch": "torch", "safetensors": "safetensors", "diffusers": "diffusers", "transformers": "transformers",
    "huggingface_hub": "huggingface_hub", "tokenizers": "tokenizers", "numpy": "numpy", "numba": "numba",
    "scipy": "scipy", "cv2": "opencv-python-headless", "PIL": "pillow", "einops": "einops",
    "jaxtyping": "jaxtyping", "tqdm": "tqdm",
}  # fmt: skip
RECOGNISER = {  # of its stage alone, which is left out without them
    "sklearn": "scikit-learn", "skimage": "scikit-image", "dlib": "dlib-bin",
    "face_recognition_models": "face_recognition_models",
}  # fmt: skip


def list_missing(needed: dict[str, str] = NEEDED) -> list[str]:
    """Name the packages that are not installed, as pip knows them."""
    return [package for module, package in needed.items() if find_spec(module) is None]


def check_requirements() -> None:
    """Make sure that all packages of training are installed.

    Raises:
        ValueError: some are not; they are named in one sentence.
    """
    missing = list_missing()
    if missing:
        raise ValueError(
            f"Training needs packages that are not installed: {', '.join(missing)}; "
            f"pip install {' '.join(missing)}, with --no-index --find-links DIR where there is no network."
        )
