"""Stages: the base transformer without identity, and the adapters with the split still learning.

L = L_diffusion + lambda_ID L_ID + lambda_TA L_TA, with L_diffusion at the last timestep alone
(`iad.models.predicting`). Action tokens come half from the prompt through T, half from another person in the
same take; never from the target's own frames, which would hand over the answer. Several arms take turns, one
a step, so that the base they share favours none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from iad.config import Preset
from iad.models.adapters import is_adapter_key
from iad.models.autoencoder import decode_latents, to_uint8
from iad.models.baselines import RECIPES, Recipe, create_baseline, crop_condition
from iad.models.transformer import create_transformer
from iad.training.decoupler_stage import DecouplerStage
from iad.training.loop import Stage, to_device

Part = Literal["base", "adapters", "joint"]

LAMBDA_ID, LAMBDA_TA = 0.1, 0.1
SPLIT_EVERY = 2  # turns of iad between two evaluations of L_ID and L_TA, which then count so many times
DROP_TEXT, DROP_IDENTITY, DROP_ACTION = 0.1, 0.1, 0.1
FACE_WEIGHT = 4.0  # the face says what is done, and takes a quarter of the frame
# Short stretches of a clip cost less and show more people and faces an hour: latent frames -> (share, batch).
STRETCHES = {2: (0.4, 24), 4: (0.3, 16), 8: (0.3, 10)}
IAD = Recipe(same_clip=False, actions=True)


class DenoiserStage(Stage):
    """Trains the transformer's base, its adapters, or both at once."""

    def __init__(
        self,
        preset: Preset,
        split: DecouplerStage,
        *,
        part: Part,
        autoencoder: nn.Module,
        arms: Sequence[str] = ("iad",),
        times: int = 1,
        seed: int = 0,
    ):
        self.name, self.preset, self.part, self.seed = part, preset, part, seed
        self.split, self.autoencoder = split, autoencoder
        self.arms, self.times = tuple(arms), times
        self.pool, self.prepared = split.pool, split.prepared
        self.partner = _partners(split)
        self.rows = np.array(list(self.partner))
        self.weights = _picture_weights(preset, autoencoder)
        self.model = nn.ModuleDict({"transformer": create_transformer(preset)})
        if part != "base":
            self.model.update(split.model)
            baselines = [arm for arm in self.arms if arm != "iad"]
            self.model.update({a: create_baseline(a, preset, self.model["transformer"]) for a in baselines})
        split.model = self.model
        for key, parameter in self.model.named_parameters():
            if ".transformer_blocks." in key or key.startswith("transformer."):
                parameter.requires_grad_(part == "joint" or is_adapter_key(key) == (part == "adapters"))

    def batch(self, step: int) -> dict[str, Any]:
        """Draw stretches of clips of one length for the arm whose turn it is; now and then for the split."""
        turn, place = divmod(step, len(self.arms))
        rng = np.random.default_rng((self.seed, turn))  # every arm sees the same targets in its turn
        lengths = [n for n in STRETCHES if n <= self.preset.latent_frames]
        shares = np.array([STRETCHES[n][0] for n in lengths])
        length = int(rng.choice(lengths, p=shares / shares.sum()))
        arm = self.arms[place]
        due = self.part != "base" and arm == "iad" and turn % SPLIT_EVERY == 0
        batch = self.draw(rng.choice(self.rows, size=self.times * STRETCHES[length][1]), length, rng, arm=arm)
        return batch | {"split": self.split.batch(turn) if due else None}

    def draw(
        self, rows: Int[np.ndarray, " b"], length: int, rng: np.random.Generator, *, arm: str
    ) -> dict[str, Any]:
        """Collect targets, references, driving frames and words for these clips."""
        start = int(rng.integers(self.preset.latent_frames - length + 1))
        stack = self.preset.frames_per_latent
        latents = self.split.read("latents", rows)[:, start * stack : (start + length) * stack]
        driver = np.array([self.partner[i][1] for i in rows])
        features = self.split.features(driver)
        captions = [str(rng.choice(self.pool.records[i]["captions"])) for i in rows]
        captions = ["" if rng.random() < DROP_TEXT else c for c in captions]
        sentence = [self.prepared.sentence[c] for c in captions]
        keep = rng.random((2, len(rows))) >= np.array([[DROP_IDENTITY], [DROP_ACTION]])
        latents = latents.unflatten(1, (length, stack)).flatten(2, 3)
        return {
            "arm": arm,
            "latents": latents,
            "driver": tuple(x[:, start : start + length] for x in features),
            "from_text": torch.from_numpy(rng.random(len(rows)) < 0.5),
            "text": self.split.text_batch(rows, rng),
            "stretch": slice(start, start + length),
            "states": torch.from_numpy(self.prepared.states[sentence].astype(np.float32)),
            "keep_identity": torch.from_numpy(keep[0]).float(),
            "keep_action": torch.from_numpy(keep[1]).float(),
        } | self._references(rows, rng, RECIPES.get(arm, IAD))

    def _references(self, rows: np.ndarray, rng: np.random.Generator, recipe: Recipe) -> dict[str, Any]:
        """Draw a reference a clip; with the crop go the features of the very frame it was cut from."""
        shown = rows if recipe.same_clip else np.array([self.partner[i][0] for i in rows])
        k = rng.integers(self.preset.latent_frames, size=len(rows))
        references = {"reference": self.split.features(shown, k), "shown": (shown, k)}
        if recipe.crop:
            references["crop"] = self.split.read("latents", shown, k * self.preset.frames_per_latent)
        return references

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Compare the predicted clip with the true one; add the split's losses where it has a batch."""
        predicted = self._predict(batch, self.conditions(batch))
        total = (self.weights.to(self.device) * (predicted - batch["latents"]).pow(2)).mean()
        terms = {"diffusion" if batch["arm"] == "iad" else f"diffusion {batch['arm']}": total}
        if batch["split"] is not None:
            with torch.autocast(self.device.type, enabled=False):  # small differences of large sums
                split = self.split.losses(batch["split"], step)
            split.pop("total")
            terms |= split
            total = total + SPLIT_EVERY * (LAMBDA_ID * split["L_ID"] + LAMBDA_TA * split["L_TA"])
        return {"total": total} | terms

    def _predict(self, batch: dict[str, Any], kwargs: dict | None) -> Tensor:
        """Predict clean latents as `iad.models.predicting` does."""
        arm, latents = batch["arm"], batch["latents"]
        transformer = self.model[arm].transformer if arm in RECIPES else self.model["transformer"]
        rows = torch.zeros(latents.shape, device=self.device)
        if "crop" in batch:
            crop = batch["keep_identity"][:, None, None, None] * batch["crop"]
            crop = crop_condition(crop, frames=latents.shape[1], stack=self.preset.frames_per_latent)
            rows = torch.cat([rows, crop], dim=2)
        last = torch.full((len(rows),), self.preset.sampler.timesteps - 1, device=self.device)
        return -transformer(rows, batch["states"], last, attention_kwargs=kwargs).sample

    def conditions(self, batch: dict[str, Any]) -> dict[str, Any] | None:
        """Turn a batch's references, drivers and words into what the adapters of its arm attend to."""
        if self.part == "base":
            return None
        arm, decoupler, reference = batch["arm"], self.model["decoupler"], batch["reference"]
        if arm == "iad":
            transformer, identity = self.model["transformer"], decoupler(*reference).identity
        else:
            transformer, identity = self.model[arm].transformer, self.model[arm].reader.read(*reference)
        states = transformer.adapt(
            identity,
            self._actions(batch) if RECIPES.get(arm, IAD).actions else None,
            frames=batch["latents"].shape[1],
            identity_scale=batch["keep_identity"],
            action_scale=batch["keep_action"],
        )
        return {"adapter": states}

    def _actions(self, batch: dict[str, Any]) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and batch["arm"] == "iad"):
            return self.model["decoupler"].expand(self.codes(batch))

    def codes(self, batch: dict[str, Any]) -> Tensor:
        """Return action codes (b, f, c), half of them told by T; only iad's own turns teach split and T."""
        by_word = batch["from_text"]
        codes = self.model["text_action"](**batch["text"])[:, batch["stretch"]].clone()
        if not by_word.all():
            with torch.no_grad():
                driver = tuple(x[~by_word] for x in batch["driver"])
                codes[~by_word] = self.split.split_frames(driver).code
        return codes

    def picture(self, model: nn.Module) -> Sequence[Iterable[np.ndarray]]:
        """Show three clips, each with its reference first: the target, then every arm's from words alone."""
        rows = self.rows[:: max(1, len(self.rows) // 3)][:3]
        trained, self.model, self.split.model = self.model, model, model
        drawn = {arm: self._picture(rows, arm) for arm in self.arms}
        self.model, self.split.model = trained, trained
        sheet, stack = [], self.preset.frames_per_latent
        for k, i in enumerate(rows):
            view = self.pool.clip(self.partner[i][0])[8 % self.preset.frames]
            sheet.append([view, *self.pool.clip(i)[::2]])
            for latents in drawn.values():
                frames = decode_latents(self.autoencoder, latents[k : k + 1].to(self.device), stack)
                sheet.append([view, *to_uint8(frames[0])[::2]])
        return sheet

    def _picture(self, rows: np.ndarray, arm: str) -> Tensor:
        """Predict clips of the same people's other take, from words alone."""
        batch = self.draw(rows, self.preset.latent_frames, np.random.default_rng(0), arm=arm)
        if RECIPES.get(arm, IAD).same_clip:  # what counts is a reference that shows another action
            recipe = replace(RECIPES[arm], same_clip=False)
            batch |= self._references(rows, np.random.default_rng(0), recipe)
        batch["from_text"][:] = True
        batch["keep_identity"][:] = batch["keep_action"][:] = 1
        batch = to_device(batch, self.device)
        return self._predict(batch, self.conditions(batch))

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep what the split's own stage keeps; nothing of the base, which has no split."""
        return {} if self.part == "base" else self.split.snapshot(model)


def _picture_weights(preset: Preset, autoencoder: nn.Module) -> Tensor:
    """Weigh latents (c, y, x) by what they make of the picture, and the face more than its surroundings."""
    channels = autoencoder.weights().cpu().repeat(preset.frames_per_latent)[:, None, None]
    side = preset.latent_size
    place = torch.ones(side, side)
    place[3 * side // 8 : 7 * side // 8, side // 4 : 3 * side // 4] = FACE_WEIGHT  # eyes to chin
    return channels * place / place.mean()


def _partners(split: DecouplerStage) -> dict[int, tuple[int, int]]:
    """Map every clip to (the same person in the other take, the other person in the same take)."""
    return {
        int(group[slot, take]): (int(group[slot, 1 - take]), int(group[1 - slot, take]))
        for group in split.groups
        for slot in (0, 1)
        for take in (0, 1)
    }
