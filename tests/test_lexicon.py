"""The lexicon tells the whole face; sentences mean what they say; nothing kept for judging is taught."""

import re
from itertools import pairwise

import numpy as np
import pytest
from held_out_prompts import load_prompts

from iad.config import EXPRESSIONS
from iad.performing.actions import ACTIONS, COEFFICIENTS
from iad.performing.gestures import NUMBERS, PLACES, RHYTHMS, Deed, mirror, play_take
from iad.portraits.lexicon import FILE, Entry, draw_words, inflect_verb, list_words, load_lexicon, one_sided
from iad.portraits.phrasings import DEEDS as OFF_DEEDS
from iad.portraits.phrasings import HELD_OUT_PHRASINGS, THINGS, fill, inflect
from iad.training.meanings import Manner, combine, deny, draw_takes, go_together, mean, overlap, split_face
from iad.training.performer_stage import TAKES, truth_of
from iad.training.sentences import Teller
from iad.training.spoken import draw_off_topic, draw_spoken, is_held_out

LEXICON = load_lexicon()


def at(numbers, name):
    return numbers[..., COEFFICIENTS.index(name) if name in COEFFICIENTS else PLACES[name]]


def plain(text):
    """Leave out what differs between people and typing."""
    text = re.sub(r"[^\w ]", " ", text.lower().replace("*", " ").replace("^", "").replace("+", ""))
    return " ".join(re.sub(r"\b(?:her|his|their|the|a|an|to)\b", " ", text).split())


@pytest.fixture(scope="module")
def spoken():
    return [draw_spoken(np.random.default_rng((5, k))) for k in range(1200)]


def test_every_number_of_the_face_can_be_asked_for():
    reach = np.abs(np.stack([entry.sides for entry in LEXICON.values()])).max((0, 1))
    unused = {name for name, most in zip(COEFFICIENTS, reach, strict=False) if most < 0.5}
    assert unused <= {"PupilDilate_L", "PupilDilate_R", "mouthClose"}
    assert all(reach[PLACES[name]] >= 1 for name in RHYTHMS)
    assert (
        len(LEXICON) > 230
        and sum(len(list_words(w)) for e in LEXICON.values() for w in e.words["verb"]) > 45_000
    )


def test_sides_are_mirrored():
    for entry in LEXICON.values():
        left, right = entry.sides
        assert np.allclose(mirror(left), right, atol=1e-6), entry.name
        named = [w for words in entry.words.values() for w in words if "@" in w]
        assert entry.sided or not named, f"{entry.name} has words for a side, and none"
    assert (
        at(LEXICON["one cheek puffed"].sides[0], "cheekPuff_L")
        > 1
        > 0.1
        > at(LEXICON["one cheek puffed"].sides[0], "cheekPuff_R")
    )
    assert at(LEXICON["jaw to one side"].sides[1], "jawRight") > 1
    assert at(LEXICON["shake"].sides, "shake").tolist() == [1, -1]
    assert at(LEXICON["wink"].sides, "wink_R").tolist() == [0, 1]
    assert at(LEXICON["look over the shoulder"].sides, "yaw").tolist() == pytest.approx([19 / 15, -19 / 15])


def test_words_are_chosen_and_inflected():
    whole = set(list_words("(puff|blow up) * (cheek|cheeks|)"))
    wanted = {f"{verb} * {noun}".strip() for verb in ("puff", "blow up") for noun in ("cheek", "cheeks", "")}
    assert whole == wanted
    drawn = {draw_words("(a|b) c", np.random.default_rng(k)) for k in range(20)}
    assert drawn == {"a c", "b c"}
    assert inflect_verb("barely suppress a grin", "third") == "barely suppresses a grin"
    assert inflect_verb("turn and tilt * head", "gerund") == "turning and tilting * head"


def test_nothing_kept_for_judging_is_taught():
    kept = {plain(p.text) for p in load_prompts()}
    subject = (
        r"^(?:she|he|a woman|a man|a girl|the man|the woman|the old man|the boy)(?: who is| is| whose)? "
    )
    kept |= {plain(re.sub(subject, "", p.text)) for p in load_prompts()}
    kept |= {plain(inflect(fill(p, "she"), f)) for own in HELD_OUT_PHRASINGS.values() for p in own
             for f in ("base", "third", "gerund")}  # fmt: skip
    taught = set()
    for entry in LEXICON.values():
        for kind, phrases in entry.words.items():
            for words in (
                w.replace("@", side) for p in phrases for w in list_words(p) for side in ("left", "right")
            ):
                forms = {"verb": ("base", "third", "gerund"), "when": ("gerund",)}.get(kind, (None,))
                taught |= {plain(inflect_verb(words, form) if form else words) for form in forms}
    assert len(taught) > 100_000 and not taught & kept


