"""Gestures put into words: one, several at once, in order, mixed, denied, of one side, in many manners.

In come entries of the lexicon and manners; out come texts with what they mean. Words and the shapes of
sentences are data, in `sentences.json`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from iad.portraits.lexicon import Entry, draw_words, inflect_verb
from iad.portraits.wording import Form, Pronoun, pick
from iad.training.meanings import Manner, Meaning, mean

WORDS: dict[str, Any] = json.loads(Path(__file__).with_name("sentences.json").read_text())
THEM: dict[Pronoun, str] = {"she": "she", "he": "he", "they": "the person"}
HER: dict[Pronoun, str] = {"she": "her", "he": "him", "they": "them"}
THEIR: dict[Pronoun, str] = {"she": "her", "he": "his", "they": "their"}
# Words for degrees: after a verb, before an adjective, before a noun.
DEGREES = {float(degree): words for degree, words in WORDS["degree"].items()}

AnyForm = Literal["base", "third", "gerund", "with", "part"]


def draw_manner(rng: np.random.Generator, *, often: float = 0.4) -> Manner:
    """Draw how something is done; mostly nothing is said of it."""
    if rng.random() >= often:
        return Manner()
    kind = int(rng.choice(6, p=[0.58, 0.13, 0.07, 0.06, 0.1, 0.06]))
    if kind == 0:
        return Manner(degree=float(rng.choice(list(DEGREES), p=[0.17, 0.35, 0.33, 0.15])))
    return (
        Manner(rate=float(rng.choice([0.65, 1.5]))),
        Manner(onset=1.3),
        Manner(onset=0.16),
        Manner(hold=0.7),
        Manner(times=int(rng.integers(1, 4))),
    )[kind - 1]


@dataclass(frozen=True)
class Teller:
    """Tells what one person does, in clauses and in sentences."""

    rng: np.random.Generator
    pronoun: Pronoun

    @property
    def who(self) -> list[str]:
        """Name the person in several ways."""
        return WORDS["who"][self.pronoun]

    def fill(self, phrase: str, manner: Manner) -> tuple[str, int | None]:
        """Fill a wording's slots; tell which side it names, if it names one."""
        text, side = draw_words(phrase, self.rng), None
        if "@" in text:
            side = int(self.rng.integers(2))
            word = ("left", "right")[side]
            text = text.replace("@wards", f"{word}ward").replace("@", word)
        their = "the" if self.rng.random() < 0.05 else THEIR[self.pronoun]
        words = DEGREES.get(manner.degree)
        text = text.replace("^", pick(self.rng, words[1]) if words else "")
        text = text.replace("+", pick(self.rng, words[2]) if words else "").replace("*", their)
        text = " ".join(text.split())
        return text.replace("as a their own", "as their own"), side

    def _manner_words(self, manner: Manner) -> str:
        rng = self.rng
        if manner.degree != 1:
            return pick(rng, DEGREES[manner.degree][0]).replace("*", THEIR[self.pronoun])
        if manner.rate != 1:
            return pick(rng, WORDS["slow" if manner.rate < 1 else "quick"])
        if manner.onset is not None:
            return pick(rng, WORDS["gradual" if manner.onset > 0.4 else "sudden"])
        return pick(rng, WORDS["brief"] if manner.hold is not None else WORDS["times"][str(manner.times)])

    def say(self, entry: Entry, manner: Manner, *, form: AnyForm) -> tuple[str, Meaning]:
        """Say a gesture in one form: as an inflected verb phrase, after "with", or as a clause of its own."""
        shapes = {"with": self._with_kinds, "part": self._part_kinds}.get(form, self._verb_kinds)(entry)
        phrase, before = shapes[int(self.rng.integers(len(shapes)))]
        slotted = manner.degree != 1 and ("^" in phrase or "+" in phrase)
        text, side = self.fill(phrase, manner)
        if form not in ("with", "part"):
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
        found += [(pick(rng, words["verb"]), False)] * 4 if words["verb"] else []
        if words["adj"]:
            adj = pick(rng, words["adj"])
            verb = pick(rng, WORDS["adjective verbs"])
            shapes = (f"{verb} ^ {adj}", f"have a(n) ^ {adj} look", f"make a(n) ^ {adj} face")
            found += [(shape, True) for shape in shapes]
        if words["adv"]:
            found += [(f"{pick(rng, WORDS['adverb verbs'])} ^ {pick(rng, words['adv'])}", True)]
        if words["feel"]:
            feel = pick(rng, words["feel"])
            found += [(f"{pick(rng, WORDS['feeling verbs'])} + {feel}", True)]
        if words["with"] and (rng.random() < 0.4 or not found):
            found += [(f"{pick(rng, WORDS['poses'])} with {pick(rng, words['with'])}", False)]
        return [(self.add_article(phrase), inside) for phrase, inside in found]

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
        return found or [(inflect_verb(draw_words(phrase, rng), "gerund"), False) for phrase in words["verb"]]

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
        if found:
            return found
        done = (inflect_verb(draw_words(phrase, rng), "third") for phrase in words["verb"])
        return [(f"{THEM[self.pronoun]} {phrase}", False) for phrase in done]

    def _shape(self, kind: str, form: str = "", **parts: str) -> str:
        """Fill one of the shapes of a kind, and of a form where it has several."""
        shapes = WORDS[kind][form] if form else WORDS[kind]
        more = {"them": THEM[self.pronoun], "they": THEM[self.pronoun], "their": THEIR[self.pronoun]}
        return pick(self.rng, shapes).format(**more | parts)

    def sentence(self, entry: Entry, manner: Manner) -> tuple[str, Meaning]:
        """Tell one gesture in a sentence."""
        rng, who = self.rng, pick(self.rng, self.who)
        shape = int(rng.choice(8, p=[0.34, 0.14, 0.1, 0.08, 0.1, 0.12, 0.06, 0.06]))
        if shape == 6 and entry.words["adj"]:
            adj, noun = pick(rng, entry.words["adj"]), pick(rng, WORDS["noun"][self.pronoun])
            title = pick(rng, ("", "", "a portrait of ", "a video of ", "close-up of "))
            text, side = self.fill(self.add_article(f"{title}a(n) ^ {adj} {noun}"), Manner())
            return text, mean(entry, side=side)
        form: AnyForm = ("third", "third", "gerund", "base", "part", "base", "with", "with")[shape]
        text, meaning = self.say(entry, manner, form=form)
        parts = {"who": who, "text": text, "her": HER[self.pronoun]}
        parts["suddenly"] = "suddenly " if manner.onset else ""
        return self._shape(*(("asked",) if shape == 5 else ("single", form)), **parts), meaning

    def at_once(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell several gestures of one moment."""
        rng, who = self.rng, pick(self.rng, self.who)
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
                text = self._shape("beside", both, text=text, more=more)
        is_ = "is " if first == "gerund" and rng.random() < 0.6 else ""
        whole = (f"{before}{who} {is_}{text}", f"{before}{who} {is_}{text}", f"{before}{text}")
        return pick(rng, whole), meanings

    def in_order(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell gestures one after another."""
        rng, who = self.rng, pick(self.rng, self.who)
        if len(entries) == 2 and rng.random() < 0.25:
            backwards = rng.random() < 0.5  # told in another order than done
            (done, first), (also, second) = (
                self.say(e, m, form="gerund" if (k == 0) == backwards else "third")
                for k, (e, m) in enumerate(zip(entries, manners, strict=True))
            )
            told = self._shape("after" if backwards else "before", who=who, done=done, also=also)
            return told, [first, second]
        text, meaning = self.say(entries[0], manners[0], form="third")
        text, meanings = f"{pick(rng, ('', '', '', 'first ', 'at first '))}{who} {text}", [meaning]
        for entry, manner in zip(entries[1:], manners[1:], strict=True):
            form: AnyForm = pick(rng, ("third", "third", "third", "gerund", "part"))
            more, meaning = self.say(entry, manner, form=form)
            meanings.append(meaning)
            text += self._shape("next", form, more=more)
        return text, meanings

    def mixture(self, first: Entry, second: Entry) -> tuple[str, list[Meaning]]:
        """Tell a mixture of two feelings."""
        rng, who = self.rng, pick(self.rng, self.who)
        one, other = (pick(rng, entry.words["adj"]) for entry in (first, second))
        texts = [shape.format(one=one, other=other) for shape in WORDS["mixed"]]
        if first.words["feel"] and second.words["feel"]:
            feel, more = (pick(rng, entry.words["feel"]) for entry in (first, second))
            texts += [shape.format(one=feel, other=more) for shape in WORDS["mixed feelings"]]
        text = pick(rng, [*texts, *(f"{who} {text}" for text in texts), *(f"{who} {text}" for text in texts)])
        return text.replace("*", THEIR[self.pronoun]), [mean(first), mean(second)]

    def eyes_alone(self, upper: Entry, lower: Entry | None) -> tuple[str, Meaning, Meaning | None]:
        """Tell a feeling that only the eyes show, beside a mouth that does something else or nothing."""
        rng, who = self.rng, pick(self.rng, self.who)
        adj, above = pick(rng, upper.words["adj"]).replace("*", THEIR[self.pronoun]), mean(upper)
        if lower is None:
            return self._shape("only eyes", who=who, adj=adj), above, None
        third, below = self.say(lower, Manner(), form="third")
        return self._shape("eyes apart", who=who, adj=adj, third=third), above, below

    def _name(self, entry: Entry) -> str:
        if entry.words["noun"]:
            return self.fill(pick(self.rng, entry.words["noun"]), Manner())[0]
        if entry.words["feel"]:
            return pick(self.rng, entry.words["feel"])
        return self.say(entry, Manner(), form="gerund")[0]

    def _verb(self, entry: Entry, form: Form) -> str:
        return inflect_verb(self.fill(pick(self.rng, entry.words["verb"]), Manner())[0], form)

    def beside_denial(self, entry: Entry, denied: Entry) -> tuple[str, Meaning]:
        """Tell a gesture, and that another is not done."""
        rng, who = self.rng, pick(self.rng, self.who)
        if denied.words["still"] and rng.random() < 0.5:
            said, meaning = self.say(entry, draw_manner(rng, often=0.1), form="third")
            still = self.fill(pick(rng, denied.words["still"]), Manner())[0]
            return self._shape("still", who=who, said=said, still=still), meaning
        noun = self._name(denied)
        form: AnyForm = "gerund" if rng.random() < 0.25 else "third"
        said, meaning = self.say(entry, draw_manner(rng, often=0.1), form=form)
        base, other, never = (self._verb(denied, form) for form in ("base", "gerund", "third"))
        parts = {"who": who, "said": said, "noun": noun, "base": base, "other": other, "never": never}
        return self._shape("denied", form, **parts), meaning

    def deny_all(self, first: Entry, second: Entry) -> str:
        """Say that something is not done, and nothing else."""
        rng, who = self.rng, pick(self.rng, self.who)
        parts = {"who": who, "noun": self._name(first), "another": self._name(second)}
        parts |= {form: self._verb(first, form) for form in ("base", "gerund", "third")}
        parts |= {"other": self._verb(second, "base"), "also": self._verb(second, "third")}
        if not first.words["adj"]:
            return self._shape("nothing", **parts)
        parts["adj"] = pick(rng, first.words["adj"])
        return pick(rng, WORDS["nothing"] + WORDS["not so"]).format(**parts)

    def contradict(self, entry: Entry) -> str:
        """Say and deny the same."""
        said = self.fill(pick(self.rng, entry.words["verb"]), Manner())[0]
        parts = {form: inflect_verb(said, form) for form in ("base", "third", "gerund")}
        return self._shape("contradicting", who=pick(self.rng, self.who), **parts)

    def one_side_only(self, entry: Entry) -> tuple[str, Meaning]:
        """Tell a gesture of one side, and that it is not of the other."""
        phrases = [w for w in (draw_words(w, self.rng) for w in entry.words["verb"] * 2) if "@" in w]
        if not phrases:
            return self.say(entry, Manner(), form="third")
        side = int(self.rng.integers(2))
        here, there = (("left", "right"), ("right", "left"))[side]
        said = pick(self.rng, phrases).replace("@wards", here).replace("@", here)
        said = said.replace("*", THEIR[self.pronoun]).replace("^", "").replace("+", "")
        said = " ".join(inflect_verb(said, "third").split())
        return self._shape("one side", said=said, there=there), mean(entry, side=side)
