"""Every control of the Portrait tab changes what a visitor sees: the frames themselves, not only settings."""

from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from iad import IaDPipeline
from iad.demo.studio import Studio
from iad.installation import EXAMPLES

GRIN, VIDEO = EXAMPLES / "person-131.png", EXAMPLES / "gallery" / "person-131.mp4"
USUAL = {
    "prompt": "smiles", "consent": True, "seed": 0, "identity_scale": 1.0, "action_scale": 1.0,
    "guidance_scale": 2.5, "face": 0, "arm": "iad", "duration": 1.0,
}  # fmt: skip
SOFT = {"detail_scale": 0.5}  # below 1 the denoiser counts, too
OPEN = {"loop": False}  # as is whatever follows a picture or a video
CONTROLS = {  # what is turned, and what both clips have turned already
    "prompt": ({"prompt": "frowns"}, {}),
    "timeline": ({"prompt": "[0-0.5s] smiles [0.5-1s] nods"}, {}),
    "seed": ({"seed": 5}, {}),
    "identity strength": ({"identity_scale": 0.4}, {}),
    "action strength": ({"action_scale": 0.4}, {}),
    "photo detail": (SOFT, {}),
    "guidance": ({"guidance_scale": 6.0}, SOFT),
    "more photos": ({"more_photos": [str(GRIN)]}, SOFT),
    "method": ({"arm": "consisid"}, {}),
    "loop": ({"loop": False}, {}),
    "a driving picture": ({"action_from": "picture", "driving_picture": str(GRIN)}, OPEN),
    "a driving video": ({"action_from": "video", "driving_video": str(VIDEO)}, OPEN | {"duration": 2.0}),
    "length": ({"duration": 1.5}, {}),
    "size": ({"size": "512"}, {}),
    "whole photo": ({"paste_back": True}, {}),
}
SHAPES = ("length", "size", "whole photo")  # change the frames' shape; all others what is on them


class Quick:
    """A pipeline that draws few and small frames, where their size is not asked for."""

    def __init__(self, pipeline):
        self.pipeline, self.preset = pipeline, pipeline.preset

    def generate(self, request, callback):
        return self.pipeline.generate(replace(request, size=request.size or 96, fps=8), callback)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    pipeline = IaDPipeline.from_pretrained("mini")
    studio, made = Studio(Quick(pipeline)), {}
    example, photo = studio.examples[0], tmp_path_factory.mktemp("controls") / "photo.png"
    photo.write_bytes(example.png)
    pipeline.keep([example.picture])  # fitted once for all clips

    def make(**turned):
        if (key := repr(turned)) not in made:
            visit = {"request": gr.Request(session_hash="a"), "progress": lambda *_, **__: None}
            ((_, result),) = studio.generate(str(photo), **USUAL | turned, **visit)
            made[key] = result.frames
        return made[key]

    return make


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_changes_the_frames(make, control):
    turned, already = CONTROLS[control]
    before, after = make(**already), make(**already | turned)
    if control in SHAPES:
        assert before.shape != after.shape
    else:
        count = min(len(before), len(after))  # a driving video brings its own length
        assert np.percentile(np.abs(before[:count].astype(int) - after[:count]), 99) >= 16
