"""What each command of the command line does.

In come parsed arguments, out comes the command's JSON report. Whatever can be wrong with the words is found
before a model is loaded, and everything heavy is imported by the command that needs it.
"""

import argparse
import io
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from iad.checks import check_driver, check_model, check_name, check_number, check_photo

REPORT_SUFFIXES = (".png", ".npz", ".json")


def generate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a video portrait."""
    from iad.config import ARMS
    from iad.text import parse_prompt
    from iad.video import check_output

    check_name(arguments.arm, ARMS, what="arm")
    check_model(arguments.model)
    check_number(arguments.seed, "--seed", low=0, high=2**63 - 1)
    check_number(arguments.steps, "--steps", low=1, high=1000)
    check_number(arguments.identity_scale, "--identity-scale", low=0, high=10)
    check_number(arguments.action_scale, "--action-scale", low=0, high=10)
    if arguments.model in ("mini", "tiny") and (arguments.memory != "auto" or arguments.cache):
        raise ValueError("--memory and --cache are for large models; leave them out with a small one.")
    parse_prompt(arguments.prompt, duration=_get_duration(arguments.model))
    output = check_output(arguments.output)
    for reference in arguments.reference:
        check_photo(reference, arguments.face)
    if arguments.action_reference:
        check_driver(arguments.action_reference)

    start = time.perf_counter()
    pipeline = _load_pipeline(arguments)
    loaded = time.perf_counter()
    references = arguments.reference
    with _Progress("generate") as progress:
        result = pipeline(
            reference=references[0] if len(references) == 1 else references,
            prompt=arguments.prompt,
            action_reference=arguments.action_reference,
            arm=arguments.arm,
            identity_scale=arguments.identity_scale,
            action_scale=arguments.action_scale,
            num_inference_steps=arguments.steps,
            seed=arguments.seed,
            callback=progress,
            **({} if arguments.face is None else {"face": arguments.face}),
        )
    result.save(output)
    for note in result.notes:
        print(note, file=sys.stderr)
    report = _describe(result, output, arguments.arm, loaded - start)
    if not arguments.json:
        print(f"{output}: {report['frames']} frames at {report['fps']} fps, seed {report['seed']}")
    return report


def _describe(result: Any, output: Path, arm: str, load_seconds: float) -> dict[str, Any]:
    frames, height, width = result.frames.shape[:3]
    scores = {name: _mean(result.scores.get(name)) for name in ("identity", "action", "detected")}
    return {
        "output": str(output),
        "frames": frames,
        "fps": result.fps,
        "width": width,
        "height": height,
        "seed": result.seed,
        "arm": arm,
        "seconds": {"load": round(load_seconds, 3), "generate": round(result.seconds, 3)},
        "scores": scores,
        "notes": list(result.notes),
    }


def _mean(values: Any) -> float | None:
    """Average what was scored; JSON has no NaN, so a score without a value is null."""
    import numpy as np

    if values is None:
        return None
    mean = float(np.mean(values))
    return mean if math.isfinite(mean) else None


def decouple(arguments: argparse.Namespace) -> dict[str, Any]:
    """Split faces into identity and action."""
    from iad.video import check_output

    check_model(arguments.model)
    output = check_output(arguments.output, REPORT_SUFFIXES) if arguments.output else None
    if not all(prompt.strip() for prompt in arguments.prompts):
        raise ValueError("A prompt is empty; describe a facial action, such as 'eyes closed'.")
    for file in arguments.faces:
        check_photo(file)
    pipeline = _load_pipeline(arguments)
    with _Progress("decouple") as progress:
        faces = []
        for file in arguments.faces:
            faces.append(pipeline.decouple(file))
            progress(len(faces), len(arguments.faces))
    report = _compare(pipeline, faces, arguments.faces, arguments.prompts)
    if output:
        _save_report(output, faces, report)
    if not arguments.json:
        _print_report(report)
    return report


def _compare(pipeline: Any, faces: list, files: list[str], prompts: list[str]) -> dict[str, Any]:
    import numpy as np

    def cosines(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(vectors, axis=1)[:, None] * np.linalg.norm(others, axis=1)
        return vectors @ others.T / np.maximum(norms, 1e-12)

    identity = np.stack([np.asarray(face.identity, np.float64) for face in faces])
    action = np.stack([np.asarray(face.action, np.float64) for face in faces])
    return {
        "faces": [
            {
                "file": str(file),
                "box": [int(side) for side in face.box],
                "identity_share": float(face.identity_share),
                "action_share": float(face.action_share),
                "cosine": float(cosines(i[None], a[None])[0, 0]),
                "actions": [
                    {"prompt": prompt, "similarity": float(similarity)}
                    for prompt, similarity in pipeline.match_actions(face, prompts)
                ],
            }
            for file, face, i, a in zip(files, faces, identity, action, strict=True)
        ],
        "identity_cosine": cosines(identity, identity).tolist(),
        "action_cosine": cosines(action, action).tolist(),
    }


def _save_report(output: Path, faces: list, report: dict[str, Any]) -> None:
    import numpy as np

    from iad.video import write_whole

    buffer = io.BytesIO()
    if output.suffix.lower() == ".png":
        from iad.plots import decoupling_report

        decoupling_report([np.asarray(face.crop) for face in faces], report).save(buffer, format="PNG")
    elif output.suffix.lower() == ".npz":
        parts = {
            name: np.stack([getattr(face, name) for face in faces])
            for name in ("facial", "identity", "action")
        }
        np.savez(buffer, files=np.array([face["file"] for face in report["faces"]]), **parts)
    else:
        buffer.write(json.dumps(report, indent=2).encode())
    write_whole(output, buffer.getvalue())


def _print_report(report: dict[str, Any]) -> None:
    for face in report["faces"]:
        shares = f"identity {face['identity_share']:.0%}, action {face['action_share']:.0%}"
        matches = ", ".join(f"{match['prompt']} {match['similarity']:.2f}" for match in face["actions"][:3])
        print(f"{face['file']}: {shares}; {matches}")
    if len(report["faces"]) > 1:
        for name in ("identity", "action"):
            print(f"{name} similarity")
            for row in report[f"{name}_cosine"]:
                print("  " + " ".join(f"{value:6.2f}" for value in row))


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one stage."""
    from iad import training
    from iad.config import ARMS, get_preset
    from iad.video import check_folder

    check_name(arguments.stage, training.STAGES, what="stage")
    check_name(arguments.arm, ARMS, what="arm")
    get_preset(arguments.preset)
    check_number(arguments.minutes, "--minutes", low=0.01, high=1e6)
    if arguments.data and not Path(arguments.data).is_dir():
        raise ValueError(f"There is no folder '{arguments.data}'; render clips: python -m iad data render")
    output = check_folder(arguments.output)
    training.run(
        arguments.stage,
        preset=arguments.preset,
        arm=arguments.arm,
        data=arguments.data and Path(arguments.data),
        resume=arguments.resume,
        output=output,
        **({} if arguments.minutes is None else {"minutes": arguments.minutes}),
    )
    return {"stage": arguments.stage, "output": str(output)}


