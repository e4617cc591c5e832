"""Stage: the refiner, on pairs of what geometry draws of a mouth and what is there; a critic keeps it sharp.

A photo is made to perform something else; the picture of that then counts as the photo, and is made to do
what the real photo does. So the truth is known without any video.
"""

import math
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm
from tqdm import tqdm

from iad.config import EXPRESSIONS, TRACK, Preset
from iad.faces import alignment, crop
from iad.geometry.animation import AnimatedPhoto
from iad.geometry.coefficients import mirror_track
from iad.geometry.fit import WORST_FIT, Fit
from iad.geometry.head import NECK_PIVOT, Head, load_geometry, rotation_matrices
from iad.geometry.moving import MovingFace
from iad.geometry.refining import (
    INSIDE,
    Refiner,
    create_refiner,
    cut,
    cut_look,
    eye_distance,
    place,
    to_conditions,
)  # fmt: skip
from iad.geometry.renderer import round_colours
from iad.geometry.stage import cut_window
from iad.models.reading import READ_SIZE, FaceReader, read_crop
from iad.performing.actions import Performed, perform
from iad.portraits.captions import load_people_words
from iad.portraits.clips import is_held_out
from iad.portraits.photo import PhotoRecord, leave_out_broken, load_photo_people
from iad.spread import create_pool
from iad.training.loop import Stage, keep_arrays

WEIGHTS = {"colour": 1.0, "edges": 1.0, "features": 0.15, "kept": 0.3, "fooled": 0.02, "critic": 0.1}
CRITIC_FROM = 300  # steps: until then there is nothing to be sharp about
WITHIN = 0.15  # how far the inside of a mouth counts: whether teeth show there, no photo tells beforehand
KEPT_WITHIN = 0.04  # colours that differ less are right already, and stay
TRACK_NOISE, TRACK_DROPPED = 0.05, 0.3  # fits are not that sure, and must not tell who it is
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
    """Looks (see `iad.geometry.refining`) at drawn frames and at the photo, and the truth."""

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

    def make() -> Pairs:
        labelled = load_people_words()
        records = [r for r in load_photo_people() if r.number in labelled and not is_held_out(r.number)]
        records = leave_out_broken(records)
        chosen = [records[k] for k in np.random.default_rng(seed).permutation(len(records))]
        return make_pairs(load_geometry(), reader, chosen, seed=seed, people=people, minutes=minutes)

    return keep_arrays(folder / "pairs.npz", Pairs, make)


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
        cut_look(*_draw(again, t), points, there)
        for t, points, there in zip((track, own), marks, places, strict=True)
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


def _draw(face: MovingFace, track: Float[np.ndarray, " 60"]) -> tuple[np.ndarray, np.ndarray]:
    colours, source = face.draw(track, np.zeros((SIZE, SIZE, 3), np.float32), finer=3)
    frame = np.empty((SIZE, SIZE, 3), np.uint8)
    round_colours(colours, face.textures.grey, frame)
    return frame, source


class Critic(nn.Sequential):
    """Says of each patch of a mouth's colours how real it looks."""

    def __init__(self, width: int = 24):
        layers: list[nn.Module] = []
        for size, into, out in ((4, 3, width), (4, width, 2 * width), (3, 2 * width, 2 * width)):
            convolution = nn.Conv2d(into, out, size, stride=size - 2, padding=1)
            layers += [spectral_norm(convolution), nn.LeakyReLU(0.2)]
        super().__init__(*layers, spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1)))


