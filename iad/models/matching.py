"""How well words say what a face does: their codes compared where the words' action is at its height.

In come a face's code (c,), what T says a prompt looks like over time (f, c), both relative to a calm face,
and a weight for every number, such that an action's usual squared height is about one. Out comes a
similarity: 1 where the face does what the words say at least as strongly, 0 where it does something else or
nothing, below 0 where it does the opposite.
"""

from jaxtyping import Float
from torch import Tensor

NEAR_HEIGHT = 0.9  # frames this near to the farthest count: a nod swings to both sides
CALM = 0.35  # words whose height, every number weighing alike, stays below say that nothing is done


def find_height(told: Float[Tensor, "f c"], weight: Float[Tensor, " c"]) -> Float[Tensor, "k c"]:
    """Keep the frames that are farthest from calm: at first every action looks like none."""
    height = _length(told, weight)
    return told[height >= NEAR_HEIGHT * height.max()]


def match(code: Float[Tensor, " c"], told: Float[Tensor, "k c"], weight: Float[Tensor, " c"]) -> float:
    """Compare a face with the frames from `find_height`; the best counts.

    It is the cosine, lessened by 2 |c| |t| / (|c|^2 + |t|^2) where the face falls short of the words. So it
    rises as a face goes on doing what the words say, and a hint of a smile is not taken for a smile.
    """
    face, words = _length(code, weight), _length(told, weight)
    if (
        float(_length(told, weight.mean().expand(len(weight))).max()) < CALM
    ):  # gaze is action, though ill read
        return float(1 - _fullness(face))
    cosine = (told * weight) @ code / (words * face).clamp(min=1e-9)
    return float((cosine * _fullness(face / words)).max())


def _length(code: Float[Tensor, "*f c"], weight: Float[Tensor, " c"]) -> Float[Tensor, "*f"]:
    return (code.pow(2) * weight).sum(-1).sqrt()


def _fullness(ratio: Tensor) -> Tensor:
    ratio = ratio.clamp(max=1.0)
    return 2 * ratio / (1 + ratio.pow(2))
