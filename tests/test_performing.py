"""T: prompts of any length are heard alike, deeds are played in full, takes differ, a face idles."""

import numpy as np
import pytest
import torch

from iad.config import PRESETS, TRACK
from iad.performing import code_to_track, perform_prompt, track_to_code
from iad.performing.actions import ACTIONS, COEFFICIENTS, POSE_LIMITS, Performed, perform, play, settle
from iad.performing.hearing import MOST_WORDS, WINDOW, cut_windows, hear
from iad.performing.idling import enliven
from iad.performing.motions import Typical
from iad.performing.network import DEEDS, Performer
from iad.performing.performance import play_take
from iad.portraits.off_topic import DEEDS as OFF_DEEDS
from iad.portraits.paraphrases import CLAUSES, KIN, MORE_VERBS, NOUNS
from iad.portraits.phrasings import HELD_OUT_PHRASINGS
from iad.portraits.wording import fill, inflect
from iad.text import NEUTRAL_PROMPT, create_text_encoder
from iad.training.performing import PerformingStage, truth_of
from iad.training.spoken import draw_off_topic, draw_spoken, is_held_out
from iad.training.stages import Options, train
from iad.training.state import load_average

TINY = PRESETS["tiny"]


def column(track, name):
    return track[:, COEFFICIENTS.index(name)]


@pytest.fixture(scope="module")
def performer():
    torch.manual_seed(0)
    return Performer(TINY).eval()


@pytest.fixture(scope="module")
def encoder():
    return create_text_encoder(TINY.text)


def test_codes_and_tracks_turn_into_each_other():
    track = np.random.default_rng(0).normal(size=(4, TRACK)).astype(np.float32)
    track[:, -3:] *= 10
    code = track_to_code(track)
    assert np.array_equal(code[:, :-3], track[:, :-3])
    assert np.allclose(code[:, -3:] * 15, track[:, -3:])
    assert np.allclose(code_to_track(code), track, atol=1e-5)
    assert torch.allclose(code_to_track(torch.from_numpy(code)), torch.from_numpy(track), atol=1e-5)


def test_windows_keep_every_word_and_stay_short():
    long = "a quiet street in the rain, " * 8 + "she smiles broadly. " + "word " * 60 + "he nods"
    windows = cut_windows(long)
    assert all(0 < len(window.split()) <= WINDOW for window in windows)
    said = " ".join(windows).replace(",", "").replace(".", "")
    assert set(long.replace(",", "").replace(".", "").split()) == set(said.split())
    assert cut_windows("she smiles") == ["she smiles"] and cut_windows("") == [""]
    assert cut_windows("no smile, just raises the brows") == ["no smile, just raises the brows"]


def test_a_sentence_sounds_the_same_after_many_others(encoder):
    alone = hear(encoder, ["She smiles broadly."])
    after = hear(encoder, ["The wind blows over the hills. " * 30 + "She smiles broadly."])
    words = int(alone.mask.sum())
    assert torch.equal(after.states[0, -words:], alone.states[0, :words])
    assert after.left_out == ("",)


def test_what_is_not_heard_is_said(performer, encoder):
    performance = perform_prompt(performer, encoder, "word " * MOST_WORDS + "and then she nods")
    assert any("and then she nods" in note and str(MOST_WORDS) in note for note in performance.notes)
    assert not any("250" in note for note in perform_prompt(performer, encoder, "she nods").notes)


@pytest.mark.parametrize("name", ACTIONS)
def test_a_typical_take_is_what_perform_plays(name):
    segments = [Performed((name,), 0.0, 1.5), Performed(("smile", "nod"), 1.5, 3.0, 0.45, "quick")]
    played = settle(sum(play(s, np.arange(72) / 24, clip=3, rng=Typical()) for s in segments))
    performed = perform(segments, rng=Typical(), frames=72, fps=24, idle=False)
    assert np.abs(played - performed).max() < 1e-5


def test_typical_is_the_same_each_time_and_knows_its_sides():
    seconds = np.arange(48) / 24
    shake = play(Performed(("shake",), 0.0, 2.0), seconds, clip=2, rng=Typical())
    assert column(shake, "yaw")[4] > 3, "to the person's own left first"
    smirk = play(Performed(("smirk",), 0.0, 2.0), seconds, clip=2, rng=Typical())
    assert column(smirk, "mouthSmile_L").max() > 0.8 > 0.1 > column(smirk, "mouthSmile_R").max()


def test_takes_differ_and_stay_the_same_action():
    deeds = [Performed(("smile",), 0.0, 1.5), Performed(("nod",), 1.5, 3.0)]
    typical = play_take(deeds, frames=72, seed=None)
    takes = [play_take(deeds, frames=72, seed=seed) for seed in range(6)]
    assert np.array_equal(takes[0], play_take(deeds, frames=72, seed=0))
    assert all(np.abs(a - b).max() > 0.05 for a, b in zip(takes, takes[1:], strict=False))
    for take in takes:
        assert column(take, "mouthSmile_L")[:36].max() > 0.8 * column(typical, "mouthSmile_L").max()
        assert column(take, "pitch").min() < 0.8 * column(typical, "pitch").min()
        assert abs(column(take, "mouthSmile_L")[0]) < 0.1, "a clip begins at rest"
        assert take[:, :-3].min() >= 0 and take[:, :-3].max() <= 1
        assert (np.abs(take[:, -3:]) <= POSE_LIMITS + 1e-5).all()


