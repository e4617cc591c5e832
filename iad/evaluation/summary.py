"""Records of clips -> the numbers of the `action` suite, each with its interval over people.

In come the journals of lessons and clips; out comes, for every row of the table and every kind of people, a
mapping from a column of `metrics.DEFINITIONS` to (value, low, high).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from iad.config import EXPRESSIONS, TRACK
from iad.evaluation import consisid, metrics
from iad.evaluation.bench import unpack
from iad.evaluation.classifier import ActionClassifier, teach_classifier
from iad.evaluation.intervals import by_person, interval
from iad.evaluation.people import reference_track, references_of
from iad.evaluation.plan import Plan

Estimate = tuple[float, float, float]  # value, and the ends of its 95 % interval
Record = dict[str, Any]

KINDS = ("all", "photo", "rendered")
MEANS = {  # columns that are plain means over clips
    "FaceSim-Arc": "arc",
    "FaceSim-Cur": "cur",
    "FaceSim-Arc, InsightFace": "insightface",
    "dlib": "dlib",
    "dlib distance": "dlib_distance",
    "right person": "person_right",
    "right person, dlib": "dlib_right",
    "face found": "found",
    "action right": "action_right",
    "steadiness": "steady",
    "ConsisID's 'FID'": "consisid_fid",
    "CLIPScore": "clipscore",
}
RELATIVE = {"jitter": "jitter", "motion": "motion"}  # over those of the truth
COLUMNS = {**metrics.DEFINITIONS, **consisid.DEFINITIONS}
WORST = {"arc": 0.0, "cur": 0.0, "person_right": 0.0, "found": 0.0, "action_right": 0.0}  # of no clip at all
FEATURES = 4  # frames of a clip that Frechet distances see


class Judges:
    """What the lessons teach: classifiers of clips and of seconds, and what a calm face reads like.

    Args:
        lessons: records of training people's true performances.
    """

    def __init__(self, lessons: Iterable[Record]):
        tracks = [(lesson["actions"], unpack(lesson["track"], TRACK)) for lesson in lessons]
        whole = [(a[0], t) for a, t in tracks if len(a) == 1 and a[0] != "neutral"]
        parts = [
            (name, second)
            for a, t in tracks
            if len(a) > 1
            for name, second in zip(a, metrics.seconds_of(t), strict=True)
        ]
        self.clip, self.second = _teach(whole), _teach(parts)
        self.rest = np.mean([metrics.posture(t) for a, t in tracks if a == ["neutral"]], axis=0)


def _teach(examples: Sequence[tuple[str, np.ndarray]]) -> ActionClassifier:
    return teach_classifier(
        np.stack([metrics.summarise_track(track) for _, track in examples]), [name for name, _ in examples]
    )


def judge_records(records: Iterable[Record], judges: Judges, plan: Plan) -> list[Record]:
    """Add to every clip's record what the classifiers and the gallery of references say of it."""
    judged = [_judge_action(record, judges) for record in records]
    for field, entry in (("embedding", "person_right"), ("dlib_embedding", "dlib_right")):
        gallery = _gallery(judged, field, plan)
        for record in judged:
            if gallery is not None and field in record:
                found = metrics.nearest(unpack(record[field])[None], gallery)[0]
                record[entry] = float(found == record["person"])
    return judged


def _judge_action(record: Record, judges: Judges) -> Record:
    record = dict(record)
    if record.get("failed"):
        return record | (WORST if record["part"] == "basic" else {})
    if record["part"] == "render":
        return record
    track = unpack(record["track"], TRACK)
    record["mean"] = metrics.scaled(track).mean(0)
    if record["part"] == "basic":
        record["judged"] = judges.clip.predict(metrics.summarise_track(track)[None])[0]
        record["action_right"] = float(record["judged"] == record["actions"][0])
    elif record["part"] == "timeline":
        seconds = np.stack([metrics.summarise_track(second) for second in metrics.seconds_of(track)])
        record["judged"] = judges.second.predict(seconds)
        right = zip(record["judged"], record["actions"], strict=True)
        record["seconds_right"] = float(np.mean([found == wanted for found, wanted in right]))
    else:
        record["strength"] = metrics.strength(track, record["actions"][0], judges.rest)
    return record


def _gallery(records: Sequence[Record], field: str, plan: Plan) -> Float[np.ndarray, "p e"] | None:
    """Everybody's first reference, from the rows that repeat it."""
    first = {p: references_of(p, plan.actions)[0] for p in range(plan.photo + plan.rendered)}
    found = {
        r["person"]: unpack(r[field])
        for r in records
        if r["row"] == "still" and field in r and r["shown"] == first[r["person"]]
    }
    return np.stack([found[p] for p in first]) if len(found) == len(first) else None


