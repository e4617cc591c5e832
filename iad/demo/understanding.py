"""What the model understood of a prompt, said under the box before anything is made.

In: a prompt, as it is typed. Out: a piece of HTML that names the actions T would perform, what it doubts or
cannot show, and a wording that may have been meant. Nothing here changes what is made.
"""

import difflib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, get_args

import gradio as gr
import numpy as np
from jaxtyping import Float

from iad.config import TRACK
from iad.demo.languages import find_language
from iad.demo.runs import QUIET
from iad.demo.uploads import Click
from iad.performing import Performance
from iad.performing.actions import ACTIONS
from iad.performing.gestures import RHYTHMS, gesture_of
from iad.performing.performance import SURE
from iad.portraits.lexicon import Entry, inflect_verb, list_words, load_lexicon
from iad.portraits.phrasings import VERBS, Form, fill, inflect
from iad.request import DURATION
from iad.text import NEUTRAL_PROMPT, find_minilm, split_prompt

SEEN = TRACK + len(RHYTHMS)  # of a gesture's numbers, those that say what is done and not how
ALIKE = 0.95  # cosine from which one known gesture names what is done; below it, two together may
CALM = 0.3  # length of a gesture's numbers below which nothing is seen
ROUGHLY = 0.85  # below it, no name fits well
DOUBTED = 0.8  # confidence below which it is said that there is some doubt
SPELLED_ALIKE = 0.8
SHORTEST_WORD = 3
# Waits until nothing has been typed for a while, and then takes what stands in the box.
WHEN_STILL_JS = """
async (prompt, ...more) => {
  const box = document.querySelector('#prompt textarea'), rest = () => new Promise(go => setTimeout(go, 400));
  for (let seen = null; seen !== box.value;) { seen = box.value; await rest(); }
  return [box.value, ...more];
}
"""
SUGGESTION_JS = """
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (button) trigger('click', {prompt: button.innerText});
});
"""


@dataclass(frozen=True)
class Names:
    """Known gestures by name: what stands in a row of `numbers` is said by the phrase at its place."""

    phrases: tuple[str, ...]
    numbers: Float[np.ndarray, "k n"]

    def find(self, gesture: Float[np.ndarray, " n"]) -> tuple[str, bool]:
        """Say what a gesture does, by the one or two known ones nearest to it, and whether that fits."""
        if np.linalg.norm(gesture[:SEEN]) < CALM:
            return "keeps a calm face", True
        one = _cosines(self.numbers, gesture[:SEEN])
        best, phrase = float(one.max()), self.phrases[int(one.argmax())]
        if best < ALIKE:
            pairs = list(combinations(range(len(_NAMED)), 2))
            rows = self.numbers[np.array(pairs)]
            both = np.where(np.abs(rows[:, 0]) > np.abs(rows[:, 1]), rows[:, 0], rows[:, 1])
            two = _cosines(both, gesture[:SEEN])
            if two.max() > best + 0.02:
                best, (first, second) = float(two.max()), pairs[int(two.argmax())]
                phrase = f"{self.phrases[first]} and {self.phrases[second]}"
        return phrase, best >= ROUGHLY


_NAMED = tuple(name for name in ACTIONS if name != "neutral")


@cache
def load_names() -> Names:
    """Read the named actions, then the other gestures of the lexicon, for either side."""
    phrases = [_say_action(name) for name in _NAMED]
    numbers = [gesture_of(name)[:SEEN] for name in _NAMED]
    for entry in load_lexicon().values():
        if entry.name not in ACTIONS:
            for side, row in zip(("left", "right"), entry.sides, strict=True):
                phrases.append(_say_entry(entry).replace("@", side))
                numbers.append(row[:SEEN])
    return Names(tuple(phrases), np.stack(numbers))


def _say_action(name: str) -> str:
    side = name.rpartition(" ")[2] if name.endswith(("left", "right")) else ""
    verb = next((verb for verb in VERBS[name] if side in verb.split()), VERBS[name][0])
    return fill(inflect(verb, "third"), "they").replace("their", "the")


def _say_entry(entry: Entry) -> str:
    if entry.words["adj"]:
        return f"looks {entry.words['adj'][0]}"
    verb = inflect_verb(list_words(entry.words["verb"][0])[0], "third") if entry.words["verb"] else entry.name
    return " ".join(verb.replace("*", "the").replace("^", "").split())


