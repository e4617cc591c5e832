"""`python -m iad train STAGE`: what each stage reads, trains and writes.

A training folder holds one folder a stage (`autoencoder/`, `encoder/`, ...) with log, checkpoint, pictures
and snapshots, and `weights/`, which `IaDPipeline.from_pretrained` reads and every finished stage adds to.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from iad import checkpoint
from iad.config import PRESETS, Preset
from iad.decoupling import IdentityWeights, TextWeights
from iad.parts import arm_part, create_parts, load_parts, split_parts
from iad.portraits.stills import load_stills
from iad.text import create_text_encoder, load_text_encoder
from iad.training.ablations import train_ablations
from iad.training.autoencoder import AutoencoderStage
from iad.training.decoupler import DecouplerStage
from iad.training.denoiser import DenoiserStage
from iad.training.encoder import EncoderStage
from iad.training.geometry import make_geometry
from iad.training.loop import LoopConfig, Stage, enlarge, fit, get_device
from iad.training.performing import train_performing
from iad.training.plan import PLAN, STAGES, Amounts
from iad.training.pool import Pool, check_shards, load_pool, thin_out
from iad.training.prepare import Prepared, forget, open_prepared, prepare_shard, prepare_text, sentences_of
from iad.training.reading import ReaderStage
from iad.training.recogniser import train_recognised
from iad.training.refining import RefinerStage
from iad.training.refining_pairs import load_pairs
from iad.training.rendering import count_animated, count_cores
from iad.training.scorers import train_scorers

RECOGNISER_CLIPS = 240  # that tell what a track is as a code


@dataclass(frozen=True)
class Options:
    """What the command line says of one stage's run.

    Attributes:
        minutes: of this run, or with `total` of all runs of the stage together.
        arms: that take turns in the stages adapters and joint.
        amounts: how much data there is to be made; those of the preset by default.
        checkpoint_minutes: between two checkpoints.
        should_stop: see `LoopConfig`.
        begun: by the monotonic clock, where the minutes are also those of what comes before the first step.
    """

    data: Path
    output: Path
    minutes: float = 10.0
    total: bool = False
    resume: bool = False
    seed: int = 0
    max_steps: int | None = None
    arms: tuple[str, ...] = ("iad",)
    identity_weights: IdentityWeights = IdentityWeights()
    text_weights: TextWeights = TextWeights()
    amounts: Amounts = Amounts()
    checkpoint_minutes: float = 4.0
    should_stop: Callable[[], bool] | None = None
    begun: float | None = None

    def loop(self, stage: str, *, part: str = "", share: float = 1.0, **more: Any) -> LoopConfig:
        """Say how a stage runs through `fit`: what its row of the plan and these options say.

        Args:
            stage: a name in `PLAN`.
            part: of several that the stage trains, each in a folder of its own.
            share: of the minutes.
            more: other fields of `LoopConfig`.
        """
        row, minutes = PLAN[stage], self.minutes * share
        if self.begun is not None and not part:
            minutes = max(minutes - (time.monotonic() - self.begun) / 60, minutes / 4)
        given: dict[str, Any] = {
            "learning_rate": row.learning_rate,
            "precision": row.precision,
            "workers": min(row.workers, count_cores() - 1) if get_device().type == "cuda" else 0,
            "picture_minutes": min(5.0, max(minutes / 3, 0.2)),
        }
        shared = ("total", "resume", "seed", "max_steps", "checkpoint_minutes", "should_stop")
        given |= {name: getattr(self, name) for name in shared}
        return LoopConfig(output=self.output / stage / part, minutes=minutes, **(given | more))


def train(stage: str, *, preset: str | Preset, options: Options) -> Path:
    """Train one stage and add its averaged weights to `options.output / "weights"`; returns that folder.

    Raises:
        ValueError: unknown stage, or weights of an earlier stage are missing.
        FileNotFoundError: there is no pool of clips.
    """
    preset = PRESETS[preset] if isinstance(preset, str) else preset
    if stage not in STAGES:
        raise ValueError(f"Unknown stage {stage!r}; choose one of {', '.join(STAGES)}.")
    _open_many_files()
    torch.manual_seed(options.seed)  # the first weights
    if stage == "geometry":
        return make_geometry(options.output)
    if stage == "scorers":
        return train_scorers(preset, options)
    if stage == "performing":
        return train_performing(preset, options)
    weights = options.output / "weights"
    parts = create_parts(preset)
    _load(parts, weights, stage, options)
    bound = f"{options.max_steps} steps" if options.max_steps else f"{options.minutes:.3g} minutes"
    print(f"Stage {stage!r} of preset {preset.name!r}, {bound}, clips from {options.data}", flush=True)
    if stage == "ablations":
        pool = load_pool(options.data)
        prepare(options.data, preset, parts)
        prepared = open_prepared(options.data, pool)
        make = partial(_create_decoupler, preset, pool, prepared, parts, options.seed)
        return train_ablations(make, preset=preset, options=options)
    if stage == "recogniser":
        checkpoint.save_preset(weights, preset)
        pool = thin_out(load_pool(options.data), RECOGNISER_CLIPS, seed=options.seed)
        recognised = train_recognised(parts, pool, options)
        checkpoint.save_part(weights, "recogniser", recognised.state_dict(), half=True)
        return weights
    learner = _create_stage(stage, preset, parts, options)
    # so that all arms are heard
    config = options.loop(stage, log_every=20 if len(options.arms) == 1 else 2 * len(options.arms) + 1)
    trained = fit(learner, config)
    if "decoupling" in PLAN[stage].writes:
        getattr(learner, "split", learner).centre(trained)
    for name, module in trained.items():
        if name in parts:
            parts[name].load_state_dict(module.state_dict())
    checkpoint.save_preset(weights, preset)
    for name, state in split_parts(parts).items():
        if name in PLAN[stage].writes:
            checkpoint.save_part(weights, name, state)
    for arm in _baselines(stage, options):
        checkpoint.save_part(weights, arm_part(arm), trained[arm].own_state())
    return weights


def _open_many_files() -> None:
    """Ask for as many open files as there may be: a shard has nine, and so has a batch from a worker."""
    with suppress(ImportError, OSError, ValueError):  # not every system has such a limit
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _baselines(stage: str, options: Options) -> list[str]:
    return [arm for arm in options.arms if arm != "iad"] if stage in ("adapters", "joint") else []


def _load(parts: nn.ModuleDict, weights: Path, stage: str, options: Options) -> None:
    """Fill the networks that have weights; what a resumed stage was just writing, its checkpoint holds."""
    have = [name for name in split_parts(parts) if weights.is_dir() and checkpoint.has_part(weights, name)]
    if options.resume and (options.output / stage / "checkpoint").is_dir():
        torn = [n for n in have if n in PLAN[stage].writes and not checkpoint.is_sound(weights, n)]
    else:
        torn = []
    missing = [name for name in PLAN[stage].needs if name not in have]
    if missing:
        names = ", ".join(missing)
        raise ValueError(f"Stage {stage!r} needs weights of {names} in {weights}; train those stages first.")
    have = [name for name in have if name not in torn]
    if have:
        load_parts(parts, weights, only=have)


def _create_stage(stage: str, preset: Preset, parts: nn.ModuleDict, options: Options) -> Stage:
    times = enlarge(stage)
    if stage == "reader":
        stills = load_stills(
            options.data / "stills",
            seed=options.seed,
            people=options.amounts.people,
            animated=count_animated(options.amounts),
        )
        learner = ReaderStage(preset, stills, batch_size=24 * times, seed=options.seed)
        weights = options.output / "weights"
        if checkpoint.is_sound(weights, "reader"):
            _begin_from(learner.model, parts)
        elif checkpoint.has_part(weights, "encoder"):  # which has the same trunk, and has seen faces
            learner.model["reader"].trunk.load_state_dict(parts["encoder"].trunk.state_dict())
        return learner
    if stage == "refiner":
        limits = {"people": options.amounts.people, "minutes": options.minutes / 4}
        pairs = load_pairs(options.data / "pairs", parts["reader"].eval(), seed=options.seed, **limits)
        learner = RefinerStage(preset, pairs, parts["reader"], batch_size=12 * times, seed=options.seed)
        _begin_from(learner.model, parts)
        return learner
    pool = load_pool(options.data)
    if stage == "autoencoder":
        learner = AutoencoderStage(preset, pool, batch_size=16 * times, seed=options.seed)
    elif stage == "encoder":
        learner = EncoderStage(preset, pool, batch_size=32 * times, seed=options.seed)
    else:
        prepare(options.data, preset, parts)
        prepared = open_prepared(options.data, pool)
        weights = (options.identity_weights, options.text_weights)
        learner = _create_decoupler(preset, pool, prepared, parts, options.seed, *weights)
    if stage in ("base", "adapters", "joint"):
        _begin_from(learner.model, parts)
        learner = DenoiserStage(
            preset,
            learner,
            part=stage,
            autoencoder=parts["autoencoder"],
            arms=options.arms,
            times=times,
            seed=options.seed,
        )
    weights = options.output / "weights"
    if stage not in ("autoencoder", "encoder") or checkpoint.is_sound(weights, stage):
        _begin_from(learner.model, parts)  # else their code is that of the clips already
    for arm in _baselines(stage, options):
        if checkpoint.is_sound(weights, arm_part(arm)):
            learner.model[arm].load_own_state(checkpoint.load_part(weights, arm_part(arm)))
        else:
            learner.model[arm].begin_reading_like(learner.model["decoupler"])
    return learner


def _create_decoupler(
    preset: Preset,
    pool: Pool,
    prepared: Prepared,
    parts: nn.ModuleDict,
    seed: int,
    identity_weights: IdentityWeights,
    text_weights: TextWeights,
) -> DecouplerStage:
    return DecouplerStage(
        preset,
        pool,
        prepared,
        parts["autoencoder"],
        groups=8 * enlarge("decoupler"),
        seed=seed,
        identity_weights=identity_weights,
        text_weights=text_weights,
    )


def _begin_from(model: nn.Module, parts: nn.ModuleDict) -> None:
    for name, module in model.items():
        if name in parts:
            module.load_state_dict(parts[name].state_dict())


def prepare(data: Path, preset: Preset, parts: nn.ModuleDict) -> None:
    """Compute what the frozen parts say of every shard and sentence; again only if these parts changed."""
    from tqdm import tqdm

    device = get_device()
    parts = parts.to(device).eval()
    digest = _digest(parts["autoencoder"], parts["encoder"])
    mark = data / "prepared.txt"
    if not mark.exists() or mark.read_text() != digest:
        forget(data)
        mark.write_text(digest)
    for name in tqdm(check_shards(data)[0], desc="latents and features", mininterval=5):
        prepare_shard(data, name, preset=preset, autoencoder=parts["autoencoder"], encoder=parts["encoder"])
    sentences = sentences_of(load_pool(data, held_out=None).records)
    if not (data / "text.txt").exists() or (data / "text.txt").read_text().split("\n") != sentences:
        make = create_text_encoder if preset.text.name == "hashed" else load_text_encoder
        prepare_text(data, sentences, make(preset.text).to(device))


def _digest(*modules: nn.Module) -> str:
    digest = hashlib.sha256()
    for module in modules:
        for tensor in module.state_dict().values():
            digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
