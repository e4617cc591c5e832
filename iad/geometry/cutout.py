"""Cut a person out of a photo: what follows the head, and what can stand before another background."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.geometry.rig import Rig
from iad.geometry.stage import Stage


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
