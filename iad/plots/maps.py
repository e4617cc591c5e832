"""Embeddings as points on paper: the plane in which they differ most, and how to keep it from turning."""

import numpy as np
from jaxtyping import Float


def flatten(rows: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n 2"], float]:
    """Find where rows lie in the plane in which they differ most (PCA); also its share of their variance.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError(f"A map needs at least 2 embeddings, got {len(rows)}; give more faces.")
    centred = np.asarray(rows, np.float64) - np.mean(rows, 0, dtype=np.float64)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(rows), 2))
    points[:, : strength.size] = (left * strength)[:, :2]
    return points, float((strength[:2] ** 2).sum() / max((strength**2).sum(), 1e-24))


def turn_to(points: Float[np.ndarray, "n 2"], others: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Turn or mirror points, without changing their distances, so that each lies near its own of `others`.

    A principal plane has no natural up or right; without this, points would jump from one map to the next.
    """
    left, _, right = np.linalg.svd(points.T @ others)
    return points @ (left @ right)