def download(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fetch the head and the photo people."""
    from iad.video import check_folder

    folder = check_folder(arguments.folder) if arguments.folder else None

    from iad.portraits.download import download as fetch

    return {"folder": str(fetch(folder, landmarker=_load_landmarker()))}


def render(arguments: argparse.Namespace) -> dict[str, Any]:
    """Render a pool of clips."""
    from iad.video import check_folder

    check_number(arguments.clips, "--clips", low=1, high=10**8)
    check_number(arguments.workers, "--workers", low=1, high=1024)
    check_number(arguments.seed, "--seed", low=0, high=2**63 - 1)
    output = check_folder(arguments.output)

    from iad.portraits.clips import render_pool

    render_pool(output, clips=arguments.clips, seed=arguments.seed, workers=arguments.workers)
    return {"output": str(output), "clips": arguments.clips, "seed": arguments.seed}


def preview(arguments: argparse.Namespace) -> dict[str, Any]:
    """Render a few clips into one picture."""
    from iad.video import check_output

    check_number(arguments.count, "--count", low=1, high=256)
    check_number(arguments.seed, "--seed", low=0, high=2**63 - 1)
    output = check_output(arguments.output, (".png",))

    from iad.portraits.clips import preview as show

    show(output, count=arguments.count, seed=arguments.seed)
    return {"output": str(output), "count": arguments.count, "seed": arguments.seed}


def demo(arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the app; returns when it is closed."""
    check_number(arguments.port, "--port", low=1, high=65_535)

    from iad.demo import launch

    launch(port=arguments.port)
    return {"port": arguments.port}


def _load_landmarker() -> Any:
    """Load what fits the photo people: the face encoder of mini; None before it has weights."""
    from iad import IaDPipeline
    from iad.encoders import as_landmarker

    try:
        return as_landmarker(IaDPipeline.from_pretrained("mini").parts["encoder"])
    except ValueError:
        return None


def _get_duration(model: str) -> float:
    from iad.config import PRESETS

    # What a folder or a hub id makes is known only once it is loaded; mini's is the shortest clip.
    return PRESETS.get(model, PRESETS["mini"]).duration


def _load_pipeline(arguments: argparse.Namespace) -> Any:
    from iad import IaDPipeline

    wished = {name: getattr(arguments, name, None) for name in ("adapter", "memory", "cache")}
    return IaDPipeline.from_pretrained(
        arguments.model, **{name: value for name, value in wished.items() if value not in (None, "auto")}
    )


class _Progress:
    """A progress bar on stderr, moved by `progress(step, total)`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar = None

    def __enter__(self) -> "_Progress":
        from tqdm import tqdm

        self.bar = tqdm(desc=self.title, file=sys.stderr, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, step: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(step - self.bar.n)
