"""Pools of clips: who performs what with whom, what is written down, and what an interruption leaves."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from test_portraits_photo import HEAD, write_record

from iad.geometry.head import MIRRORED_LANDMARKS
from iad.performing.actions import Performed, perform
from iad.portraits import clips
from iad.portraits.captions import load_people_words, locate
from iad.training.pool import load_pool

needs_people = pytest.mark.skipif(
    not {"IAD_ICT_FACEKIT", "IAD_PHOTO_PEOPLE"} <= os.environ.keys(),
    reason="no head or no photo people are named",
)
KEYS = ("frames", "track", "landmarks", "portrait")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixteen people of one made-up photo; numbers 3 and 11 are held out."""
    record = write_record(tmp_path_factory.mktemp("people"))
    words = list(load_people_words().values())
    return [(replace(record, number=number), words[number]) for number in range(16)]


@pytest.fixture
def studio(monkeypatch, photos):
    """The tiny head and made-up people, four frames a clip, one group a shard, no processes."""
    monkeypatch.setattr(clips, "_head", lambda: HEAD)
    monkeypatch.setattr(clips, "_photos", lambda: photos)
    monkeypatch.setattr(clips, "FRAMES", 4)
    monkeypatch.setattr(clips, "GROUPS", 1)
    monkeypatch.setattr(clips, "create_pool", ThreadPoolExecutor)
    return monkeypatch


def test_a_group_is_two_people_in_two_takes(studio):
    group = clips.render_group(5)
    assert [(c.record["group"], c.record["slot"], c.record["take"]) for c in group] == [
        (5, 0, 0), (5, 0, 1), (5, 1, 0), (5, 1, 1),
    ]  # fmt: skip
    for clip in group:
        assert clip.frames.shape == (4, 128, 128, 3) and clip.frames.dtype == np.uint8
        assert clip.track.shape == (4, 60) and clip.landmarks.shape == (4, 68, 2)
        assert clip.portrait.shape == (128, 128, 3)
        assert np.abs(clip.landmarks - 0.5).max() < 1
    (a, b), (c, d) = group[:2], group[2:]
    for mine, theirs in ((a, c), (b, d)):  # partners do the same
        np.testing.assert_array_equal(mine.track, theirs.track)
        assert [s["actions"] for s in mine.record["segments"]] == [
            s["actions"] for s in theirs.record["segments"]
        ]
        assert not np.array_equal(mine.frames, theirs.frames)
    assert not np.array_equal(a.track, b.track)
    for one, two in ((a, b), (c, d)):  # one person in both takes
        np.testing.assert_array_equal(one.portrait, two.portrait)
        assert all(one.record[key] == two.record[key] for key in ("kind", "person", "identity", "scene"))


def test_the_seed_decides_everything(studio):
    first, again, other = (clips.render_group(seed) for seed in (2, 2, 3))
    for mine, same in zip(first, again, strict=True):
        assert mine.record == same.record
        assert mine.record["kind"] == "photo"
        for key in KEYS:
            np.testing.assert_array_equal(getattr(mine, key), getattr(same, key))
    assert not np.array_equal(first[0].track, other[0].track)


def test_the_portrait_is_the_person_doing_nothing(studio):
    cast = clips.cast_photo(HEAD, *clips._photos()[0])
    neutral = [Performed(("neutral",), 0.0, clips.SECONDS)]
    clip = clips.render_clip(cast, neutral, np.zeros((1, 60), np.float32), np.random.default_rng(0))
    np.testing.assert_array_equal(clip.portrait, clip.frames[0])


def test_captions_say_something_of_every_clip(studio):
    for clip in clips.render_group(7):
        sentences = clip.record["captions"] + [s["prompt"] for s in clip.record["segments"]]
        assert len(clip.record["captions"]) == clips.CAPTIONS
        assert all(len(sentence.split()) > 1 for sentence in sentences)
        edges = [(s["start"], s["end"]) for s in clip.record["segments"]]
        assert edges[0][0] == 0 and edges[-1][1] == clips.SECONDS
        assert all(end == start for (_, end), (start, _) in zip(edges, edges[1:], strict=False))
        json.dumps(clip.record)


@pytest.mark.parametrize("held_out", [False, True])
def test_held_out_people_stay_apart(studio, held_out):
    photo = clips.PhotoPerson(HEAD, clips._photos()[0][0])
    studio.setattr(clips, "PhotoPerson", lambda *_, **__: photo)  # who is drawn matters here, not their looks
    seen = set()
    for cast in (clips._draw_cast(np.random.default_rng(k), held_out=held_out) for k in range(300)):
        assert cast.key["held_out"] == held_out == clips.is_held_out(cast.key["person"])
        seen.add(cast.key["person"])
    assert seen == ({3, 11} if held_out else set(range(16)) - {3, 11})


