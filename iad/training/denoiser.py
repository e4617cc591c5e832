"""Stages 4 and 5: the base transformer without identity, and the adapters with the split still learning.

L = L_diffusion + lambda_ID L_ID + lambda_TA L_TA. Action tokens come half from the prompt through T, half
from another person in the same take; never from the target's own frames, which would hand over the answer.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from iad.autoencoder import decode_latents, to_uint8
from iad.config import Preset
from iad.training.decoupler import DecouplerStage
from iad.training.pool import Pool
from iad.training.prepare import VIEWS, Prepared
from iad.transformer import create_scheduler, create_transformer, is_adapter_key
from iad.video import save_picture

Part = Literal["base", "adapters", "joint"]

LAMBDA_ID, LAMBDA_TA = 0.1, 0.1
SPLIT_EVERY = 4  # steps between two evaluations of L_ID and L_TA, which then count so many times
DROP_TEXT, DROP_IDENTITY, DROP_ACTION = 0.1, 0.1, 0.1
# The conditions almost determine the picture, so most is decided in pure noise; few steps then suffice.
PURE_NOISE = 0.85
FACE_WEIGHT = 4.0  # the face says what is done, and takes a quarter of the frame
# Short stretches of a clip cost less and show more people and faces an hour: latent frames -> (share, batch).
STRETCHES = {2: (0.4, 24), 4: (0.3, 16), 8: (0.3, 10)}


class DenoiserStage:
    """Trains the transformer's base, its adapters, or both at once."""

    def __init__(
        self, preset: Preset, split: DecouplerStage, *, part: Part, autoencoder: nn.Module, seed: int = 0
    ):
        self.name, self.preset, self.part, self.seed = part, preset, part, seed
        self.split, self.autoencoder = split, autoencoder
        self.pool: Pool = split.pool
        self.prepared: Prepared = split.prepared
        self.partner = _partners(split)
        self.scheduler = create_scheduler(preset)
        self.weights = _picture_weights(preset, autoencoder)
        self.model = nn.ModuleDict({"transformer": create_transformer(preset)})
        if part != "base":
            self.model.update(split.model)
        split.model = self.model
        for key, parameter in self.model["transformer"].named_parameters():
            parameter.requires_grad_(part == "joint" or is_adapter_key(key) == (part == "adapters"))

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.model.parameters()).device

    def batch(self, step: int) -> dict[str, Any]:
        """Draw stretches of clips of one length, and now and then a batch for the split."""
        rng = np.random.default_rng((self.seed, step))
        lengths = [n for n in STRETCHES if n <= self.preset.latent_frames]
        shares = np.array([STRETCHES[n][0] for n in lengths])
        length = int(rng.choice(lengths, p=shares / shares.sum()))
        return self.draw(rng.choice(list(self.partner), size=STRETCHES[length][1]), length, rng) | {
            "split": self.split.batch(step) if self.part != "base" and step % SPLIT_EVERY == 0 else None
        }

    def draw(self, rows: np.ndarray, length: int, rng: np.random.Generator) -> dict[str, Any]:
        """Collect targets, reference views, driving frames and words for these clips."""
        start = int(rng.integers(self.preset.latent_frames - length + 1))
        stack, count = self.preset.frames_per_latent, len(rows)
        latents = self.split._tensor("latents", rows)[:, start * stack : (start + length) * stack]
        reference = np.array([self.partner[i][0] for i in rows])
        driver = np.array([self.partner[i][1] for i in rows])
        features = self.split._stack(("global", "tokens"), driver)
        captions = [str(rng.choice(self.pool.records[i]["captions"])) for i in rows]
        captions = ["" if rng.random() < DROP_TEXT else c for c in captions]
        sentence = [self.prepared.sentence[c] for c in captions]
        keep = rng.random((2, len(rows))) >= np.array([[DROP_IDENTITY], [DROP_ACTION]])
        noise = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        latents = latents.unflatten(1, (length, stack)).flatten(2, 3)
        return {
            "latents": latents,
            "noise": torch.randn(latents.shape, generator=noise),
            "level": torch.from_numpy(np.where(rng.random(count) < PURE_NOISE, 1, rng.random(count) ** 0.4)),
            "view": self.split._stack(("viewglobal", "views"), reference, rng.integers(VIEWS, size=count)),
            "driver": tuple(x[:, start : start + length] for x in features),
            "from_text": torch.from_numpy(rng.random(len(rows)) < 0.5),
            "text": self.split.text_batch(rows, rng),
            "stretch": slice(start, start + length),
            "states": torch.from_numpy(self.prepared.states[sentence].astype(np.float32)),
            "keep_identity": torch.from_numpy(keep[0]).float(),
            "keep_action": torch.from_numpy(keep[1]).float(),
        }

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Compare the predicted velocity with the true one; add the split's losses where it has a batch."""
        last = self.preset.sampler.timesteps - 1
        latents, noise = batch["latents"].to(self.device), batch["noise"].to(self.device)
        t = (batch["level"].to(self.device) * last).round().long()
        noisy = self.scheduler.add_noise(latents, noise, t)
        velocity = self.scheduler.get_velocity(latents, noise, t)
        output = self.model["transformer"](
            noisy, batch["states"].to(self.device), t, attention_kwargs=self.conditions(batch)
        ).sample
        terms = {"diffusion": (self.weights.to(self.device) * (output - velocity).pow(2)).mean()}
        total = terms["diffusion"]
        if batch["split"] is not None:
            split = self.split.losses(batch["split"], step)
            split.pop("total")
            terms |= split
            total = total + SPLIT_EVERY * (LAMBDA_ID * split["L_ID"] + LAMBDA_TA * split["L_TA"])
        return {"total": total} | terms

    def conditions(self, batch: dict[str, Any]) -> dict[str, Any] | None:
        """Turn a batch's reference views, drivers and words into what the adapters attend to."""
        if self.part == "base":
            return None
        decoupler = self.model["decoupler"]
        identity = decoupler(*(x.to(self.device) for x in batch["view"])).identity
        shown = self.split._split_frames(batch["driver"]).code
        told = self.split.text_codes(batch["text"])[:, batch["stretch"]]
        code = torch.where(batch["from_text"].to(self.device)[:, None, None], told, shown)
        states = self.model["transformer"].adapt(
            identity,
            decoupler.expand(code),
            identity_scale=batch["keep_identity"].to(self.device),
            action_scale=batch["keep_action"].to(self.device),
        )
        return {"adapter": states}

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show four clips in two rows each, the reference first: the target, a sample from words alone."""
        rng = np.random.default_rng(0)
        rows = np.array(list(self.partner))[:: max(1, len(self.partner) // 4)][:4]
        batch = self.draw(rows, self.preset.latent_frames, rng)
        batch["from_text"][:] = True
        batch["keep_identity"][:] = batch["keep_action"][:] = 1
        trained, self.model, self.split.model = self.model, model, model
        latents = self._sample(batch)
        self.model, self.split.model = trained, trained
        stack = self.preset.frames_per_latent
        both = [x.to(self.device) for x in (batch["latents"], latents)]
        frames = [decode_latents(self.autoencoder, x, stack) for x in both]
        views = [self.pool.clip(self.partner[i][0])[8 % self.preset.frames] for i in rows]
        sheets = []
        for k, view in enumerate(views):
            for clip in frames:
                sheets.append(np.concatenate([view, *to_uint8(clip[k])[::2]], axis=1))
        save_picture(path, np.concatenate(sheets))

    def _sample(self, batch: dict[str, Any]) -> Tensor:
        self.scheduler.set_timesteps(self.preset.sampler.steps, device=self.device)
        latents, states = batch["noise"].to(self.device), batch["states"].to(self.device)
        kwargs = self.conditions(batch)
        for t in self.scheduler.timesteps:
            step = t.expand(len(latents))
            velocity = self.model["transformer"](latents, states, step, attention_kwargs=kwargs).sample
            latents = self.scheduler.step(velocity, t, latents).prev_sample
        return latents

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep what the split's own stage keeps; nothing of the base, which has no split."""
        return {} if self.part == "base" else self.split.snapshot(model)


def _picture_weights(preset: Preset, autoencoder: nn.Module) -> Tensor:
    """Weigh latents (c, y, x) by what they make of the picture, and the face more than its surroundings."""
    channels = autoencoder.weights().repeat(preset.frames_per_latent)[:, None, None]
    side = preset.latent_size
    place = torch.ones(side, side)
    place[3 * side // 8 : 7 * side // 8, side // 4 : 3 * side // 4] = FACE_WEIGHT  # eyes to chin
    return channels * place / place.mean()


def _partners(split: DecouplerStage) -> dict[int, tuple[int, int]]:
    """Map every clip to (the same person in the other take, the other person in the same take)."""
    partners = {}
    for group in split.groups.index:
        for slot in (0, 1):
            for take in (0, 1):
                partners[int(group[slot, take])] = (int(group[slot, 1 - take]), int(group[1 - slot, take]))
    return partners
