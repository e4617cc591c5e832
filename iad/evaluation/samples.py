"""Faces whose person, action and head pose are known, and what a model's embeddings make of them.

Held-out people each show nine faces (the eight basic actions and a neutral face) at the height of the action,
several performances of each, then faces turned at random, all in the framing that the encoder expects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from iad.config import LANDMARKS, Preset
from iad.evaluation.intervals import as_entry, verify
from iad.evaluation.material import list_looks
from iad.faces import CROP_SIZE, Face
from iad.faces.recogniser import DIM
from iad.geometry.coefficients import EXPRESSIONS, POSE_LIMITS
from iad.models.autoencoder import to_tensor, to_uint8
from iad.models.encoders import POSE_SCALE
from iad.models.splitting import Splitting
from iad.performing.actions import EIGHT_BASIC, Performed, perform
from iad.portraits import clips

SHOWN = (*EIGHT_BASIC, "neutral")
TURNED = -1  # the action's number of a face that is turned at random
STILL = tuple(name for name in SHOWN if name not in ("turn left", "nod"))  # the head has no part in them
PERFORMANCES = 3  # of every action
TURNS = 9  # faces turned at random, a person
SWAY = 1.5  # degrees by which nobody holds the head quite straight
BATCH = 64
CROP = 256  # pixels a side of faces; clips have half of that
PARTS = ("facial", "identity", "action", "residual", "code")
Parts = dict[str, Float[Tensor, "n _"]]


@dataclass(frozen=True)
class Samples:
    """Frames of several people, one row each; `clips` holds each person's eight basic actions over time."""

    crops: UInt8[np.ndarray, "n h w 3"]
    tracks: Float[np.ndarray, "n 60"]  # expression weights, then pitch, yaw, roll in degrees
    person: Int[np.ndarray, " n"]  # 0, 1, 2, ...
    action: Int[np.ndarray, " n"]  # index into `SHOWN`, or `TURNED`
    clips: UInt8[np.ndarray, "p 8 f h w 3"]

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.clips)

    @property
    def small(self) -> UInt8[np.ndarray, "n s s 3"]:
        """The faces at the size of a clip's frames, at most."""
        if self.crops.shape[1] <= CROP_SIZE:
            return self.crops
        size = (CROP_SIZE, CROP_SIZE)
        return np.stack([cv2.resize(crop, size, interpolation=cv2.INTER_AREA) for crop in self.crops])


def render_samples(casts: Sequence[clips.Cast], *, stride: int, seed: int) -> Samples:
    """Render every face of every person; of clips only each `stride`-th frame, one for each latent frame."""
    tracks, crops, shown = [], [], []
    for k, cast in enumerate(tqdm(casts, desc="render held-out people", mininterval=5)):
        rng = np.random.default_rng((seed, k))
        tracks.append(_draw_faces(rng))
        crops.append(cast.person.render(tracks[-1], size=CROP))
        moving = [_act(name, rng, idle=True)[::stride] for name in EIGHT_BASIC]
        shown.append(np.stack([cast.person.render(track) for track in moving]))
    labels = np.concatenate([np.repeat(np.arange(len(SHOWN)), PERFORMANCES), np.full(TURNS, TURNED)])
    return Samples(
        crops=np.concatenate(crops),
        tracks=np.concatenate(tracks),
        person=np.repeat(np.arange(len(casts)), len(labels)),
        action=np.tile(labels, len(casts)),
        clips=np.stack(shown),
    )


def _act(name: str, rng: np.random.Generator, *, idle: bool) -> Float[np.ndarray, "f 60"]:
    return perform([Performed((name,), 0.0, clips.SECONDS)], rng=rng, idle=idle)


def _draw_faces(rng: np.random.Generator) -> Float[np.ndarray, "n 60"]:
    faces = [height(_act(name, rng, idle=False)) for name in SHOWN for _ in range(PERFORMANCES)]
    turned = [height(_act(str(rng.choice(STILL)), rng, idle=False)) for _ in range(TURNS)]
    for face in faces:
        face[EXPRESSIONS:] += rng.normal(0, SWAY, 3)
    for face in turned:
        face[EXPRESSIONS:] = rng.uniform(-POSE_LIMITS, POSE_LIMITS)
    return np.stack(faces + turned).astype(np.float32)


def height(track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, " 60"]:
    """Take the frame that is furthest from rest."""
    scaled = track.copy()
    scaled[:, EXPRESSIONS:] /= POSE_SCALE
    return track[int(np.square(scaled).sum(1).argmax())].copy()


@dataclass(frozen=True)
class Encoded:
    """What the frozen encoder says of crops: the input of any split that was trained on it."""

    embedding: Float[Tensor, "n g"]
    vector: Float[Tensor, "n v"]
    tokens: Float[Tensor, "n t e"]


@torch.inference_mode()
def encode(encoder: nn.Module, crops: UInt8[np.ndarray, "n h w 3"]) -> Encoded:
    """Look at every crop once."""
    batches = (crops[start : start + BATCH] for start in range(0, len(crops), BATCH))
    seen = [encoder(to_tensor(batch)) for batch in batches]
    columns = ((f.embedding, f.vector, f.tokens) for f in seen)
    return Encoded(*(torch.cat(column) for column in zip(*columns, strict=True)))


