"""What every number of the `action` suite means, exactly, as functions of arrays.

In come frames, embeddings, and action tracks read off frames (57 coefficients, then pitch, yaw and roll in
degrees); out come numbers. No network and no file is touched here.
"""

from collections.abc import Sequence

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, UInt8

from iad.geometry.coefficients import EXPRESSIONS

POSE_SCALE = 15.0  # degrees; a turn of the head by these counts as much as a coefficient of 1
ONSET = 4  # frames (half a second) until an action is reached
FACE = slice(24, 104)  # rows and columns of a 128-pixel frame where the framing puts the face


def similarity(cosines: Float[np.ndarray, " f"], found: Bool[np.ndarray, " f"] | None = None) -> float:
    """FaceSim: the mean of max(0, cosine to the reference) over the frames with a face; 0 where none has one.

    ConsisID (arXiv 2411.17440), eval/get_facesim_fid.py.
    """
    kept = cosines if found is None else cosines[found]
    return float(np.maximum(kept, 0).mean()) if len(kept) else 0.0


def steadiness(embeddings: Float[np.ndarray, "f e"]) -> float:
    """Mean cosine of neighbouring frames' unit-length embeddings."""
    return float((embeddings[1:] * embeddings[:-1]).sum(1).mean())


def jitter(frames: UInt8[np.ndarray, "f h w 3"]) -> float:
    """Mean square of the second difference in time, grey levels squared: 0 for whatever changes evenly."""
    second = np.diff(frames.astype(np.float32), n=2, axis=0)
    return float(np.square(second).mean())


def motion(frames: UInt8[np.ndarray, "f h w 3"]) -> float:
    """Mean length of the optical flow between neighbouring frames in the middle of the face, pixels a frame.

    OpenCV's DIS flow (Kroeger et al. 2016), where VBench's dynamic degree uses RAFT.
    """
    import cv2

    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    moved = [flow.calc(a, b, None)[FACE, FACE] for a, b in zip(grey, grey[1:], strict=False)]
    return float(np.linalg.norm(np.stack(moved), axis=-1).mean())


def scaled(tracks: Float[np.ndarray, "*n 60"]) -> Float[np.ndarray, "*n 60"]:
    """Bring the head pose to the order of the coefficients."""
    return np.concatenate([tracks[..., :EXPRESSIONS], tracks[..., EXPRESSIONS:] / POSE_SCALE], axis=-1)


def summarise_track(track: Float[np.ndarray, "f c"]) -> Float[np.ndarray, " 5*c"]:
    """Describe how a clip moves: mean, largest, smallest, spread and change from beginning to end."""
    quarter = max(1, len(track) // 4)
    change = track[-quarter:].mean(0) - track[:quarter].mean(0)
    return np.concatenate([track.mean(0), track.max(0), track.min(0), track.std(0), change])


def copied(
    clips: Float[np.ndarray, "p n c"],
    references: Float[np.ndarray, "p n c"],
    true: Float[np.ndarray, "p n c"],
) -> float:
    """Share of what the references show that comes through into the clips: what "copied" means everywhere.

    For every prompt, over people: cov(clip, z) / cov(reference, z), where z says what a reference shows
    without regard to who shows it; covariances are summed over what is read and prompts. Which expression a
    reference shows does not depend on who it is, so this is an instrumental-variable estimate: how a judge
    misreads a person, in reference and clip alike, cancels. Clips that repeat their reference give exactly 1,
    clips that do not depend on it 0 on average. NaN entries (no clip) are left out.

    Args:
        clips: what is read off each clip on average; axes: prompt, person, reading.
        references: what is read off each reference.
        true: z, as other people's true renders read, or the coefficients that a reference was rendered with.
    """
    known = np.isfinite(clips).all(-1) & np.isfinite(references).all(-1)
    weight = known[..., None] / np.maximum(known.sum(1), 1)[:, None, None]
    centred = np.where(known[..., None], true - (weight * true).sum(1, keepdims=True), 0)
    through = (centred * np.where(known[..., None], clips, 0)).sum()
    whole = (centred * np.where(known[..., None], references, 0)).sum()
    return float(through / whole) if abs(whole) > 1e-9 else np.nan


def strength(
    readings: Float[np.ndarray, "f c"], wanted: Float[np.ndarray, " 2*c"], rest: Float[np.ndarray, " 2*c"]
) -> float:
    """How much of an action a clip shows, 1 being about a normal performance.

    The clip's posture minus a calm face's (`rest`), projected onto the same of the action (`wanted`).
    """
    way = wanted - rest
    return float((posture(readings) - rest) @ way / max(float(way @ way), 1e-9))


def posture(readings: Float[np.ndarray, "f c"]) -> Float[np.ndarray, " 2*c"]:
    """Mean after the onset, and spread in time, of everything read."""
    return np.concatenate([readings[ONSET:].mean(0), readings.std(0)])


def frechet(
    mean_a: Float[np.ndarray, " d"],
    covariance_a: Float[np.ndarray, "d d"],
    mean_b: Float[np.ndarray, " d"],
    covariance_b: Float[np.ndarray, "d d"],
) -> float:
    """Frechet distance of two Gaussians: |m - n|^2 + tr(A + B - 2 (A B)^(1/2)).

    Dowson and Landau 1982; the true one, unlike the value that ConsisID calls FID (see `outside`).
    """
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_b @ root), 0)).sum()
    offset = mean_a - mean_b
    return float(offset @ offset + np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross)


def frechet_of(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Frechet distance of two sets of features, by Gaussians with shrunk covariances (Ledoit and Wolf)."""
    from sklearn.covariance import ledoit_wolf

    sides = (x.astype(np.float64) for x in (a, b))
    (mean_a, (covariance_a, _)), (mean_b, (covariance_b, _)) = ((x.mean(0), ledoit_wolf(x)) for x in sides)
    return frechet(mean_a, covariance_a, mean_b, covariance_b)


def frechet_interval(
    rows: Sequence[Float[np.ndarray, "n d"]], truth: Sequence[Float[np.ndarray, "m d"]], *, parts: int = 8
) -> tuple[float, float, float]:
    """Frechet distance over people, and its 95 % interval by a jackknife that leaves out every eighth person.

    A bootstrap repeats people, which narrows covariances and raises the distance; leaving out does not.

    Args:
        rows: features of one row of the table, an array a person.
        truth: features of true renders, an array for each of the same people.
        parts: in how many parts the people are left out.
    """
    if not rows:
        return (np.nan,) * 3
    whole = frechet_of(np.concatenate(rows), np.concatenate(truth))
    parts = min(parts, len(rows))
    if parts < 2:
        return whole, np.nan, np.nan
    left = [
        frechet_of(
            *(np.concatenate([x for k, x in enumerate(side) if k % parts != part]) for side in (rows, truth))
        )
        for part in range(parts)
    ]
    error = np.sqrt((parts - 1) / parts * np.square(np.array(left) - np.mean(left)).sum())
    return whole, float(max(0.0, whole - 1.96 * error)), float(whole + 1.96 * error)


def seconds_of(track: Float[np.ndarray, "f c"], fps: int = 8) -> Float[np.ndarray, "s t c"]:
    """Cut a track into whole seconds."""
    whole = len(track) // fps
    return rearrange(track[: whole * fps], "(s t) c -> s t c", t=fps)
