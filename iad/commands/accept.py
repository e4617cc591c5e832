"""`python -m iad accept`: what the full size does on this machine's GPU, as one report to paste."""

import argparse
import sys
from pathlib import Path
from typing import Any

from iad.checks import check_apart, check_name, check_number

ACCEPT = {
    "summary": "Try the full size on this machine's GPU: keys, clips, seconds, memory, scores; one report.",
    "example": "python -m iad accept --accept-licence --output acceptance\n"
    "  python -m iad accept --random --minutes 12 --output acceptance",
}


def add_accept_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    add = parser.add_argument
    add("--output", default="acceptance", metavar="DIR", help="where the report goes (default: acceptance)")
    add("--device", default="auto", metavar="NAME", help="cuda, or cpu for twins (default: auto, CUDA)")
    add("--steps", type=int, metavar="N", help="of a clip (default: each system's own; 12 with --random)")
    random = parser.add_argument_group("random weights, no network").add_argument
    random("--random", action="store_true", help="measure steps, decoding and caches at the true size")
    random("--tiny", action="store_true", help="the same on tiny twins, to rehearse it on any machine")
    random("--minutes", type=float, default=12, metavar="M", help="begin nothing new after (default: 12)")
    real = parser.add_argument_group("published weights").add_argument
    real("--arms", nargs="+", metavar="NAME", help="any of iad, consisid, id-animator (default: all)")
    real("--model", default="cogvideox-5b", metavar="P", help="(default: cogvideox-5b)")
    real("--adapter", metavar="P", help="a folder or hub id of trained adapters for iad")
    real("--consisid", metavar="P", help="a folder or hub id with ConsisID instead of the published one")
    real("--id-animator", metavar="P", help="likewise")
    real("--reference", metavar="P", help="a photo (default: an example, nobody real)")
    real("--prompt", metavar="TEXT", help="what happens (default: a smile, then a nod)")
    real("--memory", default="auto", metavar="NAME", help="as of generate (default: auto)")
    real("--accept-licence", action="store_true", help="of InsightFace: non-commercial research only")


def accept(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure by random weights, or make and judge a clip an arm; report.md and report.json say what came."""
    check_number(arguments.minutes, "--minutes", low=0.01, high=1440)
    check_number(arguments.steps, "--steps", low=2, high=1000)
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
    from iad.full_size.acceptance import PROMPT, accept
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
    return accept(
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
