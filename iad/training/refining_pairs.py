"""Photo people -> pairs that a refiner learns from: what geometry draws of a mouth, and what is there.

A photo is made to perform something else; the picture of that then counts as the photo, and is made to do
what the real photo does. So the truth is known without any video. In come photo people, out come `Pairs`.
"""

import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from tqdm import tqdm

from iad.faces import alignment, crop
from iad.geometry.animation import AnimatedPhoto, Drawn
from iad.geometry.coefficients import EXPRESSIONS
from iad.geometry.composite import round_colours
from iad.geometry.fit import WORST_FIT, Fit
from iad.geometry.framing import cut_window
from iad.geometry.head import NECK_PIVOT, Head, load_geometry, rotation_matrices
from iad.geometry.moving import MovingFace
from iad.performing.actions import Performed, perform
from iad.portraits.captions import load_people_words
from iad.portraits.clips import is_held_out
from iad.portraits.photo import PhotoRecord, leave_out_broken, load_photo_people
from iad.reading import READ_SIZE, FaceReader, read_crop
from iad.refining import cut, cut_look, eye_distance, place, to_conditions
from iad.spread import create_pool

SIZE = 256  # pixels of the frames: what the photos hold
PERFORMED_SIZE = 320  # of the pictures that count as photos: they are looked up, which softens
SHOWS_INSIDE = 0.06  # eye distances between the inner lips: such a photo tells what a mouth is like inside
MOVED = 0.02  # eye distances that the landmarks of a mouth move, on average, at least
CALM_SHARE = 0.5  # of the photos with closed mouths, are taken
EDGE = 0.15  # of a picture's side: eyes and mouths that come nearer to its edge are no photo's
MISREAD = 0.1  # eye distances by which a reader that has hardly learned is off
READING_ERROR = 0.008  # eye distances by which landmarks of lips and lids may be off
_CLOSE = np.float32(np.arange(68) >= 36)[:, None]  # landmarks of eyes and mouth
OPEN = ("neutral", "sad", "pucker", "frown", "lips pressed", "mouth open", "talk", "surprised", "smile")
CALM = ("grin", "laugh", "mouth open", "smile", "surprised", "talk", "yawn")


@dataclass(frozen=True)
class Pairs:
    """Looks (see `iad.refining`) at drawn frames and at the photo, and the truth."""

    looks: UInt8[np.ndarray, "n k k 6"]
    photos: UInt8[np.ndarray, "n k k 6"]
    truths: UInt8[np.ndarray, "n k k 3"]
    conditions: Float[np.ndarray, "n 120"]
    person: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.looks)


def load_pairs(
    folder: Path,
    reader: FaceReader,
    *,
    seed: int = 0,
    people: int | None = None,
    minutes: float = math.inf,
) -> Pairs:
    """Open the pairs of a folder; make them first where there are none.

    Args:
        folder: of the pairs.
        reader: finds the landmarks, as it will in visitors' photos.
        seed: same seed, same pairs.
        people: how many have pairs, at most.
        minutes: after which no more are drawn, if there are some.

    Raises:
        FileNotFoundError: there are none, and no photo people to make them of.
    """
    path = folder / "pairs.npz"
    if not path.exists():
        labelled = load_people_words()
        records = [r for r in load_photo_people() if r.number in labelled and not is_held_out(r.number)]
        records = leave_out_broken(records)
        chosen = [records[k] for k in np.random.default_rng(seed).permutation(len(records))]
        pairs = make_pairs(load_geometry(), reader, chosen, seed=seed, people=people, minutes=minutes)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / "part.npz"
        np.savez(part, **vars(pairs))
        part.replace(path)  # so that pairs which are there are whole
    with np.load(path) as file:
        return Pairs(**file)


def make_pairs(
    head: Head,
    reader: FaceReader,
    records: Sequence[PhotoRecord],
    *,
    seed: int = 0,
    people: int | None = None,
    minutes: float = math.inf,
) -> Pairs:
    """Draw pairs of these people, of the first `people` of them whose photo tells something."""
    bar = tqdm(total=len(records), desc="pairs", unit="person", mininterval=5, file=sys.stderr)
    rows: list[tuple] = []
    until = time.monotonic() + 60 * minutes
    with create_pool() as pool:
        size = 4 * (os.cpu_count() or 1)
        for at in range(0, len(records), size):
            batch = [read_record(reader, record) for record in records[at : at + size]]
            for found in pool.map(partial(_pairs_of, head, seed=seed), batch):
                if people is None or len({row[-1] for row in rows}) < people:
                    rows += found
            bar.update(len(batch))
            enough = people is not None and len({row[-1] for row in rows}) >= people
            if enough or rows and time.monotonic() > until:
                break
    if not rows:
        raise ValueError("No mouth of these photo people can be drawn twice; fetch more of them.")
    return Pairs(*(np.stack(column) for column in zip(*rows, strict=True)))


def read_record(reader: FaceReader, record: PhotoRecord) -> PhotoRecord:
    """Return the record with the landmarks that the reader finds, unless it misreads the photo."""
    affine = alignment(record.landmarks)
    found = read_crop(reader, crop(record.load_photo(), affine, READ_SIZE), affine).landmarks
    miss = np.linalg.norm(found - record.landmarks, axis=1).mean() / eye_distance(record.landmarks)
    return record if miss > MISREAD else replace(record, landmarks=found)


