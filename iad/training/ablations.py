"""The split without one term of its losses at a time: what each term is there for.

All variants start from the same weights and see the same batches, step by step side by side, so that they
have made equal steps whenever training stops. `OUTPUT/ablations/NAME/` gets a log of at most 200 lines, a few
small snapshots for pictures, and the weights, for more rows in the tables of `iad.evaluation.leakage`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from iad import checkpoint
from iad.config import Preset
from iad.decoupling import IdentityWeights, TextWeights
from iad.training.decoupler_stage import DecouplerStage
from iad.training.loop import Clock, Learner, to_device, to_numbers
from iad.training.timetable import Options

T = TypeVar("T")
Make = Callable[[IdentityWeights, TextWeights], DecouplerStage]

_ID = tuple(f.name for f in fields(IdentityWeights))
_TA = tuple(f.name for f in fields(TextWeights))
# `picture` makes f whole and says nothing of how it is split, so it stays where L_ID goes.
_SPLITTING = tuple(name for name in _ID if name != "picture")
GROUPS: dict[str, tuple[str, ...]] = {
    "L_ID": _SPLITTING,
    "L_TA": _TA,
    "orthogonality-only": tuple(name for name in _SPLITTING if name != "orthogonality"),
}
ABLATIONS: dict[str, tuple[str, ...]] = {  # name of the folder: what is left out
    "full": (),
    "without-L_ID": ("L_ID",),
    "without-L_TA": ("L_TA",),
    "orthogonality-only": ("orthogonality-only",),
    "without-orthogonality": ("orthogonality",),
    "without-invariance": ("invariance",),
    "without-retention": ("retention",),
    "without-agreement": ("agreement",),
    "without-independence": ("independence",),
    "without-swap": ("swap",),
}
LOG_LINES, LOG_EVERY = 200, 5  # at most; steps between two
SNAPSHOTS = 8  # the first before any step, the last after all
SNAPSHOT_BATCHES, SNAPSHOT_DIM = 3, 96  # faces come from so many batches; embeddings are projected so far
SNAPSHOT_STEP = 10**9  # batches that no training reaches


def weights_without(names: Sequence[str]) -> tuple[IdentityWeights, TextWeights]:
    """Return the weights of both losses with the named terms at zero.

    Args:
        names: terms of `IdentityWeights` and `TextWeights`, or of `GROUPS`: "L_ID" and "L_TA" leave out a
            whole loss, "orthogonality-only" leaves of L_ID the paper's term alone.

    Raises:
        ValueError: there is no such term.
    """
    known = (*GROUPS, *_ID, *_TA)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"There is no loss term {unknown[0]!r} to leave out; choose of {', '.join(known)}.")
    off = {term for name in names for term in GROUPS.get(name, (name,))}
    identity = replace(IdentityWeights(), **dict.fromkeys(off.intersection(_ID), 0.0))
    return identity, replace(TextWeights(), **dict.fromkeys(off.intersection(_TA), 0.0))


def thin(items: Sequence[T], most: int) -> list[T]:
    """Keep at most `most` items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


class Variant(Learner):
    """One ablation in training; its log has a line now and then."""

    def __init__(self, name: str, stage: DecouplerStage, options: Options):
        super().__init__(stage, options.loop("ablations", part=name))
        self.name, self.folder, self.log = name, self.config.output, []


def create_variants(
    make: Make, options: Options, *, names: Iterable[str] = tuple(ABLATIONS)
) -> tuple[Variant, ...]:
    """Build the named ablations, all with the same weights to begin with."""
    variants = []
    for name in names:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            stage = make(*weights_without(ABLATIONS[name]))
        variants.append(Variant(name, stage, options))
    return tuple(variants)


