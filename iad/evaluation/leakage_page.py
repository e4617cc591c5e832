"""The leakage suite's report for readers: tables in Markdown, and bars."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from iad.evaluation.probes import KINDS
from iad.evaluation.report import write_table
from iad.plots import stack_bars
from iad.plots.style import SERIES

# What an embedding should not tell, by the part that it is.
LEAKS = {"identity": ("expression", "coefficients", "pose"), "action": ("person",)}
HEADINGS = {
    "expression": "expression, of 9",
    "coefficients": "coefficients, R²",
    "pose": "head pose, R²",
    "person": "person, of {people}",
}
ENDS = ("value", "low", "high")
DEPENDS = ("hsic_expression", "hsic_person")
SOURCES = {"recogniser": "the recogniser's token", "local": "the local tokens"}
NOTE = """\
{photo} photo people whom training never saw, {faces} faces each; {divisions} division(s) into halves, each
half teaches once and is asked once, seeds {seeds}; in brackets 95 % ranges over people. Linear and network
(MLP) probes on at most {components} principal components of the rows that teach. *Expression* (balanced
accuracy), *coefficients* and *head pose* (R²): read by probes taught on other people. *Person* (accuracy):
taught on the same people in five of the nine actions, asked in the other four. *EER*: verification across
actions. *AUC, photos*: {photos} other held-out photos as they are, in four looks each; one photo shows one
action, so an action may know it, too. Closed form and LEACE are fitted on the people who teach, ranks are
compared on the first division; LEACE is told the expressions that are asked of the others.
"""


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write all tables of the suite."""
    people = round(1 / report["chance"]["person"])
    facts = report["people"] | {"faces": report["faces_a_person"], "people": people}
    facts |= {"divisions": len(report["seeds"]), "seeds": ", ".join(map(str, report["seeds"]))}
    note = NOTE.format(**facts, components=report["components"], photos=report["photos"])
    if report["left_out"]:
        note += f"\n{report['left_out']}\n"
    sources = dict.fromkeys(row["source"] for row in report["embeddings"])
    tables = [_probed(report, source, people) for source in sources]
    tables += [_leaked(report), _depends(report), _words(report["words"]), _swap(report["swap"])]
    tables += [_swap_pictures(report["swap_pictures"])] if report["swap_pictures"] else []
    return "\n".join(["## Leakage", "", note, *tables, _swap_embedded(report["swap_embedded"])])


def _probed(report: Mapping[str, Any], source: str, people: int) -> str:
    questions = {key: text.format(people=people) for key, text in HEADINGS.items()}
    header = ["embedding"] + [f"{text}, {kind}" for text in questions.values() for kind in KINDS]
    rows = [row for row in report["embeddings"] if row["source"] == source]
    asked = [(question, kind) for question in questions for kind in KINDS]
    lines = [
        [row["name"], *(row[q].get(kind) for q, kind in asked), row["equal_error_rate"], row.get("auc")]
        for row in rows
    ]
    shuffled = [rows[0][q][kind]["shuffled"] if kind in rows[0][q] else None for q, kind in asked]
    lines.append(["f, taught on shuffled labels", *shuffled, 0.5, 0.5])
    lines.append(["chance", *(report["chance"][question] for question, _ in asked), 0.5, 0.5])
    title = f"What is read of {SOURCES.get(source, source)}"
    return write_table([*header, "EER", "AUC, photos"], lines, title=title, missing="")


def _leaked(report: Mapping[str, Any]) -> str:
    header = ["of", "embedding"] + [f"{question}, {kind}" for question in HEADINGS for kind in KINDS]
    lines = []
    for row in report["embeddings"]:
        entries = {q: row[q] if q in LEAKS.get(row["part"], ()) else {} for q in HEADINGS}
        if any(entries.values()):
            shares = [entries[q].get(kind, {}).get("normalised") for q in HEADINGS for kind in KINDS]
            lines.append([row["source"], row["name"], *shares])
    title = "Normalised leakage: 0 nothing, 1 as much as the undivided f"
    return write_table(header, lines, title=title, missing="")


