"""A z-buffer over triangles, compiled by numba: the one renderer of the drawn and the photographed people.

In come projected vertices with their depth and attributes, out come the attributes of the nearest surface
at every pixel and the number of the triangle that is seen there. There is no camera: faces are seen from far
off, so projection is orthographic and attributes are linear over a triangle.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit


@njit(cache=True, fastmath=True, nogil=True)
@no_type_check  # compiled code cannot be wrapped by the tests' shape checks
def fill_triangles(xy, depth, triangles, nearest, index, weights):
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
def interpolate_attributes(triangles, attributes, index, weights, image):
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
