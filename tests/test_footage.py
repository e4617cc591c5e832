"""A folder of videos becomes clips: what is of no use is named, what is there is not done again."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from made_up_footage import (
    PEOPLE,
    SIDE,
    SMALL,
    add_useless,
    make_footage,
    read_lines,
    read_person,
    smaller,
    write_captions,
)
from safetensors.torch import load_file
from twins import write_cogvideox

from iad.config import FaceConfig
from iad.media.video import save
from iad.training.footage import prepare_footage, read_captions
from iad.training.footage_clips import Clips
from iad.training.footage_tracks import FILTERS, Filters, Shot, track_video

SHOT = Shot(frames=9, fps=8, height=32, width=48, frames_per_latent=4, face_size=128, references=3)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_cogvideox(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, base):
    folder = make_footage(tmp_path_factory.mktemp("videos"))
    add_useless(folder)
    return folder, prepare_footage(folder, preset=SMALL, base=base)


@pytest.fixture
def copy(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "videos")  # with their times
    return tmp_path / "videos"


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "prepared" / "clips").iterdir()}


def test_every_useless_video_is_named_and_the_rest_goes_on(prepared):
    folder, report = prepared
    assert report["clips"] == 6
    reasons = {line["video"]: line["reason"] for line in report["skipped"]}
    assert [*reasons] == ["broken.mp4", "empty.mp4", "two.mp4", "short.mp4", "cut.mp4", "silent.mp4"]
    for video, words in {
        "broken.mp4": "not a readable video",
        "empty.mp4": "no face",
        "two.mp4": "several faces",
        "short.mp4": "0.6 s",
        "cut.mp4": "another shot at 0.6 s",
        "silent.mp4": "no line in captions.jsonl",
    }.items():
        assert words in reasons[video]
        assert reasons[video].endswith(".")
    lines = read_lines(folder / "prepared", "skipped.jsonl")
    assert [(line["video"], line["reason"]) for line in lines] == [*reasons.items()]


def test_a_clip_holds_what_training_reads(prepared):
    output = prepared[0] / "prepared"
    index = read_lines(output, "index.jsonl")
    assert [line["video"] for line in index] == [f"{p}-{take}.mp4" for p in PEOPLE for take in (0, 1)]
    assert index[0]["segments"] == [
        [0.0, 0.5, "a man laughs smiles", 1],
        [0.5, 1.125, "a man laughs laughs", 2],
    ]
    clip = load_file(output / index[0]["clip"])
    assert clip["states"].shape == (3, 226, 32)
    assert clip["mean"].shape == clip["std"].shape == (3, 4, 4, 6)
    assert clip["face.vector"].shape == (3, 316)
    assert clip["reference.tokens"].shape == (4, 64, 224)
    assert (clip["std"] > 0).all()
    assert all(tensor.float().isfinite().all() for tensor in clip.values())


def test_latents_are_those_of_the_vae(prepared, base):
    from diffusers import AutoencoderKLCogVideoX

    output = prepared[0] / "prepared"
    line = read_lines(output, "index.jsonl")[2]
    tracked = track_video(prepared[0] / line["video"], replace(SHOT, references=4), filters=FILTERS, seed=0)
    vae = AutoencoderKLCogVideoX.from_pretrained(base / "vae")
    pixels = torch.from_numpy(tracked.frames).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
    with torch.no_grad():
        expected = vae.encode(pixels).latent_dist.mean[0].transpose(0, 1) * vae.config.scaling_factor
    torch.testing.assert_close(load_file(output / line["clip"])["mean"], expected.bfloat16())


def test_a_second_run_does_nothing_again(copy, base):
    before = stamps(copy)
    report = prepare_footage(copy, preset=SMALL, base=base)
    assert (report["clips"], report["reused"], len(report["skipped"])) == (6, 6, 6)
    assert stamps(copy) == before


def test_only_what_changed_is_done_again(copy, base):
    before, lines = stamps(copy), read_lines(copy)
    lines[1]["caption"] = "a woman winks"
    write_captions(copy, lines[:5])  # one video is no longer asked for
    report = prepare_footage(copy, preset=SMALL, base=base)
    after = stamps(copy)
    assert (report["clips"], report["reused"]) == (5, 4)
    changed = [name for name in after if after[name] != before[name]]
    assert len(changed) == 1 and changed[0].startswith("person-003-1")
    assert len(before.keys() - after.keys()) == 1


def test_a_killed_run_is_gone_on_with(copy, base):
    output = copy / "prepared"
    before = stamps(copy)
    index = output / "index.jsonl"
    index.write_text(index.read_text()[:-30])  # the last line is half written
    assert prepare_footage(copy, preset=SMALL, base=base)["reused"] == 5
    after = stamps(copy)
    assert [name.startswith("person-035-1") for name in after if after[name] != before[name]] == [True]
    assert len(read_lines(output, "index.jsonl")) == 6


def test_another_size_makes_the_clips_anew(copy, base):
    report = prepare_footage(copy, preset=smaller(width=64), base=base)
    assert report["reused"] == 0
    clip = load_file(copy / "prepared" / read_lines(copy / "prepared", "index.jsonl")[0]["clip"])
    assert clip["mean"].shape[-1] == 8


def test_two_workers_make_the_same_bytes(prepared, base, tmp_path):
    folder, report = prepared
    again = prepare_footage(folder, preset=SMALL, base=base, output=tmp_path, workers=2)
    assert {**again, "output": ""} == {**report, "output": ""}
    for path in sorted((folder / "prepared").rglob("*.*")):
        assert (tmp_path / path.relative_to(folder / "prepared")).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "has no captions.jsonl"),
        ("", "is empty"),
        ('{"video": "a.mp4", "caption": "x"}\n{"video": ', "Line 2"),
        ('{"video": "a.mp4"}', "needs a video and a caption"),
        ('{"video": "a.mp4", "caption": " "}', "needs a video and a caption"),
        ("[1]", "needs a video and a caption"),
        ('{"video": "b.mp4", "caption": "x"}', "no video 'b.mp4'"),
        ('{"video": "a.mp4", "caption": "x"}\n\n{"video": "a.mp4", "caption": "y"}', "Line 3"),
        ('{"video": "a.mp4", "caption": "x", "timeline": [[1, 0, "nods"]]}', "Line 1"),
        ('{"video": "a.mp4", "caption": "x", "timeline": [["nods"]]}', "a timeline is such as"),
        ('{"video": "a.mp4", "caption": "[0-1s] x", "timeline": [[0, 1, "nods"]]}', "Line 1"),
    ],
)
def test_captions_that_are_wrong_are_refused_with_their_line(tmp_path, text, words):
    (tmp_path / "a.mp4").touch()
    if text is not None:
        (tmp_path / "captions.jsonl").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_captions(tmp_path, duration=2.0)


def test_a_timeline_ends_with_the_clip(tmp_path):
    (tmp_path / "a.mp4").touch()
    timeline = [[0, 1, "smiles"], [1, 9, "nods"], [9, 10, "winks"]]
    write_captions(tmp_path, [{"video": "a.mp4", "caption": "a man", "timeline": timeline, "person": 7}])
    (entry,) = read_captions(tmp_path, duration=2.0)
    assert entry.segments == ((0.0, 1.0, "a man smiles"), (1.0, 2.0, "a man nods"))
    assert entry.told == "a man smiles, then a man nods"
    assert entry.person == "7"


def test_a_folder_without_one_usable_video_says_where_to_look(base, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    write_captions(tmp_path, [{"video": "a.mp4", "caption": "x"}])
    with pytest.raises(ValueError, match=r"skipped\.jsonl"):
        prepare_footage(tmp_path, preset=SMALL, base=base)


@pytest.mark.parametrize(
    ("blur", "side", "words"), [(4.0, 160, "blurred"), (0.0, 96, "pixels wide"), (0.0, 160, None)]
)
def test_small_and_blurred_faces_are_left_out(tmp_path, blur, side, words):
    frames = [cv2.resize(frame, (side, side)) for frame in read_person(PEOPLE[0])[:9]]
    frames = [cv2.GaussianBlur(frame, (0, 0), blur) if blur else frame for frame in frames]
    save(tmp_path / "a.mp4", np.stack(frames), 8)
    if words is None:
        assert track_video(tmp_path / "a.mp4", SHOT, filters=FILTERS, seed=0).sharpness > 20
        return
    with pytest.raises(ValueError, match=words):
        track_video(tmp_path / "a.mp4", SHOT, filters=Filters(min_face=64), seed=0)


def test_what_follows_the_clip_lends_the_references(tmp_path):
    frames = read_person(PEOPLE[0])
    save(tmp_path / "long.mp4", np.concatenate([frames[:12], frames[12:8:-1], frames[8:14]])[:18], 8)
    save(tmp_path / "brief.mp4", frames[:10], 8)
    found = [
        track_video(tmp_path / f"{name}.mp4", SHOT, filters=FILTERS, seed=0) for name in ("long", "brief")
    ]
    assert [clip.apart for clip in found] == [True, False]
    assert found[0].references.shape == (3, 128, 128, 3)


@pytest.mark.parametrize(("step", "follows"), [(24, False), (80, True)])
def test_the_framing_stays_while_the_head_moves_but_follows_who_walks_away(tmp_path, step, follows):
    frames = read_person(PEOPLE[1])[:9]
    moved = np.full((9, SIDE, SIDE + 80, 3), 127, np.uint8)
    for k, frame in enumerate(frames):
        at = step * (k % 2)
        moved[k, :, at : at + SIDE] = frame
    save(tmp_path / "a.mp4", moved, 8)
    clip = track_video(tmp_path / "a.mp4", replace(SHOT, frames_per_latent=1), filters=FILTERS, seed=0)
    change = np.abs(np.diff(clip.faces.astype(float), axis=0)).mean()
    assert (change < 25) == follows


def test_references_come_from_other_clips_and_drivers_from_other_people(prepared):
    clips = Clips(prepared[0], SMALL)
    assert clips.partners == [[1], [0], [3], [2], [5], [4]]
    assert clips.drivers[2] == [4] and clips.drivers[1] == [3, 5]
    assert clips.drivers[0] == []  # nobody else does that
    assert all(row not in clips.drivers[row] for row in range(6))


def test_drivers_are_other_people_where_there_are_any(copy):
    path = copy / "prepared" / "index.jsonl"
    said = [[0.0, 1.125, "a man nods", 0]]
    lines = [line | {"segments": said} for line in read_lines(path.parent, path.name)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Clips(copy, SMALL).drivers[0] == [2, 3, 4, 5]  # clip 1 shows the same person


def test_clips_without_person_are_people_of_their_own(copy):
    path = copy / "prepared" / "index.jsonl"
    lines = [line | {"person": None} for line in read_lines(path.parent, path.name)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    clips = Clips(copy, SMALL)
    assert clips.partners == [[]] * 6
    assert len(set(clips.person.tolist())) == 6


def test_an_epoch_deals_every_clip_once_and_each_process_its_own(prepared):
    clips = Clips(prepared[0], SMALL)
    deal = {"world": 2, "batch": 1, "split": 4, "seed": 3}
    dealt = [clips.draw(step, rank=rank, **deal).targets[0] for step in range(3) for rank in (0, 1)]
    assert sorted(dealt) == [0, 1, 2, 3, 4, 5]
    draw = clips.draw(5, rank=1, **deal)
    first, second = clips.batch(draw), clips.batch(draw)
    assert torch.equal(first["latents"], second["latents"]) and torch.equal(first["noise"], second["noise"])
    other = clips.batch(clips.draw(5, rank=0, **deal))
    assert not torch.equal(first["noise"], other["noise"])


def test_clips_say_which_size_is_trained(prepared):
    clips = Clips(prepared[0], smaller(height=64, frames=17, face=FaceConfig("clip")))
    assert clips.preset == SMALL


def test_a_folder_that_was_not_prepared_is_refused(tmp_path):
    with pytest.raises(ValueError, match="python -m iad data prepare"):
        Clips(tmp_path, SMALL)


@pytest.mark.parametrize(("size", "near"), [({"frames": 10}, "try 9"), ({"width": 50}, "try 48")])
def test_sizes_that_the_model_cannot_make_are_refused(tmp_path, size, near):
    with pytest.raises(ValueError, match=near):
        prepare_footage(tmp_path, preset=smaller(**size))
