"""The Compare tab: one request, three methods, three clips in step, and what sets them apart in one table."""

import html
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from iad.config import ARMS
from iad.demo.examples import make_thumbnail
from iad.demo.faceview import FACE_JS
from iad.demo.runs import QUIET, Runs, plain_errors
from iad.demo.studio import ENLARGED, SMOOTH, Studio, check_request, make_report, name_file
from iad.demo.uploads import keep_path, open_photo

HEADINGS = {
    "iad": ("IaD", "Only the identity part of the photo goes in; the action comes from the words."),
    "consisid": ("ConsisID’s recipe", "The face crop itself goes in, with its expression."),
    "id-animator": ("ID-Animator’s recipe", "The undivided face tokens go in, without the crop."),
}
INTRODUCTION = """
<p>All three share one base model, data, steps, noise and prompt. They differ in what of the photo reaches the
model. Choose a photo whose expression is <em>not</em> what you ask for: whoever copies the photo gives itself
away. These are our small re-implementations of the two recipes, not the published systems.</p>
"""
LEGEND = """
<p class="quiet">Cosines of the model’s own embeddings: 1 is the same, 0 unrelated. Little should be copied,
unless the photo shows what you asked for. What independent judges say is in the project’s results.</p>
"""
COLUMNS = ("Method", "Likeness to the photo", "Action asked for", "Photo’s own action copied", "Seconds")
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
      let gap = Math.abs(video.currentTime - first.currentTime);
      gap = Math.min(gap, Math.abs(video.duration - gap));
      if (gap > 0.08) video.currentTime = first.currentTime;
    });
  }, 250);
}
"""


class Comparison:
    """What the tab's events call."""

    def __init__(self, studio: Studio):
        self.studio, self.pipeline, self.runs = studio, studio.pipeline, Runs()

    def choose(self, event: gr.EventData) -> np.ndarray:
        """Take an example's picture."""
        return self.studio.examples[event.index].picture

    def compare(
        self,
        photo: str | None,
        prompt: str,
        consent: bool,
        seed: float | None,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008 (gradio finds it by its default)
    ) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        """Make the same clip by three methods: IaD, ConsisID's recipe, ID-Animator's recipe.

        Args:
            photo: a JPEG, PNG or WebP file that shows a face.
            prompt: "laughs", or with times: "[0-1s] smiles [1-2s] nods".
            consent: that the person in the photo agreed; examples of the page need none.
            seed: the same seed gives all three the same noise.
            request: whose run this is; gradio gives it.
            progress: shows the steps; gradio gives it.

        Returns:
            Three mp4 files in that order, and a report by method: identity (a number a frame), action,
            copied, detected, notes, seed, steps, seconds.
        """
        with plain_errors(), tempfile.TemporaryDirectory() as folder:
            picture = open_photo(photo, consent=consent, known=self.studio.known)
            check_request(prompt, seed)
            follow = self.runs.follow(request, progress, doing="Drawing three clips")
            clips, reports = [], {}
            for k, arm in enumerate(ARMS):
                progress((k, len(ARMS)), desc=f"Drawing: {HEADINGS[arm][0]}", unit="methods")
                result = self.pipeline(picture, prompt, arm=arm, seed=int(seed), callback=follow)
                path = Path(folder) / f"{name_file(prompt)}-{arm}-seed{result.seed}.mp4"
                clips.append(str(result.save(path, scale=ENLARGED, smooth=SMOOTH, label=True)))
                reports[arm] = make_report(result)
            yield *clips, reports


def build_compare(studio: Studio, consent: Any) -> None:
    """Lay out the tab inside the current block.

    Args:
        studio: the Portrait tab's, for its pipeline and its examples.
        consent: the page's checkbox.
    """
    comparison = Comparison(studio)
    gr.HTML(INTRODUCTION, elem_classes="introduction")
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
        with gr.Column(scale=5, min_width=300):
            cards = gr.HTML(_list_faces(comparison.studio), elem_id="compare-faces", js_on_load=FACE_JS)
            prompt = gr.Textbox(PROMPTS[0], label="What happens", max_length=1000, elem_id="compare-prompt")
            with gr.Row(elem_classes="chips"):
                for words in PROMPTS:
                    button = gr.Button(words, size="sm", min_width=0, scale=0)
                    button.click(None, outputs=prompt, js=f"() => {words!r}", api_visibility="private")
            with gr.Row():
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=90, scale=1)
                run = gr.Button("Make three clips", variant="primary", elem_id="compare-run", scale=3)
                cancel = gr.Button("Cancel", visible=False, elem_id="compare-cancel", scale=3)
    with gr.Row(elem_id="arms"):
        clips = [_lay_out_arm(arm) for arm in ARMS]
    report = gr.JSON(visible=False, label="Report")
    table = gr.HTML(elem_id="compare-table")
    cards.click(comparison.choose, outputs=photo, **QUIET)
    done = comparison.runs.wire(
        [run.click, prompt.submit], comparison.compare, [photo, prompt, consent, seed], [*clips, report],
        buttons=[run, cancel], api_name="compare", progress_on=clips,
    )  # fmt: skip
    done.success(show_table, report, table, **QUIET)
    done.success(None, js=IN_STEP_JS, **QUIET)


def _first_picture(studio: Studio) -> np.ndarray | None:
    return studio.examples[0].picture if studio.examples else None


def _list_faces(studio: Studio) -> str:
    faces = "".join(
        f'<button type="button" data-index="{k}" aria-label="Example face {k + 1}">'
        f'<img src="{make_thumbnail(example.picture, 96)}" alt=""></button>'
        for k, example in enumerate(studio.examples)
    )
    return f'<div class="faces">{faces}</div>' if faces else ""


def _lay_out_arm(arm: str) -> Any:
    name, words = HEADINGS[arm]
    with gr.Column(min_width=240):
        gr.HTML(f"<h2>{name}</h2><p>{words}</p>", elem_classes="arm-heading")
        return gr.Video(
            label=name, show_label=False, autoplay=True, loop=True, interactive=False, buttons=[],
            height="auto", elem_classes="arm-clip", elem_id=f"arm-{arm}",
        )  # fmt: skip


def show_table(reports: Mapping[str, Mapping[str, Any]] | None) -> str:
    """Set the scores of the three side by side; a cancelled run has none."""
    if not reports:
        return ""
    rows = "".join(_table_row(arm, report) for arm, report in reports.items())
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in reports["iad"]["notes"])
    heads = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    return (
        f'<table class="numbers"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{notes}{LEGEND}'
    )


def _table_row(arm: str, report: Mapping[str, Any]) -> str:
    numbers = (np.mean(report["identity"]), report["action"], report["copied"])
    cells = "".join(f"<td>{number:.2f}</td>" for number in numbers)
    return f'<tr><th scope="row">{HEADINGS[arm][0]}</th>{cells}<td>{report["seconds"]:.1f}</td></tr>'
