"""Stage 6: the finisher, on what the trained denoiser makes of pure noise.

A target clip is generated anew from the same person's other take; the finisher then brings it back to the
target by the picture that the reference was read from. Landmarks, known for every clip, teach the motion;
the face encoder, frozen, says what the face looks like and what it does.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cosine_similarity, grid_sample

from iad.autoencoder import decode_latents, to_tensor, to_uint8
from iad.config import Preset
from iad.encoders import FaceEncoder
from iad.finishing import create_finisher, warp
from iad.training.denoiser import DenoiserStage
from iad.video import save_picture

CLIPS = 6  # a step
LENGTH = 2  # latent frames of each
DROP_CODES = 0.12  # for the arms that have no action channel
LATENT_TRUTH = 0.15  # share of clips whose latents are partly the true ones: sharper than the denoiser's
MOTION_WEIGHT, COARSE_WEIGHT, WARP_WEIGHT = 8.0, 0.5, 0.3
FEATURES_WEIGHT, ACTION_WEIGHT = 0.1, 0.1
# Expressions are small and would drown: eyes and mouth count more, as pixels and as landmarks.
FACE_WEIGHT, FEATURE_WEIGHT, LANDMARK_WEIGHT = 2.5, 5.0, 2.5
FACE = (0.31, 0.91, 0.23, 0.77)  # top, bottom, left, right
BROWS, EYES, MOUTH = slice(17, 27), (slice(36, 42), slice(42, 48)), slice(48, 68)  # of 68 landmarks
REACH = (1 / 16, 1 / 16, 3 / 32)  # of the weight of eye, eye and mouth, in pictures


class FinisherStage:
    """L1 of pixels and edges, of the warped photo by itself, of the motion at 68 landmarks, of face features.

    Args:
        preset: sizes.
        denoiser: trained; it makes the clips.
        encoder: trained; what it finds in a finished frame, and the action code, shall be the target's.
        seed: of the draws.
    """

    name = "finisher"

    def __init__(self, preset: Preset, denoiser: DenoiserStage, *, encoder: FaceEncoder, seed: int = 0):
        self.preset, self.denoiser, self.seed = preset, denoiser, seed
        self.encoder = encoder.eval().requires_grad_(False)
        self.pool = denoiser.pool
        self.model = nn.ModuleDict({"finisher": create_finisher(preset)})
        denoiser.model.eval().requires_grad_(False)
        self.weights = _face_weights(preset.size)

    @property
    def device(self) -> torch.device:
        """Where the finisher is."""
        return next(self.model.parameters()).device

    def batch(self, step: int) -> dict[str, Any]:
        """Draw short stretches of clips, what the denoiser makes of them, and the references' pictures."""
        rng = np.random.default_rng((self.seed, step))
        rows = rng.choice(self.denoiser.rows, size=CLIPS)
        drawn = self.denoiser.draw(rows, min(LENGTH, self.preset.latent_frames), rng, arm="iad")
        (shown, k), stack = drawn["shown"], self.preset.frames_per_latent
        at = np.arange(drawn["stretch"].start * stack, drawn["stretch"].stop * stack)
        k = k * stack
        where = [self.pool.landmarks[i][j] for i, j in zip(shown, k, strict=True)]
        return {
            "drawn": drawn,
            "truth": torch.from_numpy(
                (rng.random(CLIPS) < LATENT_TRUTH) * rng.uniform(0.4, 1, CLIPS)
            ).float(),
            "target": to_tensor(np.stack([self.pool.clip(i)[at] for i in rows])),
            "photo": to_tensor(np.stack([self.pool.clip(i)[j] for i, j in zip(shown, k, strict=True)])),
            "landmarks": _tensor([self.pool.landmarks[i][at] for i in rows]),
            "photo_landmarks": _tensor(where),
            "hear": _tensor(rng.random(CLIPS) >= DROP_CODES),
            "gain": _tensor(
                rng.uniform(0.8, 1.2, (CLIPS, 3, 1, 1)) * rng.uniform(0.8, 1.2, (CLIPS, 1, 1, 1))
            ),
            "bias": _tensor(rng.uniform(-0.08, 0.08, (CLIPS, 3, 1, 1))),
        }

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Compare finished frames with the target; `untouched` is the denoiser's own error, only reported."""
        made, code, photo_code = self.generate(batch)
        frames, photo, target = self._recolour(batch, made)
        finisher = self.model["finisher"]
        change = finisher.look(frames, photo, code, photo_code)
        finished, motions = finisher.compose(frames, photo, change), (change.coarse, change.motion)
        warped = [warp(photo, motion) for motion in motions]
        here = batch["landmarks"].flatten(0, 1).to(self.device) * 2 - 1
        weights = self.weights.to(self.device) * _feature_weights(here, self.preset.size)
        there = _to_frames(batch["photo_landmarks"], len(photo) // CLIPS).to(self.device) * 2 - 1
        terms = {
            "pixels": _difference(finished, target, weights),
            "edges": sum(_difference(finished.diff(dim=d), target.diff(dim=d), weights) for d in (2, 3)),
            "warped": sum(_difference(w, target, weights) for w in warped),
            "coarse": (avg_pool2d(warped[0], 4) - avg_pool2d(target, 4)).abs().mean(),
            "motion": sum(_motion_error(motion, here, there) for motion in motions),
        } | self._compare_faces(finished, target)
        total = terms["pixels"] + terms["edges"] + WARP_WEIGHT * terms["warped"]
        total = total + COARSE_WEIGHT * terms["coarse"] + MOTION_WEIGHT * terms["motion"]
        total = total + FEATURES_WEIGHT * terms["features"] + ACTION_WEIGHT * terms["action"]
        return {"total": total, "untouched": _difference(frames, target, weights).detach()} | terms

    @torch.no_grad()
    def generate(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Let the denoiser make the clips in one step; returns frames, their codes and the photos' codes."""
        drawn, denoiser, stack = batch["drawn"], self.denoiser, self.preset.frames_per_latent
        drawn["keep_identity"][:] = drawn["keep_action"][:] = 1
        noise = drawn["noise"].to(self.device)
        last = torch.full((CLIPS,), self.preset.sampler.timesteps - 1, device=self.device)
        # in pure noise the velocity is the clean latents, negative
        made = -denoiser._denoise(drawn, noise, last, denoiser.conditions(drawn))
        truth = batch["truth"].to(self.device)[:, None, None, None, None]
        made = truth * drawn["latents"].to(self.device) + (1 - truth) * made
        frames = decode_latents(denoiser.autoencoder, made, stack)
        hear = batch["hear"].to(self.device)[:, None]
        reference = (x.to(self.device) for x in drawn["reference"])
        photo_code = hear * denoiser.model["decoupler"](*reference).code
        code = (hear[:, None] * denoiser.codes(drawn)).repeat_interleave(stack, dim=1)
        return frames.flatten(0, 1), code.flatten(0, 1), _to_frames(photo_code, frames.shape[1])

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show photos, the denoiser's frames, the finished ones, and the targets, a row each."""
        batch = self.batch(0)
        made, code, photo_code = self.generate(batch)
        frames, photo, target = self._recolour(batch, made)
        finished = model["finisher"](frames, photo, code, photo_code)
        rows = to_uint8(torch.stack([photo, frames, finished, target]))  # (4, n, h, w, 3)
        save_picture(path, np.concatenate([np.concatenate(list(row), axis=1) for row in rows]))

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep nothing."""
        return {}

    def _compare_faces(self, finished: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Compare what the encoder finds at three scales, and the action code that the decoupler reads."""
        with torch.no_grad():
            wanted, wanted_code = self._read(target)
        found, code = self._read(finished)
        scales = (w.std(dim=(0, 2, 3), keepdim=True).clamp(min=1e-3) for w in wanted)
        pairs = zip(found, wanted, scales, strict=True)
        return {
            "features": sum(((x - y) / scale).abs().mean() for x, y, scale in pairs),
            "action": 1 - cosine_similarity(code, wanted_code).mean(),
        }

    def _read(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        levels = self.encoder.look(crops)
        found = self.encoder.describe(crops, levels[-1])
        return levels, self.denoiser.model["decoupler"](found.vector, found.tokens).code

    def _recolour(self, batch: dict[str, Any], frames: Tensor) -> list[Tensor]:
        """Return frames, photo and target, one a frame, in the same new light."""
        count = batch["target"].shape[1]
        gain, bias = (_to_frames(batch[k], count).to(self.device) for k in ("gain", "bias"))
        photo = _to_frames(batch["photo"], count).to(self.device)
        target = batch["target"].flatten(0, 1).to(self.device)
        return [(gain * x + bias).clamp(0, 1) for x in (frames, photo, target)]


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.stack(values)).float()


def _to_frames(x: Tensor, count: int) -> Tensor:
    """Repeat what each clip has once for each of its frames: (clips, ...) to (clips * count, ...)."""
    return x.repeat_interleave(count, dim=0)


def _difference(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    return (weights[..., : x.shape[-2], : x.shape[-1]] * (x - y).abs()).mean()


def _motion_error(motion: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Compare the motion (n, 2, h, w) at landmarks (n, 68, 2) of the frame with the way to the photo's."""
    found = grid_sample(motion, here[:, :, None], align_corners=False)[..., 0].mT
    inside = ((here.abs() < 1) & (there.abs() < 1)).all(-1, keepdim=True)
    weights = torch.ones(here.shape[1], 1, device=here.device)
    for feature in (BROWS, *EYES, MOUTH):
        weights[feature] = LANDMARK_WEIGHT
    return (weights / weights.mean() * inside * (found - (there - here)).abs()).mean()


def _feature_weights(landmarks: Tensor, size: int) -> Tensor:
    """Weigh pixels (n, 1, h, w) around eyes and mouth more; landmarks (n, 68, 2) from -1 to 1."""
    centres = torch.stack([landmarks[:, feature].mean(1) for feature in (*EYES, MOUTH)], dim=1)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size, device=landmarks.device)] * 2, indexing="ij")
    far = (x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2
    reach = 2 * torch.tensor(REACH, device=landmarks.device)[:, None, None]
    return 1 + (FEATURE_WEIGHT - 1) * torch.exp(-far / (2 * reach**2)).amax(1, keepdim=True)


def _face_weights(size: int) -> Tensor:
    top, bottom, left, right = (round(edge * size) for edge in FACE)
    weights = torch.ones(size, size)
    weights[top:bottom, left:right] = FACE_WEIGHT
    return weights / weights.mean()
