"""What is around the face in a photo: hair, neck and clothes follow the head, the backdrop stays.

The person is cut out of the photo. The photo hangs on a grid of nodes with depth: each follows the head's
turn by a share that falls from the chin to the shoulders, and takes over the movement of the nearest
skin, so that a dropping jaw pushes the collar.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import distance_transform_edt

from iad.geometry.curves import ease
from iad.geometry.renderer import rasterize
from iad.geometry.rig import Rig
from iad.geometry.stage import Stage


def outline(stage: Stage, rig: Rig, pixels: Float[np.ndarray, "r 2"]) -> tuple[np.ndarray, np.ndarray]:
    """Return what `cut_out` wants to know of a head: its face's outline and its skull's ellipse."""
    scale = stage.fit.scale
    middle = stage.fitted(np.float32([[0, 3.5, 0]]))[0, :2] * (1, -1)
    return pixels[rig.sample], np.array([*middle, 10.5 * scale, 13.5 * scale], np.float32)


_LOOSE = 4.0  # head units around the person in which loose hair is looked for


def cut_out(
    photo: UInt8[np.ndarray, "h w 3"], face: Float[np.ndarray, "n 2"], skull: Float[np.ndarray, " 4"]
) -> Float[np.ndarray, "h w"]:
    """Find the person by OpenCV's GrabCut, as a soft matte.

    Args:
        face: Outline of the face and the neck in pixels: surely the person.
        skull: Centre x, y and radii x, y of the head with ordinary hair, pixels: probably the person.
    """
    height, width = photo.shape[:2]
    marks = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    centre, radii = tuple(int(v) for v in skull[:2]), tuple(int(v) for v in skull[2:])
    chin = centre[1] + int(0.82 * radii[1])  # the face's outline ends below it, at the neck
    cv2.ellipse(marks, centre, radii, 0, 0, 360, cv2.GC_PR_FGD, -1)
    across = radii[0] * np.array([0.6, 0.7, 2.2, 2.4])
    down = chin + radii[1] * np.array([0, 0.25, 0.75, 9])
    right, left = (np.stack([centre[0] + side * across, down], axis=1) for side in (1, -1))
    shoulders = np.concatenate([right, left[::-1]])
    cv2.fillPoly(marks, [shoulders.astype(np.int32)], cv2.GC_PR_FGD)
    top = max(centre[1] - int(radii[1] * 1.25), 0)
    marks[:top] = cv2.GC_BGD
    marks[: max(chin - radii[1] // 3, 2), :4] = marks[: max(chin - radii[1] // 3, 2), -4:] = cv2.GC_BGD
    cv2.fillConvexPoly(marks, cv2.convexHull(face.astype(np.int32)), cv2.GC_FGD)
    neck = np.array([(centre[0] - radii[0] // 3, chin), (centre[0] + radii[0] // 3, height)], np.int32)
    cv2.rectangle(marks, tuple(neck[0].tolist()), tuple(neck[1].tolist()), cv2.GC_FGD, -1)
    behind = (marks == cv2.GC_BGD) | (marks == cv2.GC_PR_BGD)
    if behind.all() or not behind.any():
        return np.ones((height, width), np.float32)  # a face that fills the photo
    cv2.setRNGSeed(0)
    cv2.grabCut(photo, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    person = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.uint8)
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(person)
    person = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    whole = _add_strands(photo, person, radii[0] / 10.5)
    return np.clip(cv2.GaussianBlur(whole.astype(np.float32), (0, 0), 1.2) * 1.5 - 0.4, 0, 1)


def _add_strands(
    photo: UInt8[np.ndarray, "h w 3"], person: UInt8[np.ndarray, "h w"], unit: float
) -> UInt8[np.ndarray, "h w"]:
    """Add loose hair to a person: thin, near, and clearer against the backdrop than its own detail is."""
    size = 2 * int(1.2 * unit) + 1
    contrast = np.abs(photo.astype(np.float32) - cv2.medianBlur(photo, size)).max(axis=2)
    away = cv2.distanceTransform(1 - person, cv2.DIST_L2, 3) / unit
    usual = contrast[away > _LOOSE]
    if not usual.size:
        return person
    limit = max(1.5 * float(np.percentile(usual, 98)), 18.0)
    thin = ((contrast > limit) & (away < _LOOSE)).astype(np.uint8)
    joined = cv2.morphologyEx(thin | person, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels = cv2.connectedComponents(joined)
    return (labels == labels[person > 0][0]).astype(np.uint8)


def complete_head(
    photo: Float[np.ndarray, "h w 3"], person: Float[np.ndarray, "h2 w2"], *, edge: int, radius: float
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h3 w2"]]:
    """Round off a head that the photo's upper edge cuts; what mirrors it beyond the edge becomes backdrop.

    A nod brings this into view.

    Args:
        photo: Continued beyond its edges.
        person: Matte of a small copy, from where the photo really begins.
        edge: Rows of the small copy above that.
        radius: Of the head, on the small copy.

    Returns:
        The photo, and the matte of all of it.
    """
    above = np.zeros((edge, person.shape[1]), np.float32)
    inside = np.flatnonzero(person[0] > 0.5)
    if len(inside):
        half = np.ptp(inside) / 2 + 0.5
        radius = max(radius, 1.02 * half)
        middle = np.array([inside.mean(), edge + (radius**2 - half**2) ** 0.5])
        across, down = np.meshgrid(np.arange(person.shape[1]), np.arange(edge))
        above = np.clip(radius - np.hypot(across - middle[0], down - middle[1]) + 0.5, 0, 1)
    whole = np.concatenate([above, person]).astype(np.float32)
    mirror = np.pad(person[1 : edge + 1][::-1], ((edge, 0), (0, 0)), "edge")[-edge:]
    hidden = cv2.dilate((np.concatenate([mirror, person]) > 0.1).astype(np.uint8), np.ones((7, 7), np.uint8))
    small = cv2.resize(photo, whole.shape[::-1], interpolation=cv2.INTER_AREA).clip(0, 255).astype(np.uint8)
    filled = cv2.GaussianBlur(cv2.inpaint(small, hidden, 3, cv2.INPAINT_TELEA).astype(np.float32), (0, 0), 2)
    share = np.where(np.arange(len(whole))[:, None] < edge, hidden * (1 - whole), 0)
    share, filled = (cv2.resize(part.astype(np.float32), photo.shape[1::-1]) for part in (share, filled))
    return photo + (filled - photo) * share[..., None], whole


_SPACING = 0.6  # head units between nodes
_FAR = 40.0  # head units
FRINGE = 1.8  # head units around the person over which hair goes over into the backdrop
_SURE = 0.6  # head units around the person that still belong to it


def part_backdrop(
    photo: Float[np.ndarray, "h w 3"], person: Float[np.ndarray, "h2 w2"], unit: float
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w 4"]]:
    """Part a photo in the person, with a soft fringe, and the backdrop without the person.

    Args:
        person: Matte on a small copy.
        unit: Pixels a head unit on that copy.

    Returns:
        How far each pixel belongs to the person, and colours of the backdrop with, as fourth channel, how far
        they are made up. Laid over each other they are the photo.
    """
    beyond = cv2.distanceTransform((person < 0.5).astype(np.uint8), cv2.DIST_L2, 3) / unit
    share = ease((FRINGE - beyond) / (FRINGE - _SURE))
    hidden = (beyond < _SURE + 0.5).astype(np.uint8)
    small = cv2.resize(photo, person.shape[::-1], interpolation=cv2.INTER_AREA).clip(0, 255).astype(np.uint8)
    filled = cv2.inpaint(small, hidden, 3, cv2.INPAINT_TELEA).astype(np.float32)
    filled = cv2.GaussianBlur(filled, (0, 0), 0.5 * unit)
    made = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.0)
    share, filled, made = (
        cv2.resize(part, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        for part in (share.astype(np.float32), filled, made)
    )
    return share, np.dstack([photo + (filled - photo) * made[..., None], made])


@dataclass(frozen=True)
class Grid:
    """Nodes over the photo.

    Attributes:
        pixels: Where each node is in the photo.
        camera: The same in camera space (pixels, y up, depth).
        place: The same in head space.
        follow: Share of the head's movement that each node takes part in.
        weights: How much of each sampled skin vertex's movement each node takes over.
    """

    pixels: Float[np.ndarray, "n 2"]
    camera: Float[np.ndarray, "n 3"]
    place: Float[np.ndarray, "n 3"]
    follow: Float[np.ndarray, "n 1"]
    weights: Float[np.ndarray, "n c"]
    triangles: Int[np.ndarray, "t 3"]


def create_grid(
    stage: Stage,
    camera: Float[np.ndarray, "v 3"],
    triangles: Int[np.ndarray, "t 3"],
    *,
    size: tuple[int, int],
    sample: Float[np.ndarray, "c 2"],
    person: Float[np.ndarray, "h w"] | None = None,
) -> Grid:
    """Hang the photo on a grid.

    Args:
        camera: The head's vertices in the photo's camera space.
        triangles: Of the head's outer surface.
        size: Height and width of the photo.
        sample: Photo pixels of the skin vertices that the nodes take movement from.
        person: Matte of the person; without one, all within a wide ellipse follows the head. With one, what
            is no person lies behind it, for the backdrop is drawn apart.
    """
    spacing, far = _SPACING * stage.fit.scale, _FAR * stage.fit.scale
    rows, columns = (np.arange(0, side + spacing, spacing, dtype=np.float32) for side in size)
    count = (len(rows), len(columns))
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    on_grid = camera[:, :2] * (1, -1) / spacing + 0.5
    depth, index = rasterize(on_grid, camera[:, 2], triangles, camera[:, 2:], count)
    nearest = distance_transform_edt(index < 0, return_distances=False, return_indices=True)
    # Smooth, lest an ear that stands off the skull in depth tears off in a turn.
    depth = cv2.GaussianBlur(depth[*nearest, 0], (0, 0), 2.5)
    nodes = np.column_stack([pixels * (1, -1), depth.ravel()]).astype(np.float32)
    # The outermost nodes stand so far off that no turn brings the end of the photo into the frame.
    out = (pixels == pixels.max(axis=0)).astype(np.float32) - (pixels == 0)
    pixels, nodes[:, :2] = pixels + far * out, nodes[:, :2] + far * out * np.float32([1, -1])
    place = stage.unfitted(nodes)
    away = np.hypot(place[:, 0] / 9.5, (place[:, 1] - 2.0) / 12.0)
    near = np.clip((1.75 - away) / 0.55, 0, 1)
    if person is not None:
        inside = cv2.resize(person, count[::-1], interpolation=cv2.INTER_AREA) > 0.5
        beyond = distance_transform_edt(~inside).ravel() * _SPACING - (FRINGE + _SPACING)
        near = np.minimum(near, np.clip(1 - beyond / 2.0, 0, 1))
        nodes[:, 2] -= 10 * stage.fit.scale * np.clip(beyond, 0, 1)
    follow = stage.follow_share(place[:, 1]) * near * near * (3 - 2 * near)
    square = ((pixels[:, None] - sample[None]) ** 2).sum(axis=-1) / (1.3 * stage.fit.scale) ** 2
    weights = np.exp(-0.5 * (square - square.min(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    corner = (np.arange(count[0] - 1)[:, None] * count[1] + np.arange(count[1] - 1)).ravel()
    below = corner + count[1]
    quads = [(corner, corner + 1, below), (corner + 1, below + 1, below)]
    return Grid(
        pixels=pixels,
        place=place.astype(np.float32),
        camera=nodes,
        follow=follow.astype(np.float32)[:, None],
        weights=weights.astype(np.float32),
        triangles=np.concatenate([np.stack(quad, axis=1) for quad in quads]).astype(np.int32),
    )
