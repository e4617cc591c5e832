"""Triangles and textures -> pictures, compiled by numba: a z-buffer, and what paints an animated photo.

In come projected vertices with their depth and attributes, out come the attributes of the nearest surface
at every pixel and the number of the triangle that is seen there. There is no camera: faces are seen from
far off, so projection is orthographic and attributes are linear over a triangle. `paint_window` fills in
photo, skin, eyes, mouth and backdrop in one pass. All let go of Python's lock, so that threads draw side
by side.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from iad.geometry.rig import MOUTH, SKIN

Array = np.ndarray


@njit(cache=True, fastmath=True, nogil=True)
@no_type_check  # compiled code cannot be wrapped by the tests' shape checks
def fill_triangles(
    xy: Array, depth: Array, triangles: Array, nearest: Array, index: Array, weights: Array
) -> None:
    """Fill z-buffer `nearest`, triangle numbers `index` and barycentric `weights` (h, w, 2) in place."""
    height, width = nearest.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]
        # Pixel (i, j) is sampled at its centre (i + 0.5, j + 0.5).
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        if left > right or top > bottom:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        inverse = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5, y + 0.5
                wb = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) * inverse
                wc = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) * inverse
                # A hair's breadth of overlap, so that neighbours leave no pinholes between them.
                if wb < -1e-4 or wc < -1e-4 or wb + wc > 1.0001:
                    continue
                z = depth[a] + wb * (depth[b] - depth[a]) + wc * (depth[c] - depth[a])
                if z > nearest[y, x]:
                    nearest[y, x] = z
                    index[y, x] = t
                    weights[y, x, 0] = wb
                    weights[y, x, 1] = wc


@njit(cache=True, fastmath=True, nogil=True)
@no_type_check
def interpolate_attributes(
    triangles: Array, attributes: Array, index: Array, weights: Array, image: Array
) -> None:
    """Write the attributes of the triangle seen at each pixel into `image`; other pixels stay as they are."""
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            t = index[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = weights[y, x, 0], weights[y, x, 1]
            wa = 1.0 - wb - wc
            for k in range(attributes.shape[1]):
                image[y, x, k] = wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]


def rasterize(
    xy: Float[np.ndarray, "v 2"],
    depth: Float[np.ndarray, " v"],
    triangles: Int[np.ndarray, "t 3"],
    attributes: Float[np.ndarray, "v c"],
    size: int | tuple[int, int],
) -> tuple[Float[np.ndarray, "h w c"], Int[np.ndarray, "h w"]]:
    """Draw triangles with a z-buffer.

    Args:
        xy: Vertices in pixels, y down, pixel (0, 0) reaching from 0 to 1.
        depth: Larger is nearer to the viewer.
        triangles: Vertex numbers; winding does not matter.
        attributes: Anything that is linear over a triangle: colours, normals, texture coordinates.
        size: Height and width of the picture in pixels, or the side of a square one.

    Returns:
        The attributes seen at each pixel (0 where nothing is), and the triangle's number there, or -1.
    """
    xy, depth = np.ascontiguousarray(xy, np.float32), np.ascontiguousarray(depth, np.float32)
    triangles = np.ascontiguousarray(triangles, np.int32)
    attributes = np.ascontiguousarray(attributes, np.float32)
    shape = (size, size) if isinstance(size, int) else size
    index, weights = find_triangles(xy, depth, triangles, shape)
    image = np.zeros((*shape, attributes.shape[1]), np.float32)
    interpolate_attributes(triangles, attributes, index, weights, image)
    return image, index


def find_triangles(
    xy: Float[np.ndarray, "v 2"],
    depth: Float[np.ndarray, " v"],
    triangles: Int[np.ndarray, "t 3"],
    shape: tuple[int, int],
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w 2"]]:
    """Return the triangle seen at each pixel, or -1, and its barycentric coordinates there."""
    nearest = np.full(shape, -np.inf, np.float32)
    index = np.full(shape, -1, np.int32)
    weights = np.zeros((*shape, 2), np.float32)
    fill_triangles(xy, depth, triangles, nearest, index, weights)
    return index, weights


def downsample(image: Float[np.ndarray, "h w c"], factor: int = 2) -> Float[np.ndarray, "h2 w2 c"]:
    """Average blocks of `factor` by `factor` pixels: the second half of supersampling.

    Raises:
        ValueError: The picture's sides are no multiples of `factor`.
    """
    height, width = image.shape[:2]
    if height % factor or width % factor:
        raise ValueError(
            f"Cannot average a {height}x{width} picture in blocks of {factor}; "
            f"render at a multiple of {factor}."
        )
    import cv2

    small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    return small.reshape(height // factor, width // factor, image.shape[2])


# Where a pixel comes from: its own place, another place, or nowhere in the photo.
PHOTO, FILLED, PAINTED = range(3)
SKIPPED = -2


@njit(cache=True, fastmath=True, nogil=True)
@no_type_check  # compiled code cannot be wrapped by the tests' shape checks
def look_up(picture: Array, x: float, y: float, channel: int) -> float:
    """Bilinear sample at pixel (x, y), the first pixel's centre at 0.5; beyond the edge its pixels go on."""
    height, width = picture.shape[0], picture.shape[1]
    x = min(max(x - 0.5, 0.0), width - 1.001)
    y = min(max(y - 0.5, 0.0), height - 1.001)
    i, j = int(y), int(x)
    fy, fx = y - i, x - j
    upper = picture[i, j, channel] * (1 - fx) + picture[i, j + 1, channel] * fx
    lower = picture[i + 1, j, channel] * (1 - fx) + picture[i + 1, j + 1, channel] * fx
    return upper * (1 - fy) + lower * fy


