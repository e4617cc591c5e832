"""What the page says: faces, scores and notes as small pieces of HTML."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from iad.config import Preset
from iad.demo.examples import Example, make_thumbnail

# Cosines of the model's own embeddings, from the highest down.
LIKENESS = ((0.92, "very close"), (0.8, "close"), (0.5, "some likeness"), (-1.0, "little likeness"))
ACTION = ((0.7, "clearly shown"), (0.45, "partly shown"), (0.2, "hardly shown"), (-1.0, "not shown"))
DETECTED = ((1.0, "in every frame checked"), (0.01, "in some frames"), (0.0, "in no frame"))

TITLE = """
<small>IaD video portraits</small>
<h1><span>One photo.</span> <span>Any expression.</span> <span>The same person.</span></h1>
<p>Give a photo of a face and say what it should do. The clip keeps the person and does what you say,
whatever expression the photo had.</p>
"""
PRIVACY = """
<p>Photos stay on the computer that runs this page, serve for nothing but your clip, and are deleted within
two hours.</p>
"""
ASK_FOR_CONSENT = '<p class="quiet">Tick the box below, and the face is looked for.</p>'


def describe_model(preset: Preset) -> str:
    """Say honestly what the model is, and what becomes of a photo."""
    small = "is a small model that runs on a CPU, trained only on people who do not exist; so far its "
    small += "pictures are soft and the likeness is rough. It "
    return (
        f"<p><b>{preset.name}</b> {small if preset.name == 'mini' else ''}makes clips of {preset.size} × "
        f"{preset.size} pixels and {preset.duration:g} seconds. Everything it makes is AI-generated, "
        f"and each file says so.</p>{PRIVACY}"
    )


def pick_words(value: float, scale: Sequence[tuple[float, str]]) -> str:
    """Find the words for a score: those of the first threshold that it reaches."""
    return next((words for threshold, words in scale if value >= threshold), scale[-1][1])


def describe_face(crop: UInt8[np.ndarray, "h w 3"], *, count: int, index: int) -> str:
    """Show the crop that the model sees."""
    which = "the largest" if index == 0 else f"number {index}"
    several = f"{count} faces found, using {which}. Choose another under Advanced."
    title = "Face found" if count == 1 else several
    return (
        f'<div class="face"><img src="{make_thumbnail(crop, 128)}" alt="The face as the model sees it">'
        f"<p><b>{title}</b><br>This crop is all that the model sees of the photo.</p></div>"
    )


def describe_scores(report: dict[str, Any]) -> str:
    """Say how well a clip came out: three scores in words, then notes and how it was made."""
    rows = (
        ("Likeness to the photo", report["likeness"], LIKENESS),
        ("Action match", report["action"], ACTION),
        ("Face detected", report["detected"], DETECTED),
    )
    body = "".join(_score_row(name, value, pick_words(value, scale)) for name, value, scale in rows)
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in report["notes"])
    steps = "1 step" if report["steps"] == 1 else f"{report['steps']} steps"
    made = f"AI-generated in {report['seconds']:.1f} s with seed {report['seed']}, {steps}."
    return (
        f'<div class="scores">{body}</div>{notes}<p class="quiet">{made} '
        "The first two scores are the model's own opinion.</p>"
    )


def _score_row(name: str, value: float, words: str) -> str:
    width = round(100 * min(max(value, 0.0), 1.0))
    return (
        f'<div class="score"><span>{name}</span><b>{words}<small>{value:.2f}</small></b>'
        f'<i class="bar"><i style="width:{width}%"></i></i></div>'
    )


def describe_examples(examples: Sequence[Example]) -> str:
    """Make a card of every example; each is a button that carries its index."""
    cards = "".join(
        f'<button type="button" data-index="{k}"><img src="{make_thumbnail(example.picture, 160)}" alt="">'
        f"<span>{html.escape(example.prompt)}</span></button>"
        for k, example in enumerate(examples)
    )
    return f'<p class="quiet">No photo at hand? Start with one of these.</p><div class="cards">{cards}</div>'
