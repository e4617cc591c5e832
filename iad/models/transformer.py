"""The denoiser: a CogVideoX transformer whose blocks also look at identity and action tokens.

Every second block gets two decoupled cross-attentions *inside* it (between the blocks they would break step
caches): all latents look at the identity tokens, the latents of a frame at the action tokens of that frame.
Before the first block, a patch is also told its own cells' identity tokens (`IdentityPatch`; mini only, whose
picture is the portrait that the tokens were read from). All output layers start at zero, so an untrained
adapter is exactly the base model. Nothing of it depends on the denoising step: `adapt` runs once per video.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock, CogVideoXTransformer3DModel
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from iad.config import Preset
from iad.decoupling import Attention
from iad.models.adapters import (
    AdapterStates,
    IdentityPatch,
    KeysValues,
    WidenedPatch,
    is_adapter_key,
    squared_distance,
)

FOCUS = 4.0  # how much less a head looks at a query one cell away, in logits


def _show_base_settings(init: Callable[..., None]) -> Callable[..., None]:
    """Let `init(self, ..., **base)` show the base's settings, which diffusers reads off the signature."""
    *own, _ = inspect.signature(init).parameters.values()
    stock = inspect.signature(CogVideoXTransformer3DModel.__init__).parameters.values()
    base = [p.replace(kind=p.KEYWORD_ONLY) for p in stock if p.name != "self"]
    init.__signature__ = inspect.Signature([*own, *base])
    return init