def _depends(report: Mapping[str, Any]) -> str:
    header = ["of", "embedding", "numbers", "nearest neutral face is the own"]
    header += ["HSIC, expression within a person", "HSIC, person within an action"]
    lines = [
        [row["source"], row["name"], row["width"], row["rank_one"]]
        + [f"{row[key]['alignment']:.2f} (p {row[key]['p']:.3f})" for key in DEPENDS]
        for row in report["embeddings"]
        if "mlp" in row["expression"]
    ]
    return write_table(header, lines, title="What depends on what (unbiased HSIC, permutation tests)")


def _words(words: Mapping[str, Any]) -> str:
    lines = [(f"{wording} wordings", words[wording]) for wording in ("seen", "unseen")]
    title = "Words find the right one of a person's eight clips"
    return write_table(["prompts in", "top 1"], [*lines, ("chance", words["chance"])], title=title)


def _swap(swap: Mapping[str, Any]) -> str:
    if "left_out" in swap:
        return f"### Swap test\n\nLeft out: {swap['left_out']}\n"
    lines = [
        ("the recogniser finds A rather than B", swap["identity"]),
        (f"the recogniser finds A among {swap['people']}", swap["rank_one"]),
        ("nearer to A doing what B does than to A's reference", swap["action"]),
        ("nearest to A doing what B does, of A's nine faces", swap["nearest"]),
        ("the same of a true face of A: the judge's ceiling", swap["judged"]),
    ]
    title = f"Swap test on clips: identity of A, action of B, {swap['pairs']} pairs, no detail of the photo"
    return write_table(["", "share"], lines, title=title)


def _swap_pictures(found: Mapping[str, Mapping[str, Any]]) -> str:
    names = {
        "identity": "A rather than B",
        "rank_one": "A among all people",
        "action": "nearer to A doing what B does than to A's reference",
        "nearest": "nearest to it of A's nine faces",
        "judged": "the same for f of A doing it: the ceiling",
    }
    lines = [[split, *(judged[key] for key in names)] for split, judged in found.items()]
    title = (
        "Swap test on pictures: i of A + a of B, local tokens, shown by the head that learned beside a split"
    )
    return write_table(["split", *names.values()], lines, title=title)


def _swap_embedded(found: Mapping[str, Mapping[str, float]]) -> str:
    names = {
        "all": "f of A doing what B does, among everybody's nine",
        "person": "some f of A",
        "own": "the right one of A's nine",
        "other": "the right one of A's nine but the reference's",
        "ceiling": "the same of nine, for another f of A: the ceiling",
    }
    lines = [[text, *(shares[key] for shares in found.values())] for key, text in names.items()]
    header = ["nearest to i of A + a of B", *(SOURCES.get(name, name) for name in found)]
    return write_table(header, lines, title="Swap test on embeddings")


def draw_leakage(report: Mapping[str, Any], *, kind: str = "linear") -> Image.Image:
    """Draw what identity embeddings keep of the action, and action embeddings of the person, as bars."""
    raw = {row["source"]: row for row in report["embeddings"] if row["part"] == "raw"}
    panels, colours = {}, {}
    for part, questions in LEAKS.items():
        rows = [r for r in report["embeddings"] if r["part"] == part and "mlp" in r["expression"]]
        for question in questions:
            chance = report["chance"][question]
            spans = {}
            for row in rows:
                entry, most = row[question][kind], raw[row["source"]][question][kind]["value"]
                known = entry["normalised"] is not None  # else there is nothing to leak
                ends = [(entry[end] - chance) / (most - chance) if known else np.nan for end in ENDS]
                spans[f"{row['source']}: {row['name']}"] = tuple(ends)
            panels[f"{part} embedding tells {question}"] = spans
            colours |= dict.fromkeys(spans, SERIES[list(LEAKS).index(part)])
    return stack_bars(panels, colours, across=f"share of what the undivided embedding tells ({kind} probes)")
