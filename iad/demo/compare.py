"""The Compare tab: one request, three methods, three clips in step, and what sets them apart in one table."""

import html
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from iad.config import ARMS
from iad.demo.clip_files import name_file, save_clip
from iad.demo.compare_words import (
    COLUMNS,
    FINISHED_NOTE,
    FULL_HEADINGS,
    FULL_INTRODUCTION,
    HEADINGS,
    INTRODUCTION,
    LEGEND,
)
from iad.demo.examples import list_faces
from iad.demo.faceview import FACE_JS
from iad.demo.hardware import SYSTEMS
from iad.demo.model_choice import AT_ONCE, FULL, HIDDEN, MINI, describe_failure
from iad.demo.runs import QUIET, Follower, Runs
from iad.demo.studio import Studio, check_request, make_report
from iad.demo.timing import write_seconds
from iad.demo.uploads import keep_path, open_photo
from iad.installation import EXAMPLES
from iad.request import Request
from iad.result import Result

PROMPTS = ("opens the mouth wide", "smiles", "closes the eyes", "nods", "raises the eyebrows")
# Autoplay alone starts each clip when it happens to have loaded; here all start together and stay together.
IN_STEP_JS = """
() => {
  const find = () => [...document.querySelectorAll('.arm-clip video')].filter(video => video.currentSrc);
  clearInterval(window.inStep);
  let begun = false;
  window.inStep = setInterval(() => {
    const videos = find();
    if (videos.length < 2 || videos.some(video => video.readyState < 3)) return;
    if (!begun) videos.forEach(video => { video.currentTime = 0; video.muted = true; video.play(); });
    begun = true;
    const [first, ...others] = videos;
    others.forEach(video => {
      if (Math.abs(video.duration - first.duration) > 0.1) return;
      let gap = Math.abs(video.currentTime - first.currentTime);
      gap = Math.min(gap, Math.abs(video.duration - gap));
      if (gap > 0.08) video.currentTime = first.currentTime;
    });
  }, 250);
}
"""


@dataclass(frozen=True)
class Finished:
    """A comparison made earlier, which the tab opens with."""

    prompt: str = PROMPTS[0]
    clips: tuple[Path | None, ...] = (None,) * len(ARMS)
    note: str = ""
    table: str = ""


def load_finished(studio: Studio, folder: Path = EXAMPLES / "compare") -> Finished:
    """Read the finished comparison; nothing but a prompt where it or its photo is not on this machine."""
    clips, listing = tuple(folder / f"{arm}.mp4" for arm in ARMS), folder / "reports.json"
    if not all(file.is_file() for file in (*clips, listing)):
        return Finished()
    made = json.loads(listing.read_text())
    photo = next((example for example in studio.faces if example.name == made["name"]), None)
    if photo is None:
        return Finished()
    note = FINISHED_NOTE.format(**{key: html.escape(made[key]) for key in ("name", "credit", "prompt")})
    return Finished(made["prompt"], clips, note, show_table(made["reports"]))


