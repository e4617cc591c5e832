"""What the page's events call: looking for a face, generating, stopping."""

import contextlib
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from iad.demo.examples import digest, load_examples
from iad.demo.wording import ASK_FOR_CONSENT, describe_face
from iad.photos import load_image

ENLARGED = 3  # a clip of 128 pixels would be a stamp


class _Cancelled(Exception):
    """Raised in the sampler's callback: it leaves the pipeline at the next step."""


class PortraitActions:
    """What the page's events call; every visitor's run can be stopped by its session."""

    def __init__(self, pipeline: Any):
        self.pipeline = pipeline
        self.examples = load_examples()
        self.known = {example.digest for example in self.examples}
        self.stops: dict[str, threading.Event] = {}

    def choose_example(self, event: gr.EventData) -> tuple[np.ndarray, str]:
        """Fill in the picture and the prompt of a card."""
        example = self.examples[event.index]
        return example.picture, example.prompt

    def look_for_face(self, photo: str | None, consent: bool, face: float | None) -> Iterator[str]:
        """Show the face that would be used; an upload without consent is not looked at."""
        yield ""  # a mistake leaves no older face behind
        with _plain_errors():
            if photo is None:
                return
            picture = load_image(photo)
            if not consent and digest(picture) not in self.known:
                yield ASK_FOR_CONSENT
                return
            found = self.pipeline.find_face(picture, int(face or 0))
            yield describe_face(found.image, count=found.count, index=found.index)

    def start(self, request: gr.Request) -> tuple[Any, Any]:
        """Show Cancel instead of Generate."""
        self.stops[request.session_hash] = threading.Event()
        return gr.update(visible=False), gr.update(visible=True)

    def generate(
        self,
        photo: str | None,
        prompt: str,
        consent: bool,
        seed: float | None,
        identity_scale: float,
        action_scale: float,
        steps: float,
        guidance_scale: float,
        face: float | None,
        arm: str,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008 (gradio finds it by its default)
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Make a clip of the person in the photo doing what the prompt says.

        Args:
            photo: a JPEG, PNG or WebP file that shows a face.
            prompt: "laughs", or with times: "[0-1s] smiles [1-2s] nods".
            consent: that the person in the photo agreed; examples of the page need none.
            seed: the same seed makes the same clip.
            identity_scale: how much the photo counts, 1 as trained.
            action_scale: how much the prompt counts, 1 as trained.
            steps: more are slower and finer.
            guidance_scale: higher follows photo and prompt more, and varies less.
            face: which face of the photo, 0 the largest.
            arm: the method, "iad", "consisid" or "id-animator".
            request: whose run this is; gradio gives it.
            progress: shows the steps; gradio gives it.

        Returns:
            The mp4 file, and a report: likeness, action, detected, notes, seed, steps, seconds.
        """
        stop = self.stops.setdefault(request.session_hash or "", threading.Event())

        def report_step(step: int, total: int) -> None:
            if stop.is_set():
                raise _Cancelled
            progress((step, total), desc="Drawing the clip", unit="steps")

        with _plain_errors(), tempfile.TemporaryDirectory() as folder:
            picture = self._check_inputs(photo, prompt, consent, seed)
            waiting = not getattr(self.pipeline, "ready", True)
            progress(0, desc="Loading the model, once" if waiting else "Finding the face")
            result = self.pipeline(
                picture,
                prompt,
                face=int(face) if face else None,
                arm=arm,
                identity_scale=identity_scale,
                action_scale=action_scale,
                guidance_scale=guidance_scale,
                num_inference_steps=int(steps),
                seed=int(seed),
                callback=report_step,
            )
            path = Path(folder) / f"{_name_file(prompt)}-seed{result.seed}.mp4"
            # Gradio copies the file before it asks for more; then the folder goes.
            yield str(result.save(path, scale=ENLARGED)), _make_report(result)

    def _check_inputs(self, photo: str | None, prompt: str, consent: bool, seed: float | None) -> np.ndarray:
        if photo is None:
            raise ValueError("There is no photo yet; add one, or pick an example.")
        if not prompt.strip():
            raise ValueError('The prompt is empty; say what happens, for example "laughs".')
        if seed is None:
            raise ValueError("The seed is empty; give a whole number, for example 0.")
        picture = load_image(photo)
        if not consent and digest(picture) not in self.known:
            raise ValueError("Tick the box first: the person in the photo must be you or have agreed.")
        return picture

    def finish(self, request: gr.Request) -> tuple[Any, Any]:
        """Show Generate again."""
        self.stops.pop(request.session_hash, None)
        return gr.update(visible=True), gr.update(visible=False)

    def cancel(self, request: gr.Request) -> tuple[Any, Any]:
        """Stop the visitor's run at its next step."""
        self.forget(request)
        gr.Info("Stopped.", duration=3)
        return gr.update(visible=True), gr.update(visible=False)

    def forget(self, request: gr.Request) -> None:
        """Stop what a closed page had going."""
        stop = self.stops.pop(request.session_hash, None)
        if stop:
            stop.set()


def _make_report(result: Any) -> dict[str, Any]:
    return {
        "likeness": float(np.mean(result.scores["identity"])),
        "action": float(result.scores["action"]),
        "detected": float(result.scores["detected"]),
        "notes": list(result.notes),
        "seed": result.seed,
        "steps": result.settings["steps"],
        "seconds": round(result.seconds, 2),
    }


def _name_file(prompt: str) -> str:
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return "-".join(["portrait", *words])[:48].rstrip("-")


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn a caller's mistake into one sentence on the page, and a stop into nothing."""
    try:
        yield
    except _Cancelled:
        return
    except FileNotFoundError as error:
        raise _tell("The photo is no longer here; add it again.") from error
    except ValueError as error:
        raise _tell(str(error)) from error


def _tell(sentence: str) -> gr.Error:
    return gr.Error(sentence, title="That did not work", duration=8, print_exception=False)
