"""What the adapters of a transformer are made of, and how their weights are told from the base's."""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu

KeysValues = tuple[Tensor, Tensor]

ADAPTER_KEYS = (
    "identity_attention",
    "action_attention",
    "identity_slots",
    "action_slots",
    "identity_focus",
    "identity_patch",
    "crop_weight",
)


@dataclass(frozen=True)
class AdapterStates:
    """Keys and values of the adapters, one entry per adapted block; valid for all steps of one video."""

    identity: list[KeysValues]
    action: list[KeysValues] | None  # an arm without action channel has none
    patch: Float[Tensor, "b s d"] | None  # what every patch is told of its own cells
    identity_scale: Float[Tensor, "#b 1 1"]  # 0 switches identity off, per sample
    action_scale: Float[Tensor, "#b 1 1"]
    frames: int

    def to(self, device: torch.device | str) -> "AdapterStates":
        """Return them on a device."""
        identity, action = (
            pairs and [(k.to(device), v.to(device)) for k, v in pairs]
            for pairs in (self.identity, self.action)
        )
        patch = None if self.patch is None else self.patch.to(device)
        scales = self.identity_scale.to(device), self.action_scale.to(device)
        return AdapterStates(identity, action, patch, *scales, self.frames)


class IdentityPatch(nn.Module):
    """Tells every patch the identity tokens of its own cells, without it having to look for them.

    The tokens of a square of cells are joined, so that none is averaged away: what attention alone loses.

    Args:
        grid: patches of a latent frame, down and across.
        numbers: of all tokens of a person.
        dim: width of the transformer.
    """

    def __init__(self, grid: tuple[int, int], numbers: int, dim: int):
        super().__init__()
        self.rows, self.columns = grid
        joined = numbers // (self.rows * self.columns)
        self.norm = nn.LayerNorm(joined)
        self.hidden, self.out = nn.Linear(joined, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, identity: Float[Tensor, "b q t"]) -> Float[Tensor, "b s d"]:
        """Mix the identity tokens of every patch, read row by row."""
        down = round(identity.shape[1] ** 0.5) // self.rows
        cells = rearrange(identity, "b (y p x q) t -> b (y x) (p q t)", y=self.rows, x=self.columns, p=down)
        return self.out(gelu(self.hidden(self.norm(cells))))


class WidenedPatch(nn.Conv2d):
    """A patch embedding that also takes the latents of a face crop, in channels after the noisy ones.

    Args:
        conv: the stock embedding, whose weights it takes over; those of the crop start at zero.
    """

    def __init__(self, conv: nn.Conv2d):
        sizes = conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride
        super().__init__(*sizes, bias=conv.bias is not None, device="meta")  # no memory, nothing drawn
        self.weight, self.bias = conv.weight, conv.bias
        self.crop_weight = nn.Parameter(torch.zeros_like(conv.weight))

    def forward(self, x: Float[Tensor, "b c2 y x"]) -> Float[Tensor, "b d y2 x2"]:
        """Embed (noisy latents, crop latents), joined in the channels."""
        noisy, crop = x.chunk(2, dim=1)
        return super().forward(noisy) + conv2d(crop, self.crop_weight, stride=self.stride)


def squared_distance(grid: tuple[int, int], queries: int, heads: int) -> Float[Tensor, "h s q"]:
    """Return squared distances from where heads look first to the cells that queries read, in cell sides.

    Each head begins with one of the cells of the portrait that a patch covers, so that a patch of several
    cells gets every cell's token apart.
    """
    side = round(queries**0.5)
    patches, cells = (
        torch.cartesian_prod((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns)
        for rows, columns in (grid, (side, side))
    )
    covered = [max(1, side // size) for size in grid]  # cells a patch covers, down and across
    inside = torch.cartesian_prod(*(torch.arange(n) - (n - 1) / 2 for n in covered))
    look = patches * side + inside[torch.arange(heads) % len(inside), None]
    return torch.cdist(look, (cells * side).expand(heads, -1, -1)).pow(2)[..., :queries]


def is_adapter_key(key: str) -> bool:
    """Tell the adapters' weights from the base's by name."""
    return any(part in key for part in ADAPTER_KEYS)
