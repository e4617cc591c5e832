"""Photo + sentence -> clip: `IaDPipeline` loads the parts, splits faces, performs words, and draws.

In: reference photos, a prompt, a timeline or a driver. Out: a `Result` with frames, scores and notes. What
never reaches the denoiser: the reference's action part, and the reference's pixels. The head fitted to the
photo then draws the same track with the photo's own pixels (`iad.geometry.drawing`), as far as `detail_scale`
says.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from iad.config import EXPRESSIONS
from iad.faces import Face
from iad.geometry.animation import AnimatedPhoto
from iad.geometry.coefficients import POSE_LIMITS
from iad.geometry.curves import ease
from iad.geometry.drawing import adapt, draw, enlarge, fit_photo, retime
from iad.geometry.driving import Driven, is_video, read_driver
from iad.geometry.refining import Repair
from iad.geometry.sliders import Live
from iad.media.photos import load_image
from iad.model import Model, retreating
from iad.models.autoencoder import to_tensor
from iad.models.predicting import Conditions, Guidance, denoise
from iad.models.scoring import Scores
from iad.models.splitting import Reference, face_notes
from iad.performing import Performance, perform_segments, track_to_code
from iad.request import DURATION, FPS, Request, check_duration, check_frames
from iad.result import Result
from iad.text import NEUTRAL_PROMPT, Action, parse_prompt, split_prompt

T = TypeVar("T")

CLOSING = 0.5  # seconds in which a loop goes back to its beginning
SAME = 0.5  # likeness by the recogniser below which two photos are taken for two people
ONE_STEP = (
    "{model} predicts a clip in one step; the {steps} steps asked for changed nothing, leave them out."
)
SHRUNK = "The whole photo was shrunk to {width} x {height} pixels: larger frames would take too much memory."
NO_GEOMETRY = (
    "The model {model!r} has no geometry to draw with, so its clip is what its embeddings alone carry."
)
ALONE = "The arm {arm!r} has no drawing of its own, so its clip is what its embeddings alone carry."


@dataclass(frozen=True)
class Prepared:
    """A photo, upright, with its face; what else a clip needs of them is made once, when it is asked for."""

    photo: UInt8[np.ndarray, "_ _ 3"]
    face: Face
    fit: Callable[[str], tuple[AnimatedPhoto | None, list[str]]]
    embed: Callable[[], Float[np.ndarray, " d"]]
    share: Callable[[], tuple[float, ...]]


class IaDPipeline(Model):
    """A model, ready to generate. Build it with `from_pretrained` or `create`."""

    _kept: Mapping[str, dict[int | None, Prepared]] = MappingProxyType({})  # by photo and face

    def keep(self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> None:
        """Remember of these photos, once they were used, all that is the same in each clip of them."""
        self._kept = {_digest(photo): {} for photo in photos}

    @retreating
    def live(self, reference: Reference, *, face: int | None = None) -> Live:
        """Fit one photo, to draw single frames of it at once: for sliders and webcams.

        Raises:
            ValueError: no face, one that cannot be fitted, or a model without geometry.
        """
        fitted, notes = self._prepare(load_image(reference), face).fit("iad")
        if fitted is None:
            raise ValueError(notes[0])
        repair, find = Repair(self.parts["refiner"], fitted), partial(self.find_face, thorough=False)
        return Live(fitted, repair=repair, find=find, follow=self.follow_face)

    def perform(self, prompt: str, *, seconds: float | int = DURATION) -> Performance:
        """Say what the face does at a prompt, in the typical take; nothing is drawn.

        Raises:
            ValueError: a prompt or times that cannot be read.
        """
        return self._perform(prompt, None, None, seconds=seconds, fps=FPS, seed=None)

    @retreating
    @torch.inference_mode()
    def generate(self, request: Request, callback: Callable[[int, int], None] | None = None) -> Result:
        """Generate a clip; `callback` is called with (done, total) as frames and windows of frames are drawn.

        Raises:
            ValueError: bad input, in one sentence that says what to do.
        """
        begun = time.perf_counter()
        self._check(request)
        arm = request.arm
        photos = [load_image(photo) for photo in request.references]
        people = [self._prepare(photo, request.face) for photo in photos]
        faces = [person.face for person in people]
        share = request.detail_scale * min(request.identity_scale, 1)
        fitted, notes = people[0].fit(arm) if share else (None, [])
        fps, size = self._choose_form(request, drawn=fitted is not None)
        seconds = check_duration(request.num_frames / fps if request.num_frames else request.duration)
        driver = None if request.action_reference is None else self._read_driver(request, seconds, fps)
        asked = {"seconds": seconds, "fps": fps, "seed": request.seed}
        moved = self._perform(request.prompt, request.timeline, driver, **asked)
        check_frames(len(moved.track), size)
        if request.loop:
            moved = replace(moved, track=close_loop(moved.track, fps))
        track, guidance = scale_track(moved.track, request.action_scale), self._guidance(request)
        frames, made_of = None, {"photo": 0.0, "denoiser": 1.0, "paint": 0.0}
        if fitted is None or share < 1:
            follow = _follow_half(callback, 0) if callback and fitted is not None else callback
            clip = self._denoise(arm, faces, moved, fps, guidance, callback=follow)
            frames = enlarge(retime(clip, fps=self.preset.fps, count=len(track), at=fps), size)
        if fitted is not None:
            still = driver is not None and not is_video(request.action_reference)
            track = adapt(fitted, track, relative=not still and request.motion == "relative")
            follow = _follow_half(callback, 1) if callback and share < 1 else callback
            options = {"under": frames, "share": share, "refiner": self.parts["refiner"]}
            drawn = draw(fitted, track, size=size, callback=follow, **options)
            frames, made_of = drawn.frames, drawn.made_of
        identities = np.stack([person.embed() for person in people])
        judged = frames, people[0], identities, track if moved.understood else None
        if request.paste_back:
            frames = self._paste(fitted, frames)
            if frames[0].size < photos[0].size:
                notes = [*notes, SHRUNK.format(width=frames.shape[2], height=frames.shape[1])]
        settings = {
            "model": self.preset.name, "arm": arm, "seed": request.seed, "frames": len(frames),
            "size": size, "fps": fps, "prompt": request.prompt, "detail_scale": request.detail_scale,
            "paste_back": request.paste_back, "loop": request.loop,
        }  # fmt: skip
        doubts = [*face_notes(faces, request.face), *compare_people(identities)]
        notes = [*doubts, *notes, *moved.notes, *self.notes, *self._tell_steps(request)]
        elapsed = time.perf_counter() - begun
        return Result(
            frames, fps, request.seed, elapsed, Scores(partial(self._score, *judged)),
            settings | asdict(guidance), notes, made_of,
        )  # fmt: skip

    def _prepare(self, photo: UInt8[np.ndarray, "_ _ 3"], index: int | None) -> Prepared:
        """Find the face of a photo, or recall it with all that was made of it."""
        known = self._kept.get(_digest(photo), {}) if self._kept else {}
        if index not in known:
            looked = self._look(photo, index)
            made = (_once(partial(make, *looked)) for make in (self._fit, self.embed_identity, self._share))
            known.setdefault(index, Prepared(*looked, *made))
        return known[index]

    def _share(self, photo: UInt8[np.ndarray, "_ _ 3"], face: Face) -> tuple[float, ...]:
        return tuple(float(share[0]) for share in self.split_face(photo, face).shares())

    def _look(self, photo: UInt8[np.ndarray, "_ _ 3"], index: int | None) -> tuple[np.ndarray, Face]:
        """Find the face, and turn a photo upright in which it lies on its side or upside down."""
        face = self.find_face(photo, index)
        x, y = face.landmarks[42:48].mean(axis=0) - face.landmarks[36:42].mean(axis=0)
        turns = round(np.degrees(np.arctan2(y, x)) / 90) % 4
        if not turns:
            return photo, face
        photo = np.ascontiguousarray(np.rot90(photo, turns))
        return photo, replace(self.find_face(photo, index), notes=face.notes)

    def _check(self, request: Request) -> None:
        request.check_for(small=True)
        arm = request.arm
        if arm not in self.arms:
            have = ", ".join(self.arms)
            raise ValueError(f"The arm {arm!r} has no weights for {self.preset.name!r}; it has {have}.")
        if request.action_reference is not None and arm != "iad" and not self.baseline(arm).recipe.actions:
            raise ValueError(f"The arm {arm!r} follows words alone; leave out the action reference.")

    def _choose_form(self, request: Request, *, drawn: bool) -> tuple[float, int]:
        """Return rate and size of the clip: what was asked for, else what drawing or denoiser give best."""
        fps, size = (FPS, self.preset.shown_size) if drawn else (self.preset.fps, self.preset.size)
        return request.fps or fps, request.size or size

    def _guidance(self, request: Request) -> Guidance:
        own, words, person = self.preset.sampler, request.guidance_scale, request.identity_guidance_scale
        return Guidance(
            guidance_scale=own.guidance_scale if words is None else words,
            identity_guidance_scale=own.identity_guidance_scale if person is None else person,
            identity_scale=request.identity_scale,
            action_scale=request.action_scale,
        )

    def _tell_steps(self, request: Request) -> list[str]:
        steps = request.num_inference_steps or 1
        return [ONE_STEP.format(model=self.preset.name, steps=steps)] if steps > 1 else []

    def _fit(
        self, photo: np.ndarray, face: Face, arm: str = "iad"
    ) -> tuple[AnimatedPhoto | None, list[str]]:
        """Fit the photo for drawing, where this model and this arm have one; else None, and why."""
        if self.geometry is None:
            return None, [NO_GEOMETRY.format(model=self.preset.name)]
        if arm != "iad":
            return None, [ALONE.format(arm=arm)]
        return fit_photo(self.geometry, photo, face)

    def _read_driver(self, request: Request, seconds: float | None, fps: float) -> Driven:
        find = partial(self.find_face, thorough=False)
        about = {"seconds": seconds, "fps": fps, "relative": request.motion == "relative"}
        return read_driver(request.action_reference, find=find, follow=self.follow_face, **about)

    def _perform(
        self,
        prompt: str,
        timeline: Sequence[Action] | None,
        driver: Driven | None,
        *,
        seconds: float | None,
        fps: float,
        seed: int | None,
    ) -> Performance:
        """Let the driver, or T, say what the face does in every frame."""
        if driver is not None:
            length = len(driver.track) / fps
            words = parse_prompt(prompt, timeline, duration=length) if prompt.strip() or timeline else ()
            return Performance(driver.track, words, (1.0,) * len(words), (), driver.notes)
        if seconds is None:
            times = timeline or split_prompt(prompt)[1]
            seconds = check_duration(max([DURATION, *(action.end for action in times)]))
        segments = parse_prompt(prompt, timeline, duration=seconds)
        frames, performer = max(1, round(seconds * fps)), self.parts["performer"]
        return perform_segments(performer, self.text_encoder, segments, frames=frames, fps=fps, seed=seed)

    def _denoise(
        self, arm: str, faces: list[Face], moved: Performance, fps: float, guidance: Guidance, **options: Any
    ) -> np.ndarray:
        """Draw what the embeddings alone carry: frames of the preset's size and rate."""
        step = self.preset.frames_per_latent / self.preset.fps  # seconds a latent frame
        latent_frames = max(1, int(np.ceil(len(moved.track) / fps / step - 1e-6)))
        # the middle of the video frames that a latent frame stands for
        at = np.minimum((np.arange(latent_frames) * step + 0.25 * step) * fps, len(moved.track) - 1)
        code = torch.from_numpy(track_to_code(moved.track[at.astype(int)]))[None].to(self.device)

        def make_conditions(window: slice) -> Conditions:
            begin, end = window.start * step, window.stop * step
            said = [s.prompt for s in moved.segments if s.start < end and s.end > begin]
            return self._conditions(arm, faces, code[:, window], said)

        return denoise(
            self.parts["transformer"] if arm == "iad" else self.baseline(arm).transformer,
            self.parts["autoencoder"],
            make_conditions,
            preset=self.preset,
            guidance=guidance,
            latent_frames=latent_frames,
            **options,
        )

    def _conditions(self, arm: str, faces: list[Face], code: Tensor, prompts: list[str]) -> Conditions:
        crops = np.stack([f.image for f in faces])
        encode = self.text_encoder.encode
        words = encode([", then ".join(dict.fromkeys(prompts)) or NEUTRAL_PROMPT]).states
        actions, crop = self.expand(code), None
        if arm == "iad":
            identity = self._split_local(faces).identity
        else:
            baseline, pictures = self.baseline(arm), to_tensor(crops).to(self.device)
            features = self.parts["encoder"](pictures)
            identity = baseline.reader.read(features.vector, features.tokens)
            actions = actions if baseline.recipe.actions else None
            crop = self.parts["autoencoder"].encode(pictures[:1]) if baseline.recipe.crop else None
        return Conditions(identity.mean(0, keepdim=True), actions, crop, words, encode([""]).states)

    @retreating
    @torch.inference_mode()
    def _score(
        self, frames: np.ndarray, person: Prepared, identities: np.ndarray, track: Any
    ) -> dict[str, Any]:
        """Judge the finished frames; the shares are of the first photo's embedding."""
        named = zip(("identity_share", "action_share", "residual_share"), person.share(), strict=True)
        return self.create_judge().score(frames, identities, asked=track, own=person.face.track) | dict(named)

    @staticmethod
    def _paste(fitted: AnimatedPhoto | None, frames: np.ndarray) -> np.ndarray:
        if fitted is None:
            raise ValueError("paste_back needs a face that is drawn; leave it out, or set detail_scale to 1.")
        return fitted.paste_back(frames)


