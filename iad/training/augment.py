"""Photometric and geometric changes that a visitor's photo may show, on uint8 pictures (h, w, 3)."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy.random import Generator

Picture = UInt8[np.ndarray, "h w 3"]
Square = UInt8[np.ndarray, "s s 3"]
Affine = Float[np.ndarray, "2 3"]


def recolour(picture: Picture, rng: Generator, *, strength: float = 1.0) -> Picture:
    """Change exposure, contrast, white balance and saturation, mildly."""
    x = picture.astype(np.float32) / 255
    x = x ** np.exp(rng.normal(0, 0.2 * strength))
    x = (x - x.mean()) * np.exp(rng.normal(0, 0.15 * strength)) + x.mean() + rng.normal(0, 0.03 * strength)
    x = x * np.exp(rng.normal(0, 0.07 * strength, 3)).astype(np.float32)
    grey = x.mean(-1, keepdims=True)
    x = grey + (x - grey) * np.exp(rng.normal(0, 0.25 * strength))
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def degrade(picture: Square, rng: Generator) -> Square:
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


def damage(picture: Square, rng: Generator) -> Square:
    """Degrade as the worst of visitors' photos are: faces of some thirty pixels, dusk, light from a side."""
    size, x = picture.shape[0], picture
    if rng.random() < 0.2:
        slope = 1 + rng.uniform(0.3, 0.9) * np.linspace(-1, 1, size, dtype=np.float32) * rng.choice([-1, 1])
        x = np.clip(x * slope[None, :, None], 0, 255).astype(np.uint8)
    if rng.random() < 0.12:
        x = (x * rng.uniform(0.08, 0.5)).astype(np.uint8)
    if rng.random() < 0.15:
        small = int(rng.uniform(36, 110))
        x = cv2.resize(cv2.resize(x, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    return degrade(x, rng)


def cover(
    picture: Square, landmarks: Float[np.ndarray, "68 2"], rng: Generator
) -> tuple[Square, Bool[np.ndarray, "s s"]]:
    """Hide part of a face behind a card, a cup, a hand or hair; returns the picture and where it is hidden.

    Args:
        picture: what shows the face.
        landmarks: in pixels.
        rng: decides what hides it, and where.
    """
    size = picture.shape[0]
    eye_distance = float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))
    middles = (landmarks[36:42], landmarks[42:48], landmarks[27:36], landmarks[48:68], landmarks[48:68])
    centre = middles[int(rng.integers(5))].mean(0) + rng.normal(0, 0.25, 2) * eye_distance
    mask = np.zeros((size, size), np.uint8)
    angle, half = rng.uniform(0, 180), rng.uniform(0.25, 0.85, 2) * eye_distance
    kind = rng.random()
    if kind < 0.4:  # a card or a phone
        cv2.fillPoly(mask, [cv2.boxPoints((tuple(centre), tuple(2 * half), angle)).astype(np.int32)], 255)
    elif kind < 0.7:  # a cup, a microphone, a palm
        cv2.ellipse(mask, (tuple(centre), tuple(2 * half), angle), 255, -1)
    else:  # fingers, strands of hair
        for shift in np.arange(int(rng.integers(2, 6))) * rng.uniform(0.18, 0.3) * eye_distance:
            along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
            start = centre + shift * np.array([-along[1], along[0]])
            ends = [tuple(int(v) for v in start + sign * along * half.max() * 1.6) for sign in (-1, 1)]
            cv2.line(mask, *ends, 255, max(2, int(rng.uniform(0.05, 0.22) * eye_distance)))
    skin = picture[tuple(np.clip(landmarks[29].astype(int), 0, size - 1)[::-1])].astype(np.float32)
    colour = skin * rng.uniform(0.6, 1.2) if rng.random() < 0.4 else rng.uniform(0, 255, 3)
    half, spread = size // 2, rng.uniform(1, 6)  # woven at half the size, which is a fourth of the work
    weave = cv2.GaussianBlur(rng.normal(0, 60, (half, half, 3)).astype(np.float32), (0, 0), spread)
    cloth = np.clip(colour + cv2.resize(weave, (size, size)) * 2, 0, 255)
    alpha = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 1.5))[..., None] / 255
    return (picture * (1 - alpha) + cloth * alpha).astype(np.uint8), mask > 127


def reframe(rng: Generator, *, strength: float = 1.0) -> Affine:
    """Draw an affine (2, 3) in unit-square coordinates: scale, shift and roll about the centre."""
    scale = np.exp(rng.normal(0, 0.10 * strength))
    angle = np.radians(rng.normal(0, 6 * strength))
    shift = rng.normal(0, 0.035 * strength, 2)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([0.5, 0.5])
    return np.concatenate([turn, (centre + shift - turn @ centre)[:, None]], axis=1).astype(np.float32)


def warp(picture: Square, affine: Affine) -> Square:
    """Move a square picture by `affine` (2, 3), given in unit-square coordinates; borders are mirrored."""
    size = picture.shape[0]
    pixels = affine.copy()
    pixels[:, 2] = affine[:, 2] * size
    return cv2.warpAffine(
        picture, pixels, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def roll_of(affine: Affine) -> np.floating:
    """Return the roll, in degrees, that an affine (2, 3) adds to what a picture shows."""
    return np.degrees(np.arctan2(affine[1, 0], affine[0, 0]))


def dot(picture: Square, points: Float[np.ndarray, "n 2"]) -> Square:
    """Mark points (n, 2), in the unit square, in a copy of a square picture."""
    picture = picture.copy()
    for x, y in points * picture.shape[0]:
        cv2.circle(picture, (int(x), int(y)), 1, (0, 255, 0), -1)
    return picture
