"""Smooth closed curves through a few landmarks, and smooth steps from 0 to 1."""

from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Float


def round_off(polygon: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m d"]:
    """Draw a closed smooth curve through points (Catmull-Rom)."""
    before, after, beyond = (np.roll(polygon, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, 6, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * polygon + (after - before) * t + (2 * before - 5 * polygon + 4 * after - beyond) * t**2
        + (3 * polygon - before - 3 * after + beyond) * t**3
    )  # fmt: skip
    return rearrange(curve, "t n xy -> (n t) xy")


def ease(value: np.ndarray | np.floating | float, low: float = 0.0, high: float = 1.0) -> Any:
    """Go from 0 at `low` to 1 at `high`, with no corner at either."""
    value = np.clip((value - low) / (high - low), 0, 1)
    return value * value * (3 - 2 * value)
