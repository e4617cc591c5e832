"""The leakage suite's report for readers: tables in Markdown, and bars."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from iad.evaluation.probes import KINDS
from iad.evaluation.report import load_words, write_table
from iad.plots import stack_bars
from iad.plots.style import SERIES

# What an embedding should not tell, by the part that it is.
LEAKS = {"identity": ("expression", "coefficients", "pose"), "action": ("person",)}
ENDS = ("value", "low", "high")
DEPENDS = ("hsic_expression", "hsic_person")
WORDS = load_words("leakage")


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write all tables of the suite."""
    people = round(1 / report["chance"]["person"])
    facts = report["people"] | {"faces": report["faces_a_person"], "photos": report["photos"]}
    facts |= {"divisions": len(report["seeds"]), "seeds": ", ".join(map(str, report["seeds"]))}
    note = WORDS["note"].format(**facts, components=report["components"])
    note += f"\n{report['left_out']}\n" if report["left_out"] else ""
    sources = dict.fromkeys(row["source"] for row in report["embeddings"])
    tables = [_probed(report, source, people) for source in sources]
    tables += [_leaked(report), _depends(report), _words(report["words"]), _swap(report["swap"])]
    tables += [_swap_pictures(report["swap_pictures"])] if report["swap_pictures"] else []
    return "\n".join(["## Leakage", "", note, *tables, _swap_embedded(report["swap_embedded"])])


def _probed(report: Mapping[str, Any], source: str, people: int) -> str:
    asked = [(question, kind) for question in WORDS["questions"] for kind in KINDS]
    header = [f"{WORDS['questions'][question].format(people=people)}, {kind}" for question, kind in asked]
    rows = [row for row in report["embeddings"] if row["source"] == source]
    lines = [
        [row["name"], *(row[q].get(kind) for q, kind in asked), row["equal_error_rate"], row.get("auc")]
        for row in rows
    ]
    shuffled = [rows[0][q][kind]["shuffled"] if kind in rows[0][q] else None for q, kind in asked]
    lines.append(["f, taught on shuffled labels", *shuffled, 0.5, 0.5])
    lines.append(["chance", *(report["chance"][question] for question, _ in asked), 0.5, 0.5])
    title = f"What is read of {WORDS['sources'].get(source, source)}"
    return write_table(["embedding", *header, "EER", "AUC, photos"], lines, title=title, missing="")


def _leaked(report: Mapping[str, Any]) -> str:
    asked, lines = [(question, kind) for question in WORDS["questions"] for kind in KINDS], []
    for row in report["embeddings"]:
        entries = {q: row[q] for q in LEAKS.get(row["part"], ())}
        shares = [entries.get(q, {}).get(kind, {}).get("normalised") for q, kind in asked]
        lines += [[row["source"], row["name"], *shares]] if any(entries.values()) else []
    header = ["of", "embedding", *(f"{question}, {kind}" for question, kind in asked)]
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
    lines = [(text.format(people=swap["people"]), swap[key]) for key, text in WORDS["swap"].items()]
    title = f"Swap test on clips: identity of A, action of B, {swap['pairs']} pairs, no detail of the photo"
    return write_table(["", "share"], lines, title=title)


def _swap_pictures(found: Mapping[str, Mapping[str, Any]]) -> str:
    names = WORDS["swap_pictures"]
    lines = [[split, *(judged[key] for key in names)] for split, judged in found.items()]
    title = "i of A + a of B, local tokens, shown by the head that learned beside a split"
    return write_table(["split", *names.values()], lines, title=f"Swap test on pictures: {title}")


def _swap_embedded(found: Mapping[str, Mapping[str, float]]) -> str:
    names = WORDS["swap_embedded"]
    lines = [[text, *(shares[key] for shares in found.values())] for key, text in names.items()]
    header = ["nearest to i of A + a of B", *(WORDS["sources"].get(name, name) for name in found)]
    return write_table(header, lines, title="Swap test on embeddings")


def draw_leakage(report: Mapping[str, Any]) -> Image.Image:
    """Draw what identity embeddings keep of the action, and action embeddings of the person, as bars."""
    raw = {row["source"]: row for row in report["embeddings"] if row["part"] == "raw"}
    panels, colours = {}, {}
    for part, questions in LEAKS.items():
        rows = [r for r in report["embeddings"] if r["part"] == part and "mlp" in r["expression"]]
        for question in questions:
            chance = report["chance"][question]
            spans = {}
            for row in rows:
                entry, most = row[question]["linear"], raw[row["source"]][question]["linear"]["value"]
                known = entry["normalised"] is not None  # else there is nothing to leak
                ends = [(entry[end] - chance) / (most - chance) if known else np.nan for end in ENDS]
                spans[f"{row['source']}: {row['name']}"] = tuple(ends)
            panels[f"{part} embedding tells {question}"] = spans
            colours |= dict.fromkeys(spans, SERIES[list(LEAKS).index(part)])
    return stack_bars(panels, colours, across="share of what the undivided embedding tells (linear probes)")
