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
DEFAULT_TERMS = ("orthogonality", "invariance", "agreement", "swap", "contrast", "diffusion")
ARMS = {  # of the keys of a log
    "diffusion": "IaD",
    "diffusion consisid": "ConsisID's recipe",
    "diffusion id-animator": "ID-Animator's recipe",
    "diffusion consisid-cross": "ConsisID's, IaD's references",
    "diffusion entangled": "IaD without the split",
}

INTRODUCTION = """
<p class="lead">Three losses are learned together: <b>L_ID</b> keeps identity and action apart, <b>L_TA</b>
ties the action to the prompt, and the <b>diffusion</b> loss draws clips. Of the paper we know that L_ID
enforces orthogonality and that L_TA makes actions and prompts correspond one to one; every formula,
and every other term, is our reading.</p>
"""
SHIPPED_HEAD = """
<h2 class="section">How the shipped model learned</h2>
<p class="quiet">First the split alone, then the split together with the video model.</p>
"""
ABLATED_HEAD = """
<h2 class="section">What each term is for</h2>
<p class="quiet">Recorded trainings from the same start on the same batches, each with something left out of
the losses. What is left out is still measured, so its curve shows what happens when nobody asks for it.</p>
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


def describe_limits(*, steps: int, shipped: int, faces: int, people: int) -> str:
    """Say what the curves do not show.

    Args:
        steps: of the ablations.
        shipped: steps of the shipped model's split, before the video model joined.
        faces: in the snapshots.
        people: in the snapshots.
    """
    points = (
        "A loss is measured on the batch just learned from. That it falls does not show that identity and "
        "action are apart in a face never seen; only readers taught on other people can show that, and their "
        "results are in docs/results.md.",
        "Orthogonality near zero proves little by itself: two rows of 512 random numbers have a cosine of "
        "about 0.035 already, and an action that vanishes is orthogonal to everything.",
        f"Each ablation took {steps:,} steps from one seed, the shipped split {shipped:,} before the video "
        "model joined: directions, not results. Small differences between two runs may be chance.",
        "Totals of different runs do not compare, because they do not add up the same terms.",
        f"Maps and probes look at {faces} faces of {people} people from the training clips, through random "
        "projections, before the last step, which erases what the shipped identity still leaks.",
    )
    items = "".join(f"<li>{html.escape(point)}</li>" for point in points)
    return f'<h2 class="section">What the curves do not show</h2><ul class="limits">{items}</ul>'
