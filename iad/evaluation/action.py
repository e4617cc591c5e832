"""Suite `action`: does the person stay who they are and do what the prompt says, arm beside arm.

Held-out people x the eight basic actions x seeds, the reference showing another action than the prompt.
Two questions are kept apart. The method: every arm by the denoiser's own frames, which the embeddings alone
make. The product: `drawn`, iad as a visitor sees it, beside `warp` (the reference animated by the training
mesh: an honest outsider). Beside both stand `truth` (true renders of the same people: the ceiling) and
`still` (the reference repeated: the floor). Work is spread over processes, and every measured clip is on disk
at once, so that an interrupted run goes on.

For whom does it work? Photo people are grouped by skin tone, sex and age. Skin tone is measured, as the
individual typology angle (ITA) of both cheeks in the photo, in the classes of Chardon et al. 1991; a dim
photo makes anybody's darker. Sex and age are how the photos are labelled, by looks. Groups of fewer than
`FEWEST` people are joined with a neighbour where there is an order, and else left out; where fewer than two
groups are left, that is said.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from iad import checkpoint
from iad.config import ARMS
from iad.evaluation.action_clips import measure_clips, open_bench, person_file, prepare_person, teach_person
from iad.evaluation.action_page import draw_action, to_markdown
from iad.evaluation.cached_pipeline import CachedPipeline
from iad.evaluation.metrics import SUFFIX, ActionJudge, teach_judges
from iad.evaluation.outside import available
from iad.evaluation.people import DRAWN, FAIR, SEXES, TUNERS, Plan, Wanted, list_photos, list_wanted
from iad.evaluation.report import Journal, load_words, start_folder, write_suite
from iad.evaluation.summary import compare_rows, judge_records, select, summarise
from iad.spread import spread

COMPARED = ("still", "warp")  # rows beside the arms; "truth" comes with the people
VERSION = 3  # of what is measured; another one does not go on from older measurements
# Of a record, but not in the report.
HEAVY = (*SUFFIX, *(f"mean{suffix}" for suffix in SUFFIX.values()), "features", "embedding", "dlib_embedding")
FEWEST = 8
TONES = ("very light", "light", "intermediate", "tan", "brown", "dark")  # skin, lightest first
ENDS = (55.0, 41.0, 28.0, 10.0, -30.0)  # degrees above which a skin is of the class
AGES = ("young", "middle-aged", "older")
CHEEKS = ((41, 48, 3), (46, 54, 13))  # landmarks about each cheek: lower lid, corner of the mouth, jaw
SPOT = 0.16  # radius of what is looked at, in eye distances
GUIDANCES = (1.0, 1.5, 2.0, 2.5, 3.5)  # to the words, among which one is chosen for each arm


def run_action(
    *,
    output: Path,
    model: str = "mini",
    arms: Sequence[str] | None = None,
    people: int = 64,
    seeds: int = 3,
    tune: bool = False,
    workers: int = 1,
    **options: Any,
) -> dict[str, Any]:
    """Measure the arms; writes `action.json`, `.md`, pictures and the measurements into `output`.

    Args:
        output: a folder; measurements that lie there from the same settings are not made again.
        model: a preset or a weights folder; "tiny" needs no data and means nothing.
        arms: whose clips to compare; None takes those of the paper and the fair control, as far as there are
            weights.
        people: how many held-out people.
        seeds: takes of an arm for every person and action.
        tune: compare settings of guidance, on people who are never reported: at most `TUNERS`.
        workers: processes.
        options: further settings of `iad.evaluation.people.Plan`.

    Returns:
        The report of `action.json` without the rows of single clips.

    Raises:
        ValueError: an arm without weights, or settings out of range.
        FileNotFoundError: the morphable head or the photo people are not there.
    """
    begun = time.perf_counter()
    pipe = CachedPipeline.from_pretrained(model, device="cpu")
    arms = arms or [arm for arm in (*ARMS, FAIR) if arm in pipe.arms]
    if tune:
        people = min(people, TUNERS)
        options = {"degrees": 0, "tuning": True} | options
        rows = (*(f"{arm}@{scale:g}" for arm in arms for scale in GUIDANCES), "still")
    else:
        rows = (*arms, *([DRAWN] if pipe.geometry else []), *COMPARED)
    if model == "tiny":
        options = {"head": "tiny"} | options
    plan = Plan(**({"model": str(model), "rows": rows, "seeds": seeds, "count": people} | options))
    folder = Path(output) / "action"
    bench = open_bench(plan, folder)  # whatever is missing is said here
    lacking = [arm for arm in arms if arm not in bench.pipe.arms]
    if lacking:
        have = ", ".join(bench.pipe.arms)
        raise ValueError(f"{model!r} has no weights of the arm {lacking[0]!r}; it has {have}.")
    _ = bench.scorers, plan.people
    lacks = available()
    judged_by = [name for name, lack in lacks.items() if not lack]
    made_by = {"weights": _fingerprint(plan), "version": VERSION, "judges": judged_by}
    start_folder(folder, asdict(plan) | made_by)
    examples, clips = _measure(plan, folder, workers=workers)
    judges = teach_judges(examples.sorted())
    judged = judge_records(clips.sorted(), judges)
    report = {
        "settings": asdict(plan),
        "counts": _count(judged),
        "summary": summarise(judged, judges, plan),
        "split_adds": compare_rows(judged, judges, plan, "iad", FAIR),
        **_stratify(judged, judges, plan),
        "definitions": load_words("action")["definitions"],
        "missing": [sentence for sentence in lacks.values() if sentence],
        "seconds": round(time.perf_counter() - begun, 1),
    }
    rows = [{k: v for k, v in record.items() if k not in HEAVY} for record in judged]
    write_suite(Path(output), "action", report | {"rows": rows}, to_markdown(report))
    if not tune:
        draw_action(Path(output), folder, plan, judged)
    return report


def _measure(plan: Plan, folder: Path, *, workers: int) -> tuple[Journal, Journal]:
    """Make whatever is not there yet: examples, then people and their truth, then everything generated."""
    rows = [row for row in plan.rows if row != "truth"]
    examples, clips = Journal(folder / "lessons.jsonl"), Journal(folder / "clips.jsonl")
    taught = {record["teacher"] for record in examples.records.values()}
    untaught = [k for k in range(plan.teachers) if k not in taught]
    there = {
        person
        for person in range(plan.count)
        if person_file(folder, person).exists()
        and all(wanted.key in clips.records for wanted in list_wanted(plan, "truth", person))
    }
    unready = [person for person in range(plan.count) if person not in there]
    tasks = [task for person in range(plan.count) for task in _tasks(plan, rows, person, clips)]
    for name, todo, work, journal in (
        ("clips that teach the judges", untaught, teach_person, examples),
        ("true renders", unready, prepare_person, clips),
        ("generated clips", tasks, measure_clips, clips),
    ):
        made = spread(todo, partial(work, plan, folder), workers=workers)
        for records in tqdm(made, desc=name, total=len(todo), disable=not todo, mininterval=2):
            journal.add(records)
    return examples, clips


def _tasks(plan: Plan, rows: Sequence[str], person: int, clips: Journal) -> Iterator[tuple[Wanted, ...]]:
    """Group a person's missing clips by what is done in them: some seconds of work each."""
    groups: dict[tuple, list[Wanted]] = {}
    for row in rows:
        for wanted in list_wanted(plan, row, person):
            if wanted.key not in clips.records:
                kind = (row,) if row == "still" else (wanted.part, *wanted.actions)
                groups.setdefault(kind, []).append(wanted)
    yield from map(tuple, groups.values())


