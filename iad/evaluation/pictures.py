"""Pictures of the `action` suite: six people, not chosen by looks, and sheets of all that they were asked.

In come the strips of frames that the run kept; out come `figure.png` and `sheets/`.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from iad.evaluation.action_clips import STRIP, load_person, shown_people, strip_file
from iad.evaluation.action_plan import Plan, list_wanted
from iad.video import save_picture

INK, SOFT, PAPER = (31, 35, 40), (110, 118, 129), (255, 255, 255)
FRAME = 96  # pixels of a frame in a picture
GAP, MARGIN, HEAD, WORDS = 10, 28, 74, 150
LETTERS = 20  # of a prompt in a line
_SHEET_ROWS = ("truth", "warp")  # beside the arms and what is drawn, on the sheets


def draw_action(output: Path, folder: Path, plan: Plan, records: Sequence[dict[str, Any]]) -> None:
    """Draw the figure and the sheets; people and actions follow from their numbers alone."""
    by_key = {record["key"]: record for record in records}
    arms = [row for row in plan.rows if row not in ("still", "warp")]
    lines = []
    for place, person in enumerate(shown_people(plan)):
        action = plan.actions[place % len(plan.actions)]
        lines.append(_line(folder, plan, by_key, person, action, arms))
        rows = [row for row in (*arms, *_SHEET_ROWS) if row == "truth" or row in plan.rows]
        sheet = [_line(folder, plan, by_key, person, name, rows) for name in plan.actions]
        path = output / "sheets" / f"person-{person:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        title = f"Person {person}: every action, seed 0"
        save_picture(path, np.asarray(_draw(title, rows, sheet)))
    if lines:
        title = "The first people of each kind, not chosen by looks; seed 0"
        save_picture(output / "figure.png", np.asarray(_draw(title, arms, lines)))
    rendered = [person for person in shown_people(plan) if plan.people[person].kind == "rendered"]
    half = len(plan.actions) // 2
    twice = [(person, k + step) for k, person in enumerate(rendered) for step in (0, half)]
    lines = [_line(folder, plan, by_key, p, plan.actions[k % len(plan.actions)], arms) for p, k in twice]
    if lines:  # of people whom nobody has to credit
        title = "The first rendered people, not chosen by looks; seed 0"
        save_picture(output / "figure-rendered.png", np.asarray(_draw(title, arms, lines)))


def _line(folder: Path, plan: Plan, by_key, person: int, action: str, rows: Sequence[str]) -> dict[str, Any]:
    """Gather what one line of a picture shows."""
    named = {}
    for row in rows:
        wanted = next(
            w for w in list_wanted(plan, row, person) if w.part == "basic" and w.actions == [action]
        )
        named[row] = by_key.get(wanted.key)
    stored = load_person(folder, person)
    references = dict(zip(stored["shown"].tolist(), stored["images"], strict=True))
    some = next(record for record in named.values() if record)
    prompts = [record["prompt"] for record in named.values() if record and record["prompt"]]
    strips = {row: strip_file(folder, record["key"]) for row, record in named.items() if record}
    return {
        "reference": references[some["shown"]],
        "shown": some["shown"],
        "prompt": prompts[0] if prompts else action,
        "strips": {row: path for row, path in strips.items() if path.exists()},
    }


def _draw(title: str, rows: Sequence[str], lines: Sequence[dict[str, Any]]) -> Image.Image:
    strip = FRAME * len(STRIP)
    left = MARGIN + FRAME + GAP + WORDS + GAP
    width = left + len(rows) * (strip + GAP) - GAP + MARGIN
    canvas = Image.new("RGB", (width, HEAD + len(lines) * (FRAME + GAP) + MARGIN - GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (MARGIN, 16), title, size=20)
    for text, x in (("reference", MARGIN), ("prompt", MARGIN + FRAME + GAP)):
        _write(draw, (x, HEAD - 24), text, tone=SOFT)
    for k, row in enumerate(rows):
        _write(draw, (left + k * (strip + GAP), HEAD - 24), row, tone=SOFT)
    for number, line in enumerate(lines):
        y = HEAD + number * (FRAME + GAP)
        reference = Image.fromarray(line["reference"])
        canvas.paste(reference.resize((FRAME, FRAME), Image.LANCZOS), (MARGIN, y))
        text = textwrap.fill(line["prompt"], LETTERS)
        _write(draw, (MARGIN + FRAME + GAP, y + 4), text)
        _write(draw, (MARGIN + FRAME + GAP, y + FRAME - 18), f"shown: {line['shown']}", tone=SOFT, size=12)
        for k, row in enumerate(rows):
            if row in line["strips"]:
                with Image.open(line["strips"][row]) as picture:
                    canvas.paste(picture.resize((strip, FRAME), Image.LANCZOS), (left + k * (strip + GAP), y))
            else:
                _write(draw, (left + k * (strip + GAP), y + FRAME / 2 - 8), "no face found", tone=SOFT)
    return canvas


def _write(draw: ImageDraw.ImageDraw, place, text: str, *, size: int = 14, tone=INK) -> None:
    draw.multiline_text(place, text, fill=tone, font=ImageFont.load_default(size), spacing=3)
