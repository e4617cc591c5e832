"""Who looks where: attention weights of the reader and of the adapters, recorded while they work.

The fused attention of torch returns no weights, so they are computed again from the queries and keys that
pass by; nothing that the model computes changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from iad.decoupling import Attention, Reader
from iad.transformer import IaDBlock, IaDTransformer3DModel


@dataclass(frozen=True)
class Looks:
    """Attention of the adapters: an entry for every adapted block, in order, and again for every step.

    Axes: r guidance rows (told, free, nobody), h heads, f latent frames, s patches of a frame, q tokens.
    """

    identity: list[Float[Tensor, "r h f s q"]] = field(default_factory=list)
    action: list[Float[Tensor, "r h f s q"]] = field(default_factory=list)


def attention_weights(
    q: Float[Tensor, "b h m e"], k: Float[Tensor, "#b h n e"], bias: Float[Tensor, "#b h m n"] | None = None
) -> Float[Tensor, "b h m n"]:
    """Return softmax(q k / sqrt(e) + bias): how a query divides its look among the keys."""
    logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return (logits if bias is None else logits + bias).softmax(-1)


@contextmanager
def watch_adapters(transformer: IaDTransformer3DModel) -> Iterator[Looks]:
    """Record where the latents look while the block of `with` runs.

    Example: `with watch_adapters(pipe.parts["transformer"]) as looks: pipe(photo, "smiles")`.
    """
    looks, handles = Looks(), []
    for block in transformer.transformer_blocks:
        if block.index is not None:
            handles += _watch_block(block, looks)
    try:
        yield looks
    finally:
        for handle in handles:
            handle.remove()


def read_where(
    reader: Reader, vector: Float[Tensor, "b v"], tokens: Float[Tensor, "b n e"]
) -> list[Float[Tensor, "b h q n"]]:
    """Return where each query of the reader looks among the encoder's tokens, layer by layer."""
    found: list[Tensor] = []
    handles = [handle for attention in reader.reads for handle in _watch_attention(attention, found)]
    try:
        reader.read(vector, tokens)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _watch_attention(attention: Attention, found: list[Tensor]) -> tuple[RemovableHandle, ...]:
    keys: list[Tensor] = []

    def keep(_module, _inputs, k: Tensor) -> None:
        keys.append(k)

    def weigh(_module, _inputs, q: Tensor) -> None:
        found.append(attention_weights(q, keys.pop()))

    return attention.k_norm.register_forward_hook(keep), attention.q_norm.register_forward_hook(weigh)


def _watch_block(block: IaDBlock, looks: Looks) -> list[RemovableHandle]:
    now = {}

    def keep(_block, _inputs, kwargs) -> None:
        now["states"] = (kwargs.get("attention_kwargs") or {}).get("adapter")

    def weigh_identity(_module, _inputs, q: Tensor) -> None:
        states = now["states"]
        weights = attention_weights(q, states.identity[block.index][0], block.focus_bias(states.frames))
        looks.identity.append(rearrange(weights, "b h (f s) q -> b h f s q", f=states.frames))

    def weigh_action(_module, _inputs, q: Tensor) -> None:
        states = now["states"]
        weights = attention_weights(q, states.action[block.index][0])
        looks.action.append(rearrange(weights, "(b f) h s q -> b h f s q", f=states.frames))

    handles = [
        block.register_forward_pre_hook(keep, with_kwargs=True),
        block.identity_attention.q_norm.register_forward_hook(weigh_identity),
    ]
    if hasattr(block, "action_attention"):
        handles.append(block.action_attention.q_norm.register_forward_hook(weigh_action))
    return handles
