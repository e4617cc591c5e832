"""Suite `speed`: seconds of what a user waits for, by stages; live frames, start, memory and size of weights.

Everything is timed in fresh processes. One makes whole clips as the page does, at two sizes and without the
drawing, and the same steps one by one. Another is held to one core and draws single frames: from sliders, and
from a driver's pictures.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from iad import checkpoint
from iad.evaluation.report import write_table
from iad.geometry.drawing import draw
from iad.geometry.driving import FPS

CLIPS = 5  # of each kind, after one that warms up
SIZES = (384, 768)  # pixels
SECONDS = 2.0
PROMPT = "a woman smiles, then nods"
STAGES = ("find and read the face", "fit", "perform the words", "draw", "score")
LIVE_SIZE, LIVE_FRAMES = 256, 24
AIMS = {"384": 2.0, "768": 5.0, "live": 40, "driven": 15, "ready": 8.0, "memory": 2.0, "weights": 40}
NOTE = "Medians of {clips} clips of {seconds:g} s, {cores} core(s), weights loaded and one clip made before."


def run_speed(model: str, *, output: Path, clips: int = CLIPS) -> dict[str, Any]:
    """Time a model on this machine; writes `speed.md` into `output`.

    Args:
        model: a preset or a weights folder.
        output: a folder; made if it is not there.
        clips: how many of each kind are timed, after one that warms up.
    """
    report: dict[str, Any] = {"clips": clips, "cores": len(_cores()), "seconds": SECONDS, "fps": FPS}
    report |= _ask_a_process("clips", model, clips)
    report["live"] = _ask_a_process("live", model, clips)
    report["weights_mb"] = weigh(model)
    output.mkdir(parents=True, exist_ok=True)
    (output / "speed.md").write_text(to_markdown(report))
    return report


def _ask_a_process(what: str, model: str, clips: int) -> dict[str, Any]:
    """Let a fresh process measure, which also tells how long it took to be ready."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    alone = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"} if what == "live" else {}
    command = [sys.executable, "-m", "iad.evaluation.speed", what, str(model), str(clips), str(time.time())]
    run = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths} | alone, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def measure_clips(model: str, clips: int, begun: float) -> dict[str, Any]:
    """Load a model and make clips; `begun` is when the process was started.

    Where a model has no geometry its clips are the denoiser's alone.
    """
    from iad import IaDPipeline

    pipe = IaDPipeline.from_pretrained(model, device="cpu")
    report: dict[str, Any] = {"ready": time.time() - begun, "drawn": {}}
    photo = get_photo()

    def make(**options: Any) -> None:
        dict(pipe(photo, PROMPT, duration=SECONDS, **options).scores)  # which are measured when looked at

    for size in SIZES if pipe.geometry is not None else ():
        runs = [_time(make, seed=seed, size=size) for seed in range(clips + 1)]
        if size == SIZES[0]:  # before the stages are timed, which keep two clips at once
            report["first_clip"] = runs[0]
        stages = [time_stages(pipe, photo, size=size, seed=seed) for seed in range(clips)]
        report["drawn"][str(size)] = _summarise(runs[1:], stages)
    runs = [_time(make, seed=seed, detail_scale=0) for seed in range(clips + 1)]
    report.setdefault("first_clip", runs[0])
    report["alone"] = _summarise(runs[1:], [])
    report |= {"size_alone": pipe.preset.size, "frames_alone": pipe.preset.frames} | _peak()
    return report


@torch.inference_mode()
def time_stages(
    pipe: Any, photo: UInt8[np.ndarray, "h w 3"], *, size: int, seed: int, seconds: float = SECONDS
) -> dict[str, float]:
    """Make one drawn clip step by step, as the pipeline does, and return the seconds of each of `STAGES`.

    Raises:
        ValueError: the face cannot be fitted, or the model has no geometry.
    """
    at = [time.perf_counter()]
    person = pipe._prepare(photo, None)
    at.append(time.perf_counter())
    fitted, notes = person.fit("iad")
    if fitted is None:
        raise ValueError(notes[0])
    at.append(time.perf_counter())
    moved = pipe._perform(PROMPT, None, None, seconds=seconds, fps=FPS, seed=seed)
    at.append(time.perf_counter())
    frames = draw(fitted, moved.track, size=size, refiner=pipe.parts["refiner"]).frames
    at.append(time.perf_counter())
    pipe._score(frames, person, person.embed()[None], moved.track)
    at.append(time.perf_counter())
    return dict(zip(STAGES, np.diff(at).tolist(), strict=True))


