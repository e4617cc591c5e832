"""The frozen face encoder of a full-size model: who it is by a recogniser, what it shows by CLIP's patches.

In: crops in [0, 1] in the framing of `iad.faces`, of any size. Out: what is split, as `iad.models.encoders`
gives it for mini, and how the encoder that conditioned a clip judges it (`judging` has independent judges).
Every part of the global vector has mean square one, as mini's has, so that none drowns another.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate, layer_norm, normalize, rms_norm

from iad import checkpoint
from iad.config import FaceConfig, Preset
from iad.faces import Face
from iad.full_size.arcface import ArcFace, load_arcface
from iad.full_size.hub import fetch_model
from iad.full_size.published import load_network
from iad.models.autoencoder import to_tensor, to_uint8
from iad.models.encoders import FaceEncoder, create_face_encoder
from iad.models.splitting import Splitting

MINI = checkpoint.WEIGHTS / "mini"
CLIP = "openai/clip-vit-large-patch14-336"
CLIP_REVISION = "ce19dc912ca5cd21c8a653c79e251e808ccabcd1"
CLIP_FILES = ("config.json", "pytorch_model.bin")  # published without safetensors
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
        recogniser: ArcFace | None = None,
    ):
        super().__init__()
        self.mini, self.size, self.clip, self.recogniser = mini, size, clip, recogniser
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, crops: Float[Tensor, "b 3 s s"]) -> FullFaceFeatures:
        """Describe aligned crops in [0, 1]."""
        weight = next(self.mini.parameters())
        own = self.mini(_resize(crops.to(weight.device), self.size).to(weight.dtype))
        who, tokens, parts = own.embedding, own.tokens, [own.vector]
        if self.recogniser is not None:
            rows = self.recogniser.embed(to_uint8(crops), own.landmarks.float().cpu().numpy())
            who = torch.from_numpy(rows).to(own.vector)
            parts = [rms_norm(who, who.shape[-1:])]
        if self.clip is not None:
            pooled, tokens = self.clip(crops.to(weight.device))
            parts.append(rms_norm(pooled, pooled.shape[-1:]))
        return FullFaceFeatures(torch.cat(parts, dim=1).float(), tokens.float(), normalize(who).float())


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
        recogniser = load_arcface(pack, device=str(device), accept_licence=accept_licence)
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


def _sizes(preset: Preset, vision: ClipVision | None, recogniser: ArcFace | None) -> tuple[int, int, int]:
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
    from transformers import CLIPVisionModelWithProjection

    if source is None:
        folder = fetch_model(CLIP, revision=CLIP_REVISION, files=CLIP_FILES)
    else:
        folder = fetch_model(source, files=("config.json", "*.safetensors", "pytorch_model.bin*"))
    return ClipVision(load_network(CLIPVisionModelWithProjection, folder, dtype=torch.float32))


def _resize(crops: Float[Tensor, "b 3 h w"], size: int) -> Float[Tensor, "b 3 s s"]:
    if crops.shape[-1] == size:
        return crops
    return interpolate(crops.float(), size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)


@torch.inference_mode()
def score_clip(
    splitting: Splitting,
    frames: UInt8[np.ndarray, "f h w 3"],
    faces: list[Face],
    code: Tensor | None,
    *,
    split: bool = True,
) -> dict[str, Any]:
    """Judge one frame a latent frame, as `Result.scores` has it; the other frames carry no likeness (NaN).

    Args:
        splitting: whose encoder and decoupler judge.
        frames: of the clip.
        faces: of the reference photos.
        code: action codes (1, t, c) that were asked for; None where the system heard the words alone.
        split: the decoupler is trained, so what it says counts.
    """
    stride = splitting.preset.frames_per_latent
    picks = range(0, len(frames), stride)
    crops = {k: crop for k in picks if (crop := _find_crop(splitting, frames[k])) is not None}
    pictures = np.stack([*crops.values(), *(face.image for face in faces)])
    features = splitting.parts["encoder"](to_tensor(pictures).to(splitting.device))
    likeness, shown = np.full(len(frames), np.nan, np.float32), len(crops)
    scores = {"identity": likeness, "detected": shown / len(picks)}
    if crops:
        reference = features.embedding[shown:].mean(0, keepdim=True)
        cosines = cosine_similarity(features.embedding[:shown], reference)
        likeness[list(crops)] = cosines.float().cpu().numpy()
    if split:
        scores |= _compare_actions(splitting, features, np.array(list(crops), int) // stride, code)
    return scores


def _compare_actions(
    splitting: Splitting, features: FullFaceFeatures, places: np.ndarray, code: Tensor | None
) -> dict[str, Any]:
    """Compare what frames at these latent places do with what the photos do, and with what was asked for."""
    decoupler, shown = splitting.parts["decoupler"], len(places)
    split = splitting.centre(decoupler(features.vector, features.tokens))
    shares = [float(share[shown:].mean()) for share in split.shares()]
    scores = {"identity_share": shares[0], "action_share": shares[1]}
    if not shown:
        return scores
    actions, photo = split.action[:shown].flatten(1), split.action[shown:].flatten(1).mean(0, keepdim=True)
    scores["copied"] = float(cosine_similarity(actions, photo).mean())
    if code is not None:
        wanted = decoupler.expand(code[0, torch.from_numpy(places)]) - decoupler.mean_action
        scores["action"] = float(cosine_similarity(actions, wanted.flatten(1)).mean())
    return scores


def _find_crop(splitting: Splitting, frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"] | None:
    try:
        return splitting.find_face(frame).image
    except ValueError:
        return None
