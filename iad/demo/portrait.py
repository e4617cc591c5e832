"""The Portrait tab: a photo and a sentence become a clip. Its layout, and which click calls what."""

from typing import Any

import gradio as gr

from iad.demo.clip_form import SIZES
from iad.demo.examples import Example
from iad.demo.faceview import FACE_JS
from iad.demo.full_size import FullSize
from iad.demo.link import link_settings
from iad.demo.model_choice import AT_ONCE, ModelChoice
from iad.demo.repertoire import Repertoire
from iad.demo.runs import QUIET
from iad.demo.studio import ACTION_SOURCES, MOST_PHOTOS, Studio, with_report
from iad.demo.timeline import build_timeline
from iad.demo.understanding import SUGGESTION_JS, wire_understanding
from iad.demo.uploads import PHOTOS, keep_path
from iad.demo.wording import ARM_CHOICES, ARM_INFO, CARDS_JS, describe_examples
from iad.request import DURATION, LONGEST

CHIPS = (
    "smiles", "laughs", "looks surprised", "closes the eyes", "winks", "frowns", "nods",
    "turns the head left", "smiles, then looks sad",
)  # fmt: skip
# Where the clip is out of sight, as on a small phone, or below the dials; page.css leaves room around.
SHOW_CLIP_JS = """
() => { document.getElementById('downloads').scrollIntoView({behavior: 'smooth', block: 'nearest'}); }
"""
# What a card asks for is made anew at once, while the clip that was prepared for it plays.
PRESS_GENERATE_JS = "() => { document.getElementById('generate').click(); }"
# A link must not name an example where the visitor's own photo is shown.
LEAVE_CARD_JS = "() => document.querySelector('#examples [aria-current]')?.removeAttribute('aria-current')"
NEW_SEED_JS = "() => Math.floor(Math.random() * 1e6)"
# A page that is not served securely has no clipboard.
COPY_LINK_JS = """
() => {
  const button = document.getElementById('copy-link'), say = words => { button.textContent = words; };
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
  copied.then(() => say('Link copied'), () => prompt('Copy this link:', location.href));
  setTimeout(() => say('Copy link'), 4000);
}
"""
# Shown where a device can share files, as phones can: theme.WATCH_JS looks.
SHARE_JS = """
async () => {
  const address = document.querySelector('#clip video').src, name = address.split('/').pop();
  const clip = await (await fetch(address)).blob();
  const files = [new File([clip], name, {type: 'video/mp4'})];
  navigator.share({files}).catch(() => {});  // the visitor thought better of it
}
"""


def build_portrait(pipeline: Any, consent: Any, full_size: FullSize | None = None) -> Studio:
    """Lay out the tab inside the current block, and wire it.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline`.
        consent: the page's checkbox.
        full_size: the model to choose beside it, if there is one.
    """
    studio, preset = Studio(pipeline, full_size), pipeline.preset
    first = studio.first_prepared()
    choice = ModelChoice(full_size, small=preset.name, duration=preset.duration)
    with gr.Row(elem_id="work", equal_height=False):
        # Two columns, and below them rows of the full width; a phone has one column. page.css places all.
        with gr.Column(elem_id="ask"):
            photo, view = _lay_out_photo(first)
            prompt, words = _lay_out_prompt(first)
            model, line = choice.lay_out()
            with gr.Row(elem_id="go"):
                generate = gr.Button("Generate", variant="primary", elem_id="generate")
                cancel = gr.Button("Cancel", visible=False, elem_id="cancel")
            duration, whole, loop, size = _lay_out_form()
            face = gr.Number(0, precision=0, minimum=0, visible=False, label="Face, 0 the largest")
        with gr.Column(elem_id="made"):
            clip, scores, files, sheet = _lay_out_clip(studio, first)
            result = gr.State(time_to_live=3600)
        strip = gr.HTML(elem_id="repertoire", js_on_load=FACE_JS)
        cards = gr.HTML(describe_examples(studio.examples), elem_id="examples", js_on_load=CARDS_JS)
        with gr.Column(elem_id="settings"):
            seed = _lay_out_seed()
            length = choice.lay_out_length()
            build_timeline(prompt, length)
            action_from, picture, video = _lay_out_drivers(studio, consent)
            more = _lay_out_more()
            with gr.Accordion("Advanced", open=False, elem_id="advanced"):
                identity, action, detail = _lay_out_strengths()
                guidance = _lay_out_guidance(preset)
                dials = choice.lay_out_dials()
                arm, label = _lay_out_method()

    studio.photo, studio.face = photo, face
    chosen = cards.click(studio.choose_example, outputs=[photo, prompt, clip, scores], **QUIET)
    chosen.success(None, js=PRESS_GENERATE_JS, **QUIET)
    photo.upload(None, js=LEAVE_CARD_JS, **QUIET)
    _wire_faces(studio, photo, consent, view, face)
    wire_understanding(pipeline, words, prompt, [duration, model])
    _wire_repertoire(Repertoire(studio), strip, prompt, [photo, consent, face])
    # `generate` takes what only mini has last; without a full-size model, nothing stands for its dials.
    at_once = AT_ONCE if dials else 1
    more_dials = dials.inputs.values() if dials else [gr.State() for _ in range(4)]
    inputs = [
        photo, prompt, consent, seed, identity, action, guidance, face, arm,
        more, action_from, picture, video, label, model, *more_dials, detail, duration, whole, loop, size,
    ]  # fmt: skip
    _wire_interface(studio, inputs, clip, at_once)  # first: it takes the public name
    run = studio.runs.wire(
        [generate.click, prompt.submit], studio.generate, inputs, [clip, result],
        buttons=[generate, cancel], api_name=None, progress_on=clip, js=SHOW_CLIP_JS, at_once=at_once,
    )  # fmt: skip
    gr.on([generate.click, prompt.submit], None, None, scores, js="() => ''", **QUIET)  # of the clip before
    shown = run.success(studio.show_scores, result, scores, **QUIET)
    shown.success(studio.offer_files, [clip, result, label], [*files, sheet, result], **QUIET)
    if dials:
        own = [detail, guidance, duration, whole, loop, size]
        choice.wire(model, line, arm, dials, small_dials=own, length=length, after=run.success)
    duration.change(None, duration, length, js="seconds => seconds", api_visibility="private")
    linked = {
        "prompt": prompt, "seed": seed, "seconds": duration, "whole": whole, "loop": loop, "size": size,
        "identity": identity, "action": action, "detail": detail, "guidance": guidance, "arm": arm,
    }  # fmt: skip
    linked |= {"model": model} | dials.inputs if dials else {}
    shown = [photo, clip, scores]
    script = link_settings(linked, examples=studio.examples, shown=shown, show=studio.show_example)
    run.success(None, [*linked.values()], js=script, **QUIET)
    return studio


