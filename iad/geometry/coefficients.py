"""The numbers that say what a face does: 57 ARKit-style expression weights, then the head's pose.

A track is (f, 60): weights in [0, 1] in the order of `COEFFICIENTS`, then pitch, yaw and roll in degrees.
Pitch is positive when the person looks up, yaw when they turn to their own left (picture right), roll when
they tilt to picture right.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from iad.config import EXPRESSIONS

_NAMES = """
PupilDilate_L PupilDilate_R browDown_L browDown_R browInnerUp_L browInnerUp_R browOuterUp_L browOuterUp_R
cheekPuff_L cheekPuff_R cheekRaiser_L cheekRaiser_R cheekSquint_L cheekSquint_R eyeBlink_L eyeBlink_R
eyeLookDown_L eyeLookDown_R eyeLookIn_L eyeLookIn_R eyeLookOut_L eyeLookOut_R eyeLookUp_L eyeLookUp_R
eyeSquint_L eyeSquint_R eyeWide_L eyeWide_R jawForward jawLeft jawOpen jawRight mouthClose
mouthDimple_L mouthDimple_R mouthFrown_L mouthFrown_R mouthFunnel mouthLeft mouthLowerDown_L mouthLowerDown_R
mouthPress_L mouthPress_R mouthPucker mouthRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper
mouthSmile_L mouthSmile_R mouthStretch_L mouthStretch_R mouthUpperUp_L mouthUpperUp_R noseSneer_L noseSneer_R
pitch yaw roll
"""
COEFFICIENTS: tuple[str, ...] = tuple(_NAMES.split())
POSE_LIMITS = np.array([14.0, 17.0, 14.0], dtype=np.float32)  # degrees; photo people tear beyond them
POSE_UNIT = 15.0  # degrees; a turn of the head by these counts as much as a weight of 1
COLUMN = {name: i for i, name in enumerate(COEFFICIENTS)}
COLUMNS = {name: [i] for name, i in COLUMN.items()} | {  # a name without its side means both sides
    name[:-2]: [i, COLUMN[name[:-2] + "_R"]] for name, i in COLUMN.items() if name.endswith("_L")
}
GAZE = [  # of each eye outwards and inwards, then up and down
    (COLUMN[f"eyeLook{one}_{side}"], COLUMN[f"eyeLook{other}_{side}"])
    for one, other in (("Out", "In"), ("Up", "Down"))
    for side in "LR"
]


def track_to_code(track: Any) -> Any:
    """Turn a track (..., 60), an array or a tensor, into action codes: weights as they are, pose in units."""
    return _scale_pose(track, 1 / POSE_UNIT)


def code_to_track(code: Any) -> Any:
    """Turn action codes (..., 60) into a track, pose in degrees."""
    return _scale_pose(code, POSE_UNIT)


def _scale_pose(numbers: Any, factor: float) -> Any:
    scaled = 1 * numbers  # a copy
    scaled[..., EXPRESSIONS:] *= factor
    return scaled


def split_gaze(left: Any, up: Any) -> Iterator[tuple[int, Any]]:
    """Yield the columns of both eyes' looks, and what each has of a gaze to the person's own left and up."""
    for columns, look in zip(GAZE, (left, -left, up, up), strict=True):
        yield from zip(columns, (np.clip(look, 0, None), np.clip(-look, 0, None)), strict=True)


def mirror_track(track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, "f 60"]:
    """Give the track of the mirrored clip: left and right exchanged, yaw and roll turned round."""
    mirrored = track[:, [COLUMN[_other_side(name)] for name in COEFFICIENTS]]
    mirrored[:, [COLUMN["yaw"], COLUMN["roll"]]] *= -1
    return mirrored


def _other_side(name: str) -> str:
    for side, other in (("_L", "_R"), ("_R", "_L"), ("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name
