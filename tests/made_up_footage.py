"""A folder of videos for tests, three people in two clips each, clips of no use, and training on them."""

import functools
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from iad.config import (
    AdapterSizes,
    BaseConfig,
    DecouplerConfig,
    FaceConfig,
    FullSizePreset,
    TextConfig,
)
from iad.media.video import read_video, save

GALLERY = Path(__file__).parents[1] / "examples" / "gallery"
PEOPLE = ("person-003", "person-019", "person-035")
WORDS = ("a man laughs", "a woman nods")
SIDE = 160  # pixels, enough for the detector

# Clips of 9 frames, for the base that `twins.write_cogvideox` writes.
SMALL = FullSizePreset(
    name="cogvideox-5b",
    base=BaseConfig(dim=64, layers=4, text_dim=32),
    face=FaceConfig("mini"),
    adapters=AdapterSizes(token_dim=16, heads=2, head_dim=16),
    decoupler=DecouplerConfig(queries=4, dim=16, layers=1, heads=2, code_dim=8, erased=4),
    text=TextConfig("t5", state_dim=32, tokens=226, dim=16, layers=1, heads=2),
    size=128,
    height=32,
    width=48,
    frames=9,
)


@functools.cache
def read_person(name: str) -> np.ndarray:
    """Read a gallery clip at 8 frames a second, small."""
    frames, _ = read_video(GALLERY / f"{name}.mp4", 16, fps=8)
    return np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames])


def make_footage(folder: Path) -> Path:
    """Write six usable clips: every person forwards and backwards, with words that two people share."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for person in PEOPLE:
        for take, caption in enumerate(WORDS):
            frames = read_person(person)[:12]
            video = f"{person}-{take}.mp4"
            save(folder / video, frames[::-1] if take else frames, 8)
            lines.append({"video": video, "caption": caption, "person": person})
    lines[0]["timeline"] = [[0, 0.5, "smiles"], [0.5, 9, "laughs"]]
    write_captions(folder, lines)
    return folder


def add_useless(folder: Path) -> None:
    """Add a file that is no video, a clip without a face, one with two faces, a short one, a silent one."""
    faces = [read_person(person)[:10] for person in PEOPLE[:2]]
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.integers(0, 255, (1, SIDE, SIDE, 3), dtype=np.uint8), 10, axis=0)
    (folder / "broken.mp4").write_bytes(b"no video at all" * 100)
    save(folder / "empty.mp4", noise, 8)
    save(folder / "two.mp4", np.concatenate(faces, axis=2), 8)
    save(folder / "short.mp4", faces[0][:5], 8)
    save(folder / "cut.mp4", np.concatenate([faces[0][:5], 255 - faces[1][5:]]), 8)
    save(folder / "silent.mp4", faces[0], 8)
    names = ("broken", "empty", "two", "short", "cut")
    write_captions(folder, [*read_lines(folder), *({"video": f"{n}.mp4", "caption": "x"} for n in names)])


def read_lines(folder: Path, name: str = "captions.jsonl") -> list[dict]:
    """Read a JSONL file."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def write_captions(folder: Path, lines: list[dict]) -> None:
    """Write `captions.jsonl`."""
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def smaller(**changes) -> FullSizePreset:
    """Return the small preset with other numbers."""
    return replace(SMALL, **changes)


def run_training(folder: Path, output: Path, **options) -> Path:
    """Train on the clips in `folder`/videos with the base in `folder`/base, as the tests do."""
    from iad.training.full_size_run import FullSizeOptions, train_full_size

    return train_full_size(
        FullSizeOptions(
            SMALL,
            folder / "videos",
            output,
            base=folder / "base",
            **{"warmup": 1, "learning_rate": 3e-3, "log_every": 1, "checkpoint_every": 2} | options,
        )
    )


def keep_model() -> list:
    """Return a list into which the next training puts the model that it trains."""
    from iad.training import full_size_run

    made, create = [], full_size_run.create_loss

    def create_and_keep(*args, **kwargs):
        made.append(create(*args, **kwargs))
        return made[-1]

    full_size_run.create_loss = create_and_keep
    return made


def write_trained(model, path: Path) -> None:
    """Write what one process has trained."""
    from safetensors.torch import save_file

    trained = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    save_file(trained, path)


if __name__ == "__main__":  # one process of a training that a test can kill
    folder, output, given = sys.argv[1:]
    made = keep_model()
    run_training(Path(folder), Path(output), **json.loads(given))
    write_trained(made[0], Path(output) / f"rank-{os.environ.get('RANK', '0')}.safetensors")