class Comparison:
    """What the tab's events call."""

    def __init__(self, studio: Studio):
        self.studio, self.pipeline, self.runs = studio, studio.pipeline, Runs()

    def look(self, photo: str | None, consent: bool) -> str:
        """Say why nothing comes of a photo that was added."""
        return self.studio.look_at_driver(photo, None, "picture", consent)

    def compare(
        self,
        photo: str | None,
        prompt: str,
        consent: bool,
        seed: float | None,
        model: str = MINI,
        request: gr.Request = None,
        progress=gr.Progress(),  # noqa: B008 (gradio finds it by its default)
    ) -> Iterator[tuple[str | None, str | None, str | None, dict[str, Any]]]:
        """Make the same clip by three methods: IaD, ConsisID's recipe, ID-Animator's recipe.

        Args:
            photo: a JPEG, PNG, WebP or HEIC file that shows a face.
            prompt: "laughs", or with times: "[0-1s] smiles [1-2s] nods".
            consent: that the person in the photo agreed; examples of the page need none.
            seed: the same seed gives all three the same noise.
            model: "mini", at once, or "full-size", where this page has a GPU: the published systems, minutes.
            request: whose run this is; gradio gives it.
            progress: shows the steps; gradio gives it.

        Returns:
            Three mp4 files in that order, and a report by method: identity (a number a frame), action,
            copied, detected, notes, model, seed, steps, seconds; or problem, why there is no clip.
        """
        followed = self.runs.follow(request, progress, doing="Drawing three clips")
        with followed as follow, tempfile.TemporaryDirectory() as folder:
            picture = open_photo(photo, consent=consent, known=self.studio.known)
            check_request(prompt, seed)
            clips, reports = [], {}
            for k, arm in enumerate(ARMS):
                part = follow.part(k / len(ARMS), (k + 1) / len(ARMS), f"Drawing: {HEADINGS[arm][0]}")
                part(0, 1)
                result = self._draw(model, arm, picture, prompt, int(seed), part)
                if isinstance(result, str):
                    clips.append(None)
                    reports[arm] = {"model": model, "problem": result}
                    continue
                path = Path(folder) / f"{name_file(prompt)}-{arm}-seed{result.seed}.mp4"
                clips.append(save_clip(result, path, label=True))
                reports[arm] = make_report(result)
            yield *clips, reports

    def _draw(
        self, model: str, arm: str, picture: np.ndarray, prompt: str, seed: int, follow: Follower
    ) -> Result | str:
        """Make one clip, or say why one of the published systems makes none: the others still do."""
        if model == MINI:
            # Drawing is not the method: only what the embeddings alone carry is compared.
            return self.pipeline.generate(
                Request(picture, prompt, arm=arm, detail_scale=0.0, seed=seed), follow
            )
        try:
            return self.studio.draw_full_size(Request(picture, prompt, arm=arm, seed=seed), follow)
        except (ValueError, gr.Error) as error:
            if arm == "iad":
                raise
            return getattr(error, "message", None) or str(error)

    def expect(self, model: str) -> tuple[Any, ...]:
        """Say what a choice compares and how long it takes; choosing the full size loads it."""
        full, chosen = self.studio.full_size, model == FULL
        if chosen:
            full.start()
        words = [
            _describe_arm(name.format(model=full.name), said)
            for name, said in (FULL_HEADINGS if chosen else HEADINGS).values()
        ]
        introduction = FULL_INTRODUCTION if chosen else INTRODUCTION
        if full.failure:
            said = describe_failure(full, self.pipeline.preset.name)
            return gr.update(visible=False, value=MINI), said, introduction, *words
        return gr.update(choices=self.list_models()), self._describe(chosen), introduction, *words

    def list_models(self) -> list[tuple[str, str]]:
        """List what can be compared, with how long it takes."""
        full, small = self.studio.full_size, self.pipeline.preset.name
        if full is None:
            return [(small, MINI), (FULL, FULL)]
        seconds = write_seconds(self._expect_seconds())
        return [
            (f"The recipes on {small}, at once", MINI),
            (f"The published systems, about {seconds}", FULL),
        ]

    def _expect_seconds(self) -> int:
        full = self.studio.full_size
        return sum(full.estimate(Request((), arm=arm)) for arm in full.arms)

    def _describe(self, chosen: bool) -> str:
        full = self.studio.full_size
        if not chosen:
            return ""
        parts = ", ".join(
            f"{SYSTEMS[arm]} {write_seconds(full.estimate(Request((), arm=arm)))}" for arm in full.arms
        )
        seconds = write_seconds(self._expect_seconds())
        return (
            f"<p><b>About {seconds}</b>, an estimate, on {full.hardware.place}: {parts}; the first time "
            "also loading what is not there yet.</p>"
        )