def _pairs_of(head: Head, record: PhotoRecord, *, seed: int) -> list[tuple]:
    rng = np.random.default_rng((seed, record.number))
    gap = np.linalg.norm(record.landmarks[62] - record.landmarks[66]) / eye_distance(record.landmarks)
    shows = gap > SHOWS_INSIDE
    if not shows and rng.random() > CALM_SHARE:
        return []
    photo = AnimatedPhoto(head, record.load_photo(), record.landmarks)
    if photo.error > WORST_FIT:
        return []
    truth = show_photo(photo, record.load_photo())
    names = rng.permutation(OPEN)[:5] if shows else rng.permutation(CALM)[:2]
    found: list[tuple] = []
    for name in names:
        track = draw_track(str(name), photo.own_track, rng)
        marks = photo.landmarks(track[None])[0, 36:]
        if marks.min() < EDGE or marks.max() > 1 - EDGE:
            continue
        row = draw_pair(head, photo, truth, track, rng=rng)
        found += [] if row is None else [(*row, record.number)]
    return found


def show_photo(photo: AnimatedPhoto, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
    """Show a photo as it is in the framing of its frames, as soft as frames are that were drawn twice."""
    window = cut_window(picture, photo.square, PERFORMED_SIZE)
    matrix = window.affine * PERFORMED_SIZE
    matrix[:, 2] += 0.5 * np.diag(matrix) - 0.5
    wide = (PERFORMED_SIZE, PERFORMED_SIZE)
    shown = cv2.warpAffine(window.photo, matrix, wide, flags=cv2.INTER_LINEAR)
    shown = cv2.resize(shown, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.round(shown.clip(0, 255)).astype(np.uint8)


def draw_track(
    name: str, own: Float[np.ndarray, " 60"], rng: np.random.Generator
) -> Float[np.ndarray, " 60"]:
    """Draw a moment of an action, near the photo's own pose."""
    performed = [Performed((name,), 0.0, 2.0, intensity=float(rng.uniform(0.6, 1)))]
    track = perform(performed, rng=rng)[int(rng.integers(5, 15))]
    track[EXPRESSIONS:] = own[EXPRESSIONS:] + rng.normal(0, 4, 3)
    return track.astype(np.float32)


def draw_pair(
    head: Head,
    photo: AnimatedPhoto,
    truth: UInt8[np.ndarray, "s s 3"],
    track: Float[np.ndarray, " 60"],
    *,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...] | None:
    """Let a photo perform a track, let that picture do what the photo did, and cut the mouth out of it.

    None where the mouth moves too little to tell anything.
    """
    own = photo.own_track
    performed = photo.render(track[None], size=PERFORMED_SIZE, threads=1).frames[0]
    seen = photo.landmarks(track[None])[0]
    wrong = seen + rng.normal(0, READING_ERROR * eye_distance(seen), (68, 2)) * _CLOSE
    again = MovingFace(
        head,
        fit_of_frame(photo, track, size=PERFORMED_SIZE),
        performed.astype(np.float32),
        (wrong * PERFORMED_SIZE).astype(np.float32),
        bounds=(0, 0, PERFORMED_SIZE, PERFORMED_SIZE),
        affine=np.float32([[1 / PERFORMED_SIZE, 0, 0], [0, 1 / PERFORMED_SIZE, 0]]),
    )
    marks = again.landmarks(np.stack([track, own])) * SIZE
    away = (marks[1, 48:] - marks[0, 48:]) / eye_distance(marks[0])
    if np.linalg.norm(away - away.mean(0), axis=1).mean() < MOVED:
        return None
    places = [place(points, eye_distance(marks[0])) for points in marks]
    looks = [
        cut_look(drawn.frames[0], drawn.source[0], points, there)
        for drawn, points, there in zip((_draw(again, t) for t in (track, own)), marks, places, strict=True)
    ]
    return looks[1], looks[0], cut(truth, places[1]), to_conditions(own[None], track)[0]


def fit_of_frame(photo: AnimatedPhoto, track: Float[np.ndarray, " 60"], *, size: int) -> Fit:
    """Return the fit of a frame that a photo drew: known, so that what is drawn of it meets the truth."""
    pivot, fit = np.float32(NECK_PIVOT), photo.fit
    turn = rotation_matrices(track[None, EXPRESSIONS:])[0]
    # A turn leaves the neck where it is.
    at = fit.translation + fit.scale * (fit.rotation @ pivot - turn @ pivot)[:2]
    posed = replace(fit, expression=track[:EXPRESSIONS], rotation=turn, translation=at.astype(np.float32))
    factor = size / photo.square.side
    return posed.enlarged(factor, np.float32([-photo.square.left * factor, -photo.square.top * factor]))


def _draw(face: MovingFace, track: Float[np.ndarray, " 60"]) -> Drawn:
    colours, source = face.draw(track, np.zeros((SIZE, SIZE, 3), np.float32), finer=3)
    frame = np.empty((SIZE, SIZE, 3), np.uint8)
    round_colours(colours, face.textures.grey, frame)
    return Drawn(frame[None], source[None])
