"""The mouth of a photo person: lips that keep clear of the photo's teeth, and a painted inside."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from iad.geometry.curves import ease, round_off
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
    inner = np.array([0.62, 0.30, 0.29]) * light * (lips.mean() / 110) ** 0.5
    colourful = np.clip(4 * np.ptp(lips) / max(lips.max(), 1), 0, 1)  # none in a monochrome photo
    return (0.5 * lips + 0.5 * (inner.mean() + (inner - inner.mean()) * colourful)).astype(np.float32)


def colour_teeth(
    light: Float[np.ndarray, " 3"], inside: Float[np.ndarray, "h w 4"]
) -> Float[np.ndarray, " 3"]:
    """Return the colour of a white tooth: the brightest of the photo's own where it shows any."""
    made_up = light * np.array([0.93, 0.91, 0.87])
    own = inside[inside[..., 3] > 0.9][:, :3]
    if len(own) < 30:
        return made_up.astype(np.float32)
    bright = own[own.mean(axis=1) >= np.quantile(own.mean(axis=1), 0.75)].mean(axis=0)
    # Flesh is redder than teeth, and a dark gap darker.
    sure = np.clip((bright.min() / max(bright.max(), 1) - 0.6) / 0.2, 0, 1) * np.clip(
        bright.mean() / 90 - 0.6, 0, 1
    )
    return (made_up + (bright - made_up) * sure).astype(np.float32)


def part_lips(rig: Rig, positions: Float[np.ndarray, "r 3"]) -> float:
    """Return how far the lips have parted, from 0 to 1: light falls into the mouth then."""
    marks = positions[rig.landmarks[60:68], 1]
    return float(np.clip((marks[1:4].max() - marks[5:8].min() - 0.2) / 0.45, 0, 1))


def shade_mouth(
    rig: Rig, flesh: Float[np.ndarray, " 3"], positions: Float[np.ndarray, "r 3"]
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, " m"]]:
    """Light the mouth: teeth, a wet tongue, and flesh that darkens to the throat.

    Args:
        flesh: Its colour in full light.
        positions: Head space, with expression.

    Returns:
        Colours of flesh, and the light on teeth, at the mouth's vertices.
    """
    span = rig.spans[MOUTH]
    marks = positions[rig.landmarks[60:68]]
    bottom, middle, half = marks[5:8, 1].min(), marks[:, 0].mean(), 0.5 * np.ptp(marks[:, 0])
    gap = max(marks[1:4, 1].max() - bottom, 0.3)
    x, y, z = positions[span].T
    across, deep = np.clip(np.abs(x - middle) / half, 0, 1.2), np.clip(marks[:, 2].max() - z, 0, None)
    teeth, kind = rig.teeth[span], np.full(len(z), -1)
    along, back, kind[teeth] = rig.tooth_looks.T
    along = 2 * along - 1
    # Little light reaches the palate, the cheeks and the throat.
    low = 0.25 + 0.75 * ease(1.2 - (y - bottom) / gap)
    shade = 0.19 + 0.6 * np.exp(-deep / 4) * low
    white = (1 - 0.15 * across**2) * (1 - 0.7 * ease((across - 0.55) / 0.6))
    white[teeth] *= 1 - 0.5 * ease((np.abs(along) - 0.4) / 0.5)
    parted = part_lips(rig, positions)
    # Between lips that just part there is a dark line, not a row of teeth.
    white = white * (0.2 + 0.8 * parted) * np.where(kind == LOWER, 0.85, 1.0)
    white = np.where((kind == UPPER) | (kind == LOWER), white, 0)
    shade = np.where(white > 0, 0.08 + 0.5 * white, shade)
    tongue, lit = kind[teeth] == TONGUE, np.clip(0.35 + gap / 2.5, 0, 1)
    dome = 1 - 0.3 * along**2 - 0.5 * along**6 - 0.12 * np.exp(-((along / 0.15) ** 2))
    dome *= lit * (1 - 0.8 * ease((back - 0.15) / 0.65))
    wet = 0.4 * lit * np.exp(-(((np.abs(along) - 0.32) / 0.18) ** 2) - ((back - 0.3) / 0.12) ** 2)
    shade[teeth] = np.where(tongue, dome, shade[teeth])
    shade = (shade * (0.5 + 0.5 * parted))[:, None]
    colours = flesh * shade * np.minimum([1, 0.6, 0.55] + 0.8 * shade, 1)
    colours[teeth] += flesh.max() * (wet * tongue)[:, None]
    return colours.astype(np.float32), white.astype(np.float32)


def soften_rim(frame: Float[np.ndarray, "h w 3"], opening: Bool[np.ndarray, "h w"], strength: float) -> None:
    """Darken and blur a frame around the rim of an open mouth, in place: lips turn inwards, and shade it.

    Args:
        opening: Where the inside of the mouth is seen.
    """
    x, y, width, height = cv2.boundingRect(opening.astype(np.uint8))
    room = width // 8 + 2
    around = (slice(max(y - room, 0), y + height + room), slice(max(x - room, 0), x + width + room))
    frame, opening = frame[around], opening[around]
    soft = cv2.GaussianBlur(opening.astype(np.float32), (0, 0), 0.026 * width + 0.3)
    down = round(0.034 * width + 0.4)
    above = np.pad(soft, ((down, 0), (0, 0)))[: len(soft)]  # most light comes from above, past the upper lip
    shadow = np.where(opening, 0.6 * (1 - ease(0.35 * soft + 0.75 * above)), 0.75 * soft)
    frame *= (1 - strength * shadow)[..., None]
    rim = ease(6 * soft * (1 - soft) - 0.3)  # no lens draws a lip's edge as sharply as triangles
    frame += strength * rim[..., None] * (cv2.GaussianBlur(frame, (0, 0), 0.008 * width + 0.2) - frame)


def measure_light(
    photo: Float[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"]
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Return the mean colour of the lips, and what a white thing in the face's light would look like."""
    rings = (
        np.concatenate([landmarks[48:55], landmarks[64:59:-1]]),
        landmarks[[54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64]],
    )
    lips = np.mean([_within(photo, ring).mean(axis=0) for ring in rings], axis=0)
    inside = _within(photo, landmarks[[1, 4, 8, 12, 15, 26, 24, 19, 17]])
    bright = np.clip(105 + 0.6 * np.quantile(inside.mean(axis=1), 0.9), 0, 245)
    eyes = np.concatenate([_within(photo, landmarks[36:42]), _within(photo, landmarks[42:48])]).mean(axis=1)
    # Teeth that outshine the whites of the eyes look false.
    bright = np.clip(15 + 1.15 * np.quantile(eyes, 0.95), 0.87 * bright, bright)
    hue = inside.mean(axis=0) / max(inside.mean(), 1e-3)
    # Skin is warmer than its light: a quarter of its hue is the light's.
    return lips, bright * (1 + (hue - 1) * 0.27)


def _within(photo: np.ndarray, polygon: np.ndarray) -> Float[np.ndarray, "n 3"]:
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
    return photo[mask > 0] if mask.any() else photo.reshape(-1, 3)
