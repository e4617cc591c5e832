"""Judges of what a clip does: the regressor's coefficients, and dlib's landmarks, an outsider.

In come examples, true performances of training people as records of `iad.evaluation.action_clips`; out comes
for each way of reading faces an `ActionJudge`, whose answers are entered into the records of clips.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from iad.config import EXPRESSIONS, TRACK
from iad.evaluation import metrics, outside
from iad.evaluation.action_clips import unpack
from iad.evaluation.people import REFERENCE_FRAME

Record = dict[str, Any]
SUFFIX = {"track": "", "marks": ", dlib"}  # of a column, by the field of a record that is read
PENALTY = 0.01  # of a classifier's squared weights, a sample; features are standardised


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
            named = str(self.clip.predict(metrics.summarise_track(readings)[None])[0])
            said[f"judged{self.suffix}"] = named
            said[f"action_right{self.suffix}"] = float(named == actions[0])
        elif part == "timeline":
            seconds = np.stack([metrics.summarise_track(second) for second in metrics.seconds_of(readings)])
            right = self.second.predict(seconds) == np.array(actions)
            said[f"seconds_right{self.suffix}"] = float(right.mean())
        else:
            said[f"strength{self.suffix}"] = metrics.strength(readings, self.wanted[actions[0]], self.rest)
        return said


def teach_judges(examples: Iterable[Record]) -> list[ActionJudge]:
    """Teach a judge for each way in which the examples were read."""
    examples = list(examples)
    return [_teach(examples, field) for field in SUFFIX if all(field in example for example in examples)]


def _teach(examples: list[Record], field: str) -> ActionJudge:
    if field == "track":
        face, scale = EXPRESSIONS, np.ones(TRACK)
        scale[EXPRESSIONS:] = metrics.POSE_SCALE
    else:
        face, scale = len(outside.READINGS) - outside.POSES, np.ones(len(outside.READINGS))
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
        for name, second in zip(actions, metrics.seconds_of(track), strict=True)
    ]
    by_name: dict[str, list[np.ndarray]] = {}
    for name, track in single:
        by_name.setdefault(name, []).append(track)
    posture = {name: np.mean([metrics.posture(t) for t in found], axis=0) for name, found in by_name.items()}
    shown = {name: np.mean([t[REFERENCE_FRAME] for t in found], axis=0) for name, found in by_name.items()}
    classifiers = [
        teach_classifier(np.stack([metrics.summarise_track(t) for _, t in some]), [name for name, _ in some])
        for some in (whole, parts)
    ]
    return ActionJudge(field, scale, face, *classifiers, posture["neutral"], posture, shown)


def teach_classifier(
    features: Float[np.ndarray, "n d"], labels: Sequence[str], *, penalty: float = PENALTY
) -> Any:
    """Fit to standardised features; `predict` of what is returned names the likeliest action of every row."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(C=1 / (penalty * len(labels)), max_iter=300)
    return make_pipeline(StandardScaler(), classifier).fit(features, np.array(labels))
