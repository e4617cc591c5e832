"""Every number of every model size, as frozen dataclasses; no torch here.

`PRESETS` maps a name to a `Preset`, "mini" (ours, CPU, shipped), "mini-large" (untrained, for a GPU) or
"tiny" (random weights, for tests), or to the `FullSizePreset` "cogvideox-5b" (CUDA). The same classes read
all of them.
"""

import difflib
from dataclasses import asdict, dataclass, field
from pathlib import Path
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
class ReaderConfig:
    """The reader: landmarks, coefficients and head pose, by a look at the face and one at eyes and mouth."""

    channels: tuple[int, ...] = (48, 96, 192)  # of the look at the face, at 1/4, 1/8 and 1/16
    blocks: tuple[int, ...] = (2, 2, 2)
    close_channels: tuple[int, ...] = (24, 48, 96)  # of the close look, at 1/2, 1/4 and 1/8
    hidden: int = 128


@dataclass(frozen=True)
class RefinerConfig:
    """What repairs drawn frames around the mouth."""

    channels: tuple[int, int, int] = (24, 48, 96)  # at 1/2, 1/4 and 1/8 of a look
    hidden: int = 48  # what is made of the tracks


@dataclass(frozen=True)
class DecouplerConfig:
    """The split: learned queries read the facial embedding, each token becomes identity + action."""

    queries: int = 64  # one a cell of the portrait: with 16, people outside the training set came out alike
    dim: int = 128  # width of a query token
    layers: int = 2
    heads: int = 4
    code_dim: int = 64  # the action embedding passes through this many numbers
    erased: int = 128  # directions of the identity that are projected out after training, in closed form


@dataclass(frozen=True)
class TextConfig:
    """Token states of a frozen sentence encoder, and the temporal network T that reads them."""

    name: Literal["minilm", "hashed", "t5"] = "minilm"
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

    steps: int = 1  # small models predict a clip, and have no others
    guidance_scale: float = 1.6  # 1 hears the words as they are; more exaggerates them, at twice the time
    identity_guidance_scale: float = 1.0  # the same for the person
    timesteps: int = 1000


@dataclass(frozen=True)
class _Sizes:
    """What models of every size say of themselves."""

    name: str

    @property
    def duration(self) -> float:
        """Seconds of one clip."""
        return self.frames / self.fps

    @property
    def latent_frames(self) -> int:
        """Latent frames of one clip."""
        return self.count_latents(self.frames)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `iad.checkpoint.preset_from_dict` reads them."""
        return asdict(self)


@dataclass(frozen=True)
class Preset(_Sizes):
    """One model size: all parts and the clip it makes."""

    size: int = 128  # pixels, both sides
    frames: int = 16
    fps: int = 8
    frames_per_latent: int = 2  # frames stacked in the channels of one latent frame
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    decoupler: DecouplerConfig = field(default_factory=DecouplerConfig)
    text: TextConfig = field(default_factory=TextConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)

    @property
    def shown_size(self) -> int:
        """Pixels a side of clips made to be looked at: drawn with the photo's own pixels, they bear it."""
        return 3 * self.size

    def count_latents(self, frames: int) -> int:
        """Return how many latent frames so many frames have."""
        return frames // self.frames_per_latent

    def seconds(self, latent_frames: int) -> float:
        """Return how long so many latent frames last."""
        return latent_frames * self.frames_per_latent / self.fps

    @property
    def vector_dim(self) -> int:
        """Length of the face encoder's global vector: who it is, and what the face seems to do."""
        return self.encoder.global_dim + TRACK

    @property
    def token_dim(self) -> int:
        """Width of the face encoder's spatial tokens."""
        return self.encoder.token_dim

    @property
    def token_grid(self) -> int:
        """Spatial tokens a side."""
        return self.latent_size

    @property
    def latent_size(self) -> int:
        """Side of a latent frame."""
        return self.size // 16

    @property
    def latent_channels(self) -> int:
        """Channels of one latent frame as the transformer sees it."""
        return self.autoencoder.latent_channels * self.frames_per_latent


FaceEncoderName = Literal["insightface", "clip", "mini"]
# vector, token width, tokens a side: ArcFace 512 ++ CLIP 768; mini's 256 + 60 ++ CLIP 768; mini's alone
_FACE_SIZES = {"insightface": (1280, 1024, 24), "clip": (1084, 1024, 24), "mini": (316, 224, 8)}


