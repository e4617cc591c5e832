"""Gestures put into words: one, several at once or in order, in many manners; captions of clips.

In come entries of the lexicon and manners; out come texts with what they mean. Words and the shapes of
sentences are data, in `sentences.json`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from iad.performing.actions import ACTIONS, NORMAL, SLIGHT, STRONG, Performed
from iad.performing.gestures import gesture_of
from iad.portraits.captions import PersonWords, load_people_words, write_caption
from iad.portraits.lexicon import Entry, draw_words, inflect_verb, load_lexicon
from iad.portraits.phrasings import Form, Pronoun, pick
from iad.portraits.scenes import SCENES
from iad.training.meanings import Manner, Meaning, Spoken, mean

WORDS: dict[str, Any] = json.loads(Path(__file__).with_name("sentences.json").read_text())
SIDES = ("left", "right")
# What `WORDS["side"]` may replace: a camera's left is the person's right, a stage's left the person's left.
_ASIDE = re.compile(r"\b(?:to|off to|over to) (?:the|her|his|their|my|your) (?:left|right)$")
# Words for degrees: after a verb, before an adjective, before a noun.
DEGREES = {float(degree): words for degree, words in WORDS["degree"].items()}
PLAINEST = 0.2  # share of verbs that are the plainest of their gesture, which an entry names first

Subject = Pronoun | Literal["I", "you"]
AnyForm = Literal["base", "third", "gerund", "with", "part", "cue"]


def draw_manner(rng: np.random.Generator, *, often: float = 0.4) -> Manner:
    """Draw how something is done; mostly nothing is said of it."""
    if rng.random() >= often:
        return Manner()
    kind = int(rng.choice(6, p=[0.58, 0.13, 0.07, 0.06, 0.1, 0.06]))
    if kind == 0:
        return Manner(degree=float(rng.choice(list(DEGREES), p=[0.17, 0.35, 0.33, 0.15])))
    rate, times = float(rng.choice([0.65, 1.5])), int(rng.integers(1, 4))
    how = ({"rate": rate}, {"onset": 1.3}, {"onset": 0.16}, {"hold": 0.7}, {"times": times})[kind - 1]
    return Manner(**how)


@dataclass(frozen=True)
class Teller:
    """Tells what one person does, in clauses and in sentences."""

    rng: np.random.Generator
    pronoun: Subject

    @property
    def who(self) -> list[str]:
        """Name the person in several ways."""
        return WORDS["who"][self.pronoun]

    @property
    def called(self) -> dict[str, str]:
        """Give the person's pronouns: what goes into the slots {them}, {her}, {their} and {self}."""
        return WORDS["pronouns"][self.pronoun]

    def fill(self, phrase: str, manner: Manner) -> tuple[str, int | None]:
        """Fill a wording's slots; tell which side it names, if it names one."""
        text, side = draw_words(phrase, self.rng), None
        if "@" in text:
            side = int(self.rng.integers(2))
            text = text.replace("@wards", f"{SIDES[side]}ward").replace("@", SIDES[side])
        their = "the" if self.rng.random() < 0.05 and "* own" not in text else self.called["their"]
        words = DEGREES.get(manner.degree)
        text = text.replace("^", pick(self.rng, words[1]) if words else "")
        text = text.replace("+", pick(self.rng, words[2]) if words else "").replace("*", their)
        if side is not None and _ASIDE.search(text) and self.rng.random() < 0.12:
            text = _ASIDE.sub(self._shape(WORDS["side"], side=SIDES[side], other=SIDES[1 - side]), text)
        return self._name_person(text), side

    def _name_person(self, text: str) -> str:
        """Fill the slots for the person; some take verbs of their own."""
        they = self.pronoun
        text = text.replace("~", they).replace("%", self.called["her"])
        text = re.sub(r"\bthemselves\b", self.called["self"], text)
        for third, own in WORDS["verbs"].get(they, {}).items():
            text = text.replace(f"{they} {third}", f"{they} {own}")
        return " ".join(text.split())

    def _manner_words(self, manner: Manner) -> str:
        rng = self.rng
        if manner.degree != 1:
            return pick(rng, DEGREES[manner.degree][0]).replace("*", self.called["their"])
        if manner.rate != 1:
            return pick(rng, WORDS["slow" if manner.rate < 1 else "quick"])
        if manner.onset is not None:
            return pick(rng, WORDS["gradual" if manner.onset > 0.4 else "sudden"])
        return pick(rng, WORDS["brief"] if manner.hold is not None else WORDS["times"][str(manner.times)])

    def say(self, entry: Entry, manner: Manner, *, form: AnyForm) -> tuple[str, Meaning]:
        """Say a gesture in one form: as an inflected verb phrase, after "with", or as a clause of its own."""
        kinds = {"with": self._with_kinds, "part": self._part_kinds, "cue": self._cue_kinds}
        shapes = kinds.get(form, self._verb_kinds)(entry)
        phrase, before = shapes[int(self.rng.integers(len(shapes)))]
        slotted = manner.degree != 1 and ("^" in phrase or "+" in phrase)
        text, side = self.fill(phrase, manner)
        if form in ("base", "third", "gerund"):
            text = inflect_verb(text, form)
        if not manner.plain and not slotted:
            text = self._modify(text, manner, front=form in ("third", "gerund", "base") and not before)
        known = next((n for n, words in WORDS["times"].items() if any(f" {w}" in text for w in words)), 0)
        return text, mean(entry, replace(manner, times=manner.times or int(known)), side=side)

    def _modify(self, text: str, manner: Manner, *, front: bool) -> str:
        words = self._manner_words(manner)
        single = " " not in words and words.endswith(("ly", "barely", "fast"))
        if front and single and self.rng.random() < 0.4 and not text.startswith(("is ", "be ", "being ")):
            return f"{words} {text}"
        return f"{text} {words}"

    def _verb_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        """Draw verb phrases in their base form from each kind; True where a degree stands inside."""
        rng, words, found = self.rng, entry.words, []
        verbs = words["verb"][: 1 if rng.random() < PLAINEST else None]
        found += [(pick(rng, verbs), False)] * 4 if verbs else []
        if words["adj"]:
            adj, verb = pick(rng, words["adj"]), pick(rng, WORDS["adjective verbs"])
            shapes = (f"{verb} ^ {adj}", f"have a(n) ^ {adj} look", f"make a(n) ^ {adj} face")
            found += [(shape, True) for shape in shapes]
        if words["adv"]:
            found += [(f"{pick(rng, WORDS['adverb verbs'])} ^ {pick(rng, words['adv'])}", True)]
        if words["feel"]:
            feel = pick(rng, words["feel"])
            found += [(f"{pick(rng, WORDS['feeling verbs'])} + {feel}", True)]
        if words["with"] and (rng.random() < 0.4 or not found):
            found += [(f"{pick(rng, WORDS['poses'])} with {pick(rng, words['with'])}", False)]
        found += self._situations(entry, "verb")
        return [(self.add_article(phrase), inside) for phrase, inside in found]

    def _situations(self, entry: Entry, form: str) -> list[tuple[str, bool]]:
        """Draw a mood, what one is like, as if what had happened and when one looks so: a phrase of each."""
        found = []
        for kind, shapes in WORDS["situations"][form].items():
            if entry.words[kind]:
                said = pick(self.rng, entry.words[kind])
                said = inflect_verb(draw_words(said, self.rng), "gerund") if kind == "when" else said
                doing = kind == "mood" and form == "verb" and said.partition(" ")[0].endswith("ing")
                found += [(("be {}" if doing else pick(self.rng, shapes)).format(said), False)]
        return found

    def add_article(self, phrase: str) -> str:
        """Choose between "a" and "an" before an adjective."""
        before, mark, after = phrase.partition("a(n) ^ ")
        if not mark:
            return phrase
        return f"{before}{'an' if after[0] in 'aeiou' else 'a'} {after}"

    def _with_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["with"]), False)] * 2 if words["with"] else []
        if words["adj"]:
            face = pick(rng, ("look", "expression", "face", "look on * face"))
            found += [(self.add_article(f"a(n) ^ {pick(rng, words['adj'])} {face}"), True)]
        if words["feel"]:
            place = pick(rng, ("", " in * eyes", " on * face", " written on * face"))
            look = pick(rng, ("+ ", "a look of ", "an expression of "))
            found += [(look + pick(rng, words["feel"]) + place, True)]
        found += self._situations(entry, "with")
        return found or [(inflect_verb(draw_words(phrase, rng), "gerund"), False) for phrase in words["verb"]]

    def _cue_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        """Draw directions without a verb: "a broad smile", "teeth showing", "lips pursed"."""
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["cue"]), False)] * 3 if words["cue"] else []
        if words["with"]:
            said = draw_words(pick(rng, words["with"]), rng)
            found += [(said.removeprefix("* ") if rng.random() < 0.7 else said, False)]
        if words["adj"]:
            found += [(self.add_article(f"a(n) ^ {pick(rng, words['adj'])} face"), True)]
        return found or self._with_kinds(entry)

    def _part_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["part"]), False)] * 2 if words["part"] else []
        if words["adj"]:
            subject = pick(rng, ("* face looks", "* expression is", "* face is", "the look on * face is"))
            found += [(f"{subject} ^ {pick(rng, words['adj'])}", True)]
        if words["feel"]:
            feel = pick(rng, words["feel"])
            shapes = (f"{feel} shows on * face", f"* face shows + {feel}", f"* eyes are full of {feel}")
            found += [(pick(rng, shapes), True)]
        found += self._situations(entry, "part")
        done = (inflect_verb(draw_words(phrase, rng), "third") for phrase in words["verb"])
        return found or [(f"{self.called['them']} {phrase}", False) for phrase in done]

    def _shape(self, shapes: Sequence[str], *, who: str = "", **parts: str) -> str:
        """Fill one of some shapes."""
        whom = self.called["her"] if who in ("she", "he") else who
        return pick(self.rng, shapes).format(**self.called, who=who, whom=whom, **parts)

    def _address(self, entry: Entry, manner: Manner) -> tuple[str, Meaning]:
        """Tell one gesture of oneself, or ask somebody for it."""
        subject: Subject = "I" if self.rng.random() < 0.4 else "you"
        form: AnyForm = "base" if self.rng.random() < 0.75 else "gerund"
        text, meaning = replace(self, pronoun=subject).say(entry, manner, form=form)
        text = self._shape(WORDS["address"][subject][form], text=text)
        am = "am" if subject == "I" else "are"
        return re.sub(rf"^((?:now )?{subject}) be\b", rf"\1 {am}", text), meaning

    def _command(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Ask somebody for one gesture after another."""
        you = replace(self, pronoun="you")
        said = [you.say(e, m, form="base") for e, m in zip(entries, manners, strict=True)]
        text = pick(self.rng, WORDS["commands joined"]).join(text for text, _ in said)
        return pick(self.rng, ("", "", "first ", "please ")) + text, [meaning for _, meaning in said]

    def _list_cues(self, entries: Sequence[Entry], shapes: Sequence[str]) -> tuple[str, list[Meaning]]:
        """Tell two gestures as directions without verbs."""
        (one, first), (other, second) = (self.say(entry, Manner(), form="cue") for entry in entries)
        return self._shape(shapes, who=pick(self.rng, self.who), one=one, other=other), [first, second]

    def sentence(self, entry: Entry, manner: Manner) -> tuple[str, Meaning]:
        """Tell one gesture in a sentence."""
        rng, who = self.rng, pick(self.rng, self.who)
        shape = int(rng.choice(10, p=[0.28, 0.14, 0.05, 0.08, 0.1, 0.06, 0.05, 0.06, 0.11, 0.07]))
        if shape == 9:
            return self._address(entry, manner)
        if shape == 6 and entry.words["adj"]:
            adj, noun = pick(rng, entry.words["adj"]), pick(rng, WORDS["noun"][self.pronoun])
            title = pick(rng, ("", "", "a portrait of ", "a video of ", "close-up of "))
            text, side = self.fill(self.add_article(f"{title}a(n) ^ {adj} {noun}"), Manner())
            return text, mean(entry, side=side)
        form: AnyForm = ("third", "gerund", "base", "part", "base", "with", "base", "with", "cue")[shape]
        text, meaning = self.say(entry, manner, form=form)
        shapes = WORDS["asked"] if shape == 4 else WORDS["single"][form]
        suddenly = "suddenly " if manner.onset else ""
        return self._shape(shapes, who=who, text=text, suddenly=suddenly), meaning

    def at_once(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell several gestures of one moment."""
        rng, who = self.rng, pick(self.rng, self.who)
        if len(entries) == 2 and rng.random() < 0.22:
            return self._list_cues(entries, WORDS["cues at once"])
        first: AnyForm = "third" if rng.random() < 0.75 else "gerund"
        text, meaning = self.say(entries[0], manners[0], form=first)
        meanings, before = [meaning], ""
        for entry, manner in zip(entries[1:], manners[1:], strict=True):
            form: AnyForm = pick(rng, (first, first, "with", "with", "part", "gerund"))
            more, meaning = self.say(entry, manner, form=form)
            meanings.append(meaning)
            if form == "with" and rng.random() < 0.25 and not before:
                before = f"with {more} "
            else:
                both = "both gerunds" if form == first == "gerund" else form
                text = self._shape(WORDS["beside"][both], text=text, more=more)
        is_ = "is " if first == "gerund" and rng.random() < 0.6 else ""
        whole = (f"{before}{who} {is_}{text}", f"{before}{who} {is_}{text}", f"{before}{text}")
        return pick(rng, whole), meanings

    def in_order(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell gestures one after another."""
        rng, who = self.rng, pick(self.rng, self.who)
        if (kind := rng.random()) < 0.1:
            return self._command(entries, manners)
        if len(entries) == 2 and kind < 0.18:
            return self._list_cues(entries, WORDS["cues in order"])
        if len(entries) == 2 and kind < 0.42:
            backwards = rng.random() < 0.5  # told in another order than done
            (done, first), (also, second) = (
                self.say(e, m, form="gerund" if (k == 0) == backwards else "third")
                for k, (e, m) in enumerate(zip(entries, manners, strict=True))
            )
            shapes = WORDS["after" if backwards else "before"]
            return self._shape(shapes, who=who, done=done, also=also), [first, second]
        text, meaning = self.say(entries[0], manners[0], form="third")
        text, meanings = f"{pick(rng, ('', '', '', 'first ', 'at first '))}{who} {text}", [meaning]
        for entry, manner in zip(entries[1:], manners[1:], strict=True):
            form: AnyForm = pick(rng, ("third", "third", "third", "gerund", "part"))
            more, meaning = self.say(entry, manner, form=form)
            meanings.append(meaning)
            text += self._shape(WORDS["next"][form], more=more)
        return text, meanings

    def _name(self, entry: Entry) -> str:
        if entry.words["noun"]:
            return self.fill(pick(self.rng, entry.words["noun"]), Manner())[0]
        if entry.words["feel"]:
            return pick(self.rng, entry.words["feel"])
        return self.say(entry, Manner(), form="gerund")[0]

    def _verb(self, entry: Entry, form: Form) -> str:
        return inflect_verb(self.fill(pick(self.rng, entry.words["verb"]), Manner())[0], form)


@cache
def list_people() -> list[PersonWords]:
    """List the words for the looks of all people of the clips."""
    return list(load_people_words().values())


def tell_clip(rng: np.random.Generator) -> Spoken:
    """Caption a clip of the named actions, as the pool of clips does."""
    person, scene = list_people()[int(rng.integers(len(list_people())))], None
    if rng.random() < 0.25:
        scene = str(rng.choice(list(SCENES)))
    count = int(rng.choice([1, 2], p=[0.75, 0.25]))
    performed = []
    for k in range(count):
        name, strength = str(rng.choice(list(ACTIONS))), float(rng.choice([SLIGHT, NORMAL, STRONG]))
        performed.append(Performed((name,), float(k), float(k + 1), strength))
    while "[" in (text := write_caption(person, performed, rng=rng, scene=scene)):
        pass  # times are read before T hears a word
    return Spoken(text, tuple(_mean_named(deed, text) for deed in performed))


def _mean_named(deed: Performed, text: str) -> Meaning:
    name, strength = deed.actions[0], deed.intensity / NORMAL
    if (side := name.rpartition(" ")[2]) in ("left", "right") and side in re.findall(r"\w+", text.lower()):
        gesture = gesture_of(name)
        entry = Entry(name, np.stack([gesture, gesture]))
        return mean(entry, Manner(degree=strength), side=("left", "right").index(side))
    base = name.removesuffix(" left").removesuffix(" right")
    own = {"look": "look to one side", "turn": "turn to one side", "tilt": "tilt to one side"}.get(base, base)
    return mean(load_lexicon()[own if base != name else name], Manner(degree=strength))