class IaDBlock(CogVideoXBlock):
    """A CogVideoX block that may end with attention to identity tokens and to its frame's action tokens.

    Args:
        block: the stock block, whose layers it takes over as they are; nothing is copied or drawn anew.
    """

    def __init__(self, block: CogVideoXBlock):
        super(CogVideoXBlock, self).__init__()  # as a module that is empty: the layers are there already
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.index: int | None = None  # place in `AdapterStates`; None in a block without adapter

    def add_adapter(self, config: Any, index: int) -> None:
        """Create the cross-attentions, and in the first block what tells patches of their cells.

        Args:
            config: of the transformer.
            index: how many adapted blocks come before.
        """
        self.index, width = index, config.token_dim
        dim = config.num_attention_heads * config.attention_head_dim
        heads = config.adapter_heads or config.num_attention_heads
        inner = heads * (config.adapter_head_dim or config.attention_head_dim)
        grid = config.sample_height // config.patch_size, config.sample_width // config.patch_size
        self.identity_attention = Attention(dim, width, heads, inner)
        self.identity_slots = nn.Parameter(torch.randn(config.queries, width) * 0.5)
        self.identity_focus = self.identity_patch = None
        if config.focus:
            self.identity_focus = nn.Parameter(torch.full((heads,), FOCUS if config.local else 0.0))
            distance = squared_distance(grid, config.queries, heads)
            self.register_buffer("distance", distance, persistent=False)
        last = [self.identity_attention.to_out]
        if config.action_queries:
            self.action_attention = Attention(dim, width, heads, inner)
            self.action_slots = nn.Parameter(torch.randn(config.action_queries, width) * 0.5)
            last.append(self.action_attention.to_out)
        if config.patch and not index:
            self.identity_patch = IdentityPatch(grid, config.queries * width, dim)
            last.append(self.identity_patch.out)
        for layer in last:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def focus_bias(self, frames: int) -> Float[Tensor, "1 h n q"] | None:
        """Return how much less each head looks, in logits, at identity tokens far from a latent's patch."""
        if self.identity_focus is None:
            return None
        bias = -self.identity_focus[:, None, None] * self.distance  # (h, s, q)
        return repeat(bias, "h s q -> 1 h (f s) q", f=frames)

    def forward(
        self,
        hidden_states: Float[Tensor, "b n d"],
        encoder_hidden_states: Float[Tensor, "b t d"],
        temb: Float[Tensor, "b e"],
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b t d"]]:
        """Run on latents (b, f s, d) and text; `attention_kwargs` may hold `AdapterStates` as "adapter"."""
        kwargs = dict(attention_kwargs or {})
        states: AdapterStates | None = kwargs.pop("adapter", None)
        x = hidden_states
        if self.index == 0 and states is not None and states.patch is not None:
            told = repeat(states.patch, "b s d -> b (f s) d", f=states.frames)
            x = x + states.identity_scale * told
        x, text = super().forward(x, encoder_hidden_states, temb, image_rotary_emb, kwargs)
        if states is None or self.index is None:
            return x, text
        bias = self.focus_bias(states.frames)
        bias = None if bias is None else bias.to(x.dtype)
        identity = self.identity_attention.attend(x, states.identity[self.index], bias)
        seen = states.identity_scale * identity
        if states.action is not None:
            by_frame = rearrange(x, "b (f s) d -> (b f) s d", f=states.frames)
            action = self.action_attention.attend(by_frame, states.action[self.index])
            seen = seen + states.action_scale * rearrange(action, "(b f) s d -> b (f s) d", f=states.frames)
        return x + seen, text


class IaDTransformer3DModel(CogVideoXTransformer3DModel):
    """`CogVideoXTransformer3DModel` with adapters in every `adapter_interval`-th block.

    Args:
        token_dim: width of identity and action tokens.
        queries: identity tokens a person.
        action_queries: action tokens a latent frame; 0 for an arm without action channel.
        adapter_heads: heads of the cross-attentions; None those of the block.
        adapter_head_dim: width of each; None that of the block's.
        focus: heads of the identity attention have a place to look at first.
        local: that place begins as the cells under their patch.
        patch: patches are told their own cells' identity tokens before the first block.
        crop: the patch embedding is widened by the latents of a face crop, as ConsisID's.
    """

    _no_split_modules = ["IaDBlock", "CogVideoXPatchEmbed"]
    _repeated_blocks = ["IaDBlock"]

    @register_to_config
    @_show_base_settings
    def __init__(
        self,
        *,
        token_dim: int = 192,
        queries: int = 64,
        action_queries: int = 64,
        adapter_interval: int = 2,
        adapter_heads: int | None = None,
        adapter_head_dim: int | None = None,
        focus: bool = True,
        local: bool = True,
        patch: bool = False,
        crop: bool = False,
        **base: Any,
    ):
        super().__init__(**base)
        if crop:
            self.patch_embed.proj = WidenedPatch(self.patch_embed.proj)
        self.transformer_blocks = nn.ModuleList(IaDBlock(block) for block in self.transformer_blocks)
        self.add_adapters()

    def add_adapters(self) -> None:
        """Create the adapters anew; before they are trained they change nothing."""
        for index, block in enumerate(self.transformer_blocks[:: self.config.adapter_interval]):
            block.add_adapter(self.config, index)

    @classmethod
    def over(cls, base: CogVideoXTransformer3DModel, **adapters: int | bool) -> "IaDTransformer3DModel":
        """Put new adapters on a loaded base, whose weights are taken over, not copied.

        Args:
            base: a stock transformer; in bfloat16, the adapters are so too.
            adapters: settings by name, see the class.

        Raises:
            ValueError: a base of another architecture, whose weights do not all find a place.
        """
        from accelerate import init_empty_weights

        with init_empty_weights(include_buffers=False):
            model = cls.from_config(dict(base.config), **adapters)
        model.add_adapters()  # on no memory so far; diffusers would leave them uninitialised
        missing, extra = model.load_state_dict(base.state_dict(), strict=False, assign=True)
        wrong = [key for key in missing if not is_adapter_key(key)] + extra
        if wrong:
            raise ValueError(
                f"The base transformer does not fit: {len(wrong)} keys are missing or extra "
                f"({', '.join(wrong[:5])}); use a CogVideoX text-to-video model."
            )
        for key, parameter in model.named_parameters():
            if is_adapter_key(key):
                parameter.data = parameter.data.to(base.dtype)
        return model.eval()

    def adapt(
        self,
        identity: Float[Tensor, "b q d"],
        action: Float[Tensor, "b f q d"] | None,
        *,
        frames: int,
        identity_scale: float | Float[Tensor, " b"] = 1.0,
        action_scale: float | Float[Tensor, " b"] = 1.0,
    ) -> AdapterStates:
        """Project identity tokens (of a person) and action tokens (of every latent frame) once per video."""
        blocks = [block for block in self.transformer_blocks if block.index is not None]
        told = None
        if action is not None:
            flat = rearrange(action, "b f q d -> (b f) q d")
            told = [_project(b.action_attention, flat, b.action_slots) for b in blocks]
        patch = blocks[0].identity_patch
        return AdapterStates(
            identity=[_project(b.identity_attention, identity, b.identity_slots) for b in blocks],
            action=told,
            patch=None if patch is None else patch(identity),
            identity_scale=_scale(identity_scale, identity),
            action_scale=_scale(action_scale, identity),
            frames=frames,
        )


ADAPTER_SETTINGS = tuple(
    inspect.signature(IaDTransformer3DModel.__init__).parameters.keys()
    - inspect.signature(CogVideoXTransformer3DModel.__init__).parameters.keys()
)


def _project(attention: Attention, tokens: Tensor, slots: Tensor) -> KeysValues:
    """Return keys and values of tokens; an offloaded transformer has its slots in main memory."""
    return attention.keys_values(tokens.to(slots.device, slots.dtype) + slots)


def _scale(value: float | Float[Tensor, " b"], like: Tensor) -> Float[Tensor, "#b 1 1"]:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(-1, 1, 1)


def create_transformer(preset: Preset, **adapter: int | bool) -> IaDTransformer3DModel:
    """Build the denoiser of a preset with random weights; `adapter` settings other than iad's by name."""
    config, split = preset.transformer, preset.decoupler
    settings = {"queries": split.queries, "action_queries": split.queries, "patch": True} | adapter
    return IaDTransformer3DModel(
        num_attention_heads=config.heads,
        attention_head_dim=config.head_dim,
        in_channels=preset.latent_channels,
        out_channels=preset.latent_channels,
        time_embed_dim=config.time_embed_dim,
        text_embed_dim=preset.text.state_dim,
        num_layers=config.layers,
        sample_width=preset.latent_size,
        sample_height=preset.latent_size,
        sample_frames=preset.latent_frames,
        patch_size=config.patch_size,
        temporal_compression_ratio=1,
        max_text_seq_length=preset.text.tokens,
        spatial_interpolation_scale=1.0,
        use_rotary_positional_embeddings=config.rotary,
        token_dim=split.dim,
        adapter_interval=config.adapter_interval,
        **settings,
    )
