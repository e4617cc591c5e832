"""Faces side by side: the report of `iad decouple` and of the app, and its files.

In come split faces and a pipeline that ranks prompts; out come plain values for JSON, and the bytes of an
.npz of the embeddings or a .csv of the numbers.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

NUMBERS = ("identity_share", "action_share", "residual_share", "cosine")
PARTS = ("facial", "identity", "action", "residual")


def cosines(rows: Float[np.ndarray, "n d"], others: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Compare every row with every other by the cosine between them."""
    norms = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(others, axis=1)
    return rows @ others.T / np.maximum(norms, 1e-12)


def compare_faces(
    pipeline: Any, faces: Sequence[Any], files: Sequence[str], prompts: Sequence[str]
) -> dict[str, Any]:
    """Tell each face's shares and nearest prompts, and how alike all are in identity and in action.

    Where the model has a recogniser's token, also how alike they are in that token's identity alone.

    Args:
        pipeline: whose `match_actions` ranks the prompts.
        faces: as `pipeline.decouple` gives them.
        files: the name of each.
        prompts: facial actions in words.
    """
    identity, action = (stack(faces, part).astype(np.float64) for part in ("identity", "action"))
    alike = {"identity_cosine": identity, "action_cosine": action}
    if all(face.recognised is not None for face in faces):
        alike["recogniser_cosine"] = stack(faces, "recognised").astype(np.float64)
    return {
        "faces": [
            {
                "file": str(file),
                "box": [int(side) for side in face.box],
                "identity_share": float(face.identity_share),
                "action_share": float(face.action_share),
                "residual_share": float(face.residual_share),
                "cosine": float(cosines(i[None], a[None])[0, 0]),
                "actions": [
                    {"prompt": prompt, "similarity": float(similarity)}
                    for prompt, similarity in pipeline.match_actions(face, prompts)
                ],
            }
            for file, face, i, a in zip(files, faces, identity, action, strict=True)
        ],
    } | {kind: cosines(rows, rows).tolist() for kind, rows in alike.items()}


def stack(faces: Sequence[Any], part: str) -> Float[np.ndarray, "n d"]:
    """Stack one of `PARTS`, or another array, of all faces."""
    return np.stack([np.asarray(getattr(face, part)) for face in faces])


def write_npz(faces: Sequence[Any], report: dict[str, Any]) -> bytes:
    """Write the embeddings: `files`, `facial`, `identity`, `action`, `residual`, a row a face."""
    buffer = io.BytesIO()
    files = np.array([face["file"] for face in report["faces"]])
    np.savez(buffer, files=files, **{part: stack(faces, part) for part in PARTS})
    return buffer.getvalue()


def write_csv(report: dict[str, Any]) -> bytes:
    """Write a report as a table: a row a face; shares, then prompts, then cosines with every face."""
    faces = report["faces"]
    prompts = sorted({match["prompt"] for face in faces for match in face["actions"]})
    names = [face["file"] for face in faces]
    kinds = [kind for kind in report if kind.endswith("_cosine")]
    head = ["file", *NUMBERS]
    head += [f"action: {prompt}" for prompt in prompts] + [
        f"{kind}: {name}" for kind in kinds for name in names
    ]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(head)
    for k, face in enumerate(faces):
        found = {match["prompt"]: match["similarity"] for match in face["actions"]}
        numbers = [face[name] for name in NUMBERS]
        numbers += [found[prompt] for prompt in prompts] + [x for kind in kinds for x in report[kind][k]]
        table.writerow([_plain(face["file"]), *(f"{number:.6f}" for number in numbers)])
    return out.getvalue().encode()


def _plain(name: str) -> str:
    # a spreadsheet takes a cell that begins like this for a formula
    return f"'{name}" if name[:1] in "=+-@" else name
