"""Photo + sentence -> clip, on random weights: shapes, seeds, dials, and sentences for bad input."""

import copy
import inspect

import numpy as np
import pytest
import skimage.data
from PIL import Image

from iad import Action, IaDPipeline
from iad.media.video import read_metadata, read_video, save
from iad.request import SETTINGS


@pytest.fixture(scope="module")
def pipe():
    """Random weights, adapters included: they start silent."""
    pipe = IaDPipeline.create("tiny")
    for block in pipe.parts["transformer"].transformer_blocks:
        if block.index is not None:
            block.identity_attention.to_out.weight.normal_()
            block.action_attention.to_out.weight.normal_()
    return pipe


@pytest.fixture(scope="module")
def photo():
    return skimage.data.astronaut()


def test_same_seed_same_frames(pipe, photo):
    first, again, other = (pipe(photo, "she smiles", seed=seed) for seed in (0, 0, 1))
    assert first.frames.shape == (16, 128, 128, 3) and first.frames.dtype == np.uint8
    assert np.array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, other.frames)


def test_a_photo_to_keep_is_looked_at_once_and_gives_the_same_clips(pipe, photo, monkeypatch):
    looked, look = [], pipe._look
    monkeypatch.setattr(pipe, "_look", lambda *given: looked.append(given) or look(*given))
    other = np.ascontiguousarray(photo[:, ::-1])
    fresh = [pipe(picture, "she smiles", seed=5) for picture in (photo, other)]
    pipe.keep([photo])
    kept = [pipe(picture, "she smiles", seed=5) for picture in (photo, photo.copy(), other, other)]
    assert len(looked) == 2 + 1 + 2  # nothing stays of a photo that is not to be kept
    for clip, plain in zip(kept, (fresh[0], fresh[0], fresh[1], fresh[1]), strict=True):
        assert np.array_equal(clip.frames, plain.frames) and clip.notes == plain.notes
        assert clip.scores["identity_share"] == plain.scores["identity_share"]
    pipe.keep([])


def test_a_clip_that_is_too_large_for_memory_is_refused_before_it_is_drawn(pipe, photo):
    with pytest.raises(ValueError, match=r"600 frames of 1024 x 1024 pixels are too many.* at most 286"):
        pipe(photo, "nods", duration=10, fps=60, size=1024)


def test_result_knows_its_scores_and_saves_everywhere(pipe, photo, tmp_path):
    result = pipe(photo, "she smiles", seed=3)
    assert result.scores["identity"].shape == (16,)
    assert not abs(result.scores["action"]) > 1 and 0 <= result.scores["detected"] <= 1
    assert sum(result.made_of.values()) == pytest.approx(1)
    for suffix in (".mp4", ".gif", ".png"):
        path = result.save(tmp_path / f"clip{suffix}")
        said = read_metadata(path)
        assert said["ai_generated"] and said["seed"] == 3 and said["arm"] == "iad"
    frames, fps = read_video(tmp_path / "clip.mp4", 100)
    assert len(frames) == 16 and fps == 8


def test_scores_are_measured_once_when_they_are_looked_at(pipe, photo, monkeypatch):
    measured, score = [], pipe._score
    monkeypatch.setattr(pipe, "_score", lambda *judged: measured.append(1) or score(*judged))
    result = pipe(photo, "laughs")
    assert not measured
    assert result.scores["detected"] >= 0 and set(result.scores) >= {"identity", "action"} and measured == [1]
    assert type(copy.copy(result.scores)) is dict  # as another process gets it


def test_identity_comes_from_the_photo_and_action_from_the_words(pipe, photo):
    plain, other_words = pipe(photo, "smiles"), pipe(photo, "nods")
    other_face = pipe(photo[:, ::-1].copy(), "smiles")
    assert not np.array_equal(plain.frames, other_words.frames)
    assert not np.array_equal(plain.frames, other_face.frames)
    off = [pipe(p, "smiles", identity_scale=0).frames for p in (photo, photo[:, ::-1].copy())]
    assert np.array_equal(*off)


