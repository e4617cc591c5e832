"""mini's T as a network: what is heard becomes deeds in order, each a gesture that a small flow draws.

    token states -> queries: one for each of up to `DEEDS` deeds, and one that judges the whole
    query, noise -> a few steps -> a gesture's numbers (`iad.performing.gestures`), meant to the left
    query -> the side that is meant: left, right or open

Noise, and a side where it is open, are the take. Without noise the flow gives what is usual.
"""

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from iad.config import Preset
from iad.performing.attention import Attention, feed_forward
from iad.performing.gestures import NUMBERS

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
        """Read texts, given as `iad.performing.hearing` gives them."""
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
