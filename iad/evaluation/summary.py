"""Records of clips -> the numbers of the `action` suite, each with its interval over people.

In come the journals of examples and clips; out comes, for every row of the table, a mapping from a column of
`pages.toml` to (value, low, high). A number is a function of people, some of them drawn more than once, so
the same people can be drawn for two rows: differences are paired by person.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from iad.evaluation import metrics
from iad.evaluation.intervals import Estimate, by_person
from iad.evaluation.metrics import ActionJudge, Record, unpack
from iad.evaluation.people import Plan

Statistic = Callable[[Int[np.ndarray, " n"]], float]  # of people, by their place in a list

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
    "action right, dlib": "action_right, dlib",
    "steadiness": "steady",
    "ConsisID's 'FID'": "consisid_fid",
    "CLIPScore": "clipscore",
}
RELATIVE = ("jitter", "motion")  # over those of the truth
# Of no clip at all.
WORST = dict.fromkeys(("arc", "cur", "person_right", "dlib_right", "found", "action_right"), 0.0)
WORST["action_right, dlib"] = 0.0
FEATURES = 4  # frames of a clip that Frechet distances see


def judge_records(records: Iterable[Record], judges: Sequence[ActionJudge]) -> list[Record]:
    """Add to every clip's record what the judges of actions and the gallery of calm faces say of it."""
    records = list(records)
    known = {field for record in records for field in record}
    worst = {field: value for field, value in WORST.items() if field in known or "right" in field}
    people = sorted({record["person"] for record in records})
    galleries = {record["person"]: record["gallery"] for record in records if record["part"] == "gallery"}
    judged = []
    for record in records:
        if record["part"] == "gallery":
            continue
        if record.get("failed"):
            judged.append(record | (worst if record["part"] == "basic" else {}))
            continue
        said = [judge.judge(record) for judge in judges if judge.field in record]
        judged.append(record | {key: value for one in said for key, value in one.items()})
    for field, which, entry in (
        ("embedding", "arc", "person_right"),
        ("dlib_embedding", "dlib", "dlib_right"),
    ):
        _find_people(judged, field, entry, {p: galleries[p].get(which) for p in people})
    return judged


def _find_people(
    records: Sequence[Record], field: str, entry: str, gallery: Mapping[int, str | None]
) -> None:
    """Enter whether a clip is nearest to the own picture of all people's."""
    from sklearn.metrics import pairwise_distances_argmin

    asked = [record for record in records if field in record]
    if asked and all(gallery.values()):
        rows = np.stack([unpack(record[field]) for record in asked])
        found = pairwise_distances_argmin(rows, np.stack([unpack(packed) for packed in gallery.values()]))
        for record, place in zip(asked, found, strict=True):
            record[entry] = float(list(gallery)[place] == record["person"])


@dataclass(frozen=True)
class Ratio:
    """A sum over people, over another: means, and ratios of means."""

    above: Float[np.ndarray, " n"]
    below: Float[np.ndarray, " n"]

    def __call__(self, drawn: Int[np.ndarray, " n"]) -> float:
        """Return the number of these people."""
        return self.above[drawn].sum() / self.below[drawn].sum()


