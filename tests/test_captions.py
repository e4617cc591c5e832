"""Captions say what is performed, name what is given, and can be read back."""

import re

import numpy as np
import pytest

from iad.performing.actions import ACTIONS, EIGHT_BASIC, Performed
from iad.portraits.captions import PersonWords, load_people_words, locate, write_caption
from iad.portraits.phrasings import (
    HELD_OUT_PHRASINGS,
    KEYWORDS,
    STRONG_WORDS,
    VERBS,
    WITHS,
    Speaker,
    inflect,
    known_actions,
    phrasings,
)
from iad.text import parse_prompt

WOMAN = PersonWords(
    "woman", "older", "long brown hair", glasses=True, clothes="a blue shirt", backdrop="a brick wall"
)
SOMEBODY = PersonWords()


def captions(person, segments, *, count=200, **named):
    rng = np.random.default_rng(0)
    return [write_caption(person, segments, rng=rng, **named) for _ in range(count)]


def test_every_action_has_words():
    assert set(VERBS) == set(WITHS) == set(HELD_OUT_PHRASINGS) == set(ACTIONS)
    assert set(KEYWORDS) <= set(ACTIONS)
    assert set(STRONG_WORDS) <= set(ACTIONS)
    assert all(len(set(words)) >= 8 for words in VERBS.values())


def test_held_out_wordings_are_new_and_no_two_actions_share_one():
    trained = [verb for verbs in VERBS.values() for verb in verbs]
    held_out = [verb for verbs in HELD_OUT_PHRASINGS.values() for verb in verbs]
    assert not set(trained) & set(held_out)
    assert len(set(trained)) == len(trained)
    assert len(set(held_out)) == len(held_out)


@pytest.mark.parametrize(
    ("base", "third", "gerund"),
    [
        ("nod", "nods", "nodding"),
        ("smile", "smiles", "smiling"),
        ("press {their} lips", "presses {their} lips", "pressing {their} lips"),
        ("cry", "cries", "crying"),
        ("have a good laugh", "has a good laugh", "having a good laugh"),
        ("be scared", "is scared", "being scared"),
        ("shut {their} eyes", "shuts {their} eyes", "shutting {their} eyes"),
        ("frown", "frowns", "frowning"),
        ("say ah", "says ah", "saying ah"),
    ],
)
def test_inflection(base, third, gerund):
    assert [inflect(base, form) for form in ("base", "third", "gerund")] == [base, third, gerund]


@pytest.mark.parametrize("name", ACTIONS)
def test_every_wording_is_recognised(name):
    for held_out in (False, True):
        for pronoun in ("she", "he", "they"):
            for phrase in phrasings(name, pronoun=pronoun, held_out=held_out):
                assert known_actions(f"A person {phrase}.") == (name,), phrase
    speaker = Speaker("she", np.random.default_rng(0))
    for _ in range(6):
        assert known_actions(f"a woman {speaker.accompanying(name)}") == (name,)


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("smile", ("smile",)),
        ("A woman LAUGHS", ("laugh",)),
        ("she is not laughing", ("neutral",)),
        ("he doesn't smile, but nods", ("nod",)),
        ("nods without smiling", ("nod",)),
        ("closes her eyes, then smiles broadly", ("eyes closed", "smile")),
        ("smiles with her eyes closed", ("smile", "eyes closed")),
        ("turns to his left and winks", ("turn left", "wink left")),
        ("raises one eyebrow", ("skeptical",)),
        ("raises his eyebrows", ("brows raised",)),
        ("a man in a park", ()),
        ("a portrait of an astronaut riding a horse", ()),
    ],
)
def test_known_actions(prompt, names):
    assert known_actions(prompt) == names


@pytest.mark.parametrize("name", [name for name in ACTIONS if name != "neutral"])
def test_captions_name_their_action(name):
    for intensity, tempo in ((0.8, "normal"), (0.45, "slow"), (1.0, "quick")):
        for caption in captions(WOMAN, [Performed((name,), 0, 2, intensity, tempo)], count=25):
            assert name in known_actions(caption), caption


