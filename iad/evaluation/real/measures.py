"""Meshes -> what a face does, in a handful of numbers that neither size nor roll of the head changes.

Lengths are three-dimensional, in units of the distance between the eyes, so that turning the head shortens
none of them. In come `Meshes`, out come arrays (f,) by name:

    mouth   gap between the inner lips
    lids    opening of the eyes in eye widths, the mean of both
    wider   the opening of the eye that is open further: small only where both are shut
    smile   width of the mouth, and how far its corners stand above the base of the nose
    brows   height of the brows above the eyes
    yaw     degrees, positive to the picture's right
    pitch   degrees, positive looks up
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from iad.evaluation.real.mesh import EYE_CORNERS, SEEN, Meshes

NAMES = ("mouth", "lids", "wider", "smile", "brows", "yaw", "pitch")
_INNER = ((82, 87), (13, 14), (312, 317))  # upper and lower inner lip
_MOUTH = (61, 291)
_NOSE = 2  # its base
_BROWS = (105, 66, 334, 296)
_EYE_LIDS = (((160, 144), (159, 145), (158, 153)), ((385, 380), (386, 374), (387, 373)))
_ACROSS = ((33, 263), (127, 356), (234, 454))  # pairs that no expression moves
_UP = ((2, 9), (94, 151), (2, 10))  # base of the nose, forehead


def measure(meshes: Meshes) -> dict[str, Float[np.ndarray, " f"]]:
    """Measure faces; NaN where there is none."""
    points = np.asarray(meshes.points, np.float64)
    across, up, ahead = axes(points)
    unit = _eye_distance(points)
    corners = points[:, list(_MOUTH)]
    lift = ((corners.mean(1) - points[:, _NOSE]) * up).sum(-1)
    eyes = points[:, list(EYE_CORNERS)].mean(1)
    roll = np.arctan2(across[:, 1], across[:, 0])
    cos, sin = np.cos(roll), np.sin(roll)
    brows = ((points[:, list(_BROWS)].mean(1) - eyes) * up).sum(-1)
    return {
        "mouth": _gap(points, _INNER) / unit,
        "lids": np.asarray(meshes.lids, np.float64).mean(1),
        "wider": np.asarray(meshes.lids, np.float64).max(1),
        "smile": (np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1) + lift) / unit,
        "brows": brows / unit,
        "yaw": np.degrees(np.arctan2(ahead[:, 0] * cos + ahead[:, 1] * sin, -ahead[:, 2])),
        "pitch": np.degrees(np.arcsin(np.clip(ahead[:, 0] * sin - ahead[:, 1] * cos, -1, 1))),
    }


def axes(points: Float[np.ndarray, "f 468 3"]) -> tuple[Float[np.ndarray, "f 3"], ...]:
    """Return the head's own directions: to the picture's right, up, and ahead (out of the face)."""
    across = sum(points[:, b] - points[:, a] for a, b in _ACROSS)
    across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    up = sum(points[:, b] - points[:, a] for a, b in _UP)
    up = up - (up * across).sum(-1, keepdims=True) * across
    up = up / np.linalg.norm(up, axis=-1, keepdims=True)
    return across, up, np.cross(across, up)


def _eye_distance(points) -> Float[np.ndarray, " f"]:
    a, b, c, d = (points[:, k] for k in EYE_CORNERS)
    return np.linalg.norm((a + b) / 2 - (c + d) / 2, axis=-1)


def _gap(points, pairs) -> Float[np.ndarray, " f"]:
    return np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs], axis=0)


def stored_meshes(folder: Path, numbers) -> Meshes:
    """Read the meshes that are stored beside the photo people; their lids are the mesh's own, and poorer.

    Raises:
        FileNotFoundError: there are none.
    """
    path = folder / "mesh.npz"
    if not path.is_file():
        raise FileNotFoundError(f"There are no meshes at {path}; point $IAD_PHOTO_PEOPLE at their folder.")
    with np.load(path) as file:
        row = {int(number): k for k, number in enumerate(file["id"])}
        rows = [row[number] for number in numbers]
        points, score = file["mesh"][rows].astype(np.float32), file["score"][rows]
    points[score < SEEN] = np.nan
    corners = (EYE_CORNERS[:2], EYE_CORNERS[2:])
    lids = [
        _gap(points, pairs) / np.linalg.norm(points[:, b] - points[:, a], axis=-1)
        for pairs, (a, b) in zip(_EYE_LIDS, corners, strict=True)
    ]
    return Meshes(points, np.stack(lids, axis=1).astype(np.float32), score.astype(np.float32))


def lips(points: Float32[np.ndarray, "f 468 3"]) -> Float32[np.ndarray, "f 20 2"]:
    """Pick the mesh's points for the 20 lip landmarks of the Multi-PIE layout, 48 to 67."""
    order = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
    return points[:, list(order), :2]
