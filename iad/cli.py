"""The command line, `python -m iad generate | batch | decouple | verify | evaluate | accept | train ...`.

In come words, out come files, exit code 0 and, with --json, one JSON object as the last line of stdout; or
exit code 2 and one sentence on stderr. What commands do is in `iad/commands/`, which --help does not load.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from iad import __version__
from iad import commands as run
from iad.checks import explain
from iad.commands.accept import ACCEPT, add_accept_options
from iad.commands.evaluate import SUITES
from iad.request import EVERY_ARM, OPTIONS, SETTINGS, as_option, find_kind
from iad.training.timetable import STAGES, WHOLE

ARMS = ", ".join(EVERY_ARM)
TRAINED = ("mini", "mini-large", "tiny", "cogvideox-5b")
MEMORY_MODES = "auto, full, offload, sequential, int8, fp8"
DEVICES = "cpu, cuda or mps (default: auto, CUDA where there is one)"
CACHES = "first-block, mag, taylorseer, pab"
FACE_PROMPTS = ("smiling", "mouth open", "eyes closed", "eyebrows raised", "frowning", "puckered lips")


class _Parser(argparse.ArgumentParser):
    """An argument parser that complains in one sentence."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[0].upper()}{message[1:]}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = create_parser().parse_args(argv)
    # Threads that spin while they wait slow a busy machine down; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with contextlib.suppress(ValueError):  # in a thread nobody is told
        signal.signal(signal.SIGTERM, _leave)
    try:
        report = arguments.command(arguments)
    except (ValueError, OSError, MemoryError) as error:
        print(explain(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    if arguments.json and os.environ.get("RANK", "0") == "0":  # of several processes, the first speaks
        print(json.dumps(report))
    return 0


def _leave(number: int, _: Any) -> NoReturn:
    """End at SIGTERM as at an error, so that no copy of a photo and no half file stays behind."""
    raise SystemExit(128 + number)


def create_parser() -> argparse.ArgumentParser:
    """Describe every command and option."""
    parser = _Parser(
        prog="python -m iad",
        description="Video portraits from one photo: identity and facial action, decoupled.",
        epilog='example:\n  python -m iad generate --reference a.jpg --prompt "a man laughs" --output a.mp4',
    )
    parser.add_argument("--version", action="version", version=f"iad {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_generate(commands)
    _add_batch(commands)
    _add_decouple(commands)
    _add_verify(commands)
    _add_evaluate(commands)
    add_accept_options(_add_command(commands, "accept", run.accept, **ACCEPT))
    _add_train(commands)
    _add_data(commands)
    _add_demo(commands)
    return parser


def _add_command(
    commands: Any, name: str, command: Callable | None, *, summary: str, example: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary, epilog=f"example:\n  {example}")
    if command:
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line of stdout"
        )
        parser.set_defaults(command=command)
    return parser


def _add_generate(commands: Any) -> None:
    parser = _add_command(
        commands,
        "generate",
        run.generate,
        summary="Make a video portrait of the person in a photo.",
        example='python -m iad generate --reference a.jpg --prompt "[0-1s] nod [1-2s] smile" --output a.mp4',
    )
    add = parser.add_argument
    photo = "a photo of the person; may be repeated"
    add("--reference", action="append", required=True, metavar="P", help=photo)
    words = 'what happens, or a timeline: "[0-1s] smiles [1-2s] nods"'
    add("--prompt", required=True, metavar="TEXT", help=words)
    add("--output", required=True, metavar="FILE", help="an .mp4, a .gif or a contact sheet as .png")
    add("--model", default="mini", metavar="NAME", help="a preset, a folder or a hub id (default: mini)")
    add("--adapter", metavar="P", help="a folder of adapter weights to use instead of the model's own")
    add("--label", action="store_true", help='draw a small "AI-generated" into every frame')
    add("--device", default="auto", metavar="NAME", help=DEVICES)
    small = parser.add_argument_group("a small model only")
    large = parser.add_argument_group("a large model only")
    groups = {"small": small.add_argument, "large": large.add_argument}
    for name in OPTIONS.values():
        _add_setting(groups.get(SETTINGS[name].metadata.get("only"), add), name)
    add = large.add_argument
    add("--memory", default="auto", metavar="NAME", help=f"{MEMORY_MODES} (default: auto)")
    add("--cache", metavar="NAME", help=f"a step cache: {CACHES} (default: none)")
    add("--compile", action="store_true", help="compile the blocks: for many clips with one load")
    add("--baseline", metavar="P", help="where the weights of --arm consisid or id-animator are")
    licence = "of InsightFace's weights: non-commercial research only"
    add("--accept-licence", action="store_true", help=licence)


def _add_setting(add: Callable, name: str) -> None:
    """Add the option of a request's setting."""
    kind, setting = find_kind(name), SETTINGS[name]
    words, default = setting.metadata["words"], setting.default
    if kind is bool:
        add(as_option(name), action="store_true", help=words)
        return
    words += "" if default is None else f" (default: {default if kind is str else f'{default:g}'})"
    metavar = setting.metadata.get("metavar") or {int: "N", float: "X"}.get(kind, "NAME")
    add(as_option(name), type=kind, default=default, metavar=metavar, help=words)


def _add_batch(commands: Any) -> None:
    own = ("reference or references", "prompt", "name", "format (mp4, gif, png)")
    keys = textwrap.fill(f"its keys: {', '.join((*own, *OPTIONS))}; paths start at the file", 100)
    parser = _add_command(
        commands,
        "batch",
        run.batch,
        summary="Make the clips of a request file, one request a line; started again, it goes on.",
        example="python -m iad batch requests.jsonl --output clips --workers 2\n\n"
        "a line of requests.jsonl:\n"
        '  {"reference": "a.jpg", "prompt": "a man laughs", "seed": 3, "name": "laugh"}\n\n'
        f"{keys}",
    )
    add = parser.add_argument
    add("requests", metavar="FILE", help="a JSONL file")
    add("--output", required=True, metavar="DIR", help="where the clips and results.jsonl go")
    add("--model", default="mini", metavar="NAME", help="a preset or a folder (default: mini)")
    add("--workers", type=int, default=1, metavar="N", help="processes, one core each (default: 1)")
    add("--device", default="auto", metavar="NAME", help=DEVICES)
    add("--ray", metavar="ADDRESS", help="work on a Ray cluster: auto, local or its address")


def _add_decouple(commands: Any) -> None:
    parser = _add_command(
        commands,
        "decouple",
        run.decouple,
        summary="Split faces into identity, action and residual, and compare them.",
        example='python -m iad decouple a.jpg b.jpg --prompts "smiling" "eyes closed" --output report.png',
    )
    parser.add_argument(
        "faces", nargs="+", metavar="FACE", help="photos; several are compared with each other"
    )
    parser.add_argument(
        "--prompts", nargs="+", default=list(FACE_PROMPTS), metavar="TEXT", help="facial actions"
    )
    parser.add_argument("--output", metavar="FILE", help="a report: .png, .npz (embeddings) or .json")
    parser.add_argument("--model", default="mini", metavar="NAME", help="a preset, a folder or a hub id")


def _add_verify(commands: Any) -> None:
    parser = _add_command(
        commands,
        "verify",
        run.verify,
        summary="Find out whether a file was made here, with which settings, and whether it was altered.",
        example="python -m iad verify out.mp4",
    )
    parser.add_argument("file", metavar="FILE", help="an mp4, mov, webm, gif or png")


def _add_evaluate(commands: Any) -> None:
    parser = _add_command(
        commands,
        "evaluate",
        run.evaluate,
        summary="Measure a model on people it has never seen, each arm beside the others.",
        example="python -m iad evaluate --suite action --arms iad consisid --output report",
    )
    add = parser.add_argument
    add("--suite", default="all", metavar="NAME", help=f"{', '.join(SUITES)} (default: all)")
    add("--model", default="mini", metavar="NAME", help="a preset or a folder (default: mini)")
    add("--arms", nargs="+", metavar="NAME", help=f"any of {ARMS} (default: all but consisid-cross)")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    add("--people", type=int, default=64, metavar="N", help="how many held-out people (default: 64)")
    add("--seeds", type=int, default=3, metavar="N", help="how many seeds (default: 3)")
    add("--detail-scale", type=float, default=1.0, metavar="X", help="as of generate (default: 1)")
    add("--quick", action="store_true", help="a small version of the suite real, in under a minute")
    add("--ablations", metavar="DIR", help="suite leakage: splits without a term, of train ... --ablations")
    add("--tune", action="store_true", help="suite action: compare guidances on people never reported")
    add("--output", required=True, metavar="DIR", help="where report.json and report.md go")


def _add_train(commands: Any) -> None:
    parser = _add_command(
        commands,
        "train",
        run.train,
        summary=f"Train everything ({WHOLE}), or one stage, which builds on the earlier ones.",
        example="python -m iad train mini --minutes 600 --output runs\n"
        "  python -m iad train decoupler --data clips --minutes 20 --output runs/split",
    )
    add = parser.add_argument
    add("stage", metavar="STAGE", help=f"{WHOLE} for all of them, {', '.join(STAGES)}; iad at full size")
    add("--preset", default="mini", metavar="NAME", help=f"{', '.join(TRAINED)} (default: mini)")
    arms = f"{ARMS}; the stage joint trains several beside iad (default: iad; of {WHOLE} all)"
    add("--arm", nargs="+", metavar="NAME", help=arms)
    add("--without", nargs="+", metavar="TERM", help="loss terms to leave out: swap, L_ID, L_TA, ...")
    add("--data", metavar="DIR", help="clips, from: python -m iad data render, or prepare")
    add("--minutes", type=float, metavar="M", help=f"stop after so long; of {WHOLE}, all calls together")
    add("--steps", type=int, metavar="N", help=f"stop after so many steps; of {WHOLE}, in every stage")
    add("--seed", type=int, default=0, metavar="N", help="of the training (default: 0)")
    add("--resume", action="store_true", help="go on from what the output folder holds")
    add("--device", default="auto", metavar="NAME", help="auto, cuda or cpu (default: auto)")
    add("--output", required=True, metavar="DIR", help="where checkpoints and weights go")
    _add_whole_training(parser.add_argument_group(f"{WHOLE} only").add_argument)
    _add_full_size_training(parser.add_argument_group("at full size only").add_argument)


def _add_whole_training(add: Callable) -> None:
    add("--pack", metavar="FILE", help="from: python -m iad data pack; nothing is fetched then")
    add("--pause", type=float, metavar="M", help="stop this call after so long; --resume goes on")
    add("--shards", metavar="DIR", help="also write the result as at most 8 files of at most 16 MiB")
    add("--ablations", action="store_true", help="also train the split without each of its terms")


def _add_full_size_training(add: Callable) -> None:
    add("--base", metavar="P", help="folder or hub id of the base model (default: the preset's own)")
    add("--adapter", metavar="P", help="a folder of adapters to begin from")
    add("--batch", type=int, metavar="N", help="clips a step on each device (default: 1)")
    add("--accumulate", type=int, metavar="N", help="steps between two updates (default: 1)")
    add("--learning-rate", type=float, metavar="X", help="of the adapters (default: 1e-4)")
    add("--lora-rank", type=int, metavar="N", help="also train the base's attention by LoRA (default: not)")
    add("--track", metavar="NAME", help="wandb or tensorboard")
    add("--no-gradient-checkpointing", action="store_true", help="faster, and takes far more memory")


def _add_data(commands: Any) -> None:
    parser = _add_command(
        commands,
        "data",
        None,
        summary="Fetch, render and look at training data.",
        example="python -m iad data download",
    )
    kinds = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    download = _add_command(
        kinds,
        "download",
        run.download,
        summary="Fetch the head and the photo people from their public repositories.",
        example="python -m iad data download",
    )
    download.add_argument("--folder", metavar="DIR", help="where to keep them (default: the user's cache)")
    _add_command(
        kinds,
        "examples",
        run.examples,
        summary="Fetch a few photo people, who do not exist, for the app's examples: some 5 MB.",
        example="python -m iad data examples",
    )
    render = _add_command(
        kinds,
        "render",
        run.render,
        summary="Render clips of people who do not exist.",
        example="python -m iad data render --output clips --clips 2000 --workers 2",
    )
    render.add_argument("--clips", type=int, default=2000, metavar="N", help="how many (default: 2000)")
    render.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    render.add_argument("--held-out", action="store_true", help="of the people that training never sees")
    pack = _add_command(
        kinds,
        "pack",
        run.pack,
        summary="Put all that training needs into one file, for a machine without network.",
        example="python -m iad data pack --output pack.zip",
    )
    pack.add_argument("--output", required=True, metavar="FILE", help="a .zip")
    prepare = _add_command(
        kinds,
        "prepare",
        run.prepare,
        summary="Prepare a folder of videos with captions for training at full size.",
        example="python -m iad data prepare videos --face-encoder clip --workers 8\n\n"
        "a line of videos/captions.jsonl:\n"
        '  {"video": "a.mp4", "caption": "a man laughs", "person": "p1"}\n\n'
        'person is optional, and so is timeline: [[0, 1, "smiles"], [1, 2, "nods"]]',
    )
    prepare.add_argument("folder", metavar="DIR", help="holds the videos and captions.jsonl")
    prepare.add_argument("--preset", default="cogvideox-5b", metavar="NAME", help="(default: cogvideox-5b)")
    prepare.add_argument(
        "--base", metavar="P", help="folder or hub id of the base (default: the preset's own)"
    )
    prepare.add_argument("--face-encoder", default="insightface", metavar="NAME", help="or clip, or mini")
    for side, what in (("frames", "8k + 1"), ("height", "pixels, a multiple of 16"), ("width", "likewise")):
        prepare.add_argument(f"--{side}", type=int, metavar="N", help=f"{what} (default: the model's own)")
    prepare.add_argument("--output", metavar="DIR", help="where the clips go (default: DIR/prepared)")
    prepare.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    prepare.add_argument(
        "--accept-licence", action="store_true", help="of InsightFace: non-commercial research only"
    )
    preview = _add_command(
        kinds,
        "preview",
        run.preview,
        summary="Render a few clips into one picture, to look at.",
        example="python -m iad data preview --output preview.png --count 8",
    )
    preview.add_argument("--count", type=int, default=8, metavar="N", help="how many clips (default: 8)")
    for kind, what in ((render, "DIR"), (preview, "FILE")):
        kind.add_argument("--output", required=True, metavar=what, help="where the clips go")
        kind.add_argument("--seed", type=int, default=0, metavar="N", help="of the clips (default: 0)")


def _add_demo(commands: Any) -> None:
    parser = _add_command(
        commands,
        "demo",
        run.demo,
        summary="Open the app on this computer.",
        example="python -m iad demo --port 7860",
    )
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="the app's port (default: 7860)")
    place = "cpu, cuda or mps for all models (default: auto, mini on the CPU, a large model on CUDA)"
    parser.add_argument("--device", default="auto", metavar="NAME", help=place)