def test_sequences_keep_their_order():
    segments = [Performed(("eyes closed",), 0, 1), Performed(("smile",), 1, 2)]
    written = captions(WOMAN, segments)
    assert all(known_actions(c)[:2] == ("eyes closed", "smile") for c in written)
    timed = [c for c in written if "[" in c]
    assert 0.15 * len(written) < len(timed) < 0.6 * len(written)
    for text in timed:
        assert [(a.start, a.end) for a in parse_prompt(text, duration=2)] == [(0, 1), (1, 2)]


def test_gaps_are_written_with_times():
    for caption in captions(SOMEBODY, [Performed(("nod",), 1, 2)], count=30):
        first, second = parse_prompt(caption, duration=2)
        assert known_actions(first.prompt) == ("neutral",)
        assert "nod" in known_actions(second.prompt)


def test_calm_faces_are_said_by_denial_too():
    texts = captions(WOMAN, [Performed(("neutral",), 0, 2)])
    denials = [t for t in texts if " not " in f" {t}" or "without" in t]
    assert 0.3 < len(denials) / len(texts) < 0.7
    assert all(not set(known_actions(t)) - {"neutral"} for t in texts)
    assert not any("blink" in t for t in texts)  # everybody blinks


def test_a_scene_is_named():
    written = captions(WOMAN, [Performed(("smile",), 0, 2)], count=60, scene="a sunny park")
    assert all("in a sunny park" in caption.lower() and "brick" not in caption for caption in written)


def test_looks_are_named_at_times():
    written = captions(WOMAN, [Performed(("nod",), 0, 2)])
    for sign in ("long brown hair", "a blue shirt", "in front of a brick wall", "with glasses", "lady"):
        assert 0 < sum(sign in caption.lower() for caption in written) < 100, sign
    own = r"\b(woman|lady|she|her)\b"
    assert any(not re.search(own, caption.lower()) for caption in written), "some say nothing of the person"
    assert any(len(caption.split()) == 1 for caption in written), "some prompts are one word"
    assert len(set(written)) > 100


def test_degree_is_said():
    slight = captions(SOMEBODY, [Performed(("smile",), 0, 2, 0.45)], count=50)
    strong = captions(SOMEBODY, [Performed(("smile",), 0, 2, 1.0)], count=50)
    assert all(any(w in t.lower() for w in ("slight", "a little", "a bit")) for t in slight)
    assert all(any(w in t.lower() for w in ("big", "broadly", "widely", "very")) for t in strong)


def test_who_speaks_in_held_out_words_uses_no_others():
    speaker = Speaker("they", np.random.default_rng(0), held_out=True)
    for name in EIGHT_BASIC:
        forms = ("base", "third", "gerund")
        own = [inflect(verb, form).split("{")[0] for verb in HELD_OUT_PHRASINGS[name] for form in forms]
        text = speaker.sequence([Performed((name,), 0, 2)], form="third")
        assert any(phrase.lower() in text.lower() for phrase in own)


def test_same_seed_same_caption():
    segments = [Performed(("nod", "smile"), 0, 2)]
    assert captions(WOMAN, segments) == captions(WOMAN, segments)


def test_places_get_their_preposition():
    assert locate("a park") == "in a park"
    assert locate("a grey wall") == "in front of a grey wall"
    assert locate("a city street at night") == "on a city street at night"
    assert locate("at the seaside") == "at the seaside"


def test_people_table(tmp_path):
    table = tmp_path / "people.csv"
    table.write_text(
        "id,keep,reason,presentation,age,hair,beard,glasses,hat,clothes,backdrop,source_expression\n"
        "3,1,,woman,young,long blonde hair,0,1,0,a white jacket,dark trees,neutral\n"
        "5,0,minor,man,young,,0,0,0,,,neutral\n"
    )
    looks = {"clothes": "a white jacket", "backdrop": "dark trees"}
    woman = PersonWords("woman", "young", "long blonde hair", glasses=True, **looks)
    assert load_people_words(table) == {3: woman}
    assert len(load_people_words()) > 500


def test_nothing_to_say_is_a_mistake():
    with pytest.raises(ValueError, match="No segments"):
        write_caption(WOMAN, [], rng=np.random.default_rng(0))