def measure_live(model: str) -> dict[str, Any]:
    """Draw single frames on one core: milliseconds a frame of sliders, and frames a second after a driver."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(_cores())})
    torch.set_num_threads(1)
    from iad import IaDPipeline

    pipe, photo = IaDPipeline.from_pretrained(model, device="cpu"), get_photo()
    if pipe.geometry is None:
        return {}
    begun = time.perf_counter()
    live = pipe.live(photo)
    live.frame(size=LIVE_SIZE)
    fitting = time.perf_counter() - begun
    places = np.linspace(0, 1, LIVE_FRAMES)
    sliders = [_time(live.frame, smile=float(x), yaw=12 * float(x), size=LIVE_SIZE) for x in places]
    driver = [live.frame(mouth=float(x), yaw=8 * float(x), size=2 * LIVE_SIZE) for x in places]
    live.frame(driver=driver[0])
    driven = [_time(live.frame, driver=picture, size=LIVE_SIZE) for picture in driver]
    told = {"ms": 1000 * float(np.median(sliders)), "fps_driven": 1 / float(np.median(driven))}
    return told | {"fit": fitting} | _peak()


def _time(work: Any, **options: Any) -> float:
    begun = time.perf_counter()
    work(**options)
    return time.perf_counter() - begun


def _summarise(totals: list[float], stages: list[dict[str, float]]) -> dict[str, Any]:
    medians = {name: float(np.median([t[name] for t in stages])) for name in STAGES} if stages else {}
    ends = {"fastest": min(totals), "slowest": max(totals)}
    return {"total": float(np.median(totals)), **ends, "stages": medians}


def get_photo() -> UInt8[np.ndarray, "h w 3"]:
    """Return a photo of 512 pixels that everybody has: scikit-image's astronaut."""
    import skimage.data

    return skimage.data.astronaut()


def weigh(model: str) -> float:
    """Return the megabytes of weights that generating takes, without other arms and judges."""
    folder = checkpoint.WEIGHTS / model if (checkpoint.WEIGHTS / model).is_dir() else Path(model)
    files = [f for f in folder.glob("*.safetensors") if not f.name.startswith(("arm-", "scorers-"))]
    return sum(file.stat().st_size for file in files) / 1e6


def _cores() -> set[int]:
    affinity = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity else set(range(os.cpu_count() or 1))


def _peak() -> dict[str, float]:
    try:
        import resource
    except ImportError:  # Windows
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_gib": peak / (2**30 if sys.platform == "darwin" else 2**20)}


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write a table of clips, and one of everything else beside what was aimed at."""
    return "\n".join(["## Speed", "", NOTE.format(**report), "", _clips(report), _rest(report)])


def _clips(report: Mapping[str, Any]) -> str:
    drawn, alone = report["drawn"], report["alone"]
    heads = [f"drawn, {size} px, {report['fps']:g} fps" for size in drawn]
    heads.append(f"the denoiser alone, {report['size_alone']} px, {report['frames_alone']} frames")
    rows = [
        [stage, *(entry["stages"][stage] for entry in drawn.values()), ""] for stage in STAGES if drawn
    ]
    entries = [*drawn.values(), alone]
    rows.append(["**a clip**", *(f"**{entry['total']:.2f}**" for entry in entries)])
    rows.append(["fastest, slowest", *(f"{e['fastest']:.2f}, {e['slowest']:.2f}" for e in entries)])
    if drawn:
        rows.append(["aim", *(f"{AIMS[size]:.1f}" if size in AIMS else "" for size in drawn), ""])
    return write_table(["seconds", *heads], rows)


def _rest(report: Mapping[str, Any]) -> str:
    live = report["live"] or dict.fromkeys(("fit", "ms", "fps_driven"))
    rows = [
        ("start of the process to ready, s", report["ready"], 1, f"{AIMS['ready']:.0f}"),
        ("the first clip, s", report["first_clip"], 1, ""),
        ("live, a photo to its first frame, s, one core", live["fit"], 2, ""),
        ("live, a frame of 256 px from sliders, ms, one core", live["ms"], 0, f"{AIMS['live']}"),
        ("live, driver's picture to frame, a second, one core", live["fps_driven"], 1,
         f"{AIMS['driven']} on two"),
        ("peak memory, GiB", report.get("peak_memory_gib"), 2, f"{AIMS['memory']:.0f}"),
        ("weights to generate, MB", report["weights_mb"] or None, 1, f"{AIMS['weights']}"),
    ]  # fmt: skip
    known = [(name, f"{value:.{digits}f}", aim) for name, value, digits, aim in rows if value is not None]
    return write_table(["", "measured", "aim"], known)


if __name__ == "__main__":
    _what, _model, _clips, _begun = sys.argv[1:]
    if _what == "live":
        print(json.dumps(measure_live(_model)))
    else:
        print(json.dumps(measure_clips(_model, int(_clips), float(_begun))))