def test_no_sentence_is_one_kept_for_judging(spoken):
    kept = {plain(p.text) for p in load_prompts()}
    assert not kept & {plain(s.text) for s in spoken}


def test_off_topic_words_kept_for_judging_are_not_drawn():
    kept = [fill(deed, "she") for k, deed in enumerate(OFF_DEEDS) if is_held_out(k)]
    said = {inflect(deed, form) for deed in kept for form in ("base", "third", "gerund")}
    drawn = [draw_off_topic(np.random.default_rng(k))[0] for k in range(300)]
    drawn = [text for text in drawn if not text.endswith(THINGS)]  # "a white fence" is no deed
    assert len(kept) > 5
    assert not any(text == deed or text.endswith(f" {deed}") for text in drawn for deed in said)


def test_sentences_tell_what_they_say(spoken):
    again = [draw_spoken(np.random.default_rng((5, k))).text for k in range(5)]
    assert again == [s.text for s in spoken[:5]]
    assert 0.08 < np.mean([not s.sure for s in spoken]) < 0.28
    assert not any(re.search(r"[*@^+{}~%]|\(\w", s.text) for s in spoken if s.sure)
    assert {len(s.deeds) for s in spoken} == {0, 1, 2, 3, 4}
    assert {"tongue", "hands", "body", "contradiction"} <= {name for s in spoken for name in s.beyond}
    for s in spoken:
        words = set(re.findall(r"\w+", s.text.lower()))
        if len(s.deeds) == 1 and not words & {"left", "right", "leftward", "rightward"}:
            left, right = s.deeds[0].sides
            assert np.allclose(mirror(left), right, atol=1e-5) or "eyes" in words, s.text


@pytest.mark.parametrize(
    ("kind", "form", "said"),
    [
        ("mood", "third", "is over the hills"),
        ("like", "with", "the face of a cat"),
        ("as", "third", "looks as if she had lost her keys"),
        ("when", "third", "looks like someone winning a cup"),
        ("cue", "cue", "teeth showing"),
    ],
)
def test_situations_and_similes_are_said(kind, form, said):
    words = {"mood": "over the hills", "like": "a cat", "as": "~ had lost * keys", "when": "win a cup",
             "cue": "teeth showing"}  # fmt: skip
    entry = Entry("smile", LEXICON["smile"].sides)
    entry.words[kind].append(words[kind])
    texts = {Teller(np.random.default_rng(k), "she").say(entry, Manner(), form=form)[0] for k in range(80)}
    assert said in texts and all(words[kind].split()[-1] in text for text in texts)


def test_a_side_has_other_names():
    entry = one_sided(LEXICON["turn to one side"])
    said = [Teller(np.random.default_rng(k), "he").say(entry, Manner(), form="third") for k in range(400)]
    camera = [meaning.side for text, meaning in said if re.search("(camera|viewer's) left", text)]
    assert camera and set(camera) == {1}, "what the camera has left is the person's right"


def test_two_sides_are_told_at_once():
    both = [combine([mean(LEXICON["wink"], side=0), mean(LEXICON["one brow raised"], side=1)])]
    takes = draw_takes(both * 20, np.random.default_rng(0))
    assert at(takes, "wink_L").min() > 0.5 and at(takes, "browOuterUp_R").min() > 0.5
    assert np.abs(at(takes, "wink_R")).max() == 0


def test_near_misses_name_no_action():
    rng = np.random.default_rng(0)
    drawn = [draw_off_topic(rng) for _ in range(1500)]
    assert any("statue" in text for text, _ in drawn) and not any(re.search(r"[~%|]", t) for t, _ in drawn)


def test_manner_is_meant():
    smile = LEXICON["smile"]
    slight, usual, strong = (
        at(mean(smile, Manner(degree=d)).sides[0], "mouthSmile_L") for d in (0.55, 1.0, 1.22)
    )
    assert slight < 0.65 * usual < 0.65 * strong
    assert at(mean(LEXICON["nod"], Manner(rate=1.5)).sides[0], "tempo") > 0.5
    once, twice = (mean(LEXICON["nod"], Manner(times=k)).sides[0] for k in (1, 2))
    pitch = [
        play_take([Deed(n, 0.0, 4.0)], frames=96, seed=None)[:, COEFFICIENTS.index("pitch")]
        for n in (once, twice)
    ]
    bows = [sum(a > -6 >= b for a, b in pairwise(p)) for p in pitch]
    assert bows == [1, 2]


