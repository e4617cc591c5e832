"""Stage 1: the frame autoencoder, on single frames of the pool."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss

from iad.autoencoder import create_autoencoder, to_tensor, to_uint8
from iad.config import Preset
from iad.training.augment import recolour
from iad.training.pool import Pool
from iad.video import save_picture

LATENT_NOISE = 0.1  # the decoder must forgive what a denoiser gets slightly wrong


class AutoencoderStage:
    """L1 at three scales, L1 of picture gradients, latents held near unit variance."""

    name = "autoencoder"

    def __init__(self, preset: Preset, pool: Pool, *, batch_size: int = 16, seed: int = 0):
        self.pool, self.batch_size, self.seed = pool, batch_size, seed
        self.model = nn.ModuleDict({"autoencoder": create_autoencoder(preset)})

    def batch(self, step: int) -> Tensor:
        rng = np.random.default_rng((self.seed, step))
        frames = []
        for index in rng.integers(len(self.pool), size=self.batch_size):
            clip = self.pool.clip(index)
            frame = clip[rng.integers(len(clip))]
            frame = frame[:, ::-1] if rng.random() < 0.5 else frame
            frames.append(recolour(frame, rng) if rng.random() < 0.5 else frame)
        return to_tensor(np.stack(frames))

    def losses(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        autoencoder, target = self.model["autoencoder"], batch.to(device) * 2 - 1
        latents = autoencoder.encode(target).latent
        output = autoencoder.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample
        terms = {
            "pixels": l1_loss(output, target),
            "coarse": l1_loss(avg_pool2d(output, 2), avg_pool2d(target, 2))
            + l1_loss(avg_pool2d(output, 4), avg_pool2d(target, 4)),
            "edges": sum(l1_loss(output.diff(dim=d), target.diff(dim=d)) for d in (2, 3)),
            "spread": (latents.pow(2).mean((0, 2, 3)) - 1).pow(2).mean(),
        }
        total = terms["pixels"] + 0.5 * terms["coarse"] + terms["edges"] + 0.01 * terms["spread"]
        with torch.no_grad():
            psnr = -10 * torch.log10((output - target).div(2).pow(2).mean())
        return {"total": total, "psnr": psnr} | terms

    def picture(self, model: nn.Module, path: Path) -> None:
        frames = self.batch(0)[:12].to(next(model.parameters()).device)
        output = model["autoencoder"].decode(model["autoencoder"].encode(frames * 2 - 1).latent).sample
        rows = torch.stack([frames, (output + 1) / 2]).clamp(0, 1)
        rows = to_uint8(rows)  # (2, n, h, w, 3)
        save_picture(path, np.concatenate([np.concatenate(list(row), axis=1) for row in rows]))

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        return {}
