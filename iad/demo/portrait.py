"""The page on which a photo and a sentence become a clip: its layout, and which click calls what."""

from typing import Any

import gradio as gr

from iad.demo.events import PortraitActions
from iad.demo.wording import TITLE, describe_examples, describe_model, describe_scores

CHIPS = ("smiles", "laughs", "looks surprised", "closes the eyes", "nods", "[0-1s] smiles [1-2s] looks sad")
ARMS = (
    ("IaD: identity and action decoupled", "iad"),
    ("ConsisID's recipe: the face crop, as it is", "consisid"),
    ("ID-Animator's recipe: the face's tokens, as they are", "id-animator"),
)
CONSENT = "The person in my photo is me, or agreed to this. Not needed for the examples."
CARDS_JS = """
element.addEventListener('click', event => {
  const card = event.target.closest('button');
  if (card) trigger('click', {index: Number(card.dataset.index)});
});
"""
# On a phone the clip lies below the button.
SHOW_CLIP_JS = """
() => {
  if (innerWidth < 800) document.getElementById('clip').scrollIntoView({behavior: 'smooth', block: 'center'});
}
"""
NEW_SEED_JS = "() => Math.floor(Math.random() * 1e6)"


def build_portrait(pipeline: Any) -> None:
    """Lay out the page inside the current `gr.Blocks`."""
    actions = PortraitActions(pipeline)
    gr.HTML(TITLE, elem_id="title")
    with gr.Row(elem_id="work", equal_height=False):
        with gr.Column(scale=5, min_width=300):
            inputs, face_view, cards = _lay_out_inputs(actions)
            generate = gr.Button("Generate", variant="primary", elem_id="generate")
            cancel = gr.Button("Cancel", visible=False, elem_id="cancel")
            inputs += [_lay_out_seed(), *_lay_out_advanced(pipeline.preset)]
        with gr.Column(scale=6, min_width=300):
            clip = gr.Video(
                label="Clip", show_label=False, autoplay=True, loop=True, interactive=False, buttons=[],
                elem_id="clip", height="auto",
            )  # fmt: skip
            scores = gr.HTML(elem_id="scores")
            download = gr.DownloadButton("Download mp4", visible=False, elem_id="download")
            report = gr.JSON(label="Report", visible=False)
    gr.HTML(describe_model(pipeline.preset), elem_id="honesty")
    photo, prompt, consent, face = inputs[0], inputs[1], inputs[2], inputs[-2]

    if cards:
        cards.click(actions.choose_example, outputs=[photo, prompt], api_visibility="private")
    gr.on(
        [photo.change, consent.change, face.change], actions.look_for_face, [photo, consent, face], face_view,
        api_visibility="private", concurrency_limit=2, show_progress="minimal", trigger_mode="always_last",
    )  # fmt: skip
    buttons = [generate, cancel]
    started = gr.on(
        [generate.click, prompt.submit], actions.start, outputs=buttons, js=SHOW_CLIP_JS, queue=False,
        api_visibility="private",
    )  # fmt: skip
    run = started.then(
        actions.generate, inputs, [clip, report], api_name="generate", concurrency_limit=1,
        show_progress_on=clip,
    )  # fmt: skip
    quiet = {"api_visibility": "private", "queue": False}
    run.success(_show_report, [clip, report], [scores, download], **quiet)
    run.success(actions.finish, outputs=buttons, **quiet)
    run.failure(actions.finish, outputs=buttons, **quiet)  # `then` does not follow a failure
    cancel.click(actions.cancel, outputs=buttons, cancels=[run], **quiet)
    gr.context.Context.root_block.unload(actions.forget)


def _lay_out_inputs(actions: PortraitActions) -> tuple[list[Any], Any, Any]:
    photo = gr.Image(
        label="Photo", type="filepath", image_mode=None, sources=["upload", "webcam", "clipboard"],
        format="png", height=230, elem_id="photo", buttons=[],
        placeholder="Drop a photo of a face here,\nor click to choose one",
    )  # fmt: skip
    photo.preprocess = _get_path
    face_view = gr.HTML(elem_id="face")
    consent = gr.Checkbox(False, label=CONSENT, elem_id="consent", container=False)
    cards = None
    if actions.examples:
        cards = gr.HTML(describe_examples(actions.examples), elem_id="examples", js_on_load=CARDS_JS)
    prompt = gr.Textbox(
        label="What happens", placeholder="a woman laughs", lines=1, max_lines=3, max_length=1000,
        elem_id="prompt", submit_btn=False,
    )  # fmt: skip
    with gr.Row(elem_id="chips"):
        for chip in CHIPS:
            button = gr.Button(chip, size="sm", min_width=0, scale=0)
            button.click(None, outputs=prompt, js=f"() => {chip!r}", api_visibility="private")
    return [photo, prompt, consent], face_view, cards


def _lay_out_seed() -> Any:
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed", min_width=120)
        shuffle = gr.Button("New seed", size="sm", min_width=100, scale=0, elem_id="shuffle")
    shuffle.click(None, outputs=seed, js=NEW_SEED_JS, api_visibility="private")
    return seed


def _lay_out_advanced(preset: Any) -> list[Any]:
    sampler = preset.sampler
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        identity = gr.Slider(0, 2, 1, step=0.05, label="Identity strength", info="How much the photo counts")
        action = gr.Slider(0, 2, 1, step=0.05, label="Action strength", info="How much the prompt counts")
        steps = gr.Slider(
            1, 50, sampler.steps, step=1, label="Steps", info="More are slower and finer", elem_id="steps"
        )
        guidance = gr.Slider(
            1, 6, sampler.guidance_scale, step=0.1, label="Guidance", info="Higher follows more, varies less"
        )
        face = gr.Number(
            0, label="Face number", info="0 is the largest face in the photo", precision=0, minimum=0
        )
        arm = gr.Dropdown(
            list(ARMS), value=ARMS[0][1], label="Method", info="Two older recipes, trained on the same data",
            elem_id="arm",
        )  # fmt: skip
    return [identity, action, steps, guidance, face, arm]


def _get_path(payload: Any) -> str | None:
    # gr.Image would open the file with PIL, before `load_image` has checked it.
    return payload.path if payload else None


def _show_report(clip: str, report: dict[str, Any]) -> tuple[str, Any]:
    if report is None:  # a cancelled run ends here too
        return "", gr.update(visible=False)
    return describe_scores(report), gr.update(value=clip, visible=True)