def train_ablations(
    make: Make, *, preset: Preset, options: Options, names: Iterable[str] = tuple(ABLATIONS)
) -> Path:
    """Train all ablations side by side within `options.minutes`; returns their folder.

    Args:
        make: builds the decoupler's stage with the weights of both losses.
        preset: whose decoupler it is.
        options: minutes for all together, seed, output, and steps at most.
        names: of `ABLATIONS`; all of them by default.
    """
    from tqdm import tqdm

    variants = create_variants(make, options, names=names)
    draw = variants[0].stage.batch
    shown = [draw(SNAPSHOT_STEP + k) for k in range(SNAPSHOT_BATCHES)]
    bar = tqdm(total=round(options.minutes * 60), unit="s", desc=f"{len(variants)} ablations", mininterval=5)
    clock, step, taken, over = Clock(variants[0].config, spent=0.0, fresh=True), 0, 0, False
    while not over:
        over, left = clock.over(step), clock.left(step)
        if over or 1 - left >= taken / (SNAPSHOTS - 1):
            taken += 1
            for variant in variants:  # a run that is cut off leaves what it had here
                save_snapshot(variant, shown, step)
                _save_log(variant, options, step)
        if not over:
            batch = draw(step)
            for variant in variants:
                terms = variant.learn(batch, step, left=left)
                if step % LOG_EVERY == 0:
                    del terms["gradient"]
                    variant.log.append({"step": step} | to_numbers(terms))
            step += 1
            bar.n = min(bar.total, round(clock.elapsed()))
            bar.set_postfix(step=step)
    bar.close()
    for variant in variants:  # once: finding what to erase takes as long as many steps
        _save_weights(variant, preset, options)
    return options.output / "ablations"


@torch.no_grad()
def save_snapshot(variant: Variant, batches: Sequence[Any], step: int) -> None:
    """Keep, small and in float16, the split of some faces of some people, with the truth about them."""
    variant.stage.model.eval()
    rows: dict[str, list[Tensor]] = {}
    for number, batch in enumerate(to_device(batches, variant.device)):
        clips, moments = batch["clip"][0].shape[:2]
        split = variant.stage.model["decoupler"](*(x.flatten(0, 1) for x in batch["clip"]))
        found = {
            "identity": project(split.identity.flatten(1)),
            "action": project(split.action.flatten(1)),
            "code": split.code,
            "coefficients": batch["coefficients"].flatten(0, 1),
            "person": batch["person"][0].repeat_interleave(moments),
            "clip": torch.arange(clips).repeat_interleave(moments) + number * clips,
        }
        for key, value in found.items():
            rows.setdefault(key, []).append(value.cpu())
    variant.stage.model.train()
    tensors = {key: torch.cat(values).contiguous() for key, values in rows.items()}
    tensors = {k: v.half() if v.is_floating_point() else v.to(torch.int32) for k, v in tensors.items()}
    (variant.folder / "snapshots").mkdir(parents=True, exist_ok=True)
    save_file(tensors, variant.folder / "snapshots" / f"{step:07d}.safetensors")


def project(rows: Float[Tensor, "n d"], *, dim: int = SNAPSHOT_DIM) -> Float[Tensor, "n k"]:
    """Project by chance, always the same way; distances stay as they were, about."""
    if rows.shape[1] <= dim:
        return rows
    axes = torch.randn(rows.shape[1], dim, generator=torch.Generator().manual_seed(0)) / dim**0.5
    return rows @ axes.to(rows.device)


def _save_log(variant: Variant, options: Options, steps: int) -> None:
    lines = [json.dumps(line) for line in thin(variant.log, LOG_LINES)]
    (variant.folder / "log.jsonl").write_text("".join(line + "\n" for line in lines))
    facts = {"without": ABLATIONS[variant.name], "steps": steps, "seed": options.seed}
    facts |= {"L_ID": vars(variant.stage.identity_weights), "L_TA": vars(variant.stage.text_weights)}
    (variant.folder / "ablation.json").write_text(json.dumps(facts, indent=1))


def _save_weights(variant: Variant, preset: Preset, options: Options) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        variant.stage.centre(variant.stage.model)
    checkpoint.save_preset(variant.folder, preset)
    checkpoint.save_part(variant.folder, "decoupling", variant.stage.model.state_dict())
