"""Suite `speed`: seconds a clip by stages, against a plain loop over the same weights; cold start and memory.

The plain loop is what diffusers' own pipelines do: 50 steps of `CogVideoXDDIMScheduler`, guidance with a
doubled batch, keys and values of all conditions computed anew in every step. Both make clips in turn, so that
other work on the machine slows both alike.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iad.autoencoder import decode_latents, to_tensor, to_uint8
from iad.sampling import Conditions, sample
from iad.text import parse_prompt
from iad.transformer import create_scheduler

CLIPS = 5  # of each kind, after one that warms up
PLAIN_STEPS, PLAIN_GUIDANCE = 50, 6.0  # as ConsisID's
PROMPT = "a woman smiles, then nods"
STAGES = ("find the face", "words to action", "encode and split", "denoise", "decode", "finish", "score")

Denoise = Callable[[Any, Conditions, int], Float[Tensor, "1 f c y x"]]


class Clock:
    """Adds up seconds by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what happens inside `with`."""
        begun = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


def run_speed(pipe: Any, *, output: Path, clips: int = CLIPS, cold: bool = True) -> dict[str, Any]:
    """Time a pipeline on this machine; writes `speed.md` into `output`.

    Args:
        pipe: an `IaDPipeline`.
        output: a folder; made if it is not there.
        clips: how many of each kind are timed.
        cold: also start a fresh process, for the seconds until the first clip and the peak of memory.
    """
    photo = _photo()
    ways: dict[str, Denoise] = {"default": denoise, "plain": denoise_plainly}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for seed in range(-1, clips):
        for name, way in ways.items():
            seconds = time_clip(pipe, photo, way, seed=max(seed, 0))
            if seed >= 0:
                runs[name].append(seconds)
    report: dict[str, Any] = {name: _summarise(times) for name, times in runs.items()}
    sampler = pipe.preset.sampler
    report |= {
        "clips": clips,
        "frames": pipe.preset.frames,
        "size": pipe.preset.size,
        "threads": torch.get_num_threads(),
        "steps": sampler.steps,
        "plain_steps": PLAIN_STEPS,
        "times_faster": report["plain"]["total"] / report["default"]["total"],
        "times_faster_denoising": report["plain"]["stages"]["denoise"]
        / report["default"]["stages"]["denoise"],
    }
    if cold:
        report["cold"] = _start_elsewhere(pipe)
    output.mkdir(parents=True, exist_ok=True)
    (output / "speed.md").write_text(to_markdown(report))
    return report


@torch.inference_mode()
def time_clip(pipe: Any, photo: np.ndarray, way: Denoise, *, seed: int) -> dict[str, float]:
    """Make one clip as the pipeline does, and return the seconds of each of `STAGES`."""
    clock, preset = Clock(), pipe.preset
    with clock("find the face"):
        faces = [pipe.find_face(photo)]
    with clock("words to action"):
        segments = parse_prompt(PROMPT, duration=preset.duration)
        code, _ = pipe._action_codes(segments, None, preset.latent_frames)
    with clock("encode and split"):
        conditions = pipe._conditions("iad", faces, code, segments)
    with clock("denoise"):
        latents = way(pipe, conditions, seed)
    with clock("decode"):
        decoded = decode_latents(pipe.parts["autoencoder"], latents, preset.frames_per_latent)[0]
    with clock("finish"):
        frames = pipe._finish(decoded, faces[0], to_tensor(faces[0].image), code[0], 1.0)
    with clock("score"):
        pipe._score(to_uint8(frames), faces, code)
    return clock.seconds


def denoise(pipe: Any, conditions: Conditions, seed: int) -> Float[Tensor, "1 f c y x"]:
    """Sample as the pipeline does by default."""
    return sample(
        pipe.parts["transformer"],
        pipe.scheduler,
        conditions,
        pipe._guidance(None, None, 1.0, 1.0),
        latents=pipe._noise(seed, pipe.preset.latent_frames),
        steps=pipe.preset.sampler.steps,
        stack=pipe.preset.frames_per_latent,
        weigh=pipe._weigh_contrast,
    )


def denoise_plainly(
    pipe: Any, conditions: Conditions, seed: int, *, steps: int = PLAIN_STEPS
) -> Float[Tensor, "1 f c y x"]:
    """Sample as diffusers' pipelines do: many steps, a doubled batch, everything anew in each."""
    transformer, scheduler = pipe.parts["transformer"], create_scheduler(pipe.preset)
    latents = pipe._noise(seed, pipe.preset.latent_frames)
    states = torch.cat([conditions.states, conditions.no_states])
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        adapter = transformer.adapt(
            conditions.identity.expand(2, -1, -1),
            conditions.action.expand(2, -1, -1, -1),
            frames=latents.shape[1],
            action_scale=torch.tensor([1.0, 0.0]),
        )
        rows = torch.cat([latents, latents])
        velocity = transformer(rows, states, t.expand(2), attention_kwargs={"adapter": adapter}).sample
        told, free = velocity.chunk(2)
        latents = scheduler.step(free + PLAIN_GUIDANCE * (told - free), t, latents).prev_sample
    return latents


