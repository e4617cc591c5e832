"""EVA02-CLIP's picture tower (Sun et al. 2023): a face crop -> one vector and five hidden layers.

ConsisID looks at faces through it (EVA02-CLIP-L/14 at 336 pixels). It is a vision transformer with rotary
positions in two dimensions, a gated MLP, and a norm inside each sub-layer. Parameters are called as in the
published file, less its prefix `visual.`.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from iad.full_size.published import fill_module, read_published

HIDDEN_BLOCKS = (4, 8, 12, 16, 20)  # what comes into these blocks is what ConsisID hears of the face
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
TRAINED_GRID = 16  # rotary positions count as in its first training, on 16 x 16 patches
ROTARY_BASE = 10000.0
NORM_EPS = 1e-6


@dataclass(frozen=True)
class EvaConfig:
    """The shapes of a tower; the published one's by default."""

    size: int = 336  # pixels, both sides
    patch: int = 14
    width: int = 1024
    layers: int = 24
    head_dim: int = 64
    hidden: int = 2730  # of the gated MLP
    output: int = 768

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.size // self.patch


class EvaAttention(nn.Module):
    """Self-attention; the class token, first, has no position."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        width = config.width
        self.heads = width // config.head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.inner_attn_ln = nn.LayerNorm(width, eps=NORM_EPS)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "b n d"], cos: Float[Tensor, "m c"], sin: Float[Tensor, "m c"]
    ) -> Float[Tensor, "b n d"]:
        """Let every token look at every other."""
        values = (self.q_proj(x) + self.q_bias, self.k_proj(x), self.v_proj(x) + self.v_bias)
        q, k, v = (rearrange(value, "b n (h c) -> b h n c", h=self.heads) for value in values)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        x = rearrange(F.scaled_dot_product_attention(q, k, v), "b h n c -> b n (h c)")
        return self.proj(self.inner_attn_ln(x))


class EvaMlp(nn.Module):
    """A gated MLP (SwiGLU)."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        self.w1, self.w2 = (nn.Linear(config.width, config.hidden) for _ in range(2))
        self.ffn_ln = nn.LayerNorm(config.hidden, eps=NORM_EPS)
        self.w3 = nn.Linear(config.hidden, config.width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Change each token by itself."""
        return self.w3(self.ffn_ln(F.silu(self.w1(x)) * self.w2(x)))


class EvaBlock(nn.Module):
    """One layer of the tower."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(config.width, eps=NORM_EPS) for _ in range(2))
        self.attn, self.mlp = EvaAttention(config), EvaMlp(config)

    def forward(
        self, x: Float[Tensor, "b n d"], cos: Float[Tensor, "m c"], sin: Float[Tensor, "m c"]
    ) -> Float[Tensor, "b n d"]:
        """Attend, then think."""
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class EvaTower(nn.Module):
    """Pictures -> the pooled vector and the hidden layers that ConsisID hears."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        self.config = config
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, config.width, config.patch, config.patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid**2 + 1, config.width))
        self.blocks = nn.ModuleList(EvaBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.head = nn.Linear(config.width, config.output)
        angles = _angles(config)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(
        self, pictures: Float[Tensor, "b 3 s s"]
    ) -> tuple[Float[Tensor, "b v"], tuple[Float[Tensor, "b n d"], ...]]:
        """Look at pictures of pixels in [0, 1], of any size."""
        x = self.patch_embed["proj"](self._normalise(pictures))
        x = rearrange(x, "b d y x -> b (y x) d")
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        hidden = []
        for index, block in enumerate(self.blocks):
            if index in HIDDEN_BLOCKS:
                hidden.append(x)
            x = block(x, self.cos, self.sin)
        return self.head(self.norm(x)[:, 0]), tuple(hidden)

    def _normalise(self, pictures: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        side = (self.config.size, self.config.size)
        pictures = F.interpolate(pictures.float(), side, mode="bicubic", antialias=True)
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
        return ((pictures - mean) / std).to(self.pos_embed.dtype)


def _angles(config: EvaConfig) -> Float[Tensor, "m c"]:
    """Compute every patch's rotary angles: half of a head's numbers turn with the row, half the column."""
    half = config.head_dim // 2
    frequencies = 1.0 / ROTARY_BASE ** (torch.arange(0, half, 2).float() / half)
    places = torch.arange(config.grid) / config.grid * TRAINED_GRID
    turns = repeat(torch.outer(places, frequencies), "g c -> g (c pair)", pair=2)
    rows = repeat(turns, "y c -> (y x) c", x=config.grid)
    columns = repeat(turns, "x c -> (y x) c", y=config.grid)
    return torch.cat([rows, columns], dim=1)


def _rotate(
    x: Float[Tensor, "b h n c"], cos: Float[Tensor, "m c"], sin: Float[Tensor, "m c"]
) -> Float[Tensor, "b h n c"]:
    token, patches = x[:, :, :1], x[:, :, 1:]
    even, odd = rearrange(patches, "b h n (c pair) -> pair b h n c", pair=2)
    turned = rearrange([-odd, even], "pair b h n c -> b h n (c pair)")
    return torch.cat([token, patches * cos + turned * sin], dim=2)


def load_eva(file: Path) -> EvaTower:
    """Read the picture tower of a published EVA02-CLIP file; its text tower stays behind.

    Raises:
        ValueError: the file cannot be read, or holds another model.
    """
    published = read_published(file)
    state = {k.removeprefix("visual."): v for k, v in published.items() if k.startswith("visual.")}
    # The angles are computed, and the file repeats them for every block; the mask served its training.
    angles = {k: state.pop(k) for k in list(state) if "rope.freqs_" in k}
    state.pop("mask_token", None)
    if not {"patch_embed.proj.weight", "pos_embed", "head.weight", "blocks.0.mlp.w1.weight"} <= state.keys():
        raise ValueError(f"{file} holds no EVA02-CLIP picture tower; download that file again.")
    tower = EvaTower(_config_of(state, angles))
    fill_module(tower, state, file)
    return tower.eval().requires_grad_(False)


def _config_of(state: dict[str, Tensor], angles: dict[str, Tensor]) -> EvaConfig:
    """Tell a tower's shapes from its weights."""
    width, _, patch, _ = state["patch_embed.proj.weight"].shape
    grid = round((state["pos_embed"].shape[1] - 1) ** 0.5)
    turned = next(iter(angles.values()), None)
    return EvaConfig(
        size=grid * patch,
        patch=patch,
        width=width,
        layers=1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks.")),
        head_dim=EvaConfig.head_dim if turned is None else turned.shape[-1],
        hidden=len(state["blocks.0.mlp.w1.weight"]),
        output=len(state["head.weight"]),
    )