def _lay_out_photo(first: Example | None) -> tuple[Any, Any]:
    photo = keep_path(
        gr.Image(
            first.picture if first else None,
            label="Photo",
            type="filepath",
            image_mode=None,
            sources=["upload", "webcam", "clipboard"],
            format="png",
            height=196,
            elem_id="photo",
            buttons=[],
            placeholder="Drop a photo of a face here,\nor click to choose one",
        )  # fmt: skip
    )
    return photo, gr.HTML(elem_id="face", js_on_load=FACE_JS)


def _lay_out_more() -> Any:
    with gr.Accordion("More photos of the same person", open=False, elem_id="more-photos"):
        return keep_path(gr.File(
            label=f"Up to {MOST_PHOTOS - 1} more photos", file_count="multiple",
            file_types=PHOTOS, height=150, elem_id="more",
        ))  # fmt: skip


def _wire_faces(studio: Studio, photo: Any, consent: Any, view: Any, face: Any) -> None:
    look = {
        "outputs": [view, photo, face], "api_visibility": "private", "concurrency_limit": 2,
        "show_progress": "minimal", "trigger_mode": "always_last",
    }  # fmt: skip
    photo.change(studio.look_for_faces, [photo, consent], **look)
    consent.change(studio.look_once_agreed, [photo, consent], **look)
    view.click(studio.choose_face, [photo, consent], **look)


def _wire_interface(studio: Studio, inputs: list[Any], clip: Any, at_once: int) -> None:
    """Answer callers without a page, who get clip and report at once; nobody presses this button."""
    gr.Button(visible=False).click(
        with_report(studio.generate), inputs, [clip, gr.JSON(label="Report", visible=False)],
        api_name="generate", concurrency_id=f"model-{at_once}", concurrency_limit=at_once,
    )  # fmt: skip


def _wire_repertoire(repertoire: Repertoire, strip: Any, prompt: Any, inputs: list[Any]) -> None:
    page = gr.context.Context.root_block
    gr.on(
        [page.load, *(part.change for part in inputs)], repertoire.show, inputs, strip,
        api_visibility="private", concurrency_limit=1, show_progress="hidden", trigger_mode="always_last",
    )  # fmt: skip
    strip.click(repertoire.choose, outputs=prompt, **QUIET).success(None, js=PRESS_GENERATE_JS, **QUIET)


def _lay_out_prompt(first: Example | None) -> tuple[Any, Any]:
    prompt = gr.Textbox(
        first.prompt if first else "", label="What happens", placeholder="a woman laughs", lines=1,
        max_lines=3, max_length=1000, elem_id="prompt", submit_btn=False,
    )  # fmt: skip
    words = gr.HTML(elem_id="understood", js_on_load=SUGGESTION_JS)
    with gr.Row(elem_id="chips"):
        for chip in CHIPS:
            button = gr.Button(chip, size="sm", min_width=0, scale=0)
            button.click(None, outputs=prompt, js=f"() => {chip!r}", api_visibility="private")
    return prompt, words


