"""Every network of one model size: built, sorted into weight files, and filled from them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from iad import checkpoint
from iad.config import Preset
from iad.decoupling import create_decoupling
from iad.faces.recogniser import DIM
from iad.geometry.refining import create_refiner
from iad.models.adapters import is_adapter_key
from iad.models.autoencoder import create_autoencoder
from iad.models.baselines import Baseline, create_baseline
from iad.models.closed_form import Recognised
from iad.models.encoders import create_face_encoder
from iad.models.reading import create_reader
from iad.models.transformer import create_transformer
from iad.performing import Performer

NETWORKS = {  # weight file -> the network that it fills; "decoupling-heads" holds several
    "recogniser": "recogniser",
    "autoencoder": "autoencoder",
    "encoder": "encoder",
    "reader": "reader",
    "performing": "performer",
    "refiner": "refiner",
    "decoupling": "decoupler",
    "base": "transformer",
    "adapters-iad": "transformer",
}
OPTIONAL = ("recogniser", "refiner", "decoupling-heads")  # the last only teach the split


def create_parts(preset: Preset) -> nn.ModuleDict:
    """Build every network of a preset with random weights."""
    parts = {
        "autoencoder": create_autoencoder(preset),
        "encoder": create_face_encoder(preset),
        "reader": create_reader(preset),
        "transformer": create_transformer(preset),
        "performer": Performer(preset),
        "refiner": create_refiner(preset),
    }
    if preset.decoupler.dim == DIM:  # the recogniser's embedding is one token
        parts["recogniser"] = Recognised(preset.decoupler.code_dim)
    return nn.ModuleDict(parts | dict(create_decoupling(preset).items()))


def split_parts(parts: nn.ModuleDict) -> dict[str, dict[str, Tensor]]:
    """Sort weights into files: the base transformer and the adapters stay apart."""
    files = {file: parts[name].state_dict() for file, name in NETWORKS.items() if name in parts}
    for file in ("base", "adapters-iad"):
        files[file] = {k: v for k, v in files[file].items() if is_adapter_key(k) == (file == "adapters-iad")}
    heads = {name: module for name, module in parts.items() if name not in NETWORKS.values()}
    return files | {"decoupling-heads": nn.ModuleDict(heads).state_dict()}


def open_parts(preset: Preset, folder: Path) -> nn.ModuleDict:
    """Build every network of a preset and fill it from a weights folder.

    Nothing of the preset's sizes is allocated before the weights are known to have them.

    Raises:
        ValueError: the sizes make no model, a file is missing or altered, or its weights do not fit.
    """
    try:
        with torch.device("meta"):
            outline = create_parts(preset)
    except (ArithmeticError, AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        what = f"The sizes in {folder} make no model ({reason:.120})"
        raise ValueError(f"{what}; use weights as they came.") from error
    state = read_parts(outline, folder)
    parts = create_parts(preset)
    parts.load_state_dict(parts.state_dict() | state)
    return parts


def load_parts(parts: nn.ModuleDict, folder: Path, *, only: Sequence[str] | None = None) -> None:
    """Fill networks from a weights folder, whole files at a time.

    Raises:
        ValueError: a file is missing or altered, or its weights do not fit.
    """
    parts.load_state_dict(parts.state_dict() | read_parts(parts, folder, only=only))


def read_parts(
    parts: nn.ModuleDict, folder: Path, *, only: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Read the weights of networks from a folder; what is wrong with them is said as by `load_parts`."""
    state: dict[str, Tensor] = {}
    for name, expected in split_parts(parts).items():
        if only and name not in only or name in OPTIONAL and not checkpoint.has_part(folder, name):
            continue
        loaded = checkpoint.load_part(folder, name)
        checkpoint.check_fit(expected, loaded, what=f"{name!r} weights in {folder}")
        prefix = f"{NETWORKS[name]}." if name in NETWORKS else ""
        state |= {prefix + k: v for k, v in loaded.items()}
    return state


def arm_part(arm: str) -> str:
    """Return the name of the weight file of an arm's own reader and adapters."""
    return f"arm-{arm}"


def find_arms(folder: Path, arms: Sequence[str]) -> tuple[str, ...]:
    """List which of `arms` have weights in a folder; "iad" is part of every model."""
    return tuple(arm for arm in arms if arm == "iad" or checkpoint.has_part(folder, arm_part(arm)))


def load_baseline(arm: str, preset: Preset, parts: nn.ModuleDict, folder: Path) -> Baseline:
    """Build a baseline arm on the base transformer of `parts` and fill it from a weights folder.

    Raises:
        ValueError: its weights are missing, altered, or of another model.
    """
    baseline = create_baseline(arm, preset, parts["transformer"])
    baseline.load_own_state(checkpoint.load_part(folder, arm_part(arm)))
    return baseline.eval().requires_grad_(False)
