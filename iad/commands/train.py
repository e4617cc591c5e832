"""`python -m iad train`: one stage of training, or all of them."""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from iad.checks import check_name, list_given

DEVICES = ("auto", "cuda", "cpu")
FULL_SIZE_STAGE = "iad"


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one stage, or all."""
    _choose_device(arguments.device)

    from iad.config import ARMS, CONTROLS, FullSizePreset, get_preset
    from iad.training.timetable import STAGES, WHOLE

    check_name(arguments.stage, (*STAGES, WHOLE, FULL_SIZE_STAGE), what="stage")
    arms = tuple(dict.fromkeys(arguments.arm or ["iad"]))
    for arm in arms:
        check_name(arm, (*ARMS, *CONTROLS), what="arm")
    preset = get_preset(arguments.preset)
    if isinstance(preset, FullSizePreset) != (arguments.stage == FULL_SIZE_STAGE):
        raise ValueError(
            f"The stage {arguments.stage!r} is not one of {arguments.preset!r}; a full-size preset has "
            f"{FULL_SIZE_STAGE!r} alone, a small one {', '.join(STAGES)}, or all of them: {WHOLE!r}."
        )
    given = list_given(arguments, "$whole only")
    if given and arguments.stage != WHOLE:
        raise ValueError(f"{', '.join(given)}: only training everything takes these; leave them out.")
    if isinstance(preset, FullSizePreset):
        return _train_full_size(arguments, preset)
    given = list_given(arguments, "at full size only")
    if given:
        raise ValueError(f"{', '.join(given)}: only training at full size takes these; leave them out.")
    if arguments.data and not Path(arguments.data).is_dir():
        raise ValueError(f"There is no folder '{arguments.data}'; render clips: python -m iad data render")
    if arguments.stage == WHOLE:
        return _train_whole(arguments)
    return _train_stage(arguments, arms)


def _choose_device(name: str) -> None:
    """Make everything run on the CPU, or make sure that there is a GPU; before torch looks for itself."""
    check_name(name, DEVICES, what="device")
    if name == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if name != "cuda":
        return
    try:
        import torch
    except ImportError as error:
        raise ValueError("torch is not installed; install it with CUDA, or choose --device cpu.") from error
    if not torch.cuda.is_available():
        kind = f"torch {torch.__version__} finds no GPU here"
        raise ValueError(f"{kind}; install a build with CUDA on a machine with one, or choose --device cpu.")


def _train_stage(arguments: argparse.Namespace, arms: tuple[str, ...]) -> dict[str, Any]:
    from iad.media.files import check_folder
    from iad.training import stages
    from iad.training.timetable import Options

    if arms != ("iad",) and (arguments.stage != "joint" or "iad" not in arms):
        raise ValueError(
            f"Other arms learn beside 'iad' in the stage 'joint', not in {arguments.stage!r} alone."
        )
    output = check_folder(arguments.output)
    options = Options(
        output=output,
        data=arguments.data and Path(arguments.data),
        arms=arms,
        without=tuple(arguments.without or ()),
        max_steps=arguments.steps,
        seed=arguments.seed,
        resume=arguments.resume,
        **({} if arguments.minutes is None else {"minutes": arguments.minutes}),
    )
    stages.train(arguments.stage, preset=arguments.preset, options=options)
    return {"stage": arguments.stage, "arms": list(arms), "seed": arguments.seed, "output": str(output)}


def _train_whole(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train all stages, with every arm unless some are named."""
    from iad.training.timetable import check_requirements

    check_requirements()

    from iad.config import ARMS, CONTROLS
    from iad.media.files import check_folder

    if arguments.without:
        raise ValueError("--without is of one stage; --ablations also trains the split without each term.")
    if arguments.pack and not Path(arguments.pack).is_file():
        raise ValueError(f"There is no pack '{arguments.pack}'; write one with: python -m iad data pack")
    output = check_folder(arguments.output)

    from iad.training.whole import Whole, train_whole

    paths = {name: getattr(arguments, name) for name in ("data", "pack", "shards")}
    same = ("preset", "minutes", "seed", "resume", "pause", "ablations")
    report = train_whole(
        Whole(
            output=output,
            arms=tuple(dict.fromkeys(arguments.arm or (*ARMS, *CONTROLS))),
            max_steps=arguments.steps,
            command=shlex.join(["python", "-m", "iad", *sys.argv[1:]]),
            **{name: Path(path) for name, path in paths.items() if path},
            **{name: getattr(arguments, name) for name in same},
        )
    )
    if not arguments.json:
        print(report["paused"] or f"{report['weights']}: the weights and their card")
    return {"stage": arguments.stage, "seed": arguments.seed, "output": str(output)} | report


def _train_full_size(arguments: argparse.Namespace, preset: Any) -> dict[str, Any]:
    """Train decoupler, T and adapters on a prepared folder of videos."""
    from iad.media.files import check_folder

    if tuple(arguments.arm or ["iad"]) != ("iad",):
        raise ValueError("At full size only 'iad' is trained; the other arms are the published systems.")
    if arguments.track:
        check_name(arguments.track, ("wandb", "tensorboard"), what="tracker")
    if not arguments.data or not Path(arguments.data).is_dir():
        where = f"There is no folder '{arguments.data}'" if arguments.data else "No --data is given"
        raise ValueError(f"{where}; prepare videos: python -m iad data prepare DIR")
    output = check_folder(arguments.output)

    from iad.training.full_size_run import FullSizeOptions, train_full_size

    names = ("base", "minutes", "steps", "batch", "accumulate", "learning_rate", "lora_rank", "track")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    folder = train_full_size(
        FullSizeOptions(
            preset=preset,
            data=Path(arguments.data),
            output=output,
            seed=arguments.seed,
            resume=arguments.resume,
            adapter=arguments.adapter and Path(arguments.adapter),
            without=tuple(arguments.without or ()),
            gradient_checkpointing=not arguments.no_gradient_checkpointing,
            **given,
        )
    )
    return {"stage": arguments.stage, "arms": ["iad"], "seed": arguments.seed, "output": str(folder)}
