"""The choice between mini and the full-size model on the Portrait tab: dials, and the expected time."""

import html
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from iad.demo.full_size import FullSize
from iad.demo.hardware import CACHES
from iad.demo.timing import write_seconds
from iad.demo.wording import ARM_CHOICES, ARM_INFO, FULL_ARM_CHOICES, FULL_ARM_INFO
from iad.full_size.forms import FRAME_GROUP
from iad.request import LONGEST, Request

MINI, FULL = "mini", "full-size"
CACHE_CHOICES = (("off", ""), *((name, name) for name in CACHES))
HIDDEN = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
LOOK_AGAIN = 3  # seconds, while the model loads
AT_ONCE = 4  # runs where there are two models: one each, and two that wait for the larger one
MOST_STEPS, MOST_GUIDANCE = 100, 12


@dataclass(frozen=True)
class Dials:
    """What can be turned for the full-size model; hidden while mini is chosen."""

    column: Any
    steps: Any
    frames: Any
    guidance: Any
    cache: Any

    @property
    def inputs(self) -> dict[str, Any]:
        """Name them as in a link, in the order in which `Studio.generate` takes them."""
        return {
            "full_steps": self.steps, "frames": self.frames, "full_guidance": self.guidance,
            "cache": self.cache,
        }  # fmt: skip


class ModelChoice:
    """Lays out the chooser and says what a choice means.

    Args:
        full_size: the model beside mini; None leaves the chooser out of sight.
        small: the name of what answers at once.
        duration: seconds of mini's clips.
    """

    def __init__(self, full_size: FullSize | None, *, small: str, duration: float):
        self.full_size, self.small, self.duration = full_size, small, duration

    def lay_out(self) -> tuple[Any, Any]:
        """Return the chooser and the line below it, which says how long a clip will take."""
        model = gr.Radio(
            self.list_models(), value=MINI, label="Model", elem_id="model",
            visible=self.full_size is not None,
        )  # fmt: skip
        return model, gr.HTML(elem_id="estimate", visible=self.full_size is not None)

    def lay_out_length(self) -> Any:
        """Return a hidden number, the seconds of a clip: the timeline goes by it."""
        longest = max(LONGEST, self.full_size.preset.duration if self.full_size else 0)
        return gr.Number(self.duration, maximum=longest, visible=False, label="Seconds of the clip")

    def lay_out_dials(self) -> Dials | None:
        """Return the dials of the full-size model."""
        if self.full_size is None:
            return None
        preset, own = self.full_size.preset, self.full_size.defaults["iad"]
        with gr.Column(visible=False, elem_id="full-dials") as column:
            steps = gr.Slider(
                1, MOST_STEPS, own.num_inference_steps, step=1, label="Steps", elem_id="full-steps",
                info="More are slower and finer",
            )  # fmt: skip
            frames = gr.Slider(
                1, preset.frames, own.num_frames, step=FRAME_GROUP, label="Frames", elem_id="frames",
                info=f"{preset.fps} a second; fewer are quicker",
            )  # fmt: skip
            guidance = gr.Slider(
                1, MOST_GUIDANCE, own.guidance_scale, step=0.1, label="Guidance", elem_id="full-guidance",
                info="Higher follows the words more, varies less",
            )  # fmt: skip
            cache = gr.Dropdown(
                list(CACHE_CHOICES), value=self.full_size.settings.cache or "", label="Step cache",
                elem_id="cache", info="Reuses what hardly changes between steps: quicker, drifts a little",
            )  # fmt: skip
        return Dials(column, steps, frames, guidance, cache)

    def wire(
        self, model: Any, line: Any, arm: Any, dials: Dials, *, small_dials: Any, length: Any, after: Any
    ) -> None:
        """Let the page follow the choice.

        Args:
            model: the chooser.
            line: says how long it takes.
            arm: the method's chooser.
            dials: of the full-size model.
            small_dials: mini's own.
            length: the hidden number.
            after: a run whose end tells how long a clip really took.
        """
        timer = gr.Timer(LOOK_AGAIN, active=False)
        page = gr.context.Context.root_block
        switched = [*small_dials, dials.column, arm, length]
        switch = partial(self._switch, count=len(small_dials))
        model.change(switch, [model, dials.frames], switched, **HIDDEN)
        dials.frames.change(self._count_seconds, [model, dials.frames], length, **HIDDEN)
        arm.input(
            self._adopt, [model, arm], [dials.steps, dials.frames, dials.guidance, dials.cache], **HIDDEN
        )
        moved = [c.change for c in (model, arm, dials.steps, dials.frames, dials.cache)]
        asked = [model, arm, dials.steps, dials.frames, dials.cache]
        shown = [model, line, timer]
        gr.on(
            [*moved, timer.tick, page.load], self.refresh, asked, shown, trigger_mode="always_last", **HIDDEN
        )
        after(self.refresh, asked, shown, **HIDDEN)

    def list_models(self, seconds: int | None = None) -> list[tuple[str, str]]:
        """List what can be chosen, with how long a clip takes."""
        full = self.full_size
        if full is None:
            return [(self.small, MINI), (FULL, FULL)]
        seconds = seconds or full.estimate(Request(()))
        return [(f"{self.small}, at once", MINI), (f"{full.name}, about {write_seconds(seconds)}", FULL)]

    def refresh(self, model: str, arm: str, steps: float, frames: float, cache: str) -> tuple[Any, str, Any]:
        """Say how long the clip will take, and how the model is; choosing it loads it."""
        full = self.full_size
        if model == FULL:
            full.start()
        look_again = gr.update(active=full.started and not full.ready)
        if full.failure:
            return gr.update(visible=False, value=MINI), describe_failure(full, self.small), look_again
        asked = {"num_inference_steps": int(steps), "num_frames": count_frames(arm, frames)}
        request = Request((), arm=arm, cache=cache or None, **asked)
        said = describe_estimate(full, request) if model == FULL else ""
        return gr.update(choices=self.list_models(full.estimate(request))), said, look_again

    def _switch(self, model: str, frames: float, *, count: int) -> tuple[Any, ...]:
        """Show the dials and methods of a model, and how long its clips are."""
        full = model == FULL
        choices = [c for c in FULL_ARM_CHOICES if c[1] in self.full_size.arms] if full else list(ARM_CHOICES)
        arm = gr.update(choices=choices, info=FULL_ARM_INFO if full else ARM_INFO)
        own, others = gr.update(visible=not full), gr.update(visible=full)
        return *[own] * count, others, arm, self._count_seconds(model, frames)

    def _count_seconds(self, model: str, frames: float) -> float:
        return frames / self.full_size.preset.fps if model == FULL else self.duration

    def _adopt(self, model: str, arm: str) -> tuple[Any, ...]:
        """Turn the dials to what a published system takes; hide those that it has not."""
        if model != FULL:
            return (gr.skip(),) * 4
        own = self.full_size.defaults[arm]
        ours = gr.update(visible=arm == "iad")
        return own.num_inference_steps, ours, own.guidance_scale, ours


