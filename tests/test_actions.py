"""Actions reach what they name, hand over smoothly, and stay within what a face can do."""

import os
from itertools import pairwise

import numpy as np
import pytest

from iad.geometry.coefficients import COEFFICIENTS, EXPRESSIONS, POSE_LIMITS, mirror_track
from iad.performing.actions import ACTIONS, EIGHT_BASIC, Performed, perform

COLUMN = {name: i for i, name in enumerate(COEFFICIENTS)}


def play(*names, seed=0, **options):
    """One action after another, sharing two seconds evenly."""
    idle = options.pop("idle", True)
    times = np.linspace(0, 2, len(names) + 1).tolist()
    segments = [Performed((n,), a, b, **options) for n, (a, b) in zip(names, pairwise(times), strict=True)]
    return perform(segments, rng=np.random.default_rng(seed), idle=idle)


def test_vocabulary():
    assert len(ACTIONS) >= 28
    assert set(EIGHT_BASIC) < set(ACTIONS)
    assert len(set(COEFFICIENTS)) == EXPRESSIONS + 3 == 60


def test_coefficients_are_those_of_the_head_file():
    path = os.environ.get("IAD_ICT_FACEKIT")
    if not path:
        pytest.skip("The head file is not here: set IAD_ICT_FACEKIT.")
    names = np.load(path)["expression_names"].tolist()
    assert list(COEFFICIENTS) == [*names, "pitch", "yaw", "roll"]


@pytest.mark.parametrize("name", ACTIONS)
def test_track_is_bounded_smooth_and_repeatable(name):
    for intensity, tempo in ((1.0, "quick"), (0.45, "slow")):
        track = play(name, intensity=intensity, tempo=tempo)
        assert track.shape == (16, 60)
        assert track.dtype == np.float32
        weights, pose = track[:, :EXPRESSIONS], track[:, EXPRESSIONS:]
        assert weights.min() >= 0
        assert weights.max() <= 1
        assert (np.abs(pose) <= POSE_LIMITS).all()
        lids = [COLUMN["eyeBlink_L"], COLUMN["eyeBlink_R"], COLUMN["eyeWide_L"], COLUMN["eyeWide_R"]]
        assert np.abs(np.diff(np.delete(weights, lids, axis=1), axis=0)).max() < 0.75  # only lids are quicker
        assert np.array_equal(track, play(name, intensity=intensity, tempo=tempo))


@pytest.mark.parametrize("name", [n for n, program in ACTIONS.items() if program.held and not program.motion])
def test_held_actions_are_reached_by_half_a_second_and_kept(name):
    track = play(name, idle=False)
    strength = np.abs(track).sum(axis=1)
    assert strength[0] < 0.4 * strength.max(), "it eases in"
    late = 6 if name in ("yawn", "sad") else 4  # frames of 1/8 s
    assert strength[late:].min() > 0.8 * strength.max()


def test_actions_differ_from_each_other():
    def signature(name, seed):
        track = play(name, seed=seed, idle=False)[2:] / np.array([1.0] * EXPRESSIONS + [14, 17, 14])
        sides = [track]
        if name in ("smirk", "skeptical", "shake"):  # they choose a side by chance
            sides.append(mirror_track(track.astype(np.float32)))
        return [side.ravel() for side in sides]

    known = [(name, s) for name in ACTIONS for s in signature(name, 1)]
    for name in ACTIONS:
        probe = signature(name, 2)[0]
        nearest = min(known, key=lambda pair: np.linalg.norm(pair[1] - probe))[0]
        assert nearest == name


def test_sequence_hands_over_without_a_hole():
    track = play("smile", "frown", idle=False)
    smile, frown = track[:, COLUMN["mouthSmile_L"]], track[:, COLUMN["mouthFrown_L"]]
    assert smile[4] > 0.8
    assert frown[4] < 0.05
    assert smile[13] < 0.05
    assert frown[13] > 0.8
    assert (smile + frown)[4:].min() > 0.4


def test_two_actions_at_once():
    segments = [Performed(("nod", "smile"), 0, 2)]
    track = perform(segments, rng=np.random.default_rng(0))
    assert track[5:, COLUMN["mouthSmile_L"]].min() > 0.6
    assert np.ptp(track[:, COLUMN["pitch"]]) > 8


def test_eyes_closed_are_closed_at_normal_intensity():
    assert play("eyes closed")[4:, COLUMN["eyeBlink_L"]].min() > 0.9


def test_idle_life():
    blink = COLUMN["eyeBlink_L"]
    for seed in range(10):
        assert play("neutral", seed=seed)[:, blink].max() > 0.6, "a calm portrait blinks"
        assert play("eyes wide", seed=seed)[4:, blink].max() < 0.05, "eyes that act do not blink"
    still = np.abs(np.diff(play("smile")[5:, EXPRESSIONS:], axis=0)).max()
    assert 0 < still < 0.5  # degrees: it sways, barely
    assert np.ptp(play("neutral", idle=False)) == 0


def test_intensity_and_tempo():
    smiles = [play("smile", intensity=i)[8, COLUMN["mouthSmile_L"]] for i in (0.45, 0.8)]
    assert smiles[0] < 0.7 * smiles[1]
    slow, quick = (play("nod", tempo=tempo, idle=False)[:, COLUMN["pitch"]] for tempo in ("slow", "quick"))
    assert (np.diff(np.sign(slow)) != 0).sum() < (np.diff(np.sign(quick)) != 0).sum()


def test_directions_are_the_persons_own():
    assert play("turn left")[8, COLUMN["yaw"]] > 10
    assert play("tilt left")[8, COLUMN["roll"]] > 8
    assert play("head up")[8, COLUMN["pitch"]] > 8
    left = play("look left")[8]
    assert min(left[COLUMN["eyeLookOut_L"]], left[COLUMN["eyeLookIn_R"]]) > 0.6


def test_mirror():
    track = play("wink left", "look right")
    assert np.array_equal(mirror_track(mirror_track(track)), track)
    there = play("wink left", "turn right", idle=False)
    mirrored = [Performed(("wink right",), 0, 1), Performed(("turn left",), 1, 2)]
    back = perform(mirrored, rng=np.random.default_rng(0), idle=False)
    assert np.abs(mirror_track(there) - back).max() < 0.35  # people differ by a few per cent and degrees


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((("fly",), 0.0, 1.0), "Unknown actions"),
        (((), 0.0, 1.0), "Unknown actions"),
        ((("nod",), 1.0, 1.0), "before end"),
        ((("nod",), -0.5, 1.0), "at least 0"),
        ((("nod",), 0.0, float("nan")), "before end"),
        ((("nod",), 0.0, 1.0, 0.0), "Intensity"),
        ((("nod",), 0.0, 1.0, 1.5), "Intensity"),
    ],
)
def test_mistakes_are_explained(arguments, words):
    with pytest.raises(ValueError, match=words):
        Performed(*arguments)
