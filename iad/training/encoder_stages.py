"""Stages of what is frozen from then on: the patch code of frames with its decoder, and the face encoder.

The patch code is that of principal components; its decoder learns. The encoder learns by a margin loss,
landmarks, coefficients with pose and gaze, and a thumbnail: a margin alone would delete expression from the
embedding, and then there would be nothing to split.
"""

from pathlib import Path
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate, linear, normalize, one_hot
from torch.nn.functional import l1_loss as l1
from torch.nn.functional import smooth_l1_loss as smooth_l1

from iad.config import EXPRESSIONS, Preset
from iad.media.video import save_picture
from iad.models.autoencoder import create_autoencoder, to_tensor, to_uint8
from iad.models.encoders import POSE_SCALE, create_face_encoder
from iad.training.augment import degrade, dot, recolour, reframe, roll_of, warp
from iad.training.loop import Stage
from iad.training.pool import Pool, sample_patches

LATENT_NOISE = 0.1  # the decoder must forgive what a denoiser gets slightly wrong
MARGIN, SCALE = 0.2, 16.0  # of ArcFace (arXiv 1801.07698), mild: few pictures a person
GAZE = slice(16, 24)  # the eyeLook* coefficients
WEIGHTS = {"margin": 0.1, "landmarks": 1, "expression": 40, "gaze": 2.0, "pose": 1, "thumbnail": 4}


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

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show frames above their reconstructions."""
        frames = self.batch(0)[:12].to(self.device)
        output = model["autoencoder"].decode(model["autoencoder"].encode(frames))
        rows = to_uint8(torch.stack([frames, output]))  # (2, n, h, w, 3)
        save_picture(path, np.concatenate([np.concatenate(list(row), axis=1) for row in rows]))


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
        rows = [_sample(self.pool, i, rng) for i in picks]
        person = [self.person.get(self.pool.records[i]["identity"], -1) for i in picks]
        batch = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
        return batch | {"person": torch.tensor(person)}

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

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show crops with the landmarks found in them above their thumbnails."""
        crops = self.batch(0)["crop"][:12]
        features = model["encoder"](to_tensor(crops.to(self.device)))
        seen = to_uint8(interpolate(model["encoder"].thumbnail(features.tokens), scale_factor=2))
        marks = features.landmarks.cpu().numpy()
        top = [dot(c, p) for c, p in zip(crops.numpy(), marks, strict=True)]
        save_picture(path, np.concatenate([np.concatenate(top, 1), np.concatenate(list(seen), 1)]))


def _sample(pool: Pool, index: SupportsIndex, rng: np.random.Generator) -> dict[str, np.ndarray]:
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
