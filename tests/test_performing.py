"""T: prompts of any length are heard alike, gestures are played in full, takes differ, a face idles."""

import numpy as np
import pytest
import torch
from made_up_weights import load_average

from iad.config import PRESETS, TRACK
from iad.performing import code_to_track, perform_prompt, track_to_code
from iad.performing.actions import ACTIONS, COEFFICIENTS, POSE_LIMITS, Performed, perform
from iad.performing.clauses import cut_clauses, join_clauses
from iad.performing.gestures import (
    NUMBERS,
    PLACES,
    RHYTHMS,
    Deed,
    draw_gesture,
    enliven,
    gesture_of,
    mirror,
    play_take,
    release_after,
)
from iad.performing.motions import Typical
from iad.performing.network import BEYOND, DEEDS, SIDES, Performer
from iad.performing.performance import MOST_WORDS, WINDOW, cut_windows, hear
from iad.text import NEUTRAL_PROMPT, create_text_encoder
from iad.training.performer_stage import PerformingStage
from iad.training.stages import Options, train

TINY = PRESETS["tiny"]


def column(track, name):
    return track[:, COEFFICIENTS.index(name)]


def play(*gestures, seconds=3.0, seed=None, strength=0.8):
    """Play gestures one after another at 24 frames a second."""
    cuts = np.linspace(0, seconds, len(gestures) + 1)
    shown = slice(0, PLACES["onset"])
    deeds = []
    for numbers, start, end in zip(gestures, cuts, cuts[1:], strict=False):
        numbers = numbers.copy()
        numbers[shown] *= strength
        deeds.append(Deed(numbers, float(start), float(end)))
    return play_take(deeds, frames=round(24 * seconds), seed=seed)


def tell(kind, *, sure):
    torch.manual_seed(0)
    telling = Performer(TINY).eval()
    with torch.no_grad():
        telling.judge[1].bias[DEEDS] = 50 if sure else -50
        telling.judge[1].bias[DEEDS + 1 :] = -100
        if kind:
            telling.judge[1].bias[DEEDS + 1 + BEYOND.index(kind)] = 100
    return telling


@pytest.fixture(scope="module")
def performer():
    torch.manual_seed(0)
    performer = Performer(TINY).eval()
    with torch.no_grad():
        performer.judge[1].bias[DEEDS] = 5  # sure
    return performer


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
    performance = perform_prompt(performer, encoder, "word " * MOST_WORDS + "and she nods")
    assert any("and she nods" in note and str(MOST_WORDS) in note for note in performance.notes)
    assert not any("250" in note for note in perform_prompt(performer, encoder, "she nods").notes)


@pytest.mark.parametrize("name", ACTIONS)
def test_a_named_action_is_a_gesture(name):
    performed = perform([Performed((name,), 0.0, 3.0)], rng=Typical(), frames=72, fps=24, idle=False)
    played = play(gesture_of(name))
    assert np.abs(track_to_code(played - performed))[24:].max() < 0.01


@pytest.mark.parametrize("name", RHYTHMS)
def test_rhythms_move_within_limits_and_stay_below_four_hertz(name):
    track = play(draw_gesture({}, {name: 1.0}), seconds=6.0)
    code = track_to_code(track)
    assert np.ptp(code[24:], axis=0).max() > 0.09, "it moves"
    assert track[:, :-3].min() >= 0 and track[:, :-3].max() <= 1
    moving = code[24:, np.ptp(code[24:], axis=0).argmax()]
    spectrum = np.abs(np.fft.rfft(moving - moving.mean())) ** 2
    hertz = np.fft.rfftfreq(len(moving), 1 / 24)
    assert spectrum[hertz < 4].sum() > 0.8 * spectrum.sum()
    assert np.abs(play(draw_gesture({}, {name: 0.1}))).max() == 0, "a trace of a rhythm is none"


def test_any_weight_and_side_may_be_asked_for():
    for name in COEFFICIENTS[:-3]:
        track = play(draw_gesture({name: 1.0}), strength=1.0)
        assert column(track, name)[-1] > 0.9 and column(track, name)[0] < 0.1
        assert np.abs(np.delete(track, COEFFICIENTS.index(name), axis=1)).max() == 0


