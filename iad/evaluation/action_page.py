"""The action suite's report for readers: tables in Markdown, and pictures of people not chosen by looks.

In come the report, and the strips of frames that the run kept; out come text, figures and `sheets/`.
"""

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from iad.evaluation.action_clips import SHOWN, STRIP, load_person, strip_file
from iad.evaluation.people import FAIR, PRODUCT, Plan, list_wanted
from iad.evaluation.report import load_words, write_estimate, write_table
from iad.media.video import save_picture
from iad.performing.actions import EIGHT_BASIC
from iad.plots.style import INK, PAPER, SOFT

PERCENT = ("right person", "face found", "action right", "broad > slight", "second right", *EIGHT_BASIC)
STRATA = ("action right", "action right, dlib", "expression copied", "expression copied, dlib")
STRATA += ("right person, dlib", "face found")
BESIDE = ("truth", "still")  # rows that belong to both questions
WORDS = load_words("action")
DLIB = "…, dlib"
FRAME = 96  # pixels of a frame in a picture
GAP, MARGIN, HEAD, TEXT = 10, 28, 74, 150
LETTERS = 20  # of a prompt in a line


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write all tables of the suite."""
    settings, summary = report["settings"], report["summary"]
    words = "wordings that training never saw" if settings["held_out_words"] else "wordings of training"
    failed = [f"{row}: {n['failed']} of {n['clips']}" for row, n in report["counts"].items() if n["failed"]]
    note = WORDS["note"].format(
        **settings | {"actions": len(settings["actions"])},
        words=words,
        chosen=", on whom settings are chosen and nothing is reported" if settings["tuning"] else "",
        copied=WORDS["copied"],
        failed=f"Clips that could not be made, counted as wrong: {'; '.join(failed)}." if failed else "",
    )
    lines = ["## Action", "", note, *_say_added(report), "![first six people](figure.png)", ""]
    for section, (title, text) in WORDS["sections"].items():
        lines += _section(section, title, text, report)
    lines += _strata(report)
    lines += ["### What the numbers are", ""]
    known = {column for rows in summary.values() for row in rows.values() for column in row}
    known |= {"gallery picture", DLIB}
    lines += [f"- *{name}*: {text}" for name, text in report["definitions"].items() if name in known]
    lines += [f"- Row *{name}*: {text}." for name, text in WORDS["rows"].items() if name in summary["all"]]
    lines += [f"- Not judged: {sentence}" for sentence in report["missing"]]
    return "\n".join(lines) + "\n"


def _say_added(report: Mapping[str, Any]) -> list[str]:
    """Say in a sentence what the split adds over the arm that has all but the split."""
    found = report["split_adds"]
    added = {column: found[column] for column in WORDS["added"] if column in found}
    if not added:
        return []
    told = any(low > 0 or high < 0 for _, low, high in added.values())
    begun = f"**What the split itself adds** over `{FAIR}` (iad's number minus its, people paired):"
    said = "; ".join(_say_difference(*pair) for pair in added.items())
    return [f"{begun} {said if told else f'nothing that can be told. {said}'}.", ""]


def _say_difference(column: str, estimate: Sequence[float]) -> str:
    """Put a difference in words; of one whose interval holds zero nothing can be told."""
    (name, more), (_, low, high) = WORDS["added"][column], estimate
    numbers = _cell(column, estimate, sign="+").replace(" %", " points")
    if not (low > 0 or high < 0):
        return f"{name} {numbers}, nothing that can be told"
    return f"{name} {numbers}, {'better' if (low > 0) == more else 'worse'}"


def _strata(report: Mapping[str, Any]) -> list[str]:
    """Write for whom it works: a line for each group of photo people and row."""
    title, too_small = ["### For whom: photo people", ""], report["strata_too_small"]
    if not report["strata"]:
        return [*title, *too_small, ""] if too_small else []
    lines = []
    for stratum in report["strata"]:
        for place, (name, row) in enumerate(stratum["rows"].items()):
            first = (f"{stratum['of']}: {stratum['name']}", str(stratum["people"])) if not place else ("", "")
            lines.append([*first, name, *(_cell(column, row.get(column)) for column in STRATA)])
    return [*title, WORDS["strata"], "", write_table(["", "people", "row", *STRATA], lines), *too_small, ""]


def _section(section: str, heading: str, text: str, report: Mapping[str, Any]) -> list[str]:
    """Write the tables of one question; none where no row answers it."""
    lines = [f"### {heading}", "", text, ""]
    chosen = {name: row for name, row in report["summary"]["all"].items() if _belongs(name, section)}
    for title, columns in WORDS["columns"].items():
        lines += _table(title, chosen, columns)
    lines += _table("Action right, by action", chosen, report["settings"]["actions"])
    return lines if chosen.keys() - set(BESIDE) else []


def _belongs(name: str, section: str) -> bool:
    return name in BESIDE or (name in PRODUCT) == (section == "product")


def _table(
    title: str, rows: Mapping[str, Mapping[str, Sequence[float]]], columns: Sequence[str]
) -> list[str]:
    known = [column for column in columns if any(column in row for row in rows.values())]
    lines = [[name, *(_cell(column, row.get(column)) for column in known)] for name, row in rows.items()]
    return [write_table([title, *known], lines)] if known else []


def _cell(column: str, estimate: Sequence[float] | None, *, sign: str = "") -> str:
    return write_estimate(estimate, percent=column.split(", ")[0] in PERCENT, sign=sign)


def draw_action(output: Path, folder: Path, plan: Plan, records: Sequence[dict[str, Any]]) -> None:
    """Draw the figures and the sheets; people and actions follow from their numbers alone."""
    arms = [row for row in plan.rows if row not in ("still", "warp")]
    rows = [*arms, "truth", *(row for row in plan.rows if row == "warp")]
    find = partial(_line, folder, plan, {record["key"]: record for record in records})
    people, count = range(min(SHOWN, plan.count)), len(plan.actions)
    for person in people:
        lines = [find(person, action, rows) for action in plan.actions]
        title = f"Person {person}: every action, seed 0"
        _draw(output / "sheets" / f"person-{person:03d}.png", title, rows, lines)
    lines = [find(person, plan.actions[k % count], arms) for k, person in enumerate(people)]
    _draw(output / "figure.png", "The first people, not chosen by looks; seed 0", arms, lines)


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


def _draw(path: Path, title: str, rows: Sequence[str], lines: Sequence[dict[str, Any]]) -> None:
    if not lines:
        return
    strip = FRAME * len(STRIP)
    left = MARGIN + FRAME + GAP + TEXT + GAP
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
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(path, np.asarray(canvas))


def _write(draw: ImageDraw.ImageDraw, place, text: str, *, size: int = 14, tone=INK) -> None:
    draw.multiline_text(place, text, fill=tone, font=ImageFont.load_default(size), spacing=3)
