"""Light on rendered people: baked visibility, soft area light, skin, eyes and strands, compiled by numba.

Light comes from a fixed set of directions over the sphere. What each vertex sees of every direction is baked
once a person (`bake_visibility`), so that a frame costs one weighted sum a vertex and still has soft shadows
that move when the head turns under the light. All colours here are linear; `photograph` makes them display
values. Compiled code cannot be wrapped by the tests' shape checks, hence `no_type_check`.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit

from iad.geometry.renderer import fill_triangles

SKIN, EYE, MOUTH, TEETH, LASH, CLOTH = range(6)
DIRECTIONS = 48


def sphere_directions(count: int = DIRECTIONS) -> Float[np.ndarray, "n 3"]:
    """Spread unit vectors (n, 3) evenly over the sphere along a golden spiral."""
    y = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - y * y)
    return np.stack([across * np.cos(angle), y, across * np.sin(angle)], axis=1).astype(np.float32)


@njit(cache=True, fastmath=True)
@no_type_check
def vertex_normals(points, triangles, out):
    """Write area-weighted unit normals (v, 3) into `out`."""
    out[:] = 0.0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz
    for i in range(out.shape[0]):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-12
        out[i, 0] /= length
        out[i, 1] /= length
        out[i, 2] /= length


@njit(cache=True, fastmath=True)
@no_type_check
def _seen(depth_map, x, y, z, bias):
    """Share of the four nearest depth samples that lie no nearer to the light than z."""
    size = depth_map.shape[0]
    i, j = int(np.floor(y - 0.5)), int(np.floor(x - 0.5))
    fy, fx = y - 0.5 - i, x - 0.5 - j
    total = 0.0
    for di in range(2):
        for dj in range(2):
            r, c = min(max(i + di, 0), size - 1), min(max(j + dj, 0), size - 1)
            weight = (fy if di else 1 - fy) * (fx if dj else 1 - fx)
            if depth_map[r, c] <= z + bias:
                total += weight
    return total


@njit(cache=True, fastmath=True)
@no_type_check
def bake_visibility(points, normals, occluders, strands, directions, size, extent):
    """Bake what vertices and strand points see of every direction.

    Returns (v, d) shares in [0, 1] of light that surface and hair let through, and (p, d) the same for strand
    points, hair dimming hair the deeper it lies. `extent` is half the side of the cube that is baked.
    """
    count = directions.shape[0]
    visible = np.zeros((points.shape[0], count), np.float32)
    through = np.zeros((strands.shape[0], count), np.float32)
    scale = size / (2 * extent)
    xy, hxy = np.zeros((points.shape[0], 3), np.float32), np.zeros((strands.shape[0], 3), np.float32)
    index, weights = np.zeros((size, size), np.int32), np.zeros((size, size, 2), np.float32)
    for d in range(count):
        lx, ly, lz = directions[d]
        # Any two axes across the light's direction serve.
        ax, ay, az = (0.0, 1.0, 0.0) if abs(ly) < 0.9 else (1.0, 0.0, 0.0)
        ux, uy, uz = ay * lz - az * ly, az * lx - ax * lz, ax * ly - ay * lx
        n = np.sqrt(ux * ux + uy * uy + uz * uz)
        ux, uy, uz = ux / n, uy / n, uz / n
        vx, vy, vz = ly * uz - lz * uy, lz * ux - lx * uz, lx * uy - ly * ux
        for there, places in ((points, xy), (strands, hxy)):
            for i in range(there.shape[0]):
                p = there[i]
                places[i, 0] = (p[0] * ux + p[1] * uy + p[2] * uz) * scale + size / 2
                places[i, 1] = (p[0] * vx + p[1] * vy + p[2] * vz) * scale + size / 2
                places[i, 2] = p[0] * lx + p[1] * ly + p[2] * lz
        depth = np.full((size, size), -1e9, np.float32)
        fill_triangles(xy[:, :2], xy[:, 2], occluders, depth, index, weights)
        hair = np.full((size, size), -1e9, np.float32)
        density = np.zeros((size, size), np.float32)
        for i in range(hxy.shape[0]):
            r, c = int(hxy[i, 1]), int(hxy[i, 0])
            if 0 <= r < size and 0 <= c < size:
                hair[r, c] = max(hair[r, c], hxy[i, 2])
                density[r, c] += 1.0
        for i in range(points.shape[0]):
            facing = normals[i, 0] * lx + normals[i, 1] * ly + normals[i, 2] * lz
            if facing < -0.5:
                continue
            share = _seen(depth, xy[i, 0], xy[i, 1], xy[i, 2], 0.45)
            r, c = int(xy[i, 1]), int(xy[i, 0])
            if 0 <= r < size and 0 <= c < size and hair[r, c] > xy[i, 2] + 0.1:
                share *= np.exp(-0.22 * min(density[r, c], 8.0) * min(hair[r, c] - xy[i, 2], 1.0))
            visible[i, d] = share
        for i in range(hxy.shape[0]):
            share = _seen(depth, hxy[i, 0], hxy[i, 1], hxy[i, 2], 0.6)
            r, c = int(hxy[i, 1]), int(hxy[i, 0])
            if 0 <= r < size and 0 <= c < size:
                share *= np.exp(-0.75 * max(hair[r, c] - hxy[i, 2] - 0.15, 0.0))
            through[i, d] = share
    return visible, through


@njit(cache=True, fastmath=True)
@no_type_check
def gather_light(normals, visible, directions, radiance, wrap, out):
    """Sum the light of all directions at every vertex into `out` (v, 3).

    `wrap` (3,) lets each colour creep that far around the edge: red travels furthest under skin.
    """
    count = directions.shape[0]
    for i in range(normals.shape[0]):
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        red = green = blue = np.float32(0.0)
        for d in range(count):
            v = visible[i, d]
            facing = nx * directions[d, 0] + ny * directions[d, 1] + nz * directions[d, 2]
            # Light that is half shut out goes through thin places as red.
            red += radiance[d, 0] * max(facing + wrap[0], 0.0) / (1 + wrap[0]) * (v * (1.35 - 0.35 * v))
            green += radiance[d, 1] * max(facing + wrap[1], 0.0) / (1 + wrap[1]) * v
            blue += radiance[d, 2] * max(facing + wrap[2], 0.0) / (1 + wrap[2]) * v
        out[i, 0], out[i, 1], out[i, 2] = red, green, blue


@njit(cache=True, fastmath=True)
@no_type_check
def iris_colour(x, y, z, gaze, iris, pupil, seed):
    """Colour (3,) of the eyeball in direction (x, y, z) from its centre, and how much of it is cornea."""
    cosine = min(x * gaze[0] + y * gaze[1] + z * gaze[2], 1.0)
    angle = np.arccos(max(cosine, -1.0))
    red, green, blue = 0.66, 0.60, 0.57
    away = min(max((angle - 0.55) / 0.6, 0.0), 1.0)  # veins and shade towards the corners
    red, green, blue = red * (1 - 0.25 * away), green * (1 - 0.42 * away), blue * (1 - 0.42 * away)
    limit = 0.50
    edge = min(max((limit + 0.03 - angle) / 0.06, 0.0), 1.0)
    inside = angle / limit
    around = np.arctan2(y - gaze[1], x - gaze[0])
    fibre = 0.85 + 0.22 * np.sin(around * 23 + seed) * np.sin(around * 9 - seed * 1.7)
    ring = 1 - 0.75 * min(max((inside - 0.78) / 0.2, 0.0), 1.0)
    glow = 1.25 - 0.45 * inside
    hole = min(max((angle - pupil) / 0.05, 0.0), 1.0)
    lit = fibre * ring * glow * hole * edge
    rest, dark = 1 - edge, 0.006 * edge
    red, green, blue = red * rest + dark, green * rest + dark, blue * rest + dark
    return red + iris[0] * lit, green + iris[1] * lit, blue + iris[2] * lit, edge


@njit(cache=True, fastmath=True)
@no_type_check
def shade_pixels(
    triangles, material, index, weights, diffuse, normals, gloss, local, gaze, iris, pupil,
    key, key_colour, sheen, image,
):  # fmt: skip
    """Light every covered pixel of `image` (h, w, 3); see `RenderedPerson` for what goes in."""
    # Halfway between the light and the viewer.
    hx, hy, hz = key[0], key[1], key[2] + 1.0
    length = np.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx / length, hy / length, hz / length
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            t = index[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = weights[y, x, 0], weights[y, x, 1]
            wa = 1 - wb - wc
            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            nx, ny, nz = nx / length, ny / length, nz / length
            shine = wa * gloss[a] + wb * gloss[b] + wc * gloss[c]
            half = max(nx * hx + ny * hy + nz * hz, 0.0)
            red = wa * diffuse[a, 0] + wb * diffuse[b, 0] + wc * diffuse[c, 0]
            green = wa * diffuse[a, 1] + wb * diffuse[b, 1] + wc * diffuse[c, 1]
            blue = wa * diffuse[a, 2] + wb * diffuse[b, 2] + wc * diffuse[c, 2]
            if material[t] == EYE:
                lx = wa * local[a, 0] + wb * local[b, 0] + wc * local[c, 0]
                ly = wa * local[a, 1] + wb * local[b, 1] + wc * local[c, 1]
                lz = wa * local[a, 2] + wb * local[b, 2] + wc * local[c, 2]
                side = 0 if local[a, 3] > 0 else 1
                length = np.sqrt(lx * lx + ly * ly + lz * lz) + 1e-9
                er, eg, eb, cornea = iris_colour(
                    lx / length, ly / length, lz / length, gaze[side], iris, pupil[side], 3.0 * side + 1.0
                )
                spot = half**260 * 1.5 + half**12 * 0.03 * cornea
                red, green, blue = red * er + spot, green * eg + spot, blue * eb + spot
            else:
                # A broad lobe for the skin, a narrow one for the oil on it, and what grazes the edge.
                lobe = shine * (0.055 * half**9 + 0.055 * half**34)
                graze = (1 - max(nz, 0.0)) ** 4 * min(shine, 1.0) * 0.05
                red += lobe * key_colour[0] + graze * sheen[0]
                green += lobe * key_colour[1] + graze * sheen[1]
                blue += lobe * key_colour[2] + graze * sheen[2]
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = red, green, blue


@njit(cache=True, fastmath=True)
@no_type_check
def blend_veil(triangles, index, weights, veil, image):
    """Darken `image` where lashes lie over it, as much as they are opaque there."""
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            t = index[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = weights[y, x, 0], weights[y, x, 1]
            opaque = (1 - wb - wc) * veil[a] + wb * veil[b] + wc * veil[c]
            for k in range(3):
                image[y, x, k] *= 1 - 0.92 * opaque


@njit(cache=True, fastmath=True)
@no_type_check
def draw_strands(
    points, stiff, offsets, ambient, direct, colours, width, shine, centre,
    rotation, pivot, camera, distance, key, key_colour, nearest, image, cover,
):  # fmt: skip
    """Draw strands (s, k, 3) as lit lines into `image` where nothing is nearer.

    `stiff` (s, k) says how far each point follows the head's rotation, `offsets` (s, 3) moves whole strands
    with the skin that they grow on; `ambient` (s, k, 3) and `direct` (s, k) are the light that arrives.
    """
    count, steps = points.shape[0], points.shape[1]
    size = nearest.shape[0]
    place = np.zeros((steps, 3), np.float32)
    world = np.zeros((steps, 3), np.float32)
    shade = np.zeros((steps, 3), np.float32)
    seen = np.zeros(steps + 1, np.bool_)
    hx, hy, hz = key[0], key[1], key[2] + 1.0
    length = np.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx / length, hy / length, hz / length
    for s in range(count):
        for k in range(steps):
            x = points[s, k, 0] + offsets[s, 0] - pivot[0]
            y = points[s, k, 1] + offsets[s, 1] - pivot[1]
            z = points[s, k, 2] + offsets[s, 2] - pivot[2]
            w = stiff[s, k]
            tx = x + w * (rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z - x) + pivot[0]
            ty = y + w * (rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z - y) + pivot[1]
            tz = z + w * (rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z - z) + pivot[2]
            world[k, 0], world[k, 1], world[k, 2] = tx, ty, tz
            near = distance / (distance + 9.0 - tz)
            place[k, 0] = camera[0, 0] * tx * near - camera[0, 1] * ty * near + camera[0, 2]
            place[k, 1] = camera[1, 0] * tx * near - camera[1, 1] * ty * near + camera[1, 2]
            place[k, 2] = tz
            # Most of a head's hair is behind the head or under other hair: leave it out before it costs.
            r, c = int(place[k, 1]), int(place[k, 0])
            seen[k] = -8 < r < size + 8 and -8 < c < size + 8
            if 0 <= r < size and 0 <= c < size:
                seen[k] = tz > nearest[r, c] - 0.25
        for k in range(steps):
            if not (seen[k] or seen[max(k - 1, 0)] or seen[k + 1]):
                continue
            i, j = max(k - 1, 0), min(k + 1, steps - 1)
            dx, dy, dz = world[j, 0] - world[i, 0], world[j, 1] - world[i, 1], world[j, 2] - world[i, 2]
            length = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-6
            dx, dy, dz = dx / length, dy / length, dz / length
            ox, oy, oz = world[k, 0] - centre[0], world[k, 1] - centre[1], world[k, 2] - centre[2]
            length = np.sqrt(ox * ox + oy * oy + oz * oz) + 1e-6
            out = (ox * key[0] + oy * key[1] + oz * key[2]) / length
            along = dx * key[0] + dy * key[1] + dz * key[2]
            across = np.sqrt(max(1 - along * along, 0.0))
            lit = direct[s, k] * max(0.25 + 0.75 * out, 0.0) * (0.35 + 0.65 * across)
            # Two highlights as on real fibres: a white one, and a coloured one shifted towards the tip.
            face = (ox * hx + oy * hy + oz * hz) / length
            first = dx * hx + dy * hy + dz * hz + 0.08
            second = dx * hx + dy * hy + dz * hz - 0.12
            glint = max(1 - first * first, 0.0) ** 30 * 0.05 * shine * direct[s, k] * max(face, 0.0)
            tint = max(1 - second * second, 0.0) ** 9 * 0.55 * shine * direct[s, k] * max(face, 0.0)
            for q in range(3):
                body = colours[s, q] * (ambient[s, k, q] + key_colour[q] * (lit + tint))
                shade[k, q] = body + glint * key_colour[q]
        for k in range(steps - 1):
            if not (seen[k] or seen[k + 1]):
                continue
            x0, y0, z0 = place[k, 0], place[k, 1], place[k, 2]
            dx, dy, dz = place[k + 1, 0] - x0, place[k + 1, 1] - y0, place[k + 1, 2] - z0
            reach = max(abs(dx), abs(dy))
            if reach < 1e-3:
                continue
            pixels = max(int(np.ceil(reach)), 1)
            thick = max(int(width[s] * (1.0 if k < steps - 3 else 0.6) + 0.5), 1)
            steep = abs(dy) > abs(dx)
            for p in range(pixels):
                u = (p + 0.5) / pixels
                px, py, pz = x0 + u * dx, y0 + u * dy, z0 + u * dz
                shift = 0.5 * (thick - 1)
                for q in range(thick):
                    c = int(px - shift + q) if steep else int(px)
                    r = int(py) if steep else int(py - shift + q)
                    if 0 <= r < size and 0 <= c < size and pz > nearest[r, c]:
                        nearest[r, c] = pz
                        cover[r, c] = 1.0
                        for m in range(3):
                            image[r, c, m] = shade[k, m] * (1 - u) + shade[k + 1, m] * u


def photograph(linear: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Turn linear light into display values in [0, 1], highlights rolling off as on film."""
    x = np.maximum(linear, 0)
    rolled = np.where(x < 0.6, x, 0.6 + 0.4 * (1 - np.exp(-(x - 0.6) / 0.4)))
    return np.power(rolled, 1 / 2.2)
