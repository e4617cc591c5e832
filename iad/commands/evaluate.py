"""`python -m iad evaluate`: the tables that compare the arms."""

import argparse
from pathlib import Path
from typing import Any

from iad.checks import check_apart, check_model, check_name, check_number
from iad.request import EVERY_ARM, as_option, check_settings

SUITES = ("action", "leakage", "real", "speed", "all")


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a model; report.json and report.md go to the output folder."""
    from iad.config import is_full_size
    from iad.video import check_folder

    check_name(arguments.suite, SUITES, what="suite")
    check_model(arguments.model)
    if is_full_size(arguments.model):
        raise ValueError(
            f"{arguments.model!r} is a full-size model; the suites measure small ones, as 'mini'."
        )
    arms = tuple(dict.fromkeys(arguments.arms or ())) or None
    for arm in arms or ():
        check_name(arm, EVERY_ARM, what="arm")
    check_number(arguments.workers, "--workers", low=1, high=1024)
    check_number(arguments.people, "--people", low=2, high=10_000)
    check_number(arguments.seeds, "--seeds", low=1, high=1000)
    check_settings({"detail_scale": arguments.detail_scale}, name=as_option)
    check_apart(arguments.output, [arguments.model])
    output = check_folder(arguments.output)
    options: dict[str, Any] = {} if arguments.detail_scale == 1 else {"detail_scale": arguments.detail_scale}
    if arguments.quick:
        if arguments.suite != "real":
            raise ValueError("--quick goes with --suite real; leave it out, or measure fewer --people.")
        options["quick"] = True
    if arguments.tune:
        if arguments.suite != "action":
            raise ValueError("--tune goes with --suite action; leave it out, or name that suite.")
        options["tune"] = True

    if arguments.ablations:
        if arguments.suite not in ("leakage", "all"):
            raise ValueError("--ablations goes with --suite leakage; leave it out, or name that suite.")
        options["ablations"] = check_ablations(arguments.ablations)

    from iad.evaluation import run

    report = run(
        arguments.suite,
        model=arguments.model,
        arms=arms,
        workers=arguments.workers,
        output=output,
        people=arguments.people,
        seeds=arguments.seeds,
        **options,
    )
    if not arguments.json:
        print(f"{output / 'report.md'}: the tables")
    return {"suite": arguments.suite, "output": str(output), "report": report}


def check_ablations(folder: str) -> Path:
    """Return the folder of ablations, if there are any in it.

    Raises:
        ValueError: no split lies in its folders.
    """
    from iad import checkpoint

    path = Path(folder)
    if not list(path.glob(f"*/{checkpoint.MANIFEST}")):
        raise ValueError(
            f"{folder} holds no ablations; name the folder 'ablations' of: python -m iad train ablations"
        )
    return path
