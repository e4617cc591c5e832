"""Stage: the split of the recogniser's embedding, in closed form, and what a track means as a code.

Photo people perform many actions in many lights, blurred and compressed as photos of visitors are. Each view
is read by the reader, as in use: its landmarks say where the recogniser looks, its track what the face seems
to do. The track that was drawn says which directions of the embedding move with the action; the one that was
read says how strongly, as far as it tells no person. The views are kept in the stage's folder, for embedding
them takes most of the time.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from iad.faces import Face, alignment
from iad.faces.recogniser import Recogniser, load_recogniser
from iad.models.autoencoder import to_tensor
from iad.models.closed_form import DIRECTIONS, Recognised, fit_explained
from iad.models.encoders import POSE_SCALE
from iad.models.reading import FaceReader, read_face
from iad.performing.actions import ACTIONS, EXPRESSIONS, Performed, perform
from iad.portraits.clips import SECONDS, draw_segments, is_held_out, usable_photos
from iad.portraits.morphable import Head, load_head
from iad.portraits.photo import Look, PhotoPerson, PhotoRecord
from iad.training.augment import degrade
from iad.training.loop import keep_arrays
from iad.training.pool import Pool
from iad.training.timetable import Options

SIZE = 256  # pixels of a view, both sides
RANDOM, HEIGHTS = 4, 5  # views of each: moments of takes, and single actions where they are strongest
SWAY = 2.0  # degrees by which nobody holds the head quite straight
SAID = 10  # of a track's directions: those that tell what is done, and not who reads so at rest
# Of the token beside the 64 local ones: it knows real people and must outweigh them. On held-out photo people
# in other light and action, cosines of the joined identity verify as well as the token's own (AUC 0.9997 and
# 0.9998; the local tokens alone 0.89), while these still make up a fifth of |i|^2.
SCALE = 400.0
RIDGES = tuple(10.0**k for k in range(-1, 5))  # that may hold the map from tracks back
MOMENTS, STEPS, BATCH = 16, 2500, 256  # frames of a clip at most, and the training of the code
NOISE = 0.05  # of tracks in units: a read-out is no truth


@dataclass(frozen=True)
class Views:
    """Embedded views; tracks are in units, as drawn (not a number where nobody knows it) and as read."""

    embedding: Float[np.ndarray, "n g"]
    track: Float[np.ndarray, "n 60"]
    read: Float[np.ndarray, "n 60"]
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


def read_view(
    reader: FaceReader, frame: UInt8[np.ndarray, "h w 3"], known: Float[np.ndarray, "68 2"]
) -> Face:
    """Read a face as in use; only the first framing comes from the known landmarks."""
    marks = np.asarray(known, np.float32)
    return read_face(reader, frame, Face(frame, (0, 0, 1, 1), marks, alignment(known), 1, 0))


def draw_views(
    person: PhotoPerson, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray], Float[np.ndarray, "n 60"]]:
    """Draw moments of takes, then single actions at their height; returns frames, landmarks, tracks."""
    takes = [perform(draw_segments(rng), rng=rng) for _ in range(RANDOM)]
    tracks = [take[rng.integers(5, len(take))] for take in takes]
    names = rng.choice(list(ACTIONS), HEIGHTS)
    for name in names:
        take = perform([Performed((str(name),), 0.0, SECONDS)], rng=rng, idle=False)
        tracks.append(take[int(np.square(to_units(take)).sum(1).argmax())].copy())
        tracks[-1][EXPRESSIONS:] += rng.normal(0, SWAY, 3)
    drawn = np.stack(tracks).astype(np.float32)
    frames = list(person.render(drawn, size=SIZE))
    relit = [k < RANDOM or rng.random() < 0.5 for k in range(len(frames))]
    frames = [relight(frame, rng) if again else frame for frame, again in zip(frames, relit, strict=True)]
    return frames, list(person.landmarks(drawn) * SIZE - 0.5), to_units(drawn)


def view_people(
    head: Head, records: Sequence[PhotoRecord], rng: np.random.Generator
) -> Iterator[tuple[int, list[np.ndarray], list[np.ndarray], Float[np.ndarray, "n 60"]]]:
    """Draw views of photo people, their photos as they are among them."""
    unknown = np.full((1, EXPRESSIONS + 3), np.nan, np.float32)
    for record in records:
        frames, marks, tracks = draw_views(PhotoPerson(head, record), rng)
        photo = [record.load_photo(), *frames], [record.landmarks, *marks]
        yield (record.number, *photo, np.concatenate([unknown, tracks]))


def embed_people(
    records: Sequence[PhotoRecord], recogniser: Recogniser, reader: FaceReader, *, seed: int, minutes: float
) -> Views:
    """Embed views of as many people as the minutes allow."""
    from tqdm import tqdm

    rows, tracks, read, people = [], [], [], []
    until = time.monotonic() + 60 * minutes
    drawn = view_people(load_head(), records, np.random.default_rng(seed))
    for number, frames, marks, track in tqdm(drawn, desc="people", mininterval=5):
        faces = [read_view(reader, *pair) for pair in zip(frames, marks, strict=True)]
        rows.append(recogniser.embed(frames, [face.landmarks for face in faces]))
        tracks.append(track)
        read.append(to_units(np.stack([face.track for face in faces])))
        people += [number] * len(track)
        if time.monotonic() > until and len(set(people)) >= 2:
            break
    return Views(*(np.concatenate(x) for x in (rows, tracks, read)), np.array(people))


def fit_split(recognised: Recognised, views: Views, *, rank: int = DIRECTIONS, said: int = SAID) -> None:
    """Fit what tracks explain of the embedding, and the map from tracks as they are read."""
    from sklearn.linear_model import RidgeCV

    known = np.isfinite(views.track).all(1)
    embedding, true, read = (torch.from_numpy(x[known]) for x in (views.embedding, views.track, views.read))
    person = views.person[known]
    form = fit_explained(embedding, torch.from_numpy(person), true, rank)
    heard = find_said(true.numpy(), read.numpy(), person, said)
    x = _about_person(read, person).numpy() @ heard
    y = _about_person(embedding, person) @ form.reads
    # every direction is held back as its own left-out rows ask: what light does, no track explains
    ridge = RidgeCV(RIDGES, fit_intercept=False, alpha_per_target=True).fit(x, y.numpy())
    slope = torch.from_numpy((heard @ np.atleast_2d(ridge.coef_).T).astype(np.float32))
    recognised.scale.fill_(SCALE)
    recognised.mean.copy_(form.mean)
    found = len(form.shows)  # few people have fewer directions
    recognised.reads.zero_()[:, :found] = form.reads
    recognised.shows.zero_()[:found] = form.shows
    recognised.from_track.copy_(slope @ form.shows)
    recognised.mean_track.copy_(read.mean(0))


def find_said(
    true: Float[np.ndarray, "n k"], read: Float[np.ndarray, "n k"], person: Int[np.ndarray, " n"], count: int
) -> Float[np.ndarray, "k c"]:
    """Find the directions of tracks in which actions differ most for how much readings err.

    A reader sees a little of an action in a face at rest, always the same in one person: that tells who it
    is, so it counts fully; errors that come and go count a third.
    """
    from scipy.linalg import eigh

    error = torch.from_numpy(read - true)
    passing = _about_person(error, person).numpy()
    lasting = np.cov((error.numpy() - passing).T)  # each person's mean, once a view
    noise = lasting + np.cov(passing.T) / 3 + 2e-3 * np.eye(true.shape[1])
    return eigh(np.cov(true.T), noise)[1][:, ::-1][:, :count]


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


def train_recognised(parts: nn.ModuleDict, pool: Pool, options: Options) -> Recognised:
    """Fit everything about the recogniser's token."""
    if "recogniser" not in parts:
        raise ValueError("This preset's tokens are not as wide as the recogniser's embedding; use 'mini'.")
    recognised = parts.eval()["recogniser"]

    def view() -> Views:
        people = [record for record, _ in usable_photos() if not is_held_out(record.number)]
        chosen = np.random.default_rng(options.seed).permutation(len(people))[: options.amounts.views]
        shown, recogniser = [people[k] for k in chosen], load_recogniser("dlib")
        bounds = {"seed": options.seed, "minutes": options.minutes}
        return embed_people(shown, recogniser, parts["reader"], **bounds)

    path = options.output / "recogniser" / "views.npz"
    views = keep_arrays(path, Views, view, anew=not options.resume)
    fit_split(recognised, views)
    true, read, code = (x.clone() for x in read_pool(pool, parts, seed=options.seed))
    recognised.weight.copy_(weigh(true, read))
    torch.manual_seed(options.seed)
    r2 = fit_code(recognised, true, code, steps=min(STEPS, options.max_steps or STEPS))
    print(f"{len(set(views.person))} people; R^2 of codes from tracks {r2:.3f}", flush=True)
    return recognised.eval().requires_grad_(False)