@njit(cache=True, fastmath=True, nogil=True)
@no_type_check
def paint_window(
    photo: Array, inside: Array, plate: Array, under: Array, index: Array, weights: Array, triangles: Array,
    attributes: Array, material: Array, whites: Array, lids: Array, irises: Array, looks: Array, light: Array,
    teeth: Array, tooth_colour: Array, alike: float, origin: Array, factor: int, frame: Array, source: Array,
) -> None:  # fmt: skip
    """Fill `frame` (h, w, 3) float32 and `source` (h, w) uint8 in place: a window of the whole frame.

    Args:
        photo: The photo without what lies between its lips, and its matte as fourth channel, (H, W, 4).
        inside: What lies between the photo's lips, and how surely it does, (H, W, 4).
        plate: Backdrop as it lies in the whole frame, (F, F, 3), or with how far it is made up, (F, F, 4).
        under: Where in the photo the surroundings of each pixel of the whole frame are, (F, F, 2).
        index: Triangle of the face seen at each pixel of the window, -1 for none, or SKIPPED to leave it.
        weights: Its barycentric coordinates there, (h, w, 2).
        triangles: Corners of all triangles.
        attributes: Of each vertex. Skin: photo x, y, opacity, share of lid, share of the face's other
            side, photo x, y there, and x, y in `lids`. Mouth: photo x, y, opacity, r, g, b of flesh,
            x, y in the picture of the teeth (0 to 1), light on teeth (none at 0), and UPPER or
            LOWER. Eyes: photo x, y, and x, y on the ball.
        material: Of each triangle.
        whites: The photo without its irises.
        lids: The photo with its eyes closed.
        irises: A square picture of each iris with alpha, (2, k, k, 4).
        looks: Of each eye: where on the ball the iris is (x, y), the 2x2 that takes a place on the ball to
            pixels of the iris picture, the light on the eye, how far it is closed for good, and how far it
            is left as the photo has it: (2, 9).
        light: What to multiply the face's other side by, (3,).
        teeth: Colour, and how surely a tooth, of the upper and the lower row, (2, h, w, 4).
        tooth_colour: Of a white tooth in full light, (3,).
        alike: 1 where the mouth is as in the photo, to 0: how far to show the photo's own inside of it.
        origin: First pixel of the window in the whole frame (x, y).
        factor: Pixels of the window to one of the whole frame.
    """
    centre = irises.shape[1] / 2.0
    a = np.zeros(10, np.float32)
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            row, column = origin[1] + y // factor, origin[0] + x // factor
            t = index[y, x]
            if t == SKIPPED:
                continue
            kind = material[t] if t >= 0 else -1
            if t >= 0:
                first, second, third = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                wb, wc = weights[y, x, 0], weights[y, x, 1]
                wa = 1.0 - wb - wc
                for k in range(10 if kind == MOUTH else 7 if kind == SKIN else 4):
                    a[k] = wa * attributes[first, k] + wb * attributes[second, k] + wc * attributes[third, k]
            opacity = a[2] if kind <= MOUTH and kind >= SKIN else (1.0 if t >= 0 else 0.0)
            source[y, x] = PHOTO
            if opacity >= 0.996:
                opacity = 1.0
                frame[y, x, 0] = frame[y, x, 1] = frame[y, x, 2] = 0.0
            else:
                u, v = under[row, column, 0], under[row, column, 1]
                alpha = look_up(photo, u, v, 3)
                for c in range(3):
                    frame[y, x, c] = look_up(photo, u, v, c) * alpha + plate[row, column, c] * (1 - alpha)
                if plate.shape[2] > 3 and alpha < 0.5 and plate[row, column, 3] > 0.5:
                    source[y, x] = PAINTED
            if opacity <= 0.004:
                continue
            if kind == SKIN:
                shut, twin = a[3], a[4]
                if shut > 0.004:
                    u = wa * attributes[first, 7] + wb * attributes[second, 7] + wc * attributes[third, 7]
                    v = wa * attributes[first, 8] + wb * attributes[second, 8] + wc * attributes[third, 8]
                for c in range(3):
                    colour = look_up(photo, a[0], a[1], c)
                    if shut > 0.004:
                        colour += (look_up(lids, u, v, c) - colour) * shut
                    if twin > 0.004:
                        other = look_up(photo, a[5], a[6], c) * light[c]
                        colour += (other - colour) * twin
                    frame[y, x, c] += (colour - frame[y, x, c]) * opacity
                if shut > 0.5 or twin > 0.5:
                    source[y, x] = FILLED
            elif kind == MOUTH:
                # Flesh that an opening mouth uncovers shows no teeth of the photo.
                own = look_up(inside, a[0], a[1], 3) * (alike if a[8] > 0.001 else alike**4)
                tooth, row_of_teeth = 0.0, teeth[1 if a[9] > 0.5 else 0]
                u, v = a[6] * row_of_teeth.shape[1], a[7] * row_of_teeth.shape[0]
                if a[8] > 0.001:
                    tooth = look_up(row_of_teeth, u, v, 3)
                for c in range(3):
                    colour = a[3 + c]
                    if tooth > 0.004:
                        warm = 1 - 0.12 * c * (1 - a[8])  # what light there is in the shade comes from flesh
                        white = 0.95 * a[8] * warm * tooth_colour[c] + 0.08 * colour
                        colour += (look_up(row_of_teeth, u, v, c) * white - colour) * tooth
                    if own > 0.004:
                        colour += (look_up(inside, a[0], a[1], c) - colour) * own
                    frame[y, x, c] += (colour - frame[y, x, c]) * opacity
                if own < 0.5:
                    source[y, x] = PAINTED
            else:
                look = looks[kind - 2]
                dx, dy = a[2] - look[0], a[3] - look[1]
                px = centre + look[2] * dx + look[3] * dy
                py = centre + look[4] * dx + look[5] * dy
                within = abs(px - centre) < centre - 1 and abs(py - centre) < centre - 1
                cover = look_up(irises[kind - 2], px, py, 3) if within else 0.0
                for c in range(3):
                    colour = look_up(whites, a[0], a[1], c)
                    if cover > 0:
                        colour += (look_up(irises[kind - 2], px, py, c) - colour) * cover
                    colour *= look[6]
                    colour += (look_up(lids, a[0], a[1], c) - colour) * look[7]
                    frame[y, x, c] = colour + (look_up(photo, a[0], a[1], c) - colour) * look[8]
                if look[8] < 0.5 and cover < 0.5:
                    source[y, x] = FILLED


@njit(cache=True, fastmath=True, nogil=True)
@no_type_check
def average_blocks(frame: Array, factor: int, picture: Array) -> None:
    """Average blocks of `factor` x `factor` pixels of `frame` into `picture`, in place."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for c in range(3):
                total = 0.0
                for i in range(factor):
                    for j in range(factor):
                        total += frame[factor * y + i, factor * x + j, c]
                picture[y, x, c] = total / (factor * factor)


@njit(cache=True, fastmath=True, nogil=True)
@no_type_check
def round_colours(frame: Array, grey: bool, picture: Array) -> None:
    """Round `frame` to uint8 `picture`, in place; `grey` leaves it without colour."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            mean = (frame[y, x, 0] + frame[y, x, 1] + frame[y, x, 2]) / 3.0
            for c in range(3):
                value = mean if grey else frame[y, x, c]
                picture[y, x, c] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
