"""What the Portrait and Compare tabs say: cards, scores and notes as small pieces of HTML."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iad.config import Preset
from iad.demo.examples import Example, make_thumbnail
from iad.demo.hardware import FULL_SIZE_GB

ARM_CHOICES = (
    ("IaD: identity and action decoupled", "iad"),
    ("ConsisID's recipe: the face crop, as it is", "consisid"),
    ("ID-Animator's recipe: the face's tokens, as they are", "id-animator"),
)
ARM_INFO = "Two older recipes, trained on the same data"
FULL_ARM_INFO = "The two older systems themselves, with the weights that their authors published"
FULL_ARM_CHOICES = (
    ("IaD: identity and action decoupled", "iad"),
    ("ConsisID, the published system", "consisid"),
    ("ID-Animator, the published system", "id-animator"),
)
MISSING = (
    "CogVideoX-5B and the published ConsisID and ID-Animator take a CUDA GPU with about "
    f"{FULL_SIZE_GB} GB, or a Space on ZeroGPU, where this page offers them (IAD_BIG_MODEL and IAD_ADAPTER "
    "name the weights)."
)
# Cosines of the model's own embeddings, from the highest down.
LIKENESS = ((0.92, "very close"), (0.8, "close"), (0.5, "some likeness"), (-1.0, "little likeness"))
ACTION = ((0.7, "clearly shown"), (0.45, "partly shown"), (0.2, "hardly shown"), (-1.0, "not shown"))
DETECTED = ((1.0, "in every frame checked"), (0.01, "in some frames"), (0.0, "in no frame"))

TITLE = """
<h1><span>One photo.</span> <span>Any expression.</span> <span>The same person.</span></h1>
<p>Give a photo of a face and say what it should do. The clip keeps the person and does what you say,
whatever expression the photo had.</p>
"""
CONSENT = "The people in the photos I add are me, or agreed to this. Asked once; the examples need no tick."
ASK_FOR_CONSENT = '<p class="quiet" role="status">Tick the box at the top, and the face is looked for.</p>'
CARDS_JS = """
const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
const videos = () => element.querySelectorAll('video');
if (still) videos().forEach(video => { video.autoplay = false; video.pause(); });
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.index === undefined) {
    const stop = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', stop);
    button.textContent = stop ? 'Play all' : 'Pause all';
    videos().forEach(video => stop ? video.pause() : video.play());
    return;
  }
  element.querySelectorAll('[aria-current]').forEach(card => card.removeAttribute('aria-current'));
  button.setAttribute('aria-current', 'true');
  trigger('click', {index: Number(button.dataset.index)});
});
"""


def describe_model(preset: Preset, place: str, more: str = "") -> str:
    """Say honestly what the model is, where it runs, what more there could be, what becomes of a photo."""
    small = "is a small model, trained only on people who do not exist; it draws softly and the likeness is "
    small += f"rough, so detail is taken from the photo ({preset.shown_size} pixels). It "
    return (
        f"<p><b>{preset.name}</b> {small if preset.name == 'mini' else ''}draws {preset.size} × "
        f"{preset.size} pixels and {preset.duration:g} seconds. {place} Everything it makes is AI-generated, "
        "and each file says so. Photos serve for nothing but your clip and are deleted within two hours. "
        f"{more}</p>"
    )


def pick_words(value: float, scale: Sequence[tuple[float, str]]) -> str:
    """Find the words for a score: those of the first threshold that it reaches."""
    return next((words for threshold, words in scale if value >= threshold), scale[-1][1])


def describe_prepared(prompt: str) -> str:
    """Say what the clip that greets a visitor shows."""
    return (
        f'<p class="prepared"><b>{html.escape(prompt)}</b><br>Prepared earlier by this model, of a person '
        "who does not exist. Press Generate to make it anew, or add a photo.</p>"
    )


def describe_scores(report: Mapping[str, Any]) -> str:
    """Say how well a clip came out: scores in words, likeness over time, shares, notes, how it was made."""
    identity = np.asarray(report["identity"], float)  # None becomes NaN
    seen = identity[np.isfinite(identity)]
    rows = (
        ("Likeness to the photo", float(seen.mean()) if seen.size else None, LIKENESS, draw_line(identity)),
        ("Action asked for", report["action"], ACTION, ""),
        ("Face detected", report["detected"], DETECTED, ""),
    )
    body = "".join(
        _score_row(name, value, pick_words(value, scale), line)
        for name, value, scale, line in rows
        if value is not None
    )
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in report["notes"])
    steps = "1 step" if report["steps"] == 1 else f"{report['steps']} steps"
    made = f"AI-generated in {report['seconds']:.1f} s with seed {report['seed']}, {steps}."
    return (
        f'<div class="scores">{body}{_share_row(report)}</div>{notes}<p class="quiet">{made} '
        "Likeness, action and shares are the model's own opinion.</p>"
    )


def _score_row(name: str, value: float, words: str, line: str) -> str:
    width = round(100 * min(max(value, 0.0), 1.0))
    bar = line or f'<i class="bar"><i style="width:{width}%"></i></i>'
    return f'<div class="score"><span>{name}</span><b>{words}<small>{value:.2f}</small></b>{bar}</div>'


def _share_row(report: Mapping[str, Any]) -> str:
    identity, action = report["identity_share"], report["action_share"]
    if identity is None:
        return ""
    return (
        '<div class="score"><span>Your photo’s embedding</span>'
        f"<b>{identity:.0%} identity<small>{action:.0%} action, left out</small></b>"
        f'<i class="bar share"><i style="width:{identity:.1%}"></i></i></div>'
    )


def draw_line(values: np.ndarray) -> str:
    """Draw values between 0 and 1 over time, a line of its box's full width; it runs straight over gaps."""
    known = np.isfinite(values)
    if not known.any():
        return ""
    places, values = np.linspace(0, 200, len(values))[known], values[known]
    heights = 30 - 28 * np.clip(values, 0, 1)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True))
    low, high = float(np.min(values)), float(np.max(values))
    return (
        f'<svg class="line" viewBox="0 0 200 32" preserveAspectRatio="none" role="img" '
        f'aria-label="Frame by frame, from {low:.2f} to {high:.2f}">'
        f'<path d="M0 30H200M0 2H200"/><polyline points="{points}"/></svg>'
    )


def describe_sheet(address: str, count: int) -> str:
    """Show all frames of a clip at once."""
    picture = f'<img src="{address}" alt="All frames in order">'
    return f"<details><summary>All {count} frames</summary>{picture}</details>"


def describe_examples(examples: Sequence[Example]) -> str:
    """Make a card of every example, moving where a clip was prepared; each is a button with its index."""
    if not examples:
        return ""
    cards = "".join(_card(example, k) for k, example in enumerate(examples))
    return (
        '<div class="strip"><p class="quiet">These people do not exist. Click one to start from it.</p>'
        '<button type="button" class="pause" aria-pressed="false">Pause all</button></div>'
        f'<div class="cards">{cards}</div>'
    )


def _card(example: Example, index: int) -> str:
    photo = f'<img src="{make_thumbnail(example.picture, 160)}" alt="">'
    if example.clip:
        data = base64.b64encode(example.clip.read_bytes()).decode()
        photo = (
            f'<video src="data:video/mp4;base64,{data}" autoplay loop muted playsinline tabindex="-1" '
            f'aria-hidden="true"></video>{photo.replace("<img", "<img class=inset")}'
        )
    words = html.escape(example.prompt)
    return f'<button type="button" data-index="{index}"><i>{photo}</i><span>{words}</span></button>'
