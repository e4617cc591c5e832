"""Does a clip do what was asked, by an outside judge: how its face moves, and how it was to move.

In: a clip, and the track that it performs. Out: 1 where the mesh of an outside judge sees the face move so at
least as strongly, 0 where it sees nothing move or something else, below 0 the opposite. Only what changes
within the clip counts, so that it does not matter how a person is built; frames in which the judge sees no
face count as if nothing happened there.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from iad.faces.mesh import EYE_CORNERS, LOOKS, Meshes, MeshJudge, measure
from iad.geometry.coefficients import COLUMNS
from iad.models.scoring import match

LEAST = 1.0  # of an asked motion's mean square over what the mesh strays by; below it the judge would guess
_WIDE = 0.3  # of a blink's way, that wide eyes open further
# What the mesh moves where a track moves by 1, and by how much it strays from that: by least squares on clips
# of training people (lengths in eye distances, lids in eye widths, then degrees).
_GAIN = np.array([0.38, 0.19, 0.025, 0.23, 0.23, 0.78, 0.73, 0.91])
_STRAY = np.array([0.018, 0.040, 0.010, 0.025, 0.025, 1.2, 0.8, 0.6])


def score_motion(
    judge: MeshJudge, frames: UInt8[np.ndarray, "f s s 3"], track: Float[np.ndarray, "f 60"]
) -> float | None:
    """Score a clip; None where the track hardly moves what the judge sees."""
    picks = np.unique(np.linspace(0, len(frames) - 1, LOOKS).round().astype(int))
    asked = _tell(track[picks]) * _GAIN / _STRAY
    if len(picks) < 2 or np.square(asked - asked.mean(0)).sum(1).mean() < LEAST:
        return None
    shown = _read(judge(frames[picks])) / _STRAY
    seen = np.isfinite(shown).all(1)
    if seen.sum() < 2:
        return 0.0
    shown, asked = (torch.from_numpy(x[seen] - x[seen].mean(0)).flatten() for x in (shown, asked))
    weight = torch.full_like(asked, 1 / int(seen.sum()))
    return match(shown, asked[None], weight) * float(seen.mean())


def _read(meshes: Meshes) -> Float[np.ndarray, "f 8"]:
    seen = measure(meshes)
    left, right = np.split(meshes.points[:, list(EYE_CORNERS), :2], 2, axis=1)
    x, y = (right.mean(1) - left.mean(1)).T
    lids = meshes.lids.T
    return np.stack(
        [seen["mouth"], seen["smile"], seen["brows"], *lids, seen["pitch"], seen["yaw"],
         np.degrees(np.arctan2(y, x))], axis=1,
    ).astype(float)  # fmt: skip


def _tell(track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, "f 8"]:
    """Say what of a track the mesh measures; the person's right eye is at the picture's left."""

    def weigh(name: str) -> Float[np.ndarray, " f"]:
        return track[:, COLUMNS[name]].mean(1).astype(float)

    lids = (_WIDE * weigh(f"eyeWide_{side}") - weigh(f"eyeBlink_{side}") for side in "RL")
    mouth, smile = weigh("jawOpen") - weigh("mouthClose"), weigh("mouthSmile") - weigh("mouthFrown")
    brows = weigh("browInnerUp") + weigh("browOuterUp") - weigh("browDown")
    return np.stack([mouth, smile, brows, *lids, weigh("pitch"), weigh("yaw"), weigh("roll")], axis=1)
