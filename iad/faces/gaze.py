"""A picture and a face's landmarks -> where its eyes look, and whether glasses stand before them.

Gaze is told by where it is dark between the lids, glasses by bridge and arms: bars across nose and temples.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

EYES = (slice(36, 42), slice(42, 48))
_WIDE, _HIGH = 48, 24  # pixels of an eye as it is looked at
_MARGIN = 1.15  # of its width
_LEAST = 100  # pixels between the lids: of an eye that is more nearly shut nothing is said


def measure_gaze(
    picture: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"]
) -> Float[np.ndarray, " 2"]:
    """Return how far the irises lie to the picture's right and down, in eye widths; NaN of shut eyes.

    People differ in it as they look straight ahead, so it says where a face looks only beside its own rest.
    """
    return np.mean([_find_dark(picture, landmarks[eye].astype(np.float64)) for eye in EYES], axis=0)


def _find_dark(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the middle of what is dark between the lids of one eye, seen from the middle of its corners."""
    across = points[3] - points[0]
    width = max(float(np.linalg.norm(across)), 1e-3)
    axes = np.stack([across, [-across[1], across[0]]], axis=1) / width
    step, half = _MARGIN * width / _WIDE, np.array([_WIDE - 1, _HIGH - 1]) / 2
    middle = (points[0] + points[3]) / 2
    place = np.column_stack([axes * step, middle - axes @ (step * half)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    eye = cv2.warpAffine(picture, place, (_WIDE, _HIGH), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    light = cv2.GaussianBlur(eye.astype(np.float32).mean(axis=-1), (0, 0), 1.0)
    between = np.zeros((_HIGH, _WIDE), np.uint8)
    corners = np.round(((points - middle) @ axes / step + half) * 16).astype(np.int32)
    cv2.fillPoly(between, [corners], 1, cv2.LINE_8, 4)
    if cv2.contourArea(corners) < 256 * _LEAST:
        return np.full(2, np.nan)
    dark, bright = np.quantile(light[between > 0], (0.05, 0.8))
    weight = between * np.clip((bright - light) / max(bright - dark, 5.0), 0, 1) ** 2
    rows, columns = np.mgrid[:_HIGH, :_WIDE]
    found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / max(weight.sum(), 1e-6)
    return (found - half) * _MARGIN / _WIDE


_UNIT = 48  # pixels between the eyes in the upright copy that is looked at, whose eyes are in row 36
_BRIDGE, _ARMS = (57, 62, 67, 72), ((8, 13, 18, 23), (102, 107, 112, 117))  # columns in which bars are sought
_SURE = -2.45  # of both contrasts together (log): 1 in 40 photo people without glasses shows more


def wears_glasses(photo: UInt8[np.ndarray, "_ _ 3"], landmarks: Float32[np.ndarray, "68 2"]) -> bool:
    """Look for glasses around the landmarks' eyes."""
    return _measure_bars(photo, landmarks) > _SURE


def _measure_bars(photo: np.ndarray, landmarks: np.ndarray) -> float:
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


def _find_bars(logs: np.ndarray, columns: tuple) -> Float[np.ndarray, "k rows"]:
    """Return how much brighter each row is than those two above and below it, in strips between columns."""
    profile = np.stack([logs[:, a:b].mean(axis=1) for a, b in zip(columns, columns[1:], strict=False)])
    profile = cv2.GaussianBlur(profile, (3, 1), 0.7)
    return (profile - 0.5 * (np.roll(profile, 2, axis=1) + np.roll(profile, -2, axis=1)))[:, 20:46]
