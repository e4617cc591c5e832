"""Paint one frame of a photo person, compiled by numba: photo, skin, eyes, mouth and backdrop in one pass."""

from typing import no_type_check

import numpy as np
from numba import njit

from iad.portraits.rig import MOUTH, SKIN


@njit(cache=True, fastmath=True)
@no_type_check  # compiled code cannot be wrapped by the tests' shape checks
def look_up(picture, x, y, channel):
    """Bilinear sample at photo pixel (x, y); beyond the edge the border pixels go on."""
    height, width = picture.shape[0], picture.shape[1]
    x = min(max(x - 0.5, 0.0), width - 1.001)
    y = min(max(y - 0.5, 0.0), height - 1.001)
    i, j = int(y), int(x)
    fy, fx = y - i, x - j
    upper = picture[i, j, channel] * (1 - fx) + picture[i, j + 1, channel] * fx
    lower = picture[i + 1, j, channel] * (1 - fx) + picture[i + 1, j + 1, channel] * fx
    return upper * (1 - fy) + lower * fy


@njit(cache=True, fastmath=True)
@no_type_check
def paint_frame(layer, plate, under, index, attributes, material, whites, lids, irises, looks, light, frame):
    """Fill `frame` (h, w, 3) float32 in place.

    Args:
        layer: The photo with its matte as fourth channel, (h, w, 4) float32.
        plate: Backdrop as it lies in the frame, (h, w, 3).
        under: Where in the photo the surroundings of each pixel are, (h, w, 2).
        index: Triangle of the face seen at each pixel, or -1.
        attributes: Skin: photo x, y, opacity, darkness, share of lid, share of the face's other side, and
            photo x, y there. Mouth: r, g, b, opacity. Eyes: photo x, y, and x, y on the ball.
        material: Of each triangle.
        whites: The photo without its irises.
        lids: The photo with skin over its eyes.
        irises: A square picture of each iris with alpha, (2, k, k, 4).
        looks: Of each eye: where on the ball the iris is (x, y), the 2x2 that takes a place on the ball to
            pixels of the iris picture, and the light on the eye: (2, 7).
        light: What to multiply the face's other side by, (3,).
    """
    centre = irises.shape[1] / 2.0
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            u, v = under[y, x, 0], under[y, x, 1]
            alpha = look_up(layer, u, v, 3)
            for c in range(3):
                frame[y, x, c] = look_up(layer, u, v, c) * alpha + plate[y, x, c] * (1 - alpha)
            t = index[y, x]
            if t < 0:
                continue
            kind = material[t]
            a0, a1, a2, a3 = (
                attributes[y, x, 0],
                attributes[y, x, 1],
                attributes[y, x, 2],
                attributes[y, x, 3],
            )
            if kind == SKIN:
                if a2 > 0.004:
                    shut, twin = attributes[y, x, 4], attributes[y, x, 5]
                    for c in range(3):
                        colour = look_up(layer, a0, a1, c)
                        if shut > 0.004:
                            colour += (look_up(lids, a0, a1, c) - colour) * shut
                        if twin > 0.004:
                            other = look_up(layer, attributes[y, x, 6], attributes[y, x, 7], c) * light[c]
                            colour += (other - colour) * twin
                        colour *= 1 - a3
                        frame[y, x, c] += (colour - frame[y, x, c]) * a2
            elif kind == MOUTH:
                frame[y, x, 0] += (a0 - frame[y, x, 0]) * a3
                frame[y, x, 1] += (a1 - frame[y, x, 1]) * a3
                frame[y, x, 2] += (a2 - frame[y, x, 2]) * a3
            else:
                look = looks[kind - 2]
                dx, dy = a2 - look[0], a3 - look[1]
                px = centre + look[2] * dx + look[3] * dy
                py = centre + look[4] * dx + look[5] * dy
                inside = abs(px - centre) < centre - 1 and abs(py - centre) < centre - 1
                cover = look_up(irises[kind - 2], px, py, 3) if inside else 0.0
                for c in range(3):
                    colour = look_up(whites, a0, a1, c)
                    if cover > 0:
                        colour += (look_up(irises[kind - 2], px, py, c) - colour) * cover
                    frame[y, x, c] = colour * look[6]


@njit(cache=True, fastmath=True)
@no_type_check
def average_blocks(frame, picture):
    """Average 2x2 blocks of `frame` into uint8 `picture`, in place."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for c in range(3):
                total = frame[2 * y, 2 * x, c] + frame[2 * y, 2 * x + 1, c]
                total += frame[2 * y + 1, 2 * x, c] + frame[2 * y + 1, 2 * x + 1, c]
                picture[y, x, c] = np.uint8(min(max(total * 0.25 + 0.5, 0.0), 255.0))