def build_compare(studio: Studio, consent: Any) -> None:
    """Lay out the tab inside the current block.

    Args:
        studio: the Portrait tab's, for its pipeline and its examples.
        consent: the page's checkbox.
    """
    comparison, finished = Comparison(studio), load_finished(studio)
    introduction = gr.HTML(INTRODUCTION, elem_classes="introduction")
    full = studio.full_size
    with gr.Row(equal_height=False, elem_id="compare-request"):
        with gr.Column(scale=2, min_width=220):
            photo = keep_path(
                gr.Image(
                    _first_picture(comparison.studio),
                    label="Photo",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "webcam", "clipboard"],
                    format="png",
                    height=220,
                    buttons=[],
                    elem_id="compare-photo",
                )  # fmt: skip
            )
            told = gr.HTML(elem_id="compare-told")
        with gr.Column(scale=5, min_width=300):
            cards = gr.HTML(list_faces(studio.faces), elem_id="compare-faces", js_on_load=FACE_JS)
            prompt = gr.Textbox(
                finished.prompt, label="What happens", max_length=1000, elem_id="compare-prompt"
            )  # fmt: skip
            with gr.Row(elem_classes="chips"):
                for words in PROMPTS:
                    button = gr.Button(words, size="sm", min_width=0, scale=0)
                    button.click(None, outputs=prompt, js=f"() => {words!r}", api_visibility="private")
            model = gr.Radio(
                comparison.list_models(), value=MINI, label="What to compare", elem_id="compare-model",
                visible=full is not None,
            )  # fmt: skip
            line = gr.HTML(elem_id="compare-estimate", visible=full is not None)
            with gr.Row():
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=90, scale=1)
                run = gr.Button("Make three clips", variant="primary", elem_id="compare-run", scale=3)
                cancel = gr.Button("Cancel", visible=False, elem_id="compare-cancel", scale=3)
    note = gr.HTML(finished.note, elem_id="compare-finished")
    with gr.Row(elem_id="arms"):
        arms = [_lay_out_arm(arm, clip) for arm, clip in zip(ARMS, finished.clips, strict=True)]
    headings, clips = zip(*arms, strict=True)
    report = gr.JSON(visible=False, label="Report")
    table = gr.HTML(finished.table, elem_id="compare-table")
    cards.click(studio.choose_picture, outputs=photo, **QUIET)
    gr.on(
        [photo.change, consent.change], comparison.look, [photo, consent], told,
        api_visibility="private", concurrency_limit=2, show_progress="hidden", trigger_mode="always_last",
    )  # fmt: skip
    done = comparison.runs.wire(
        [run.click, prompt.submit], comparison.compare, [photo, prompt, consent, seed, model],
        [*clips, report], buttons=[run, cancel], api_name="compare", progress_on=list(clips),
        at_once=1 if full is None else AT_ONCE,
    )  # fmt: skip
    page = gr.context.Context.root_block
    if full is not None:
        # what was finished earlier is of the recipes on mini alone
        model.change(_put_away, note, [*clips, note, table], **QUIET)
        shown = [model, line, introduction, *headings]
        gr.on([model.change, page.load], comparison.expect, model, shown, **HIDDEN)
        done.success(comparison.expect, model, shown, **HIDDEN)
    done.success(lambda made: (show_table(made), ""), report, [table, note], **QUIET)
    page.load(None, js=IN_STEP_JS, **QUIET)
    done.success(None, js=IN_STEP_JS, **QUIET)


def _first_picture(studio: Studio) -> np.ndarray | None:
    return studio.examples[0].picture if studio.examples else None


def _put_away(note: str) -> tuple[Any, ...]:
    """Take the finished comparison off the page; what a visitor made stays."""
    return (*(None,) * len(ARMS), "", "") if note else (gr.skip(),) * (len(ARMS) + 2)


def _lay_out_arm(arm: str, clip: Path | None) -> tuple[Any, Any]:
    with gr.Column(min_width=240):
        heading = gr.HTML(_describe_arm(*HEADINGS[arm]), elem_classes="arm-heading")
        return heading, gr.Video(
            clip, label=HEADINGS[arm][0], show_label=False, autoplay=True, loop=True, interactive=False,
            buttons=[], height="auto", elem_classes="arm-clip", elem_id=f"arm-{arm}",
        )  # fmt: skip


def _describe_arm(name: str, words: str) -> str:
    return f"<h2>{name}</h2><p>{words}</p>"


def show_table(reports: Mapping[str, Mapping[str, Any]] | None) -> str:
    """Set the scores of the three side by side; a cancelled run has none."""
    if not reports:
        return ""
    rows = "".join(_table_row(arm, report) for arm, report in reports.items())
    told = list(reports["iad"]["notes"])
    told += [f"{SYSTEMS[arm]}: {report['problem']}" for arm, report in reports.items() if "problem" in report]
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in told)
    heads = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    return (
        f'<table class="numbers"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{notes}{LEGEND}'
    )


def _table_row(arm: str, report: Mapping[str, Any]) -> str:
    seen = [value for value in report.get("identity", ()) if value is not None]
    numbers = (np.mean(seen) if seen else None, report.get("action"), report.get("copied"))
    cells = "".join("<td>–</td>" if n is None else f"<td>{n:.2f}</td>" for n in numbers)
    seconds = f"{report['seconds']:.1f}" if "seconds" in report else "–"
    name = SYSTEMS[arm] if report["model"] == FULL or "problem" in report else HEADINGS[arm][0]
    return f'<tr><th scope="row">{name}</th>{cells}<td>{seconds}</td></tr>'
