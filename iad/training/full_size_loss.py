"""L = L_diffusion + lambda_ID L_ID + lambda_TA L_TA at full size, as one module that can be wrapped.

L_diffusion is the velocity error of CogVideoX's own schedule. Its trainers weigh the error of the clean video
by 1 / (1 - alpha_bar); with v-prediction that is this error. Of L_ID and L_TA remain the terms that need only
videos: orthogonality, invariance, retention and independence, contrast and match. Agreement, swap, grounding,
portrait and picture want coefficients or renders that are known, which footage does not come with: off here.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from iad import decoupling as idea
from iad.config import FullSizePreset
from iad.decoupling import IdentityWeights, Split, TextWeights
from iad.training.denoiser import LAMBDA_ID, LAMBDA_TA
from iad.training.footage_clips import flatten_moments
from iad.transformer import IaDTransformer3DModel


class FullSizeLoss(nn.Module):
    """The transformer with its adapters, the split and T; a call returns every term of the loss.

    Args:
        preset: the model size.
        transformer: the base with adapters.
        split: "decoupler" and "text_action".
        pipeline: a stock `CogVideoXPipeline` around the transformer; gives schedule and rotary positions.
        identity_weights: of the terms of L_ID; zero switches one off.
        text_weights: of the terms of L_TA.
    """

    def __init__(
        self,
        preset: FullSizePreset,
        transformer: IaDTransformer3DModel,
        split: nn.ModuleDict,
        *,
        pipeline: Any,
        identity_weights: IdentityWeights = IdentityWeights(),
        text_weights: TextWeights = TextWeights(),
    ):
        super().__init__()
        self.transformer, self.split, self.dtype = transformer, split, transformer.dtype
        self.preset, self.scheduler, self._pipeline = preset, pipeline.scheduler, pipeline
        self.identity_weights, self.text_weights = identity_weights, text_weights

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return L_diffusion, the terms of L_ID and L_TA, both sums, and the total."""
        with torch.autocast(
            batch["latents"].device.type, torch.bfloat16, enabled=self.dtype != torch.float32
        ):
            found = self._diffusion(batch)
            compared = self._compare(batch["split"])
        terms = {"diffusion": found} | self._split_terms(**compared)
        loss_id, loss_ta = (  # terms of weight zero stay in the graph, for DDP wants every gradient
            sum(weight * terms[key] for key, weight in vars(weights).items() if key in terms)
            for weights in (self.identity_weights, self.text_weights)
        )
        total = terms["diffusion"] + LAMBDA_ID * loss_id + LAMBDA_TA * loss_ta
        return {"total": total, "L_ID": loss_id, "L_TA": loss_ta} | terms

    def _diffusion(self, batch: dict[str, Any]) -> Tensor:
        latents, noise = batch["latents"], batch["noise"]
        steps = self.scheduler.config.num_train_timesteps
        t = (batch["level"] * steps).long().clamp(max=steps - 1)
        noisy = self.scheduler.add_noise(latents, noise, t)
        velocity = self.scheduler.get_velocity(latents, noise, t)
        found = self.transformer(
            noisy.to(self.dtype),
            batch["states"].to(self.dtype),
            t,
            image_rotary_emb=self._positions(latents),
            attention_kwargs={"adapter": self._conditions(batch)},
        ).sample
        return (found.float() - velocity).pow(2).mean()

    def _positions(self, latents: Tensor) -> tuple[Tensor, Tensor] | None:
        if not self.transformer.config.use_rotary_positional_embeddings:
            return None
        return self._pipeline._prepare_rotary_positional_embeddings(
            self.preset.height, self.preset.width, latents.shape[1], latents.device
        )

    def _conditions(self, batch: dict[str, Any]):
        identity = self.split["decoupler"](*batch["reference"]).identity
        codes = self.split["text_action"](**batch["text"])
        driven = batch["driven"]
        if batch["driver"] is not None:
            with torch.no_grad():  # a driver shows what T shall say; it does not teach the split
                shown = self._codes(batch["driver"])
            codes = codes.masked_scatter(driven[:, None, None], shown.to(codes.dtype))
        return self.transformer.adapt(
            identity.to(self.dtype),  # so that the blocks go on in the base's precision
            self.split["decoupler"].expand(codes).to(self.dtype),
            frames=batch["latents"].shape[1],
            identity_scale=batch["keep_identity"],
            action_scale=batch["keep_action"],
        )

    def _codes(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """Return action codes (b, m, c) of faces (b, m)."""
        code = self.split["decoupler"](*flatten_moments(features)).code
        return rearrange(code, "(b m) c -> b m c", b=len(features[0]))

    def _compare(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Split faces of clips at some moments, and another view of each person; let T tell the same."""
        return {
            "seen": self.split["decoupler"](*flatten_moments(batch["clip"])),
            "other": self.split["decoupler"](*batch["other"]),
            "told": self.split["text_action"](**batch["text"])[:, batch["moments"]].float(),
            "person": batch["person"],
            "same": batch["same"],
        }

    def _split_terms(
        self, seen: Split, other: Split, told: Tensor, person: Tensor, same: Tensor
    ) -> dict[str, Tensor]:
        """Return the terms that footage allows, in full precision."""
        clips, moments = told.shape[:2]
        identity, action, code = seen.identity.float(), seen.action.float(), seen.code.float()
        by_clip = rearrange(identity, "(b m) q d -> b m q d", b=clips)
        place = torch.arange(clips, device=code.device)
        one = by_clip[place, place % moments]  # every clip at a moment of its own
        codes = rearrange(code, "(b m) c -> b m c", b=clips)
        again, its_code = other.identity.float(), other.code.float()
        return {
            "orthogonality": idea.orthogonality(identity, action),
            "invariance": idea.invariance(one, again),
            "retention": idea.retention(one, again, person),
            "independence": idea.independence(codes[place, place % moments], its_code),
            "contrast": idea.text_contrast(codes, told, same),
            "match": idea.text_match(codes, told),
        }
