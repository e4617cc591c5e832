"""Fit the morphable head to a folder of portraits: NNNN.jpg in, the arrays of `fits.npz` out."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from iad.geometry.fit import WORST_FIT, fit_head
from iad.geometry.head import Head
from iad.photos import load_image
from iad.portraits.figures import Cell

FindLandmarks = Callable[[UInt8[np.ndarray, "h w 3"]], Float[np.ndarray, "68 2"]]


def fit_people(
    photos: Path, cells: Sequence[Cell], *, head: Head, find_landmarks: FindLandmarks
) -> dict[str, np.ndarray]:
    """Fit every photo NNNN.jpg of the folder and return the arrays of `fits.npz`, one row a photo.

    Photos without a face (`find_landmarks` raises ValueError) or that fit worse than `WORST_FIT` get no row.

    Raises:
        ValueError: Not one photo could be fitted.
    """
    here = [cell for cell in cells if (photos / f"{cell.number:04d}.jpg").is_file()]
    rows = []
    for cell in tqdm(here, "fitting", unit="face", file=sys.stderr):
        try:
            landmarks = find_landmarks(load_image(photos / f"{cell.number:04d}.jpg"))
        except ValueError:
            continue
        fit = fit_head(head, landmarks)
        if fit.error <= WORST_FIT:
            rows.append((cell, landmarks, fit))
    if not rows:
        raise ValueError(f"No face in {photos} could be fitted; check the face encoder's landmarks.")
    cells, landmarks, fits = zip(*rows, strict=True)
    arrays = {
        "id": np.array([cell.number for cell in cells], np.int32),
        "source": np.array([cell.figure for cell in cells]),
        "landmarks": np.array(landmarks, np.float32),
        "identity": np.array([fit.identity for fit in fits], np.float16),
        "expression": np.array([fit.expression for fit in fits], np.float16),
    }
    for name in ("scale", "rotation", "translation", "error"):
        arrays[name] = np.array([getattr(fit, name) for fit in fits], np.float32)
    return arrays
