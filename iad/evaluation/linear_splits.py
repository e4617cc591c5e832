"""Splits by linear algebra that the shipped one must beat, fitted anew on the people who teach a fold.

The closed form at every rank needs to know who is who; LEACE (arXiv 2306.03819) is told which expression
every face shows, the very thing that is asked of others afterwards: the strongest opponent a table can have.
Embeddings are long and people few, so both work within the span of the rows that teach, which is the same.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iad.closed_form import ClosedForm, fit_closed_form
from iad.evaluation.measures import Faces, Fold, Make

RANKS = (1, 2, 4, 8, 16, 32, 64)  # of the closed form


@dataclass(frozen=True)
class Erased:
    """What LEACE takes off: (x - mean) @ reads @ shows."""

    mean: Float[Tensor, " d"]
    reads: Float[Tensor, "d r"]
    shows: Float[Tensor, "r d"]

    def split(self, embedding: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Return (identity, action) of centred embeddings."""
        action = (embedding - self.mean) @ self.reads @ self.shows
        return embedding - self.mean - action, action


@dataclass
class LinearSplit:
    """Splits rows, fitted once a fold."""

    fit: Callable[[Fold], ClosedForm | Erased]
    known: dict[int, ClosedForm | Erased] = field(default_factory=dict)

    def make(self, rows: Float[Tensor, "n d"], part: int) -> Make:
        """Return what makes identity (0) or action (1) of rows, of whichever people, in a fold."""
        return lambda fold: self.fitted(fold).split(rows)[part]

    def fitted(self, fold: Fold) -> ClosedForm | Erased:
        """Fit, or return what was fitted before."""
        if id(fold) not in self.known:
            self.known[id(fold)] = self.fit(fold)
        return self.known[id(fold)]


def create_closed_form(rows: Float[Tensor, "n d"], samples: Faces, rank: int) -> LinearSplit:
    """Take the strongest directions in which faces of one person differ."""

    def fit(fold: Fold) -> ClosedForm:
        mean, axes, taught = _span(rows, fold)
        small = fit_closed_form(taught, torch.from_numpy(samples.person[fold.taught]), rank=rank)
        return ClosedForm(mean, axes @ small.basis)

    return LinearSplit(fit)


def create_leace(rows: Float[Tensor, "n d"], samples: Faces) -> LinearSplit:
    """Erase which expression is shown, head turns at random being one more."""
    from concept_erasure import LeaceEraser

    names, which = np.unique(samples.action, return_inverse=True)
    labels = torch.nn.functional.one_hot(torch.from_numpy(which), len(names))

    def fit(fold: Fold) -> Erased:
        mean, axes, taught = _span(rows, fold)
        eraser = LeaceEraser.fit(taught.double(), labels[torch.from_numpy(fold.taught)].double())
        reads, shows = eraser.proj_right.T.float(), eraser.proj_left.T.float()
        return Erased(mean, axes @ reads, shows @ axes.T)

    return LinearSplit(fit)


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
    closed_form = create_closed_form(rows, samples, rank)
    return closed_form.make(rows, 0), closed_form.make(rows, 1)
