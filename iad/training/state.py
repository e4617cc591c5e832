"""Checkpoints of the training loop: weights, averaged weights, optimiser, step and seconds, in one file.

Whole or not at all, and without pickles: safetensors.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from iad.checkpoint import write_tensors

STATE = "checkpoint/state.safetensors"


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
    """
    if not (output / STATE).exists():
        return 0, 0.0
    trained = optimizer.param_groups[0]["params"]
    tensors = load_file(output / STATE, device=str(trained[0].device))
    model.load_state_dict(_fitting(_part(tensors, "model."), model), strict=False)
    average.module.load_state_dict(_fitting(_part(tensors, "average."), model), strict=False)
    average.n_averaged.copy_(tensors["average_count"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".")
        if value.ndim == 0 or value.shape == trained[int(index)].shape:
            state.setdefault(int(index), {})[name] = value
    state = {index: values for index, values in state.items() if len(values) == 3}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(tensors["step"]), float(tensors.get("seconds", 0.0))


def _fitting(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    own = model.state_dict()
    return {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def read_progress(output: Path) -> tuple[int, float]:
    """Return the steps and the seconds of the last checkpoint below `output`; nothing where there is none."""
    path = output / STATE
    if not path.exists():
        return 0, 0.0
    with safe_open(path, framework="pt") as file:
        return int(file.get_tensor("step")), float(file.get_tensor("seconds"))


def load_average(output: Path) -> dict[str, Tensor]:
    """Return the averaged weights of the last checkpoint below `output`, by parameter name."""
    return _part(load_file(output / STATE), "average.")
