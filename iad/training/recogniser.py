"""Stage: the split of the recogniser's embedding, in closed form, and what a track means as a code.

Photo people perform many actions in many lights, blurred and compressed as photos of visitors are; the
recogniser embeds each view with the landmarks that our own encoder finds. Directions in which one person's
views differ are the person's own changes; a linear map says which of them a track of coefficients explains.
The views are kept in the stage's folder, for embedding them takes most of the time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from iad.autoencoder import to_tensor
from iad.closed_form import fit_closed_form
from iad.encoders import POSE_SCALE
from iad.faces import CROP_SIZE, alignment, crop
from iad.performing.actions import EXPRESSIONS, perform
from iad.portraits.clips import draw_segments, is_held_out, usable_photos
from iad.portraits.head import Head, load_head
from iad.portraits.photo import Look, PhotoPerson, PhotoRecord
from iad.reading import as_landmarker
from iad.recognised import Recognised
from iad.recogniser import Recogniser, load_recogniser
from iad.training.augment import degrade
from iad.training.pool import Pool

ANIMATED, SIZE = 7, 256  # views of a photo person beside the photo itself, pixels a side
RANK = 16  # directions of a person's own changes; of 1 to 64 the fewest with the best verification of others
# Of the token beside the 64 local ones: it knows real people and must outweigh them. On held-out photo people
# in other light and action, cosines of the joined identity verify as well as the token's own (AUC 0.9997 and
# 0.9998; the local tokens alone 0.89), while these still make up a fifth of |i|^2.
SCALE = 400.0
RIDGES = tuple(10.0**k for k in range(-1, 5))  # that may hold the map from tracks back
MOMENTS, STEPS, BATCH = 16, 2500, 256  # frames of a clip at most, and the training of the code
NOISE = 0.05  # of tracks in units: a read-out is no truth


@dataclass(frozen=True)
class Views:
    """Embedded views of photo people; `track` is in units, and not a number where nobody knows it."""

    embedding: Float[np.ndarray, "n g"]
    track: Float[np.ndarray, "n 60"]
    person: Int[np.ndarray, " n"]


def to_units(track: Float[np.ndarray, "*f 60"]) -> Float[np.ndarray, "*f 60"]:
    """Divide the head pose of a track, in degrees, by `POSE_SCALE`."""
    units = np.array(track, np.float32)
    units[..., EXPRESSIONS:] /= POSE_SCALE
    return units


def relight(frame: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Show a frame in another light, by a worse camera."""
    gain = tuple(float(x) for x in np.exp(rng.normal(0, 0.06, 3)))
    gamma, saturation = float(np.exp(rng.normal(0, 0.25))), float(np.exp(rng.normal(0, 0.2)))
    look = Look(gain=gain, gamma=gamma, saturation=saturation, side_light=float(rng.normal(0, 0.5)))
    return degrade(look.apply(frame).round().astype(np.uint8), rng)


def find_marks(
    frame: UInt8[np.ndarray, "h w 3"], known: Float[np.ndarray, "68 2"], landmarker
) -> Float[np.ndarray, "68 2"]:
    """Find landmarks as in use, by the encoder; only the framing comes from the known ones."""
    place = alignment(known)
    found = landmarker(crop(frame, place, CROP_SIZE))
    return (found - place[:, 2]) @ np.linalg.inv(place[:, :2]).T


def draw_views(
    head: Head, record: PhotoRecord, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray], Float[np.ndarray, "n 60"]]:
    """Draw a person's photo and `ANIMATED` moments of random takes; returns frames, landmarks, tracks."""
    person = PhotoPerson(head, record)
    takes = [perform(draw_segments(rng), rng=rng) for _ in range(ANIMATED)]
    tracks = np.stack([take[rng.integers(5, len(take))] for take in takes])
    frames = [record.load_photo(), *person.render(tracks, size=SIZE)]
    marks = [record.landmarks, *(person.landmarks(tracks) * SIZE - 0.5)]
    unknown = np.full((1, tracks.shape[1]), np.nan, np.float32)
    return [relight(frame, rng) for frame in frames], marks, np.concatenate([unknown, to_units(tracks)])


def embed_people(
    records: Sequence[PhotoRecord], recogniser: Recogniser, landmarker, *, seed: int, minutes: float
) -> Views:
    """Embed views of as many people as the minutes allow."""
    from tqdm import tqdm

    head, rows, tracks, people = load_head(), [], [], []
    until = time.monotonic() + 60 * minutes
    for record in tqdm(records, desc="people", mininterval=5):
        if time.monotonic() > until and len(people) >= 2:
            break
        frames, marks, track = draw_views(head, record, np.random.default_rng((seed, record.number)))
        found = [find_marks(*pair, landmarker) for pair in zip(frames, marks, strict=True)]
        rows.append(recogniser.embed(frames, found))
        tracks.append(track)
        people += [record.number] * len(track)
    return Views(np.concatenate(rows), np.concatenate(tracks), np.array(people))


