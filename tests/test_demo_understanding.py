"""What is said under the prompt: the actions that were understood, what is doubted, what may be meant."""

import re
from functools import cache

import pytest
from held_out_prompts import load_prompts

from iad import IaDPipeline
from iad.demo.languages import find_language, load_languages
from iad.demo.understanding import Understanding, correct_spelling
from iad.performing.actions import ACTIONS
from iad.portraits.lexicon import list_words, load_lexicon
from iad.portraits.phrasings import phrasings

SENTENCES = {
    "de": "eine Frau lächelt", "es": "una mujer sonríe", "fr": "elle ferme les yeux", "it": "un uomo ride",
    "pt": "uma mulher sorri", "ru": "он кивает", "zh": "一个女人在笑", "ja": "彼女は笑う",
}  # fmt: skip


@cache
def understand(prompt):
    return load_understanding().describe(prompt)


@cache
def load_understanding():
    return Understanding(IaDPipeline.from_pretrained("mini"))


def list_named(said):
    return re.findall("<b>(.*?)</b>", said)


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("smiles, then nods", ["smiles", "nods"]),
        ("a woman laughs", ["laughs"]),
        ("turns the head right", ["turns the head to the right"]),
        ("turns the head left", ["turns the head to the left"]),
        ("closes her eyes and smiles", ["smiles and closes the eyes"]),
        (
            "turns left then right, and finally nods",
            ["turns the head to the left", "turns the head to the right", "nods"],
        ),
        (
            "smiles then winks then laughs then nods then frowns",
            ["smiles", "winks with the left eye", "laughs", "nods", "frowns"],
        ),
    ],
)
def test_what_was_understood_is_named_in_order(prompt, named):
    assert list_named(understand(prompt)) == named


def test_times_of_a_timeline_are_said_and_wrong_ones_explained():
    assert re.findall(r"(\w+)</b> \((.*?) s\)", understand("[0-1s] smiles [1-2s] nods")) == [
        ("smiles", "0–1"), ("nods", "1–2")
    ]  # fmt: skip
    assert "the end must follow the start" in understand("[1-0s] smiles")
    assert "overlap" in understand("[0-2s] smiles [1-2s] nods")


def test_words_that_name_no_action_are_told_and_what_cannot_be_shown_too():
    said = understand("asdfgh")
    assert "No facial action was recognised" in said and not list_named(said)
    assert "tongue is not shown" in understand("sticks out her tongue")
    assert understand("  ") == "" == load_understanding().describe("smiles", model="full-size")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("she smiels broadly", "she smiles broadly"),
        ("clsoes the eyes", "closes the eyes"),
        ("smiels", "smiles"),
    ],
)
def test_a_slip_of_the_keys_is_mended_if_the_visitor_wants_it(typed, meant):
    assert correct_spelling(typed) == meant
    said = understand(typed)
    offered = f'Did you mean <button type="button">{meant}</button>?' in said
    assert offered != (list_named(said) == list_named(understand(meant)))  # what is understood needs no offer


@pytest.mark.parametrize("prompt", ["a woman in a park smiles", "smiles", "Aisha grins", "nodds"])
def test_nothing_is_suggested_where_it_would_change_nothing(prompt):
    assert "Did you mean" not in understand(prompt)
    assert correct_spelling("wears a red hat") == "wears a red hat"


@pytest.mark.parametrize("code", SENTENCES)
def test_other_languages_are_told_in_their_own_words(code):
    assert find_language(SENTENCES[code]).code == code
    assert f'lang="{code}"' in understand(SENTENCES[code])
    assert set(SENTENCES) == {language.code for language in load_languages()} - {"en"}


def test_english_is_never_taken_for_another_language():
    said = [words for action in ACTIONS for words in phrasings(action)]
    said += [prompt.text for prompt in load_prompts()]
    for entry in load_lexicon().values():
        said += [words for phrases in entry.words.values() for p in phrases for words in list_words(p)[:3]]
    assert len(said) > 5000 and [words for words in said if find_language(words)] == []
