"""mini's T as a network: what is heard becomes deeds in order, each with its actions, degree and tempo.

    token states -> up to `DEEDS` deeds, one after another; how many there are; is an action named at all

It hears the wording, and `iad.performing.actions` knows how each action runs: a deed is played by its
programs, in full and at any length or frame rate. So words are open, and what a face can do is their list.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from iad.attention import Attention, feed_forward
from iad.config import Preset
from iad.performing.actions import ACTIONS, RATES

DEEDS = 3  # at most so many one after another in one segment
DROPPED = 0.1  # share of each token's numbers that training hides
WAVES = (8.0, 16.0, 32.0, 64.0, 128.0, 512.0)  # tokens; they tell a token's place in the whole text


@dataclass(frozen=True)
class Told:
    """What T makes of a batch of texts, as logits; `degree` is the intensity's."""

    names: Float[Tensor, "b k a"]
    degree: Float[Tensor, "b k"]
    tempo: Float[Tensor, "b k 3"]
    count: Float[Tensor, "b k"]
    sure: Float[Tensor, " b"]


class Performer(nn.Module):
    """T of mini."""

    def __init__(self, preset: Preset):
        super().__init__()
        config = preset.text
        dim, heads = config.dim // 2, config.heads
        self.drop = nn.Dropout(DROPPED)
        self.from_states = nn.Linear(config.state_dim + 2 * len(WAVES), dim)
        self.queries = nn.Parameter(torch.randn(DEEDS + 1, dim) * 0.5)  # the last hears the whole
        self.reads = nn.ModuleList(Attention(dim, dim, heads) for _ in range(config.layers))
        self.mixes = nn.ModuleList(Attention(dim, dim, heads) for _ in range(config.layers))
        self.feeds = nn.ModuleList(feed_forward(dim, factor=2) for _ in range(config.layers))
        self.to_deed = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, len(ACTIONS) + 1 + len(RATES)))
        self.judge = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, DEEDS + 1))

    def forward(
        self, states: Float[Tensor, "b n e"], mask: Bool[Tensor, "b n"], places: Float[Tensor, "b n"]
    ) -> Told:
        """Read texts, given as `iad.performing.hearing` gives them."""
        seen = rearrange(mask, "b n -> b 1 1 n")
        angles = 2 * torch.pi * places[..., None] / torch.tensor(WAVES, device=places.device)
        x = self.drop(self.from_states(torch.cat([states, angles.sin(), angles.cos()], dim=-1)))
        q = self.queries.expand(len(x), -1, -1)
        for read, mix, feed in zip(self.reads, self.mixes, self.feeds, strict=True):
            q = q + read(q, x, seen)
            q = q + mix(q, q)
            q = q + feed(q)
        judged, deeds = self.judge(q[:, -1]), self.to_deed(q[:, :-1])
        names, degree, tempo = deeds.split([len(ACTIONS), 1, len(RATES)], dim=-1)
        return Told(names, degree[..., 0], tempo, judged[:, :DEEDS], judged[:, DEEDS])
