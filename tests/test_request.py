"""A request is the same from every door: a setting has one range and one sentence, under its asker's name."""

import re

import pytest

from iad.cli import create_parser
from iad.config import ARMS, CONTROLS
from iad.request import OPTIONS, SETTINGS, Request, as_key, as_option, check_settings, find_kind


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_inference_steps": 0}, "{num_inference_steps} is 0; give a number from 1 to 1000."),
        ({"identity_scale": float("nan")}, "{identity_scale} is nan; give a number from 0 to 10."),
        ({"paste_back": 1}, "'{paste_back}' must be true or false, it is 1."),
        ({"seed": True}, "'{seed}' must be a whole number, it is True."),
        ({"fps": "24"}, "'{fps}' must be a number, it is '24'."),
        ({"size": 65}, "{size} is 65; give an even number of pixels."),
        ({"arm": "entangld"}, "Unknown arm 'entangld'; did you mean 'entangled'?"),
        ({"arm": "x" * 5000}, f"Unknown arm '{'x' * 80}'; choose"),
        ({"duration": 2.0, "num_frames": 9}, "{duration} and {num_frames} both say how long the clip is"),
        ({"paste_back": True, "arm": "consisid"}, "{paste_back} needs a face that is drawn"),
    ],
)
def test_a_mistake_has_one_sentence_whoever_makes_it(settings, said):
    for name in (str, as_key, as_option):
        words = said.format_map({key: name(key) for key in SETTINGS})
        with pytest.raises(ValueError, match=re.escape(words)):
            check_settings(settings, name=name)
    assert (as_key("num_frames"), as_option("paste_back")) == ("frames", "--paste-back")


def test_there_is_no_request_that_no_model_could_make():
    with pytest.raises(ValueError, match="detail_scale is 2; give a number from 0 to 1"):
        Request("a.jpg", "nods", detail_scale=2)
    with pytest.raises(ValueError, match="'prompt' must be a text"):
        check_settings({"prompt": None})


def test_the_command_line_asks_for_every_setting_as_it_is():
    words = ["generate", "--reference", "a.jpg", "--prompt", "nods", "--output", "a.mp4"]
    plain = create_parser().parse_args(words)
    for option, name in OPTIONS.items():
        kind, setting = find_kind(name), SETTINGS[name]
        assert getattr(plain, option) == setting.default
        value = {bool: True, int: 128, float: 0.5, str: "iad"}.get(kind, "file.png")
        said = [as_option(name)] if kind is bool else [as_option(name), str(value)]
        assert getattr(create_parser().parse_args([*words, *said]), option) == value


def test_what_one_size_takes_is_refused_for_the_other():
    for name, setting in SETTINGS.items():
        if only := setting.metadata.get("only"):
            low = setting.metadata.get("low", 1)
            value = {bool: True, int: 128, float: low, str: "absolute"}[find_kind(name)]
            request = Request("a.jpg", "nods", **{name: value})
            request.check_for(small=only == "small")
            with pytest.raises(ValueError, match=f"^--.*: only {only} models take these"):
                request.check_for(small=only != "small", name=as_option)
    for arm in CONTROLS:
        with pytest.raises(ValueError, match=f"at full size there are {', '.join(ARMS)}"):
            Request("a.jpg", "nods", arm=arm).check_for(small=False)
