"""Splits by linear algebra that the shipped one must beat, fitted anew on the people who teach a fold.

The closed form at every rank needs to know who is who; LEACE (arXiv 2306.03819) is told which expression
every face shows, the very thing that is asked of others afterwards: the strongest opponent a table can have.
Embeddings are long and people few, so both work within the span of the rows that teach, which is the same.
"""

import importlib.util
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iad.evaluation.measures import Faces, Fold, Make
from iad.models.closed_form import Explained, fit_closed_form

RANKS = (1, 2, 4, 8, 16, 32, 64)  # of the closed form
Fit = Callable[[Fold], Explained]  # what of rows is action, learned once a fold


def create_closed_form(rows: Float[Tensor, "n d"], samples: Faces, rank: int) -> Fit:
    """Take the strongest directions in which faces of one person differ."""

    @cache
    def fit(fold: Fold) -> Explained:
        mean, axes, taught = _span(rows, fold)
        small = fit_closed_form(taught, torch.from_numpy(samples.person[fold.taught]), rank=rank)
        basis = axes @ small.basis
        return Explained(mean, basis, basis.T)

    return fit


def create_leace(rows: Float[Tensor, "n d"], samples: Faces) -> Fit:
    """Erase which expression is shown, head turns at random being one more."""
    from concept_erasure import LeaceEraser

    names, which = np.unique(samples.action, return_inverse=True)
    labels = torch.nn.functional.one_hot(torch.from_numpy(which), len(names))

    @cache
    def fit(fold: Fold) -> Explained:
        mean, axes, taught = _span(rows, fold)
        eraser = LeaceEraser.fit(taught.double(), labels[torch.from_numpy(fold.taught)].double())
        reads, shows = eraser.proj_right.T.float(), eraser.proj_left.T.float()
        return Explained(mean, axes @ reads, shows @ axes.T)

    return fit


def make_part(fit: Fit, rows: Float[Tensor, "n d"], part: int) -> Make:
    """Return what makes identity (0) or action (1) of rows, of whichever people, in a fold."""

    def make(fold: Fold) -> Float[Tensor, "n d"]:
        found = fit(fold)
        action = (rows - found.mean) @ found.reads @ found.shows
        return action if part else rows - found.mean - action

    return make


def lacks_leace() -> str:
    """Say what LEACE needs and does not have; empty where nothing."""
    if importlib.util.find_spec("concept_erasure") is None:
        return "LEACE needs a package; install it with: pip install --no-deps concept-erasure==0.2.4"
    return ""


def choose_rank(leaks: dict[int, float], errors: dict[int, float], most: float) -> int:
    """Choose the rank that leaks least among those whose equal error rate is at most `most`, else of all."""
    allowed = [rank for rank in leaks if errors[rank] <= most] or list(leaks)
    return min(allowed, key=lambda rank: leaks[rank])


def _span(
    rows: Float[Tensor, "n d"], fold: Fold
) -> tuple[Float[Tensor, " d"], Float[Tensor, "d k"], Float[Tensor, "m k"]]:
    """Return the mean of the rows that teach, axes of what they span about it, and them on these axes."""
    taught = rows[torch.from_numpy(fold.taught)]
    mean = taught.mean(0)
    axes = torch.linalg.qr((taught - mean).T)[0]
    return mean, axes, (taught - mean) @ axes


def closed_form_makers(rows: Float[Tensor, "n d"], samples: Faces, *, rank: int) -> tuple[Make, Make]:
    """Return what makes identity and action by closed form, fitted anew on the people who teach a fold."""
    fit = create_closed_form(rows, samples, rank)
    return make_part(fit, rows, 0), make_part(fit, rows, 1)
