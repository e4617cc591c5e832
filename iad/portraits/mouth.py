"""The mouth of a photo person: lips that keep clear of the photo's teeth, and a painted inside."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from iad.portraits.rig import MOUTH, Rig


def clear_lips(
    pixels: Float[np.ndarray, "r 2"], rig: Rig, inner: Float[np.ndarray, "8 2"], *, margin: float
) -> Float[np.ndarray, "r 2"]:
    """Move photo coordinates of lips that fall into the photo's mouth opening up or down out of it.

    Args:
        pixels: Photo coordinates of the drawn vertices.
        inner: The inner lips' landmarks in the photo.
        margin: How far from the opening to stay, pixels.
    """
    upper, lower = inner[[0, 1, 2, 3, 4]], inner[[0, 7, 6, 5, 4]]
    x, y = pixels[:, 0], pixels[:, 1]
    order = slice(None) if inner[0, 0] < inner[4, 0] else slice(None, None, -1)
    top = np.interp(x, upper[order, 0], upper[order, 1])
    bottom = np.interp(x, lower[order, 0], lower[order, 1])
    reach = np.ptp(inner[:, 0])
    across = np.clip(1.25 - np.abs(x - inner[:, 0].mean()) / max(reach, 1e-3) * 2, 0, 0.25) * 4
    near = _near_lips(rig)
    squeezed_up = np.minimum(y, top - margin * across)
    squeezed_down = np.maximum(y, bottom + margin * across)
    moved = np.where(rig.upper_lip, squeezed_up, squeezed_down)
    y = np.where(near & (across > 0), moved, y)
    return np.stack([x, y], axis=1).astype(np.float32)


def _near_lips(rig: Rig) -> Bool[np.ndarray, " r"]:
    outer = rig.neutral[rig.landmarks[48:60]]
    low, high = outer.min(axis=0), outer.max(axis=0)
    inside = (rig.neutral[:, :2] >= low[:2] - 0.1) & (rig.neutral[:, :2] <= high[:2] + 0.1)
    return inside.all(axis=1) & (rig.neutral[:, 2] > low[2] - 1.5)


def colour_mouth(
    rig: Rig, lips: Float[np.ndarray, " 3"], light: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "r 3"]:
    """Give every drawn vertex of the mouth its colour in full light.

    Args:
        lips: Mean colour of the photo's lips, 0 to 255.
        light: Colour of a white thing in the photo's light, 0 to 255.
    """
    colours = np.zeros((len(rig.vertex), 3), np.float32)
    flesh = 0.5 * lips + 0.5 * np.array([0.62, 0.30, 0.29]) * light * (lips.mean() / 110) ** 0.5
    if np.ptp(light) < 3 and np.ptp(lips) < 6:  # a monochrome photo
        flesh = np.full(3, flesh.mean())
    colours[rig.spans[MOUTH]] = flesh
    colours[rig.teeth] = light * np.array([0.93, 0.90, 0.84])
    return colours


def shade_mouth(
    rig: Rig,
    colours: Float[np.ndarray, "r 3"],
    positions: Float[np.ndarray, "r 3"],
    facing: Float[np.ndarray, " r"],
) -> Float[np.ndarray, "m 4"]:
    """Light the mouth: teeth by their depth behind the lips, flesh as a tongue darkening to the palate.

    The head's own tongue lies flat behind the lower teeth, where nobody sees it.

    Args:
        positions: Head space, with expression.
        facing: Cosine between normals and the viewer.
    """
    span = rig.spans[MOUTH]
    marks = positions[rig.landmarks[60:68]]
    top, bottom = marks[1:4, 1].max(), marks[5:8, 1].min()
    middle, half = marks[:, 0].mean(), 0.5 * np.ptp(marks[:, 0])
    x, y, z = positions[span].T
    gap = max(top - bottom, 0.3)
    height = (y - bottom) / gap
    across = np.clip(np.abs(x - middle) / half, 0, 1)
    depth = np.exp(-np.clip(marks[:, 2].max() - z - 1.0, 0, None) / 4.5)
    tongue = np.clip(1.3 - height / 0.6 - 0.9 * across**2, 0, 1)
    flesh = 0.16 + 0.74 * tongue * tongue * (3 - 2 * tongue) * min(gap / 1.6, 1)
    gums = np.clip(1 - (marks[:, 2].max() - z - 1.0) / 1.5, 0, 1) * (height > 0.6)
    flesh = np.maximum(flesh, 0.6 * gums)
    white = depth * (0.55 + 0.45 * np.abs(facing[span])) * (0.75 + 0.25 * (1 - across**2))
    white *= np.clip(1.25 - 0.6 * np.clip(height - 0.55, 0, None), 0.6, 1)  # the upper lip's shadow
    # Between lips that just part there is a dark line, not a row of teeth.
    parted = np.clip((top - bottom - 0.2) / 0.45, 0, 1)
    white, flesh = white * (0.2 + 0.8 * parted), flesh * (0.6 + 0.4 * parted)
    shaded = colours[span] * np.where(rig.teeth[span], white, flesh)[:, None]
    return np.concatenate([shaded, np.ones((len(shaded), 1))], axis=1).astype(np.float32)


def measure_light(
    photo: Float[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"]
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Return the mean colour of the lips, and what a white thing in the face's light would look like."""
    rings = (
        np.concatenate([landmarks[48:55], landmarks[64:59:-1]]),
        landmarks[[54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64]],
    )
    lips = np.mean([_mean_colour(photo, ring) for ring in rings], axis=0)
    face = landmarks[[1, 4, 8, 12, 15, 26, 24, 19, 17]]
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(face).astype(np.int32)], 1)
    inside = photo[mask > 0] if mask.any() else photo.reshape(-1, 3)
    bright = np.quantile(inside.mean(axis=1), 0.9)
    hue = inside.mean(axis=0) / max(inside.mean(), 1e-3)
    # Skin is warmer than its light: a third of its hue is the light's.
    return lips, np.clip(105 + 0.6 * bright, 0, 245) * (1 + (hue - 1) * 0.33)


def _mean_colour(photo, polygon) -> Float[np.ndarray, " 3"]:
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
    return photo[mask > 0].mean(axis=0) if mask.any() else photo.mean(axis=(0, 1))
