"""A photo's face -> does it wear glasses? Told by their bridge and arms: bars across nose and temples."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

_UNIT = 48  # pixels between the eyes in the upright copy that is looked at, whose eyes are in row 36
_BRIDGE, _ARMS = (57, 62, 67, 72), ((8, 13, 18, 23), (102, 107, 112, 117))  # columns in which bars are sought
_SURE = -2.45  # of both contrasts together (log): 1 in 40 photo people without glasses shows more


def wears_glasses(photo: UInt8[np.ndarray, "_ _ 3"], landmarks: Float32[np.ndarray, "68 2"]) -> bool:
    """Look for glasses around the landmarks' eyes."""
    return _measure_bars(photo, landmarks) > _SURE


def _measure_bars(photo, landmarks) -> float:
    right, left = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    across = left - right
    scale = _UNIT / max(float(np.hypot(*across)), 1e-6)
    turn = scale * scale / _UNIT * np.array([[across[0], across[1]], [-across[1], across[0]]])
    matrix = np.column_stack([turn, (64, 36) - turn @ (0.5 * (left + right))])
    if scale < 1:
        photo = cv2.GaussianBlur(photo, (0, 0), 0.5 / scale)
    upright = cv2.warpAffine(photo, matrix, (128, 64), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    logs = np.log(cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY).astype(np.float32) + 12)
    nose = _find_bars(logs, _BRIDGE)
    # A bridge is one bar right across the nose, darker or brighter than skin all along.
    bridge = max(nose.min(axis=0).max(), (-nose).min(axis=0).max(), 0.005)
    arms = np.mean([np.abs(_find_bars(logs, columns)).max(axis=1).mean() for columns in _ARMS])
    return float(0.3 * np.log(bridge) + np.log(max(arms, 0.005)))


def _find_bars(logs, columns) -> Float[np.ndarray, "k rows"]:
    """Return how much brighter each row is than those two above and below it, in strips between columns."""
    profile = np.stack([logs[:, a:b].mean(axis=1) for a, b in zip(columns, columns[1:], strict=False)])
    profile = cv2.GaussianBlur(profile, (3, 1), 0.7)
    return (profile - 0.5 * (np.roll(profile, 2, axis=1) + np.roll(profile, -2, axis=1)))[:, 20:46]