def _once(make: Callable[..., T]) -> Callable[..., T]:
    """Remember what is made; who asks for it meanwhile waits, and does not make it, too."""
    lock, kept = threading.Lock(), cache(make)

    def call(*args: Any) -> T:
        with lock:
            return kept(*args)

    return call


def _follow_half(callback: Callable[[int, int], None], half: int) -> Callable[[int, int], None]:
    """Count what is half of the work, the first (0) or the second (1)."""
    return lambda done, total: callback(half * total + done, 2 * total)


def _digest(photo: UInt8[np.ndarray, "_ _ 3"]) -> str:
    return hashlib.sha256(repr(photo.shape).encode() + photo.tobytes()).hexdigest()


def compare_people(identities: Float[np.ndarray, "n d"]) -> list[str]:
    """Doubt that several photos show one person where the recogniser finds them too unlike."""
    unit = identities / np.maximum(np.linalg.norm(identities, axis=1, keepdims=True), 1e-9)
    likeness = unit @ unit[0]
    return [
        f"Photo {k + 1} may show another person than photo 1 (likeness {value:.2f}); leave one of them out."
        for k, value in enumerate(likeness)
        if value < SAME
    ]


def close_loop(track: Float[np.ndarray, "f 60"], fps: float) -> Float[np.ndarray, "f 60"]:
    """Let the last frames go back to the first, which follows them when a clip is played again and again."""
    count = min(round(CLOSING * fps), len(track) // 3)
    share = ease(np.arange(1, count + 1) / (count + 1))[:, None].astype(track.dtype)
    closed = track.copy()
    closed[len(track) - count :] += share * (track[0] - closed[len(track) - count :])
    return closed


def scale_track(track: Float[np.ndarray, "f 60"], scale: float) -> Float[np.ndarray, "f 60"]:
    """Strengthen or weaken what a track does, within what a face can do."""
    weights, pose = scale * track[:, :EXPRESSIONS], scale * track[:, EXPRESSIONS:]
    limits = 1.25 * POSE_LIMITS
    return np.concatenate([weights.clip(0, 1), pose.clip(-limits, limits)], axis=1).astype(np.float32)
