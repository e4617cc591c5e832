"""The action suite's report for readers: tables in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from iad.evaluation.plan import DRAWN, PRODUCT
from iad.performing.actions import EIGHT_BASIC

COLUMNS = {
    "Who it is": ("FaceSim-Arc", "FaceSim-Cur", "FaceSim-Arc, InsightFace", "dlib", "dlib distance")
    + ("right person", "right person, dlib", "face found"),
    "What it does": ("action right", "expression copied", "pose copied", "expression correlation")
    + ("broad > slight", "broad / slight", "second right"),
    "How it looks": ("Frechet", "steadiness", "jitter", "motion", "ConsisID's 'FID'", "CLIPScore"),
}
PERCENT = (
    "right person",
    "right person, dlib",
    "face found",
    "action right",
    "broad > slight",
    "second right",
)
KINDS = {"all": "All people", "photo": "Photo people", "rendered": "Rendered people"}
BESIDE = ("truth", "still")  # rows that belong to both questions
SECTIONS = {
    "method": (
        "The method: what the embeddings alone carry",
        "All arms by the denoiser's own frames (`detail_scale=0`), 128 pixels: no pixel of the photo is in "
        "them.",
    ),
    "product": (
        "The product: what a visitor sees",
        "iad's track drawn with the photo's own pixels, cut to the judges' framing and rate. The other arms "
        "have no drawing: they are measured above.",
    ),
}
ROWS = {
    DRAWN: "iad as it is drawn for visitors, with the photo's own pixels",
    "truth": "true renders of the same people: the ceiling",
    "still": "the reference repeated: what copying gets",
    "warp": "the reference animated by a fitted mesh: no network, but the exact action",
}
NOTE = """\
{photo} photo people and {rendered} rendered people whom training never saw; {actions} actions, {seeds} seeds
an arm; prompts in {words}. The reference shows another action than the prompt asks for. In brackets 95 %
bootstrap intervals over people. {failed}
"""


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write all tables of the suite."""
    settings, summary = report["settings"], report["summary"]
    words = "wordings that training never saw" if settings["held_out_words"] else "wordings of training"
    failed = [f"{row}: {n['failed']} of {n['clips']}" for row, n in report["counts"].items() if n["failed"]]
    note = NOTE.format(
        photo=settings["photo"],
        rendered=settings["rendered"],
        actions=len(settings["actions"]),
        seeds=settings["seeds"],
        words=words,
        failed=f"Clips that could not be made, counted as wrong: {'; '.join(failed)}." if failed else "",
    )
    lines = ["## Action", "", note, "![first six people](figure.png)", ""]
    for section, (title, text) in SECTIONS.items():
        lines += _section(section, title, text, report)
    lines += ["### What the numbers are", ""]
    known = {column for rows in summary.values() for row in rows.values() for column in row}
    lines += [f"- *{name}*: {text}" for name, text in report["definitions"].items() if name in known]
    lines += [f"- Row *{name}*: {text}." for name, text in ROWS.items() if name in summary["all"]]
    lines += [f"- Not judged: {sentence}" for sentence in report["missing"]]
    return "\n".join(lines) + "\n"


def _section(section: str, heading: str, text: str, report: Mapping[str, Any]) -> list[str]:
    """Write the tables of one question; none where no row answers it."""
    lines = [f"### {heading}", "", text, ""]
    answered = False
    for kind, rows in report["summary"].items():
        chosen = {name: row for name, row in rows.items() if _belongs(name, section)}
        answered |= bool(chosen.keys() - set(BESIDE))
        lines += [f"#### {KINDS[kind]}", ""]
        for title, columns in COLUMNS.items():
            lines += _table(title, chosen, columns)
        lines += _table("Action right, by action", chosen, report["settings"]["actions"])
    return lines if answered else []


def _belongs(name: str, section: str) -> bool:
    return name in BESIDE or (name in PRODUCT) == (section == "product")


def _table(
    title: str, rows: Mapping[str, Mapping[str, Sequence[float]]], columns: Sequence[str]
) -> list[str]:
    known = [column for column in columns if any(column in row for row in rows.values())]
    if not known:
        return []
    lines = [f"| {title} | " + " | ".join(known) + " |", "|---" * (len(known) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(_cell(column, row.get(column)) for column in known) + " |")
    return [*lines, ""]


def _cell(column: str, estimate: Sequence[float] | None) -> str:
    if estimate is None:
        return "–"
    percent = column in PERCENT or column in EIGHT_BASIC
    value, low, high = (100 * x if percent else x for x in estimate)
    form = "{:.0f} %" if percent else "{:.2f}"
    ends = form.replace(" %", "")
    if not low <= high:  # one person gives no interval
        return form.format(value)
    return f"{form.format(value)} [{ends.format(low)}, {ends.format(high)}]"
