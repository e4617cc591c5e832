"""The frozen face encoder of a full-size model: who it is by a recogniser, what it shows by CLIP's patches.

In: crops in [0, 1] in the framing of `iad.faces`, of any size. Out: what is split, as `iad.models.encoders`
gives it for mini. Every part of the global vector has mean square one, as mini's has, so that none drowns
another.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm, normalize, rms_norm

from iad import checkpoint
from iad.config import FaceConfig, Preset
from iad.full_size.published import fill_module, read_published
from iad.full_size.recogniser import Recogniser, load_recogniser
from iad.models.autoencoder import to_uint8
from iad.models.encoders import FaceEncoder, FacialFeatures, create_face_encoder

MINI = checkpoint.WEIGHTS / "mini"
CLIP = "openai/clip-vit-large-patch14-336"
CLIP_REVISION = "ce19dc912ca5cd21c8a653c79e251e808ccabcd1"
CLIP_FILES = ("config.json", "pytorch_model.bin")  # published without safetensors
CLIP_BYTES = 1_711_974_081  # both of its towers; the text tower is not loaded
BATCH = 8  # crops that CLIP sees at a time


@dataclass(frozen=True)
class FullFaceFeatures:
    """What the encoder says of a batch of crops."""

    vector: Float[Tensor, "b v"]  # what is split, beside the tokens
    tokens: Float[Tensor, "b n e"]  # row by row from the upper left
    embedding: Float[Tensor, "b g"]  # the recogniser's, of length one


class ClipVision(nn.Module):
    """CLIP's picture half: the pooled picture, and the patches of the last layer but one.

    The last layer's own patches were never trained: CLIP's loss reads its pooled token alone.

    Args:
        model: a `CLIPVisionModelWithProjection`.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

        self.model, self.size = model, model.config.image_size
        for name, values in (("mean", OPENAI_CLIP_MEAN), ("std", OPENAI_CLIP_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def prepare(self, crops: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s s"]:
        """Resize and normalise crops in [0, 1] as CLIP was trained."""
        return (_resize(crops, self.size) - self.mean) / self.std

    def forward(self, crops: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b p"], Float[Tensor, "b n e"]]:
        """Return the pooled picture and the patches, each patch of length sqrt(e)."""
        pooled, patches = zip(*map(self._look, crops.split(BATCH)), strict=True)
        return torch.cat(pooled), torch.cat(patches)

    def _look(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.model(pixel_values=self.prepare(crops), output_hidden_states=True)
        patches = seen.hidden_states[-2][:, 1:]  # the first is the pooled token
        return seen.image_embeds, layer_norm(patches, patches.shape[-1:])


class FullFaceEncoder(nn.Module):
    """mini's encoder, with CLIP beside it, with InsightFace's recogniser in its place; all frozen.

    Args:
        mini: knows landmarks, and who it is and what it does where there is no recogniser.
        size: side in pixels of the crops that `mini` takes.
        clip: None: mini alone.
        recogniser: None: mini's own.
    """

    def __init__(
        self,
        mini: FaceEncoder,
        *,
        size: int,
        clip: ClipVision | None = None,
        recogniser: Recogniser | None = None,
    ):
        super().__init__()
        self.mini, self.size, self.clip, self.recogniser = mini, size, clip, recogniser
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, crops: Float[Tensor, "b 3 s s"]) -> FullFaceFeatures:
        """Describe aligned crops in [0, 1]."""
        own, who = self._recognise(crops)
        parts = [own.vector] if self.recogniser is None else [rms_norm(who, who.shape[-1:])]
        tokens = own.tokens
        if self.clip is not None:
            pooled, tokens = self.clip(crops.to(own.vector.device))
            parts.append(rms_norm(pooled, pooled.shape[-1:]))
        return FullFaceFeatures(torch.cat(parts, dim=1).float(), tokens.float(), normalize(who).float())

    @torch.no_grad()
    def recognise(self, crops: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b g"]:
        """Return the embedding alone, without waiting for CLIP."""
        return normalize(self._recognise(crops)[1]).float()

    def _recognise(self, crops: Tensor) -> tuple[FacialFeatures, Tensor]:
        weight = next(self.mini.parameters())
        own = self.mini(_resize(crops.to(weight.device), self.size).to(weight.dtype))
        if self.recogniser is None:
            return own, own.embedding
        who = self.recogniser.embed(to_uint8(crops), own.landmarks.float().cpu().numpy())
        return own, torch.from_numpy(who).to(own.vector)


def load_face_encoder(
    face: FaceConfig,
    *,
    device: str | torch.device = "cpu",
    accept_licence: bool = False,
    clip: str | Path | None = None,
    pack: str | Path | None = None,
) -> FullFaceEncoder:
    """Load the encoder that `face` names; what is missing is fetched, but for "mini", which is always here.

    Args:
        face: which encoder, and the sizes that the rest of the model expects of it.
        device: "cpu", "cuda" or "cuda:1"; the recogniser stays where it is loaded.
        accept_licence: the caller accepts the licence of InsightFace's weights.
        clip: a folder or hub id of CLIP instead of the published one.
        pack: a folder with InsightFace's antelopev2 instead of InsightFace's own.

    Raises:
        ValueError: something is missing, broken, not accepted or of other sizes; the message says what to do.
    """
    recogniser, vision = None, None
    if face.name == "insightface":
        recogniser = load_recogniser(pack, device=str(device), accept_licence=accept_licence)
    if face.name != "mini":
        vision = load_clip(clip)
    preset = checkpoint.load_preset(MINI)
    made, wanted = _sizes(preset, vision, recogniser), (face.vector_dim, face.token_dim, face.grid)
    if made != wanted:
        raise ValueError(
            f"The face encoder {face.name!r} gives vector, token width and tokens a side of {made}, but this "
            f"model was built for {wanted}; use the published CLIP and antelopev2."
        )
    encoder = FullFaceEncoder(load_mini_encoder(), size=preset.size, clip=vision, recogniser=recogniser)
    return encoder.to(device)


def load_mini_encoder() -> FaceEncoder:
    """Load mini's face encoder, which ships with the package; it finds the landmarks at every size."""
    encoder = create_face_encoder(checkpoint.load_preset(MINI))
    encoder.load_state_dict(checkpoint.load_part(MINI, "encoder"))
    return encoder.eval().requires_grad_(False)


def _sizes(preset: Preset, vision: ClipVision | None, recogniser: Recogniser | None) -> tuple[int, int, int]:
    if vision is None:
        return preset.vector_dim, preset.token_dim, preset.token_grid
    config, own = vision.model.config, preset.vector_dim if recogniser is None else recogniser.dim
    return own + config.projection_dim, config.hidden_size, config.image_size // config.patch_size


def load_clip(source: str | Path | None = None) -> ClipVision:
    """Load CLIP's picture half.

    Args:
        source: a folder or hub id in transformers' layout; None is the published ViT-L/14-336.

    Raises:
        ValueError: it cannot be fetched or read, or weights are missing or of other shapes.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from iad.full_size.hub import fetch_model

    if source is None:
        folder = fetch_model(CLIP, revision=CLIP_REVISION, files=CLIP_FILES, needs_bytes=CLIP_BYTES)
    else:
        folder = fetch_model(source, files=("config.json", "*.safetensors", "pytorch_model.bin*"))
    try:
        config = CLIPVisionConfig.from_pretrained(folder, local_files_only=True)
    except OSError as error:
        raise ValueError(f"{folder} has no readable config.json of a CLIP; download {CLIP} again.") from error
    state = _read_picture_half(folder)
    # built so, its 0.3 billion weights are not drawn at random first
    model = CLIPVisionModelWithProjection.from_pretrained(
        None, config=config, state_dict=state, ignore_mismatched_sizes=True
    )
    fill_module(model, state, folder)  # says what is missing or misshapen
    return ClipVision(model)


def _read_picture_half(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    converted = folder / "model.safetensors"
    state = load_file(converted) if converted.exists() else read_published(folder / "pytorch_model.bin")
    state.pop("vision_model.embeddings.position_ids", None)  # older releases stored 0, 1, 2, ...
    return {k: v for k, v in state.items() if k.startswith(("vision_model.", "visual_projection."))}


def _resize(crops: Float[Tensor, "b 3 h w"], size: int) -> Float[Tensor, "b 3 s s"]:
    if crops.shape[-1] == size:
        return crops
    return interpolate(crops.float(), size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
