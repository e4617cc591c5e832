"""Every number of every model size, as frozen dataclasses; no torch here.

`PRESETS` maps a name to a `Preset`: "mini" (ours, CPU, shipped) and "tiny" (random weights, for tests). The
same classes read both.
"""

import difflib
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Arm = Literal["iad", "consisid", "id-animator"]
ARMS: tuple[Arm, ...] = ("iad", "consisid", "id-animator")
Control = Literal["consisid-cross", "entangled"]
CONTROLS: tuple[Control, ...] = ("consisid-cross", "entangled")

EXPRESSIONS = 57  # ICT-FaceKit expression shapes
TRACK = EXPRESSIONS + 3  # then head pitch, yaw, roll in degrees
LANDMARKS = 68  # Multi-PIE


@dataclass(frozen=True)
class AutoencoderConfig:
    """The frame autoencoder: frames of `size` pixels to latents of `size / 16`."""

    latent_channels: int = 24
    channels: tuple[int, int, int] = (64, 128, 192)  # of the decoder, at 1/4, 1/8 and 1/16 of the frame
    decoder_blocks: tuple[int, int, int] = (2, 2, 3)  # at 1/16, 1/8 and 1/4


@dataclass(frozen=True)
class EncoderConfig:
    """The face encoder: an aligned crop to one global vector and a grid of spatial tokens."""

    channels: tuple[int, ...] = (48, 96, 192)  # at 1/4, 1/8 and 1/16 of the crop
    blocks: tuple[int, ...] = (2, 2, 2)
    global_dim: int = 256
    components: int = 32  # of a token's own patch of the crop, beside the learned features

    @property
    def token_dim(self) -> int:
        """Width of a spatial token."""
        return self.channels[-1] + self.components


@dataclass(frozen=True)
class DecouplerConfig:
    """The split: learned queries read the facial embedding, each token becomes identity + action."""

    queries: int = 64  # one a cell of the portrait: with 16, people outside the training set came out alike
    dim: int = 128  # width of a query token
    layers: int = 2
    heads: int = 4
    code_dim: int = 64  # the action embedding passes through this many numbers
    erased: int = 128  # directions of the identity that are projected out after training, in closed form

    @property
    def embedding_dim(self) -> int:
        """Length of the flattened facial, identity and action embeddings."""
        return self.queries * self.dim


@dataclass(frozen=True)
class TextConfig:
    """Token states of a frozen sentence encoder, and the temporal network T that reads them."""

    name: Literal["minilm", "hashed"] = "minilm"
    state_dim: int = 384
    tokens: int = 32
    dim: int = 192  # width of T
    layers: int = 2
    heads: int = 6


@dataclass(frozen=True)
class TransformerConfig:
    """A `CogVideoXTransformer3DModel` and where the two cross-attentions sit in it."""

    heads: int = 4
    head_dim: int = 64
    layers: int = 6
    time_embed_dim: int = 128
    patch_size: int = 2
    adapter_interval: int = 2  # every second block, as ConsisID
    rotary: bool = False  # mini adds sin-cos positions, so cross-attention queries know where they are

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.heads * self.head_dim


@dataclass(frozen=True)
class SamplerConfig:
    """What generation uses when the caller does not say."""

    steps: int = 1
    guidance_scale: float = 1.5  # 1 hears the words as they are; more exaggerates them, at twice the time
    identity_guidance_scale: float = 1.2  # the same for the person
    timesteps: int = 1000


@dataclass(frozen=True)
class Preset:
    """One model size: all parts and the clip it makes."""

    name: str
    size: int = 128  # pixels, both sides
    frames: int = 16
    fps: int = 8
    frames_per_latent: int = 2  # frames stacked in the channels of one latent frame
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoupler: DecouplerConfig = field(default_factory=DecouplerConfig)
    text: TextConfig = field(default_factory=TextConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)

    @property
    def duration(self) -> float:
        """Seconds of one clip."""
        return self.frames / self.fps

    @property
    def latent_frames(self) -> int:
        """Latent frames of one clip."""
        return self.frames // self.frames_per_latent

    @property
    def latent_size(self) -> int:
        """Side of a latent frame."""
        return self.size // 16

    @property
    def latent_channels(self) -> int:
        """Channels of one latent frame as the transformer sees it."""
        return self.autoencoder.latent_channels * self.frames_per_latent

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `preset_from_dict` reads them back."""
        return asdict(self)


PRESETS: dict[str, Preset] = {
    "mini": Preset(name="mini"),
    "tiny": Preset(
        name="tiny",
        autoencoder=AutoencoderConfig(4, (16, 16, 16), (1, 0, 0)),
        encoder=EncoderConfig((8, 8, 16), (1, 1, 1), 16, components=4),
        decoupler=DecouplerConfig(queries=4, dim=16, layers=1, heads=2, code_dim=8, erased=4),
        text=TextConfig(name="hashed", state_dim=16, tokens=16, dim=16, layers=1, heads=2),
        transformer=TransformerConfig(heads=2, head_dim=16, layers=2, time_embed_dim=16),
        sampler=SamplerConfig(steps=2),
    ),
}


def get_preset(name: str) -> Preset:
    """Return the preset called `name`.

    Raises:
        ValueError: no such preset; the message names the nearest and all others.
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(PRESETS)}."
    raise ValueError(f"Unknown model preset {name!r}; {hint}")


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """Rebuild a preset from `Preset.to_dict`, as stored beside weights (JSON turns tuples to lists)."""
    parts = {
        "autoencoder": AutoencoderConfig,
        "encoder": EncoderConfig,
        "decoupler": DecouplerConfig,
        "text": TextConfig,
        "transformer": TransformerConfig,
        "sampler": SamplerConfig,
    }
    values = dict(values)
    for key, part in parts.items():
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in values[key].items()}
        values[key] = part(**fields)
    return Preset(**values)
