"""What the Portrait tab's events call: looking for faces, generating, offering the files."""

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8

from iad.demo.clip_files import is_stamp, name_file, save_clip, thin_out
from iad.demo.clip_form import choose_length, choose_size, shrink
from iad.demo.examples import Example, digest, load_examples
from iad.demo.faceview import OTHER_PHOTO, describe_problem, outline_faces, show_photo, to_data_uri
from iad.demo.full_size import FullSize
from iad.demo.model_choice import count_frames
from iad.demo.runs import Follower, Runs
from iad.demo.uploads import CONSENT_NEEDED, Click, check_driver, open_photo
from iad.demo.wording import (
    ASK_FOR_CONSENT,
    ASK_WORDS,
    MISSING,
    describe_prepared,
    describe_scores,
    describe_sheet,
)
from iad.faces import Box, detect_faces
from iad.media.photos import load_image
from iad.media.safety import check_prompt
from iad.media.video import make_contact_sheet
from iad.request import DURATION, Request
from iad.result import SHEET, Result

WHOLE_SIDE = 960  # pixels of a whole photo with a moving face: a clip of it takes much memory
ACTION_SOURCES = (("the words above", "words"), ("a picture", "picture"), ("a video", "video"))
UNSHOWN = (".heic", ".heif")  # photos that few browsers show
MOST_PHOTOS = 5  # of one person
MOST_FACES = 1000  # of a photo
DRAWN = 0.8  # of the bar; the rest is writing the file
SHEET_SIDE = 1040  # pixels, of the contact sheet on the page