def test_onset_tempo_delay_and_release():
    smile = draw_gesture({"mouthSmile": 1.0})
    middle = {}
    for name, value in (("onset", 1.5), ("tempo", 0.6), ("delay", 0.3)):
        numbers = smile.copy()
        numbers[PLACES[name]] = value
        middle[name] = int((column(play(numbers), "mouthSmile_L") > 0.4).argmax())
    usual = int((column(play(smile), "mouthSmile_L") > 0.4).argmax())
    assert middle["onset"] > usual + 4 and middle["delay"] > usual + 4 and middle["tempo"] <= usual
    smile[PLACES["release"]] = release_after(0.7)
    brief = column(play(smile), "mouthSmile_L")
    assert brief.max() > 0.7 and brief[-12:].max() == 0
    nods = draw_gesture({}, {"nod": 1.0})
    nods[PLACES["release"]] = release_after(0.87)
    assert np.abs(column(play(nods), "pitch")[48:]).max() < 0.1, "once, not again"


def test_deeds_hand_over_without_a_hole():
    track = play(gesture_of("smile"), gesture_of("frown"))
    smile, frown = column(track, "mouthSmile_L"), column(track, "mouthFrown_L")
    assert smile[30] > 0.8 > 0.05 > frown[30] and frown[-1] > 0.8 > 0.05 > smile[-1]
    assert (smile + frown)[12:].min() > 0.4


def test_takes_live_besides():
    numbers = gesture_of("smile")
    takes = [play(numbers, seed=seed) for seed in range(4)]
    assert np.array_equal(takes[0], play(numbers, seed=0))
    for take in takes:
        assert column(take, "mouthSmile_L")[36:].min() > 0.8
        assert (np.abs(take[:, -3:]) <= POSE_LIMITS + 1e-5).all()


def test_noise_and_side_are_the_take(performer, encoder):
    ask = {"seconds": 2.0}
    typical = perform_prompt(performer, encoder, "she smiles", seed=None, **ask)
    assert np.array_equal(
        typical.track, perform_prompt(performer, encoder, "she smiles", seed=None, **ask).track
    )
    gestures = [perform_prompt(performer, encoder, "she smiles", seed=k, **ask).deeds for k in range(4)]
    same = perform_prompt(performer, encoder, "she smiles", seed=0, **ask).deeds
    assert np.array_equal(gestures[0][0].numbers, same[0].numbers)
    rows = [typical.deeds[0].numbers, *(deeds[0].numbers for deeds in gestures)]
    assert all(np.abs(a - b).max() > 1e-3 for k, a in enumerate(rows) for b in rows[:k])


def test_sides_are_said_or_open(encoder):
    shown = {}
    for k, name in enumerate(SIDES):
        torch.manual_seed(0)
        telling = Performer(TINY).eval()
        with torch.no_grad():
            telling.judge[1].bias[DEEDS] = 50
            telling.to_side.bias[k] = 50
        takes = [
            perform_prompt(telling, encoder, "winks", seed=seed).deeds[0].numbers
            for seed in (None, *range(6))
        ]
        shown[name] = takes
    assert np.allclose(shown["right"], mirror(np.stack(shown["left"])), atol=1e-6)
    as_left = [np.array_equal(a, b) for a, b in zip(shown["open"], shown["left"], strict=True)]
    assert as_left[0], "a typical take has the person's own left"
    assert 0 < sum(as_left[1:]) < 6


def test_the_flow_ends_where_it_says(performer):
    flow, query, noise = performer.flow, torch.randn(3, performer.queries.shape[-1]), torch.randn(3, NUMBERS)
    with torch.no_grad():
        x, time = 0.5 * noise, torch.zeros(3, 1)
        for step in range(4):
            x = x + (flow(x, time + step / 4, query) - x) * 0.25 / (1 - step / 4)
        assert torch.allclose(flow.sample(query, noise), x, atol=1e-5)


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
    wide = play(gesture_of("eyes wide"), seconds=4.0)
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
    unsure = tell(None, sure=False)
    performance = perform_prompt(unsure, encoder, "does a backflip", seed=None)
    assert not performance.understood and performance.deeds == ()
    assert np.abs(performance.track).max() == 0
    assert "does a backflip" in performance.notes[0] and "English" in performance.notes[0]


