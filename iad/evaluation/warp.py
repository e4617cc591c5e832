"""The outsider to beat: the reference picture itself, animated by the mesh that made the training data.

No network generates anything here. The morphable head is fitted to the landmarks that the pipeline's own face
encoder finds in the reference, the prompt is matched with the actions that it names, and the picture is
warped. It has what a model must learn, the exact action, and lacks what a model can add: what is hidden.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from iad.faces import Face
from iad.geometry.fit import fit_head
from iad.geometry.head import Head
from iad.performing.actions import NORMAL, SLIGHT, STRONG, Performed, perform
from iad.portraits import clips
from iad.portraits.photo import PhotoPerson, PhotoRecord
from iad.portraits.phrasings import STRONG_WORDS, known_actions
from iad.text import parse_prompt

SIZE = 256  # the reference is enlarged to this before it is taken for a photo
_SLIGHT = re.compile(r"\b(slight|slightly|a little|a bit)\b")
_STRONG = ("very", "big", "a lot", "strongly")


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
