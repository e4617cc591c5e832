"""Stages of what reads faces: the patch code of frames with its decoder, the face encoder, and the reader.

The patch code is that of principal components; its decoder learns. The encoder learns by a margin loss,
landmarks, coefficients with pose and gaze, and a thumbnail: a margin alone would delete expression from the
embedding, and then there would be nothing to split. Code and encoder are frozen from then on. The reader
learns on photos as they are and on animated ones, damaged as visitors' photos are.
"""

from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate, linear, normalize, one_hot
from torch.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy
from torch.nn.functional import l1_loss as l1
from torch.nn.functional import smooth_l1_loss as smooth_l1
from torch.utils.data import default_collate

from iad.config import EXPRESSIONS, TRACK, Preset
from iad.faces import alignment
from iad.geometry.coefficients import COEFFICIENTS, mirror_track
from iad.geometry.head import MIRRORED_LANDMARKS
from iad.models.autoencoder import create_autoencoder, to_tensor, to_uint8
from iad.models.encoders import POSE_SCALE, create_face_encoder
from iad.models.reading import COVERABLE, READ_SIZE, create_reader
from iad.portraits.stills import Stills
from iad.training.augment import cover, damage, degrade, dot, recolour, reframe, roll_of, warp
from iad.training.loop import Stage
from iad.training.pool import Pool, sample_patches

LATENT_NOISE = 0.1  # the decoder must forgive what a denoiser gets slightly wrong
MARGIN, SCALE = 0.2, 16.0  # of ArcFace (arXiv 1801.07698), mild: few pictures a person
GAZE = slice(16, 24)  # the eyeLook* coefficients
WEIGHTS = {"margin": 0.1, "landmarks": 1, "expression": 40, "gaze": 2.0, "pose": 1, "thumbnail": 4}
UNTOUCHED_SHARE = 0.5  # of a batch: photos as they are
FITTED_TRUST = 0.3  # an untouched photo's coefficients are those of its fit, not the truth
UNFITTED = ("eyeLook", "Pupil")  # and of what landmarks do not show it knows nothing
RARE = 0.01  # added to a coefficient's variance: what hardly ever moves counts for less
MARKS = np.ones(68, np.float32)  # of landmarks: the jaw's are where the face happens to turn away
MARKS[:17], MARKS[36:48], MARKS[48:] = 0.4, 1.6, 1.6
REGION_OF = {
    "right eye": slice(36, 42), "left eye": slice(42, 48), "nose": slice(27, 36), "mouth": slice(48, 68),
}  # fmt: skip
_FITTED = np.float32([0 if name.startswith(UNFITTED) else FITTED_TRUST for name in COEFFICIENTS])
HIDDEN = 0.5  # a region is covered when so much of it is


