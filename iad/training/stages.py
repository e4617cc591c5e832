"""`python -m iad train STAGE`: what each stage reads, trains and writes.

A training folder holds one folder a stage (`autoencoder/`, `encoder/`, ...) with log, checkpoint, pictures
and snapshots, and `weights/`, which `IaDPipeline.from_pretrained` reads and every finished stage adds to.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from iad import checkpoint
from iad.config import PRESETS, Preset
from iad.decoupling import IdentityWeights, TextWeights
from iad.models.parts import arm_part, create_parts, load_parts, split_parts
from iad.portraits.stills import load_stills
from iad.text import create_text_encoder, load_text_encoder
from iad.training.ablations import Make, train_ablations, weights_without
from iad.training.compact_geometry import make_geometry
from iad.training.decoupler_stage import DecouplerStage
from iad.training.denoiser_stage import DenoiserStage
from iad.training.encoder_stages import AutoencoderStage, EncoderStage, ReaderStage
from iad.training.judges import train_scorers
from iad.training.loop import Stage, fit
from iad.training.performer_stage import train_performing
from iad.training.pool import (
    Pool,
    check_shards,
    forget,
    load_pool,
    open_prepared,
    prepare_shard,
    prepare_text,
    sentences_of,
    thin_out,
)  # fmt: skip
from iad.training.recogniser_stage import train_recognised
from iad.training.refiner_stage import RefinerStage, load_pairs
from iad.training.timetable import PLAN, STAGES, Options, enlarge, get_device

RECOGNISER_CLIPS = 240  # that tell what a track is as a code


def train(stage: str, *, preset: str | Preset, options: Options) -> Path:
    """Train one stage and add its averaged weights to `options.output / "weights"`; returns that folder.

    Raises:
        ValueError: unknown stage or loss term, or weights of an earlier stage are missing.
        FileNotFoundError: there is no pool of clips.
    """
    preset = PRESETS[preset] if isinstance(preset, str) else preset
    if stage not in STAGES:
        raise ValueError(f"Unknown stage {stage!r}; choose one of {', '.join(STAGES)}.")
    weights_without(options.without)  # there are such terms
    if options.without and stage not in ("decoupler", "adapters", "joint"):
        raise ValueError(f"The stage {stage!r} has no loss terms to leave out; the decoupler's have.")
    _open_many_files()
    torch.manual_seed(options.seed)  # the first weights
    if stage == "geometry":
        return make_geometry(options.output)
    if stage == "scorers":
        return train_scorers(preset, options)
    if stage == "performing":
        return train_performing(preset, options)
    parts = create_parts(preset)
    _load(parts, stage, options)
    bound = f"{options.max_steps} steps" if options.max_steps else f"{options.minutes:.3g} minutes"
    print(f"Stage {stage!r} of preset {preset.name!r}, {bound}, clips from {options.clips}", flush=True)
    if stage == "ablations":
        make = _make_decoupler(preset, load_pool(options.clips), parts, options)
        return train_ablations(make, preset=preset, options=options)
    checkpoint.save_preset(options.weights, preset)
    if stage == "recogniser":
        pool = thin_out(load_pool(options.clips), RECOGNISER_CLIPS, seed=options.seed)
        recognised = train_recognised(parts, pool, options)
        checkpoint.save_part(options.weights, "recogniser", recognised.state_dict(), half=True)
    else:
        _train_networks(stage, preset, parts, options)
    return options.weights


def _train_networks(stage: str, preset: Preset, parts: nn.ModuleDict, options: Options) -> None:
    learner = _create_stage(stage, preset, parts, options)
    # so that all arms are heard
    config = options.loop(stage, log_every=20 if len(options.arms) == 1 else 2 * len(options.arms) + 1)
    trained = fit(learner, config)
    if "decoupling" in PLAN[stage].writes:
        getattr(learner, "split", learner).centre(trained)
    for name, module in trained.items():
        if name in parts:
            parts[name].load_state_dict(module.state_dict())
    for name, state in split_parts(parts).items():
        if name in PLAN[stage].writes:
            checkpoint.save_part(options.weights, name, state)
    for arm in _baselines(stage, options):
        checkpoint.save_part(options.weights, arm_part(arm), trained[arm].own_state())


def _open_many_files() -> None:
    """Ask for as many open files as there may be: a shard has nine, and so has a batch from a worker."""
    with suppress(ImportError, OSError, ValueError):  # not every system has such a limit
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _baselines(stage: str, options: Options) -> list[str]:
    return [arm for arm in options.arms if arm != "iad"] if stage in ("adapters", "joint") else []


def _load(parts: nn.ModuleDict, stage: str, options: Options) -> None:
    """Fill the networks that have weights; what a resumed stage was just writing, its checkpoint holds."""
    weights = options.weights
    have = [name for name in split_parts(parts) if weights.is_dir() and checkpoint.has_part(weights, name)]
    missing = ", ".join(name for name in PLAN[stage].needs if name not in have)
    if missing:
        raise ValueError(
            f"Stage {stage!r} needs weights of {missing} in {weights}; train those stages first."
        )
    if options.resume and (options.output / stage / "checkpoint").is_dir():
        have = [n for n in have if n not in PLAN[stage].writes or checkpoint.is_sound(weights, n)]
    if have:
        load_parts(parts, weights, only=have)


def _create_stage(stage: str, preset: Preset, parts: nn.ModuleDict, options: Options) -> Stage:
    given = {"seed": options.seed}
    if stage == "reader":
        stills = load_stills(options.clips / "stills", **options.amounts.stills, **given)
        learner = ReaderStage(preset, stills, batch_size=24 * enlarge(stage), **given)
        if not checkpoint.is_sound(options.weights, stage):
            if checkpoint.has_part(options.weights, "encoder"):  # it has the same trunk, and has seen faces
                learner.model["reader"].trunk.load_state_dict(parts["encoder"].trunk.state_dict())
            return learner
    elif stage == "refiner":
        limits = {"people": options.amounts.people, "minutes": options.minutes / 4}
        pairs = load_pairs(options.clips / "pairs", parts["reader"].eval(), **limits, **given)
        learner = RefinerStage(preset, pairs, parts["reader"], batch_size=12 * enlarge(stage), **given)
    elif stage == "autoencoder":
        pool = load_pool(options.clips)
        learner = AutoencoderStage(preset, pool, batch_size=16 * enlarge(stage), **given)
    elif stage == "encoder":
        learner = EncoderStage(preset, load_pool(options.clips), batch_size=32 * enlarge(stage), **given)
    else:
        make = _make_decoupler(preset, load_pool(options.clips), parts, options)
        learner = make(*weights_without(options.without))
        if stage != "decoupler":
            _begin_from(learner.model, parts)
            more = {"arms": options.arms, "times": enlarge(stage)}
            networks = {"part": stage, "autoencoder": parts["autoencoder"]}
            learner = DenoiserStage(preset, learner, **networks, **more, **given)
    if stage not in ("autoencoder", "encoder") or checkpoint.is_sound(options.weights, stage):
        _begin_from(learner.model, parts)  # else their code is that of the clips already
    for arm in _baselines(stage, options):
        if checkpoint.is_sound(options.weights, arm_part(arm)):
            learner.model[arm].load_own_state(checkpoint.load_part(options.weights, arm_part(arm)))
        else:
            learner.model[arm].begin_reading_like(learner.model["decoupler"])
    return learner


def _make_decoupler(preset: Preset, pool: Pool, parts: nn.ModuleDict, options: Options) -> Make:
    """Prepare the pool, and return what makes the decoupler's stage from the weights of both losses."""
    prepare(options.clips, preset, parts)
    prepared = open_prepared(options.clips, pool)

    def make(identity_weights: IdentityWeights, text_weights: TextWeights) -> DecouplerStage:
        weights = {"identity_weights": identity_weights, "text_weights": text_weights}
        size = {"groups": 8 * enlarge("decoupler"), "seed": options.seed}
        return DecouplerStage(preset, pool, prepared, parts["autoencoder"], **size, **weights)

    return make


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
