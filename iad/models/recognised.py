"""The recogniser's token: its embedding g of a face split by linear algebra, and what a track means.

In come embeddings g (n, 128) of `iad.faces.recogniser` and what each face does, as a track in units (n, 60):
57 coefficients as they are, pitch, yaw and roll over 15 degrees. Out comes a `Split` of one token a face, to
be joined to those that `iad.decoupling` reads. All numbers here were fitted on people in many actions, lights
and framings (`python -m iad train recogniser`):

    i  g about its mean, without the directions in which tracks move one person's faces
    a  what of these directions the track, as it is read, explains: a linear map of it
    r  the rest of these directions: what another face would do a little otherwise
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iad.config import TRACK
from iad.decoupling import Split
from iad.faces.recogniser import DIM

DIRECTIONS = 24  # in which tracks move a face: 99.9 % of what a linear map of tracks explains
HIDDEN = 128


class Recognised(nn.Module):
    """Splits a recogniser's embedding, and says a track in the code of the decoupler beside it.

    Args:
        code_dim: length of that code.
    """

    def __init__(self, code_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(DIM))
        self.register_buffer("reads", torch.zeros(DIM, DIRECTIONS))  # how much of each direction g has
        self.register_buffer("shows", torch.zeros(DIRECTIONS, DIM))  # the directions
        self.register_buffer("from_track", torch.zeros(TRACK, DIM))  # within the directions
        self.register_buffer("mean_track", torch.zeros(TRACK))
        self.register_buffer("scale", torch.ones(()))  # of the token beside the decoupler's
        self.register_buffer("weight", torch.ones(TRACK))  # how much each coefficient matters in comparisons
        self.code = nn.Sequential(
            nn.Linear(TRACK, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, code_dim), nn.LayerNorm(code_dim)
        )

    def split(self, embedding: Float[Tensor, "b g"], track: Float[Tensor, "b 60"]) -> Split:
        """Split embeddings, about the average face's, into one token each."""
        facial = self.scale * (embedding - self.mean)
        within = facial @ self.reads @ self.shows
        action = self.scale * (track - self.mean_track) @ self.from_track
        parts = (facial, facial - within, action, within - action)
        return Split(*(part[:, None] for part in parts), track)

    def to_code(self, track: Float[Tensor, "*b 60"]) -> Float[Tensor, "*b c"]:
        """Say tracks in the decoupler's code, whose expansion the adapters know."""
        return self.code(track)


def join(split: Split, other: Split) -> Split:
    """Put the tokens of another split of the same faces behind those of `split`; the code is the other's."""
    parts = ("facial", "identity", "action", "residual")
    joined = (torch.cat([getattr(split, part), getattr(other, part)], dim=-2) for part in parts)
    return Split(*joined, other.code)