def _stratify(judged: Sequence[dict], judges: Sequence[ActionJudge], plan: Plan) -> dict[str, Any]:
    """Compute the method's, the product's and the fair control's numbers for groups of photo people."""
    strata, too_small = list_strata(plan.people) if plan.head == "ict" else ([], [])
    rows = [row for row in ("iad", FAIR, DRAWN) if row in plan.rows]
    found = [
        {"of": of, "name": name, "people": len(people)}
        | {"rows": select(judged, judges, plan, people=people, rows=rows)}
        for of, name, people in strata
        if rows
    ]
    return {"strata": found, "strata_too_small": too_small}


def _fingerprint(plan: Plan) -> str:
    """Digest of the weights' manifests, which hold a checksum of every shard."""
    folders = [checkpoint.WEIGHTS / plan.model, Path(plan.model)]
    files = dict.fromkeys(folder / checkpoint.MANIFEST for folder in folders)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.exists())).hexdigest()


def _count(records) -> dict[str, dict[str, int]]:
    """Count clips and failures of every row."""
    counts: dict[str, dict[str, int]] = {}
    for record in records:
        row = counts.setdefault(record["row"], {"clips": 0, "failed": 0})
        row["clips"] += record["part"] != "render"
        row["failed"] += bool(record.get("failed"))
    return counts