def _lay_out_drivers(studio: Studio, consent: Any) -> tuple[Any, Any, Any]:
    with gr.Accordion("Take the action from a picture or a video", open=False, elem_id="drivers"):
        gr.HTML('<p class="quiet">Of a video the clip takes its length, up to 10 s.</p>')
        source = gr.Radio(
            list(ACTION_SOURCES), value="words", label="The action comes from", elem_id="action-from"
        )
        picture = keep_path(
            gr.Image(
                label="Driving picture",
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                format="png",
                height=180,
                buttons=[],
                visible=False,
                elem_id="driving-picture",
            )  # fmt: skip
        )
        video = keep_path(
            gr.Video(
                label="Driving video",
                sources=["upload"],
                height=180,
                buttons=[],
                visible=False,
                elem_id="driving-video",
            )  # fmt: skip
        )
        told = gr.HTML(elem_id="driver-told")
    gr.on(
        [source.change, picture.change, video.change, consent.change], studio.look_at_driver,
        [picture, video, source, consent], told, api_visibility="private", concurrency_limit=2,
        show_progress="hidden", trigger_mode="always_last",
    )  # fmt: skip
    source.change(
        lambda chosen: (gr.update(visible=chosen == "picture"), gr.update(visible=chosen == "video")),
        source, [picture, video], **QUIET,
    )  # fmt: skip
    return source, picture, video


def _lay_out_form() -> tuple[Any, Any, Any, Any]:
    with gr.Row(elem_id="form"):
        duration = gr.Slider(
            1, LONGEST, DURATION, step=0.5, label="Length (seconds)", min_width=150, scale=3,
            elem_id="duration",
        )  # fmt: skip
        size = gr.Dropdown(
            list(SIZES), value=SIZES[0], label="Pixels", min_width=90, scale=1, elem_id="size"
        )
    with gr.Row(elem_id="ways"):
        whole = gr.Checkbox(False, label="In its whole photo", elem_id="whole", container=False, min_width=0)
        loop = gr.Checkbox(True, label="Loop without a jump", elem_id="loop", container=False, min_width=0)
    return duration, whole, loop, size


def _lay_out_strengths() -> tuple[Any, Any, Any]:
    with gr.Row(elem_id="strengths"):
        identity, action = (
            gr.Slider(0, 2, 1.0, step=0.05, label=f"{name.title()} strength", min_width=140, elem_id=name)
            for name in ("identity", "action")
        )
    detail = gr.Slider(
        0, 1, 1.0, step=0.05, label="Photo detail", elem_id="detail",
        info="1 draws with the photo’s own pixels; 0 shows what the two embeddings alone carry. Below 1 also "
        "count: more photos, guidance, identity strength above 1",
    )  # fmt: skip
    return identity, action, detail


def _lay_out_seed() -> Any:
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed", min_width=120)
        shuffle = gr.Button("New seed", size="sm", min_width=100, scale=0, elem_id="shuffle")
    shuffle.click(None, outputs=seed, js=NEW_SEED_JS, api_visibility="private")
    return seed


def _lay_out_guidance(preset: Any) -> Any:
    return gr.Slider(
        1, 6, preset.sampler.guidance_scale, step=0.1, label="Guidance",
        info="Of the denoiser: it counts where Photo detail is below 1; higher exaggerates the words more",
    )  # fmt: skip


def _lay_out_method() -> tuple[Any, Any]:
    arm = gr.Dropdown(list(ARM_CHOICES), value="iad", label="Method", elem_id="arm", info=ARM_INFO)
    label = gr.Checkbox(True, label="Write “AI-generated” into a corner of the clip", elem_id="label")
    return arm, label


def _lay_out_clip(studio: Studio, first: Example | None) -> tuple[Any, Any, list[Any], Any]:
    clip = gr.Video(
        first.clip if first else None, label="Clip", show_label=False, autoplay=True, loop=True,
        interactive=False, buttons=[], elem_id="clip", height="auto",
    )  # fmt: skip
    with gr.Row(elem_id="downloads"):
        share = gr.Button("Share", variant="primary", size="sm", min_width=90, elem_id="share")
        files = [
            gr.DownloadButton(
                f"Download {kind}", visible=False, size="sm", min_width=90, elem_id=f"download-{kind}"
            )
            for kind in ("mp4", "gif", "png")
        ]
        copy = gr.Button("Copy link", visible=False, size="sm", min_width=90, elem_id="copy-link")
    copy.click(None, js=COPY_LINK_JS, **QUIET)
    share.click(None, js=SHARE_JS, **QUIET)
    scores = gr.HTML(studio.describe_prepared(first), elem_id="scores")
    sheet = gr.HTML(elem_id="sheet")
    return clip, scores, [*files, copy], sheet
