"""`python -m iad decouple`: faces split into identity and action, and compared."""

import argparse
import io
import json
from pathlib import Path
from typing import Any

from iad.checks import check_model, check_photo
from iad.commands.loading import Progress, load_pipeline

REPORT_SUFFIXES = (".png", ".npz", ".json")


def decouple(arguments: argparse.Namespace) -> dict[str, Any]:
    """Split faces into identity and action."""
    from iad.video import check_output

    check_model(arguments.model)
    output = check_output(arguments.output, REPORT_SUFFIXES) if arguments.output else None
    if not all(prompt.strip() for prompt in arguments.prompts):
        raise ValueError("A prompt is empty; describe a facial action, such as 'eyes closed'.")
    for file in arguments.faces:
        check_photo(file)
    pipeline = load_pipeline(arguments.model)
    with Progress("decouple") as progress:
        faces = []
        for file in arguments.faces:
            faces.append(pipeline.decouple(file))
            progress(len(faces), len(arguments.faces))
    report = _compare(pipeline, faces, arguments.faces, arguments.prompts)
    if output:
        _save_report(output, faces, report)
    if not arguments.json:
        _print_report(report)
    return report


def _compare(pipeline: Any, faces: list, files: list[str], prompts: list[str]) -> dict[str, Any]:
    import numpy as np

    def cosines(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(vectors, axis=1)[:, None] * np.linalg.norm(others, axis=1)
        return vectors @ others.T / np.maximum(norms, 1e-12)

    identity = np.stack([np.asarray(face.identity, np.float64) for face in faces])
    action = np.stack([np.asarray(face.action, np.float64) for face in faces])
    return {
        "faces": [
            {
                "file": str(file),
                "box": [int(side) for side in face.box],
                "identity_share": float(face.identity_share),
                "action_share": float(face.action_share),
                "cosine": float(cosines(i[None], a[None])[0, 0]),
                "actions": [
                    {"prompt": prompt, "similarity": float(similarity)}
                    for prompt, similarity in pipeline.match_actions(face, prompts)
                ],
            }
            for file, face, i, a in zip(files, faces, identity, action, strict=True)
        ],
        "identity_cosine": cosines(identity, identity).tolist(),
        "action_cosine": cosines(action, action).tolist(),
    }


def _save_report(output: Path, faces: list, report: dict[str, Any]) -> None:
    import numpy as np

    from iad.video import write_whole

    buffer = io.BytesIO()
    if output.suffix.lower() == ".png":
        from iad.plots import decoupling_report

        decoupling_report([np.asarray(face.crop) for face in faces], report).save(buffer, format="PNG")
    elif output.suffix.lower() == ".npz":
        parts = {
            name: np.stack([getattr(face, name) for face in faces])
            for name in ("facial", "identity", "action")
        }
        np.savez(buffer, files=np.array([face["file"] for face in report["faces"]]), **parts)
    else:
        buffer.write(json.dumps(report, indent=2).encode())
    write_whole(output, buffer.getvalue())


def _print_report(report: dict[str, Any]) -> None:
    for face in report["faces"]:
        shares = f"identity {face['identity_share']:.0%}, action {face['action_share']:.0%}"
        matches = ", ".join(f"{match['prompt']} {match['similarity']:.2f}" for match in face["actions"][:3])
        print(f"{face['file']}: {shares}; {matches}")
    if len(report["faces"]) > 1:
        for name in ("identity", "action"):
            print(f"{name} similarity")
            for row in report[f"{name}_cosine"]:
                print("  " + " ".join(f"{value:6.2f}" for value in row))
