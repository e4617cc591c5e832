"""What every number of the `action` suite means, exactly, as functions of arrays; and who judges actions.

In come frames, embeddings, and action tracks read off frames (57 coefficients, then pitch, yaw and roll in
degrees); out come numbers. No network and no file is touched here.

Judges of what a clip does are the regressor's coefficients, and dlib's landmarks, an outsider. Examples, true
performances of training people as records of `iad.evaluation.action_clips`, teach an `ActionJudge` for each
way of reading faces; its answers are entered into the records of clips.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, UInt8

from iad.config import TRACK
from iad.evaluation.outside import POSES, READINGS
from iad.evaluation.people import REFERENCE_FRAME
from iad.geometry.coefficients import EXPRESSIONS

Record = dict[str, Any]
SUFFIX = {"track": "", "marks": ", dlib"}  # of a column, by the field of a record that is read
JACKKNIFE = 8  # parts of the people, each of which is left out once
PENALTY = 0.01  # of a classifier's squared weights, a sample; features are standardised

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
    return float(through / whole) if abs(whole) > 1e-12 else np.nan


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
    rows: Sequence[Float[np.ndarray, "n d"]], truth: Sequence[Float[np.ndarray, "m d"]]
) -> tuple[float, float, float]:
    """Frechet distance over people, and its 95 % interval by a jackknife that leaves out every eighth person.

    A bootstrap repeats people, which narrows covariances and raises the distance; leaving out does not.

    Args:
        rows: features of one row of the table, an array a person.
        truth: features of true renders, an array for each of the same people.
    """
    if not rows:
        return (np.nan,) * 3
    whole = frechet_of(np.concatenate(rows), np.concatenate(truth))
    parts = min(JACKKNIFE, len(rows))
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


def pack(array: Float[np.ndarray, "..."]) -> str:
    """Write half-precision numbers as text."""
    return base64.b64encode(np.ascontiguousarray(array, np.float16).tobytes()).decode()


def unpack(text: str, columns: int | None = None) -> np.ndarray:
    """Read what `pack` wrote; `columns` gives back the rows."""
    flat = np.frombuffer(base64.b64decode(text), np.float16).astype(np.float64)
    return flat if columns is None else flat.reshape(-1, columns)


@dataclass(frozen=True)
class ActionJudge:
    """One way of reading faces, and what training people taught about it.

    Attributes:
        field: of the records, which holds what was read in every frame.
        scale: by which readings are divided, so that each counts alike.
        face: how many of the readings are the expression's; the others are the head pose's.
        clip: names the action of a whole clip.
        second: names the action of a second.
        rest: posture of a calm face.
        wanted: posture of every action.
        shown: what a face reads like in the moment in which references are taken, by action.
    """

    field: str
    scale: Float[np.ndarray, " c"]
    face: int
    clip: Any
    second: Any
    rest: Float[np.ndarray, " k"]
    wanted: Mapping[str, Float[np.ndarray, " k"]]
    shown: Mapping[str, Float[np.ndarray, " c"]]

    @property
    def suffix(self) -> str:
        """What is added to a column's name."""
        return SUFFIX[self.field]

    def read(self, record: Record) -> Float[np.ndarray, "f c"]:
        """Return what was read off a clip."""
        return unpack(record[self.field], len(self.scale)) / self.scale

    def judge(self, record: Record) -> Record:
        """Say what a clip shows."""
        readings, actions, part = self.read(record), record["actions"], record["part"]
        said: Record = {f"mean{self.suffix}": readings.mean(0)}
        if part == "basic":
            named = str(self.clip.predict(summarise_track(readings)[None])[0])
            said[f"judged{self.suffix}"] = named
            said[f"action_right{self.suffix}"] = float(named == actions[0])
        elif part == "timeline":
            seconds = np.stack([summarise_track(second) for second in seconds_of(readings)])
            right = self.second.predict(seconds) == np.array(actions)
            said[f"seconds_right{self.suffix}"] = float(right.mean())
        else:
            said[f"strength{self.suffix}"] = strength(readings, self.wanted[actions[0]], self.rest)
        return said


def teach_judges(examples: Iterable[Record]) -> list[ActionJudge]:
    """Teach a judge for each way in which the examples were read."""
    examples = list(examples)
    return [_teach(examples, field) for field in SUFFIX if all(field in example for example in examples)]


def _teach(examples: list[Record], field: str) -> ActionJudge:
    if field == "track":
        face, scale = EXPRESSIONS, np.ones(TRACK)
        scale[EXPRESSIONS:] = POSE_SCALE
    else:
        face, scale = len(READINGS) - POSES, np.ones(len(READINGS))
    tracks = [(example["actions"], unpack(example[field], len(scale)) / scale) for example in examples]
    if field != "track":
        spread = np.concatenate([track for _, track in tracks]).std(0) + 1e-6
        scale, tracks = spread, [(actions, track / spread) for actions, track in tracks]
    single = [(actions[0], track) for actions, track in tracks if len(actions) == 1]
    whole = [(name, track) for name, track in single if name != "neutral"]
    parts = [
        (name, second)
        for actions, track in tracks
        if len(actions) > 1
        for name, second in zip(actions, seconds_of(track), strict=True)
    ]
    by_name: dict[str, list[np.ndarray]] = {}
    for name, track in single:
        by_name.setdefault(name, []).append(track)
    wanted = {name: np.mean([posture(t) for t in found], axis=0) for name, found in by_name.items()}
    shown = {name: np.mean([t[REFERENCE_FRAME] for t in found], axis=0) for name, found in by_name.items()}
    classifiers = [
        teach_classifier(np.stack([summarise_track(t) for _, t in some]), [name for name, _ in some])
        for some in (whole, parts)
    ]
    return ActionJudge(field, scale, face, *classifiers, wanted["neutral"], wanted, shown)


def teach_classifier(features: Float[np.ndarray, "n d"], labels: Sequence[str]) -> Any:
    """Fit to standardised features; `predict` of what is returned names the likeliest action of every row."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(C=1 / (PENALTY * len(labels)), max_iter=300)
    return make_pipeline(StandardScaler(), classifier).fit(features, np.array(labels))