def _summarise(times: list[dict[str, float]]) -> dict[str, Any]:
    stages = {name: float(np.median([t[name] for t in times])) for name in STAGES}
    totals = [sum(t.values()) for t in times]
    return {
        "total": float(np.median(totals)),
        "fastest": min(totals),
        "slowest": max(totals),
        "stages": stages,
    }


def _photo() -> np.ndarray:
    import skimage.data

    return skimage.data.astronaut()


def _start_elsewhere(pipe: Any) -> dict[str, float]:
    """Let a fresh process load the same weights and make clips."""
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:
        pipe.save_pretrained(folder)
        command = [sys.executable, "-m", "iad.evaluation.speed", folder, str(time.time())]
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        run = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True
        )
    return json.loads(run.stdout.splitlines()[-1])


def _start_here(folder: str, begun: float) -> dict[str, float]:
    from iad import IaDPipeline

    pipe = IaDPipeline.from_pretrained(folder)
    ready, photo = time.time() - begun, _photo()
    seconds = [pipe(photo, PROMPT, seed=seed).seconds for seed in range(3)]
    return {"ready": ready, "first_clip": seconds[0], "later_clips": float(np.median(seconds[1:]))} | _peak()


def _peak() -> dict[str, float]:
    try:
        import resource
    except ImportError:  # Windows
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_gib": peak / (2**30 if sys.platform == "darwin" else 2**20)}


def to_markdown(report: dict[str, Any]) -> str:
    """Write the suite's table."""
    default, plain = report["default"], report["plain"]
    lines = [
        "## Speed",
        "",
        f"Medians of {report['clips']} clips of {report['frames']} frames at {report['size']} pixels, "
        f"{report['threads']} thread(s), weights loaded, both ways in turn. Plain: "
        f"{report['plain_steps']} guided steps of a diffusers loop, doubled batch, keys and values anew in "
        "every step.",
        "",
        f"| seconds | default, {report['steps']} step(s) | plain, {report['plain_steps']} steps |",
        "| --- | --- | --- |",
        *(f"| {name} | {default['stages'][name]:.3f} | {plain['stages'][name]:.3f} |" for name in STAGES),
        f"| **a clip** | **{default['total']:.2f}** | {plain['total']:.2f} |",
        "",
        f"{report['times_faster']:.1f} times faster end to end, {report['times_faster_denoising']:.1f} times "
        "in denoising alone.",
    ]
    cold = report.get("cold")
    if cold:
        memory = f", peak memory {cold['peak_memory_gib']:.2f} GiB" if "peak_memory_gib" in cold else ""
        lines.append(
            f"A fresh process is ready after {cold['ready']:.1f} s; its first clip takes "
            f"{cold['first_clip']:.2f} s, later ones {cold['later_clips']:.2f} s{memory}."
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(json.dumps(_start_here(sys.argv[1], float(sys.argv[2]))))
