"""`python -m iad data`: fetch, render, prepare and look at training data."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from iad.checks import check_name


def download(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fetch the head and the photo people."""
    from iad.media.files import check_folder

    folder = check_folder(arguments.folder) if arguments.folder else None

    from iad.portraits.download import download as fetch

    return {"folder": str(fetch(folder, landmarker=_load_landmarker()))}


def examples(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fetch the few photo people that the app shows among its examples."""
    from iad.demo.examples import list_photo_people
    from iad.portraits.download import cut_people, read_cells
    from iad.portraits.morphable import cache_folder

    numbers = set(list_photo_people())
    people = cache_folder() / "people"
    found = cut_people(people, [cell for cell in read_cells() if cell.number in numbers])
    if not arguments.json:
        print(f"{people / 'photos'}: {len(found)} portraits")
    return {"folder": str(people / "photos"), "people": found}


def _load_landmarker() -> Any:
    """Load what fits the photo people: the reader of mini; None before it has weights."""
    from iad.models.reading import as_landmarker, load_mini_reader

    try:
        return as_landmarker(load_mini_reader())
    except ValueError:
        return None


def render(arguments: argparse.Namespace) -> dict[str, Any]:
    """Render a pool of clips."""
    from iad.media.files import check_folder

    output = check_folder(arguments.output)

    from iad.portraits.clips import render_pool

    held_out = arguments.held_out
    render_pool(
        output, clips=arguments.clips, seed=arguments.seed, workers=arguments.workers, held_out=held_out
    )
    report = {"output": str(output), "clips": arguments.clips, "seed": arguments.seed}
    return report | ({"held_out": True} if held_out else {})


def pack(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write what training needs into one file, to be carried to a machine without network."""
    from iad.media.files import check_output

    output = check_output(arguments.output, (".zip",))

    from iad.training.packs import write_pack

    sizes = write_pack(output)
    whole = output.stat().st_size
    if not arguments.json:
        for name, size in sorted(sizes.items(), key=lambda pair: -pair[1]):
            print(f"{size / 1e6:6.1f} MB  {name}")
        print(f"{whole / 1e6:6.1f} MB  {output}")
    return {"output": str(output), "bytes": whole, "parts": sizes}


def prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prepare a folder of videos for training at full size."""
    from iad.config import FaceConfig, FaceEncoderName, FullSizePreset, get_preset

    preset = get_preset(arguments.preset)
    if not isinstance(preset, FullSizePreset):
        raise ValueError(f"{arguments.preset!r} is trained on rendered clips; run: python -m iad data render")
    check_name(arguments.face_encoder, get_args(FaceEncoderName), what="face encoder")
    if not Path(arguments.folder).is_dir():
        raise ValueError(f"There is no folder '{arguments.folder}'; give one with videos and captions.jsonl.")

    from iad.training.footage import prepare_footage

    asked = {side: getattr(arguments, side) for side in ("frames", "height", "width")}
    preset = replace(preset, **{side: value for side, value in asked.items() if value is not None})
    report = prepare_footage(
        arguments.folder,
        preset=replace(preset, face=FaceConfig(arguments.face_encoder)),
        base=arguments.base,
        output=arguments.output,
        workers=arguments.workers,
        accept_licence=arguments.accept_licence,
    )
    for skipped in report["skipped"]:
        print(f"skipped {skipped['video']}: {skipped['reason']}", file=sys.stderr)
    if not arguments.json:
        print(f"{report['output']}: {report['clips']} clips, {len(report['skipped'])} skipped")
    return report


def preview(arguments: argparse.Namespace) -> dict[str, Any]:
    """Render a few clips into one picture."""
    from iad.media.files import check_output

    output = check_output(arguments.output, (".png",))

    from iad.portraits.clips import preview as show

    show(output, count=arguments.count, seed=arguments.seed)
    return {"output": str(output), "count": arguments.count, "seed": arguments.seed}
