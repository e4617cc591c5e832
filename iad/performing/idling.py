"""What a living face does besides: blinks, breathing sway, small shifts of gaze, drawn from a seed.

In comes a track at any frame rate, out comes the same track lived in. Where the track itself uses the eyes
(lids, gaze, wide eyes) blinks and gaze keep out of the way.
"""

import numpy as np
from jaxtyping import Float

from iad.config import EXPRESSIONS
from iad.performing.actions import COEFFICIENTS, settle
from iad.performing.motions import smoothstep

IN_USE = 0.15  # weight of a coefficient of the eyes from which on they are taken
AROUND = 0.3  # seconds before and after, in which they are left alone too
BLINK_EVERY = 3.2  # seconds, about
SWAY = {  # degrees and hertz
    "pitch": ((0.35, 0.27), (0.3, 0.11)),
    "yaw": ((0.45, 0.13), (0.3, 0.071)),
    "roll": ((0.3, 0.17), (0.15, 0.31)),
}

_EYES = [k for k, name in enumerate(COEFFICIENTS) if name.startswith(("eyeBlink", "eyeLook", "eyeWide"))]
_STEADY = [k for k, name in enumerate(COEFFICIENTS[:EXPRESSIONS]) if not name.startswith("eye")]


def enliven(track: Float[np.ndarray, "f 60"], *, fps: float | int, seed: int) -> Float[np.ndarray, "f 60"]:
    """Let the face of a track blink, breathe and look about; the same seed, the same life."""
    rng, seconds = np.random.default_rng((seed, 7)), np.arange(len(track)) / fps
    free = _free_eyes(track, fps)
    lived = track.copy()
    waver = 0.025 * np.sin(2 * np.pi * (0.6 * seconds + rng.random()))  # a held face is never quite still
    lived[:, _STEADY] *= 1 + waver[:, None]
    for name, waves in SWAY.items():
        for degrees, hertz in waves:
            swing = np.sin(2 * np.pi * (hertz * seconds + rng.random()))
            lived[:, COEFFICIENTS.index(name)] += degrees * rng.uniform(0.6, 1.3) * swing
    blinks = _blink(seconds, free, rng)
    for side in "LR":
        lid = lived[:, COEFFICIENTS.index(f"eyeBlink_{side}")]
        lid[:] = np.maximum(lid, blinks)
    for name, amount in _glance(seconds, rng).items():
        lived[:, COEFFICIENTS.index(name)] += free * amount
    return settle(lived)


def _free_eyes(track: np.ndarray, fps: float | int) -> np.ndarray:
    """Tell from 0 to 1 how free the eyes are at each frame."""
    used = (track[:, _EYES].max(1) > IN_USE).astype(np.float32)
    reach = round(AROUND * fps)
    padded = np.pad(used, 2 * reach, mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
    return 1 - np.lib.stride_tricks.sliding_window_view(near, 2 * reach + 1).mean(1)


def _blink(seconds: np.ndarray, free: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Close quickly and open more slowly, now and then; a blink is whole or not at all."""
    blinks, length = np.zeros(len(seconds)), seconds[-1]
    at = rng.uniform(0.4, max(0.5, min(2.5, length - 0.5)))
    while at < length:
        if free[np.searchsorted(seconds, at)] > 0.99:
            shut = smoothstep((seconds - at) / 0.1) * smoothstep((at + 0.34 - seconds) / 0.18)
            blinks = np.maximum(blinks, shut)
        at += max(0.9, BLINK_EVERY * np.exp(rng.normal(0, 0.4)))
    return blinks


def _glance(seconds: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rest the gaze near the camera, elsewhere every second or two."""
    across, along, at = np.zeros(len(seconds)), np.zeros(len(seconds)), 0.0
    where = (rng.normal(0, 0.04), rng.normal(0, 0.03))
    across, along = across + where[0], along + where[1]
    while at < seconds[-1]:
        at += rng.uniform(0.8, 2.6)
        there = (rng.normal(0, 0.07), rng.normal(0, 0.04))
        moved = smoothstep((seconds - at) / 0.07)
        across, along = (old + moved * (new - old) for old, new in zip((across, along), there, strict=True))
    left, right, up, down = across.clip(0), (-across).clip(0), along.clip(0), (-along).clip(0)
    return {
        "eyeLookOut_L": left, "eyeLookIn_R": left, "eyeLookOut_R": right, "eyeLookIn_L": right,
        "eyeLookUp_L": up, "eyeLookUp_R": up, "eyeLookDown_L": down, "eyeLookDown_R": down,
    }  # fmt: skip
