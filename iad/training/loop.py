"""The one training loop: every stage runs through `fit`, on a CPU or a GPU, and can be killed and resumed.

A stage brings its modules, its batches and its losses; the loop brings the optimiser, the averaged weights,
the budget, the log, the checkpoints and the pictures. Batches and noise follow from seed and step alone, and
so does the learning rate where steps bound a run: killed at any moment and resumed, it ends in the same bits.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from iad.media.video import save_picture
from iad.training.state import STATE, restore_state, save_state
from iad.training.timetable import LoopConfig, get_device

AVERAGE_EVERY = 4  # steps
EMA_DECAY = 0.996
CHECKPOINTS = 4  # of a run that steps bound, beside those that are due by the clock
PREFETCHED = 4  # batches of each process that makes them
MOST_STEPS = 10**9  # of a run


class Paused(Exception):  # noqa: N818 (nothing went wrong)
    """Training was asked to stop and left a checkpoint; its words say where."""


class Stage(Dataset):
    """What a stage of training offers; pictures and snapshots only where it has some."""

    name: str
    model: nn.Module  # holds every trained module as a child

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.model.parameters()).device

    def batch(self, step: int) -> Any:
        """Make the batch of one step; the same step always gives the same batch."""
        raise NotImplementedError

    def losses(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return the loss terms by name, of a batch on the model's device; "total" is what is minimised."""
        raise NotImplementedError

    def __getitem__(self, step: int) -> Any:
        """Make the batch of one step for a loader of data."""
        return self.batch(step)

    def picture(self, model: nn.Module) -> Sequence[Iterable[UInt8[np.ndarray, "h w 3"]]]:
        """Return the rows of a contact sheet of what `model` can do now."""
        return ()

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Return small tensors to keep for the curves of the tutorials."""
        return {}


def to_device(batch: Any, device: torch.device) -> Any:
    """Bring a nested batch to a device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def fit(stage: Stage, config: LoopConfig) -> nn.Module:
    """Train `stage` within its budget and return the averaged model.

    Writes `log.jsonl`, `checkpoint/` (weights, averaged weights, optimiser, step), `pictures/` and
    `snapshots/` below `config.output`. With `resume` it goes on from the last checkpoint, if there is one.

    Raises:
        Paused: `config.should_stop` said so.
    """
    config.output.mkdir(parents=True, exist_ok=True)
    run = _Run(stage, config)
    millions = sum(p.numel() for p in run.learner.parameters) / 1e6
    where = f"on {run.learner.device}, from step {run.step}"
    print(f"{stage.name}: {millions:.2f} M trained parameters {where}", flush=True)
    begun, start = time.monotonic(), run.step
    run.train()
    speed = (run.step - start) / max(time.monotonic() - begun, 1e-9)
    print(f"{stage.name}: {run.step} steps, {speed:.3g} a second", flush=True)
    return run.average.module


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


class Learner:
    """A stage's model with its optimiser, on the device where training happens."""

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

    def learn(self, batch: Any, step: int, *, left: float) -> dict[str, Tensor]:
        """Take one step, with such a share of the budget left; returns the terms of the loss."""
        torch.manual_seed(self.config.seed * 1_000_003 + step)  # noise is the step's own
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(step, left)
        halved = self.device.type == "cuda" and self.config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=halved):
            terms = self.stage.losses(to_device(batch, self.device), step)
        terms["total"].backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return terms | {"gradient": norm}


