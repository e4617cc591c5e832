"""THE IDEA: a facial embedding is split in identity + action + residual, and two losses make the split true.

    f  `facial`       what learned queries, one a cell, read from a frozen face encoder, tokens (q, d)
    a  `action`       A(f): expression, gaze, mouth, head pose; exactly what a short `code` says
    r  `residual`     what else changes within a person: light, framing, blur; given to nobody
    i  `identity`     f - a - r: what stays of the person
    t  `text_action`  T(prompt, time): an action code per latent frame, from words alone

The split is additive. Where the parts are orthogonal Pythagoras holds, |f|^2 = |i|^2 + |a|^2 + |r|^2, and
shares are of that sum. L_ID (identity decoupling loss) enforces the split, L_TA (text alignment loss) ties
the action to the prompt. Of the paper (arXiv 2606.22347) we know that L_ID enforces orthogonality, that L_TA
builds a one-to-one correspondence of action and prompt, and no formula: every formula here is our reading.

Axes: b batch, f latent frames, q query tokens, d token width, c code length, n text tokens, s segments.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, layer_norm, normalize

from iad.config import TRACK, FullSizePreset, Preset
from iad.performing.network import Attention, TextAction, feed_forward

LEAST_ROWS = 4  # from which HSIC can be estimated


@dataclass(frozen=True)
class Split:
    """One facial embedding and its three parts; `facial == identity + action + residual`."""

    facial: Float[Tensor, "*b q d"]
    identity: Float[Tensor, "*b q d"]
    action: Float[Tensor, "*b q d"]
    residual: Float[Tensor, "*b q d"]
    code: Float[Tensor, "*b c"]

    def shares(self) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"], Float[Tensor, "*b"]]:
        """Return the shares of |i|^2, |a|^2 and |r|^2 in their sum; they add up to one."""
        squares = [part.pow(2).sum((-2, -1)) for part in (self.identity, self.action, self.residual)]
        return tuple(square / sum(squares) for square in squares)


class Reader(nn.Module):
    """Reads the facial embedding by learned queries; nothing is split yet.

    The preset's own number of queries start each from its own cell of the picture; another number of
    `queries` from nowhere, as ID-Animator's do.
    """

    def __init__(self, preset: Preset | FullSizePreset, *, queries: int | None = None):
        super().__init__()
        config, token_dim = preset.decoupler, preset.token_dim
        dim, heads = config.dim, config.heads
        side = round(config.queries**0.5)
        cell = preset.token_grid // side
        self.queries = nn.Parameter(torch.randn(queries or config.queries, dim) * 0.5)
        self.places = nn.Parameter(torch.randn(preset.token_grid**2, token_dim) * 0.5)
        # a cell and a rim around it, for faces are not cut to the pixel
        self.from_cell = None if queries else nn.Conv2d(token_dim, dim, cell + 2, stride=cell, padding=1)
        self.from_global = nn.Linear(preset.vector_dim, dim)
        self.reads = nn.ModuleList(Attention(dim, token_dim, heads) for _ in range(config.layers))
        self.mixes = nn.ModuleList(Attention(dim, dim, heads) for _ in range(config.layers))
        self.feeds = nn.ModuleList(feed_forward(dim) for _ in range(config.layers))

    def read(self, vector: Float[Tensor, "b v"], tokens: Float[Tensor, "b n e"]) -> Float[Tensor, "b q d"]:
        """Read the facial embedding f; every token has length sqrt(d)."""
        context = tokens + self.places
        x = self.queries + self.from_global(vector)[:, None]
        if self.from_cell is not None:
            picture = rearrange(context, "b (y x) e -> b e y x", y=round(context.shape[1] ** 0.5))
            x = x + rearrange(self.from_cell(picture), "b d y x -> b (y x) d")
        for read, mix, feed in zip(self.reads, self.mixes, self.feeds, strict=True):
            x = x + read(x, context)
            x = x + mix(x, x)
            x = x + feed(x)
        return layer_norm(x, x.shape[-1:])


class Decoupler(Reader):
    """Splits every token that it reads."""

    def __init__(self, preset: Preset | FullSizePreset):
        super().__init__(preset)
        config = preset.decoupler
        queries, dim, code_dim = config.queries, config.dim, config.code_dim
        gist = max(1, dim // 8)
        self.to_code = nn.Sequential(
            nn.Linear(dim, gist),
            nn.Flatten(),
            nn.Linear(queries * gist, 2 * dim),
            nn.GELU(),
            nn.Linear(2 * dim, code_dim),
            nn.LayerNorm(code_dim),
        )
        self.from_code = nn.Linear(code_dim, queries * dim, bias=False)
        nn.init.normal_(self.from_code.weight, std=0.5 * code_dim**-0.5)
        self.register_buffer("mean_identity", torch.zeros(queries, dim))  # of the average face
        self.register_buffer("mean_action", torch.zeros(queries, dim))
        self.register_buffer("erase_from", torch.zeros(queries * dim, config.erased))  # see `erase`
        self.register_buffer("erase_to", torch.zeros(config.erased, queries * dim))

    def expand(self, code: Float[Tensor, "*b c"]) -> Float[Tensor, "*b q d"]:
        """Turn action codes, of a face or of a text, into action tokens."""
        return self.from_code(code).unflatten(-1, self.queries.shape)

    def split(self, facial: Float[Tensor, "b q d"], code: Float[Tensor, "b c"] | None = None) -> Split:
        """Split f token by token; `code` says what the face does, None: it is read from f.

        Whatever says the code, i is what training gave the denoiser: f without what f itself says of the
        action, and without what is erased.
        """
        own = self.to_code(facial)
        without = facial - self.expand(own)
        identity = without - self.erase(without)
        code = own if code is None else code
        action = self.expand(code)
        return Split(facial, identity, action, facial - identity - action, code)

    def centre(self, split: Split) -> Split:
        """See a split relative to the average face, whose residual is nothing."""
        identity, action = split.identity - self.mean_identity, split.action - self.mean_action
        return Split(identity + action + split.residual, identity, action, split.residual, split.code)

    def erase(self, identity: Float[Tensor, "b q d"]) -> Float[Tensor, "b q d"]:
        """Return what of f - a still differs within a person, as `iad.models.closed_form` found it."""
        about = (identity - self.mean_identity).flatten(1)
        return (about @ self.erase_from @ self.erase_to).unflatten(1, self.queries.shape)

    def forward(
        self,
        vector: Float[Tensor, "b v"],
        tokens: Float[Tensor, "b n e"],
        code: Float[Tensor, "b c"] | None = None,
    ) -> Split:
        """Read f and split it."""
        return self.split(self.read(vector, tokens), code)


def create_split(preset: Preset | FullSizePreset) -> nn.ModuleDict:
    """Build the split and T."""
    return nn.ModuleDict({"decoupler": Decoupler(preset), "text_action": TextAction(preset)})


def create_decoupling(preset: Preset) -> nn.ModuleDict:
    """Build all that learns by L_ID and L_TA: the split, T, and the heads that hold them to the truth.

    `coefficients` reads action coefficients from a code; `portrait` reads the latents of the person's calm
    portrait from the identity tokens, each token its own cell of the picture.
    """
    config, modules = preset.decoupler, create_split(preset)
    dim, cell = config.dim, preset.latent_size**2 // config.queries * preset.autoencoder.latent_channels
    modules["coefficients"] = nn.Linear(config.code_dim, TRACK)
    modules["portrait"] = nn.Linear(dim, cell)
    modules["picture"] = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, cell))
    return modules


@dataclass(frozen=True)
class IdentityWeights:
    """Weights of the terms of L_ID; zero switches one off. Orthogonality is the paper's, the rest is ours."""

    orthogonality: float = 1.0
    invariance: float = 1.0
    retention: float = 0.5
    portrait: float = 10.0  # i holds the person's calm portrait
    picture: float = 10.0  # f holds the picture it was read from, action and all
    agreement: float = 0.2
    independence: float = 0.3
    swap: float = 0.5