@pytest.mark.parametrize("kind", BEYOND)
def test_what_is_not_shown_is_said(encoder, kind):
    notes = perform_prompt(tell(kind, sure=True), encoder, "she smiles").notes
    if kind == "contradiction":
        assert not notes, "what is performed does not contradict itself"
        notes = perform_prompt(tell(kind, sure=False), encoder, "smiles without smiling").notes
    assert len(notes) == 1 and kind[:8] in notes[0].lower()


def test_gaps_of_a_timeline_are_calm_and_no_doubt(encoder):
    unsure = tell(None, sure=False)
    performance = perform_prompt(unsure, encoder, "[1-2s] smiles")
    assert performance.segments[0].prompt == NEUTRAL_PROMPT
    assert performance.confidence[0] == 1.0 and performance.confidence[1] < 0.01
    assert not performance.understood and len(performance.notes) == 1


def test_deeds_share_their_segment(encoder):
    with torch.no_grad():
        eager = Performer(TINY).eval()
        eager.judge[1].bias[: DEEDS + 1] = torch.tensor([0.0, 50.0, 0.0, 0.0, 100.0])
    performance = perform_prompt(eager, encoder, "[0-1s] closes her eyes and nods [1-3s] smiles", seconds=3)
    assert [(d.start, d.end) for d in performance.deeds] == [(0, 0.5), (0.5, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("prompt", ["...", "?!", "😀 👍", "12 34"])
def test_where_no_word_is_the_face_stays_calm(performer, encoder, prompt):
    performance = perform_prompt(performer, encoder, prompt, seed=None)
    assert not performance.understood and np.abs(performance.track).max() == 0
    assert len(performance.notes) == 1 and prompt in performance.notes[0]


@pytest.mark.parametrize(
    "prompt", ["!!!", "...", "😀", "smiles without smiling", "word " * 300, "smiles; " * 360]
)
def test_odd_prompts_give_a_clip(performer, encoder, prompt):
    performance = perform_prompt(performer, encoder, prompt, seed=1)
    assert np.isfinite(performance.track).all() and performance.track.shape == (48, TRACK)


def test_t_learns_and_its_weights_load(tmp_path):
    options = Options(data=tmp_path, output=tmp_path, minutes=1, max_steps=30)
    weights = train("performing", preset="tiny", options=options)
    assert (weights / "performing.safetensors").stat().st_size < 2_600_000
    assert (tmp_path / "performing" / "sentences.safetensors").exists()  # a resumed run hears the same bits
    average = load_average(tmp_path / "performing")
    torch.manual_seed(0)  # begins as the run did
    fresh = PerformingStage(TINY, create_text_encoder(TINY.text))
    fresh.model.eval()
    before = fresh.losses(fresh.batch(999), 0)["total"]
    fresh.model.load_state_dict(average)
    assert fresh.losses(fresh.batch(999), 0)["total"] < 0.8 * before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("smiles, then nods", ["smiles", "nods"]),
        ("smiles;then nods. Then, she winks", ["smiles", "nods", "she winks"]),
        ("looks left and then back to the right", ["looks left", "looks right"]),
        ("a smile followed by a nod and finally a laugh", ["a smile", "a nod", "a laugh"]),
        ("every now and then she blinks", ["every now and then she blinks"]),
        ("then she smiles", ["then she smiles"]),
        ("she smiles, then ...", ["she smiles, then ..."]),
        ("strengthens, authentic", ["strengthens, authentic"]),
    ],
)
def test_then_cuts_a_prompt(text, said):
    assert [clause.words for clause in cut_clauses(text)] == said


def test_what_means_nothing_alone_stays_with_what_does():
    clauses = cut_clauses("A man at a window, then he smiles, then nods, then stops it")
    joined = join_clauses(clauses, [False, True, True, False])
    assert [(clause.words, clause.parts) for clause in joined] == [
        ("A man at a window, then he smiles", 2), ("nods, then stops it", 2)
    ]  # fmt: skip
