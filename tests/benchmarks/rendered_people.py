"""Do rendered people help the reader? Two readers of equal training, with and without, on held-out photos.

    python -m tests.benchmarks.rendered_people draw --output runs/rendered
    python -m tests.benchmarks.rendered_people train --output runs/rendered --stills runs/stills
    python -m tests.benchmarks.rendered_people judge --output runs/rendered

Half of each batch are photos as they are, a quarter animated photo people, a quarter rendered people; without
these, animated photo people take their places. First weights, steps, batches' sizes and all other draws are
the same. Judged as `evaluate --suite real` judges what the reader reads off untouched photos of held-out
people; differences (with less without) are drawn over the same people for both.
"""

import argparse
import json
import multiprocessing
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from iad import IaDPipeline
from iad.config import PRESETS
from iad.evaluation.intervals import by_person, interval
from iad.evaluation.real import subject
from iad.evaluation.real.material import load_photos
from iad.evaluation.real.readout import READ, read_photos
from iad.evaluation.report import as_json
from iad.portraits.clips import is_held_out
from iad.portraits.rendered import RenderedPerson
from iad.portraits.stills import SIZE, Stills, _draw_track, _head, load_stills
from iad.spread import create_pool
from iad.training.budget import LoopConfig
from iad.training.loop import AVERAGE_EVERY, Learner, _lerp_average, to_numbers
from iad.training.reader_stage import UNTOUCHED_SHARE, ReaderStage, _sample

PER_PERSON = 4
WARMUP = 20  # steps of a short training
ARMS = ("with", "without")


class Compared(ReaderStage):
    """The reader's stage, with rendered people in every other place of an animated still, or without."""

    def __init__(self, stills: Stills, rendered: Stills | None):
        super().__init__(PRESETS["mini"], stills)
        self.rendered = rendered

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Draw as the stage does, every sample from a generator of its own, so that both arms share most."""
        rows, shakes = [], []
        for place in range(self.batch_size):
            rng = np.random.default_rng((self.seed, step, place))
            untouched, render = rng.random() < UNTOUCHED_SHARE, rng.random() < 0.5
            chosen, share = rng.random(), self.kinds[int(untouched)]
            if render and not untouched and self.rendered is not None:
                rows.append(_sample(self.rendered, int(chosen * len(self.rendered)), rng))
            else:
                rows.append(_sample(self.stills, int(share[int(chosen * len(share))]), rng))
            shakes.append(rng.normal(0, (0.06, 0.06, 0.08), (3, 3)).astype(np.float32))
        batch = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
        return batch | {"shake": torch.from_numpy(np.stack(shakes))}


def draw_person(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render a few stills of one person, animated as photo people's stills are."""
    rng = np.random.default_rng((0, seed))
    track = np.stack([_draw_track(rng) for _ in range(PER_PERSON)])
    person = RenderedPerson.sample(_head(), seed)
    return person.render(track, size=SIZE), person.landmarks(track) * SIZE - 0.5, track


def draw(arguments: argparse.Namespace) -> None:
    """Render people whom evaluation does not use."""
    seeds = [seed for seed in range(2 * arguments.people) if not is_held_out(seed)][: arguments.people]
    with create_pool(2) as pool:
        drawn = list(tqdm(pool.map(draw_person, seeds), total=len(seeds)))
    pictures, marks, tracks = (np.concatenate(part) for part in zip(*drawn, strict=True))
    arguments.output.mkdir(parents=True, exist_ok=True)
    person = np.repeat(seeds, PER_PERSON)
    np.savez(
        arguments.output / "rendered.npz", pictures=pictures, landmarks=marks.astype(np.float32),
        tracks=tracks, person=person, untouched=np.zeros(len(person), bool),
    )  # fmt: skip


class Pace:
    """Keeps two trainings abreast: both take equal steps, and end after the same one."""

    def __init__(self, minutes: float):
        self.seconds, self.begun = minutes * 60, time.monotonic()
        self.left = multiprocessing.Value("d", 1.0)
        self.barrier = multiprocessing.Barrier(len(ARMS), action=self._look)

    def _look(self) -> None:
        self.left.value = 1 - (time.monotonic() - self.begun) / self.seconds


def train(arguments: argparse.Namespace) -> None:
    """Train both readers, a process of one thread each."""
    pace = Pace(arguments.minutes)
    arms = [multiprocessing.Process(target=train_arm, args=(arm, arguments, pace)) for arm in ARMS]
    for arm in arms:
        arm.start()
    for arm in arms:
        arm.join()


def train_arm(arm: str, arguments: argparse.Namespace, pace: Pace) -> None:
    """Train one reader as `iad.training.loop.fit` would, abreast of the other."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with np.load(arguments.output / "rendered.npz") as file:
        rendered = Stills(**{name: file[name] for name in file.files})
    stage = Compared(load_stills(arguments.stills), rendered if arm == "with" else None)
    if arguments.begin:
        stage.model["reader"].load_state_dict(load_file(arguments.begin))
    learner = Learner(stage, LoopConfig(arguments.output / arm, precision="fp32", warmup=WARMUP))
    average = torch.optim.swa_utils.AveragedModel(stage.model, multi_avg_fn=_lerp_average)
    (arguments.output / arm).mkdir(parents=True, exist_ok=True)
    step = 0
    while pace.left.value > 0:
        terms = to_numbers(learner.learn(stage.batch(step), step, left=pace.left.value))
        step += 1
        if step % AVERAGE_EVERY == 0:
            average.update_parameters(stage.model)
        pace.barrier.wait()
        if step % 20 == 0:
            print(arm, step, terms, flush=True)
    save_file(average.module["reader"].state_dict(), arguments.output / arm / "reader.safetensors")


def judge(arguments: argparse.Namespace) -> None:
    """Read all held-out photos by both, and print what they agree with."""
    pipe, photos = IaDPipeline.from_pretrained("mini"), load_photos()
    seen = {name: np.array([photo.seen[name] for photo in photos]) for name in READ}
    report, values, errors = {}, {}, {}
    for arm in ARMS:
        pipe.reader.load_state_dict(load_file(arguments.output / arm / "reader.safetensors"))
        report[arm] = read_photos(pipe, photos)
        faces = [pipe.find_face(photo.image) for photo in photos]
        values[arm] = subject.named(np.array([face.track for face in faces]))
        errors[arm] = _lip_errors(photos, faces)
    report["with less without"] = {
        name: by_person(partial(_differ, seen[name], values, name), len(photos)) for name in READ
    } | {"lips": interval(errors["with"] - errors["without"])}
    print(json.dumps(as_json(report), indent=1))
    (arguments.output / "judged.json").write_text(json.dumps(as_json(report), indent=1))


def _differ(seen: np.ndarray, values: dict, name: str, drawn: np.ndarray) -> float:
    r = [np.corrcoef(seen[drawn], values[arm][name][drawn])[0, 1] for arm in ARMS]
    return float(r[0] - r[1])


def _lip_errors(photos: list, faces: list) -> np.ndarray:
    """Measure how far the lips' landmarks are from the judge's, in eye distances."""
    found = np.array([face.landmarks[48:] for face in faces]) - np.array([photo.lips for photo in photos])
    eyes = np.array([photo.record.landmarks[36:48].reshape(2, 6, 2).mean(1) for photo in photos])
    return np.linalg.norm(found, axis=-1).mean(1) / np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=-1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("draw", "train", "judge"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--stills", type=Path)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--begin", type=Path, help="weights of both to begin from; else from nothing")
    given = parser.parse_args()
    {"draw": draw, "train": train, "judge": judge}[given.what](given)
