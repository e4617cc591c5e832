"""The Play tab: sliders, clips and a webcam move a photo at once. Its layout, and which click calls what.

The stage is one piece of HTML with a script of its own, `js/play.js`; what it asks for, `playroom` answers.
"""

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from iad.demo.examples import list_faces
from iad.demo.expressions import EXPRESSIONS, SLIDERS
from iad.demo.faceview import FACE_JS
from iad.demo.play_words import HELP, INTRODUCTION, READ_JS, READING_JS, SHOW_RECORDED_JS, TEMPLATE
from iad.demo.playroom import PlayRoom
from iad.demo.runs import QUIET, when_closed
from iad.demo.studio import Studio
from iad.demo.uploads import PHOTOS, keep_path

SCRIPT = Path(__file__).parent / "js" / "play.js"


def build_play(studio: Studio, consent: Any, tab: Any) -> PlayRoom:
    """Lay out the tab inside the current block, and wire it.

    Args:
        studio: the Portrait tab's, whose photo is played with.
        consent: the page's checkbox.
        tab: this tab, which takes the photo over when it is opened.
    """
    room = PlayRoom(studio)
    gr.HTML(INTRODUCTION)
    with gr.Row(elem_id="play-photos"):
        cards = gr.HTML(list_faces(studio.faces), elem_id="play-faces", js_on_load=FACE_JS)
        upload = keep_path(
            gr.UploadButton("Another photo", file_types=PHOTOS, size="sm", elem_id="play-upload", scale=0)
        )
    told = gr.HTML(elem_id="play-told")
    stage = gr.HTML(
        "", html_template=_fill_in(TEMPLATE, room), js_on_load=SCRIPT.read_text(encoding="utf-8"),
        elem_id="play-stage", server_functions=_make_functions(room),
    )  # fmt: skip
    _lay_out_recorded(room)
    gr.HTML(HELP)
    gr.on([tab.select, stage.submit, cards.click, upload.upload], None, js=READING_JS, **QUIET)
    # Gradio's own progress would fade the stage, and its words with it.
    fit = {
        "outputs": [stage, told], "api_visibility": "private", "concurrency_limit": 2,
        "show_progress": "hidden",
    }  # fmt: skip
    first = gr.State(0)  # another photo begins with its largest face
    opened = gr.on(
        [tab.select, stage.submit], room.begin, [studio.photo, consent, studio.face],
        trigger_mode="always_last", **fit,
    )  # fmt: skip
    opened.success(None, js=READ_JS, **QUIET)
    for event, choose, inputs in (
        (cards.click, studio.choose_picture, None),
        (upload.upload, lambda path: path, upload),
    ):
        chosen = event(choose, inputs, studio.photo, **QUIET)
        fitted = chosen.success(room.begin, [studio.photo, consent, first], **fit)
        fitted.success(None, js=READ_JS, **QUIET)
    when_closed(room.forget)
    return room


def _lay_out_recorded(room: PlayRoom) -> None:
    with gr.Column(elem_id="play-recorded"):
        clip = gr.Video(
            label="Recorded clip", show_label=False, autoplay=True, loop=True, interactive=False, buttons=[],
            elem_id="play-clip", height="auto",
        )  # fmt: skip
        with gr.Row():
            file = gr.DownloadButton("Download mp4", size="sm", elem_id="play-download")
            save = gr.Button("Save", elem_id="play-save")  # out of sight; the stage's script presses it
            cancel = gr.Button("Cancel", visible=False, size="sm", elem_id="play-cancel")
    room.runs.wire(
        [save.click], room.record, [], [clip, file], buttons=[save, cancel], api_name=None, progress_on=clip,
        js=SHOW_RECORDED_JS,
    )  # fmt: skip


def _make_functions(room: PlayRoom) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    def draw(asked: dict[str, Any]) -> dict[str, Any]:  # gradio marks them, which a method does not bear
        return room.draw(asked)

    def keep(asked: dict[str, Any]) -> dict[str, Any]:
        return room.keep(asked)

    return [draw, keep]


def _fill_in(template: str, room: PlayRoom) -> str:
    sliders = "".join(
        f'<label><span>{words}</span><input type="range" name="{name}" min="{low:g}" max="{high:g}" '
        f'step="{(high - low) / 50:g}" value="0" disabled></label>'
        for name, (words, low, high) in SLIDERS.items()
    )
    expressions = "".join(
        f'<button type="button" data-sliders="{html.escape(json.dumps(moved))}" disabled>{name}</button>'
        for name, moved in EXPRESSIONS.items()
    )
    filled = template.replace("@sliders", sliders).replace("@expressions", expressions)
    return filled.replace("@drivers", room.drivers.list_cards()).replace("@people", room.drivers.describe())
