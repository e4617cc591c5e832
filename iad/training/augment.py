"""Photometric and geometric changes that a visitor's photo may show, on uint8 pictures (h, w, 3)."""

import cv2
import numpy as np


def recolour(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change exposure, contrast, white balance and saturation, mildly."""
    x = picture.astype(np.float32) / 255
    x = x ** np.exp(rng.normal(0, 0.2))
    x = (x - x.mean()) * np.exp(rng.normal(0, 0.15)) + x.mean() + rng.normal(0, 0.03)
    x = x * np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
    grey = x.mean(-1, keepdims=True)
    x = grey + (x - grey) * np.exp(rng.normal(0, 0.25))
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def degrade(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, downscale, add noise, compress, or turn grey, as cheap cameras and networks do."""
    size = picture.shape[0]
    x = picture
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.3:
        small = int(size * rng.uniform(0.4, 0.9))
        x = cv2.resize(cv2.resize(x, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 10), x.shape)
        x = np.clip(x + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(
            ".jpg", np.ascontiguousarray(x), [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        )
        x = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if rng.random() < 0.04:
        x = np.repeat(x.mean(-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    return x


def reframe(rng: np.random.Generator, *, strength: float = 1.0) -> np.ndarray:
    """Draw an affine (2, 3) in unit-square coordinates: scale, shift and roll about the centre."""
    scale = np.exp(rng.normal(0, 0.10 * strength))
    angle = np.radians(rng.normal(0, 6 * strength))
    shift = rng.normal(0, 0.035 * strength, 2)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([0.5, 0.5])
    return np.concatenate([turn, (centre + shift - turn @ centre)[:, None]], axis=1).astype(np.float32)


def warp(picture: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Move a square picture by `affine` (2, 3), given in unit-square coordinates; borders are mirrored."""
    size = picture.shape[0]
    pixels = affine.copy()
    pixels[:, 2] = affine[:, 2] * size
    return cv2.warpAffine(
        picture, pixels, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
