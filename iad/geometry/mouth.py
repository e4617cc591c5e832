"""The mouth of a photo person: lips that keep clear of the photo's teeth, and a painted inside."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from iad.geometry.curves import round_off
from iad.geometry.rig import MOUTH, Rig
from iad.geometry.teeth import LOWER, TONGUE, UPPER


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


def open_mouth(
    photo: Float[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"], *, hidden: bool = False
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 4"]]:
    """Take what lies between the lips out of a photo: lips spread over it, lest teeth show in a closed mouth.

    Args:
        hidden: Something covers the mouth: nothing is taken out, and all around it counts as its inside.

    Returns:
        The photo with lips all over, and the photo with a soft mask of what lay between them.
    """
    height, width = photo.shape[:2]
    inner, outer = landmarks[60:68], landmarks[48:60]
    reach = float(np.ptp(outer[:, 0]))
    opening = np.zeros((height, width), np.float32)
    if hidden:
        cv2.fillPoly(opening, [_subpixels(cv2.convexHull(outer.astype(np.float32))[:, 0])], 1, shift=4)
        opening = cv2.dilate(opening, _disc(0.2 * reach))
        return photo, np.dstack([photo, opening]).astype(np.float32)
    cv2.fillPoly(opening, [_subpixels(round_off(inner))], 1, shift=4)
    gap = (inner[5:8, 1] - inner[[3, 2, 1], 1]).max()
    low = np.maximum(np.floor(outer.min(axis=0) - 0.2 * reach), 0).astype(int)
    high = np.ceil(outer.max(axis=0) + 0.2 * reach).astype(int)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    inside = np.zeros((height, width, 4), np.float32)
    inside[window][..., :3] = photo[window]
    soft = max(0.012 * reach, 0.5)
    if gap < 0.03 * reach or not opening.any():
        return photo, inside
    lips = np.zeros((height, width), np.float32)
    cv2.fillPoly(lips, [_subpixels(round_off(outer))], 1, shift=4)
    seen = opening[window]
    colours = photo[window]
    whiteness = colours.min(axis=-1) / np.maximum(colours.max(axis=-1), 1)
    rim = (lips[window] > 0) & (cv2.dilate(seen, _disc(0.05 * reach)) == 0)
    if rim.any():  # teeth that the landmarks leave to the lips: whiter and brighter than those
        plain = np.median(whiteness[rim]), np.median(colours[rim].mean(axis=-1))
        luma = colours.mean(axis=-1)
        tooth = (whiteness > plain[0] + 0.12) & (luma > 1.2 * plain[1])
        near = (cv2.dilate(seen, _disc(0.06 * reach)) > 0) & (
            cv2.erode(lips[window], _disc(0.035 * reach)) > 0
        )
        seen = np.maximum(seen, (tooth & near).astype(np.float32))
        seen = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((3, 3)))
    inside[window][..., 3] = np.clip(2 * cv2.GaussianBlur(seen, (0, 0), soft) - 0.8, 0, 1)
    wide = cv2.dilate(seen, _disc(0.025 * reach))
    corners = np.zeros((height, width), np.uint8)
    for corner in np.round(0.5 * (inner[[0, 4]] + outer[[0, 6]])).astype(int).tolist():
        cv2.circle(corners, corner, int(np.ceil(0.1 * reach)), 1, -1)
    if rim.any():  # the dark of the corners goes with the opening
        wide = np.maximum(wide, corners[window] * (luma < 0.6 * plain[1]))
    weight = np.maximum(lips[window], corners[window]) * (1 - wide)
    if (weight > 0).any():  # what is whiter than lips are is a tooth or its gleam
        weight = weight * np.exp(
            -((np.clip(whiteness - np.median(whiteness[weight > 0]), 0, None) / 0.08) ** 2)
        )
    sigma = (0.03 * reach, 0.12 * reach)
    spread = [cv2.GaussianBlur(np.dstack([colours * weight[..., None], weight]), (0, 0), s) for s in sigma]
    total = spread[0] + 0.02 * spread[1]
    cover = cv2.GaussianBlur(wide, (0, 0), soft)[..., None]
    lipped = photo.copy()
    filled = total[..., :3] / np.maximum(total[..., 3:], 1e-6)
    lipped[window] = colours + (filled - colours) * cover * (total[..., 3:] > 1e-5)
    return lipped, inside


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(int(round(radius)), 1) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _subpixels(polygon: Float[np.ndarray, "n 2"]) -> np.ndarray:
    return np.round((polygon - 0.5) * 16).astype(np.int32)


def colour_mouth(lips: Float[np.ndarray, " 3"], light: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """Return the colour of the mouth's flesh in full light.

    Args:
        lips: Mean colour of the photo's lips, 0 to 255.
        light: Colour of a white thing in the photo's light, 0 to 255.
    """
    flesh = 0.5 * lips + 0.5 * np.array([0.62, 0.30, 0.29]) * light * (lips.mean() / 110) ** 0.5
    if np.ptp(light) < 3 and np.ptp(lips) < 6:  # a monochrome photo
        flesh = np.full(3, flesh.mean())
    return flesh.astype(np.float32)


def colour_teeth(
    light: Float[np.ndarray, " 3"], inside: Float[np.ndarray, "h w 4"]
) -> Float[np.ndarray, " 3"]:
    """Return the colour of a white tooth: the brightest of the photo's own where it shows any."""
    made_up = light * np.array([0.93, 0.90, 0.84])
    own = inside[inside[..., 3] > 0.9][:, :3]
    if len(own) < 30:
        return made_up.astype(np.float32)
    bright = own[own.mean(axis=1) >= np.quantile(own.mean(axis=1), 0.75)].mean(axis=0)
    # Flesh is redder than teeth, and a dark gap darker.
    sure = np.clip((bright.min() / max(bright.max(), 1) - 0.6) / 0.2, 0, 1) * np.clip(
        bright.mean() / 90 - 0.6, 0, 1
    )
    return (made_up + (bright - made_up) * sure).astype(np.float32)


