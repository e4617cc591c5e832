"""What every size of model does with faces and words: find, split, match, tell; `Splitting` is its base."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from iad.config import TRACK, FullSizePreset, Preset
from iad.decoupling import Split
from iad.faces import CROP_SIZE, Face, Landmarker, crop, find_face, mesh, track_face
from iad.faces.recogniser import DIM, load_recogniser
from iad.media.photos import brighten, load_image
from iad.media.video import VIDEO_SUFFIXES, read_video
from iad.models.autoencoder import to_tensor
from iad.models.closed_form import Recognised, join
from iad.models.reading import FaceReader, as_landmarker, load_mini_reader, read_face
from iad.models.scoring import Judge, find_height, match
from iad.models.seeing import score_motion
from iad.performing import frame_times, perform_prompt, track_to_code
from iad.request import Request, spell_out
from iad.result import DecoupledFace, Result
from iad.text import NEUTRAL_PROMPT, Action, TextEncoder, parse_prompt

Reference = str | Path | Any  # path, PIL image or uint8 array


class Splitting(ABC):
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
        self._told: tuple[tuple[str, ...], list[Tensor]] = ((), [])  # the last prompts, at their height
        self._calm_code: Tensor | None = None

    @spell_out
    def __call__(
        self,
        reference: Reference | Sequence[Reference],
        prompt: str = "",
        *,
        callback: Callable[[int, int], None] | None = None,
        **settings: Any,
    ) -> Result:
        """Generate a clip of the reference's person doing what the prompt says.

        Args:
            reference: path, PIL image or uint8 array; or several photos of one person.
            prompt: what the person does, in words; with an action reference it may be empty.
            callback: called with (done, total) as the denoiser's steps or the frames are drawn.
            settings: see `iad.request.Request`.

        Raises:
            ValueError: bad input, in one sentence that says what to do.
        """
        return self.generate(Request(reference, prompt, **settings), callback)

    @abstractmethod
    def generate(self, request: Request, callback: Callable[[int, int], None] | None = None) -> Result:
        """Generate what is asked for; `callback` as of a call.

        Raises:
            ValueError: bad input, in one sentence that says what to do.
        """

    @property
    def reader(self) -> FaceReader:
        """What reads faces: landmarks, track, what is covered."""
        return self.parts["reader"] if "reader" in self.parts else load_mini_reader()

    @property
    def landmarker(self) -> Landmarker:
        """What finds the landmarks of a crop."""
        return as_landmarker(self.reader)

    def find_face(self, photo: Reference, index: int | None = None, *, thorough: bool = True) -> Face:
        """Detect, align and read one face of a photo.

        Args:
            photo: path, PIL image or uint8 array.
            index: which face, 0 the largest.
            thorough: look again, more slowly, where the first look finds nothing.

        Raises:
            ValueError: no face, or fewer than `index` asks for.
        """
        photo = load_image(photo)
        face = find_face(photo, self.landmarker, index=index, thorough=thorough)
        return self._read(photo, face)

    def follow_face(
        self, photo: UInt8[np.ndarray, "_ _ 3"], landmarks: Float[np.ndarray, "68 2"]
    ) -> Face | None:
        """Read a video's face near where the frame before had these landmarks; None where it is lost."""
        face = track_face(photo, landmarks, self.landmarker)
        return None if face is None else self._read(photo, face)

    def _read(self, photo: UInt8[np.ndarray, "_ _ 3"], face: Face) -> Face:
        face = read_face(self.reader, photo, face)
        if self.preset.size == CROP_SIZE:
            return face
        return replace(face, image=crop(brighten(photo, face.gain), face.affine, self.preset.size))

    @torch.inference_mode()
    def decouple(self, photo: Reference, *, face: int | None = None) -> DecoupledFace:
        """Split the facial embedding of one face into identity, action and residual."""
        photo = load_image(photo)
        found = self.find_face(photo, face)
        split = self.split_face(photo, found)
        shares = [float(share[0]) for share in split.shares()]
        parts = (split.facial, split.identity, split.action, split.residual, split.code)
        vectors = [part[0].flatten().float().cpu().numpy() for part in parts]
        own = None if self.recognised is None else vectors[1][-DIM:]  # its token is the last
        return DecoupledFace(*vectors, *shares, found.box, found.image, found.count, own)

    def split_face(self, photo: UInt8[np.ndarray, "_ _ 3"], face: Face) -> Split:
        """Split one face of a photo, about the average face: local tokens, then the recogniser's.

        The denoiser is given the local identity tokens alone: its adapters never saw another.

        Args:
            photo: the whole photo; the recogniser sees it sharper than the crop.
            face: of this photo, read.
        """
        local = self.centre(self._split_local([face]))
        if self.recognised is None:
            return local
        return join(local, self.recognised.split(self._recognise(photo, face), self._codes([face])))

    def _split_local(self, faces: Sequence[Face]) -> Split:
        """Split the local tokens of faces, by what was read of them where a model has codes of that."""
        crops = to_tensor(np.stack([face.image for face in faces])).to(self.device)
        features = self.parts["encoder"](crops)
        code = None if self.recognised is None else self.recognised.to_code(self._codes(faces))
        return self.parts["decoupler"](features.vector, features.tokens, code)

    def _codes(self, faces: Sequence[Face]) -> Float[Tensor, "b 60"]:
        tracks = torch.from_numpy(np.stack([face.track for face in faces]))
        return track_to_code(tracks).to(self.device)

    def _recognise(self, photo: UInt8[np.ndarray, "_ _ 3"], face: Face) -> Float[Tensor, "1 g"]:
        row = load_recogniser("dlib").embed([photo], [face.landmarks])  # whose embedding was fitted
        return torch.from_numpy(row).to(self.device)

    @torch.inference_mode()
    def embed_identity(self, photo: UInt8[np.ndarray, "_ _ 3"], face: Face) -> Float[np.ndarray, " d"]:
        """Return the identity by which persons are compared: the recogniser's token, where there is one."""
        if self.recognised is None:
            return self.split_face(photo, face).identity[0].flatten().float().cpu().numpy()
        split = self.recognised.split(self._recognise(photo, face), self._codes([face]))
        return split.identity[0, 0].float().cpu().numpy()

    def match_tracks(self, track: Float[np.ndarray, "k 60"], asked: Float[np.ndarray, "k 60"]) -> float:
        """Tell how well the frames of a track do what those of another ask, 1 at best."""
        shown, wanted = (torch.from_numpy(track_to_code(x)).flatten() for x in (track, asked))
        weight = self.recognised.weight.cpu().repeat(len(track)) / len(track)
        return match(shown, wanted[None], weight)

    def create_judge(self) -> Judge:
        """Return what scores clips: the model's own reader, and an outside judge where one is installed."""
        see = None if mesh.missing() else partial(score_motion, mesh.load_judge())
        return Judge(look=self._glimpse, embed=self.embed_identity, match=self.match_tracks, see=see)

    def _glimpse(self, frame: UInt8[np.ndarray, "s s 3"]) -> Face | None:
        try:
            return self.find_face(frame, thorough=False)
        except ValueError:
            return None

    @torch.inference_mode()
    def match_actions(self, face: DecoupledFace, prompts: Sequence[str]) -> list[tuple[str, float]]:
        """Rank prompts by how well they say what the face does, best first; 1 is exactly that."""
        code, told = torch.from_numpy(face.code), self._told
        if told[0] != tuple(prompts):  # the same prompts are often asked of several faces in a row
            self._told = told = tuple(prompts), [self._height(prompt) for prompt in prompts]
        weight, calm = self._code_weight(), self._calm()
        found = [(prompt, match(code - calm, x, weight)) for prompt, x in zip(*told, strict=True)]
        return sorted(found, key=lambda pair: -pair[1])

    @property
    def recognised(self) -> Recognised | None:
        """The split of the recogniser's token, where this model has one: then faces are read to tracks."""
        return dict(self.parts.items()).get("recogniser")

    def expand(self, codes: Float[Tensor, "*b c"]) -> Float[Tensor, "*b q d"]:
        """Turn action codes, or tracks in units, into action tokens."""
        if codes.shape[-1] == TRACK:
            if self.recognised is None:
                raise ValueError("These weights hold no 'recogniser' part, which says tracks as codes.")
            codes = self.recognised.to_code(codes)
        return self.parts["decoupler"].expand(codes)

    def text_codes(self, segments: Sequence[Action], latent_frames: int) -> Float[Tensor, "1 f c"]:
        """Let T say what is done in every latent frame."""
        encoded = self.text_encoder.encode([s.prompt for s in segments])
        spans = [(s.start, s.end) for s in segments]
        duration = self.preset.seconds(latent_frames)
        places, times = frame_times(spans, frames=latent_frames, duration=duration)
        places, times = places.to(encoded.states.device), times.to(encoded.states.device)
        return self.parts["text_action"](encoded.states[None], encoded.mask[None], places[None], times[None])

    def _say(self, prompt: str) -> Float[Tensor, "f c"]:
        """Let T say what a prompt looks like over time: as tracks where faces are read to tracks."""
        if "performer" in self.parts:
            performed = perform_prompt(self.parts["performer"], self.text_encoder, prompt, seed=None)
            return torch.from_numpy(track_to_code(performed.track))
        segments = parse_prompt(prompt, None, duration=self.preset.duration)
        return self.text_codes(segments, self.preset.latent_frames)[0].float().cpu()

    def _height(self, prompt: str) -> Float[Tensor, "k c"]:
        return find_height(self._say(prompt) - self._calm(), self._code_weight())

    def _code_weight(self) -> Float[Tensor, " c"]:
        if self.recognised is not None:
            return self.recognised.weight.cpu()
        size = self.preset.decoupler.code_dim
        return torch.full((size,), 1 / size)

    def _calm(self) -> Float[Tensor, " c"]:
        """Return the code of a calm face: of a track all zeros, else what T says of one."""
        if self.recognised is not None:
            return torch.zeros(TRACK)
        if self._calm_code is None:
            self._calm_code = self._say(NEUTRAL_PROMPT).mean(0)
        return self._calm_code

    def _split(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Split:
        """Split aligned crops by the decoupler's own code."""
        features = self.parts["encoder"](to_tensor(crops).to(self.device))
        return self.parts["decoupler"](features.vector, features.tokens)

    def centre(self, split: Split) -> Split:
        """See a split of local tokens relative to the average face."""
        return self.parts["decoupler"].centre(split)

    def _driving_codes(self, source: Reference, latent_frames: int) -> Float[Tensor, "1 f c"]:
        if isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES:
            video, _ = read_video(source, self.preset.frames, fps=self.preset.fps)
            place = find_face(video[0], self.landmarker).affine
            picks = np.linspace(0, len(video) - 1, latent_frames).round().astype(int)
            # one framing for all, so that head motion stays
            crops = np.stack([crop(video[k], place, self.preset.size) for k in picks])
            return self._split(crops).code[None]
        return repeat(self._split(self.find_face(source).image[None]).code, "1 c -> 1 f c", f=latent_frames)


def face_notes(faces: list[Face], asked: int | None) -> list[str]:
    """List the doubts about the faces that were found, and which of a group is used where nobody chose."""
    notes = []
    for k, face in enumerate(faces):
        if face.count > 1 and asked is None:
            chosen = "using the largest (choose another with face=N, from 0)"
            notes.append(f"{face.count} faces found in photo {k + 1}; {chosen}.")
        notes += [note if len(faces) == 1 else f"Photo {k + 1}: {note}" for note in face.notes]
    return notes