def read_faces(pipe: Splitting, crops: UInt8[np.ndarray, "n h w 3"]) -> list[Face]:
    """Read faces that fill their pictures as the framing wants it; each is framed anew by its landmarks."""
    size = crops.shape[1]
    affine = np.array([[1, 0, 0.5], [0, 1, 0.5]]) / size  # of pixels' centres to the unit square
    unread = np.zeros((LANDMARKS, 2), np.float32)  # reading finds them, within the affine map's square
    faces = []
    for picture in crops:
        found = Face(picture, (0, 0, size, size), unread, affine, 1, 0)
        faces.append(pipe._read(picture, found))
    return faces


@torch.inference_mode()
def split_faces(
    pipe: Splitting, crops: UInt8[np.ndarray, "n h w 3"], *, local: bool = False
) -> dict[str, Float[Tensor, "n d"]]:
    """Split every face as the pipeline splits a visitor's, by what is read of it; the parts are flat.

    `local` leaves out the recogniser's token, which takes most of the time: then they are the tokens of which
    the denoiser is given the identity. The code is what was read, a track in units, where a model reads one.
    """
    faces = read_faces(pipe, crops)
    if not local:
        splits = [pipe.split_face(*pair) for pair in zip(crops, faces, strict=True)]
        return _join(splits)
    batches = [faces[start : start + BATCH] for start in range(0, len(faces), BATCH)]
    splits = [pipe.centre(pipe._split_local(batch)) for batch in batches]
    return _join(splits) | ({} if pipe.recognised is None else {"code": pipe._codes(faces)})


def _join(splits: Sequence[Any]) -> Parts:
    return {key: torch.cat([getattr(s, key).flatten(1).float().cpu() for s in splits]) for key in PARTS}


@torch.inference_mode()
def divide(pipe: Splitting, parts: Parts) -> dict[str, Parts]:
    """Tell the recogniser's token of every face from its local tokens, each with its own code."""
    if pipe.recognised is None:
        return {"local": parts}
    both = {
        "recogniser": {key: rows[:, -DIM:] for key, rows in parts.items()},
        "local": {key: rows[:, :-DIM] for key, rows in parts.items()},
    }
    code = pipe.recognised.to_code(parts["code"].to(pipe.device)).cpu()
    both["recogniser"]["code"], both["local"]["code"] = parts["code"], code
    return both


@torch.inference_mode()
def split(decoupler: nn.Module, encoded: Encoded) -> dict[str, Float[Tensor, "n d"]]:
    """Split every crop by a decoupler's own code, as in its training; the parts are flat."""
    rows = range(0, len(encoded.vector), BATCH)
    return _join([decoupler(encoded.vector[k : k + BATCH], encoded.tokens[k : k + BATCH]) for k in rows])


@torch.inference_mode()
def paint(
    heads: nn.ModuleDict, autoencoder: nn.Module, preset: Preset, tokens: Float[Tensor, "n d"]
) -> UInt8[np.ndarray, "n h w 3"]:
    """Show what tokens hold of a picture, by the head that learned beside the split to read it off f.

    Args:
        heads: of `iad.decoupling.create_decoupling`; `picture` tells the latents of a cell from each token.
        autoencoder: whose latents they are.
        preset: of both.
        tokens: local tokens, flat and as `split` gives them.
    """
    side = round(preset.decoupler.queries**0.5)
    cell, pictures = preset.latent_size // side, []
    for batch in tokens.split(BATCH):
        cells = heads["picture"](batch.unflatten(1, (preset.decoupler.queries, -1)))
        latents = rearrange(cells, "b (y x) (c p q) -> b c (y p) (x q)", y=side, p=cell, q=cell)
        pictures.append(to_uint8(autoencoder.decode(latents)))
    return np.concatenate(pictures)


@dataclass(frozen=True)
class Photos:
    """Held-out photos as they are: parts of every source's split, a row a picture, and whom it shows."""

    parts: dict[str, Parts]
    person: Int[np.ndarray, " n"]


@torch.inference_mode()
def split_photos(pipe: Any, count: int, casts: Sequence[clips.Cast]) -> Photos:
    """Split photos of as many held-out people, none of whom is among the cast, in four looks each.

    "Same" is one photo as others might have it (cropped and tilted, relit, blurred and small). It shows one
    action, so an action may know it, too. Looks in which no face is found are left out.
    """
    known = {cast.key["person"] for cast in casts}
    records = [r for r, _ in clips.usable_photos() if clips.is_held_out(r.number) and r.number not in known]
    splits, person = [], []
    for record in tqdm(records[:count], desc="photos as they are", mininterval=5):
        photo = record.load_photo()
        for look in (photo, *list_looks(photo, seed=record.number)):
            try:
                splits.append(pipe.split_face(look, pipe.find_face(look)))
            except ValueError:
                continue
            person.append(record.number)
    return Photos(divide(pipe, _join(splits)), np.array(person))


def verify_rows(rows: Float[Tensor, "n d"], person: Int[np.ndarray, " n"]) -> dict[str, float]:
    """Return the area under the curve of cosines, same against different person, and its interval."""
    return as_entry(verify(rows.numpy(), person)["auc"])
