"""`python -m iad decouple` and `verify`: what is in a face, and in a file."""

import argparse
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iad.checks import check_apart, check_model
from iad.commands.generate import Progress, check_photo
from iad.media.files import check_output, write_whole

REPORT_SUFFIXES = (".png", ".npz", ".json")


def decouple(arguments: argparse.Namespace) -> dict[str, Any]:
    """Split faces into identity, action and residual."""
    from iad.text import parse_prompt

    check_model(arguments.model)
    output = check_output(arguments.output, REPORT_SUFFIXES) if arguments.output else None
    if output:
        check_apart(output, arguments.faces)
    for prompt in arguments.prompts:
        if not prompt.strip():
            raise ValueError("A prompt is empty; describe a facial action, such as 'eyes closed'.")
        parse_prompt(prompt)
    for file in arguments.faces:
        check_photo(file)

    from iad import IaDPipeline
    from iad.plots.comparison import compare_faces

    pipeline = IaDPipeline.from_pretrained(arguments.model)
    with Progress("decouple") as progress:
        faces = []
        for file in arguments.faces:
            faces.append(pipeline.decouple(file))
            progress(len(faces), len(arguments.faces))
    report = compare_faces(pipeline, faces, arguments.faces, arguments.prompts)
    if output:
        _save_report(output, faces, report)
    if not arguments.json:
        _print_report(report)
    return report


def _save_report(output: Path, faces: list, report: dict[str, Any]) -> None:
    import numpy as np

    from iad.plots.comparison import write_npz

    suffix = output.suffix.lower()
    if suffix == ".png":
        from iad.plots import decoupling_report

        buffer = io.BytesIO()
        decoupling_report([np.asarray(face.crop) for face in faces], report).save(buffer, format="PNG")
        content = buffer.getvalue()
    elif suffix == ".npz":
        content = write_npz(faces, report)
    else:
        content = json.dumps(report, indent=2).encode()
    write_whole(output, content)


def _print_report(report: dict[str, Any]) -> None:
    for face in report["faces"]:
        parts = ("identity", "action", "residual")
        shares = ", ".join(f"{part} {face[f'{part}_share']:.0%}" for part in parts)
        matches = ", ".join(f"{match['prompt']} {match['similarity']:.2f}" for match in face["actions"][:3])
        print(f"{face['file']}: {shares}; {matches}")
    if len(report["faces"]) > 1:
        titles = {
            "identity_cosine": "identity similarity",
            "recogniser_cosine": "identity similarity by the recogniser alone",
            "action_cosine": "action similarity",
        }
        for kind in (kind for kind in titles if kind in report):
            print(titles[kind])
            for row in report[kind]:
                print("  " + " ".join(f"{value:6.2f}" for value in row))


def verify(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say what a file says of its making, and how far that can be believed."""
    from iad.media.provenance import verify as verify_file

    report = asdict(verify_file(arguments.file))
    if not arguments.json:
        print(f"{report['file']}: {report['summary']}")
        for name, value in report["settings"].items():
            print(f"  {name}: {value}")
    return report
