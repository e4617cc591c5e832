"""The one training loop: every stage runs through `fit`, on a CPU or a GPU, and can be killed and resumed.

A stage brings its modules, its batches and its losses; the loop brings the optimiser, the averaged weights,
the budget, the log, the checkpoints and the pictures. Batches and noise follow from seed and step alone, and
so does the learning rate where steps bound a run: killed at any moment and resumed, it ends in the same bits.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import cv2
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from iad.training.plan import PLAN
from iad.training.state import STATE, restore_state, save_state

AVERAGE_EVERY = 4  # steps
EMA_DECAY = 0.996
CHECKPOINTS = 4  # of a run that steps bound, beside those that are due by the clock
PREFETCHED = 4  # batches of each process that makes them


class Paused(Exception):  # noqa: N818 (nothing went wrong)
    """Training was asked to stop and left a checkpoint; its words say where."""


@runtime_checkable
class Stage(Protocol):
    """What a stage of training has to offer."""

    name: str
    model: nn.Module  # holds every trained module as a child

    def batch(self, step: int) -> Any:
        """Make the batch of one step; the same step always gives the same batch."""
        ...

    def losses(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return the loss terms by name; "total" is what is minimised."""
        ...

    def picture(self, model: nn.Module, path: Path) -> None:
        """Save a contact sheet of what `model` can do now."""
        ...

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Return small tensors to keep for the curves of the tutorials; may be empty."""
        ...


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


def get_device() -> torch.device:
    """Return where training happens: the GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def enlarge(stage: str) -> int:
    """Return how many times as large as on a CPU a stage's batches are."""
    return PLAN[stage].enlarged if get_device().type == "cuda" else 1


def fit(stage: Stage, config: LoopConfig) -> nn.Module:
    """Train `stage` within its budget and return the averaged model.

    Writes `log.jsonl`, `checkpoint/` (weights, averaged weights, optimiser, step), `pictures/` and
    `snapshots/` below `config.output`. With `resume` it goes on from the last checkpoint, if there is one.

    Raises:
        Paused: `config.should_stop` said so.
    """
    config.output.mkdir(parents=True, exist_ok=True)
    run = _Run(stage, config)
    millions = sum(p.numel() for p in run.parameters) / 1e6
    print(
        f"{stage.name}: {millions:.2f} M trained parameters on {run.device}, from step {run.step}", flush=True
    )
    begun, start = time.monotonic(), run.step
    run.train()
    speed = (run.step - start) / max(time.monotonic() - begun, 1e-9)
    print(f"{stage.name}: {run.step} steps, {speed:.3g} a second", flush=True)
    return run.average.module


