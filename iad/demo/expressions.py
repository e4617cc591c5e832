"""The sliders of the Play tab, what they are to the drawing, and expressions that set them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

SLIDERS = {  # name: what it is called, its least and its most
    "smile": ("Smile", -1.0, 1.0),
    "mouth": ("Mouth", 0.0, 1.0),
    "kiss": ("Kiss", 0.0, 1.0),
    "eyes": ("Eyes", -1.0, 1.0),
    "wink": ("Wink", 0.0, 1.0),
    "brows": ("Brows", -1.0, 1.0),
    "gaze": ("Gaze", -1.0, 1.0),
    "turn": ("Turn", -25.0, 25.0),
    "nod": ("Nod", -18.0, 18.0),
    "tilt": ("Tilt", -20.0, 20.0),
}
MOST = 1e9  # of any number that comes
# What they are in `iad.geometry.sliders`: below and above the middle.
BOTH_WAYS = {
    "smile": ("frown", "smile"), "eyes": ("eyes", "wide"), "brows": ("furrow", "brows"),
    "gaze": ("gaze_right", "gaze_left"),
}  # fmt: skip
ONE_WAY = {"kiss": "pucker", "wink": "eyeBlink_L", "turn": "yaw", "nod": "pitch", "tilt": "roll"}
EXPRESSIONS = {
    "Smile": {"smile": 0.8},
    "Laugh": {"smile": 1.0, "mouth": 0.6, "eyes": -0.3, "nod": 4.0},
    "Surprised": {"mouth": 0.7, "brows": 1.0, "eyes": 0.9},
    "Sad": {"smile": -0.9, "brows": 0.5, "eyes": -0.25, "nod": -6.0},
    "Angry": {"smile": -0.5, "brows": -1.0, "nod": -5.0},
    "Wink": {"wink": 1.0, "smile": 0.7, "tilt": 7.0},
    "Kiss": {"kiss": 1.0, "eyes": -0.3},
    "Aside": {"gaze": 0.9, "turn": -14.0, "brows": 0.5},
    "Reset": {},
}


def read_sliders(values: Mapping[str, Any]) -> dict[str, float]:
    """Turn the page's sliders into those of `iad.geometry.sliders`.

    Raises:
        ValueError: a slider that there is not, or out of its range.
    """
    found: dict[str, float] = {}
    for name, value in values.items():
        if name not in SLIDERS or not isinstance(value, int | float) or abs(value) > MOST:
            raise ValueError(f"There is no slider {str(name)[:20]!r} with such a value.")
        _, low, high = SLIDERS[name]
        value = float(np.clip(np.nan_to_num(value), low, high))
        if name in BOTH_WAYS:
            found[BOTH_WAYS[name][value > 0]] = abs(value)
        else:
            found[ONE_WAY.get(name, name)] = value
    return found
