"""Weights beside those that a short training makes: random ones, and the averaged ones of its checkpoint."""

from pathlib import Path

from torch import Tensor

from iad import checkpoint
from iad.config import PRESETS
from iad.models.parts import create_parts, split_parts
from iad.training.loop import STATE


def add_reader_and_performer(weights: Path) -> Path:
    """Add a random reader and a random T to a folder of the tiny preset's weights; returns the folder."""
    for name, state in split_parts(create_parts(PRESETS["tiny"])).items():
        if name in ("reader", "performing"):
            checkpoint.save_part(weights, name, state)
    return weights


def load_average(output: Path) -> dict[str, Tensor]:
    """Return the averaged weights of the last checkpoint below `output`, by parameter name."""
    tensors = checkpoint.read_tensors(output / STATE)
    return {k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")}
