"""T of the first edition and of full size: words and time to one learned action code a latent frame.

In come token states of the prompt's segments and each latent frame's times (`frame_times`); out come codes of
the split's own, learned length. mini's T, which gives tracks, is `iad.performing.network`.
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from iad.config import FullSizePreset, Preset
from iad.performing.attention import Attention, feed_forward


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
