"""The refiner changes nothing where nothing is to repair, looks and paints in the right place, learns."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from test_geometry import ASTRONAUT, track_of

from iad.checkpoint import save_part
from iad.config import PRESETS
from iad.geometry.animation import AnimatedPhoto
from iad.geometry.coefficients import EXPRESSIONS
from iad.geometry.drawing import draw
from iad.geometry.head import load_geometry
from iad.geometry.moving import MovingFace
from iad.geometry.refining import MOST, SIDE, Repair, _add, create_refiner, cut, cut_look, eye_distance, place
from iad.models.parts import create_parts, load_parts, split_parts
from iad.models.reading import create_reader
from iad.training.loop import fit
from iad.training.refiner_stage import SIZE, Pairs, RefinerStage, fit_of_frame, run, show_photo
from iad.training.timetable import LoopConfig


@pytest.fixture(scope="module")
def photo():
    return AnimatedPhoto(load_geometry(), astronaut(), ASTRONAUT)


@pytest.fixture(scope="module")
def grey_photo():
    grey = np.repeat(astronaut().mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    return AnimatedPhoto(load_geometry(), grey, ASTRONAUT)


@pytest.fixture
def busy():
    """A refiner that changes every colour that it may: red up, blue down."""
    refiner = create_refiner(PRESETS["tiny"])
    refiner.to_change.bias.data[:4], refiner.to_change.bias.data[8:12] = 0.6, -0.2
    return refiner.eval()


def laugh_and_rest(photo):
    track = np.repeat(photo.own_track[None], 2, axis=0)
    track[0] = track_of({"jawOpen": 0.7, "mouthSmile": 0.8})[0]
    return track  # the second frame is the photo's own


def test_an_untrained_refiner_changes_no_bit(photo):
    track = laugh_and_rest(photo)
    plain = draw(photo, track, size=192)
    with_it = draw(photo, track, size=192, refiner=create_refiner(PRESETS["tiny"]))
    assert (plain.frames == with_it.frames).all()


@pytest.mark.parametrize("size", [192, 400])
def test_it_changes_the_mouth_where_it_moves_and_nothing_else(photo, busy, size):
    track = laugh_and_rest(photo)
    drawn = photo.render(track, size=size)
    before = drawn.frames.copy()
    frames = Repair(busy, photo)(drawn, track)
    changed = (frames != before).any(axis=-1)
    marks = np.floor(photo.landmarks(track) * size).astype(int)

    def touched(frame, point):
        x, y = marks[frame, point]
        return changed[frame, y - 2 : y + 3, x - 2 : x + 3].all()

    assert touched(0, 57) and touched(0, 51)
    assert not touched(0, 27) and not touched(0, 37) and not changed[1].any()
    assert 0.005 < changed[0].mean() < 0.25
    assert (drawn.frames == before).all()  # what was drawn is still there


def test_teeth_take_on_no_colour(busy):
    looks = torch.rand(2, 6, SIDE, SIDE)
    looks[:, 3] = 0.5
    looks[:, 3, 40:60, 30:60] = 1
    torch.nn.init.normal_(busy.to_change.weight, std=0.3)
    change = busy(looks, busy.encode_photo(looks), torch.zeros(2, 120))
    spread = change.max(1).values - change.min(1).values
    assert spread[:, 40:60, 30:60].max() < 1e-6 < spread[:, 20:30, 30:60].mean()


def test_the_inside_of_a_mouth_that_is_wide_open_is_left_to_geometry(photo, busy):
    track = np.concatenate([track_of({"jawOpen": 0.9}), track_of({"jawOpen": 0.1, "mouthSmile": 0.5})])
    drawn, marks = photo.render(track, size=400), photo.landmarks(track)[:, 60:68].mean(1) * 400
    changed = (Repair(busy, photo)(drawn, track) != drawn.frames).any(axis=-1)
    x, y = marks.astype(int).T
    wide, grin = (changed[k, y[k] - 1 : y[k] + 1, x[k] - 3 : x[k] + 3] for k in (0, 1))
    assert not wide.any() and grin.all()


def test_lips_that_roll_in_are_left_to_geometry(photo, busy):
    track = track_of({"mouthPress": 0.8, "mouthRollUpper": 0.8, "mouthRollLower": 0.8})
    repair, drawn = Repair(busy, photo), photo.render(track, size=192)
    assert repair.measure_change(track)[0] == 1
    assert (repair(drawn, track) == drawn.frames).all()


def test_it_adds_no_more_than_a_face_can_take(busy):
    """One that met faces unlike those it learned from made a pair of white teeth on closed lips."""
    torch.nn.init.normal_(busy.to_change.weight, std=9.0)
    looks = torch.rand(2, 6, SIDE, SIDE)
    change = busy(looks, busy.encode_photo(looks), torch.zeros(2, 120))
    assert 0.9 * MOST < change.abs().max() <= MOST


def test_a_turn_of_the_head_alone_is_no_reason(photo, busy):
    track = np.repeat(photo.own_track[None], 2, axis=0)
    track[1, EXPRESSIONS:] += [8, -12, 5]
    assert not Repair(busy, photo).measure_change(track).any()


def test_a_covered_mouth_is_left_alone(photo, busy):
    covered = AnimatedPhoto(load_geometry(), astronaut(), ASTRONAUT, covered={"mouth"})
    track = track_of({"jawOpen": 0.8})
    assert Repair(busy, photo).measure_change(track)[0] == 1
    assert Repair(busy, covered).measure_change(track)[0] == 0


def test_grey_stays_grey_and_colour_does_not(photo, grey_photo, busy):
    track = track_of({"jawOpen": 0.7})
    for animated, colourless in ((grey_photo, True), (photo, False)):
        drawn = animated.render(track, size=192)
        frames = Repair(busy, animated)(drawn, track)
        assert (frames != drawn.frames).any()
        assert (np.ptp(frames, axis=-1).max() == 0) == colourless


def test_parts_of_a_clip_are_repaired_as_the_whole(photo, busy):
    track = np.concatenate([track_of({"jawOpen": w}) for w in np.linspace(0, 0.8, 30)])
    drawn, repair = photo.render(track, size=128), Repair(busy, photo)
    single = [repair(photo.render(row[None], size=128), row[None])[0] for row in track[::7]]
    assert np.abs(repair(drawn, track)[::7].astype(int) - np.stack(single)).max() <= 1


def test_what_a_look_adds_comes_to_where_it_was_cut(photo):
    size = 500
    y, x = np.mgrid[:size, :size]
    here = np.full((size, size, 3), 100, np.uint8)
    there = np.repeat((100 + 60 * np.sin(x / 12) * np.cos(y / 9))[..., None], 3, axis=2).astype(np.uint8)
    marks = photo.landmarks(photo.own_track[None])[0] * size
    at = place(marks, eye_distance(marks))
    frame = here.copy()
    _add(frame, cut(there, at).astype(np.float32) - cut(here, at), at, grey=False)
    cx, cy = marks[48:68].mean(axis=0).astype(int)
    middle = (slice(cy - 15, cy + 15), slice(cx - 15, cx + 15))
    assert np.abs(frame[middle].astype(int) - there[middle]).mean() < 3
    assert np.abs(here[middle].astype(int) - there[middle]).mean() > 15


def test_the_looks_show_lips_and_what_was_painted(photo):
    track = track_of({"jawOpen": 0.8})
    drawn, marks = photo.render(track, size=300), photo.landmarks(track)[0] * 300
    look = cut_look(drawn.frames[0], drawn.source[0], marks, place(marks, eye_distance(marks)))
    assert set(np.unique(look[..., 3])) == {0, 128, 255}
    assert (look[..., 4] > 128)[look[..., 3] == 255].mean() > 0.8  # the painted inside lies between the lips
    assert (look[..., 4] > 128)[look[..., 3] == 0].mean() < 0.1


def test_a_redrawn_frame_meets_the_photo(photo):
    """The photo performs, its picture performs the photo: landmarks and framing come back."""
    track = track_of({"jawOpen": 0.4, "mouthSmile": 0.5, "pitch": 4, "yaw": 9, "roll": -5})
    frame = photo.render(track, size=SIZE).frames[0]
    marks = photo.landmarks(track)[0]
    again = MovingFace(
        load_geometry(), fit_of_frame(photo, track[0], size=SIZE), frame.astype(np.float32), marks * SIZE,
        bounds=(0, 0, SIZE, SIZE), affine=np.float32([[1 / SIZE, 0, 0], [0, 1 / SIZE, 0]]),
    )  # fmt: skip
    both = np.stack([track[0], photo.own_track])
    assert np.abs(again.landmarks(both) - photo.landmarks(both)).max() * SIZE < 0.05
    truth, drawn = show_photo(photo, astronaut()), photo.render(photo.own_track[None], size=SIZE).frames[0]
    face = (slice(80, 220), slice(60, 200))

    def away(shift):
        return np.abs(np.roll(truth, shift, axis=(0, 1))[face].astype(int) - drawn[face]).mean()

    assert away((0, 0)) < 4
    assert away((0, 0)) < 0.7 * min(away(s) for s in ((0, 1), (0, -1), (1, 0), (-1, 0)))


def made_up_pairs(count=12):
    """Blobs whose made-up part ought to be brighter."""
    rng = np.random.default_rng(0)
    looks = np.full((count, SIDE, SIDE, 6), 90, np.uint8)
    looks[..., :3] += rng.integers(0, 40, (count, 1, 1, 3), dtype=np.uint8)
    looks[..., 3:] = 0
    middle = (slice(None), slice(SIDE // 3, SIDE // 2), slice(SIDE // 4, 3 * SIDE // 4))
    looks[(*middle, slice(4, 5))] = 255
    truths = looks[..., :3].copy()
    truths[middle] += 70
    return Pairs(looks, looks, truths, np.zeros((count, 120), np.float32), np.arange(count))


@pytest.mark.slow
def test_it_learns_what_is_wrong_and_leaves_the_rest(tmp_path):
    torch.manual_seed(0)
    preset = PRESETS["tiny"]
    stage = RefinerStage(preset, made_up_pairs(), create_reader(preset), batch_size=8)
    first = stage.losses(stage.batch(0), 0)
    model = fit(stage, LoopConfig(tmp_path, minutes=5, max_steps=150, learning_rate=3e-3))
    rows = stage.batch(1)
    before = (rows["truths"] - rows["looks"][:, :3]).abs().mean(1)
    with torch.no_grad():
        change = run(model["refiner"].eval(), rows)
    after = (rows["truths"] - rows["looks"][:, :3] - change).abs().mean(1)
    assert after.mean() < 0.4 * before.mean()
    assert after[before < 0.01].mean() < 0.02
    assert not model["refiner"].idle and float(first["colour"].detach()) > 0
    assert list((tmp_path / "pictures").glob("*.png"))


def test_the_critic_only_judges():
    """What the refiner learns from being judged must not teach the critic, and the other way round."""
    preset = PRESETS["tiny"]
    stage = RefinerStage(preset, made_up_pairs(), create_reader(preset), batch_size=4)
    torch.nn.init.normal_(stage.model["refiner"].to_change.weight, std=0.1)
    terms = stage.losses(stage.batch(0), 10_000)

    def reached(term, part):
        parameters = list(stage.model[part].parameters())
        found = torch.autograd.grad(terms[term], parameters, retain_graph=True, allow_unused=True)
        return any(g is not None and bool(g.any()) for g in found)

    assert reached("fooled", "refiner") and not reached("fooled", "critic")
    assert reached("critic", "critic") and not reached("critic", "refiner")


def test_models_without_it_load_and_models_with_it_keep_it(tmp_path):
    preset = PRESETS["tiny"]
    parts = create_parts(preset)
    torch.nn.init.normal_(parts["refiner"].to_change.weight)
    state = split_parts(parts)
    for name in state.keys() - {"refiner"}:
        save_part(tmp_path, name, state[name])
    without = create_parts(preset)
    load_parts(without, tmp_path)
    assert without["refiner"].idle
    save_part(tmp_path, "refiner", state["refiner"])
    load_parts(without, tmp_path)
    assert torch.equal(*(p["refiner"].to_change.weight for p in (without, parts)))
    assert not without["refiner"].idle


def test_it_is_small():
    assert sum(p.numel() for p in create_refiner(PRESETS["mini"]).parameters()) < 0.6e6  # 1.2 MB in half