def measure_skin(photo: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"]) -> float:
    """Return the typology angle of the cheeks, degrees: arctan((L* - 50) / b*), higher is lighter."""
    lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    radius = SPOT * np.linalg.norm(landmarks[42:48].mean(0) - landmarks[36:42].mean(0))
    mask = np.zeros(photo.shape[:2], np.uint8)
    for about in CHEEKS:
        x, y = landmarks[list(about)].mean(0).round().astype(int).tolist()
        cv2.circle(mask, (x, y), max(1, round(float(radius))), 1, -1)
    lightness, _, yellow = np.median(lab[mask > 0], axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(yellow, 1e-6))))


def name_tone(angle: float) -> str:
    """Name the class of a typology angle."""
    return TONES[sum(angle <= end for end in ENDS)]


def list_strata(people: Sequence[int]) -> tuple[list[tuple[str, str, list[int]]], list[str]]:
    """Group photo people by their places in a list.

    Returns by what, name and places of each group, and sentences where there are no two.
    """
    labels: dict[str, dict[int, str]] = {"skin tone": {}, "sex": {}, "age": {}}
    for place, number in enumerate(people):
        record, words = list_photos()[number]
        labels["skin tone"][place] = name_tone(measure_skin(record.load_photo(), record.landmarks))
        labels["sex"][place], labels["age"][place] = words.presentation, words.age
    strata, left_out = [], []
    for of, order in (("skin tone", TONES), ("sex", SEXES), ("age", AGES)):
        groups = [(name, [p for p, label in labels[of].items() if label == name]) for name in order]
        groups = groups if of == "sex" else join_small(groups)
        large = [(of, name, places) for name, places in groups if len(places) >= FEWEST]
        if len(large) > 1:
            strata += large
        else:
            left_out.append(f"By {of}, there are too few people to tell groups apart.")
    return strata, left_out


def join_small(
    groups: Sequence[tuple[str, Sequence[int]]], fewest: int = FEWEST
) -> list[tuple[str, list[int]]]:
    """Join neighbours in an order until each group has as many people as needed, or only one is left."""
    joined = [([name], list(people)) for name, people in groups if people]
    while len(joined) > 1 and min(len(people) for _, people in joined) < fewest:
        k = min(range(len(joined)), key=lambda place: len(joined[place][1]))
        beside = [place for place in (k - 1, k + 1) if 0 <= place < len(joined)]
        other = min(beside, key=lambda place: len(joined[place][1]))
        first, second = sorted((k, other))
        names, people = (joined[first][part] + joined[second][part] for part in (0, 1))
        joined[first : second + 1] = [(names, people)]
    return [
        (names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}", people) for names, people in joined
    ]
