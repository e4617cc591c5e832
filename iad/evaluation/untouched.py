"""Held-out photos as they are, in several looks: does a part of an embedding know the person again?

In come photos that nobody animated; "same" is one photo as others might have it (cropped and tilted, relit,
blurred and small), "different" another person's. One photo shows one action, so an action may know it, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from iad.evaluation.samples import PARTS, Parts, divide
from iad.portraits import clips


@dataclass(frozen=True)
class Untouched:
    """Parts of every source's split, a row a picture, and whom the picture shows."""

    parts: dict[str, Parts]
    person: Int[np.ndarray, " n"]


@torch.inference_mode()
def split_photos(pipe: Any, count: int, casts: Sequence[clips.Cast]) -> Untouched:
    """Split photos of as many held-out people, none of whom is among the cast, in four looks each.

    Looks in which no face is found are left out.
    """
    from iad.evaluation.real.material import list_looks

    known = {cast.key["person"] for cast in casts if cast.key["kind"] == "photo"}
    records = [r for r, _ in clips.usable_photos() if clips.is_held_out(r.number) and r.number not in known]
    splits, person = [], []
    for record in tqdm(records[:count], desc="photos as they are", mininterval=5):
        photo = record.load_photo()
        for look in (photo, *list_looks(photo, seed=record.number)):
            try:
                splits.append(pipe.split_face(look, pipe.find_face(look)))
            except ValueError:
                continue
            person.append(record.number)
    parts = {key: torch.cat([getattr(s, key).flatten(1).float().cpu() for s in splits]) for key in PARTS}
    return Untouched(divide(pipe, parts), np.array(person))


def verify_rows(rows: Float[Tensor, "n d"], person: Int[np.ndarray, " n"]) -> dict[str, float]:
    """Return the area under the curve of cosines, same against different person, and its interval."""
    from iad.evaluation.real.statistics import verify

    return dict(zip(("value", "low", "high"), verify(rows.numpy(), person)["auc"], strict=True))