def test_a_calm_face_lives():
    for seed in range(8):
        lived = enliven(np.zeros((120, TRACK), np.float32), fps=24, seed=seed)
        blink = column(lived, "eyeBlink_L")
        assert blink.max() > 0.9, "it blinks"
        assert np.array_equal(blink, column(lived, "eyeBlink_R"))
        assert (blink > 0.5).mean() < 0.2, "and has its eyes open otherwise"
        assert 0.2 < np.abs(lived[:, -3:]).max() < 2.5
        assert np.abs(np.diff(lived[:, -3:], axis=0)).max() < 0.3, "degrees a frame"
        still = [k for k, n in enumerate(COEFFICIENTS[:-3]) if not n.startswith("eye")]
        assert np.abs(lived[:, still]).max() == 0


def test_idling_leaves_eyes_alone_that_act():
    wide = play_take([Performed(("eyes wide",), 0.0, 4.0)], frames=96, seed=None)
    for seed in range(8):
        assert column(enliven(wide, fps=24, seed=seed), "eyeBlink_L")[12:].max() < 0.05


@pytest.mark.parametrize(("seconds", "fps", "frames"), [(0.5, 24, 12), (2.0, 24, 48), (10, 24, 240)])
def test_any_length_and_rate(performer, encoder, seconds, fps, frames):
    performance = perform_prompt(performer, encoder, "she smiles", seconds=seconds, fps=fps)
    assert performance.track.shape == (frames, TRACK)
    assert performance.track.dtype == np.float32
    assert np.isfinite(performance.track).all()


@pytest.mark.parametrize("seconds", [0.2, 11, float("nan")])
def test_impossible_lengths_are_refused(performer, encoder, seconds):
    with pytest.raises(ValueError, match=r"0\.5 to 10 seconds"):
        perform_prompt(performer, encoder, "she smiles", seconds=seconds)


def test_unsure_means_calm_and_a_note(performer, encoder):
    with torch.no_grad():
        unsure = Performer(TINY).eval()
        unsure.judge[1].bias[DEEDS] = -100
    performance = perform_prompt(unsure, encoder, "does a backflip", seed=None)
    assert not performance.understood and performance.deeds == ()
    assert np.abs(performance.track).max() == 0
    assert "does a backflip" in performance.notes[0] and "English" in performance.notes[0]


def test_gaps_of_a_timeline_are_calm_and_no_doubt(encoder):
    with torch.no_grad():
        unsure = Performer(TINY).eval()
        unsure.judge[1].bias[DEEDS] = -100
    performance = perform_prompt(unsure, encoder, "[1-2s] smiles")
    assert performance.segments[0].prompt == NEUTRAL_PROMPT
    assert performance.confidence[0] == 1.0 and performance.confidence[1] < 0.01
    assert not performance.understood and len(performance.notes) == 1


def test_deeds_share_their_segment(encoder):
    with torch.no_grad():
        eager = Performer(TINY).eval()
        eager.judge[1].bias[:] = torch.tensor([0.0, 50.0, 0.0, 100.0])
    performance = perform_prompt(eager, encoder, "[0-1s] closes her eyes, then nods [1-3s] smiles", seconds=3)
    assert [(d.start, d.end) for d in performance.deeds] == [(0, 0.5), (0.5, 1), (1, 2), (2, 3)]


def test_no_training_sentence_uses_held_out_words():
    held_out = {p.replace("{their} ", "") for own in HELD_OUT_PHRASINGS.values() for p in own}
    more = [p for table in (MORE_VERBS, CLAUSES) for own in table.values() for p in own]
    assert not {p.replace("{their} ", "") for p in more} & held_out
    assert set(MORE_VERBS) == set(CLAUSES) == set(ACTIONS) and set(NOUNS) < set(ACTIONS)
    assert set().union(*KIN) <= set(ACTIONS)
    kept = [fill(deed, "she") for k, deed in enumerate(OFF_DEEDS) if is_held_out(k)]
    said = {inflect(deed, form) for deed in kept for form in ("base", "third", "gerund")}
    drawn = [draw_off_topic(np.random.default_rng(k)) for k in range(300)]
    assert len(kept) > 5 and not any(deed in text for text in drawn for deed in said)


def test_sentences_tell_what_they_say():
    drawn = [draw_spoken(np.random.default_rng(k)) for k in range(400)]
    assert drawn[:5] == [draw_spoken(np.random.default_rng(k)) for k in range(5)]
    assert 0.08 < np.mean([not s.sure for s in drawn]) < 0.25
    assert not any("[" in s.text or "{" in s.text for s in drawn)
    assert {len(s.deeds) for s in drawn} == {0, 1, 2, 3}
    denials = [s for s in drawn if " without " in f" {s.text}" or "n't " in s.text or "no " in s.text[:3]]
    assert len(denials) > 20
    told = truth_of(drawn)
    assert told["names"].sum(-1).amax() == 2 and told["sure"].sum() == sum(s.sure for s in drawn)


def test_t_learns_and_its_weights_load(tmp_path):
    options = Options(data=tmp_path, output=tmp_path, minutes=1, max_steps=30)
    weights = train("performing", preset="tiny", options=options)
    assert (weights / "performing.safetensors").stat().st_size < 4_000_000
    average = load_average(tmp_path / "performing")
    torch.manual_seed(0)  # begins as the run did
    fresh = PerformingStage(TINY, create_text_encoder(TINY.text))
    fresh.model.eval()
    before = fresh.losses(fresh.batch(999), 0)["total"]
    fresh.model.load_state_dict(average)
    assert fresh.losses(fresh.batch(999), 0)["total"] < before - 0.2
