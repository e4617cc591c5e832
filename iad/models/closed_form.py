"""The split by linear algebra: no training, a few lines, works on any encoder.

The directions in which embeddings of one person differ among themselves span the action; what is left is
the identity. A baseline for the tables, and the first thing that the tutorials build. The same idea
finishes the learned split: `fit_erasure` finds what of an identity embedding still changes with the
action. Where it is known what every face does, `fit_explained` finds only what this explains, and splits
the recogniser's token.

`Recognised` is that split: in come embeddings g (n, 128) of `iad.faces.recogniser` and what each face
does, as a track in units (n, 60); out comes a `Split` of one token a face, to be joined to those that
`iad.decoupling` reads. Its numbers were fitted on people in many actions, lights and framings (`python -m
iad train recogniser`):

    i  g about its mean, without the directions in which tracks move one person's faces
    a  what of these directions the track, as it is read, explains: a linear map of it
    r  the rest of these directions: what another face would do a little otherwise
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iad.config import TRACK
from iad.decoupling import Split
from iad.faces.recogniser import DIM


@dataclass(frozen=True)
class ClosedForm:
    """The split by linear algebra: `basis` (d, r) spans the action subspace about `mean` (d,)."""

    mean: Float[Tensor, " d"]
    basis: Float[Tensor, "d r"]

    def split(self, embedding: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Return (identity, action) of centred embeddings; orthogonal by construction."""
        centred = embedding - self.mean
        action = centred @ self.basis @ self.basis.T
        return centred - action, action


def fit_closed_form(embedding: Float[Tensor, "n d"], person: Int[Tensor, " n"], rank: int) -> ClosedForm:
    """Take the `rank` strongest directions in which embeddings of one person differ among themselves.

    Raises:
        ValueError: no person has two embeddings, or `rank` is not below the embedding's length.
    """
    if int(person.unique(return_counts=True)[1].max()) < 2:
        raise ValueError("Every person has one embedding; give at least two of some person, in two actions.")
    if not 0 < rank < embedding.shape[1]:
        raise ValueError(f"rank is {rank}, expected 1 to {embedding.shape[1] - 1}; choose a smaller one.")
    _, _, directions = torch.linalg.svd(_within(embedding, person), full_matrices=False)
    return ClosedForm(embedding.mean(0), directions[:rank].T.contiguous())


@dataclass(frozen=True)
class Explained:
    """What of embeddings x a track explains: (x - mean) @ reads @ shows; the rest has nothing of it."""

    mean: Float[Tensor, " d"]
    reads: Float[Tensor, "d r"]
    shows: Float[Tensor, "r d"]


def fit_explained(
    embedding: Float[Tensor, "n d"],
    person: Int[Tensor, " n"],
    track: Float[Tensor, "n k"],
    rank: int,
    *,
    ridge: float = 3.0,
    components: int = 512,
) -> Explained:
    """Find how embeddings move with the track within a person, and how to read that without the person.

    `shows` are the `rank` strongest directions of a linear map from tracks to differences within a person.
    `reads` is generalised least squares: how much of each direction an embedding has, everything that the
    track does not explain, above all who it is, being the noise that is kept out. Embeddings longer than
    `components` are looked at along so many principal axes.
    """
    if embedding.shape[1] > components:
        mean, axes = embedding.mean(0), _principal_axes(embedding - embedding.mean(0), components)
        inside = (embedding - mean) @ axes
        small = fit_explained(inside, person, track, rank, ridge=ridge, components=inside.shape[1])
        return Explained(mean, axes @ small.reads, small.shows @ axes.T)
    from sklearn.covariance import LedoitWolf

    device, embedding = embedding.device, embedding.cpu().double()
    person, track = person.cpu(), track.cpu().double()
    x, y = _within(track, person), _within(embedding, person)
    slope = torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    # the directions in which x @ slope is strongest, without its many rows
    shows = torch.linalg.svd(torch.linalg.qr(x)[1] @ slope, full_matrices=False)[2][:rank]
    mean, about = embedding.mean(0), track - track.mean(0)
    noise = embedding - mean - about @ slope @ shows.T @ shows
    kept_out = torch.from_numpy(LedoitWolf().fit(noise.numpy()).covariance_)
    weighed = torch.linalg.solve(kept_out, shows.T)
    reads = weighed @ torch.linalg.inv(shows @ weighed)
    return Explained(*(part.float().to(device) for part in (mean, reads, shows)))


def fit_erasure(
    identity: Float[Tensor, "n d"], person: Int[Tensor, " n"], rank: int, *, components: int = 512
) -> tuple[Float[Tensor, "d r"], Float[Tensor, "r d"]]:
    """Find the `rank` directions that tell persons apart least for how much they change within a person.

    They are the largest generalised eigenvectors of within-person against total scatter, among the strongest
    principal components. With x about the mean, x - x @ first @ second has none of them left, and is as near
    to x as the total scatter measures.
    """
    centred = identity - identity.mean(0)
    axes = _principal_axes(centred, components)
    coordinates = centred @ axes
    within = _within(coordinates, person)
    total = coordinates.T @ coordinates / len(coordinates)
    spread, basis = torch.linalg.eigh(total)
    spread = spread.clamp(min=float(spread.max()) * 1e-7)
    whiten, unwhiten = basis * spread**-0.5, basis * spread**0.5
    scatter = whiten.T @ (within.T @ within / len(within)) @ whiten
    _, directions = torch.linalg.eigh(scatter)
    found = directions.flip(1)[:, :rank]
    first, second = axes @ (whiten @ found), (axes @ (unwhiten @ found)).T
    missing = rank - first.shape[1]  # fewer samples than directions: the rest stays empty
    return nn.functional.pad(first, (0, missing)), nn.functional.pad(second, (0, 0, 0, missing))


def _principal_axes(centred: Float[Tensor, "n d"], count: int) -> Float[Tensor, "d k"]:
    count = min(count, *centred.shape)
    with torch.random.fork_rng(devices=[]):  # the same samples give the same directions
        torch.manual_seed(0)
        axes = torch.svd_lowrank(centred, q=min(count + 64, *centred.shape), niter=2)[2]
    return axes[:, :count]


def _within(x: Float[Tensor, "n d"], person: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    people, index, counts = person.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(people), x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, index, x)
    return x - (sums / counts[:, None])[index]


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
