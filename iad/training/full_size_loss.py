"""What full-size training minimises, what it builds before it starts, and the adapter that it leaves behind.

L = L_diffusion + lambda_ID L_ID + lambda_TA L_TA, as one module that can be wrapped. L_diffusion is the
velocity error of CogVideoX's own schedule. Its trainers weigh the error of the clean video by
1 / (1 - alpha_bar); with v-prediction that is this error. Of L_ID and L_TA remain the terms that need only
videos: orthogonality, invariance, retention and independence, contrast and match. Agreement, swap, grounding,
portrait and picture want coefficients or renders that are known, which footage does not come with: off here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from iad import checkpoint
from iad import decoupling as idea
from iad.checks import check_name
from iad.config import FullSizePreset
from iad.decoupling import Split
from iad.full_size import base as full_size
from iad.installation import check_installed
from iad.models.adapters import AdapterStates, is_adapter_key
from iad.models.closed_form import fit_erasure
from iad.training.ablations import weights_without
from iad.training.denoiser_stage import LAMBDA_ID, LAMBDA_TA
from iad.training.footage_clips import MOMENTS, Clips, flatten_moments
from iad.training.loop import STATE, part_of

TRACKERS = ("wandb", "tensorboard")
LORA = "lora_"  # in the names of its weights
LORA_TARGETS = r"transformer_blocks\.\d+\.attn1\.(to_q|to_k|to_v|to_out\.0)"
CENTRE_CLIPS = 400  # whose average identity and action are stored, at most
PEOPLE_A_DIRECTION = 8  # so many people a direction that is projected out, or it would be a person


@dataclass(frozen=True)
class FullSizeOptions:
    """What one run of training does."""

    preset: FullSizePreset
    data: Path  # a prepared folder, or the folder of videos that holds it
    output: Path
    base: str | Path | None = None  # folder or hub id; None the preset's own
    adapter: Path | None = None  # weights to begin from
    steps: int = 10_000  # counted from the very first
    minutes: float | None = None
    batch: int = 1  # clips a process and step
    accumulate: int = 1  # steps joined to one
    split_batch: int = 8  # clips whose faces L_ID and L_TA compare in every step
    learning_rate: float = 1e-4
    warmup: int = 200  # steps
    lora_rank: int = 0  # of LoRA on the base's attention; 0 trains none
    gradient_checkpointing: bool = True
    track: str | None = None  # one of `TRACKERS`
    checkpoint_every: int = 250  # steps
    log_every: int = 10
    seed: int = 0
    resume: bool = False
    without: tuple[str, ...] = ()  # terms of the loss


class FullSizeLoss(nn.Module):
    """The transformer with its adapters, the split and T; a call returns every term of the loss.

    Args:
        preset: the model size.
        split: "decoupler" and "text_action".
        pipeline: a stock `CogVideoXPipeline` around the transformer with adapters; gives schedule and rotary
            positions, too.
        without: terms of the loss that are switched off.
    """

    def __init__(
        self,
        preset: FullSizePreset,
        split: nn.ModuleDict,
        *,
        pipeline: Any,
        without: Sequence[str] = (),
    ):
        super().__init__()
        self.transformer, self.split, self.dtype = pipeline.transformer, split, pipeline.transformer.dtype
        self.preset, self.scheduler, self._pipeline = preset, pipeline.scheduler, pipeline
        self.weights = weights_without(without)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return L_diffusion, the terms of L_ID and L_TA, both sums, and the total."""
        with torch.autocast(
            batch["latents"].device.type, torch.bfloat16, enabled=self.dtype != torch.float32
        ):
            terms = {"diffusion": self._diffusion(batch)}
            compared = self._compare(batch["split"])
        terms |= self._split_terms(*compared, batch["split"])
        loss_id, loss_ta = (  # terms of weight zero stay in the graph, for DDP wants every gradient
            sum(weight * terms[key] for key, weight in vars(weights).items() if key in terms)
            for weights in self.weights
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

    def _conditions(self, batch: dict[str, Any]) -> AdapterStates:
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

    def _compare(self, batch: dict[str, Any]) -> tuple[Split, Split, Tensor]:
        """Split faces of clips at some moments, and another view of each person; let T tell the same."""
        seen, other = (self.split["decoupler"](*x) for x in (flatten_moments(batch["clip"]), batch["other"]))
        return seen, other, self.split["text_action"](**batch["text"])[:, batch["moments"]].float()

    def _split_terms(
        self, seen: Split, other: Split, told: Tensor, batch: dict[str, Any]
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
            "retention": idea.retention(one, again, batch["person"]),
            "independence": idea.independence(codes[place, place % moments], its_code),
            "contrast": idea.text_contrast(codes, told, batch["same"]),
            "match": idea.text_match(codes, told),
        }


def check_packages(options: FullSizeOptions) -> None:
    """Refuse options whose packages are not installed.

    Raises:
        ValueError: which one is missing.
    """
    if options.track:
        check_name(options.track, TRACKERS, what="tracker")
    check_installed(*(["peft"] if options.lora_rank else []), *([options.track] if options.track else []))


def fit_preset(folder: Path, clips: Clips) -> FullSizePreset:
    """Take the width and depth of a base and of its text, and the size of the clips.

    Raises:
        ValueError: the clips were prepared with another base.
    """
    found = full_size.read_preset(folder, clips.preset)
    width = clips.silence.shape[-1]
    if width != found.text.state_dim:
        raise ValueError(
            f"The clips in '{clips.folder}' have text of width {width} and this base reads "
            f"{found.text.state_dim}; prepare them with the base that they shall train."
        )
    return replace(clips.preset, base=found.base, text=found.text)


def choose_dtype(device: torch.device) -> torch.dtype:
    """Return the precision of the frozen base; processors have no fast bfloat16."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def create_loss(options: FullSizeOptions, folder: Path, *, device: torch.device) -> FullSizeLoss:
    """Load the base from its folder, put adapters on it, and let nothing of the base be trained."""
    preset = options.preset
    unused = dict.fromkeys(("vae", "text_encoder", "tokenizer"))
    pipeline = full_size.load_base(folder, preset, dtype=choose_dtype(device), **unused)
    split = full_size.create_full_split(preset, seed=options.seed)
    transformer = pipeline.transformer
    if options.adapter:
        source = Path(options.adapter)
        full_size.check_base(full_size.load_adapter_preset(source).base, preset.base, folder=source)
        full_size.load_split(split, source)
        full_size.load_adapters(transformer, source)
        split["decoupler"].erase_from.zero_()  # found anew at the end
    if options.lora_rank:
        _add_lora(transformer, options)
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad_(is_adapter_key(name) or LORA in name)
    model = FullSizeLoss(preset, split, pipeline=pipeline, without=options.without)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # small steps vanish in bfloat16
    if options.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    return model.train()


def _add_lora(transformer: nn.Module, options: FullSizeOptions) -> None:
    from peft import LoraConfig

    config = LoraConfig(r=options.lora_rank, lora_alpha=options.lora_rank, target_modules=LORA_TARGETS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        transformer.add_adapter(config)


def write_adapter(options: FullSizeOptions, clips: Clips, *, device: torch.device) -> Path:
    """Write the adapter folder from the last checkpoint, whatever the model was wrapped in."""
    weights = part_of(checkpoint.read_tensors(options.output / STATE), "model.")
    parts = {
        part: {k.removeprefix(part): v for k, v in weights.items() if k.startswith(part)}
        for part in ("split.", "transformer.")
    }
    split = full_size.create_full_split(options.preset).to(device)
    split.load_state_dict(parts["split."], strict=False)  # buffers are not trained, `centre` fills them
    centre(split["decoupler"], clips, seed=options.seed)
    adapters = {k: v for k, v in parts["transformer."].items() if is_adapter_key(k)}
    lora = {k.replace(".default.", "."): v for k, v in parts["transformer."].items() if LORA in k}
    folder = options.output / "adapter"
    checkpoint.save_preset(folder, options.preset)
    large = {"shard_size": full_size.SHARD_SIZE}
    checkpoint.save_part(folder, full_size.SPLIT, split.state_dict(), **large)
    checkpoint.save_part(folder, full_size.ADAPTERS, adapters, **large)
    if lora:
        from diffusers import CogVideoXPipeline

        CogVideoXPipeline.save_lora_weights(folder, transformer_lora_layers=lora)
    return folder


@torch.no_grad()
def centre(decoupler: nn.Module, clips: Clips, *, seed: int) -> None:
    """Store the average identity and action, and what of i still changes within a person, to be erased."""
    rng, device = np.random.default_rng(seed), decoupler.queries.device
    decoupler.erase_from.zero_()
    rows = rng.permutation(len(clips))[:CENTRE_CLIPS].tolist()
    count = clips.preset.latent_frames
    moments = sorted({round(k) for k in np.linspace(0, count - 1, MOMENTS).tolist()})
    faces = (flatten_moments(clips.faces([row], moments)) for row in rows)
    parts = [decoupler(*(x.to(device) for x in features)) for features in faces]
    together = torch.cat([part.identity for part in parts])
    decoupler.mean_identity.copy_(together.mean(0))
    decoupler.mean_action.copy_(torch.cat([part.action for part in parts]).mean(0))
    person = torch.from_numpy(clips.person[rows]).to(device).repeat_interleave(len(moments))
    most = decoupler.erase_from.shape[1]
    rank = min(most, len(person.unique()) // PEOPLE_A_DIRECTION)
    if rank:
        first, second = fit_erasure(together.flatten(1), person, rank)
        decoupler.erase_from[:, :rank].copy_(first)
        decoupler.erase_to[:rank].copy_(second)
