"""Weights that a short training does not make: of networks that learn from data which tests do not have."""

from pathlib import Path

from iad import checkpoint
from iad.config import PRESETS
from iad.models.parts import create_parts, split_parts


def add_reader_and_performer(weights: Path) -> Path:
    """Add a random reader and a random T to a folder of the tiny preset's weights; returns the folder."""
    for name, state in split_parts(create_parts(PRESETS["tiny"])).items():
        if name in ("reader", "performing"):
            checkpoint.save_part(weights, name, state)
    return weights
