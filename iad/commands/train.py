"""`python -m iad train`: one stage of training."""

import argparse
from pathlib import Path
from typing import Any

from iad.checks import check_name, check_number


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one stage."""
    from iad import training
    from iad.config import ARMS, CONTROLS, get_preset
    from iad.video import check_folder

    check_name(arguments.stage, training.STAGES, what="stage")
    arms = tuple(dict.fromkeys(arguments.arm))
    for arm in arms:
        check_name(arm, (*ARMS, *CONTROLS), what="arm")
    get_preset(arguments.preset)
    check_number(arguments.minutes, "--minutes", low=0.01, high=1e6)
    check_number(arguments.seed, "--seed", low=0, high=2**32 - 1)
    check_number(arguments.steps, "--steps", low=1, high=10**9)
    if arguments.data and not Path(arguments.data).is_dir():
        raise ValueError(f"There is no folder '{arguments.data}'; render clips: python -m iad data render")
    output = check_folder(arguments.output)
    given = {
        "minutes": arguments.minutes,
        "without": tuple(arguments.without) if arguments.without else None,
        "max_steps": arguments.steps,
    }
    training.run(
        arguments.stage,
        preset=arguments.preset,
        arms=arms,
        data=arguments.data and Path(arguments.data),
        seed=arguments.seed,
        resume=arguments.resume,
        output=output,
        **{name: value for name, value in given.items() if value is not None},
    )
    return {"stage": arguments.stage, "arms": list(arms), "seed": arguments.seed, "output": str(output)}
