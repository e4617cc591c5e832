"""What published systems make, judged from outside: one clip an arm on somebody's GPU, or a whole comparison.

In: what is asked for, and of which model. Out: `report.md`, a table to paste, and `report.json`. The report
is written anew after every arm, so that what was done is there even if the machine is taken away.
"""

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from iad.full_size.cogvideox import FullSizePipeline
from iad.full_size.hub import GB
from iad.full_size.judging import Judges, load_judges
from iad.full_size.memory import find_device
from iad.full_size.reporting import describe_machine, write_report
from iad.media.photos import load_image
from iad.request import Request
from iad.result import Result

PROMPT = "a person smiles broadly, then nods"
PROMPTS = (
    "a person smiles", "a person opens the mouth", "a person closes the eyes", "a person raises the eyebrows",
    "a person frowns", "a person puckers the lips", "a person turns the head to the left", "a person nods",
)  # fmt: skip


def accept(
    request: Request,
    model: str,
    *,
    arms: Sequence[str],
    output: Path,
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
    load: Callable[..., Judges] = load_judges,
    **sources: Any,
) -> dict[str, Any]:
    """Make, time, weigh and judge a clip an arm; an arm that fails becomes a row that says why.

    Args:
        request: of one photo; its arm is set here.
        model: a full-size preset, folder or hub id, whose weights are refused where keys are missing.
        arms: one in memory at a time.
        output: the folder of the report and the clips.
        tell: is told every row at once.
        load: loads the judges.
        sources: see `iad.full_size.cogvideox.Sources`.
    """
    report = {"kind": "published weights", "machine": describe_machine(sources.get("device")), "rows": []}
    given = sources.get("baselines", {}).get("consisid")
    folder = Path(given) if given and Path(given).is_dir() else None
    judges = load(accept_licence=sources.get("accept_licence", False), consisid_folder=folder)
    report["notes"] = [f"{name}: {sentence}" for name, sentence in judges.missing.items()]
    output.mkdir(parents=True, exist_ok=True)
    for arm in arms:
        row = {"arm": arm}
        try:
            result, measured = _make_clip(replace(request, arm=arm), model, sources)
            row |= measured | _score(result, judges, request) | {"note": " ".join(result.notes)}
            for suffix in ("mp4", "png"):
                result.save(output / f"{arm}.{suffix}")
        except Exception as error:  # of weights, drivers and memory: the other arms are tried all the same
            row["note"] = (str(error).strip() or type(error).__name__).splitlines()[0]
        gc.collect()
        torch.cuda.empty_cache()
        report["rows"].append(row)
        write_report(output, report)
        tell(row)
    return report


def _make_clip(request: Request, model: str, sources: dict[str, Any]) -> tuple[Result, dict[str, Any]]:
    cuda = find_device(sources.get("device")).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    pipeline = FullSizePipeline.open(model, arms=(request.arm,), **sources)
    ticks = [time.perf_counter()]
    result = pipeline.generate(request, lambda step, total: ticks.append(time.perf_counter()))
    steps = np.diff(ticks)[1:]  # the first holds T5 and the face
    frames, high, wide = result.frames.shape[:3]
    loaded = pipeline if request.arm == "iad" else pipeline.baseline(request.arm)
    return result, {
        "load_s": round(ticks[0] - begun, 1),
        "clip_s": round(result.seconds, 1),
        "step_s": round(float(np.median(steps)), 3) if len(steps) else None,
        "peak_gb": round(torch.cuda.max_memory_allocated() / GB, 2) if cuda else None,
        "memory": loaded.memory,
        "clip": f"{frames} x {wide} x {high}",
        "steps": result.settings["steps"],
    }


def _score(result: Result, judges: Judges, request: Request) -> dict[str, float]:
    likeness = np.asarray(result.scores["identity"])
    own = {"identity": float(np.nanmean(likeness)) if np.isfinite(likeness).any() else float("nan")}
    own |= {name: result.scores[name] for name in ("action", "detected") if name in result.scores}
    said = own | judges.judge(result.frames, load_image(request.reference), request.prompt)
    return {name: round(value, 3) for name, value in said.items()}


def evaluate_full_size(
    model: str,
    *,
    arms: Sequence[str],
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    seeds: int,
    output: Path,
    load: Callable[[], Judges] = load_judges,
    settings: Mapping[str, Any] = MappingProxyType({}),
    **sources: Any,
) -> dict[str, Any]:
    """Judge a clip for each arm, person, basic prompt and seed; the report grows with every arm.

    Its rows hold the mean over people of each judge, with the half width of its 95 % interval.

    Args:
        model: a full-size preset, folder or hub id.
        arms: one in memory at a time.
        photos: one a person.
        seeds: clips of the same request.
        output: the folder of the report.
        load: loads the judges.
        settings: of every request.
        sources: see `iad.full_size.cogvideox.Sources`.

    Raises:
        ValueError: no judge is here, or an arm cannot be loaded.
    """
    judges = load()
    if judges.faces is None and judges.clip is None:
        raise ValueError(f"No judge of full-size clips is here: {' '.join(judges.missing.values())}")
    output.mkdir(parents=True, exist_ok=True)
    clips = f"{len(photos)} people, {len(PROMPTS)} prompts, {seeds} seeds; 16 frames a clip are judged"
    report: dict[str, Any] = {"kind": "evaluation by outside judges", "machine": describe_machine()}
    report |= {"notes": [clips, *(f"{k}: {v}" for k, v in judges.missing.items())], "rows": []}
    for arm in arms:
        pipeline = FullSizePipeline.open(model, arms=(arm,), **sources)
        asked = {**settings, "arm": arm}
        said = [_judge_person(pipeline, judges, photo, seeds, asked) for photo in photos]
        report["rows"].append({"arm": arm} | _summarise(said))
        write_report(output, report)
        del pipeline  # before the next arm's weights come
    return report


def _judge_person(
    pipeline: FullSizePipeline, judges: Judges, photo: np.ndarray, seeds: int, settings: dict[str, Any]
) -> dict[str, float]:
    """Return the mean of each judge over a person's clips; a clip without a face counts in `faces` alone."""
    found = defaultdict(list)
    for seed in range(seeds):
        for prompt in PROMPTS:
            clip = pipeline(photo, prompt, seed=seed, **settings).frames
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