def count_frames(arm: str, frames: float | None) -> int | None:
    """Return how many frames to ask of a method; None where it makes one number alone."""
    return int(frames) if frames and arm == "iad" else None


def describe_estimate(full: FullSize, request: Request) -> str:
    """Say before the click how long a clip will take, of what size it is, and how the model is."""
    own, seconds, most = full.defaults[request.arm], full.estimate(request), full.settings.most_seconds
    made = own.complete(request)
    frames, steps = made.num_frames, made.num_inference_steps
    what = (
        f"{_count(steps, 'step')}, {_count(frames, 'frame')} of {own.width} × {own.height} pixels, on "
        f"{full.hardware.place}"
    )
    words = f"<p><b>About {write_seconds(seconds)}</b>, an estimate: {what}.</p>"
    if most is not None and seconds > most:
        words += f'<p class="note">A visitor gets at most {most} s at once; take fewer steps or frames.</p>'
    return f'{words}<p class="quiet" role="status">{html.escape(_describe_state(full))}</p>'


def describe_failure(full: FullSize, small: str) -> str:
    """Say why there is no full-size model, and that the small one is there."""
    return (
        f'<p class="quiet" role="status">{full.name} could not be loaded, {small} works: '
        f"{html.escape(full.failure)}</p>"
    )


def _describe_state(full: FullSize) -> str:
    if full.loaded:
        return full.memory_reason
    fetched = " The first time, 22 GB are downloaded." if full.is_published else ""
    return f"{full.name} is loading; a clip asked for now waits for it.{fetched}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
