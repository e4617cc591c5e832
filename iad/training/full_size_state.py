"""Checkpoints of full-size training: what is trained, its optimiser, and where it stood, in one file.

No pickles: safetensors with a JSON header. Nothing else needs keeping, for batches, noise and learning
rate follow from seed and step alone.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

STATE = "state.safetensors"
MODEL, OPTIMIZER = "model.", "optimizer."


def save_state(folder: Path, model: nn.Module, optimizer, *, facts: dict[str, Any], main: bool) -> None:
    """Write trained weights and optimiser, whole or not at all; every process calls, `main` writes.

    Args:
        folder: holds the one file.
        model: as `accelerate` wrapped it; shards are gathered.
        optimizer: None where it is kept by somebody else.
        facts: small values of JSON, such as the step.
        main: this process writes.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    trained = {name.removeprefix("module.") for name, p in model.named_parameters() if p.requires_grad}
    state = get_model_state_dict(model, options=options)
    tensors = {MODEL + name: value for name, value in state.items() if name in trained}
    if optimizer is not None:
        for name, values in (
            get_optimizer_state_dict(model, optimizer, options=options).get("state", {}).items()
        ):
            tensors |= {f"{OPTIMIZER}{name}:{key}": torch.as_tensor(v) for key, v in values.items()}
    if main:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{STATE}.part"
        tensors = {name: value.detach().cpu().clone() for name, value in tensors.items()}
        save_file(tensors, part, metadata={"facts": json.dumps(facts)})
        part.replace(folder / STATE)


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Return what was noted beside the last checkpoint; None where there is none."""
    if not (folder / STATE).exists():
        return None
    with safe_open(folder / STATE, framework="pt") as file:
        return json.loads(file.metadata()["facts"])


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the trained weights of the last checkpoint by name."""
    return _read(folder, MODEL)


def load_weights(folder: Path, model: nn.Module) -> None:
    """Fill what is trained from the last checkpoint, before the model is wrapped.

    Raises:
        ValueError: it was made with other parts or sizes.
    """
    state = read_weights(folder)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    wrong = [k for k in trained if k not in state or state[k].shape != trained[k].shape]
    wrong += [k for k in state if k not in trained]
    if wrong:
        shown = ", ".join(wrong[:5])
        raise ValueError(
            f"The checkpoint in {folder} does not fit: {len(wrong)} weights are missing, extra or misshapen "
            f"({shown}); go on with the settings it was made with, or choose another output folder."
        )
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(state[name])


def load_optimizer(folder: Path, model: nn.Module, optimizer) -> None:
    """Fill the optimiser of a wrapped model from the last checkpoint."""
    state: dict[str, dict[str, Tensor]] = {}
    for key, value in _read(folder, OPTIMIZER).items():
        name, what = key.rsplit(":", 1)
        state.setdefault(name, {})[what] = value
    options = StateDictOptions(full_state_dict=True, ignore_frozen_params=True)
    groups = get_optimizer_state_dict(model, optimizer, options=options)["param_groups"]
    whole = {"state": state, "param_groups": groups}
    set_optimizer_state_dict(model, optimizer, whole, options=options)


def _read(folder: Path, prefix: str) -> dict[str, Tensor]:
    with safe_open(folder / STATE, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 (no mapping)
        return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
