"""Photo + sentence -> clip: `IaDPipeline` loads the parts, splits faces, and generates.

In: reference photos, a prompt, a timeline or driving pictures. Out: a `Result` with frames and scores. What
never reaches the denoiser: the reference's action part, and the reference's pixels.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from iad import checkpoint
from iad.autoencoder import decode_latents, to_tensor, to_uint8
from iad.config import ARMS, Preset, get_preset
from iad.decoupling import Split, frame_times
from iad.encoders import as_landmarker
from iad.faces import Face, crop, detect_faces, find_face
from iad.parts import create_parts, load_parts, split_parts
from iad.photos import load_image
from iad.portraits.wording import known_actions
from iad.text import NEUTRAL_PROMPT, Action, create_text_encoder, load_text_encoder, parse_prompt
from iad.transformer import AdapterStates, create_scheduler
from iad.video import VIDEO_SUFFIXES, read_video, save

CALM_NOTE = "The prompt names no known facial action, so the portrait stays calm; try 'smiles' or 'nods'."

Reference = str | Path | Any  # path, PIL image or uint8 array


@dataclass(frozen=True)
class DecoupledFace:
    """A face split into identity and action, relative to the average face; `facial == identity + action`."""

    facial: Float[np.ndarray, " d"]
    identity: Float[np.ndarray, " d"]
    action: Float[np.ndarray, " d"]
    identity_share: float
    action_share: float
    box: tuple[int, int, int, int]  # left, top, right, bottom in the photo
    crop: UInt8[np.ndarray, "h w 3"]
    count: int  # faces in the photo


@dataclass(frozen=True)
class Result:
    """A clip and what is known of it."""

    frames: UInt8[np.ndarray, "f h w 3"]
    fps: int
    seed: int
    seconds: float
    scores: dict[str, Any]  # identity (f,), action, detected
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def save(self, path: str | Path, *, scale: int = 1) -> Path:
        """Write .mp4, .gif, or a contact sheet .png; the file says that it is AI-generated."""
        return save(path, self.frames, self.fps, metadata=self.settings, scale=scale)


class IaDPipeline:
    """All parts of one model size, ready to generate. Build it with `from_pretrained` or `create`."""

    def __init__(self, preset: Preset, parts: nn.ModuleDict, text_encoder):
        self.preset, self.parts, self.text_encoder = preset, parts.eval().requires_grad_(False), text_encoder
        self.scheduler = create_scheduler(preset)

    @classmethod
    def create(cls, preset: Preset | str, *, seed: int = 0) -> "IaDPipeline":
        """Build a pipeline with random weights, the same for the same seed."""
        preset = get_preset(preset) if isinstance(preset, str) else preset
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(preset, create_parts(preset), _text_encoder(preset))

    @classmethod
    def from_pretrained(cls, name: str | Path, *, adapter: str | Path | None = None) -> "IaDPipeline":
        """Load a preset by name ("mini"), or a folder written by `save_pretrained`.

        Args:
            name: a preset or a folder.
            adapter: a folder whose adapters and split replace those of the model.

        Raises:
            ValueError: unknown name, no weights, or weights that were altered.
        """
        if str(name) == "tiny":
            return cls.create("tiny")
        shipped = checkpoint.WEIGHTS / str(name)
        folder = shipped if shipped.is_dir() else Path(name)
        if not folder.is_dir():
            get_preset(str(name))  # says which names there are
            raise ValueError(f"No weights of {name!r} are installed; train them, or give their folder.")
        preset = checkpoint.load_preset(folder)
        parts = create_parts(preset)
        load_parts(parts, folder)
        if adapter:
            load_parts(parts, Path(adapter), only=("decoupling", "adapters-iad"))
        return cls(preset, parts, _text_encoder(preset))

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> None:
        """Write all weights and the preset; `from_pretrained` reads them back bit for bit (unless `half`)."""
        folder = Path(folder)
        checkpoint.save_preset(folder, self.preset)
        for name, state in split_parts(self.parts).items():
            checkpoint.save_part(folder, name, state, half=half)

    @torch.inference_mode()
    def __call__(
        self,
        reference: Reference | Sequence[Reference],
        prompt: str = "",
        *,
        timeline: Sequence[Action] | None = None,
        action_reference: Reference | None = None,
        arm: str = "iad",
        face: int | None = None,
        identity_scale: float = 1.0,
        action_scale: float = 1.0,
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        num_frames: int | None = None,
        seed: int = 0,
        callback: Callable[[int, int], None] | None = None,
    ) -> Result:
        """Generate a clip of the reference's person doing what the prompt says.

        Args:
            reference: path, PIL image or uint8 array; or several photos of one person.
            prompt: what the person does, in words.
            timeline: actions with times; also read from the prompt, "[0-1s] smiles [1-2s] nods".
            action_reference: image or video that drives the action instead of the prompt.
            arm: whose adapters to use, one of `iad.config.ARMS`.
            face: which face of the reference, 0 the largest.
            identity_scale: weight of the identity; 0 leaves it out.
            action_scale: weight of the action; 0 leaves it out.
            guidance_scale: how far conditions outweigh chance; 1 is no guidance, None the preset's.
            num_inference_steps: denoising steps; None the preset's.
            num_frames: video frames, at most the preset's and a multiple of `frames_per_latent`.
            seed: same seed, same frames.
            callback: called with (step, total) after every step.

        Raises:
            ValueError: bad input, in one sentence that says what to do.
        """
        begun = time.perf_counter()
        settings = self._settings(arm, guidance_scale, num_inference_steps, num_frames, seed)
        segments = parse_prompt(prompt, timeline, duration=settings["frames"] / self.preset.fps)
        known = tuple(s if known_actions(s.prompt) else replace(s, prompt=NEUTRAL_PROMPT) for s in segments)
        references = list(reference) if isinstance(reference, (list, tuple)) else [reference]
        faces = [self.find_face(photo, face) for photo in references]
        notes = _face_notes(faces, face)
        identity = self._split(np.stack([f.image for f in faces])).identity.mean(0, keepdim=True)
        latent_frames = settings["frames"] // self.preset.frames_per_latent
        if action_reference is None:
            code = self.text_codes(known, latent_frames)
            notes += [CALM_NOTE] * (not any(known_actions(s.prompt) for s in segments))
        else:
            code = self._driving_codes(action_reference, latent_frames)
        states = self._text_states(segments)
        settings |= {"prompt": prompt, "identity_scale": identity_scale, "action_scale": action_scale}
        adapter = self._adapt(identity, code, settings)
        latents = self._sample(adapter, states, settings, callback)
        decoded = decode_latents(self.parts["autoencoder"], latents, self.preset.frames_per_latent)
        frames = to_uint8(decoded[0])
        scores = self._score(frames, faces, code)
        seconds = time.perf_counter() - begun
        return Result(frames, self.preset.fps, seed, seconds, scores, settings, notes)

    def find_face(self, photo: Reference, index: int | None = None) -> Face:
        """Detect and align one face of a photo."""
        return find_face(load_image(photo), as_landmarker(self.parts["encoder"]), index=index)

    @torch.inference_mode()
    def decouple(self, photo: Reference, *, face: int | None = None) -> DecoupledFace:
        """Split the facial embedding of one face into identity and action."""
        found = self.find_face(photo, face)
        split = self._split(found.image[None])
        decoupler = self.parts["decoupler"]
        identity, action = split.identity - decoupler.mean_identity, split.action - decoupler.mean_action
        centred = Split(identity + action, identity, action, split.code)
        shares = [float(share[0]) for share in centred.shares()]
        vectors = [getattr(centred, key)[0].flatten().numpy() for key in ("facial", "identity", "action")]
        return DecoupledFace(*vectors, *shares, found.box, found.image, found.count)

    @torch.inference_mode()
    def match_actions(self, face: DecoupledFace, prompts: Sequence[str]) -> list[tuple[str, float]]:
        """Rank prompts by how well they say what the face does; cosine of action embeddings, best first."""
        action = torch.from_numpy(face.action)
        found = []
        for prompt in prompts:
            segments = parse_prompt(prompt, None, duration=self.preset.duration)
            codes = self.text_codes(segments, self.preset.latent_frames)
            told = (self.parts["decoupler"].expand(codes)[0] - self.parts["decoupler"].mean_action).flatten(1)
            found.append((prompt, float(cosine_similarity(told, action[None]).max())))
        return sorted(found, key=lambda pair: -pair[1])

    def text_codes(self, segments: Sequence[Action], latent_frames: int) -> Float[Tensor, "1 f c"]:
        """Let T say what is done in every latent frame."""
        encoded = self.text_encoder.encode([s.prompt for s in segments])
        duration = latent_frames * self.preset.frames_per_latent / self.preset.fps
        spans = [(s.start, s.end) for s in segments]
        places, times = frame_times(spans, frames=latent_frames, duration=duration)
        return self.parts["text_action"](encoded.states[None], encoded.mask[None], places[None], times[None])

    def _settings(self, arm, guidance_scale, steps, frames, seed) -> dict[str, Any]:
        sampler, stack = self.preset.sampler, self.preset.frames_per_latent
        if arm not in ARMS:
            raise ValueError(f"Unknown arm {arm!r}; choose one of {', '.join(ARMS)}.")
        if arm != "iad":
            raise ValueError(f"The arm {arm!r} has no weights for {self.preset.name!r} yet; use arm 'iad'.")
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(f"The seed is {seed!r}; give a whole number of 0 or more.")
        if steps is not None and not 1 <= steps <= sampler.timesteps:
            raise ValueError(f"num_inference_steps is {steps}; give 1 to {sampler.timesteps}.")
        if frames is not None and (frames < stack or frames % stack or frames > self.preset.frames):
            near = max(stack, min(self.preset.frames, round(frames / stack) * stack))
            most = self.preset.frames
            raise ValueError(f"num_frames is {frames}; {self.preset.name!r} makes up to {most}, try {near}.")
        return {
            "model": self.preset.name,
            "arm": arm,
            "seed": seed,
            "steps": steps or sampler.steps,
            "guidance_scale": sampler.guidance_scale if guidance_scale is None else guidance_scale,
            "frames": frames or self.preset.frames,
        }

    def _split(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Split:
        features = self.parts["encoder"](to_tensor(crops))
        return self.parts["decoupler"](features.vector, features.tokens)

    def _text_states(self, segments: Sequence[Action]) -> Float[Tensor, "1 n e"]:
        prompts = list(dict.fromkeys(s.prompt for s in segments))
        return self.text_encoder.encode([", then ".join(prompts)]).states

    def _driving_codes(self, source: Reference, latent_frames: int) -> Float[Tensor, "1 f c"]:
        if isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES:
            video, _ = read_video(source, self.preset.frames, fps=self.preset.fps)
            place = find_face(video[0], as_landmarker(self.parts["encoder"])).affine
            picks = np.linspace(0, len(video) - 1, latent_frames).round().astype(int)
            # one framing for all, so that head motion stays
            crops = np.stack([crop(video[k], place, self.preset.size) for k in picks])
            return self._split(crops).code[None]
        return repeat(self._split(self.find_face(source).image[None]).code, "1 c -> 1 f c", f=latent_frames)

    def _adapt(self, identity, code, settings: dict[str, Any]) -> AdapterStates:
        # row 0 hears the words; row 1, which guidance needs, is the same person left to themselves
        rows = 2 if settings["guidance_scale"] != 1 else 1
        action_scale = torch.full((rows,), float(settings["action_scale"]))
        action_scale[1:] = 0
        return self.parts["transformer"].adapt(
            identity.expand(rows, -1, -1),
            self.parts["decoupler"].expand(code).expand(rows, -1, -1, -1),
            identity_scale=float(settings["identity_scale"]),
            action_scale=action_scale,
        )

    def _sample(self, adapter, states, settings: dict[str, Any], callback) -> Float[Tensor, "1 t c y x"]:
        preset, guidance = self.preset, settings["guidance_scale"]
        generator = torch.Generator().manual_seed(settings["seed"])
        shape = (1, adapter.frames, preset.latent_channels, preset.latent_size, preset.latent_size)
        latents = torch.randn(shape, generator=generator)
        if guidance != 1:
            states = torch.cat([states, self.text_encoder.encode([""]).states])
        self.scheduler.set_timesteps(settings["steps"])
        for k, t in enumerate(self.scheduler.timesteps):
            rows = latents.expand(len(states), -1, -1, -1, -1)
            velocity = self.parts["transformer"](
                rows, states, t.expand(len(states)), attention_kwargs={"adapter": adapter}
            ).sample
            told, free = velocity[:1], velocity[-1:]  # the same without guidance
            latents = self.scheduler.step(free + guidance * (told - free), t, latents).prev_sample
            if callback:
                callback(k + 1, settings["steps"])
        return latents

    def _score(self, frames: UInt8[np.ndarray, "f h w 3"], faces: list[Face], code: Tensor) -> dict[str, Any]:
        """Judge a clip by the conditioning encoder itself; `iad.evaluation` has independent judges."""
        crops = np.concatenate([frames, *(f.image[None] for f in faces)])
        features = self.parts["encoder"](to_tensor(crops))
        n = len(frames)
        reference = features.embedding[n:].mean(0, keepdim=True)
        decoupler = self.parts["decoupler"]
        shown = decoupler(features.vector[:n], features.tokens[:n]).action - decoupler.mean_action
        wanted = decoupler.expand(code[0]) - decoupler.mean_action
        wanted = repeat(wanted, "t q d -> (t s) q d", s=self.preset.frames_per_latent)
        return {
            "identity": cosine_similarity(features.embedding[:n], reference).numpy(),
            "action": float(cosine_similarity(shown.flatten(1), wanted.flatten(1)).mean()),
            "detected": float(np.mean([_shows_face(frame) for frame in frames[:: max(1, n // 4)]])),
        }


def _shows_face(frame: UInt8[np.ndarray, "h w 3"]) -> bool:
    try:
        return bool(detect_faces(frame))
    except ValueError:
        return False


def _face_notes(faces: list[Face], asked: int | None) -> list[str]:
    return [
        f"{face.count} faces found in photo {k + 1}; using the largest (choose another with face=N, from 0)."
        for k, face in enumerate(faces)
        if face.count > 1 and asked is None
    ]


def _text_encoder(preset: Preset):
    create = create_text_encoder if preset.text.name == "hashed" else load_text_encoder
    return create(preset.text)