@dataclass(frozen=True)
class FaceConfig:
    """The frozen face encoder of a full-size model.

    "insightface" is antelopev2 beside CLIP ViT-L/14-336 (its weights are for non-commercial research); "clip"
    has mini's recogniser in antelopev2's place; "mini" is mini's encoder alone, which needs no download.
    """

    name: FaceEncoderName = "insightface"

    @property
    def vector_dim(self) -> int:
        """Length of the global vector."""
        return _FACE_SIZES[self.name][0]

    @property
    def token_dim(self) -> int:
        """Width of a spatial token."""
        return _FACE_SIZES[self.name][1]

    @property
    def grid(self) -> int:
        """Spatial tokens a side."""
        return _FACE_SIZES[self.name][2]


@dataclass(frozen=True)
class BaseConfig:
    """The published model that adapters belong to; they fit no other."""

    repo: str = "THUDM/CogVideoX-5b"
    revision: str = "8d6ea3f817438460b25595a120f109b88d5fdfad"
    dim: int = 3072
    layers: int = 42
    text_dim: int = 4096


@dataclass(frozen=True)
class AdapterSizes:
    """The cross-attentions inside every `interval`-th block; narrower than the block, to stay within 5 %."""

    token_dim: int = 512
    heads: int = 8
    head_dim: int = 64
    interval: int = 2


@dataclass(frozen=True)
class FullSizePreset(_Sizes):
    """A published text-to-video model with our adapters, and the clip it makes."""

    base: BaseConfig = field(default_factory=BaseConfig)
    face: FaceConfig = field(default_factory=FaceConfig)
    adapters: AdapterSizes = field(default_factory=AdapterSizes)
    decoupler: DecouplerConfig = field(
        default_factory=lambda: DecouplerConfig(queries=64, dim=512, layers=4, heads=8, code_dim=64)
    )
    text: TextConfig = field(
        default_factory=lambda: TextConfig("t5", state_dim=4096, tokens=226, dim=512, layers=4, heads=8)
    )
    sampler: SamplerConfig = field(default_factory=lambda: SamplerConfig(50, 6.0, 1.0))
    size: int = 336  # pixels of a face crop, both sides
    height: int = 480
    width: int = 720
    frames: int = 49
    fps: int = 8
    frames_per_latent: int = 4  # after the first frame, which has a latent frame of its own

    def count_latents(self, frames: int) -> int:
        """Return how many latent frames so many frames have."""
        return (frames - 1) // self.frames_per_latent + 1

    def seconds(self, latent_frames: int) -> float:
        """Return how long so many latent frames last."""
        return ((latent_frames - 1) * self.frames_per_latent + 1) / self.fps

    @property
    def vector_dim(self) -> int:
        """Length of the face encoder's global vector."""
        return self.face.vector_dim

    @property
    def token_dim(self) -> int:
        """Width of the face encoder's spatial tokens."""
        return self.face.token_dim

    @property
    def token_grid(self) -> int:
        """Spatial tokens a side."""
        return self.face.grid


PRESETS: dict[str, Preset | FullSizePreset] = {
    "mini": Preset(name="mini"),
    # Untrained: for a machine with a GPU.
    "mini-large": Preset(
        name="mini-large",
        size=256,
        autoencoder=AutoencoderConfig(32, (96, 192, 256), (2, 3, 4)),
        encoder=EncoderConfig((48, 96, 192), (2, 3, 3)),
        decoupler=DecouplerConfig(queries=64, dim=128, layers=3),
        transformer=TransformerConfig(heads=6, head_dim=64, layers=8, time_embed_dim=256),
    ),
    "tiny": Preset(
        name="tiny",
        autoencoder=AutoencoderConfig(4, (16, 16, 16), (1, 0, 0)),
        encoder=EncoderConfig((8, 8, 16), (1, 1, 1), 16, components=4),
        reader=ReaderConfig((8, 8, 16), (1, 1, 1), (8, 8, 8), 16),
        refiner=RefinerConfig((8, 8, 16), 8),
        decoupler=DecouplerConfig(queries=16, dim=128, layers=1, heads=2, code_dim=8, erased=4),
        text=TextConfig(name="hashed", state_dim=16, tokens=16, dim=16, layers=1, heads=2),
        transformer=TransformerConfig(heads=2, head_dim=16, layers=2, time_embed_dim=16),
    ),
    "cogvideox-5b": FullSizePreset(name="cogvideox-5b"),
}


def get_preset(name: str) -> Preset | FullSizePreset:
    """Return the preset called `name`.

    Raises:
        ValueError: no such preset; the message names the nearest and all others.
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(PRESETS)}."
    raise ValueError(f"Unknown model preset {name!r}; {hint}")


def is_full_size(name: str | Path) -> bool:
    """Tell whether a model's name, folder or hub id means a full-size model."""
    if Path(name).is_dir():
        return (Path(name) / "model_index.json").exists()
    return isinstance(PRESETS.get(str(name)), FullSizePreset) or str(name).count("/") == 1