def shade_mouth(
    rig: Rig, flesh: Float[np.ndarray, " 3"], positions: Float[np.ndarray, "r 3"]
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, " m"]]:
    """Light the mouth: teeth, a tongue, and flesh that darkens to the palate.

    Args:
        flesh: Its colour in full light.
        positions: Head space, with expression.

    Returns:
        Colours of flesh, and the light on teeth, at the mouth's vertices.
    """
    span = rig.spans[MOUTH]
    marks = positions[rig.landmarks[60:68]]
    top, bottom = marks[1:4, 1].max(), marks[5:8, 1].min()
    middle, half = marks[:, 0].mean(), 0.5 * np.ptp(marks[:, 0])
    x, y, z = positions[span].T
    gap = max(top - bottom, 0.3)
    height = (y - bottom) / gap
    across = np.clip(np.abs(x - middle) / half, 0, 1)
    teeth, kind = rig.teeth[span], np.full(len(z), -1)
    kind[teeth] = rig.tooth_looks[:, 2]
    low = np.clip(1.1 - height / 0.7 - 0.8 * across**2, 0, 1)
    shade = 0.12 + 0.3 * low * low * (3 - 2 * low)
    shade = np.where((kind == UPPER) & (height > 0.5), 0.62 * np.clip(1.1 - 0.7 * across, 0.3, 1), shade)
    tongue = np.zeros(len(z))
    tongue[teeth] = (1 - 0.55 * rig.tooth_looks[:, 1]) * (1 - 0.35 * (2 * rig.tooth_looks[:, 0] - 1) ** 2)
    shade = np.where(kind == TONGUE, 0.85 * tongue * np.clip(0.35 + gap / 2.5, 0, 1), shade)
    white = np.clip(1.05 - 0.55 * across**2, 0.35, 1)
    white *= np.clip(1.2 - 0.5 * np.clip(height - 0.45, 0, None), 0.55, 1)  # the upper lip's shadow
    # Between lips that just part there is a dark line, not a row of teeth.
    parted = np.clip((top - bottom - 0.2) / 0.45, 0, 1)
    white = white * (0.2 + 0.8 * parted) * np.where(kind == LOWER, 0.8, 1.0)
    shade = shade * (0.5 + 0.5 * parted)
    white = np.where((kind == UPPER) | (kind == LOWER), white, 0)
    return (flesh * shade[:, None]).astype(np.float32), white.astype(np.float32)


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
