"""Cross-attention and the two-layer network beside it, which the split, T and the adapters are made of."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention as dot_product_attention


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

    def attend(self, x: Float[Tensor, "b m d"], keys_values, mask=None) -> Float[Tensor, "b m d"]:
        """Attend with keys and values from `keys_values`; `mask` is True where a key may be seen."""
        q = self.q_norm(rearrange(self.to_q(self.norm(x)), "b m (h d) -> b h m d", h=self.heads))
        out = dot_product_attention(q, *keys_values, attn_mask=mask)
        return self.to_out(rearrange(out, "b h m d -> b m (h d)"))

    def forward(
        self, x: Float[Tensor, "b m d"], context: Float[Tensor, "b n e"], mask=None
    ) -> Float[Tensor, "b m d"]:
        """Let every token of `x` look at the context."""
        return self.attend(x, self.keys_values(context), mask)


def feed_forward(dim: int, *, factor: int = 4) -> nn.Sequential:
    """Return a pre-normalised two-layer network of inner width `factor` x `dim`."""
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, factor * dim), nn.GELU(), nn.Linear(factor * dim, dim)
    )
