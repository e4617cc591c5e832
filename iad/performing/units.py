"""Track <-> action code: 57 expression weights as they are, head pose in units of 15 degrees."""

from typing import TypeVar

import numpy as np
from torch import Tensor

from iad.config import EXPRESSIONS

POSE_UNIT = 15.0  # degrees; a turn of the head by these counts as much as a weight of 1

Numbers = TypeVar("Numbers", np.ndarray, Tensor)


def track_to_code(track: Numbers) -> Numbers:
    """Turn a track (..., 60), pose in degrees, into action codes (..., 60)."""
    return _scale_pose(track, 1 / POSE_UNIT)


def code_to_track(code: Numbers) -> Numbers:
    """Turn action codes (..., 60) into a track (..., 60), pose in degrees."""
    return _scale_pose(code, POSE_UNIT)


def _scale_pose(numbers: Numbers, factor: float) -> Numbers:
    scaled = numbers.clone() if isinstance(numbers, Tensor) else numbers.copy()
    scaled[..., EXPRESSIONS:] *= factor
    return scaled