def test_timeline_in_prompt_and_as_argument_agree(pipe, photo):
    written = pipe(photo, "[0-1s] smiles [1-2s] nods")
    given = pipe(photo, "", timeline=[Action(0.0, 1.0, "smiles"), Action(1.0, 2.0, "nods")])
    assert np.array_equal(written.frames, given.frames)


def test_driving_video_replaces_the_words(pipe, photo, tmp_path):
    path = tmp_path / "drive.mp4"
    save(path, np.repeat(photo[None], 8, axis=0), 8)
    told, filmed, mirrored = (
        pipe(photo, "smiles", action_reference=driver).frames
        for driver in (None, path, photo[:, ::-1].copy())
    )
    assert not np.array_equal(told, filmed)
    assert not np.array_equal(filmed, mirrored)


def test_several_photos_of_one_person_are_one_identity(pipe, photo):
    once, twice = pipe(photo, "smiles"), pipe([photo, photo], "smiles")
    assert np.abs(once.frames.astype(int) - twice.frames).max() <= 1


def test_progress_counts_every_window(pipe, photo):
    seen = []
    pipe(photo, "smiles", duration=4, callback=lambda done, total: seen.append((done, total)))
    assert len(seen) > 1 and seen == [(k + 1, len(seen)) for k in range(len(seen))]


def test_decouple_is_additive(pipe, photo):
    face = pipe.decouple(photo)
    assert np.allclose(face.facial, face.identity + face.action + face.residual, atol=1e-5)
    assert face.identity_share + face.action_share + face.residual_share == pytest.approx(1)
    left, top, right, bottom = face.box
    assert 0 <= left < right <= 512 and 0 <= top < bottom <= 512
    ranked = pipe.match_actions(face, ["smiling", "eyes closed"])
    assert [s for _, s in ranked] == sorted((s for _, s in ranked), reverse=True)


def test_several_faces_use_the_largest_and_say_so(pipe, photo):
    head = Image.fromarray(photo[0:256, 96:352])
    both = np.full((256, 460, 3), 128, np.uint8)
    both[60:220, 10:170] = head.resize((160, 160))
    both[:, 200:456] = head
    result = pipe(both, "smiles")
    assert any("2 faces" in note for note in result.notes)
    assert pipe.decouple(both).box[0] > 200
    assert pipe.decouple(both, face=1).box[2] < 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"arm": "consist"}, "Unknown arm"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_frames": 100, "fps": 60, "duration": 1}, "both say how long"),
        ({"num_frames": 200, "detail_scale": 0}, "clip lasts 25 s"),
        ({"height": 480, "cache": "pab"}, "height, cache: only large models take these"),
        ({"action_scale": float("nan")}, "action_scale is nan"),
        ({"motion": "relativ"}, "did you mean 'relative'"),
        ({"num_frames": 999}, "num_frames is 999; give a number from 1 to 240"),
        ({"duration": 11}, "duration is 11; give a number from 0.1 to 10"),
        ({"fps": 0}, "fps is 0"),
        ({"size": 33}, "size is 33"),
        ({"paste_back": True}, "paste_back"),
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "[1-0s] smiles"}, "reversed"),
        ({"reference": "nowhere.png"}, "nowhere.png"),
        ({"reference": np.zeros((300, 300, 3), np.uint8)}, "[Nn]o face"),
        ({"face": 7}, "Face 7"),
    ],
)
def test_bad_input_is_one_sentence(pipe, photo, change, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words) as caught:
        pipe(**{"reference": photo, "prompt": "smiles"} | change)
    assert "\n" not in str(caught.value)


def test_a_call_shows_and_describes_every_setting(pipe):
    shown = inspect.signature(type(pipe).__call__).parameters
    assert set(shown) == {"self", "reference", "callback", *SETTINGS}
    assert all(shown[name].default == setting.default for name, setting in SETTINGS.items())
    told = pipe.__call__.__doc__
    assert all(f"\n    {name}: {setting.metadata['words']}" in told for name, setting in SETTINGS.items())
