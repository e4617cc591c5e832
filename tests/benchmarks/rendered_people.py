"""Do rendered people help the reader? Two readers of equal training, with and without, on held-out photos.

    python -m tests.benchmarks.rendered_people draw --output runs/rendered
    python -m tests.benchmarks.rendered_people train --output runs/rendered --stills runs/stills
    python -m tests.benchmarks.rendered_people heads --output runs/heads --rendered runs/rendered/rendered.npz \
        --stills runs/stills --begin reader.safetensors
    python -m tests.benchmarks.rendered_people judge --output runs/heads

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

from iad.config import EXPRESSIONS, PRESETS
from iad.evaluation.intervals import by_person, interval
from iad.evaluation.real import subject
from iad.evaluation.real.material import load_photos
from iad.evaluation.real.readout import READ
from iad.evaluation.report import as_json
from iad.faces import find_face
from iad.models.autoencoder import to_tensor
from iad.models.reading import FaceReader, as_landmarker, create_reader, read_face
from iad.portraits.clips import is_held_out
from iad.portraits.rendered import RenderedPerson
from iad.portraits.stills import SIZE, Stills, _draw_track, _head, load_stills
from iad.spread import create_pool
from iad.training.budget import LoopConfig
from iad.training.loop import AVERAGE_EVERY, Learner, _lerp_average, to_numbers
from iad.training.reader_stage import RARE, UNTOUCHED_SHARE, ReaderStage, _sample

PER_PERSON = 4
HEADS, HEAD_STEPS = 3, 1500  # seeds and steps of the last layers alone
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


@torch.inference_mode()
def look(reader: FaceReader, stills: Stills, chosen: np.ndarray) -> dict[str, torch.Tensor]:
    """Draw one damaged crop of each still; returns what the reader's last layers are given, and the truth."""
    kept: list[torch.Tensor] = []
    hook = reader.to_coefficients.register_forward_hook(lambda _, given, __: kept.append(given[0]))
    rows = [_sample(stills, int(k), np.random.default_rng((1, int(k)))) for k in tqdm(chosen, mininterval=5)]
    for k in range(0, len(rows), 24):
        reader(to_tensor(torch.from_numpy(np.stack([row["crop"] for row in rows[k : k + 24]]))))
    hook.remove()
    known = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in ("track", "trust")}
    return {"given": torch.cat(kept)} | known


def train_heads(arguments: argparse.Namespace) -> None:
    """Train only the last layers, from nothing, on equally many stills with rendered people and without."""
    torch.set_num_threads(1)
    reader = create_reader(PRESETS["mini"])
    reader.load_state_dict(load_file(arguments.begin))
    stills, rng = load_stills(arguments.stills), np.random.default_rng(0)
    with np.load(arguments.rendered) as file:
        rendered = Stills(**{name: file[name] for name in file.files})
    spread = torch.from_numpy(stills.tracks[~stills.untouched, :EXPRESSIONS].var(axis=0) + RARE)
    photos, animated = (np.flatnonzero(stills.untouched == kind) for kind in (True, False))
    animated = rng.permutation(animated)[: 2 * len(rendered)]
    seen = {
        "photos": look(reader.eval(), stills, photos),
        "animated": look(reader, stills, animated),
        "rendered": look(reader, rendered, np.arange(len(rendered))),
    }
    half = {key: value[: len(rendered)] for key, value in seen["animated"].items()}
    for arm, moved in (("with", (half, seen["rendered"])), ("without", (seen["animated"],))):
        for seed in range(HEADS):
            parts = [{key: torch.cat([part[key] for part in moved]) for key in half}, seen["photos"]]
            _fit_head(reader, parts, spread, seed)
            (arguments.output / arm).mkdir(parents=True, exist_ok=True)
            save_file(reader.state_dict(), arguments.output / arm / f"reader-{seed}.safetensors")


def _fit_head(reader: FaceReader, parts: list[dict], spread: torch.Tensor, seed: int) -> None:
    torch.manual_seed(seed)
    for layer in (reader.to_coefficients[1], reader.to_coefficients[3]):
        layer.reset_parameters()
    optimizer = torch.optim.AdamW(reader.to_coefficients.parameters(), 1e-3, weight_decay=0.01)
    for step in range(HEAD_STEPS):
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, max(0.02, 2 * (1 - step / HEAD_STEPS)))
        rows = [torch.randint(len(part["given"]), (128,)) for part in parts]
        batch = {k: torch.cat([p[k][r] for p, r in zip(parts, rows, strict=True)]) for k in parts[0]}
        error = (reader.to_coefficients(batch["given"].clone()) - batch["track"]).pow(2) * batch["trust"]
        loss = 2 * (error[:, :EXPRESSIONS] / spread).mean() + error[:, EXPRESSIONS:].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(seed, float(loss), flush=True)


def judge(arguments: argparse.Namespace) -> None:
    """Read held-out photos by all readers of both arms, and print what they agree with."""
    photos = load_photos()
    seen = {name: np.array([photo.seen[name] for photo in photos]) for name in READ}
    values, lips = {}, {}
    for arm in ARMS:
        files = sorted((arguments.output / arm).glob("reader*.safetensors"))
        found = [_read_photos(load_file(file), photos) for file in files]
        values[arm] = [subject.named(tracks) for tracks, _ in found]
        lips[arm] = np.mean([errors for _, errors in found], axis=0)
    report = {
        arm: {name: by_person(partial(_agree, seen[name], values[arm], name), len(photos)) for name in READ}
        | {"lips": interval(lips[arm])}
        for arm in ARMS
    }
    report["with less without"] = {
        name: by_person(partial(_differ, seen[name], values, name), len(photos)) for name in READ
    } | {"lips": interval(lips["with"] - lips["without"])}
    print(len(photos), json.dumps(as_json(report), indent=1))
    (arguments.output / "judged.json").write_text(json.dumps(as_json(report), indent=1))


@torch.inference_mode()
def _read_photos(state: dict, photos: list) -> tuple[np.ndarray, np.ndarray]:
    """Read tracks as the network alone says them, without what landmarks measure; and the lips' errors."""
    reader, said = create_reader(PRESETS["mini"]).eval(), []
    reader.load_state_dict(state)
    reader.to_coefficients.register_forward_hook(lambda _, __, out: said.append(out[0].numpy()))
    faces = [
        read_face(reader, photo.image, find_face(photo.image, as_landmarker(reader))) for photo in photos
    ]
    return np.array(said), _lip_errors(photos, faces)


def _agree(seen: np.ndarray, values: list[dict], name: str, drawn: np.ndarray) -> float:
    return float(np.mean([np.corrcoef(seen[drawn], one[name][drawn])[0, 1] for one in values]))


def _differ(seen: np.ndarray, values: dict, name: str, drawn: np.ndarray) -> float:
    return _agree(seen, values["with"], name, drawn) - _agree(seen, values["without"], name, drawn)


def _lip_errors(photos: list, faces: list) -> np.ndarray:
    """Measure how far the lips' landmarks are from the judge's, in eye distances."""
    found = np.array([face.landmarks[48:] for face in faces]) - np.array([photo.lips for photo in photos])
    eyes = np.array([photo.record.landmarks[36:48].reshape(2, 6, 2).mean(1) for photo in photos])
    return np.linalg.norm(found, axis=-1).mean(1) / np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=-1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("draw", "train", "heads", "judge"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--stills", type=Path)
    parser.add_argument("--rendered", type=Path)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--begin", type=Path, help="weights of both to begin from; else from nothing")
    given = parser.parse_args()
    {"draw": draw, "train": train, "heads": train_heads, "judge": judge}[given.what](given)
