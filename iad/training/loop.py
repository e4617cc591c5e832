"""The one training loop: every stage runs through `fit`, on a CPU or a GPU, and can be killed and resumed.

A stage brings its modules, its batches and its losses; the loop brings the optimiser, the averaged weights,
the time budget, the log, the checkpoints and the pictures.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

AVERAGE_EVERY = 4  # steps
EMA_DECAY = 0.996


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
    """Budget and step sizes of one run."""

    output: Path
    minutes: float = 10.0
    resume: bool = False
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 100  # steps
    cooldown: float = 0.25  # share of the time budget in which the learning rate falls to a twentieth
    log_every: int = 20
    picture_minutes: float = 5.0
    checkpoint_minutes: float = 4.0
    snapshots: int = 10
    max_steps: int | None = None


def fit(stage: Stage, config: LoopConfig) -> nn.Module:
    """Train `stage` within its time budget and return the averaged model.

    Writes `log.jsonl`, `checkpoint/` (weights, averaged weights, optimiser, step), `pictures/` and
    `snapshots/` below `config.output`. With `resume` it goes on from the last checkpoint, if there is one.
    """
    from accelerate import Accelerator
    from tqdm import tqdm

    config.output.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision="bf16" if torch.cuda.is_available() else "no")
    parameters = [p for p in stage.model.parameters() if p.requires_grad]
    decay = config.weight_decay
    optimizer = torch.optim.AdamW(
        parameters, config.learning_rate, (0.9, 0.99), weight_decay=decay, fused=True
    )
    average = torch.optim.swa_utils.AveragedModel(stage.model, multi_avg_fn=_lerp_average)
    start = _restore(stage.model, average, optimizer, config) if config.resume else 0
    model, optimizer = accelerator.prepare(stage.model, optimizer)
    average.to(accelerator.device)
    stage.model = accelerator.unwrap_model(model)
    millions = sum(p.numel() for p in parameters) / 1e6
    where = f"on {accelerator.device}, from step {start}"
    print(f"{stage.name}: {millions:.2f} M trained parameters {where}", flush=True)

    clock = _Clock(config)
    bar = tqdm(total=round(config.minutes * 60), unit="s", desc=stage.name, mininterval=5)
    step = start
    while not clock.over() and (config.max_steps is None or step < config.max_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * clock.rate(step - start)
        with accelerator.autocast():
            terms = stage.losses(stage.batch(step), step)
        accelerator.backward(terms["total"])
        norm = accelerator.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % AVERAGE_EVERY == 0:
            average.update_parameters(stage.model)
        if step % config.log_every == 0:
            _log(config.output, step, clock, terms | {"gradient": norm})
            bar.n = min(bar.total, round(clock.elapsed()))
            bar.set_postfix(step=step, total=f"{float(terms['total'].detach()):.4f}")
        if clock.due("snapshot"):
            _snapshot(stage, average.module, step, config.output)
        if clock.due("picture"):
            _picture(stage, average.module, step, config.output)
        if clock.due("checkpoint"):
            save_checkpoint(config.output, stage.model, average, optimizer, step)
    if not average.n_averaged:  # a very short run
        average.update_parameters(stage.model)
    save_checkpoint(config.output, stage.model, average, optimizer, step)
    _picture(stage, average.module, step, config.output)
    _snapshot(stage, average.module, step, config.output)
    bar.close()
    return average.module


class _Clock:
    """Wall-clock budget: what is over, what is due, and the learning rate that follows from it."""

    def __init__(self, config: LoopConfig):
        self.config, self.begun = config, time.monotonic()
        self.every = {
            "picture": config.picture_minutes * 60,
            "checkpoint": config.checkpoint_minutes * 60,
            "snapshot": config.minutes * 60 / max(1, config.snapshots),
        }
        self.last = dict.fromkeys(self.every, self.begun)
        self.last["snapshot"] -= self.every["snapshot"]  # the first one shows the start

    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def over(self) -> bool:
        return self.elapsed() > self.config.minutes * 60

    def due(self, key: str) -> bool:
        now = time.monotonic()
        if now - self.last[key] < self.every[key]:
            return False
        self.last[key] = now
        return True

    def rate(self, step: int) -> float:
        left = 1 - self.elapsed() / (self.config.minutes * 60)
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


def save_checkpoint(
    output: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write everything that a resumed run needs, whole or not at all."""
    tensors = {f"model.{k}": v for k, v in _once(model).items()}
    tensors |= {f"average.{k}": v for k, v in _once(average.module).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors |= {"average_count": average.n_averaged, "step": torch.tensor(step)}
    folder = output / "checkpoint"
    folder.mkdir(exist_ok=True)
    part = folder / "state.part"
    save_file({k: v.detach().cpu().clone() for k, v in tensors.items()}, part)
    part.replace(folder / "state.safetensors")


def _once(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's state with weights that several of its parts share under their first name only."""
    names = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
    return {k: v for k, v in model.state_dict().items() if k in names}


def _restore(
    model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, config: LoopConfig
) -> int:
    """Go on from the last checkpoint; tensors of another shape (a table of persons that grew) start anew."""
    path = config.output / "checkpoint" / "state.safetensors"
    if not path.exists():
        return 0
    tensors = load_file(path)
    model.load_state_dict(_fitting(_part(tensors, "model."), model), strict=False)
    average.module.load_state_dict(_fitting(_part(tensors, "average."), model), strict=False)
    average.n_averaged.copy_(tensors["average_count"])
    trained = optimizer.param_groups[0]["params"]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".")
        if value.ndim == 0 or value.shape == trained[int(index)].shape:
            state.setdefault(int(index), {})[name] = value
    state = {index: values for index, values in state.items() if len(values) == 3}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(tensors["step"])


def _fitting(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    own = model.state_dict()
    return {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def load_average(output: Path) -> dict[str, Tensor]:
    """Return the averaged weights of the last checkpoint below `output`, by parameter name."""
    return _part(load_file(output / "checkpoint" / "state.safetensors"), "average.")
