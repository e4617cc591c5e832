"""Stage 1: the patch code of the frames, from their principal components, and its decoder by training."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss

from iad.autoencoder import create_autoencoder, to_tensor, to_uint8
from iad.config import Preset
from iad.training.augment import recolour
from iad.training.pool import Pool, sample_patches
from iad.video import save_picture

LATENT_NOISE = 0.1  # the decoder must forgive what a denoiser gets slightly wrong


class AutoencoderStage:
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
        device = next(self.model.parameters()).device
        autoencoder, target = self.model["autoencoder"], batch.to(device)
        latents = autoencoder.encode(target)
        output = autoencoder.decode(latents + LATENT_NOISE * torch.randn_like(latents))
        terms = {
            "pixels": l1_loss(output, target),
            "coarse": l1_loss(avg_pool2d(output, 2), avg_pool2d(target, 2))
            + l1_loss(avg_pool2d(output, 4), avg_pool2d(target, 4)),
            "edges": sum(l1_loss(output.diff(dim=d), target.diff(dim=d)) for d in (2, 3)),
        }
        total = terms["pixels"] + 0.5 * terms["coarse"] + terms["edges"]
        with torch.no_grad():
            psnr = -10 * torch.log10((output - target).pow(2).mean())
        return {"total": total, "psnr": psnr} | terms

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show frames above their reconstructions."""
        frames = self.batch(0)[:12].to(next(model.parameters()).device)
        output = model["autoencoder"].decode(model["autoencoder"].encode(frames))
        rows = to_uint8(torch.stack([frames, output]))  # (2, n, h, w, 3)
        save_picture(path, np.concatenate([np.concatenate(list(row), axis=1) for row in rows]))

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep nothing."""
        return {}
