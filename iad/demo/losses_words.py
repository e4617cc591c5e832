"""What the tab "Losses" says: what each term is for, whose it is, and what the curves do not show."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Owner = Literal["the paper's", "our reading"]


@dataclass(frozen=True)
class Term:
    """One term of the losses, as a visitor reads of it."""

    loss: str
    owner: Owner
    purpose: str


TERMS: dict[str, Term] = {
    "orthogonality": Term("L_ID", "the paper's", "Identity and action may not point the same way."),
    "invariance": Term("L_ID", "our reading", "One person in two actions keeps one identity."),
    "retention": Term("L_ID", "our reading", "Identity finds the same person again among others."),
    "portrait": Term("L_ID", "our reading", "Identity alone suffices to draw the person's calm portrait."),
    "picture": Term("L_ID", "our reading", "Both parts together hold the picture that was read."),
    "agreement": Term("L_ID", "our reading", "Two people doing the same have the same action."),
    "independence": Term("L_ID", "our reading", "The person cannot be read from the action."),
    "swap": Term("L_ID", "our reading", "One's identity plus another's action gives the right face."),
    "contrast": Term("L_TA", "the paper's", "Each action finds its own prompt, each prompt its own action."),
    "match": Term("L_TA", "our reading", "The prompt's action and the face's lie on one another."),
    "grounding": Term("L_TA", "our reading", "The action tells what each muscle and the head do."),
    "diffusion": Term("L_diffusion", "the paper's", "The video model takes the noise out of clips."),
}

INTRODUCTION = """
<p class="lead">Three losses are learned together: <b>L_ID</b> keeps identity and action apart, <b>L_TA</b>
ties the action to the prompt, and the <b>diffusion</b> loss draws clips. Here are recorded trainings from the
same start, each with something left out. What is left out is still measured, so its curve shows what happens
when nobody asks for it. Of the paper we know orthogonality and the tie of action and prompt; the rest is
ours.</p>
"""
WITHOUT = {
    "L_ID": "All of L_ID is left out: nothing asks that identity and action be apart. The paper's loss, with "
    "our terms beside it.",
    "L_TA": "All of L_TA is left out: no prompt is tied to any action. The paper's loss, with our terms "
    "beside it.",
    "orthogonality-only": "Of L_ID only orthogonality stays, the one term that we know to be the paper's; "
    "ours are left out.",
}


def name_run(name: str) -> str:
    """Name an ablation as the page does: "without-swap" is "without swap"."""
    return {"full": "all terms", "orthogonality-only": "orthogonality alone"}.get(
        name, name.replace("-", " ", 1)
    )


def order_runs(names: Sequence[str]) -> list[str]:
    """Put runs that leave out a whole loss first."""
    return sorted(
        names, key=lambda name: (name != "full", name.split("-", 1)[-1] not in ("L_ID", "L_TA"), name)
    )


def describe_run(without: Sequence[str]) -> str:
    """Say in one sentence what an ablation leaves out, and whose term it is."""
    sentences = [WITHOUT.get(name) or _describe_missing(name) for name in without]
    text = " ".join(sentences) or "Nothing is left out; choose a run to compare it with."
    return f'<p class="lead">{html.escape(text)}</p>'


def _describe_missing(name: str) -> str:
    if name not in TERMS:
        return f"{name} is left out."
    term = TERMS[name]
    purpose = term.purpose[0].lower() + term.purpose[1:-1]
    return f"Without {name} of {term.loss} ({term.owner}), nothing asks for this: {purpose}."


def caption_term(name: str) -> str:
    """Say what a term is for, and whose it is."""
    term = TERMS[name]
    return f"{term.purpose} {term.loss}, {term.owner}."


def describe_limits(*, steps: int) -> str:
    """Say what the curves do not show, of ablations of so many steps."""
    return (
        f'<p class="quiet">Each run took {steps:,} steps from one seed: directions, not results. A loss is '
        "measured on the batch just learned from, and orthogonality near zero proves little by itself. What "
        "holds for faces never seen is in docs/results.md; the tutorials train the split step by step.</p>"
    )