def summarise(
    records: Sequence[Record], judges: Sequence[ActionJudge], plan: Plan
) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Compute every number of all people: "all" -> row -> column -> (value, low, high)."""
    by_row, people = split_rows(records, plan), sorted({r["person"] for r in records})
    table = select(records, judges, plan, people=people, rows=list(by_row))
    renders = [r for r in by_row["truth"] if r["part"] == "render"]
    for row, found in table.items():
        found |= _finite({"Frechet": _distance(_basic(by_row[row]), renders, people)})
    return {"all": table}


def split_rows(records: Sequence[Record], plan: Plan) -> dict[str, list[Record]]:
    """Sort records by the row of the table that they belong to."""
    rows = {row: [r for r in records if r["row"] == row] for row in ("truth", *plan.rows)}
    return {row: mine for row, mine in rows.items() if mine}


def estimate(statistics: Mapping[str, Statistic], people: int) -> dict[str, Estimate]:
    """Compute numbers that are known, with their intervals."""
    return _finite({column: by_person(statistic, people) for column, statistic in statistics.items()})


def _finite(found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {column: value for column, value in found.items() if np.isfinite(value[0])}


def compare_rows(
    records: Sequence[Record], judges: Sequence[ActionJudge], plan: Plan, one: str, other: str
) -> dict[str, Estimate]:
    """Subtract the numbers of another row from those of one, people for people."""
    by_row, people = split_rows(records, plan), sorted({r["person"] for r in records})
    if one not in by_row or other not in by_row:
        return {}
    ours, theirs = (_columns(by_row[row], by_row, people, judges, plan) for row in (one, other))
    apart = {
        column: lambda drawn, column=column: ours[column](drawn) - theirs[column](drawn)
        for column in ours.keys() & theirs.keys()
    }
    return estimate(apart, len(people))


def select(
    records: Sequence[Record],
    judges: Sequence[ActionJudge],
    plan: Plan,
    *,
    people: Sequence[int],
    rows: Sequence[str],
) -> dict[str, dict[str, Estimate]]:
    """Compute the numbers of some rows for some of the people."""
    by_row = split_rows(records, plan)
    return {
        row: estimate(_columns(by_row[row], by_row, people, judges, plan), len(people))
        for row in rows
        if row in by_row
    }


def _basic(records: Iterable[Record]) -> list[Record]:
    return [r for r in records if r["part"] == "basic"]


def _columns(
    mine: Sequence[Record],
    by_row: Mapping[str, Sequence[Record]],
    people: Sequence[int],
    judges: Sequence[ActionJudge],
    plan: Plan,
) -> dict[str, Statistic]:
    basic = _basic(mine)
    found: dict[str, Statistic] = {
        column: _mean(basic, field, people)
        for column, field in MEANS.items()
        if any(field in r for r in basic)
    }
    for column in RELATIVE:
        ours, true = (_mean(side, column, people) for side in (basic, _basic(by_row["truth"])))
        with np.errstate(invalid="ignore", divide="ignore"):
            above, below = ours.above / ours.below, true.above / true.below
        found[column] = Ratio(np.nan_to_num(above), np.where(ours.below > 0, below, 0))
    for judge in judges:
        found |= _copying(basic, _basic(by_row.get("still", ())), people, judge, plan)
        found |= _degrees(mine, people, judge)
        timelines = [r for r in mine if r["part"] == "timeline"]
        found[f"second right{judge.suffix}"] = _mean(timelines, f"seconds_right{judge.suffix}", people)
    for name in plan.actions:
        found[name] = _mean([r for r in basic if r["actions"] == [name]], "action_right", people)
    return found


def _mean(records: Sequence[Record], field: str, people: Sequence[int]) -> Ratio:
    above, below = np.zeros(len(people)), np.zeros(len(people))
    place = {person: k for k, person in enumerate(people)}
    for record in records:
        if field in record and record["person"] in place:
            above[place[record["person"]]] += record[field]
            below[place[record["person"]]] += 1
    return Ratio(above, below)


def _copying(
    basic: Sequence[Record], still: Sequence[Record], people: Sequence[int], judge: ActionJudge, plan: Plan
) -> dict[str, Statistic]:
    """How much of the reference's expression and head pose is in the clips; see `metrics.copied`."""
    shape, field = (len(plan.actions), len(people), len(judge.scale)), f"mean{judge.suffix}"
    clips, references, true = (np.full(shape, np.nan) for _ in range(3))
    place = {(action, p): (k, n) for k, action in enumerate(plan.actions) for n, p in enumerate(people)}
    takes: dict[tuple[int, int], list[np.ndarray]] = {}
    for record in basic:
        at = place.get((record["actions"][0], record["person"]))
        if at and field in record:
            takes.setdefault(at, []).append(record[field])
    for record in still:
        at = place.get((record["actions"][0], record["person"]))
        if at in takes and field in record:
            clips[at], references[at] = np.mean(takes[at], axis=0), record[field]
            true[at] = judge.shown[record["shown"]]
    true = np.nan_to_num(true)

    def copy(part: slice) -> Statistic:
        sides = [side[..., part] for side in (clips, references, true)]
        return lambda drawn: metrics.copied(*(side[:, drawn] for side in sides))

    parts = {"expression": slice(0, judge.face), "pose": slice(judge.face, None)}
    return {f"{name} copied{judge.suffix}": copy(part) for name, part in parts.items()}


def _degrees(records: Sequence[Record], people: Sequence[int], judge: ActionJudge) -> dict[str, Statistic]:
    """Compare what is asked for slightly with what is asked for broadly, pair by pair."""
    field = f"strength{judge.suffix}"
    amounts = {
        part: {(r["person"], *r["actions"]): r[field] for r in records if r["part"] == part and field in r}
        for part in ("slight", "broad")
    }
    pairs = sorted(pair for pair in amounts["slight"].keys() & amounts["broad"].keys() if pair[0] in people)
    slight, broad = (np.array([amounts[part][pair] for pair in pairs]) for part in ("slight", "broad"))
    places = np.array([people.index(person) for person, *_ in pairs], int)

    def total(values: np.ndarray) -> Float[np.ndarray, " n"]:
        return np.bincount(places, values, minlength=len(people)).astype(float)  # of nothing it counts whole

    return {
        f"broad > slight{judge.suffix}": Ratio(total(broad > slight), total(np.ones(len(pairs)))),
        f"broad / slight{judge.suffix}": Ratio(total(broad), total(slight)),
    }


def _distance(basic: Sequence[Record], renders: Sequence[Record], people: Sequence[int]) -> Estimate:
    own, true = _features(basic), _features(renders)
    known = [p for p in people if p in own and p in true]
    return metrics.frechet_interval([own[p] for p in known], [true[p] for p in known])


def _features(records: Sequence[Record]) -> dict[int, np.ndarray]:
    found: dict[int, list[np.ndarray]] = {}
    for record in records:
        if "features" in record:
            flat = unpack(record["features"])
            found.setdefault(record["person"], []).append(flat.reshape(FEATURES, -1))
    return {person: np.concatenate(parts) for person, parts in found.items()}
