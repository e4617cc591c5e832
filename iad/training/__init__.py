"""Training of every part, stage by stage; each stage's module says what it learns from.

`run` trains one stage, or all of them (`iad.training.whole`). The stages, in order, stand in
`iad.training.timetable`:

- geometry: the compact head that draws, made and not learned (`iad.training.compact_geometry`)
- performing: words -> track; needs no face (`iad.training.performer_stage`)
- autoencoder: frames <-> latents
- encoder: face -> embedding and tokens; frozen from then on
- reader: face -> landmarks, coefficients, pose, what is covered (`iad.training.reader_stage`)
- refiner: what geometry draws of a mouth -> what is there (`iad.training.refiner_stage`)
- decoupler: the split, by L_ID and L_TA
- recogniser: the split of the recogniser's token, and what a track is as a code, in closed form
- base, then adapters, or joint: the denoiser
- scorers: judges that never take part in conditioning
- ablations: the decoupler without one term of its losses at a time
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iad.training.timetable import STAGES, Options

__all__ = ["STAGES", "run"]


def run(
    stage: str,
    *,
    output: Path,
    preset: str = "mini",
    arms: Sequence[str] = ("iad",),
    without: Sequence[str] = (),
    data: Path | None = None,
    minutes: float = 10.0,
    max_steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
) -> Path:
    """Train one stage and return the folder of weights; `joint` trains base and adapters at once.

    Args:
        stage: one of `STAGES`.
        output: holds one folder a stage, and `weights/`.
        preset: a name in `iad.config.PRESETS`.
        arms: whose adapters learn, of `iad.config.ARMS` and `CONTROLS`; several take turns in `joint`.
        without: loss terms of the split to leave out, see `iad.training.ablations.weights_without`.
        data: a pool of clips; `output / "clips"` by default.
        minutes: time budget of this run.
        max_steps: stop after so many steps, counted from the very first.
        seed: same seed, same batches.
        resume: go on from the stage's last checkpoint, if there is one.

    Raises:
        ValueError: unknown stage or preset, a stage that other arms have no part in, or an earlier stage
            is missing.
        FileNotFoundError: there are no clips.
    """
    from iad.training.ablations import weights_without
    from iad.training.stages import train

    weights_without(without)  # there are such terms
    if without and stage not in ("decoupler", "adapters", "joint"):
        raise ValueError(f"The stage {stage!r} has no loss terms to leave out; the decoupler's have.")
    if tuple(arms) != ("iad",) and (stage != "joint" or "iad" not in arms):
        raise ValueError(f"Other arms learn beside 'iad' in the stage 'joint', not in {stage!r} alone.")
    given: dict[str, Any] = {"minutes": minutes, "max_steps": max_steps, "seed": seed, "resume": resume}
    options = Options(output=output, data=data, arms=tuple(arms), without=tuple(without), **given)
    return train(stage, preset=preset, options=options)
