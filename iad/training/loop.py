"""The one training loop: every stage runs through `fit`, on a CPU or a GPU, and can be killed and resumed.

A stage brings its modules, its batches and its losses; the loop brings the optimiser, the averaged weights,
the budget, the log, the checkpoints and the pictures. Batches and noise follow from seed and step alone, and
so does the learning rate where steps bound a run: killed at any moment and resumed, it ends in the same bits.
A checkpoint is one safetensors file, whole or not at all: weights, averaged weights, optimiser and step.
"""

import json
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from iad.checkpoint import open_tensors, read_tensors, write_tensors
from iad.media.video import save_picture
from iad.training.timetable import Clock, LoopConfig, get_device

T = TypeVar("T")
STATE = "checkpoint/state.safetensors"
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


def save_state(
    output: Path,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    seconds: float,
) -> None:
    """Write everything that a resumed run needs below `output`."""
    tensors = {f"model.{k}": v for k, v in _once(model).items()}
    tensors |= {f"average.{k}": v for k, v in _once(average.module).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors |= {"average_count": average.n_averaged, "step": torch.tensor(step)}
    tensors["seconds"] = torch.tensor(seconds, dtype=torch.float64)
    (output / STATE).parent.mkdir(exist_ok=True)
    write_tensors(output / STATE, tensors)


def _once(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's state with weights that several of its parts share under their first name only."""
    names = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
    return {k: v for k, v in model.state_dict().items() if k in names}


def restore_state(
    output: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Go on from the last checkpoint, if there is one; returns its step and the seconds spent until then.

    Tensors of another shape (a table of persons that grew) start anew.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    if not (output / STATE).exists():
        return 0, 0.0
    trained = optimizer.param_groups[0]["params"]
    tensors = read_tensors(output / STATE, device=str(trained[0].device))
    if not {"step", "average_count"} <= tensors.keys():
        raise ValueError(f"{output / STATE} is no checkpoint of a small model; delete it to begin anew.")
    own = model.state_dict()
    for module, prefix in ((model, "model."), (average.module, "average.")):
        found = part_of(tensors, prefix).items()
        fitting = {k: v for k, v in found if k in own and own[k].shape == v.shape}
        module.load_state_dict(fitting, strict=False)
    average.n_averaged.copy_(tensors["average_count"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in part_of(tensors, "optimizer.").items():
        index, name = key.split(".")
        if value.ndim == 0 or value.shape == trained[int(index)].shape:
            state.setdefault(int(index), {})[name] = value
    state = {index: values for index, values in state.items() if len(values) == 3}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(tensors["step"]), float(tensors.get("seconds", 0.0))


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Read an npz that can be made again; None where it is missing or damaged."""
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def keep_arrays(path: Path, kind: type[T], make: Callable[[], T], *, anew: bool = False) -> T:
    """Open a dataclass of arrays; make it first where it is missing, damaged or another, or `anew`."""
    arrays = None if anew else read_arrays(path)
    if arrays and arrays.keys() == {field.name for field in fields(kind)}:
        return kind(**arrays)
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("part.npz")
    np.savez(part, **vars(made))
    part.replace(path)  # so that what is there is whole
    return made


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return what has such names, without their beginning."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def read_progress(output: Path) -> tuple[int, float]:
    """Return the steps and the seconds of the last checkpoint below `output`; nothing where there is none."""
    if not (output / STATE).exists():
        return 0, 0.0
    with open_tensors(output / STATE) as file:
        return int(file.get_tensor("step")), float(file.get_tensor("seconds"))
