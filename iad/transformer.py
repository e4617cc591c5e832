"""The denoiser: a CogVideoX transformer whose blocks also look at identity and action tokens.

Every second block gets two decoupled cross-attentions *inside* it (between the blocks they would break step
caches): all latents look at the identity tokens, the latents of a frame at the action tokens of that frame.
Their output layers start at zero, so an untrained adapter is exactly the base model. Keys and values do not
depend on the denoising step: `adapt` computes them once per video.
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock, CogVideoXTransformer3DModel
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from iad.config import Preset
from iad.decoupling import Attention

KeysValues = tuple[Tensor, Tensor]

FOCUS = 4.0  # how much less a head looks at a query one cell away, in logits
ADAPTER_SETTINGS = ("token_dim", "queries", "action_queries", "adapter_interval", "local", "crop")
ADAPTER_KEYS = (
    "identity_attention",
    "action_attention",
    "identity_slots",
    "action_slots",
    "identity_focus",
    "crop_weight",
)


@dataclass(frozen=True)
class AdapterStates:
    """Keys and values of the adapters, one entry per adapted block; valid for all steps of one video."""

    identity: list[KeysValues]
    action: list[KeysValues] | None  # an arm without action channel has none
    identity_scale: Float[Tensor, "#b 1 1"]  # 0 switches identity off, per sample
    action_scale: Float[Tensor, "#b 1 1"]
    frames: int


@dataclass(frozen=True)
class AdapterConfig:
    """What the adapters of one transformer look at."""

    token_dim: int
    queries: int  # identity tokens a person
    action_queries: int  # action tokens a latent frame
    grid: tuple[int, int]  # patches of a latent frame, down and across
    local: bool = True  # heads begin with the queries of a patch's own cells
    actions: bool = True  # there is an action channel


class IaDBlock(CogVideoXBlock):
    """A CogVideoX block that may end with attention to identity tokens and to its frame's action tokens."""

    index: int | None = None  # place in `AdapterStates`; None in a block without adapter

    def add_adapter(self, config: AdapterConfig, *, dim: int, heads: int, index: int) -> None:
        """Create the cross-attentions."""
        self.index = index
        self.identity_attention = Attention(dim, config.token_dim, heads)
        self.identity_slots = nn.Parameter(torch.randn(config.queries, config.token_dim) * 0.5)
        self.identity_focus = nn.Parameter(torch.full((heads,), FOCUS if config.local else 0.0))
        distance = _squared_distance(config.grid, config.queries, heads)
        self.register_buffer("distance", distance, persistent=False)
        attentions = [self.identity_attention]
        if config.actions:
            self.action_attention = Attention(dim, config.token_dim, heads)
            self.action_slots = nn.Parameter(torch.randn(config.action_queries, config.token_dim) * 0.5)
            attentions.append(self.action_attention)
        for attention in attentions:
            nn.init.zeros_(attention.to_out.weight)
            nn.init.zeros_(attention.to_out.bias)

    def focus_bias(self, frames: int) -> Float[Tensor, "1 h n q"]:
        """Return how much less each head looks, in logits, at identity tokens far from a latent's patch."""
        bias = -self.identity_focus[:, None, None] * self.distance  # (h, s, q)
        return repeat(bias, "h s q -> 1 h (f s) q", f=frames)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run on latents (b, f s, d) and text; `attention_kwargs` may hold `AdapterStates` as "adapter"."""
        kwargs = dict(attention_kwargs or {})
        states: AdapterStates | None = kwargs.pop("adapter", None)
        x, text = super().forward(hidden_states, encoder_hidden_states, temb, image_rotary_emb, kwargs)
        if states is None or self.index is None:
            return x, text
        bias = self.focus_bias(states.frames).to(x.dtype)
        identity = self.identity_attention.attend(x, states.identity[self.index], bias)
        seen = states.identity_scale * identity
        if states.action is not None:
            by_frame = rearrange(x, "b (f s) d -> (b f) s d", f=states.frames)
            action = self.action_attention.attend(by_frame, states.action[self.index])
            seen = seen + states.action_scale * rearrange(action, "(b f) s d -> b (f s) d", f=states.frames)
        return x + seen, text


class WidenedPatch(nn.Conv2d):
    """A patch embedding that also takes the latents of a face crop, in channels after the noisy ones."""

    @classmethod
    def over(cls, conv: nn.Conv2d) -> "WidenedPatch":
        """Widen a convolution in place; the new weights start at zero."""
        conv.__class__ = cls
        conv.crop_weight = nn.Parameter(torch.zeros_like(conv.weight))
        return conv

    def forward(self, x: Float[Tensor, "b c2 y x"]) -> Float[Tensor, "b d y2 x2"]:
        """Embed (noisy latents, crop latents), joined in the channels."""
        noisy, crop = x.chunk(2, dim=1)
        return super().forward(noisy) + conv2d(crop, self.crop_weight, stride=self.stride)


class IaDTransformer3DModel(CogVideoXTransformer3DModel):
    """`CogVideoXTransformer3DModel` with adapters in every `adapter_interval`-th block.

    Args:
        token_dim: width of identity and action tokens.
        queries: identity tokens a person.
        action_queries: action tokens a latent frame; 0 for an arm without action channel.
        local: heads of the identity attention begin with the cells under their patch.
        crop: the patch embedding is widened by the latents of a face crop, as ConsisID's.
    """

    _no_split_modules = ["IaDBlock", "CogVideoXPatchEmbed"]
    _repeated_blocks = ["IaDBlock"]

    @register_to_config
    def __init__(
        self,
        num_attention_heads: int = 30,
        attention_head_dim: int = 64,
        in_channels: int = 16,
        out_channels: int | None = 16,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        time_embed_dim: int = 512,
        ofs_embed_dim: int | None = None,
        text_embed_dim: int = 4096,
        num_layers: int = 30,
        dropout: float = 0.0,
        attention_bias: bool = True,
        sample_width: int = 90,
        sample_height: int = 60,
        sample_frames: int = 49,
        patch_size: int = 2,
        patch_size_t: int | None = None,
        temporal_compression_ratio: int = 4,
        max_text_seq_length: int = 226,
        activation_fn: str = "gelu-approximate",
        timestep_activation_fn: str = "silu",
        norm_elementwise_affine: bool = True,
        norm_eps: float = 1e-5,
        spatial_interpolation_scale: float = 1.875,
        temporal_interpolation_scale: float = 1.0,
        use_rotary_positional_embeddings: bool = False,
        use_learned_positional_embeddings: bool = False,
        patch_bias: bool = True,
        token_dim: int = 192,
        queries: int = 64,
        action_queries: int = 64,
        adapter_interval: int = 2,
        local: bool = True,
        crop: bool = False,
    ):
        base = dict(locals())
        for own in ("self", "__class__", *ADAPTER_SETTINGS):
            del base[own]
        super().__init__(**base)
        if crop:
            self.patch_embed.proj = WidenedPatch.over(self.patch_embed.proj)
        dim = num_attention_heads * attention_head_dim
        for place, block in enumerate(self.transformer_blocks):
            block.__class__ = IaDBlock  # same weights, same place; only `forward` grows
            if place % adapter_interval == 0:
                block.add_adapter(
                    AdapterConfig(
                        token_dim=token_dim,
                        queries=queries,
                        action_queries=action_queries,
                        grid=(sample_height // patch_size, sample_width // patch_size),
                        local=local,
                        actions=action_queries > 0,
                    ),
                    dim=dim,
                    heads=num_attention_heads,
                    index=place // adapter_interval,
                )

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
            told = [b.action_attention.keys_values(flat + b.action_slots) for b in blocks]
        return AdapterStates(
            identity=[b.identity_attention.keys_values(identity + b.identity_slots) for b in blocks],
            action=told,
            identity_scale=_scale(identity_scale, identity),
            action_scale=_scale(action_scale, identity),
            frames=frames,
        )


def _squared_distance(grid: tuple[int, int], queries: int, heads: int) -> Float[Tensor, "h s q"]:
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


def _scale(value: float | Float[Tensor, " b"], like: Tensor) -> Float[Tensor, "#b 1 1"]:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(-1, 1, 1)


def is_adapter_key(key: str) -> bool:
    """Tell the adapters' weights from the base's by name."""
    return any(part in key for part in ADAPTER_KEYS)


def create_transformer(preset: Preset, **adapter: int | bool) -> IaDTransformer3DModel:
    """Build the denoiser of a preset with random weights; `adapter` settings other than iad's by name."""
    config, split = preset.transformer, preset.decoupler
    settings = {"queries": split.queries, "action_queries": split.queries} | adapter
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


def create_scheduler(preset: Preset):
    """Build the noise schedule of training and sampling: v-prediction, no signal at all in the last step."""
    from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler

    return CogVideoXDDIMScheduler(
        num_train_timesteps=preset.sampler.timesteps,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        snr_shift_scale=1.0,
    )
