"""T as networks: words and time -> what the face does; and the attention that split and adapters share.

`Performer` is mini's: what is heard becomes deeds in order, each a gesture that a small flow draws.

    token states -> queries: one for each of up to `DEEDS` deeds, and one that judges the whole
    query, noise -> a few steps -> a gesture's numbers (`iad.performing.gestures`), meant to the left
    query -> the side that is meant: left, right or open

Noise, and a side where it is open, are the take. Without noise the flow gives what is usual.

`TextAction` is that of the first edition and of full size: token states of the prompt's segments and each
latent frame's times (`frame_times`) -> one code a latent frame, of the split's own, learned length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention as dot_product_attention

from iad.config import FullSizePreset, Preset
from iad.performing.gestures import NUMBERS


class Attention(nn.Module):
    """Multi-head attention of `x` to `context` with normalised queries and keys; `inner` wide, or `dim`."""

    def __init__(self, dim: int, context_dim: int, heads: int, inner: int | None = None):
        super().__init__()
        self.heads, inner = heads, inner or dim
        self.norm, self.context_norm = nn.LayerNorm(dim), nn.LayerNorm(context_dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(context_dim, 2 * inner, bias=False)
        self.q_norm, self.k_norm = nn.LayerNorm(inner // heads), nn.LayerNorm(inner // heads)
        self.to_out = nn.Linear(inner, dim)

    def keys_values(self, context: Float[Tensor, "b n e"]) -> tuple[Tensor, Tensor]:
        """Project a context once; it may then serve many calls."""
        both = self.to_kv(self.context_norm(context))
        k, v = rearrange(both, "b n (two h d) -> two b h n d", two=2, h=self.heads)
        return self.k_norm(k), v

    def attend(
        self, x: Float[Tensor, "b m d"], keys_values: Sequence[Tensor], mask: Tensor | None = None
    ) -> Float[Tensor, "b m d"]:
        """Attend with keys and values from `keys_values`; `mask` is True where a key may be seen."""
        q = self.q_norm(rearrange(self.to_q(self.norm(x)), "b m (h d) -> b h m d", h=self.heads))
        out = dot_product_attention(q, *keys_values, attn_mask=mask)
        return self.to_out(rearrange(out, "b h m d -> b m (h d)"))

    def forward(
        self, x: Float[Tensor, "b m d"], context: Float[Tensor, "b n e"], mask: Tensor | None = None
    ) -> Float[Tensor, "b m d"]:
        """Let every token of `x` look at the context."""
        return self.attend(x, self.keys_values(context), mask)


def feed_forward(dim: int, *, factor: int = 4) -> nn.Sequential:
    """Return a pre-normalised two-layer network of inner width `factor` x `dim`."""
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, factor * dim), nn.GELU(), nn.Linear(factor * dim, dim)
    )


class TextAction(nn.Module):
    """T: words and time to one action code per latent frame.

    Every latent frame asks the token states of its own segment what is done at its phase; then the frames
    look at each other, so that a nod is not a look down.
    """

    FEATURES = 4  # seconds since the segment began, its length, its phase, seconds since the clip began

    def __init__(self, preset: Preset | FullSizePreset):
        super().__init__()
        config = preset.text
        dim, heads = config.dim, config.heads
        code_dim = preset.decoupler.code_dim
        self.when = nn.Sequential(nn.Linear(self.FEATURES * 9, dim), nn.GELU(), nn.Linear(dim, dim))
        self.reads = nn.ModuleList(Attention(dim, config.state_dim, heads) for _ in range(config.layers))
        self.mixes = nn.ModuleList(Attention(dim, dim, heads) for _ in range(config.layers))
        self.feeds = nn.ModuleList(feed_forward(dim) for _ in range(config.layers))
        self.to_code = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, code_dim), nn.LayerNorm(code_dim))

    def forward(
        self,
        states: Float[Tensor, "b s n e"],
        mask: Bool[Tensor, "b s n"],
        segment: Int[Tensor, "b f"],
        times: Float[Tensor, "b f 4"],
    ) -> Float[Tensor, "b f c"]:
        """Return the codes; `segment` and `times` are those of `frame_times`, `mask` is True at words."""
        b, f = segment.shape
        rows = torch.arange(b, device=states.device)[:, None].expand(b, f)
        seen = rearrange(mask[rows, segment], "b f n -> (b f) 1 1 n")
        x = self.when(_waves(times))
        for read, mix, feed in zip(self.reads, self.mixes, self.feeds, strict=True):
            k, v = read.keys_values(rearrange(states, "b s n e -> (b s) n e"))
            own = [rearrange(y, "(b s) h n d -> b s h n d", b=b)[rows, segment] for y in (k, v)]
            heard = read.attend(rearrange(x, "b f d -> (b f) 1 d"), [y.flatten(0, 1) for y in own], seen)
            x = x + rearrange(heard, "(b f) 1 d -> b f d", b=b)
            x = x + mix(x, x)
            x = x + feed(x)
        return self.to_code(x)


def frame_times(
    spans: list[tuple[float, float]], *, frames: int, duration: float
) -> tuple[Int[Tensor, " f"], Float[Tensor, "f 4"]]:
    """Say for every latent frame to which segment it belongs, and its times as T wants them.

    `spans` holds start and end of every segment in seconds, in order; a gap belongs to the segment before
    it. The clip has `frames` latent frames and lasts `duration` seconds.
    """
    now = (torch.arange(frames) + 0.5) * duration / frames
    starts, ends = (torch.tensor(list(edge)) for edge in zip(*spans, strict=True))
    segment = (torch.searchsorted(starts, now, right=True) - 1).clamp(min=0)
    since, length = now - starts[segment], (ends - starts)[segment]
    return segment, torch.stack([since, length, (since / length).clamp(0, 1), now], dim=-1).float()


def _waves(times: Float[Tensor, "b f k"]) -> Float[Tensor, "b f m"]:
    angles = times[..., None] * torch.tensor([0.5, 1.0, 2.0, 4.0], device=times.device) * torch.pi
    return torch.cat([times[..., None], angles.sin(), angles.cos()], dim=-1).flatten(2)


DEEDS = 4  # at most so many one after another in one segment
SIDES = ("left", "right", "open")  # the person's own
BEYOND = ("tongue", "tears", "hands", "body", "skin", "contradiction")  # named, but nothing geometry can show
STEPS = 4  # of the flow
NOISE = 0.5  # deviation of what the flow begins with
DROPPED = 0.2  # share of each token's numbers that training hides
WAVES = (8.0, 16.0, 32.0, 64.0, 128.0, 512.0)  # tokens; they tell a token's place in the whole text


@dataclass(frozen=True)
class Told:
    """What T makes of a batch of texts; all but the queries are logits."""

    queries: Float[Tensor, "b k d"]
    side: Float[Tensor, "b k 3"]
    count: Float[Tensor, "b k"]
    sure: Float[Tensor, " b"]
    beyond: Float[Tensor, "b n"]


class Flow(nn.Module):
    """Carries noise to gestures, given a deed's query: says at each time which gesture it will be."""

    def __init__(self, dim: int):
        super().__init__()
        width = 2 * dim
        self.enter = nn.Linear(NUMBERS + dim + 1, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(2)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, NUMBERS))

    def forward(
        self, moving: Float[Tensor, "*b n"], time: Float[Tensor, "*b 1"], query: Float[Tensor, "*b d"]
    ) -> Float[Tensor, "*b n"]:
        """Say what `moving`, on its way at a time from 0 to 1, becomes."""
        x = self.enter(torch.cat([moving, query, time], dim=-1))
        for block in self.blocks:
            x = x + block(x)
        return time * moving + self.leave(x)

    def sample(self, query: Float[Tensor, "*b d"], noise: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
        """Draw gestures in `STEPS` steps."""
        x = NOISE * noise
        for step in range(STEPS):
            time = torch.full_like(x[..., :1], step / STEPS)
            x = x + (self(x, time, query) - x) / (STEPS - step)
        return x


class Performer(nn.Module):
    """T of mini."""

    def __init__(self, preset: Preset):
        super().__init__()
        config = preset.text
        heads = config.heads
        dim = 2 * config.dim // 3 // heads * heads
        self.drop = nn.Dropout(DROPPED)
        self.from_states = nn.Linear(config.state_dim + 2 * len(WAVES), dim)
        self.queries = nn.Parameter(torch.randn(DEEDS + 1, dim) * 0.5)  # the last hears the whole
        self.read = Attention(dim, dim, heads)  # again in every layer: tokens are many, and projected once
        self.mixes = nn.ModuleList(Attention(dim, dim, heads) for _ in range(config.layers))
        self.feeds = nn.ModuleList(feed_forward(dim, factor=2) for _ in range(config.layers))
        self.deed = nn.LayerNorm(dim)
        self.judge = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, DEEDS + 1 + len(BEYOND)))
        self.to_side = nn.Linear(dim, len(SIDES))
        self.flow = Flow(dim)

    def forward(
        self, states: Float[Tensor, "b n e"], mask: Bool[Tensor, "b n"], places: Float[Tensor, "b n"]
    ) -> Told:
        """Read texts, given as `iad.performing.performance` gives them."""
        seen = rearrange(mask, "b n -> b 1 1 n")
        angles = 2 * torch.pi * places[..., None] / torch.tensor(WAVES, device=places.device)
        x = self.drop(self.from_states(torch.cat([states, angles.sin(), angles.cos()], dim=-1)))
        q = repeat(self.queries, "k d -> b k d", b=len(x))
        keys_values = self.read.keys_values(x)
        for mix, feed in zip(self.mixes, self.feeds, strict=True):
            q = q + self.read.attend(q, keys_values, seen)
            q = q + mix(q, q)
            q = q + feed(q)
        count, sure, beyond = self.judge(q[:, -1]).split([DEEDS, 1, len(BEYOND)], dim=-1)
        deeds = self.deed(q[:, :-1])
        return Told(deeds, self.to_side(deeds), count, sure[:, 0], beyond)
