"""The finisher: untrained it changes nothing, and what it learns is where the photo's pixels went."""

import json
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import ASTRONAUT
from PIL import Image

from iad import IaDPipeline
from iad.autoencoder import to_tensor
from iad.config import PRESETS
from iad.evaluation.bench import Bench, _make
from iad.evaluation.plan import Plan, list_wanted
from iad.finishing import create_finisher, finish, resize, warp
from iad.text import parse_prompt

TINY = PRESETS["tiny"]
CODES = TINY.decoupler.code_dim


def make_open(seed=0):
    """Build a finisher that looks everything up where its random motion field says."""
    torch.manual_seed(seed)
    finisher = create_finisher(TINY)
    torch.nn.init.constant_(finisher.gate, 1.0)
    for last in (finisher.to_motion, finisher.to_finish):
        torch.nn.init.normal_(last.weight, std=0.05)
    return finisher


def make_clip(frames=4, seed=0):
    torch.manual_seed(seed)
    pictures = torch.nn.functional.interpolate(torch.rand(frames + 1, 3, 16, 16), size=(128, 128))
    return pictures[:frames], pictures[-1], torch.randn(frames // 2, CODES), torch.randn(CODES)


def test_untrained_it_changes_nothing():
    frames, photo, code, own = make_clip()
    assert torch.equal(finish(create_finisher(TINY), frames, photo, code, own), frames)


def test_a_still_field_gives_the_photo_back_and_a_shift_moves_it():
    photo = make_clip()[1][None]
    still = torch.zeros(1, 2, 128, 128)
    assert torch.allclose(warp(photo, still), photo, atol=1e-5)
    right = still.clone()
    right[:, 0] = 2 * 8 / 128  # eight pixels, in units of half a picture
    assert torch.allclose(warp(photo, right)[..., :-8], photo[..., 8:], atol=1e-4)
    right[..., 64:, :] = 0  # the lower half stays
    assert torch.allclose(warp(photo, right)[..., 64:, :], photo[..., 64:, :], atol=1e-4)
    assert torch.allclose(warp(photo, right)[..., :64, :-8], photo[..., :64, 8:], atol=1e-4)


def test_the_scale_goes_from_the_frames_to_the_finished_ones():
    frames, photo, code, own = make_clip()
    with torch.no_grad():
        none, half, whole = (finish(make_open(), frames, photo, code, own, scale=s) for s in (0, 0.5, 1))
        photos, codes = photo.expand(4, -1, -1, -1), code.repeat_interleave(2, 0)
        bare = make_open()(frames, photos, codes, own.expand(4, -1))
    assert torch.equal(none, frames)
    assert torch.allclose(whole, bare.clamp(0, 1), atol=1e-6) and (whole - frames).abs().mean() > 0.02
    assert torch.allclose(half, (frames + bare).clamp(0, 2) / 2, atol=0.2)
    assert 0 < (half - frames).abs().mean() < (whole - frames).abs().mean()


def test_every_frame_hears_its_own_code_and_none_where_there_is_none():
    frames, photo, code, own = make_clip()
    finisher = make_open()
    torch.nn.init.normal_(finisher.hear[2].weight, std=1.0)
    with torch.no_grad():
        told = finish(finisher, frames, photo, code, own)
        other = finish(finisher, frames, photo, torch.stack([code[0], code[1] + 1]), own)
        silent = [finish(finisher, frames, photo, None, x) for x in (own, own + 1)]
    assert torch.equal(told[:2], other[:2]) and not torch.allclose(told[2:], other[2:])
    assert torch.equal(*silent) and not torch.allclose(silent[0], told)


def test_a_larger_photo_makes_a_larger_clip_of_the_same():
    frames, photo, code, own = make_clip()
    large = torch.nn.functional.interpolate(photo[None], size=(256, 256), mode="bicubic")[0]
    with torch.no_grad():
        small, big = (finish(make_open(), frames, p, code, own) for p in (photo, large))
    assert big.shape == (4, 3, 256, 256)
    assert (resize(big, 128) - small).abs().mean() < 0.03 < (small - frames).abs().mean()


@pytest.fixture(scope="module")
def pipe():
    pipe = IaDPipeline.create("tiny")
    pipe.parts["finisher"].load_state_dict(make_open().state_dict())
    return pipe


def test_the_pipeline_finishes_with_the_first_photo(pipe, photo):
    bare, done = (pipe(photo, "smiles", detail_scale=scale) for scale in (0, 1))
    assert bare.settings["detail_scale"] == 0 and done.settings["detail_scale"] == 1
    untrained = IaDPipeline.create("tiny")(photo, "smiles")
    assert np.array_equal(bare.frames, untrained.frames) and not np.array_equal(bare.frames, done.frames)
    crop = to_tensor(pipe.find_face(photo).image)
    assert (to_tensor(done.frames) - crop).abs().mean() < (to_tensor(bare.frames) - crop).abs().mean()


def test_without_a_person_the_photo_does_not_come_back(pipe, photo):
    mirrored = np.asarray(Image.open(ASTRONAUT).convert("RGB"))[:, ::-1].copy()
    clips = [pipe(p, "smiles", identity_scale=0).frames for p in (photo, mirrored)]
    assert np.array_equal(*clips)


def test_the_size_is_chosen_and_wrong_ones_are_named(pipe, photo):
    small, large = (pipe(photo, "smiles", size=size) for size in (None, 256))
    assert large.frames.shape == (16, 256, 256, 3) and large.settings["size"] == 256
    assert small.settings["size"] == 128 and small.scores.keys() == large.scores.keys()
    shrunk = resize(to_tensor(large.frames), 128)
    assert (shrunk - to_tensor(small.frames)).abs().mean() < 0.04
    for size in (64, 129, 1024):
        with pytest.raises(ValueError, match=f"size is {size}; give an even number .* from 128 to 512"):
            pipe(photo, "smiles", size=size)
    with pytest.raises(ValueError, match="detail_scale is 2; give a number from 0 to 1"):
        pipe(photo, "smiles", detail_scale=2)


def test_it_hears_the_action_where_the_arm_has_a_channel_for_it(pipe, photo, monkeypatch):
    heard, look = [], pipe.parts["finisher"].look
    monkeypatch.setattr(pipe.parts["finisher"], "look", lambda *x: heard.append(x[2:]) or look(*x))
    for arm in ("iad", "consisid"):
        pipe(photo, "smiles", arm=arm)
    told = pipe.text_codes(parse_prompt("smiles", duration=2.0), 8)[0].repeat_interleave(2, 0)
    own = pipe._split(pipe.find_face(photo).image[None]).code
    assert torch.allclose(heard[0][0], told) and torch.allclose(heard[0][1], own.expand(16, -1))
    assert not heard[1][0].any() and not heard[1][1].any()


@pytest.mark.parametrize("arm", ["consisid", "id-animator"])
def test_the_other_arms_are_finished_too(pipe, photo, arm):
    bare, done = (pipe(photo, "smiles", arm=arm, detail_scale=scale).frames for scale in (0, 1))
    assert not np.array_equal(bare, done)


def test_it_is_saved_and_loaded_and_may_be_missing(pipe, photo, tmp_path):
    pipe.save_pretrained(tmp_path)
    frames = pipe(photo, "smiles").frames
    assert np.array_equal(IaDPipeline.from_pretrained(tmp_path)(photo, "smiles").frames, frames)
    (tmp_path / "finisher.safetensors").unlink()
    with pytest.raises(ValueError, match="finisher.safetensors is missing"):
        IaDPipeline.from_pretrained(tmp_path)


def test_a_folder_of_older_weights_does_without(photo, tmp_path):
    older = IaDPipeline.create("tiny")
    older.save_pretrained(tmp_path)
    manifest = tmp_path / "manifest.json"
    told = json.loads(manifest.read_text())
    told["files"] = {k: v for k, v in told["files"].items() if not k.startswith("finisher")}
    del told["preset"]["finisher"]
    manifest.write_text(json.dumps(told))
    loaded = IaDPipeline.from_pretrained(tmp_path)
    assert np.array_equal(loaded(photo, "smiles").frames, older(photo, "smiles").frames)


def test_evaluation_asks_for_the_detail_of_its_plan(tmp_path):
    bench = Bench(Plan("tiny", ("iad",), photo=0, rendered=2, head="tiny", detail_scale=0.5), tmp_path)
    asked, picture = [], np.zeros((128, 128, 3), np.uint8)
    bench.references = lambda person: defaultdict(lambda: picture)
    bench.pipe = lambda *_, **options: asked.append(options) or SimpleNamespace(frames=picture[None])
    _make(bench, next(iter(list_wanted(bench.plan, "iad", 0))), "smiles")
    assert [options["detail_scale"] for options in asked] == [0.5]
