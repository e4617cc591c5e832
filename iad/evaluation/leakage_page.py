"""The leakage suite's report for readers: tables in Markdown, and bars."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from iad.evaluation.bars import Bar, draw_bars
from iad.evaluation.probes import KINDS

# What an embedding should not tell, by the part that it is.
LEAKS = {"identity": ("expression", "coefficients", "pose"), "action": ("person",)}
HEADINGS = {
    "expression": "expression, of 9",
    "coefficients": "coefficients, R²",
    "pose": "head pose, R²",
    "person": "person, of {people}",
}
NOTE = """\
{photo} photo people and {rendered} rendered people whom training never saw, {faces} faces each; {divisions}
divisions into halves, each half teaches once and is asked once, seeds {seeds}; in brackets 95 % ranges over
people. Linear and network (MLP) probes on at most {components} principal components of the rows that teach.
*Expression* (balanced accuracy), *coefficients* and *head pose* (R²): read by probes taught on other people.
*Person* (accuracy): taught on the same people in five of the nine actions, asked in the other four. *EER* and
*rank 1*: verification across actions, and the own neutral face the nearest of {people}. *HSIC p*: does the
embedding depend on the expression within one person, and on the person within one action (permutation tests).
"""


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write all tables of the suite."""
    chance = report["chance"]
    people = round(1 / chance["person"])
    facts = report["people"] | {"faces": report["faces_a_person"], "people": people}
    facts |= {"divisions": len(report["seeds"]), "seeds": ", ".join(map(str, report["seeds"]))}
    note = NOTE.format(**facts, components=report["components"])
    tables = [_told(report, people), _leaked(report), _verified(report, people)]
    return "\n".join(["## Leakage", "", note, *tables, _words(report["words"]), _swap(report["swap"])])


def _told(report: Mapping[str, Any], people: int) -> str:
    questions = {key: text.format(people=people) for key, text in HEADINGS.items()}
    header = ["embedding"] + [f"{text}, {kind}" for text in questions.values() for kind in KINDS]
    lines = [
        [row["name"]] + [_value(row[question].get(kind)) for question in questions for kind in KINDS]
        for row in report["embeddings"]
    ]
    raw = report["embeddings"][0]
    shuffled = [f"{raw[question][kind]['shuffled']:.2f}" for question in questions for kind in KINDS]
    chance = [f"{report['chance'][question]:.2f}" for question in questions for _ in KINDS]
    lines += [["f, taught on shuffled labels"] + shuffled, ["chance"] + chance]
    return _table("What probes can read", header, lines)


def _leaked(report: Mapping[str, Any]) -> str:
    header = ["embedding"] + [f"{question}, {kind}" for question in HEADINGS for kind in KINDS]
    lines = []
    for row in report["embeddings"]:
        questions = LEAKS.get(row["part"], ())
        if questions:
            shares = [
                _share(row[question].get(kind)) if question in questions else ""
                for question in HEADINGS
                for kind in KINDS
            ]
            lines.append([row["name"]] + shares)
    return _table("Normalised leakage: 0 nothing, 1 as much as the undivided f", header, lines)


def _verified(report: Mapping[str, Any], people: int) -> str:
    header = ["embedding", "length", "EER", f"rank 1 of {people}"]
    header += ["HSIC p, expression within a person", "HSIC p, person within an action"]
    lines = [
        [row["name"], str(row["width"]), _value(row["equal_error_rate"]), _value(row["rank_one"])]
        + [
            f"{row[key]['p']:.3f} (CKA {row[key]['alignment']:.2f})"
            for key in ("hsic_expression", "hsic_person")
        ]
        for row in report["embeddings"]
    ]
    lines.append(["chance", "", "0.50", f"{1 / people:.2f}", "", ""])
    return _table("Who it is, and what depends on what", header, lines)


def _words(words: Mapping[str, Any]) -> str:
    lines = [[f"{wording} wordings", _value(words[wording])] for wording in ("seen", "unseen")]
    lines.append(["chance", f"{words['chance']:.2f}"])
    title = "Words find the right one of a person's eight clips"
    return _table(title, ["prompts in", "top 1"], lines)


def _swap(swap: Mapping[str, Any]) -> str:
    if "left_out" in swap:
        return f"### Swap test\n\nLeft out: {swap['left_out']}\n"
    lines = [
        ["the recogniser finds A rather than B", _value(swap["identity"])],
        [f"the recogniser finds A among {swap['people']}", _value(swap["rank_one"])],
        ["the regressor sees B's action rather than that of A's reference", _value(swap["action"])],
    ]
    return _table(f"Swap test: identity of A, action of B, {swap['pairs']} pairs", ["", "share"], lines)


def _table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return f"### {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _value(entry: Mapping[str, float] | None) -> str:
    return "" if entry is None else f"{entry['value']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"


def _share(entry: Mapping[str, float | None] | None) -> str:
    share = entry and entry["normalised"]
    return "" if share is None else f"{share:.2f}"


def draw_leakage(report: Mapping[str, Any], *, kind: str = "linear") -> Image.Image:
    """Draw what identity embeddings keep of the action, and action embeddings of the person, as bars."""
    raw = {row["source"]: row for row in report["embeddings"] if row["part"] == "raw"}
    groups = []
    for hue, (part, questions) in enumerate(LEAKS.items()):
        rows = [r for r in report["embeddings"] if r["part"] == part and kind in r[questions[0]]]
        for question in questions:
            chance = report["chance"][question]
            bars = [
                _bar(
                    row["name"], row[question][kind], raw[row["source"]][question][kind]["value"], chance, hue
                )
                for row in rows
            ]
            groups.append((f"{part} embedding tells {question}", bars))
    title = f"What leaks: share of what the undivided embedding tells ({kind} probes)"
    return draw_bars(title, groups)


def _bar(name: str, entry: Mapping[str, Any], raw: float, chance: float, hue: int) -> Bar:
    if entry["normalised"] is None:
        return Bar(name, None, hue=hue)
    low, high = ((entry[end] - chance) / (raw - chance) for end in ("low", "high"))
    return Bar(name, entry["normalised"], low, high, hue)
