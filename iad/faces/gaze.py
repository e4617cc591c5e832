"""A picture and the landmarks of a face -> where its eyes look, by where it is dark between their lids."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

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
