"""`python -m iad evaluate` and `accept`: the tables that compare the arms, and what a GPU makes of them."""

import argparse
import sys
from pathlib import Path
from typing import Any

from iad.checks import check_apart, check_model, check_name, check_number
from iad.request import EVERY_ARM, as_option, check_settings

SUITES = ("action", "leakage", "real", "speed", "all")


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a model; report.json and report.md go to the output folder."""
    from iad.config import is_full_size
    from iad.media.files import check_folder

    check_name(arguments.suite, SUITES, what="suite")
    check_model(arguments.model)
    if is_full_size(arguments.model):
        return _evaluate_full_size(arguments)
    arms = tuple(dict.fromkeys(arguments.arms or ())) or None
    for arm in arms or ():
        check_name(arm, EVERY_ARM, what="arm")
    check_number(arguments.people, "--people", low=2, high=10_000)
    check_settings({"detail_scale": arguments.detail_scale}, name=as_option)
    check_apart(arguments.output, [arguments.model])
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
    output = check_folder(arguments.output)

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


def _evaluate_full_size(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare the arms of a full-size model by outside judges; it has one suite."""
    from iad.config import ARMS
    from iad.full_size.acceptance import evaluate_full_size
    from iad.media.files import check_folder

    arms = tuple(dict.fromkeys(arguments.arms or ARMS))
    for arm in arms:
        check_name(arm, ARMS, what="arm at full size")
    check_apart(arguments.output, [arguments.model])
    output, photos = check_folder(arguments.output), _list_photos(arguments.people)
    report = evaluate_full_size(
        arguments.model, arms=arms, photos=photos, seeds=arguments.seeds, output=output
    )
    if not arguments.json:
        print(f"{output / 'report.md'}: the table")
    return {"suite": "full size", "output": str(output), "report": report}


def _list_photos(people: int) -> list[Any]:
    """Return photos of held-out photo people, or where they are not here, of the examples."""
    from iad.installation import EXAMPLES
    from iad.media.photos import load_image
    from iad.portraits.clips import is_held_out
    from iad.portraits.photo import load_photo_people

    try:
        records = [record for record in load_photo_people() if is_held_out(record.number)]
    except FileNotFoundError:
        return [load_image(file) for file in sorted(EXAMPLES.glob("person-*.png"))[:people]]
    return [record.load_photo() for record in records[:people]]


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


def accept(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure by random weights, or make and judge a clip an arm; report.md and report.json say what came."""
    output = Path(arguments.output)
    report = (_accept_random if arguments.random or arguments.tiny else _accept_published)(arguments, output)
    if not arguments.json:
        print(f"{output / 'report.md'}: the table to paste")
    return {"output": str(output), "report": report}


def _accept_random(arguments: argparse.Namespace, output: Path) -> dict[str, Any]:
    from iad.full_size.measuring import CLIP_STEPS, accept_random
    from iad.full_size.reporting import check_cuda
    from iad.full_size.sizes import Scale

    if arguments.tiny:
        scale = Scale.tiny(arguments.device)
    else:
        check_cuda(arguments.device, instead="rehearse it by --tiny")
        scale = Scale.true(arguments.device)
    steps = arguments.steps or CLIP_STEPS
    return accept_random(scale, minutes=arguments.minutes, output=output, tell=_tell, clip_steps=steps)


def _accept_published(arguments: argparse.Namespace, output: Path) -> dict[str, Any]:
    from iad.config import ARMS
    from iad.full_size.acceptance import PROMPT
    from iad.full_size.acceptance import accept as try_out
    from iad.full_size.reporting import check_cuda
    from iad.installation import EXAMPLES
    from iad.media.photos import load_image
    from iad.request import Request

    for arm in arguments.arms or ():
        check_name(arm, ARMS, what="arm")
    check_cuda(arguments.device, instead="--tiny rehearses the part with random weights")
    reference = Path(arguments.reference or EXAMPLES / "person-003.png")
    load_image(reference)
    check_apart(output, [reference])
    baselines = {"consisid": arguments.consisid, "id-animator": arguments.id_animator}
    return try_out(
        Request(reference, arguments.prompt or PROMPT, num_inference_steps=arguments.steps),
        arguments.model,
        arms=tuple(dict.fromkeys(arguments.arms or ARMS)),
        output=output,
        tell=_tell,
        adapter=arguments.adapter,
        baselines={arm: place for arm, place in baselines.items() if place},
        memory=arguments.memory,
        device=arguments.device,
        accept_licence=arguments.accept_licence,
    )


def _tell(row: dict[str, Any]) -> None:
    print(", ".join(f"{k} {v}" for k, v in row.items() if v not in (None, "")), file=sys.stderr, flush=True)