class _Run:
    """Model, optimiser and clock of one call of `fit`."""

    def __init__(self, stage: Stage, config: LoopConfig):
        self.stage, self.config, self.device = stage, config, get_device()
        stage.model.to(self.device).train()
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
            # cuDNN's attention has no gradient of a bias, and with a mask its others may be NaN (torch 2.11)
            torch.backends.cuda.enable_cudnn_sdp(False)
        self.parameters = [p for p in stage.model.parameters() if p.requires_grad]
        rates = {"lr": config.learning_rate, "betas": (0.9, 0.99), "weight_decay": config.weight_decay}
        self.optimizer = torch.optim.AdamW(self.parameters, **rates, fused=True)
        self.average = torch.optim.swa_utils.AveragedModel(stage.model, multi_avg_fn=_lerp_average)
        if not config.resume:  # a later run must not go on from an earlier one's
            (config.output / STATE).unlink(missing_ok=True)
        self.step, seconds = restore_state(config.output, stage.model, self.average, self.optimizer)
        _cut_log(config.output / "log.jsonl", self.step)
        self.clock = _Clock(config, spent=seconds, fresh=self.step == 0)

    def train(self) -> None:
        """Go on until steps or minutes are over; leaves a checkpoint, a picture and a snapshot."""
        from tqdm import tqdm

        steps, seconds = self.config.max_steps, self.config.minutes * 60
        unit, whole = ("step", steps) if steps else ("s", seconds)
        bar = tqdm(total=round(whole), unit=unit, desc=self.stage.name, mininterval=5)
        batches = _make_batches(self.stage, self.step, self.config.workers)
        while not self.clock.over(self.step):
            terms = self._step(next(batches))
            if self.step % self.config.log_every == 0:
                _log(self.config.output, self.step, self.clock, terms)
                bar.n = min(bar.total, self.step if unit == "step" else round(self.clock.elapsed()))
                bar.set_postfix(step=self.step, total=f"{float(terms['total'].detach()):.4f}")
            self._look_up()
        if not self.average.n_averaged:  # a very short run
            self.average.update_parameters(self.stage.model)
        self.save()
        _picture(self.stage, self.average.module, self.step, self.config.output)
        _snapshot(self.stage, self.average.module, self.step, self.config.output)
        bar.close()

    def _step(self, batch: Any) -> dict[str, Tensor]:
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)  # noise is the step's own
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self.clock.rate(self.step)
        halved = self.device.type == "cuda" and self.config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=halved):
            terms = self.stage.losses(batch, self.step)
        terms["total"].backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self.average.update_parameters(self.stage.model)
        return terms | {"gradient": norm}

    def _look_up(self) -> None:
        """Do what is due between two steps."""
        for key, make in (("snapshot", _snapshot), ("picture", _picture)):
            if self.clock.due(key):
                make(self.stage, self.average.module, self.step, self.config.output)
        steps = self.config.max_steps
        if self.clock.due("checkpoint") or (steps and self.step % -(-steps // CHECKPOINTS) == 0):
            self.save()
        if self.config.should_stop and self.config.should_stop():
            self.save()
            raise Paused(f"{self.stage.name} paused after step {self.step}")

    def save(self) -> None:
        """Write everything that a resumed run needs."""
        output, spent = self.config.output, self.clock.elapsed()
        save_state(output, self.stage.model, self.average, self.optimizer, step=self.step, seconds=spent)


class _Steps(IterableDataset):
    """Batches of a stage from a step on, made by several processes in turn."""

    def __init__(self, stage: Stage, start: int):
        self.stage, self.start = stage, start

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        return (self.stage.batch(step) for step in count(self.start + worker.id, worker.num_workers))


def _make_batches(stage: Stage, start: int, workers: int) -> Iterator[Any]:
    """Return the batches of all steps from `start` on, in order."""
    if not workers:
        return (stage.batch(step) for step in count(start))
    return iter(
        DataLoader(
            _Steps(stage, start),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=PREFETCHED,
            collate_fn=_as_it_is,
            worker_init_fn=_work_alone,
        )
    )


def _work_alone(_: int) -> None:
    cv2.setNumThreads(0)  # its threads did not come along, and the other processes have the other cores


def _as_it_is(batch: Any) -> Any:
    return batch


class _Clock:
    """The budget: what is over, what is due, and the learning rate that follows from it."""

    def __init__(self, config: LoopConfig, *, spent: float, fresh: bool):
        self.config, self.now = config, time.monotonic()
        self.begun = self.now - (spent if config.total else 0.0)
        self.every = {
            "picture": config.picture_minutes * 60,
            "checkpoint": config.checkpoint_minutes * 60,
            "snapshot": config.minutes * 60 / max(1, config.snapshots),
        }
        self.last = dict.fromkeys(self.every, self.now)
        if fresh:
            self.last["snapshot"] -= self.every["snapshot"]  # the first one shows the start

    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def over(self, step: int) -> bool:
        steps = self.config.max_steps
        return self.elapsed() > self.config.minutes * 60 or (steps is not None and step >= steps)

    def due(self, key: str) -> bool:
        now = time.monotonic()
        if now - self.last[key] < self.every[key]:
            return False
        self.last[key] = now
        return True

    def rate(self, step: int) -> float:
        steps, whole = self.config.max_steps, self.config.minutes * 60
        left = 1 - (step / steps if steps else self.elapsed() / whole)
        return min(1.0, (step + 1) / self.config.warmup) * min(1.0, max(0.05, left / self.config.cooldown))


def _lerp_average(averaged: Iterable[Tensor], current: Iterable[Tensor], count: Tensor | int) -> None:
    decay = min(EMA_DECAY, (1 + float(count)) / (10 + float(count)))  # young averages forget faster
    torch._foreach_lerp_(list(averaged), list(current), 1 - decay)


def _log(output: Path, step: int, clock: _Clock, terms: dict[str, Tensor]) -> None:
    line = {"step": step, "minutes": round(clock.elapsed() / 60, 3)}
    line |= {name: round(float(torch.as_tensor(value).detach()), 6) for name, value in terms.items()}
    with (output / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@torch.no_grad()
def _picture(stage: Stage, model: nn.Module, step: int, output: Path) -> None:
    (output / "pictures").mkdir(exist_ok=True)
    model.eval()
    stage.picture(model, output / "pictures" / f"{step:07d}.png")
    model.train()


@torch.no_grad()
def _snapshot(stage: Stage, model: nn.Module, step: int, output: Path) -> None:
    model.eval()
    tensors = stage.snapshot(model)
    model.train()
    if tensors:
        (output / "snapshots").mkdir(exist_ok=True)
        half = {key: value.half().contiguous().cpu() for key, value in tensors.items()}
        save_file(half, output / "snapshots" / f"{step:07d}.safetensors")


def _cut_log(path: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run makes again, and all of them where it begins anew."""
    if path.exists():
        lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        path.write_text("".join(line for line in lines if json.loads(line)["step"] <= step))