def summarise(records: Sequence[Record], plan: Plan) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Compute every number: kind of people -> row -> column -> (value, low, high)."""
    rows = list(dict.fromkeys(["truth", *plan.rows]))
    table: dict[str, dict[str, dict[str, Estimate]]] = {}
    for kind in KINDS:
        ours = [r for r in records if kind in ("all", r["kind"])]
        if ours and not (kind != "all" and len({r["kind"] for r in records}) == 1):
            by_row = {row: [r for r in ours if r["row"] == row] for row in rows}
            table[kind] = {row: _columns(by_row[row], by_row, plan) for row in rows if by_row[row]}
    return table


def _columns(mine: list[Record], by_row: dict[str, list[Record]], plan: Plan) -> dict[str, Estimate]:
    basic = [r for r in mine if r["part"] == "basic"]
    found = {column: _mean(basic, field) for column, field in MEANS.items()}
    found |= {column: _relative(basic, by_row["truth"], field) for column, field in RELATIVE.items()}
    found |= _copying(basic, by_row.get("still", []), plan)
    found |= _degrees(mine)
    found["second right"] = _mean([r for r in mine if r["part"] == "timeline"], "seconds_right")
    found["Frechet"] = _distance(basic, [r for r in by_row["truth"] if r["part"] == "render"])
    for name in plan.actions:
        found[name] = _mean([r for r in basic if r["actions"] == [name]], "action_right")
    return {column: value for column, value in found.items() if np.isfinite(value[0])}


def _mean(records: Sequence[Record], field: str) -> Estimate:
    known = [r for r in records if field in r]
    return interval([r[field] for r in known], groups=[r["person"] for r in known])


def _relative(records: Sequence[Record], truth: Sequence[Record], field: str) -> Estimate:
    """A ratio of means, of the same people's clips and true renders."""
    people = sorted({r["person"] for r in records if field in r})
    ours, true = (
        np.array(
            [np.mean([r[field] for r in side if r["person"] == p and field in r] or [np.nan]) for p in people]
        )
        for side in (records, truth)
    )
    if not people:
        return (np.nan,) * 3
    return by_person(lambda drawn: ours[drawn].mean() / true[drawn].mean(), len(people))


def _copying(basic: Sequence[Record], still: Sequence[Record], plan: Plan) -> dict[str, Estimate]:
    """How much of the reference's expression and head pose is in the clips; see `metrics.copied`."""
    people = {p: k for k, p in enumerate(sorted({r["person"] for r in basic}))}
    clips, references, true = (np.full((len(plan.actions), len(people), TRACK), np.nan) for _ in range(3))
    for k, action in enumerate(plan.actions):
        for person, place in people.items():
            own = [
                r["mean"] for r in basic if r["actions"] == [action] and r["person"] == person and "mean" in r
            ]
            shown = [r for r in still if r["actions"] == [action] and r["person"] == person and "mean" in r]
            if own and shown:
                clips[k, place], references[k, place] = np.mean(own, 0), shown[0]["mean"]
            number = plan.people[person].number
            shown_action = next(
                r["shown"] for r in basic if r["person"] == person and r["actions"] == [action]
            )
            true[k, place] = metrics.scaled(reference_track(number, shown_action))[0]
    sides, face, pose = (clips, references, true), slice(0, EXPRESSIONS), slice(EXPRESSIONS, TRACK)

    def estimate(measure, *sides: np.ndarray) -> Estimate:
        return by_person(lambda drawn: measure(*(side[:, drawn] for side in sides)), len(people))

    if not people:
        return {}
    return {
        "expression copied": estimate(metrics.copied, *(side[..., face] for side in sides)),
        "expression correlation": estimate(
            metrics.correlated, *(metrics.merge_sides(side[..., face]) for side in sides)
        ),
        "pose copied": estimate(metrics.copied, *(side[..., pose] for side in sides)),
    }


def _degrees(records: Sequence[Record]) -> dict[str, Estimate]:
    """Compare what is asked for slightly with what is asked for broadly, pair by pair."""
    amounts = {
        part: {
            (r["person"], *r["actions"]): r["strength"]
            for r in records
            if r["part"] == part and "strength" in r
        }
        for part in ("slight", "broad")
    }
    pairs = sorted(amounts["slight"].keys() & amounts["broad"].keys())
    slight, broad = (np.array([amounts[part][pair] for pair in pairs]) for part in ("slight", "broad"))
    persons = np.array([pair[0] for pair in pairs])
    if not pairs:
        return {}
    numbers = np.unique(persons)

    def ratio(drawn) -> float:
        chosen = np.concatenate([np.flatnonzero(persons == number) for number in numbers[drawn]])
        return float(broad[chosen].mean() / slight[chosen].mean())

    return {
        "broad > slight": interval((broad > slight).astype(float), groups=persons),
        "broad / slight": by_person(ratio, len(numbers)),
    }


def _distance(basic: Sequence[Record], renders: Sequence[Record]) -> Estimate:
    own, true = _features(basic), _features(renders)
    people = sorted(own.keys() & true.keys())
    return metrics.frechet_interval([own[p] for p in people], [true[p] for p in people])


def _features(records: Sequence[Record]) -> dict[int, np.ndarray]:
    found: dict[int, list[np.ndarray]] = {}
    for record in records:
        if "features" in record:
            flat = unpack(record["features"])
            found.setdefault(record["person"], []).append(flat.reshape(FEATURES, -1))
    return {person: np.concatenate(parts) for person, parts in found.items()}
