"""The published comparison at full size: every arm on the same people, prompts and seeds, by outside judges.

In: a model, photos, and how often. Out: `report.md` and `report.json` with a row an arm: the mean over people
of each judge, with the half width of its 95 % interval. The eight basic actions are asked for, one a clip.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from iad.full_size.judging import Judges, load_judges
from iad.full_size.pipeline import FullSizePipeline
from iad.full_size.reporting import describe_machine, write_report

PROMPTS = (
    "a person smiles", "a person opens the mouth", "a person closes the eyes", "a person raises the eyebrows",
    "a person frowns", "a person puckers the lips", "a person turns the head to the left", "a person nods",
)  # fmt: skip


def evaluate_full_size(
    model: str,
    *,
    arms: Sequence[str],
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    seeds: int,
    output: Path,
    load: Callable[[], Judges] = load_judges,
    **request: Any,
) -> dict[str, Any]:
    """Judge a clip for each arm, person, prompt and seed; the report grows with every arm.

    Args:
        model: a full-size preset, folder or hub id.
        arms: one in memory at a time.
        photos: one a person.
        seeds: clips of the same request.
        output: the folder of the report.
        load: loads the judges.
        request: of every clip: steps, sides, the weights of a baseline.

    Raises:
        ValueError: no judge is here, or an arm cannot be loaded.
    """
    judges = load()
    if judges.faces is None and judges.clip is None:
        raise ValueError(f"No judge of full-size clips is here: {' '.join(judges.missing.values())}")
    sources = {name: request.pop(name) for name in ("baselines", "device", "memory") if name in request}
    output.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"kind": "evaluation by outside judges", "machine": describe_machine()}
    clips = f"{len(photos)} people, {len(PROMPTS)} prompts, {seeds} seeds; 16 frames a clip are judged"
    report |= {"notes": [clips, *(f"{k}: {v}" for k, v in judges.missing.items())], "rows": []}
    for arm in arms:
        pipeline = FullSizePipeline.open(model, arms=(arm,), **sources)
        said = [_judge_person(pipeline, judges, photo, arm, seeds, request) for photo in photos]
        report["rows"].append({"arm": arm} | _summarise(said))
        write_report(output, report)
        del pipeline  # before the next arm's weights come
    return report


def _judge_person(
    pipeline: FullSizePipeline,
    judges: Judges,
    photo: np.ndarray,
    arm: str,
    seeds: int,
    request: Mapping[str, Any],
) -> dict[str, float]:
    """Return the mean of each judge over a person's clips; a clip without a face counts in `faces` alone."""
    found = defaultdict(list)
    for seed in range(seeds):
        for prompt in PROMPTS:
            clip = pipeline(photo, prompt, arm=arm, seed=seed, **request).frames
            for name, value in judges.judge(clip, photo, prompt).items():
                found[name] += [] if np.isnan(value) else [value]
    return {name: float(np.mean(values)) if values else float("nan") for name, values in found.items()}


def _summarise(people: list[dict[str, float]]) -> dict[str, str | None]:
    cells: dict[str, str | None] = {}
    for name in people[0]:
        values = np.array([said[name] for said in people])
        values = values[np.isfinite(values)]
        spread = 1.96 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        cells[name] = f"{values.mean():.3f} ± {spread:.3f}" if len(values) else None
    return cells
