"""Seconds and memory of what a user waits for; run on an idle machine.

    python -m tests.benchmarks.speed [--model mini]

Prints one JSON object: start to ready (a fresh process, imports included), the first and later clips of two
seconds at 384 pixels, peak memory, `--help`, and, where the head and the photo people are, frames a second of
both renderers on one core. `python -m iad evaluate --suite speed` tells more of clips, stage by stage.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import skimage.data


def start_and_generate(model: str, clips: int) -> dict:
    """Load the pipeline in this process and generate."""
    begun = time.perf_counter()
    from iad import IaDPipeline

    pipe = IaDPipeline.from_pretrained(model, device="cpu")
    ready = time.perf_counter() - begun
    photo = skimage.data.astronaut()
    seconds = []
    for k in range(clips):
        begun = time.perf_counter()
        dict(pipe(photo, "a woman smiles, then nods", seed=k).scores)  # which are measured when looked at
        seconds.append(time.perf_counter() - begun)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "start to ready, s": round(ready, 2),
        "first clip, s": round(seconds[0], 2),
        "later clips, median s": round(float(np.median(seconds[1:])), 2),
        "peak memory, GiB": round(memory, 2),
    }


def help_seconds() -> float:
    """Time `python -m iad --help`, the best of three."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "iad", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    return round(min(times), 2)


def renderer_speed() -> dict:
    """Time 48 frames of a photo person, compiled before."""
    from iad.performing.actions import Performed, perform
    from iad.portraits import clips
    from iad.portraits.morphable import load_head

    try:
        head, photos = load_head(), clips.usable_photos()
    except FileNotFoundError as error:
        return {"renderers": str(error)}
    track = perform([Performed(("laugh",), 0.0, 6.0)], rng=np.random.default_rng(0), frames=48)
    person = clips.cast_photo(head, *photos[0]).person
    person.render(track[:2])
    begun = time.process_time()
    person.render(track)
    return {"photo people, frames a second a core": round(48 / (time.process_time() - begun))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=6)
    options = parser.parse_args()
    report = start_and_generate(options.model, options.clips)
    print(json.dumps(report | {"--help, s": help_seconds()} | renderer_speed(), indent=1))
