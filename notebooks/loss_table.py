"""The terms of both losses on a full table of faces, people down and actions across, and how it moves points.

Training draws pairs of clips; a table holds every person in every action, so the pairs are found by rolling
it. The faces may be real ones or, as `move_points` has them, a few points that one can watch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iad import decoupling as idea
from iad.decoupling import Decoupler, Split

TERMS = ("orthogonality", "invariance", "retention", "agreement", "independence", "swap")


@dataclass(frozen=True)
class Motion:
    """Where the points of a table were, at the start and after every step, and each term there."""

    identity: Float[Tensor, "t p k d"]
    action: Float[Tensor, "t p k d"]
    terms: dict[str, Float[Tensor, " t"]]


def label_rows(people: int, actions: int) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Return person and action of every face of a table, in the order of `table.flatten(0, 1)`."""
    person, action = torch.meshgrid(torch.arange(people), torch.arange(actions), indexing="ij")
    return person.flatten(), action.flatten()


def identity_terms(table: Split, *, step: int = 0) -> dict[str, Float[Tensor, ""]]:
    """Return the terms of L_ID that need no portrait, of a table (people, actions, queries, width).

    Args:
        table: the split of every face.
        step: other steps compare other people and actions with each other.

    Raises:
        ValueError: fewer than two people or actions.
    """
    people, actions = table.code.shape[:2]
    if people < 2 or actions < 2:
        raise ValueError(f"A table needs two people and two actions, got {people} and {actions}; add some.")
    person = label_rows(people, actions)[0].to(table.code.device)
    facial, identity, action = (x.flatten(0, 1) for x in (table.facial, table.identity, table.action))
    shift = 1 + step % (actions - 1)
    elsewhere = table.identity.roll(shift, 1).flatten(0, 1)  # this person, another action
    pairs = zip(table.code.unbind(1), table.code.roll(shift, 1).unbind(1), strict=True)
    by_other = table.action.roll(1 + step % (people - 1), 0).flatten(0, 1)  # another person, this action
    return {
        "orthogonality": idea.orthogonality(identity, action),
        "invariance": idea.invariance(identity, elsewhere),
        "retention": idea.retention(identity, elsewhere, person),
        "agreement": idea.agreement(action, by_other),
        "independence": sum(idea.independence(*pair) for pair in pairs) / actions,
        "swap": idea.swap(elsewhere, by_other, facial),
    }


def text_terms(code: Float[Tensor, "p k c"], told: Float[Tensor, "k c"]) -> dict[str, Float[Tensor, ""]]:
    """Return the terms of L_TA that need no coefficients: codes of faces against one text code an action."""
    which = label_rows(*code.shape[:2])[1].to(code.device)
    shown, said = code.flatten(0, 1)[:, None], told[which][:, None]  # one latent frame each
    same = which[:, None] == which[None]
    return {"contrast": idea.text_contrast(shown, said, same), "match": idea.text_match(shown, said)}


def split_table(
    decoupler: Decoupler, vector: Float[Tensor, "p k v"], tokens: Float[Tensor, "p k n e"]
) -> Split:
    """Split a table of encoded faces; every field of the result is (people, actions, ...)."""
    split = decoupler(vector.flatten(0, 1), tokens.flatten(0, 1))
    fields = (split.facial, split.identity, split.action, split.residual, split.code)
    return Split(*(x.unflatten(0, vector.shape[:2]) for x in fields))


def as_table(facial: Float[Tensor, "p k d"], action: Float[Tensor, "p k d"]) -> Split:
    """Take points for faces of one token; the action is its own code."""
    f, a = facial[..., None, :], action[..., None, :]
    return Split(f, f - a, a, torch.zeros_like(f), action)


def move_points(
    facial: Float[Tensor, "p k d"],
    action: Float[Tensor, "p k d"],
    *,
    weights: Mapping[str, float],
    steps: int = 300,
    rate: float = 0.02,
) -> Motion:
    """Let every action point go where a weighted sum of terms draws it; f stays, i = f - a.

    Args:
        facial: the faces.
        action: where the action points start.
        weights: of the terms to use, by name; the others are only recorded.
        steps: of Adam.
        rate: about how far a point may go in one step.

    Raises:
        ValueError: a term that does not exist.
    """
    unknown = sorted(set(weights) - set(TERMS))
    if unknown:
        raise ValueError(f"Unknown terms {', '.join(unknown)}; choose from {', '.join(TERMS)}.")
    points = action.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], rate)
    places, values = [], []
    for step in range(steps + 1):
        terms = identity_terms(as_table(facial, points), step=step)
        places.append(points.detach().clone())
        values.append([float(terms[name].detach()) for name in TERMS])
        optimizer.zero_grad()
        sum(weight * terms[name] for name, weight in weights.items()).backward()
        optimizer.step()
    moved = torch.stack(places)
    return Motion(facial - moved, moved, dict(zip(TERMS, torch.tensor(values).T, strict=True)))
