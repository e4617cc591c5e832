"""What every size of model does with faces and words: find, split, match, tell; `Splitting` is its base."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from iad.autoencoder import to_tensor
from iad.config import FullSizePreset, Preset
from iad.decoupling import Split, frame_times
from iad.encoders import as_landmarker
from iad.faces import CROP_SIZE, Face, crop, find_face
from iad.photos import load_image
from iad.result import DecoupledFace
from iad.text import Action, TextEncoder, parse_prompt
from iad.video import VIDEO_SUFFIXES, read_video

Reference = str | Path | Any  # path, PIL image or uint8 array


class Splitting:
    """A face encoder, a decoupler and T, ready to use.

    Attributes:
        preset: the model size.
        parts: holds at least "encoder", "decoupler" and "text_action".
        text_encoder: gives T its token states.
        device: where the parts are.
    """

    preset: Preset | FullSizePreset
    parts: nn.ModuleDict
    text_encoder: TextEncoder
    device = torch.device("cpu")

    def __init__(self):
        self._told: tuple[tuple[str, ...], list[Tensor]] = ((), [])  # the last prompts, as action embeddings

    @property
    def landmarker(self):
        """What finds the landmarks of a crop."""
        return as_landmarker(self.parts["encoder"])

    def find_face(self, photo: Reference, index: int | None = None) -> Face:
        """Detect and align one face of a photo."""
        photo = load_image(photo)
        face = find_face(photo, self.landmarker, index=index)
        if self.preset.size == CROP_SIZE:
            return face
        return replace(face, image=crop(photo, face.affine, self.preset.size))

    @torch.inference_mode()
    def decouple(self, photo: Reference, *, face: int | None = None) -> DecoupledFace:
        """Split the facial embedding of one face into identity and action."""
        found = self.find_face(photo, face)
        centred = self.centre(self._split(found.image[None]))
        shares = [float(share[0]) for share in centred.shares()]
        parts = (centred.facial, centred.identity, centred.action)
        vectors = [part[0].flatten().float().cpu().numpy() for part in parts]
        return DecoupledFace(*vectors, *shares, found.box, found.image, found.count)

    @torch.inference_mode()
    def match_actions(self, face: DecoupledFace, prompts: Sequence[str]) -> list[tuple[str, float]]:
        """Rank prompts by how well they say what the face does; cosine of action embeddings, best first."""
        action, told = torch.from_numpy(face.action), self._told
        if told[0] != tuple(prompts):  # the same prompts are often asked of several faces in a row
            self._told = told = tuple(prompts), [self._tell(prompt) for prompt in prompts]
        found = [
            (prompt, float(cosine_similarity(x, action[None]).max())) for prompt, x in zip(*told, strict=True)
        ]
        return sorted(found, key=lambda pair: -pair[1])

    def text_codes(self, segments: Sequence[Action], latent_frames: int) -> Float[Tensor, "1 f c"]:
        """Let T say what is done in every latent frame."""
        encoded = self.text_encoder.encode([s.prompt for s in segments])
        spans = [(s.start, s.end) for s in segments]
        duration = self.preset.seconds(latent_frames)
        places, times = frame_times(spans, frames=latent_frames, duration=duration)
        places, times = places.to(encoded.states.device), times.to(encoded.states.device)
        return self.parts["text_action"](encoded.states[None], encoded.mask[None], places[None], times[None])

    def _tell(self, prompt: str) -> Float[Tensor, "f d"]:
        segments = parse_prompt(prompt, None, duration=self.preset.duration)
        codes = self.text_codes(segments, self.preset.latent_frames)
        decoupler = self.parts["decoupler"]
        return (decoupler.expand(codes)[0] - decoupler.mean_action).flatten(1).float().cpu()

    def _split(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Split:
        features = self.parts["encoder"](to_tensor(crops).to(self.device))
        return self.parts["decoupler"](features.vector, features.tokens)

    def centre(self, split: Split) -> Split:
        """See a split relative to the average face."""
        decoupler = self.parts["decoupler"]
        identity, action = split.identity - decoupler.mean_identity, split.action - decoupler.mean_action
        return Split(identity + action, identity, action, split.code)

    def _driving_codes(self, source: Reference, latent_frames: int) -> Float[Tensor, "1 f c"]:
        if isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES:
            video, _ = read_video(source, self.preset.frames, fps=self.preset.fps)
            place = find_face(video[0], self.landmarker).affine
            picks = np.linspace(0, len(video) - 1, latent_frames).round().astype(int)
            # one framing for all, so that head motion stays
            crops = np.stack([crop(video[k], place, self.preset.size) for k in picks])
            return self._split(crops).code[None]
        return repeat(self._split(self.find_face(source).image[None]).code, "1 c -> 1 f c", f=latent_frames)


def check_seed(seed: int) -> None:
    """Refuse what is no seed.

    Raises:
        ValueError: not a whole number of 0 or more.
    """
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"The seed is {seed!r}; give a whole number of 0 or more.")


def face_notes(faces: list[Face], asked: int | None) -> list[str]:
    """Say which face of a group is used where nobody chose."""
    return [
        f"{face.count} faces found in photo {k + 1}; using the largest (choose another with face=N, from 0)."
        for k, face in enumerate(faces)
        if face.count > 1 and asked is None
    ]
