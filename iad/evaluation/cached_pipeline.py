"""The pipeline as evaluation uses it, and the outsider to beat.

What does not change between thousands of clips is done once by a `CachedPipeline`. The outsider is the
reference picture itself, animated by the mesh that made the training data: no network generates anything.
The morphable head is fitted to the landmarks that the pipeline's own face encoder finds in the reference, the
prompt is matched with the actions that it names, and the picture is warped. It has what a model must learn,
the exact action, and lacks what a model can add: what is hidden.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import nn

from iad.config import TRACK, Preset
from iad.faces import CROP_SIZE, Face, alignment, crop
from iad.geometry.animation import AnimatedPhoto
from iad.geometry.drawing import enlarge
from iad.geometry.fit import fit_head
from iad.geometry.head import Head
from iad.models.reading import read_face
from iad.performing.actions import NORMAL, SLIGHT, STRONG, Performed, perform
from iad.pipeline import IaDPipeline
from iad.portraits import clips
from iad.portraits.photo import PhotoPerson, PhotoRecord
from iad.portraits.phrasings import STRONG_WORDS, known_actions
from iad.text import TextEncoder, TextStates, parse_prompt

DRAWN_SIZE = 256  # pixels of a drawn frame before it is cut: twice what judges look at
FITTED = 4  # photos whose fit is kept
SIZE = 256  # the reference is enlarged to this before it is taken for a photo
_SLIGHT = re.compile(r"\b(slight|slightly|a little|a bit)\b")
_STRONG = ("very", "big", "a lot", "strongly")


class CachedText(TextEncoder):
    """A text encoder that reads the same words once."""

    def __init__(self, encoder: TextEncoder):
        self.encoder, self.tokens, self.dim = encoder, encoder.tokens, encoder.dim
        self._read = lru_cache(maxsize=128)(self._encode)

    def encode(self, texts: list[str], *, tokens: int | None = None) -> TextStates:
        """Encode, or remember."""
        return self._read(tuple(texts), tokens)

    def to(self, device: Any) -> "CachedText":
        """Move to a device; what was read before is forgotten."""
        return type(self)(self.encoder.to(device))

    def _encode(self, texts: tuple[str, ...], tokens: int | None) -> TextStates:
        return self.encoder.encode(list(texts), tokens=tokens)


class CachedPipeline(IaDPipeline):
    """A pipeline that looks for the face of a reference once, however many clips are made of it.

    Scores of the pipeline's own encoder are left out: others judge here.
    """

    framed = False  # references are taken for aligned faces as they are

    def __init__(self, preset: Preset, parts: nn.ModuleDict, text_encoder: Any, **options: Any):
        super().__init__(preset, parts, CachedText(text_encoder), **options)
        self._known: dict[str, dict[bytes, Any]] = {}

    def _remember(self, what: str, photo: np.ndarray, make: Callable[[], Any], most: int = 0) -> Any:
        """Make something of a photo once, refusals too; of the latest photos, where `most` limits them."""
        key, known = photo.tobytes(), self._known.setdefault(what, {})
        if key not in known:
            if most and len(known) >= most:
                known.pop(next(iter(known)))
            try:
                known[key] = make()
            except ValueError as error:
                known[key] = error
        if isinstance(known[key], ValueError):
            raise known[key]
        return known[key]

    def find_face(
        self, photo: UInt8[np.ndarray, "h w 3"], index: int | None = None, *, thorough: bool = True
    ) -> Face:
        """Find the face, or remember it."""
        find = partial(super().find_face, index=index, thorough=thorough)
        return self._remember("face", photo, partial(self._as_framed if self.framed else find, photo))

    def embed_identity(self, photo: UInt8[np.ndarray, "h w 3"], face: Face) -> Float[np.ndarray, " d"]:
        """Embed who it is, or remember it."""
        return self._remember("identity", photo, partial(super().embed_identity, photo, face))

    def _as_framed(self, photo: UInt8[np.ndarray, "h w 3"]) -> Face:
        size = len(photo)
        landmarks = (self.landmarker(photo) * size).astype(np.float32)
        face = Face(photo, (0, 0, size, size), landmarks, np.eye(2, 3) / size, 1, 0)
        read = read_face(self.reader, photo, face)
        return replace(read, image=photo, affine=face.affine)

    def _fit(
        self, photo: UInt8[np.ndarray, "h w 3"], face: Face, arm: str = "iad"
    ) -> tuple[AnimatedPhoto | None, list[str]]:
        """Fit the photo, or remember its fit."""
        return self._remember(f"fit of {arm}", photo, partial(super()._fit, photo, face, arm), FITTED)

    def draw_framed(
        self, photo: UInt8[np.ndarray, "h w 3"], prompt: str, **options: Any
    ) -> UInt8[np.ndarray, "f s s 3"]:
        """Make a clip as a visitor sees it, but at the judges' rate and cut to the framing that they know.

        T is asked at the denoiser's frames a second: the same moments of what is drawn at 24. A photo that
        cannot be fitted gives the denoiser's own frames, as it does a visitor.
        """
        clip = self(photo, prompt, fps=self.preset.fps, size=DRAWN_SIZE, **options)
        fitted = self._fit(photo, self.find_face(photo))[0] if options.get("detail_scale", 1) else None
        if fitted is None:
            return enlarge(clip.frames, CROP_SIZE)
        return cut_framed(clip.frames, fitted)

    def _score(self, *_: Any) -> dict[str, Any]:
        return {}


def cut_framed(
    frames: UInt8[np.ndarray, "f h w 3"], fitted: AnimatedPhoto
) -> UInt8[np.ndarray, "f 128 128 3"]:
    """Cut the FFHQ square of the neutral frontal face out of drawn frames: one square for a whole clip.

    The judges' own clips are framed so, and the head moves in the frame. A drawn clip's framing is moved and
    shrunk to lie in the photo.
    """
    neutral = fitted.landmarks(np.zeros((1, TRACK), np.float32))[0]
    affine = alignment(neutral * frames.shape[1] - 0.5)
    return np.stack([crop(frame, affine, CROP_SIZE) for frame in frames])


@dataclass(frozen=True)
class Picture(PhotoRecord):
    """A record whose photo is in memory, not on disk."""

    photo: UInt8[np.ndarray, "h w 3"]

    def load_photo(self) -> UInt8[np.ndarray, "h w 3"]:
        """Return the picture."""
        return self.photo


def fit_reference(head: Head, face: Face) -> PhotoPerson:
    """Fit the head to a found face, and make its aligned crop a person.

    Raises:
        ValueError: the landmarks are not those of a face.
    """
    photo = cv2.resize(face.image, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    landmarks = (face.landmarks @ face.affine[:, :2].T + face.affine[:, 2]) * SIZE
    fit = fit_head(head, landmarks)
    record = Picture(0, Path("reference"), landmarks.astype(np.float32), fit, photo)
    return PhotoPerson(head, record)


def read_segments(prompt: str) -> list[Performed]:
    """Match a prompt with named actions; where it names none, the face stays calm."""
    segments = []
    for said in parse_prompt(prompt, None, duration=clips.SECONDS):
        names = known_actions(said.prompt)[:2] or ("neutral",)
        segments.append(Performed(names, said.start, said.end, _degree(said.prompt, names[0])))
    return segments


def _degree(prompt: str, action: str) -> float:
    if _SLIGHT.search(prompt):
        return SLIGHT
    strong = "|".join((*_STRONG, *STRONG_WORDS.get(action, ())))
    return STRONG if re.search(rf"\b(?:{strong})\b", prompt) else NORMAL


def animate(person: PhotoPerson, prompt: str, *, seed: int) -> UInt8[np.ndarray, "f h w 3"]:
    """Let the fitted reference do what the prompt names."""
    track = perform(read_segments(prompt), rng=np.random.default_rng(seed), frames=clips.FRAMES)
    return person.render(track)
