"""Faces whose person, action and head pose are known, and what a model's embeddings make of them.

Held-out people each show nine faces (the eight basic actions and a neutral face) at the height of the action,
several performances of each, then faces turned at random, all in the framing that the encoder expects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from iad.autoencoder import to_tensor
from iad.encoders import POSE_SCALE
from iad.portraits import clips
from iad.portraits.actions import EIGHT_BASIC, EXPRESSIONS, POSE_LIMITS, Performed, perform

SHOWN = (*EIGHT_BASIC, "neutral")
TURNED = -1  # the action's number of a face that is turned at random
STILL = tuple(name for name in SHOWN if name not in ("turn left", "nod"))  # the head has no part in them
PERFORMANCES = 3  # of every action
TURNS = 9  # faces turned at random, a person
SWAY = 1.5  # degrees by which nobody holds the head quite straight
BATCH = 64
PARTS = ("facial", "identity", "code", "action")


@dataclass(frozen=True)
class Samples:
    """Frames of several people, one row each; `clips` holds each person's eight basic actions over time."""

    crops: UInt8[np.ndarray, "n h w 3"]
    tracks: Float[np.ndarray, "n 60"]  # expression weights, then pitch, yaw, roll in degrees
    person: Int[np.ndarray, " n"]  # 0, 1, 2, ...
    action: Int[np.ndarray, " n"]  # index into `SHOWN`, or `TURNED`
    clips: UInt8[np.ndarray, "p 8 f h w 3"]
    clip_tracks: Float[np.ndarray, "p 8 f 60"]

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.clips)


def render_samples(casts: Sequence[clips.Cast], *, stride: int, seed: int) -> Samples:
    """Render every face of every person; of clips only each `stride`-th frame, one for each latent frame."""
    tracks, crops, moving, shown = [], [], [], []
    for k, cast in enumerate(tqdm(casts, desc="render held-out people", mininterval=5)):
        rng = np.random.default_rng((seed, k))
        tracks.append(_draw_faces(rng))
        crops.append(cast.person.render(tracks[-1]))
        moving.append(np.stack([_act(name, rng, idle=True)[::stride] for name in EIGHT_BASIC]))
        shown.append(np.stack([cast.person.render(track) for track in moving[-1]]))
    labels = np.concatenate([np.repeat(np.arange(len(SHOWN)), PERFORMANCES), np.full(TURNS, TURNED)])
    return Samples(
        crops=np.concatenate(crops),
        tracks=np.concatenate(tracks),
        person=np.repeat(np.arange(len(casts)), len(labels)),
        action=np.tile(labels, len(casts)),
        clips=np.stack(shown),
        clip_tracks=np.stack(moving),
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


@torch.inference_mode()
def split(decoupler: nn.Module, encoded: Encoded) -> dict[str, Float[Tensor, "n d"]]:
    """Return facial embedding, identity, action code and action (all that f - i is) of every crop, flat."""
    rows = range(0, len(encoded.vector), BATCH)
    parts = [decoupler(encoded.vector[k : k + BATCH], encoded.tokens[k : k + BATCH]) for k in rows]
    return {key: torch.cat([getattr(p, key).flatten(1) for p in parts]) for key in PARTS}