def fit_split(recognised: Recognised, views: Views, *, rank: int = RANK) -> None:
    """Fit mean, basis and the map from tracks, which learns from differences within a person alone."""
    from sklearn.linear_model import RidgeCV

    embedding, person = torch.from_numpy(views.embedding), torch.from_numpy(views.person)
    form = fit_closed_form(embedding, person, rank)
    known = np.isfinite(views.track).all(1)
    track = torch.from_numpy(views.track[known])
    inside = (embedding[torch.from_numpy(known)] - form.mean) @ form.basis
    x, y = (_about_person(part, views.person[known]).numpy() for part in (track, inside))
    # every direction is held back as its own left-out rows ask: what light does, no track explains
    ridge = RidgeCV(RIDGES, fit_intercept=False, alpha_per_target=True).fit(x, y)
    found = torch.from_numpy(np.atleast_2d(ridge.coef_).T.astype(np.float32))
    recognised.scale.fill_(SCALE)
    recognised.mean.copy_(form.mean)
    recognised.basis.zero_()[:, : form.basis.shape[1]] = form.basis  # few people have fewer directions
    recognised.from_track.copy_(found @ form.basis.T)
    recognised.mean_track.copy_(track.mean(0))


def _about_person(rows: Float[Tensor, "n k"], person: Int[np.ndarray, " n"]) -> Float[Tensor, "n k"]:
    _, place = np.unique(person, return_inverse=True)
    member = torch.nn.functional.one_hot(torch.from_numpy(place)).to(rows.dtype)
    return rows - member @ ((member.T @ rows) / member.sum(0)[:, None])


@torch.inference_mode()
def read_pool(pool: Pool, parts: nn.ModuleDict, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Take moments of every clip: true tracks in units, the encoder's reading, the decoupler's codes."""
    rng, read, codes, true = np.random.default_rng(seed), [], [], []
    for k in range(len(pool)):
        moments = np.sort(rng.permutation(len(pool.clip(k)))[:MOMENTS])
        features = parts["encoder"](to_tensor(pool.clip(k)[moments]))
        codes.append(parts["decoupler"](features.vector, features.tokens).code)
        read.append(features.coefficients)
        true.append(torch.from_numpy(to_units(pool.tracks[k][moments])))
    return torch.cat(true), torch.cat(read), torch.cat(codes)


def weigh(true: Float[Tensor, "n 60"], read: Float[Tensor, "n 60"]) -> Float[Tensor, " 60"]:
    """Weigh every coefficient by how well it is read (squared correlation), in units of how far it goes.

    A face of the pool has weighted length one on average.
    """
    x, y = true - true.mean(0), read - read.mean(0)
    alike = (x * y).mean(0) / (x.std(0) * y.std(0)).clamp(min=1e-6)
    weight = alike.clamp(min=0).pow(2) / (x.pow(2).mean(0) + 0.05**2)
    return weight / (true.pow(2) @ weight).mean()


def fit_code(
    recognised: Recognised, true: Float[Tensor, "n 60"], code: Float[Tensor, "n c"], *, steps: int = STEPS
) -> float:
    """Teach tracks to the decoupler's code; returns R^2 on the last eighth, which it did not learn from."""
    cut = len(true) * 7 // 8
    optimiser = torch.optim.AdamW(recognised.code.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(cut, (BATCH,))
        noisy = true[rows] + NOISE * torch.randn(BATCH, true.shape[1])
        loss = (recognised.to_code(noisy) - code[rows]).pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        left = (recognised.to_code(true[cut:]) - code[cut:]).pow(2).mean()
    return float(1 - left / code[cut:].var(0).mean())


def train_recognised(parts: nn.ModuleDict, pool: Pool, options: Any) -> Recognised:
    """Fit everything about the recogniser's token; `options` are those of `iad.training.stages`."""
    if "recogniser" not in parts:
        raise ValueError("This preset's tokens are not as wide as the recogniser's embedding; use 'mini'.")
    folder = options.output / "recogniser"
    folder.mkdir(parents=True, exist_ok=True)
    parts.eval()
    recognised = parts["recogniser"]
    views = _load_views(folder / "views.npz") if options.resume else None
    if views is None:
        people = [record for record, _ in usable_photos() if not is_held_out(record.number)]
        chosen = np.random.default_rng(options.seed).permutation(len(people))[: options.amounts.views]
        views = embed_people(
            [people[k] for k in chosen],
            load_recogniser("dlib"),
            as_landmarker(parts["reader"]),
            seed=options.seed,
            minutes=options.minutes,
        )
        part = folder / "part.npz"
        np.savez(part, **vars(views))
        part.replace(folder / "views.npz")
    fit_split(recognised, views)
    true, read, code = (x.clone() for x in read_pool(pool, parts, seed=options.seed))
    recognised.weight.copy_(weigh(true, read))
    torch.manual_seed(options.seed)
    r2 = fit_code(recognised, true, code, steps=min(STEPS, options.max_steps or STEPS))
    print(f"{len(set(views.person))} people; R^2 of codes from tracks {r2:.3f}", flush=True)
    return recognised.eval().requires_grad_(False)


def _load_views(path: Path) -> Views | None:
    if not path.exists():
        return None
    with np.load(path) as file:
        return Views(**{name: file[name] for name in file.files})
