"""The acceptance of the full size on somebody's GPU: published weights, a clip an arm, one report to paste.

Weights are fetched by their pins, and refused where keys are missing; every clip is timed, weighed, judged.
The report is written anew after every arm, so that what was done is there even if the machine is taken away.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iad.config import ARMS
from iad.full_size.judging import Judges, load_judges
from iad.full_size.memory import GB, find_device
from iad.full_size.pipeline import FullSizePipeline
from iad.full_size.reporting import describe_machine, write_report
from iad.media.photos import load_image
from iad.result import Result

PROMPT = "a person smiles broadly, then nods"


@dataclass(frozen=True)
class Acceptance:
    """What is asked of the published systems."""

    reference: Path
    output: Path
    prompt: str = PROMPT
    arms: tuple[str, ...] = ARMS
    model: str = "cogvideox-5b"
    adapter: str | None = None
    baselines: Mapping[str, str | Path] = field(default_factory=dict)
    memory: str = "auto"
    device: str | None = None
    steps: int | None = None  # None: each system's own
    size: Mapping[str, int] = field(default_factory=dict)  # num_frames, height, width, if not its own
    accept_licence: bool = False
    seed: int = 0


def accept(
    asked: Acceptance,
    *,
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
    load: Callable[..., Judges] = load_judges,
) -> dict[str, Any]:
    """Make and judge a clip an arm; an arm that fails becomes a row that says why.

    Args:
        asked: which arms, and of what.
        tell: is told every row at once.
        load: loads the judges.
    """
    report = {"kind": "published weights", "machine": describe_machine(asked.device), "rows": []}
    given = asked.baselines.get("consisid")
    folder = Path(given) if given and Path(given).is_dir() else None
    judges = load(accept_licence=asked.accept_licence, consisid_folder=folder)
    report["notes"] = [f"{name}: {sentence}" for name, sentence in judges.missing.items()]
    asked.output.mkdir(parents=True, exist_ok=True)
    for arm in asked.arms:
        row = {"arm": arm}
        try:
            row |= _try_arm(asked, arm, judges)
        except Exception as error:  # of weights, drivers and memory: the other arms are tried all the same
            row["note"] = (str(error).strip() or type(error).__name__).splitlines()[0]
        _free()
        report["rows"].append(row)
        write_report(asked.output, report)
        tell(row)
    return report


def _try_arm(asked: Acceptance, arm: str, judges: Judges) -> dict[str, Any]:
    cuda = find_device(asked.device).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    pipeline = FullSizePipeline.open(
        asked.model,
        adapter=asked.adapter,
        arms=(arm,),
        baselines=asked.baselines,
        memory=asked.memory,
        device=asked.device,
        accept_licence=asked.accept_licence,
    )
    loaded, ticks = time.perf_counter() - begun, [time.perf_counter()]
    result = pipeline(
        asked.reference,
        asked.prompt,
        arm=arm,
        num_inference_steps=asked.steps,
        seed=asked.seed,
        callback=lambda step, total: ticks.append(time.perf_counter()),
        **asked.size,
    )
    steps = np.diff(ticks)[1:]  # the first holds T5 and the face
    row = {
        "load_s": round(loaded, 1),
        "clip_s": round(result.seconds, 1),
        "step_s": round(float(np.median(steps)), 3) if len(steps) else None,
        "peak_gb": round(torch.cuda.max_memory_allocated() / GB, 2) if cuda else None,
        "memory": pipeline.memory if arm == "iad" else pipeline.baseline(arm).memory,
    }
    frames, high, wide = result.frames.shape[:3]
    row |= {"clip": f"{frames} x {wide} x {high}", "steps": result.settings["steps"]}
    row |= _score(result, judges, load_image(asked.reference), asked.prompt)
    for suffix in ("mp4", "png"):
        result.save(asked.output / f"{arm}.{suffix}")
    return row | {"note": " ".join(result.notes)}


def _score(result: Result, judges: Judges, photo: np.ndarray, prompt: str) -> dict[str, float]:
    likeness = np.asarray(result.scores["identity"])
    own = {"identity": float(np.nanmean(likeness)) if np.isfinite(likeness).any() else float("nan")}
    own |= {name: result.scores[name] for name in ("action", "detected") if name in result.scores}
    said = own | judges.judge(result.frames, photo, prompt)
    return {name: round(value, 3) for name, value in said.items()}


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