class Studio:
    """Makes clips for visitors; keeps nothing of theirs.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline`.
        full_size: the full-size model beside it, if there is one.
    """

    def __init__(self, pipeline: Any, full_size: FullSize | None = None):
        self.pipeline, self.full_size = pipeline, full_size
        self.runs = Runs()
        self.photo, self.face = None, None  # the tab's components, which Play takes over
        self.examples = load_examples()
        faces = {example.digest: example for example in reversed(self.examples)}
        self.known, self.faces = set(faces), list(reversed(faces.values()))
        self._boxes: dict[str, list[Box]] = {}  # of the examples' faces

    def first_prepared(self) -> Example | None:
        """Return the example whose prepared clip greets the visitor."""
        return next((example for example in self.examples if example.clip), None)

    def choose_picture(self, event: Click) -> np.ndarray:
        """Return the picture of a face of `faces`, each of which is another example's."""
        return event.choose(self.faces).picture

    def describe_prepared(self, example: Example | None) -> str:
        """Say what the prepared clip of an example shows."""
        return describe_prepared(example) if example and example.clip else ""

    def choose_example(self, event: Click) -> Iterator[tuple[str, str, str | None, str]]:
        """Fill in the picture and the prompt of a card, and show the clip that was prepared for it."""
        example = event.choose(self.examples)
        for picture, clip, words in self.show_example(example, example.prompt):
            yield picture, example.prompt, clip, words

    def show_example(self, example: Example, prompt: str) -> Iterator[tuple[str, str | None, str]]:
        """Show an example's picture, and its clip if that shows what the prompt says."""
        prepared = example.clip is not None and prompt.strip() == example.prompt
        with tempfile.TemporaryDirectory() as folder:  # gradio serves no file of the package
            clip = shutil.copy(example.clip, folder) if prepared else None
            photo = Path(folder) / "photo.png"
            photo.write_bytes(example.png)
            yield str(photo), clip, self.describe_prepared(example) if prepared else ""

    def look_for_faces(self, photo: str | None, consent: bool) -> tuple[str, Any, int]:
        """Outline the faces of a photo; an upload without consent is not looked at."""
        return self._outline(photo, consent, 0)

    def look_once_agreed(self, photo: str | None, consent: bool) -> tuple[Any, Any, Any]:
        """Outline the faces of an upload that waited for consent; an example stays as it is."""
        with contextlib.suppress(ValueError, OSError):  # what cannot be opened is told below
            if photo is None or digest(load_image(photo)) in self.known:
                return (gr.skip(),) * 3
        return self.look_for_faces(photo, consent)

    def choose_face(self, photo: str | None, consent: bool, event: Click) -> tuple[str, Any, int]:
        """Outline another face as the one to use, or make room for another photo."""
        if event.read("index", int) == OTHER_PHOTO:
            return "", gr.update(value=None, visible=True), 0
        return self._outline(photo, consent, event.choose(range(MOST_FACES)))

    def _outline(self, photo: str | None, consent: bool, chosen: int) -> tuple[str, Any, int]:
        view, picture = "", None
        try:
            picture = load_image(photo) if photo else None
            if picture is not None and not consent and digest(picture) not in self.known:
                if Path(photo).suffix.lower() in UNSHOWN:
                    return show_photo(picture, ASK_WORDS), gr.update(visible="hidden"), chosen
                picture, view = None, ASK_FOR_CONSENT
            if picture is not None:
                view = outline_faces(picture, self._detect(picture), chosen=chosen)
        except (ValueError, OSError) as error:
            picture, view = None, describe_problem(error)
        # "hidden" keeps the value in the page: the outlined photo stands in its place.
        return view, gr.update(visible=True if picture is None else "hidden"), chosen

    def _detect(self, picture: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
        key = digest(picture)
        boxes = self._boxes.get(key) or detect_faces(picture)
        if key in self.known:
            self._boxes[key] = boxes
        return boxes

    def look_at_driver(self, picture: str | None, video: str | None, source: str, consent: bool) -> str:
        """Say why nothing can follow a driving picture or video that was added."""
        driver = {"picture": picture, "video": video}.get(source)
        try:
            if driver is not None:
                check_driver(driver, consent=consent, known=self.known)
        except (ValueError, OSError) as error:
            return describe_problem(error)
        return ""

    def generate(
        self,
        photo: str | None,
        prompt: str,
        consent: bool,
        seed: float | None,
        identity_scale: float,
        action_scale: float,
        guidance_scale: float,
        face: float | None,
        arm: str,
        more_photos: list[str] | None = None,
        action_from: str = "words",
        driving_picture: str | None = None,
        driving_video: str | None = None,
        label: bool = True,
        model: str = "mini",
        full_steps: float | None = None,
        frames: float | None = None,
        full_guidance_scale: float | None = None,
        cache: str = "",
        detail_scale: float = 1.0,
        duration: float = DURATION,
        paste_back: bool = False,
        loop: bool = True,
        size: str = "384",
        request: gr.Request = None,
        progress=gr.Progress(),  # noqa: B008 (gradio finds it by its default)
    ) -> Iterator[tuple[str, Result]]:
        """Make a clip of the person in the photo doing what the prompt says.

        Args:
            photo: a JPEG, PNG, WebP or HEIC file that shows a face.
            prompt: "laughs", or with times: "[0-1s] smiles [1-2s] nods".
            consent: that the people in all pictures agreed; examples of the page need none.
            seed: the same seed makes the same clip.
            identity_scale: how much the photo counts, 1 as trained.
            action_scale: how much the action counts, 1 as trained.
            guidance_scale: of the denoiser, which draws with detail_scale below 1; higher exaggerates words.
            face: which face of the photo, 0 the largest.
            arm: the method, "iad", "consisid" or "id-animator".
            more_photos: up to four more files of the same person.
            action_from: "words", "picture" or "video": what says how the face moves.
            driving_picture: a file whose face shows the action, with "picture".
            driving_video: a file whose face performs the action, with "video".
            label: write "AI-generated" into a corner of the clip.
            model: "mini", at once, or "full-size", where this page has a GPU: minutes a clip.
            full_steps: of the denoiser, with "full-size".
            frames: with "full-size" 8k + 1 of them; ID-Animator makes 16.
            full_guidance_scale: instead of guidance_scale, with "full-size".
            cache: with "full-size" and "iad": "", "first-block", "taylorseer" or "pab", which are quicker.
            detail_scale: with "mini", how much the photo's own pixels count; at 0 the embeddings draw alone.
            duration: with "mini", seconds, 1 to 10; a timeline may ask for more, a driving video says itself.
            paste_back: with "mini", put the moving face into its own whole photo.
            loop: with "mini" and words, lead the end of the clip back to its beginning.
            size: with "mini", pixels a side of what is drawn: "384", "512" or "768".
            request: whose run this is; gradio gives it.
            progress: shows the steps; gradio gives it.

        Returns:
            The mp4 file, and a report: identity (a number a frame), action, judge (of the action), copied,
            detected, identity_share, action_share, residual_share, notes, made_of, model, arm, seed, steps,
            frames, fps, seconds. What was not measured is null.
        """
        followed = self.runs.follow(request, progress, doing="Drawing the clip")
        with followed as follow, tempfile.TemporaryDirectory() as folder:
            driver = {"words": None, "picture": driving_picture, "video": driving_video}[action_from]
            if action_from != "words" and driver is None:
                raise ValueError(
                    f"The driving {action_from} is missing; add it, or let the words say the action."
                )
            check_request(prompt, seed, needs_words=driver is None)
            people = self._open_photos(photo, more_photos, driver, action_from, consent)
            asked = {"face": int(face) if face else None, "arm": arm, "seed": int(seed)}
            asked |= {"identity_scale": identity_scale, "action_scale": action_scale}
            asked |= {"action_reference": driver}
            if model == "mini":
                asked |= {"guidance_scale": guidance_scale}
                asked |= {"detail_scale": detail_scale, "paste_back": paste_back}
                asked |= {"loop": loop and action_from == "words"}
                asked |= {"duration": None if action_from == "video" else choose_length(prompt, duration)}
                asked |= choose_size(size, asked["duration"], self.pipeline.preset.shown_size)
                people = [shrink(photo, WHOLE_SIDE) for photo in people] if paste_back else people
                waiting = not getattr(self.pipeline, "ready", True)
                follow.say("Loading the model, once" if waiting else "Finding the face")
                result = self.pipeline.generate(Request(people, prompt, **asked), follow.part(0, DRAWN))
            else:
                asked |= {"guidance_scale": full_guidance_scale, "cache": cache or None}
                asked |= {"num_inference_steps": int(full_steps) if full_steps else None}
                asked |= {"num_frames": count_frames(arm, frames)}
                result = self.draw_full_size(Request(people, prompt, **asked), follow.part(0, DRAWN))
            writing = follow.part(DRAWN, 1, "Writing the clip")
            writing(0, 1)
            path = Path(folder) / f"{name_file(prompt)}-seed{result.seed}.mp4"
            clip = save_clip(result, path, label=label)
            writing(1, 1)
            yield clip, result  # Gradio copies the file before it asks for more; then the folder goes

    def draw_full_size(self, request: Request, follow: Follower) -> Result:
        """Let the full-size model make a clip.

        Raises:
            ValueError: there is none here, or see `FullSize.draw`.
        """
        if self.full_size is None:
            raise ValueError(f"There is no full-size model on this page. {MISSING}")
        return self.full_size.draw(request, follow)

    def _open_photos(
        self, photo: str | None, more: Sequence[str] | None, driver: str | None, source: str, consent: bool
    ) -> list[np.ndarray]:
        paths = [photo, *(more or [])]
        if len(paths) > MOST_PHOTOS:
            raise ValueError(f"{len(paths)} photos are too many; give at most {MOST_PHOTOS} of one person.")
        pictures = [open_photo(path, consent=consent, known=self.known) for path in paths]
        if driver and source == "picture":
            open_photo(driver, consent=consent, known=self.known)
        if driver and source == "video" and not consent:
            raise ValueError(CONSENT_NEEDED)
        return pictures

    def show_scores(self, result: Result | None) -> str:
        """Write the scores under the clip; a cancelled run ends here too, without any."""
        return describe_scores(make_report(result)) if result else ""

    def offer_files(self, clip: str | None, result: Result | None, label: bool) -> Iterator[tuple[Any, ...]]:
        """Offer the clip as mp4, gif and contact sheet, show its frames, and forget it."""
        if clip is None or result is None:
            yield *(gr.update(visible=False),) * 4, "", None
            return
        few = np.linspace(0, len(result.frames) - 1, min(SHEET, len(result.frames))).round().astype(int)
        sheet = to_data_uri(make_contact_sheet(result.frames[few]), SHEET_SIDE)
        scale = 2 if is_stamp(result) else 1
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / Path(clip).stem
            files = [
                clip,
                thin_out(result).save(stem.with_suffix(".gif"), scale=scale, label=label),
                result.save(stem.with_suffix(".png"), label=label),
            ]
            offered = [gr.DownloadButton(value=str(file), visible=True) for file in files]
            yield *offered, gr.update(visible=True), describe_sheet(sheet, len(few), len(result.frames)), None


def with_report(generate: Callable[..., Iterator[tuple[str, Result]]]) -> Callable[..., Iterator]:
    """Let callers of the interface have a clip's report with it; the page shows the clip before."""

    @functools.wraps(generate)
    def report(*args: Any, **more: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for clip, result in generate(*args, **more):
            yield clip, make_report(result)

    return report


def check_request(prompt: str, seed: float | None, *, needs_words: bool = True) -> None:
    """Make sure that something is asked for that is made here.

    Raises:
        ValueError: an empty prompt where the words say the action, one that asks for nudity, or no seed.
    """
    check_prompt(prompt)
    if needs_words and not prompt.strip():
        raise ValueError('The prompt is empty; say what happens, for example "laughs".')
    if seed is None:
        raise ValueError("The seed is empty; give a whole number, for example 0.")


def make_report(result: Result) -> dict[str, Any]:
    """List what is known of a clip, as plain numbers; None where nothing was measured."""
    numbers = ("action", "copied", "detected", "identity_share", "action_share", "residual_share")
    return {
        "identity": [None if np.isnan(x) else round(float(x), 4) for x in result.scores["identity"]],
        **{name: _number(result.scores.get(name)) for name in numbers},
        "judge": result.scores.get("judge"),
        "notes": list(result.notes),
        "made_of": dict(result.made_of),
        "model": result.settings["model"],
        "arm": result.settings["arm"],
        "seed": result.seed,
        "steps": result.settings.get("steps"),  # of full-size models
        "frames": len(result.frames),
        "fps": result.fps,
        "seconds": round(result.seconds, 2),
    }


def _number(score: float | None) -> float | None:
    return None if score is None or np.isnan(score) else float(score)
