"""Stage 2: the face encoder: margin loss, landmarks, coefficients with pose and gaze, and a thumbnail.

A margin loss alone would delete expression from the embedding, and then there would be nothing to split.
"""

from pathlib import Path
from typing import SupportsIndex

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate, linear, normalize, one_hot
from torch.nn.functional import l1_loss as l1
from torch.nn.functional import smooth_l1_loss as smooth_l1

from iad.autoencoder import to_tensor, to_uint8
from iad.config import EXPRESSIONS, Preset
from iad.encoders import POSE_SCALE, create_face_encoder
from iad.training.augment import degrade, recolour, reframe, warp
from iad.training.pool import Pool, sample_patches
from iad.video import save_picture

MARGIN, SCALE = 0.2, 16.0  # of ArcFace (arXiv 1801.07698), mild: few pictures a person
GAZE = slice(16, 24)  # the eyeLook* coefficients
GAZE_WEIGHT = 2.0


class EncoderStage:
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
        rows = [_sample(self.pool, i, rng) for i in picks]
        person = [self.person.get(self.pool.records[i]["identity"], -1) for i in picks]
        batch = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
        return batch | {"person": torch.tensor(person)}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare what the heads read with the truth; persons and coefficients only where they are known."""
        device = next(self.model.parameters()).device
        batch = {key: value.to(device) for key, value in batch.items()}
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
        total = (
            0.1 * terms["margin"]
            + terms["landmarks"]
            + 40 * terms["expression"]
            + GAZE_WEIGHT * terms["gaze"]
            + terms["pose"]
            + 4 * terms["thumbnail"]
        )
        return {"total": total} | terms

    def _margin(self, embedding: Tensor, person: Tensor) -> Tensor:
        if not len(person):
            return embedding.sum() * 0
        cosine = linear(normalize(embedding), normalize(self.model["margin"].weight))
        target = one_hot(person, cosine.shape[1])
        return cross_entropy(SCALE * (cosine - MARGIN * target), person)

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show crops with the landmarks found in them above their thumbnails."""
        device = next(model.parameters()).device
        batch = {key: value[:12] for key, value in self.batch(0).items()}
        features = model["encoder"](to_tensor(batch["crop"].to(device)))
        seen = to_uint8(interpolate(model["encoder"].thumbnail(features.tokens), scale_factor=2))
        marks = features.landmarks.cpu().numpy()
        top = [_dots(c, p) for c, p in zip(batch["crop"].numpy(), marks, strict=True)]
        save_picture(path, np.concatenate([np.concatenate(top, 1), np.concatenate(list(seen), 1)]))

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep nothing."""
        return {}


def _sample(pool: Pool, index: SupportsIndex, rng: np.random.Generator) -> dict[str, np.ndarray]:
    clip = pool.clip(index)
    k = rng.integers(len(clip))
    affine = reframe(rng)
    clean = warp(clip[k], affine)
    roll = np.degrees(np.arctan2(affine[1, 0], affine[0, 0]))
    coefficients = pool.tracks[index, k].copy()
    coefficients[-1] += roll  # the roll that the crop shows
    coefficients[EXPRESSIONS:] /= POSE_SCALE
    return {
        "crop": augment(clean, rng),
        "clean": clean,
        "landmarks": (pool.landmarks[index, k] @ affine[:, :2].T + affine[:, 2]).astype(np.float32),
        "coefficients": coefficients.astype(np.float32),
        "fitted": np.float32(pool.records[index].get("fitted", True)),
    }


def augment(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply the photometric changes of a reference photo."""
    picture = recolour(picture, rng) if rng.random() < 0.6 else picture
    return np.ascontiguousarray(degrade(picture, rng))


def _dots(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    for x, y in points * picture.shape[0]:
        cv2.circle(picture, (int(x), int(y)), 1, (0, 255, 0), -1)
    return picture