def orthogonality(identity: Float[Tensor, "b q d"], action: Float[Tensor, "b q d"]) -> Float[Tensor, ""]:
    """cos^2(i, a), token by token and for the whole embedding."""
    tokens = cosine_similarity(identity, action, dim=-1).pow(2).mean()
    return tokens + cosine_similarity(identity.flatten(1), action.flatten(1), dim=-1).pow(2).mean()


def invariance(identity: Float[Tensor, "b q d"], other: Float[Tensor, "b q d"]) -> Float[Tensor, ""]:
    """One person in two actions: the identity tokens agree."""
    return relative_error(identity, other)


def retention(
    identity: Float[Tensor, "b q d"],
    other: Float[Tensor, "b q d"],
    person: Int[Tensor, " b"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Contrastive: i of one frame finds the same person's other frame among the batch.

    Entries that share a `person` (mirrored or jittered copies of one photo) are neither positives nor
    negatives of each other.
    """
    mean = (identity.mean(0) + other.mean(0)).flatten() / 2  # what all persons share tells none apart
    i, j = (normalize(x.flatten(1) - mean, dim=1) for x in (identity, other))
    logits = i @ j.T / temperature
    target = torch.arange(len(person), device=person.device)
    copies = (person[:, None] == person[None]) & (target[:, None] != target[None])
    logits = logits.masked_fill(copies, float("-inf"))
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def agreement(action: Float[Tensor, "b q d"], other: Float[Tensor, "b q d"]) -> Float[Tensor, ""]:
    """Two persons at equal coefficients: the action tokens agree."""
    return relative_error(action, other)


def swap(
    identity: Float[Tensor, "b q d"], action: Float[Tensor, "b q d"], facial: Float[Tensor, "b q d"]
) -> Float[Tensor, ""]:
    """Recombine: i of one frame + a of another person doing what a second frame shows = f of that frame."""
    return relative_error(identity + action, facial)


def relative_error(x: Float[Tensor, "b *k"], y: Float[Tensor, "b *k"]) -> Float[Tensor, ""]:
    """Mean squared difference over the batch's own variance, so that shrinking does not pay."""
    return (x - y).pow(2).mean() / ((x.var(0).mean() + y.var(0).mean()) / 2 + 1e-6)


def independence(code: Float[Tensor, "p c"], other: Float[Tensor, "p c"]) -> Float[Tensor, ""]:
    """HSIC over people between one's code in a clip and one's code in another clip; row k is one person.

    Clips are drawn independently, so only the person can tie the two: for clips without end this is the
    squared size of what persons' mean kernel embeddings differ by, zero where no code tells the person and
    positive wherever one does. Labels of persons, the usual other side, would be fooled: within a person a
    batch holds few clips, all different, so codes that are *less* alike there than between persons (opposite
    codes, or everybody in every action) come out negative, and would be rewarded.

    Below four people nothing can be said: 0.
    """
    if len(code) < LEAST_ROWS:
        return (code.sum() + other.sum()) * 0
    return hsic(gaussian_kernel(code), gaussian_kernel(other))


def gaussian_kernel(x: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Return a Gaussian kernel as wide as rows are apart on average, so that scale does not matter."""
    distance = torch.cdist(x, x).pow(2)
    width = distance.detach().sum() / max(1, len(x) * (len(x) - 1))
    return torch.exp(-distance / width.clamp(min=1e-12))


def hsic(k: Float[Tensor, "n n"], m: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Unbiased HSIC of two kernels over the same rows (Song et al. 2012), normalised to -1 ... 1.

    0 on average where the two are independent, at any number of rows; 1 where they are the same.

    Raises:
        ValueError: fewer than four rows, from which nothing can be estimated.
    """
    if len(k) < LEAST_ROWS:
        raise ValueError(f"HSIC is estimated from {LEAST_ROWS} rows or more, got {len(k)}; give more.")
    k, m = centre_kernel(k), centre_kernel(m)
    return (k * m).sum() / (k.norm() * m.norm()).clamp(min=1e-8)


def centre_kernel(k: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Take off row, column and grand means, as they are without the diagonal, which says nothing.

    Sums of products of two such kernels, over n (n - 3), are the U-statistic (Székely and Rizzo 2014).
    """
    n, off = len(k), 1 - torch.eye(len(k), dtype=k.dtype, device=k.device)
    k = k * off
    rows = k.sum(1) / (n - 2)
    return (k - rows[:, None] - rows[None] + k.sum() / ((n - 1) * (n - 2))) * off


@dataclass(frozen=True)
class TextWeights:
    """Weights of the terms of L_TA; zero switches one off. Contrast is the paper's idea, the rest is ours."""

    contrast: float = 1.0
    match: float = 0.2
    grounding: float = 5.0


def text_contrast(
    action: Float[Tensor, "b f c"],
    text_action: Float[Tensor, "b f c"],
    same: Bool[Tensor, "b b"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Symmetric contrastive loss over clips in order: frame k of a face is compared with frame k of a text.

    `same` is True where two clips hold the same actions at the same times: positives of each other.
    """
    a, t = (normalize(x - x.mean((0, 1)), dim=-1) for x in (action, text_action))
    logits = torch.einsum("ifc,jfc->ij", a, t) / (a.shape[1] * temperature)
    target = same.float() / same.sum(1, keepdim=True)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def text_match(action: Float[Tensor, "b f c"], text_action: Float[Tensor, "b f c"]) -> Float[Tensor, ""]:
    """The text's code and the face's code of the same action come to lie on each other."""
    return relative_error(text_action.flatten(0, 1), action.flatten(0, 1))