def test_gestures_go_together_or_not():
    assert go_together(LEXICON["smile"], LEXICON["nod"])
    assert go_together(LEXICON["one cheek puffed"], LEXICON["eyes closed"])
    for pair in (
        ("smile", "frown"),
        ("eyes closed", "eyes wide"),
        ("nod", "shake"),
        ("mouth open", "lips pressed"),
    ):
        assert not go_together(*(LEXICON[name] for name in pair))
    assert overlap(LEXICON["laugh"], LEXICON["smile"]) and not overlap(LEXICON["nod"], LEXICON["smile"])
    puffs = combine([mean(LEXICON["one cheek puffed"], side=1), mean(LEXICON["wink"])])
    assert puffs.side == 1 and at(puffs.sides, "cheekPuff_R").min() > 0.8
    assert at(puffs.sides, "wink_R").min() > 0.8, "what is open is on the side that is named"
    both = combine([mean(LEXICON["smile"]), mean(LEXICON["nod"])])
    assert at(both.sides[0], "mouthSmile_L") > 0.9 and at(both.sides[0], "nod") > 0.8


def test_what_is_denied_keeps_still():
    meaning = deny(mean(LEXICON["look to one side"]), LEXICON["turn to one side"])
    takes = draw_takes([meaning] * 64, np.random.default_rng(0))
    assert np.abs(at(takes, "yaw")).max() == 0 and at(takes, "eyeLookOut_L").min() > 0.5


def test_eyes_may_feel_otherwise():
    sad = split_face(mean(LEXICON["sad"]), mean(LEXICON["smile"])).sides[0]
    assert at(sad, "browInnerUp_L") > 0.8 and at(sad, "mouthSmile_L") > 0.9 and at(sad, "mouthFrown_L") == 0


def test_takes_are_right_and_differ():
    winks = [mean(LEXICON["wink"], side=side) for side in (None, 0, 1)]
    takes = draw_takes([wink for wink in winks for _ in range(40)], np.random.default_rng(0))
    assert at(takes, "wink_L").min() > 0.5 and np.abs(at(takes, "wink_R")).max() == 0, "meant to the left"
    smiles = draw_takes([mean(LEXICON["smile"])] * 200, np.random.default_rng(1))
    assert at(smiles, "mouthSmile_L").min() > 0.6 and at(smiles, "mouthSmile_L").std() > 0.05
    assert at(smiles, "roll").std() > 0.1 and (at(smiles, "browOuterUp_L") > 0.1).mean() > 0.05
    assert abs(at(smiles, "roll").mean()) < 0.1, "a typical smile is straight"
    calm = draw_takes([mean(LEXICON["neutral"])] * 50, np.random.default_rng(2))
    assert np.abs(calm[:, :EXPRESSIONS]).max() == 0


def test_truth_holds_takes_on_their_way(spoken):
    truth = truth_of(spoken[:60], np.random.default_rng(0))
    deeds = sum(len(s.deeds) for s in spoken[:60])
    assert truth["takes"].shape == (TAKES, deeds, NUMBERS) == truth["moving"].shape
    begun = (truth["time"] == 0).expand_as(truth["moving"])
    assert truth["moving"][begun].std() > 0.3 and truth["sure"].sum() == sum(s.sure for s in spoken[:60])
    assert not truth_of([s for s in spoken if not s.deeds][:4], np.random.default_rng(0))["rows"].numel()


def test_a_broken_line_is_named(tmp_path, monkeypatch):
    broken = tmp_path / "lexicon.txt"
    broken.write_text("# words\n[nothing known]\nsmile\n")
    monkeypatch.setattr("iad.portraits.lexicon.FILE", broken)
    with pytest.raises(ValueError, match="Line 2 of lexicon.txt"):
        load_lexicon.__wrapped__()


def test_named_actions_keep_their_words():
    names = {name.removesuffix(" left").removesuffix(" right") for name in ACTIONS}
    known = {name.removesuffix(" to one side") for name in LEXICON}
    assert names <= known and FILE.exists()
