"""Checkpoints: weights, optimiser and where a training stood, in one safetensors file, whole or not at all.

Nothing else needs keeping, for batches, noise and learning rate follow from seed and step alone. A small
model's has averaged weights too. A full-size one's has only what is trained, gathered from all processes
under names that do not depend on how the model was wrapped; its few facts stand in the header.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from iad.checkpoint import check_fit, open_tensors, read_tensors, write_tensors, write_whole

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
        found = _part(tensors, prefix).items()
        fitting = {k: v for k, v in found if k in own and own[k].shape == v.shape}
        module.load_state_dict(fitting, strict=False)
    average.n_averaged.copy_(tensors["average_count"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
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


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def read_progress(output: Path) -> tuple[int, float]:
    """Return the steps and the seconds of the last checkpoint below `output`; nothing where there is none."""
    if not (output / STATE).exists():
        return 0, 0.0
    with open_tensors(output / STATE) as file:
        return int(file.get_tensor("step")), float(file.get_tensor("seconds"))


def save_wrapped(output: Path, model: nn.Module, optimizer, *, facts: dict[str, Any], main: bool) -> None:
    """Write what is trained of a wrapped model, and its optimiser; every process calls, `main` writes.

    Args:
        output: as of `save_state`.
        model: as `accelerate` wrapped it; shards are gathered.
        optimizer: None where it is kept by somebody else.
        facts: small values of JSON, such as the step.
        main: this process writes.
    """
    from torch.distributed.checkpoint import state_dict as gathered

    options = gathered.StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    trained = {name.removeprefix("module.") for name, p in model.named_parameters() if p.requires_grad}
    state = gathered.get_model_state_dict(model, options=options)
    tensors = {f"model.{name}": value for name, value in state.items() if name in trained}
    if optimizer is not None:
        moments = gathered.get_optimizer_state_dict(model, optimizer, options=options).get("state", {})
        for name, values in moments.items():
            tensors |= {f"optimizer.{name}:{key}": torch.as_tensor(v) for key, v in values.items()}
    if main:
        (output / STATE).parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.detach().cpu().clone() for name, value in tensors.items()}
        write_whole(output / STATE, save(tensors, metadata={"facts": json.dumps(facts)}))


def read_facts(output: Path) -> dict[str, Any] | None:
    """Return what was noted beside the last checkpoint of a wrapped model; None where there is none."""
    if not (output / STATE).exists():
        return None
    with open_tensors(output / STATE) as file:
        facts = (file.metadata() or {}).get("facts")
    if facts is None:
        raise ValueError(f"{output / STATE} is no checkpoint of a full-size model; delete it to begin anew.")
    return json.loads(facts)


def read_trained(output: Path) -> dict[str, Tensor]:
    """Return the trained weights of the last checkpoint by name."""
    return _part(read_tensors(output / STATE), "model.")


def load_trained(output: Path, model: nn.Module) -> None:
    """Fill what is trained from the last checkpoint, before the model is wrapped.

    Raises:
        ValueError: it was made with other parts or sizes.
    """
    state = read_trained(output)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    check_fit(trained, state, what=f"weights of the checkpoint in {output}")
    model.load_state_dict(state, strict=False)


def load_moments(output: Path, model: nn.Module, optimizer) -> None:
    """Fill the optimiser of a wrapped model from the last checkpoint."""
    from torch.distributed.checkpoint import state_dict as gathered

    state: dict[str, dict[str, Tensor]] = {}
    for key, value in _part(read_tensors(output / STATE), "optimizer.").items():
        name, what = key.rsplit(":", 1)
        state.setdefault(name, {})[what] = value
    options = gathered.StateDictOptions(full_state_dict=True, ignore_frozen_params=True)
    groups = gathered.get_optimizer_state_dict(model, optimizer, options=options)["param_groups"]
    whole = {"state": state, "param_groups": groups}
    gathered.set_optimizer_state_dict(model, optimizer, whole, options=options)
