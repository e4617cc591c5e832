"""The action suite's report for readers: tables in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from iad.evaluation.action_plan import DRAWN, FAIR, PRODUCT
from iad.evaluation.metrics import COPIED
from iad.evaluation.report import write_estimate, write_table
from iad.performing.actions import EIGHT_BASIC

COLUMNS = {
    "Who it is": ("FaceSim-Arc", "FaceSim-Cur", "FaceSim-Arc, InsightFace", "dlib", "dlib distance")
    + ("right person", "right person, dlib", "face found"),
    "What it does": ("action right", "action right, dlib", "expression copied", "expression copied, dlib")
    + ("pose copied", "pose copied, dlib", "broad > slight", "broad > slight, dlib", "broad / slight")
    + ("second right", "second right, dlib"),
    "How it looks": ("Frechet", "steadiness", "jitter", "motion", "ConsisID's 'FID'", "CLIPScore"),
}
PERCENT = ("right person", "face found", "action right", "broad > slight", "second right", *EIGHT_BASIC)
STRATA = ("action right", "action right, dlib", "expression copied", "expression copied, dlib")
STRATA += ("right person, dlib", "face found")
# What the split may add: the column, what the sentence calls it, and whether more of it is better.
ADDED = {
    "action right": ("clips that show the action", True),
    "action right, dlib": ("the same by dlib", True),
    "expression copied": ("copied of the photo's expression", False),
    "expression copied, dlib": ("the same by dlib", False),
    "right person, dlib": ("clips in which dlib finds the right person", True),
}
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
    FAIR: "iad with f in place of i: the same references, T and action channel, its own codes, no split",
    "consisid": "ConsisID's recipe; it has no action channel, so words reach it as text alone, and no T",
    "id-animator": "ID-Animator's recipe, without T as ConsisID's",
    DRAWN: "iad as it is drawn for visitors, with the photo's own pixels",
    "truth": "true renders of the same people: the ceiling",
    "still": "the reference repeated: what copying gets",
    "warp": "the reference animated by a fitted mesh: no network, but the exact action",
}
STRATA_NOTE = (
    "Skin tone is measured in the photo (typology angle of the cheeks), so dim light makes anybody's darker; "
    "sex and age are labels by looks. Groups that overlap in their intervals are not told apart."
)
DLIB = "…, dlib"
NOTE = """\
{photo} photo people and {rendered} rendered people whom training never saw{chosen}; {actions} actions,
{seeds} take(s) an arm, by T's seeds; prompts in {words}. Every arm is given the same
references, which show another action than the prompt asks for. In brackets 95 % intervals, people drawn anew
with all their takes (bootstrap). *Copied* is everywhere the {copied} {failed}
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
        chosen=", on whom settings are chosen and nothing is reported" if settings["tuning"] else "",
        copied=COPIED,
        failed=f"Clips that could not be made, counted as wrong: {'; '.join(failed)}." if failed else "",
    )
    lines = ["## Action", "", note, *_say_added(report), "![first six people](figure.png)", ""]
    for section, (title, text) in SECTIONS.items():
        lines += _section(section, title, text, report)
    lines += _strata(report)
    lines += ["### What the numbers are", ""]
    known = {column for rows in summary.values() for row in rows.values() for column in row}
    known |= {"gallery picture", DLIB}
    lines += [f"- *{name}*: {text}" for name, text in report["definitions"].items() if name in known]
    lines += [f"- Row *{name}*: {text}." for name, text in ROWS.items() if name in summary["all"]]
    lines += [f"- Not judged: {sentence}" for sentence in report["missing"]]
    return "\n".join(lines) + "\n"


def _say_added(report: Mapping[str, Any]) -> list[str]:
    """Say in a sentence what the split adds over the arm that has all but the split."""
    added = {column: report["split_adds"][column] for column in ADDED if column in report["split_adds"]}
    if not added:
        return []
    told = any(low > 0 or high < 0 for _, low, high in added.values())
    begun = f"**What the split itself adds** over `{FAIR}` (iad's number minus its, people paired):"
    said = "; ".join(_say_difference(column, found) for column, found in added.items())
    return [f"{begun} {said if told else f'nothing that can be told. {said}'}.", ""]


def _say_difference(column: str, estimate: Sequence[float]) -> str:
    """Put a difference in words; of one whose interval holds zero nothing can be told."""
    (name, more), (_, low, high) = ADDED[column], estimate
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
    return [*title, STRATA_NOTE, "", write_table(["", "people", "row", *STRATA], lines), *too_small, ""]


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
    lines = [[name, *(_cell(column, row.get(column)) for column in known)] for name, row in rows.items()]
    return [write_table([title, *known], lines)] if known else []


def _cell(column: str, estimate: Sequence[float] | None, *, sign: str = "") -> str:
    return write_estimate(estimate, percent=column.split(", ")[0] in PERCENT, sign=sign)