def test_reshaped_faces_are_nobody(studio):
    photo, words = clips._photos()[7]
    casts = [clips.cast_photo(HEAD, photo, words, np.random.default_rng(k)) for k in range(8)]
    plain = clips.cast_photo(HEAD, photo, words)
    assert {cast.key["identity"] for cast in casts} == {None, "photo-7"}
    still = np.zeros((1, 60), np.float32)
    own = plain.person.landmarks(still)[0]
    mirrored = own[list(MIRRORED_LANDMARKS)] * [-1, 1] + [1, 0]
    for cast in casts:
        marks = cast.person.landmarks(still)[0]
        change = min(np.abs(marks - own).max(), np.abs(marks - mirrored).max())
        assert (change > 1e-3) == (cast.key["identity"] is None)


def test_captions_of_a_moved_person_name_the_new_scene(studio):
    studio.setattr(clips, "SCENE_SHARE", 1.0)
    photo, words = clips._photos()[0]
    rng = np.random.default_rng(0)
    cast = clips.cast_photo(HEAD, photo, words, rng)
    segments = clips.draw_segments(rng)
    track = perform(segments, rng=rng, frames=1, fps=clips.FPS)
    records = [clips.render_clip(cast, segments, track, rng).record for _ in range(4)]
    assert {record["scene"] for record in records} == {cast.scene} <= set(clips.SCENES)
    said = [caption for record in records for caption in record["captions"]]
    assert sum(locate(cast.scene) in caption or cast.scene in caption for caption in said) > len(said) / 4


def test_a_pool_is_whole_shards_that_can_be_read(studio, tmp_path):
    clips.render_pool(tmp_path, clips=5, seed=1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 10 and not [name for name in names if name.endswith(".part")]
    pool = load_pool(tmp_path)
    assert len(pool) == 8
    assert pool.tracks.shape == (8, 4, 60) and pool.landmarks.shape == (8, 4, 68, 2)
    again = clips.render_group(1_000_001)[2]
    assert pool.records[6] == json.loads(json.dumps(again.record)) | {"shard": "00001", "row": 2}
    np.testing.assert_array_equal(pool.clip(6), again.frames)


def test_held_out_pools_hold_held_out_people_only(studio, tmp_path):
    clips.render_pool(tmp_path, clips=4, held_out=True)
    assert len(load_pool(tmp_path, held_out=True)) == 4
    assert len(load_pool(tmp_path, held_out=False)) == 0


def test_an_interrupted_shard_is_rendered_again(studio, tmp_path):
    save, saved = np.save, []

    def fail_late(path, array):
        saved.append(path)
        if path.name == "00001.portraits.npy":
            raise KeyboardInterrupt
        save(path, array)

    studio.setattr(np, "save", fail_late)
    with pytest.raises(KeyboardInterrupt):
        clips.render_shard(tmp_path, 1, groups=1, seed=0)
    assert (tmp_path / "00001.frames.npy").exists()
    with pytest.raises(FileNotFoundError, match="No clips"):
        load_pool(tmp_path)
    studio.setattr(np, "save", lambda path, array: (saved.append(path), save(path, array)))
    clips.render_pool(tmp_path, clips=8)
    assert len(load_pool(tmp_path)) == 8
    saved.clear()
    clips.render_pool(tmp_path, clips=8)
    assert saved == [], "whole shards are kept"


def test_preview_is_one_picture(studio, tmp_path):
    studio.setattr(clips, "FRAMES", 16)
    path = clips.preview(tmp_path / "preview.png", count=3)
    assert Image.open(path).size == (2 * 6 * 128, 2 * 128)


@needs_people
def test_a_real_group_shows_four_clips():
    group = clips.render_group(0)
    assert [clip.frames.shape for clip in group] == [(16, 128, 128, 3)] * 4
    assert all(clip.frames.std() > 20 for clip in group)
    assert all(np.ptp(clip.landmarks, axis=0).max() > 0.005 for clip in group), "something moves"
    for clip in group:
        change = np.abs(clip.frames[0].astype(int) - clip.portrait)
        assert change.mean() < 40, "the calm portrait is the same person in the same place"


def test_the_two_people_of_a_group_are_two(studio, photos):
    studio.setattr(clips, "_photos", lambda: photos[:2])
    for seed in range(6):  # by chance alone one group in two would show one person twice
        assert len({clip.record["person"] for clip in clips.render_group(seed)}) == 2