class AutoencoderStage(Stage):
    """L1 at three scales and of picture gradients."""

    name = "autoencoder"

    def __init__(self, preset: Preset, pool: Pool, *, batch_size: int = 16, seed: int = 0):
        self.pool, self.batch_size, self.seed = pool, batch_size, seed
        self.model = nn.ModuleDict({"autoencoder": create_autoencoder(preset)})
        self.model["autoencoder"].set_components(sample_patches(pool, seed=seed))

    def batch(self, step: int) -> Tensor:
        """Draw single frames (b, 3, h, w), some of them mirrored or recoloured."""
        rng = np.random.default_rng((self.seed, step))
        frames = []
        for index in rng.integers(len(self.pool), size=self.batch_size):
            clip = self.pool.clip(index)
            frame = clip[rng.integers(len(clip))]
            frame = frame[:, ::-1] if rng.random() < 0.5 else frame
            frames.append(recolour(frame, rng) if rng.random() < 0.5 else frame)
        return to_tensor(np.stack(frames))

    def losses(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        """Compare frames with what becomes of them; `psnr`, in dB, is only reported."""
        latents = self.model["autoencoder"].encode(batch)
        output = self.model["autoencoder"].decode(latents + LATENT_NOISE * torch.randn_like(latents))
        terms = {
            "pixels": l1(output, batch),
            "coarse": sum(l1(avg_pool2d(output, k), avg_pool2d(batch, k)) for k in (2, 4)),
            "edges": sum(l1(output.diff(dim=d), batch.diff(dim=d)) for d in (2, 3)),
        }
        total = terms["pixels"] + 0.5 * terms["coarse"] + terms["edges"]
        with torch.no_grad():
            psnr = -10 * torch.log10((output - batch).pow(2).mean())
        return {"total": total, "psnr": psnr} | terms

    def picture(self, model: nn.Module) -> Sequence[Iterable[np.ndarray]]:
        """Show frames above their reconstructions."""
        frames = self.batch(0)[:12].to(self.device)
        output = model["autoencoder"].decode(model["autoencoder"].encode(frames))
        return [to_uint8(frames), to_uint8(output)]


class EncoderStage(Stage):
    """Trains the encoder on augmented frames; `identity` in a record names the person, or is None."""

    name = "encoder"

    def __init__(self, preset: Preset, pool: Pool, *, batch_size: int = 32, seed: int = 0):
        self.pool, self.batch_size, self.seed = pool, batch_size, seed
        names = sorted({r["identity"] for r in pool.records if r["identity"]})
        self.person = {name: i for i, name in enumerate(names)}
        self.model = nn.ModuleDict({"encoder": create_face_encoder(preset)})
        self.model["encoder"].set_components(sample_patches(pool, seed=seed))
        self.model["margin"] = nn.Linear(preset.encoder.global_dim, max(1, len(names)), bias=False)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Draw augmented frames with their landmarks, coefficients and person."""
        rng = np.random.default_rng((self.seed, step))
        picks = rng.integers(len(self.pool), size=self.batch_size)
        rows = [_draw_frame(self.pool, i, rng) for i in picks]
        person = [self.person.get(self.pool.records[i]["identity"], -1) for i in picks]
        return default_collate(rows) | {"person": torch.tensor(person)}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare what the heads read with the truth; persons and coefficients only where they are known."""
        features = self.model["encoder"](to_tensor(batch["crop"]))
        known = batch["person"] >= 0
        thumbnail = avg_pool2d(to_tensor(batch["clean"]), 2)
        error = (features.coefficients - batch["coefficients"]).pow(2) * (batch["fitted"][:, None] > 0)
        terms = {
            "margin": self._margin(features.embedding[known], batch["person"][known]),
            "landmarks": smooth_l1(features.landmarks * 20, batch["landmarks"] * 20),
            "expression": error[:, :EXPRESSIONS].mean(),
            "gaze": error[:, GAZE].mean(),
            "pose": error[:, EXPRESSIONS:].mean(),
            "thumbnail": l1(self.model["encoder"].thumbnail(features.tokens), thumbnail),
        }
        return {"total": sum(WEIGHTS[name] * term for name, term in terms.items())} | terms

    def _margin(self, embedding: Tensor, person: Tensor) -> Tensor:
        if not len(person):
            return embedding.sum() * 0
        cosine = linear(normalize(embedding), normalize(self.model["margin"].weight))
        target = one_hot(person, cosine.shape[1])
        return cross_entropy(SCALE * (cosine - MARGIN * target), person)

    def picture(self, model: nn.Module) -> Sequence[Iterable[np.ndarray]]:
        """Show crops with the landmarks found in them above their thumbnails."""
        crops = self.batch(0)["crop"][:12]
        features = model["encoder"](to_tensor(crops.to(self.device)))
        seen = to_uint8(interpolate(model["encoder"].thumbnail(features.tokens), scale_factor=2))
        return [_dot_all(crops, features.landmarks), seen]


def _draw_frame(pool: Pool, index: SupportsIndex, rng: np.random.Generator) -> dict[str, np.ndarray]:
    clip = pool.clip(index)
    k = rng.integers(len(clip))
    affine = reframe(rng)
    clean = warp(clip[k], affine)
    coefficients = pool.tracks[index, k].copy()
    coefficients[-1] += roll_of(affine)  # the roll that the crop shows
    coefficients[EXPRESSIONS:] /= POSE_SCALE
    picture = recolour(clean, rng) if rng.random() < 0.6 else clean
    return {
        "crop": np.ascontiguousarray(degrade(picture, rng)),
        "clean": clean,
        "landmarks": (pool.landmarks[index, k] @ affine[:, :2].T + affine[:, 2]).astype(np.float32),
        "coefficients": coefficients.astype(np.float32),
        "fitted": np.float32(pool.records[index].get("fitted", True)),
    }


class ReaderStage(Stage):
    """Trains the reader; a covered region's landmarks count, for a person can guess them, too."""

    name = "reader"

    def __init__(self, preset: Preset, stills: Stills, *, batch_size: int = 24, seed: int = 0):
        self.stills, self.batch_size, self.seed = stills, batch_size, seed
        animated = stills.tracks[~stills.untouched, :EXPRESSIONS]
        self.spread = torch.from_numpy(animated.var(axis=0) + RARE)
        self.kinds = [np.flatnonzero(stills.untouched == kind) for kind in (False, True)]
        self.model = nn.ModuleDict({"reader": create_reader(preset)})

    def batch(self, step: int) -> dict[str, Tensor]:
        """Draw damaged crops with their landmarks, coefficients and what is covered."""
        rng = np.random.default_rng((self.seed, step))
        kinds = (rng.random(self.batch_size) < UNTOUCHED_SHARE).astype(int)
        rows = [_draw_still(self.stills, int(rng.choice(self.kinds[kind])), rng) for kind in kinds]
        shake = rng.normal(0, (0.06, 0.06, 0.08), (self.batch_size, 3, 3)).astype(np.float32)
        return default_collate(rows) | {"shake": torch.from_numpy(shake)}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare landmarks in eye distances, coefficients and pose in units of the track."""
        seen = self.model["reader"](to_tensor(batch["crop"]), batch["shake"])
        weights = torch.from_numpy(MARKS).to(self.device)

        def distance(landmarks: Tensor) -> Tensor:  # 1 % of the eye distance is 0.0025 of the crop
            away = (landmarks - batch["landmarks"]).pow(2).sum(-1).add(1e-6).sqrt()
            return (away * weights).mean() * 40

        error = (seen.coefficients - batch["track"]).pow(2) * batch["trust"]
        terms = {
            "landmarks": distance(seen.landmarks),
            "rough": distance(seen.rough),
            "expression": (error[:, :EXPRESSIONS] / self.spread.to(self.device)).mean(),
            "pose": error[:, EXPRESSIONS:].mean(),
            "covered": binary_cross_entropy(seen.covered, batch["covered"]),
        }
        total = terms["landmarks"] + 0.5 * terms["rough"] + 2 * terms["expression"] + terms["pose"]
        return {"total": total + 0.3 * terms["covered"]} | terms

    def picture(self, model: nn.Module) -> Sequence[Iterable[np.ndarray]]:
        """Show damaged crops with the landmarks found in them."""
        crops = self.batch(0)["crop"][:12]
        dotted = _dot_all(crops, model["reader"](to_tensor(crops.to(self.device))).landmarks)
        return dotted[:6], dotted[6:]


def _draw_still(stills: Stills, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    picture, marks, track = stills.pictures[index], stills.landmarks[index], stills.tracks[index].copy()
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        marks = marks[list(MIRRORED_LANDMARKS)] * np.float32([-1, 1]) + np.float32([len(picture) - 1, 0])
        track = mirror_track(track[None])[0]
    affine = _compose(reframe(rng, strength=1.2 if rng.random() < 0.85 else 2.2), alignment(marks))
    crop = _cut(np.ascontiguousarray(picture), affine, rng)
    unit = (marks @ affine[:, :2].T + affine[:, 2]).astype(np.float32)
    track[-1] += roll_of(affine)  # the roll that the crop shows
    track[EXPRESSIONS:] /= POSE_SCALE
    crop = recolour(crop, rng, strength=1.5) if rng.random() < 0.7 else crop
    hidden = np.zeros((READ_SIZE, READ_SIZE), bool)
    if rng.random() < 0.35:
        crop, hidden = cover(crop, unit * READ_SIZE, rng)
    return {
        "crop": np.ascontiguousarray(damage(crop, rng)),
        "landmarks": unit,
        "track": track.astype(np.float32),
        "trust": _FITTED if stills.untouched[index] else np.ones(TRACK, np.float32),
        "covered": np.array([_hidden_share(hidden, unit, name) > HIDDEN for name in COVERABLE], np.float32),
    }


def _compose(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.column_stack([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2] + after[:, 2]])


def _cut(picture: np.ndarray, affine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a crop; what lies beyond the photo is its border, its mirror image, or one colour."""
    matrix = affine * READ_SIZE
    matrix[:, 2] -= 0.5
    borders = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    size, border = (READ_SIZE, READ_SIZE), borders[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
    return cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour
    )


def _hidden_share(hidden: np.ndarray, unit: np.ndarray, region: str) -> float:
    points = np.round(unit[REGION_OF[region]] * READ_SIZE).astype(int)
    low, high = points.min(0).clip(0, READ_SIZE - 2), points.max(0).clip(0, READ_SIZE - 2) + 1
    return float(hidden[low[1] : high[1] + 1, low[0] : high[0] + 1].mean())


def _dot_all(crops: Tensor, landmarks: Tensor) -> list[np.ndarray]:
    return [dot(c, p) for c, p in zip(crops.numpy(), landmarks.cpu().numpy(), strict=True)]
