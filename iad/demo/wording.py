"""What the Portrait and Compare tabs say: cards, scores and notes as small pieces of HTML."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iad.demo.examples import Example, make_thumbnail
from iad.demo.hardware import FULL_SIZE_GB
from iad.faces import mesh

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
# Likeness: cosines of the recogniser's embeddings; action: of what was read and what was asked. From the top.
# By the recogniser: other people are at 0.25 or below, a photo in other light is at 0.85.
LIKENESS = ((0.65, "very close"), (0.5, "close"), (0.35, "some likeness"), (-1.0, "little likeness"))
ACTION = ((0.55, "clearly shown"), (0.35, "partly shown"), (0.15, "hardly shown"), (-1.0, "not shown"))
LITTLE_ELSE = 0.9995  # of a clip's pixels: the rest would be written as 0.0%
DETECTED = ((1.0, "in every frame checked"), (0.01, "in some frames"), (0.0, "in no frame"))
OWN_WORD = "Scores are the model's own opinion: it looks at four frames, and at those beside a sudden jump."
OUTSIDE_WORD = (
    f"The action is scored by {mesh.NAME}, an outside judge, in {mesh.LOOKS} frames; all else is the model's "
    "own opinion of four frames and of those beside a sudden jump."
)

TITLE = """
<h1><span>One photo.</span> <span>Any expression.</span> <span>The same person.</span></h1>
<p>Give a photo of a face and say what it should do: the clip does that, whatever the photo did.</p>
"""
# The one thing that is done about age: it is confirmed before an upload is opened.
CONSENT = "The people in the photos I add are of age, and are me or agreed to this."
ASK_WORDS = "Tick the box at the top, and the face is looked for."
ASK_FOR_CONSENT = f'<p class="quiet" role="status">{ASK_WORDS}</p>'
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


def describe_model(name: str, place: str, more: str = "") -> str:
    """Say in a line at the foot of the page what comes of a photo; opened, what runs where and could."""
    return (
        f"<details><summary><b>{name}</b> · AI-generated · photos deleted within 2 h</summary>"
        f"<p>{place} What it makes is AI-generated, and each file says so. Photos serve for nothing but your "
        f"clip. {more}</p></details>"
    )


def pick_words(value: float, scale: Sequence[tuple[float, str]]) -> str:
    """Find the words for a score: those of the first threshold that it reaches."""
    return next((words for threshold, words in scale if value >= threshold), scale[-1][1])


def describe_prepared(example: Example) -> str:
    """Say what the clip that greets a visitor shows."""
    who = f"of {example.name} ({example.credit})" if example.name else "of a person who does not exist"
    return (
        f'<p class="prepared"><b>{html.escape(example.prompt)}</b><br>Prepared earlier by this model, '
        f"{html.escape(who)}. Press Generate to make it anew, or add a photo.</p>"
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
    how = f"seed {report['seed']}" + (f", {report['steps']} steps" if report["steps"] else "")
    opinion = OUTSIDE_WORD if report["judge"] == mesh.NAME else OWN_WORD
    made = f"AI-generated in {report['seconds']:.1f} s with {how}. {describe_made_of(report['made_of'])}"
    return f'<div class="scores">{body}{_share_row(report)}</div>{notes}<p class="quiet">{made} {opinion}</p>'


def describe_made_of(shares: Mapping[str, float]) -> str:
    """Say in a sentence where the pixels of a clip come from."""
    if not shares:
        return ""
    if shares["denoiser"] >= 1:
        return "Every pixel is the denoiser's, from the two embeddings alone."
    all_of_it = shares["photo"] >= LITTLE_ELSE
    share = "Nearly all" if all_of_it else f"{shares['photo']:.1%}"
    parts = [f"{share} of its pixels are the photo's own, moved"]
    if shares["paint"] and not all_of_it:
        parts.append(f"{shares['paint']:.1%} are painted, where the photo shows nothing")
    if shares["denoiser"]:
        parts.append(f"{shares['denoiser']:.1%} are the denoiser's")
    return f"{', and '.join([', '.join(parts[:-1]), parts[-1]]) if parts[1:] else parts[0]}."


def _score_row(name: str, value: float, words: str, line: str) -> str:
    width = round(100 * min(max(value, 0.0), 1.0))
    bar = line or f'<i class="bar"><i style="width:{width}%"></i></i>'
    return f'<div class="score"><span>{name}</span><b>{words}<small>{value:.2f}</small></b>{bar}</div>'


def _share_row(report: Mapping[str, Any]) -> str:
    names = ("identity", "action", "residual")
    shares = {name: report[f"{name}_share"] for name in names if report[f"{name}_share"] is not None}
    if not shares:
        return ""
    bars = "".join(f'<i class="{name}" style="width:{share:.1%}"></i>' for name, share in shares.items())
    rest = ", ".join(f"{share:.0%} {name}" for name, share in list(shares.items())[1:])
    return (
        '<div class="score"><span>Your photo’s embedding</span>'
        f"<b>{shares['identity']:.0%} identity<small>{rest}, left out</small></b>"
        f'<i class="shares">{bars}</i></div>'
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


def describe_sheet(address: str, shown: int, count: int) -> str:
    """Show frames of a clip at once."""
    said = f"All {count} frames" if shown == count else f"{shown} of {count} frames"
    picture = f'<img src="{address}" alt="Frames in order">'
    return f"<details><summary>{said}</summary>{picture}</details>"


def describe_examples(examples: Sequence[Example]) -> str:
    """Make a card of every example, moving where a clip was prepared; each is a button with its index."""
    if not examples:
        return ""
    cards = "".join(_card(example, k) for k, example in enumerate(examples))
    names = " and ".join(dict.fromkeys(html.escape(example.name) for example in examples if example.name))
    return (
        f'<div class="strip"><p class="quiet">Faces: {names} (public domain)'
        f'{", and people who do not exist" if any(not example.name for example in examples) else ""}.</p>'
        '<button type="button" class="pause" aria-pressed="false">Pause all</button></div>'
        f'<div class="cards">{cards}</div>'
    )


def _card(example: Example, index: int) -> str:
    photo = f'<img src="{make_thumbnail(example.picture, 160)}" alt="">'
    if moving := example.card or example.clip:
        data = base64.b64encode(moving.read_bytes()).decode()
        photo = (
            f'<video src="data:video/mp4;base64,{data}" autoplay loop muted playsinline tabindex="-1" '
            f'aria-hidden="true"></video>{photo.replace("<img", "<img class=inset")}'
        )
    words = html.escape(example.prompt)
    told = f' title="{html.escape(f"{example.name}: {example.credit}")}"' if example.name else ""
    if example.clip and not index:  # the page opens with it
        told += ' aria-current="true"'
    return f'<button type="button" data-index="{index}"{told}><i>{photo}</i><span>{words}</span></button>'
