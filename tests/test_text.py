"""Prompts are read into timelines, mistakes are explained, and encoders give states of the promised shape."""

import subprocess
import sys

import pytest

from iad.config import PRESETS, TextConfig
from iad.text import NEUTRAL_PROMPT, Action, create_text_encoder, load_text_encoder, parse_prompt


def read(prompt, timeline=None, duration=2.0):
    return [(a.start, a.end, a.prompt) for a in parse_prompt(prompt, timeline, duration=duration)]


def test_reading_a_prompt_needs_no_torch():
    code = "import sys, iad.text; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plain_prompt_covers_the_clip():
    assert read("  a woman\nlaughs ") == [(0, 2, "a woman laughs")]


@pytest.mark.parametrize(
    "prompt",
    [
        "[0-1s] smiles [1-2s] nods",
        "[0 - 1] smiles, [1 – 2 s] nods.",
        "[1-2s] nods [0-1s] smiles",
        "[0s-1s]: smiles; [1s to 2s]: nods",
        "0-1s: smiles; 1-2s: nods",
        "0 to 1 seconds: smiles, 1 to 2 seconds: nods",
    ],
)
def test_ways_to_write_times(prompt):
    assert read(prompt) == [(0, 1, "smiles"), (1, 2, "nods")]


def test_shared_words_go_to_every_segment_and_gaps_are_calm():
    assert read("a woman in a park, [0.5–1.5 s] smiles") == [
        (0, 0.5, f"a woman in a park {NEUTRAL_PROMPT}"),
        (0.5, 1.5, "a woman in a park smiles"),
        (1.5, 2, f"a woman in a park {NEUTRAL_PROMPT}"),
    ]


def test_timeline_argument():
    timeline = [Action(1.0, 2.0, "nods"), Action(0.0, 1.0, "smiles")]
    assert read("", timeline) == [(0, 1, "smiles"), (1, 2, "nods")]
    assert read("a man", timeline) == [(0, 1, "a man smiles"), (1, 2, "a man nods")]


def test_numbers_in_plain_words_are_no_times():
    assert read("a man of 40-50 years: tall") == [(0, 2, "a man of 40-50 years: tall")]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("x" * 3001, "3,001 characters"),
        ("[0-1s smiles", "time that cannot"),
        ("0-1s] smiles", "time that cannot"),
        ("[ -1 - 1 s] smiles", "time that cannot"),
        ("[nan-1s] smiles", "time that cannot"),
        ("[-1-1s] smiles", "time that cannot"),
        ("[1-0s] smiles", "reversed"),
        ("[1-1s] smiles", "empty or reversed"),
        ("[0-1.5s] smiles [1-2s] nods", "overlap"),
        ("[0-3s] smiles", "lasts 2 s"),
        ("[0-1s] [1-2s] nods", "Nothing is said"),
    ],
)
def test_mistakes_are_explained(prompt, words):
    with pytest.raises(ValueError, match=words):
        parse_prompt(prompt, duration=2)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (float("nan"), 1, "not finite"),
        (0, float("inf"), "not finite"),
        (-1, 1, "start at 0"),
        (2, 1, "reversed"),
    ],
)
def test_impossible_actions(start, end, words):
    with pytest.raises(ValueError, match=words):
        Action(start, end, "smiles")


def test_times_in_one_place_only():
    with pytest.raises(ValueError, match="one of the two"):
        parse_prompt("[0-1s] smiles", [Action(1, 2, "nods")])


def check_states(encoder, config):
    encoded = encoder.encode(["a woman smiles", "word " * 60, ""])
    assert encoded.states.shape == (3, config.tokens, config.state_dim)
    assert str(encoded.states.dtype) == "torch.float32"
    assert encoded.truncated == (False, True, False)
    assert encoded.mask[1].all()
    assert encoded.mask.any(dim=1).all(), "even no words have a token to attend to"
    assert not encoded.mask[0].all()
    alone, other = (encoder.encode([text]).states[0] for text in ("a woman smiles", "a woman nods"))
    assert (alone - encoded.states[0])[encoded.mask[0]].abs().max() < 1e-4, "batching changes nothing"
    assert (other - encoded.states[0])[encoded.mask[0]].abs().max() > 0.1


def test_hashed_encoder():
    config = PRESETS["tiny"].text
    check_states(create_text_encoder(config), config)
    assert not load_text_encoder(config).encode(["smiles"]).states.requires_grad


def test_minilm():
    config = TextConfig()
    try:
        encoder = load_text_encoder(config)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    check_states(encoder, config)
    assert not any(weight.requires_grad for weight in encoder.model.parameters())
    shorter = load_text_encoder(TextConfig(tokens=8)).encode(["a woman smiles"]).states
    longer = encoder.encode(["a woman smiles"]).states
    assert (shorter[0, :5] - longer[0, :5]).abs().max() < 1e-4, "padding changes nothing"
    with pytest.raises(ValueError, match="set state_dim"):
        load_text_encoder(TextConfig(state_dim=64))


def test_minilm_finds_paraphrases():
    try:
        encoder = load_text_encoder(TextConfig())
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    encoded = encoder.encode(["a person laughing", "she cracks up", "eyes closed"])
    weights = encoded.mask[..., None].float()
    pooled = (encoded.states * weights).sum(1) / weights.sum(1)
    pooled = pooled / pooled.norm(dim=1, keepdim=True)
    assert pooled[0] @ pooled[1] > pooled[0] @ pooled[2] + 0.05
