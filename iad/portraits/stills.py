"""Stills of photo people, untouched and animated, for those who learn to read faces.

A still has 256 pixels a side, its 68 landmarks in pixels and its track: 57 weights, then pitch, yaw and roll
in degrees. An untouched photo's landmarks are those stored with it, and its track is that of the fit.
"""

import functools
import math
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from tqdm import tqdm

from iad.geometry.coefficients import COEFFICIENTS, COLUMN, EXPRESSIONS, POSE_LIMITS
from iad.geometry.head import Head
from iad.performing.actions import ACTIONS, Performed, perform
from iad.portraits.captions import load_people_words
from iad.portraits.clips import is_held_out
from iad.portraits.morphable import load_head
from iad.portraits.photo import Look, PhotoPerson, PhotoRecord, leave_out_broken, load_photo_people
from iad.spread import create_pool

SIZE = 256
BATCH = 2  # people of each process, between two looks at the clock
ANIMATED = 5  # stills of each person beside the photo itself, where nobody says how many
FREE_SHARE = 0.5  # of them any coefficients together, the others a moment of a named action


@dataclass(frozen=True)
class Stills:
    """Pictures and what is known of them; `untouched` marks photos as they are."""

    pictures: UInt8[np.ndarray, "n h w 3"]
    landmarks: Float[np.ndarray, "n 68 2"]
    tracks: Float[np.ndarray, "n 60"]
    untouched: Bool[np.ndarray, " n"]
    person: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.pictures)


def load_stills(
    folder: Path,
    *,
    seed: int = 0,
    people: int | None = None,
    animated: int = ANIMATED,
    minutes: float = math.inf,
) -> Stills:
    """Open the stills of a folder; make them first where there are none.

    Args:
        folder: of the stills.
        seed: same seed, same stills.
        people: how many are shown, at most.
        animated: stills of each of them, beside the photo itself.
        minutes: begin with no more people than can be shown by then, but with some.

    Raises:
        FileNotFoundError: there are none, and no photo people or no head to make them of.
    """
    if not (folder / "stills.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make_stills(folder, seed=seed, people=people, animated=animated, minutes=minutes)
    with np.load(folder / "stills.npz") as file:
        known = {name: file[name] for name in file.files}
    return Stills(np.load(folder / "stills.npy", mmap_mode="r"), **known)


def _make_stills(folder: Path, *, seed: int, people: int | None, animated: int, minutes: float) -> None:
    labelled, until = load_people_words(), time.monotonic() + 60 * minutes
    _head()  # a missing one is said here, not by a worker
    records = [r for r in load_photo_people() if r.number in labelled and not is_held_out(r.number)]
    records = leave_out_broken(records)
    chosen = [records[k] for k in np.random.default_rng(seed).permutation(len(records))[:people]]
    landmarks, tracks, shown = [], [], []
    with create_pool() as workers, _Rows(folder / "stills.npy", (SIZE, SIZE, 3)) as rows:
        size = BATCH * (os.cpu_count() or 1)
        batches = [chosen[k : k + size] for k in range(0, len(chosen), size)]
        for batch in tqdm(batches, "stills", unit=f" times {size} people", mininterval=5, file=sys.stderr):
            made = workers.map(partial(_stills_of, seed=seed, animated=animated), batch)
            for record, (pictures, marks, track) in zip(batch, made, strict=True):
                rows.append(pictures)
                landmarks.append(marks)
                tracks.append(track)
                shown += [record.number] * len(track)
            if time.monotonic() > until:
                break
    count, part = len(shown), folder / "part.npz"
    np.savez(
        part,
        landmarks=np.concatenate(landmarks).astype(np.float32),
        tracks=np.concatenate(tracks).astype(np.float32),
        untouched=np.arange(count) % (1 + animated) == 0,
        person=np.array(shown),
    )
    part.replace(folder / "stills.npz")  # last: stills with this file are whole


class _Rows:
    """An .npy file of bytes, written row by row: a full disk is an error here; in a memory map it kills."""

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path, self.shape, self.count = path, shape, 0

    def __enter__(self) -> "_Rows":
        self.file = self.path.open("wb")
        self._write_header()
        return self

    def append(self, rows: UInt8[np.ndarray, "n h w 3"]) -> None:
        """Add rows at the end."""
        self.file.write(np.ascontiguousarray(rows).tobytes())
        self.count += len(rows)

    def __exit__(self, *_: object) -> None:
        self.file.seek(0)
        self._write_header()  # of the same length: numpy leaves room for the largest count
        self.file.close()

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)


@functools.cache
def _head() -> Head:
    """Load the head once in each process: to send it along with every task takes longer than the stills."""
    return load_head()


def _stills_of(record: PhotoRecord, *, seed: int, animated: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng((seed, record.number))
    look = Look(gamma=float(np.exp(rng.normal(0, 0.1))), side_light=float(rng.normal(0, 0.2)))
    person = PhotoPerson(_head(), record, look=look)
    track = np.stack([_draw_track(rng) for _ in range(animated)])
    marks = person.landmarks(track) * SIZE - 0.5
    own = np.concatenate([record.fit.expression, record.fit.pose])
    return (
        np.concatenate([record.load_photo()[None], person.render(track, size=SIZE)]),
        np.concatenate([record.landmarks[None], marks]),
        np.concatenate([own[None], track]),
    )


def _draw_track(rng: np.random.Generator) -> Float[np.ndarray, " 60"]:
    """Draw a moment of an action, or a few coefficients that need not belong together; any head pose."""
    if rng.random() > FREE_SHARE:
        name = str(rng.choice(list(ACTIONS)))
        performed = [Performed((name,), 0.0, 2.0, intensity=float(rng.uniform(0.5, 1)))]
        track = perform(performed, rng=rng)[int(rng.integers(3, 16))]
        track[EXPRESSIONS:] += rng.normal(0, 0.35, 3) * POSE_LIMITS
    else:
        track = np.zeros(60, np.float32)
        for name in rng.choice(EXPRESSIONS, int(rng.integers(2, 9)), replace=False):
            other = COLUMN.get(COEFFICIENTS[name].replace("_L", "_R"), name)
            track[name] = rng.uniform(0, 1)
            track[other] = track[name] if rng.random() < 0.75 else track[other]
        if rng.random() < 0.45:
            track[COLUMN["jawOpen"]] = rng.uniform(0.1, 0.95)
        if rng.random() < 0.3:
            for side in ("L", "R"):
                track[COLUMN[f"eyeBlink_{side}"]] = rng.uniform(0.2, 1)
        track[EXPRESSIONS:] = rng.normal(0, 0.5, 3) * POSE_LIMITS
    track[EXPRESSIONS:] = track[EXPRESSIONS:].clip(-1.1 * POSE_LIMITS, 1.1 * POSE_LIMITS)
    return track.astype(np.float32)
