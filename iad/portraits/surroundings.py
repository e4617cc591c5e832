"""What is around the face in a photo: hair, neck and clothes follow the head, the backdrop stays.

The photo hangs on a grid of nodes with depth. Each node follows the head's turn by a share that falls from
the chin to the shoulders, and takes over the movement of the nearest skin, so that a dropping jaw pushes the
collar.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import distance_transform_edt

from iad.portraits.renderer import rasterize
from iad.portraits.rig import Rig
from iad.portraits.stage import Stage

_SPACING = 6.0  # pixels of the photo between nodes
_BEYOND = 60.0  # the grid goes this far over the photo's edge
_FAR = 400.0


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
    size: int,
    sample: Float[np.ndarray, "c 2"],
) -> Grid:
    """Hang the photo on a grid.

    Args:
        camera: The head's vertices in the photo's camera space.
        triangles: Of the head's outer surface.
        size: Side of the photo.
        sample: Photo pixels of the skin vertices that the nodes take movement from.
    """
    steps = np.arange(-_BEYOND, size + _BEYOND + _SPACING, _SPACING, dtype=np.float32)
    count = len(steps)
    pixels = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    on_grid = (camera[:, :2] * (1, -1) + _BEYOND) / _SPACING + 0.5
    depth, index = rasterize(on_grid, camera[:, 2], triangles, camera[:, 2:], count)
    rows, columns = distance_transform_edt(index < 0, return_distances=False, return_indices=True)
    # Smooth, lest an ear that stands off the skull in depth tears off in a turn.
    depth = cv2.GaussianBlur(depth[rows, columns, 0], (0, 0), 2.5)
    nodes = np.column_stack([pixels * (1, -1), depth.ravel()]).astype(np.float32)
    # The outermost nodes stand so far off that no turn brings the end of the photo into the frame.
    far = (pixels == steps[-1]).astype(np.float32) - (pixels == steps[0])
    pixels, nodes[:, :2] = pixels + _FAR * far, nodes[:, :2] + _FAR * far * np.float32([1, -1])
    place = stage.unfitted(nodes)
    away = np.hypot(place[:, 0] / 9.5, (place[:, 1] - 2.0) / 12.0)
    near = np.clip((1.75 - away) / 0.55, 0, 1)
    follow = stage.follow_share(place[:, 1]) * near * near * (3 - 2 * near)
    square = ((pixels[:, None] - sample[None]) ** 2).sum(axis=-1) / (1.3 * stage.fit.scale) ** 2
    weights = np.exp(-0.5 * (square - square.min(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    quads = [(corner, corner + 1, corner + count), (corner + 1, corner + count + 1, corner + count)]
    return Grid(
        pixels=pixels,
        place=place.astype(np.float32),
        camera=nodes,
        follow=follow.astype(np.float32)[:, None],
        weights=weights.astype(np.float32),
        triangles=np.concatenate([np.stack(quad, axis=1) for quad in quads]).astype(np.int32),
    )


def outline(stage: Stage, rig: Rig, pixels: Float[np.ndarray, "r 2"]) -> tuple[np.ndarray, np.ndarray]:
    """Return what `cut_out` wants to know of a head: its face's outline and its skull's ellipse."""
    scale = stage.fit.scale
    middle = stage.fitted(np.float32([[0, 3.5, 0]]))[0, :2] * (1, -1)
    return pixels[rig.sample], np.array([*middle, 10.5 * scale, 13.5 * scale], np.float32)


def cut_out(
    photo: UInt8[np.ndarray, "h w 3"], face: Float[np.ndarray, "n 2"], skull: Float[np.ndarray, " 4"]
) -> Float[np.ndarray, "h w"]:
    """Find the person by OpenCV's GrabCut, as a soft matte.

    Args:
        face: Outline of the face in pixels: surely the person.
        skull: Centre x, y and radii x, y of the head with ordinary hair, pixels: probably the person.
    """
    height, width = photo.shape[:2]
    marks = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    centre, radii = tuple(int(v) for v in skull[:2]), tuple(int(v) for v in skull[2:])
    chin = int(face[:, 1].max())
    cv2.ellipse(marks, centre, radii, 0, 0, 360, cv2.GC_PR_FGD, -1)
    shoulders = np.array([
        (centre[0] - radii[0] * 0.7, chin), (centre[0] + radii[0] * 0.7, chin),
        (centre[0] + radii[0] * 2.2, height), (centre[0] - radii[0] * 2.2, height),
    ])  # fmt: skip
    cv2.fillPoly(marks, [shoulders.astype(np.int32)], cv2.GC_PR_FGD)
    top = max(centre[1] - int(radii[1] * 1.25), 2)
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
    largest = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.clip(cv2.GaussianBlur(largest.astype(np.float32), (0, 0), 1.2) * 1.5 - 0.4, 0, 1)


def judge_cutout(photo: UInt8[np.ndarray, "h w 3"], matte: Float[np.ndarray, "h w"]) -> float:
    """Return how clean a matte is, 0 to 1: the share of its outline where the photo's colours really change.

    A matte that loses the shoulders scores 0.
    """
    inside = (matte > 0.5).astype(np.float32)
    if inside[-2].mean() < 0.3:
        return 0.0
    colours = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB).astype(np.float32)

    def average(mask):
        spread = cv2.GaussianBlur(np.dstack([colours * mask[..., None], mask]), (0, 0), 2.5)
        return spread[..., :3] / np.maximum(spread[..., 3:], 1e-4)

    change = np.linalg.norm(average(inside) - average(1 - inside), axis=-1)
    outline = cv2.dilate(inside, np.ones((3, 3))) - inside > 0
    return float((change[outline] > 18).mean()) if outline.sum() > len(photo) else 0.0
