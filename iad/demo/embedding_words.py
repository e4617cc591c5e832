"""What the tab "Inside the embedding" says and shows: faces, matrices, maps and swaps as pieces of HTML."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from iad.demo.examples import make_thumbnail
from iad.demo.figures import show_figure, show_grid
from iad.pipeline import SAME
from iad.plots import face_map, similarity_table
from iad.plots.history import flatten
from iad.plots.style import ACTION, IDENTITY

NAMED = 4  # prompts on a face's card

INTRODUCTION = """
<p class="lead">The model reads a face as one long row of numbers and splits it into three:
<b class="identity">identity</b>, who it is, <b class="action">action</b>, what the face does right now, and
<b class="residual">residual</b>, what else changes from photo to photo: light, framing, blur.
Add photos to see them apart. Most telling: one person with two expressions, two people with the same.</p>
"""
MATRICES = f"""
<h2 class="section">Who is like whom</h2>
<p class="lead">A cosine of 1 is the same, 0 unrelated. Of real people, two photos of one person came to 0.86
on average and two photos of different people to 0.16, and no pair was mistaken (27 and 64 pairs); with
another backdrop, hair and clothes one face comes to 0.71. From {SAME} by the recogniser alone, this program
takes two photos for one person. People who look alike, and rendered ones, may come near that.</p>
"""
SWAP = """
<h2 class="section">Swap</h2>
<p class="lead">The person of one photo does what another person's face does: no word says what to
do, only the two embeddings. The first photo’s own pixels are what moves.</p>
"""


def show_strip(pictures: Sequence[UInt8[np.ndarray, "h w 3"]]) -> str:
    """Show the examples in a row, real people first."""
    faces = "".join(f'<img src="{make_thumbnail(picture, 128)}" alt="">' for picture in pictures)
    return f'<div class="face-strip">{faces}</div>'


def describe_faces(
    crops: Sequence[UInt8[np.ndarray, "h w 3"]],
    labels: Sequence[str],
    report: dict[str, Any],
    counts: Sequence[int],
) -> str:
    """Make a card of every face: its crop, its shares, and the prompts that say best what it does.

    Args:
        crops: what the model sees of each photo.
        labels: A, B, ...
        report: from `compare_faces`.
        counts: how many faces each photo shows.
    """
    rows = zip(crops, labels, report["faces"], counts, strict=True)
    cards = "".join(_describe_face(*row) for row in rows)
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in report.get("notes", ()))
    return (
        f"{notes}"
        '<h2 class="section">Each face in three parts</h2><p class="quiet">The bar shows how much of the '
        "embedding's squared length is identity, how much action, and how much residual (light, framing, "
        "blur); below it, the words that the model finds nearest to the action: 1 is exactly what they "
        f'say.</p><div class="face-cards">{cards}</div>'
    )


def _describe_face(crop: np.ndarray, label: str, face: dict[str, Any], count: int) -> str:
    name = html.escape(face["file"])
    several = f'<p class="quiet">{count} faces found; this is the largest.</p>' if count > 1 else ""
    parts = ("identity", "action", "residual")
    shares = ", ".join(f"{part} {face[f'{part}_share']:.1%}" for part in parts)
    bars = "".join(f'<i class="{part}" style="width:{face[f"{part}_share"]:.2%}"></i>' for part in parts)
    matches = "".join(
        f'<li><span>{html.escape(match["prompt"])}</span><i class="bar"><i style="width:{_percent(match)}%">'
        f"</i></i><b>{match['similarity']:.2f}</b></li>"
        for match in face["actions"][:NAMED]
    )
    return (
        f'<article class="card"><img src="{make_thumbnail(crop, 192)}" '
        f'alt="Face {label} as the model sees it">'
        f'<div><h3><b>{label}</b> <span title="{name}">{name}</span></h3>{several}'
        f'<div class="shares" role="img" aria-label="{shares}">'
        f'{bars}</div><p class="quiet">{shares}</p>'
        f"<ul>{matches}</ul></div></article>"
    )


def _percent(match: dict[str, Any]) -> int:
    return round(100 * min(max(match["similarity"], 0.0), 1.0))


def describe_people(labels: Sequence[str], report: dict[str, Any]) -> str:
    """Say which faces are taken for one person, each like the first of its group by the recogniser."""
    values = report.get("recogniser_cosine")
    if values is None:
        return ""
    groups: list[list[int]] = []
    for k in range(len(labels)):
        group = next((group for group in groups if values[group[0]][k] >= SAME), None)
        groups.append([k]) if group is None else group.append(k)
    said = [", ".join(labels[k] for k in group) for group in groups]
    people = "1 person" if len(said) == 1 else f"{len(said)} people"
    return f'<p class="lead people">By that rule these are <b>{people}</b>: {"; ".join(said)}.</p>'


def draw_tables(
    crops: Sequence[UInt8[np.ndarray, "h w 3"]], labels: Sequence[str], report: dict[str, Any]
) -> str:
    """Show the identity and the action matrix."""
    kinds = (
        ("identity", IDENTITY, "One person should be dark blue whatever the face does, two people pale."),
        (
            "action",
            ACTION,
            "The same action should be orange in two people; one person with two actions pale.",
        ),
    )
    figures = []
    for kind, hue, meaning in kinds:
        values = np.array(report[f"{kind}_cosine"])
        pairs = [
            (values[i, j], f"{labels[i]} and {labels[j]}") for i, j in np.argwhere(np.triu(values < 9, 1))
        ]
        figures.append(
            show_figure(
                similarity_table(values, crops, labels, hue=hue),
                faces=True,
                title=f"{kind.capitalize()} similarity",
                alt=f"Cosine of {kind}: " + "; ".join(f"{pair} {value:.2f}" for value, pair in pairs),
                caption=f"{meaning} Most alike here: {max(pairs)[1]}, {max(pairs)[0]:.2f}.",
            )
        )
    return describe_people(labels, report) + show_grid(figures, wide=True)


def draw_maps(
    crops: Sequence[UInt8[np.ndarray, "h w 3"]],
    labels: Sequence[str],
    identity: Float[np.ndarray, "n d"],
    action: Float[np.ndarray, "n d"],
) -> str:
    """Show where the faces lie by identity and by action."""
    kinds = (
        ("identity", identity, IDENTITY, "Photos of one person should lie together, whatever the face does."),
        ("action", action, ACTION, "Faces that do the same should lie together, whoever they are."),
    )
    figures = []
    for kind, rows, hue, meaning in kinds:
        points, share = flatten(rows)
        figures.append(
            show_figure(
                face_map(points, crops, labels, hue=hue),
                faces=True,
                title=f"Map of {kind}",
                alt=f"The faces as points in the plane in which their {kind} differs most.",
                caption=f"{meaning} This plane (PCA) shows {share:.0%} of the differences.",
            )
        )
    return show_grid(figures, wide=True)


def describe_sources(crops: Sequence[UInt8[np.ndarray, "h w 3"]], labels: Sequence[str]) -> str:
    """Show whose identity and whose action a swap takes."""
    parts = "".join(
        f'<figure><img class="{kind}" src="{make_thumbnail(crop, 192)}" alt="Face {label}">'
        f"<figcaption>{kind} of <b>{label}</b></figcaption></figure>"
        for crop, label, kind in zip(crops, labels, ("identity", "action"), strict=True)
    )
    return f'<div class="sources">{parts}</div>'


def describe_swap(measured: Float[np.ndarray, "2 2"] | None, labels: Sequence[str], seconds: float) -> str:
    """Say whom the clip's middle frame is like; the rows of `measured` are identity and action."""
    made = f'<p class="quiet">AI-generated in {seconds:.1f} s with seed 0.</p>'
    if measured is None:
        return f'<p class="note">No face is found in the middle frame, so it cannot be measured.</p>{made}'
    rows = "".join(
        f"<tr><th scope='row'>{kind}</th>" + "".join(f"<td>{value:.2f}</td>" for value in values) + "</tr>"
        for kind, values in zip(("identity", "action"), measured, strict=True)
    )
    heads = "".join(f"<th scope='col'>like {label}</th>" for label in labels)
    return (
        f'<table class="measured"><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        '<p class="quiet">Cosines of the middle frame with both photos, the model\'s own opinion. A good '
        f"swap is high in identity with {labels[0]} and in action with {labels[1]}.</p>{made}"
    )