class RefinerStage(Stage):
    """Trains the refiner and its critic; the reader's close look at mouths measures features."""

    name = "refiner"

    def __init__(
        self, preset: Preset, pairs: Pairs, reader: FaceReader, *, batch_size: int = 12, seed: int = 0
    ):
        self.pairs, self.batch_size, self.seed = pairs, batch_size, seed
        self.reader = reader.eval().requires_grad_(False)
        self.model = nn.ModuleDict({"refiner": create_refiner(preset), "critic": Critic()})

    def batch(self, step: int) -> dict[str, Tensor]:
        """Draw pairs, in other light, half of them mirrored."""
        rng = np.random.default_rng((self.seed, step))
        return _prepare(self.pairs, rng.integers(len(self.pairs), size=self.batch_size), rng)

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare colours, edges and features with the truth; what was right must stay."""
        before, truth = batch["looks"][:, :3], batch["truths"]
        change = run(self.model["refiner"], batch)
        counts = 1 - (1 - WITHIN) * (batch["looks"][:, 3:4] > INSIDE).float()
        wrong = truth - before
        off, kept = (change - wrong) * counts, wrong.abs().mean(1, keepdim=True) / KEPT_WITHIN
        features = (self._features(before + x * counts) for x in (change, wrong))
        terms = {
            "colour": off.abs().mean() * 10,
            "edges": sum(off.diff(dim=axis).abs().mean() for axis in (-1, -2)) * 10,
            "kept": (change.abs() * torch.exp(-kept.pow(2))).mean() * 10,
            "features": torch.stack([(a - b).abs().mean() for a, b in zip(*features, strict=True)]).sum(),
        }
        if step >= CRITIC_FROM:
            critic, after = self.model["critic"], before + change
            still = {name: value.detach() for name, value in critic.named_parameters()}
            terms["fooled"] = -functional_call(critic, still, after * 2 - 1).mean()
            real, drawn = critic(truth * 2 - 1), critic(after.detach() * 2 - 1)
            terms["critic"] = (1 - real).relu().mean() + (1 + drawn).relu().mean()
        return {"total": sum(WEIGHTS[key] * term for key, term in terms.items())} | terms

    def _features(self, looks: Float[Tensor, "b 3 h w"]) -> Sequence[Tensor]:
        """Return what the reader's close look finds at 1/4 and 1/8."""
        found, x = [], looks * 2 - 1
        for layer in self.reader.to(looks.device).mouth.trunk[:6]:
            x = layer(x)
            found.append(x)
        return found[3], found[5]

    def picture(self, model: nn.Module) -> Sequence[Iterable[np.ndarray]]:
        """Show the photo's mouth, what geometry draws, what the refiner makes of it, and the truth."""
        rows = {key: value[:12].to(self.device) for key, value in self.batch(0).items()}
        after = rows["looks"][:, :3] + run(model["refiner"], rows)
        columns = torch.stack([rows["photos"][:, :3], rows["looks"][:, :3], after, rows["truths"]])
        sheet = rearrange(columns, "k (b two) c h w -> b (two k) h w c", two=2).clamp(0, 1) * 255
        return list(sheet.round().byte().cpu().numpy())


def run(refiner: Refiner, rows: dict[str, Tensor]) -> Float[Tensor, "b 3 h w"]:
    """Return the change that is made to rows of pairs, each beside its own photo."""
    return refiner(rows["looks"], refiner.encode_photo(rows["photos"]), rows["conditions"])


def _prepare(pairs: Pairs, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
    """Give pairs other light; mirror half of them; make their tracks less sure."""
    pictures = {name: np.array(getattr(pairs, name)[rows]) for name in ("looks", "photos", "truths")}
    conditions, turned = np.array(pairs.conditions[rows]), rng.random(len(rows)) < 0.5
    for picture in pictures.values():
        picture[turned] = picture[turned, :, ::-1]
    both = [mirror_track(part) for part in np.split(conditions[turned], 2, axis=1)]
    conditions[turned] = np.concatenate(both, axis=1)
    conditions += rng.normal(0, TRACK_NOISE, conditions.shape)
    conditions *= rng.random((len(rows), 2 * TRACK)) > TRACK_DROPPED
    gain = np.exp(rng.normal(0, (0.12, 0.05, 0.05, 0.05), (len(rows), 4)))
    gain = torch.from_numpy((gain[:, :1] * gain[:, 1:]).astype(np.float32))[:, :, None, None]
    grey = torch.from_numpy(rng.random(len(rows)) < 0.08)[:, None, None, None]
    lit = {}
    for name, picture in pictures.items():
        pixels = rearrange(torch.from_numpy(picture), "b h w c -> b c h w").float() / 255
        colour = (pixels[:, :3] * gain).clamp(0, 1)
        colour = torch.where(grey, colour.mean(1, keepdim=True), colour)
        lit[name] = torch.cat([colour, pixels[:, 3:]], dim=1)
    return lit | {"conditions": torch.from_numpy(conditions).float()}