class _Run:
    """Learner, averaged weights and clock of one call of `fit`."""

    def __init__(self, stage: Stage, config: LoopConfig):
        self.stage, self.config, self.learner = stage, config, Learner(stage, config)
        self.average = torch.optim.swa_utils.AveragedModel(stage.model, multi_avg_fn=_lerp_average)
        if not config.resume:  # a later run must not go on from an earlier one's
            (config.output / STATE).unlink(missing_ok=True)
        parts = stage.model, self.average, self.learner.optimizer
        self.step, seconds = restore_state(config.output, *parts)
        cut_log(config.output / "log.jsonl", self.step)
        self.clock = Clock(config, spent=seconds, fresh=self.step == 0)

    def train(self) -> None:
        """Go on until steps or minutes are over; leaves a checkpoint, a picture and a snapshot."""
        from tqdm import tqdm

        steps, seconds = self.config.max_steps, self.config.minutes * 60
        unit, whole = ("step", steps) if steps else ("s", seconds)
        bar = tqdm(total=round(whole), unit=unit, desc=self.stage.name, mininterval=5)
        batches = _make_batches(self.stage, self.step, self.config.workers)
        while not self.clock.over(self.step):
            terms = self.learner.learn(next(batches), self.step, left=self.clock.left(self.step))
            self.step += 1
            if self.step % AVERAGE_EVERY == 0:
                self.average.update_parameters(self.stage.model)
            if self.step % self.config.log_every == 0:
                self._log(terms)
                bar.n = min(bar.total, self.step if unit == "step" else round(self.clock.elapsed()))
                bar.set_postfix(step=self.step, total=f"{float(terms['total'].detach()):.4f}")
            self._look_up()
        if not self.average.n_averaged:  # a very short run
            self.average.update_parameters(self.stage.model)
        self.save()
        self.show("picture", "snapshot")
        bar.close()

    def _look_up(self) -> None:
        """Do what is due between two steps."""
        self.show(*(kind for kind in ("snapshot", "picture") if self.clock.due(kind)))
        steps = self.config.max_steps
        if self.clock.due("checkpoint") or (steps and self.step % -(-steps // CHECKPOINTS) == 0):
            self.save()
        if self.config.should_stop and self.config.should_stop():
            self.save()
            raise Paused(f"{self.stage.name} paused after step {self.step}")

    def save(self) -> None:
        """Write everything that a resumed run needs."""
        parts = self.stage.model, self.average, self.learner.optimizer
        save_state(self.config.output, *parts, step=self.step, seconds=self.clock.elapsed())

    @torch.no_grad()
    def show(self, *kinds: Literal["picture", "snapshot"]) -> None:
        """Write pictures or snapshots of the averaged model."""
        model, name = self.average.module.eval(), f"{self.step:07d}"
        if "picture" in kinds and len(rows := self.stage.picture(model)):
            (self.config.output / "pictures").mkdir(exist_ok=True)
            sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
            save_picture(self.config.output / "pictures" / f"{name}.png", sheet)
        if "snapshot" in kinds and (tensors := self.stage.snapshot(model)):
            (self.config.output / "snapshots").mkdir(exist_ok=True)
            half = {key: value.half().contiguous().cpu() for key, value in tensors.items()}
            save_file(half, self.config.output / "snapshots" / f"{name}.safetensors")
        model.train()

    def _log(self, terms: dict[str, Tensor]) -> None:
        log = self.config.output / "log.jsonl"
        append_line(log, self.step, self.clock.elapsed(), to_numbers(terms))


def append_line(log: Path, step: int, seconds: float, numbers: dict[str, float]) -> None:
    """Add a step's numbers to a log."""
    with log.open("a") as file:
        file.write(json.dumps({"step": step, "minutes": round(seconds / 60, 3)} | numbers) + "\n")


def to_numbers(terms: dict[str, Any]) -> dict[str, float]:
    """Return terms of a loss as they are logged."""
    return {name: round(float(torch.as_tensor(value).detach()), 6) for name, value in terms.items()}


def _make_batches(stage: Stage, start: int, workers: int) -> Iterator[Any]:
    """Return the batches of all steps from `start` on, in order."""
    if not workers:
        return (stage.batch(step) for step in count(start))
    more = {"collate_fn": _as_it_is, "worker_init_fn": _work_alone, "prefetch_factor": PREFETCHED}
    steps = range(start, start + MOST_STEPS)
    return iter(DataLoader(stage, batch_size=None, sampler=steps, num_workers=workers, **more))


def _work_alone(_: int) -> None:
    cv2.setNumThreads(0)  # its threads did not come along, and the other processes have the other cores


def _as_it_is(batch: Any) -> Any:
    return batch


def _lerp_average(averaged: Iterable[Tensor], current: Iterable[Tensor], count: Tensor | int) -> None:
    decay = min(EMA_DECAY, (1 + float(count)) / (10 + float(count)))  # young averages forget faster
    torch._foreach_lerp_(list(averaged), list(current), 1 - decay)


def cut_log(path: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run makes again, and all of them where it begins anew."""
    if path.exists():
        lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        path.write_text("".join(line for line in lines if json.loads(line)["step"] <= step))