def _cosines(rows: Float[np.ndarray, "k n"], row: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(row)
    return rows @ row / np.maximum(lengths, 1e-6)


@cache
def list_known_words() -> frozenset[str]:
    """List the words by which people say the named actions, verbs in every form, and how a face may look."""
    said = [inflect(verb, form) for name in ACTIONS for verb in VERBS[name] for form in get_args(Form)]
    said += [words for entry in load_lexicon().values() for words in entry.words["adj"]]
    return frozenset(re.findall(r"[a-z]{3,}", " ".join(said)))


@cache
def _list_english() -> frozenset[str]:
    """List the words that the sentence encoder knows whole."""
    from tokenizers import Tokenizer

    return frozenset(Tokenizer.from_file(str(find_minilm()["tokenizer.json"])).get_vocab())


def correct_spelling(prompt: str) -> str:
    """Replace words that are no English by the words for faces that are spelled nearly so."""
    known, english = list_known_words(), _list_english()

    def correct(match: re.Match) -> str:
        word = match[0]
        if len(word) < SHORTEST_WORD or word.lower() in known or word.lower() in english:
            return word
        found = difflib.get_close_matches(word.lower(), known, n=1, cutoff=SPELLED_ALIKE)
        return found[0] if found else word

    return re.sub(r"[^\W\d_]+", correct, prompt)


def wire_understanding(pipeline: Any, words: Any, prompt: Any, more: Sequence[Any]) -> None:
    """Keep what is said under the box in step with it.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline`.
        words: the HTML under the box.
        prompt: the box.
        more: the clip's length and the model.
    """
    understanding = Understanding(pipeline)
    gr.on(
        [prompt.change, *(part.change for part in more)], understanding.describe, [prompt, *more], words,
        js=WHEN_STILL_JS, trigger_mode="always_last", show_progress="hidden", **QUIET,
    )  # fmt: skip
    words.click(understanding.choose, outputs=prompt, **QUIET)


class Understanding:
    """What the box's events call.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline`.
    """

    def __init__(self, pipeline: Any):
        self.pipeline = pipeline

    def describe(self, prompt: str, seconds: float = DURATION, model: str = "mini") -> str:
        """Say what a prompt would make the face do; the full-size model reads prompts in its own way."""
        if not prompt.strip() or model != "mini":
            return ""
        try:
            performed = self._perform(prompt, seconds)
        except ValueError as error:
            return _write([f'<span class="doubt">{html.escape(str(error))}</span>'])
        said = describe_actions(performed)
        if language := find_language(prompt):
            told = f'<span class="doubt" lang="{language.code}">{html.escape(language.sentence)}</span>'
            return _write([said, told])
        return _write([said, describe_doubts(performed), self._suggest(prompt, seconds, said)])

    def choose(self, event: Click) -> str:
        """Return the suggestion that was clicked."""
        return event.read("prompt", str)

    def _perform(self, prompt: str, seconds: float) -> Performance:
        ends = [action.end for action in split_prompt(prompt)[1]]
        return self.pipeline.perform(prompt, seconds=max([seconds, *ends]))

    def _suggest(self, prompt: str, seconds: float, said: str) -> str:
        """Offer another spelling where it is understood otherwise than the prompt is."""
        corrected = correct_spelling(prompt)
        performed = self._perform(corrected, seconds) if corrected != prompt else None
        if performed is None or not performed.understood or describe_actions(performed) == said:
            return ""
        return f'Did you mean <button type="button">{html.escape(corrected)}</button>?'


def describe_actions(performed: Performance) -> str:
    """Name the actions in order, with their times where the prompt gives some."""
    timed = len(performed.segments) > 1
    said = []
    for segment, sure in zip(performed.segments, performed.confidence, strict=True):
        if segment.prompt == NEUTRAL_PROMPT or sure < SURE:
            continue
        deeds = [deed for deed in performed.deeds if segment.start <= deed.start < segment.end]
        found = [load_names().find(deed.numbers) for deed in deeds]
        words = ", then ".join(f"<b>{'' if fits else 'roughly '}{phrase}</b>" for phrase, fits in found)
        said.append(f"{words} ({segment.start:g}–{segment.end:g} s)" if timed else words)
    return f"Understood: {', '.join(filter(None, said))}." if any(said) else ""


def describe_doubts(performed: Performance) -> str:
    """Say of which words it is not sure, and what cannot be shown."""
    doubted = [
        f"“{segment.prompt}” is understood with some doubt."
        for segment, sure in zip(performed.segments, performed.confidence, strict=True)
        if SURE <= sure < DOUBTED
    ]
    said = " ".join(html.escape(words) for words in (*doubted, *performed.notes))
    return f'<span class="doubt">{said}</span>' if said else ""


def _write(parts: Sequence[str]) -> str:
    return f'<p role="status">{" ".join(filter(None, parts))}</p>'
