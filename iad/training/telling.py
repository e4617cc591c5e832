"""Gestures put into words: single clauses, several at once, in order, denied, mixed, of one side.

In come entries of the lexicon and manners; out come texts with what they mean. `Teller.say` chooses among all
kinds of wordings that an entry has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from iad.portraits.lexicon import Entry, draw_words, inflect_verb
from iad.portraits.wording import Form, Pronoun, pick
from iad.training.meanings import Manner, Meaning, mean

WHO: dict[Pronoun, tuple[str, ...]] = {
    "she": ("a woman", "the woman", "she", "she", "a lady", "a young woman", "an old woman", "the girl", "my sister"),
    "he": ("a man", "the man", "he", "he", "a guy", "a young man", "an old man", "the boy", "a bearded man", "my dad"),
    "they": ("a person", "the person", "someone", "the subject", "a child", "the astronaut", "the portrait"),
}
THEM: dict[Pronoun, str] = {"she": "she", "he": "he", "they": "the person"}
_HER: dict[Pronoun, str] = {"she": "her", "he": "him", "they": "them"}
_THEIR: dict[Pronoun, str] = {"she": "her", "he": "his", "they": "their"}
_NOUN: dict[Pronoun, tuple[str, ...]] = {
    "she": ("woman", "girl", "lady"), "he": ("man", "boy", "guy"), "they": ("person", "child", "face"),
}  # fmt: skip

# Words for degrees: after a verb, before an adjective, before a noun.
_DEGREES: dict[float, tuple[tuple[str, ...], ...]] = {
    0.35: (("ever so slightly", "barely", "almost imperceptibly", "faintly", "just a tiny bit"),
           ("barely", "ever so slightly", "hardly"), ("faint", "barely visible", "tiny")),
    0.55: (("slightly", "a little", "a bit", "just a little", "gently", "softly", "somewhat", "a little bit"),
           ("slightly", "a bit", "a little", "somewhat", "mildly", "rather"), ("slight", "small", "little", "gentle")),
    1.22: (("a lot", "strongly", "widely", "hard", "very much", "clearly", "broadly", "intensely", "far"),
           ("very", "really", "quite", "so", "deeply", "highly"), ("big", "broad", "strong", "wide", "great")),
    1.4: (("as much as possible", "extremely", "as far as possible", "with all * might", "to the extreme"),
          ("extremely", "utterly", "incredibly", "totally", "absolutely"), ("huge", "enormous", "massive")),
}  # fmt: skip
_SLOW = ("slowly", "very slowly", "in slow motion", "leisurely")
_QUICK = ("quickly", "fast", "rapidly", "swiftly", "very quickly", "hastily")
_GRADUAL = ("gradually", "little by little", "bit by bit", "more and more", "over time")
_SUDDEN = ("suddenly", "all of a sudden", "abruptly", "in an instant", "sharply")
_BRIEF = ("briefly", "for a moment", "for a second", "for an instant", "fleetingly", "and then stops")
_TIMES = {1: ("once", "one time"), 2: ("twice", "two times"), 3: ("three times",)}
_ADVERB_VERBS = ("look", "stare", "gaze", "look at the camera", "look at us", "look ahead", "glance", "act", "watch",
                 "look into the camera", "react", "look around")  # fmt: skip
_POSES = ("look at us", "stand there", "pose", "sit", "look at the camera", "wait", "be seen", "stay", "look on")

AnyForm = Literal["base", "third", "gerund", "with", "part"]


def draw_manner(rng: np.random.Generator, *, often: float = 0.4) -> Manner:
    """Draw how something is done; mostly nothing is said of it."""
    if rng.random() >= often:
        return Manner()
    kind = int(rng.choice(6, p=[0.58, 0.13, 0.07, 0.06, 0.1, 0.06]))
    if kind == 0:
        return Manner(degree=float(rng.choice(list(_DEGREES), p=[0.17, 0.35, 0.33, 0.15])))
    return (
        Manner(rate=float(rng.choice([0.65, 1.5]))),
        Manner(onset=1.3),
        Manner(onset=0.16),
        Manner(hold=0.7),
        Manner(times=int(rng.integers(1, 4))),
    )[kind - 1]


@dataclass(frozen=True)
class Teller:
    """Tells gestures of one person."""

    rng: np.random.Generator
    pronoun: Pronoun

    @property
    def who(self) -> tuple[str, ...]:
        return WHO[self.pronoun]

    def _fill(self, phrase: str, manner: Manner) -> tuple[str, int | None]:
        """Fill a wording's slots; tell which side it names, if it names one."""
        text, side = draw_words(phrase, self.rng), None
        if "@" in text:
            side = int(self.rng.integers(2))
            text = text.replace("@wards", ("leftward", "rightward")[side]).replace("@", ("left", "right")[side])
        their = "the" if self.rng.random() < 0.05 else _THEIR[self.pronoun]
        words = _DEGREES.get(manner.degree)
        text = text.replace("^", pick(self.rng, words[1]) if words else "")
        text = text.replace("+", pick(self.rng, words[2]) if words else "").replace("*", their)
        text = " ".join(text.split())
        return text.replace("as a their own", "as their own"), side

    def _manner_words(self, manner: Manner) -> str:
        rng = self.rng
        if manner.degree != 1:
            return pick(rng, _DEGREES[manner.degree][0]).replace("*", _THEIR[self.pronoun])
        if manner.rate != 1:
            return pick(rng, _SLOW if manner.rate < 1 else _QUICK)
        if manner.onset is not None:
            return pick(rng, _GRADUAL if manner.onset > 0.4 else _SUDDEN)
        return pick(rng, _BRIEF if manner.hold is not None else _TIMES[manner.times])

    def say(self, entry: Entry, manner: Manner, *, form: AnyForm) -> tuple[str, Meaning]:
        """Say a gesture in one form: an inflected verb phrase, what stands after "with", or a clause of its own."""
        shapes = {"with": self._with_kinds, "part": self._part_kinds}.get(form, self._verb_kinds)(entry)
        phrase, before = shapes[int(self.rng.integers(len(shapes)))]
        slotted = manner.degree != 1 and ("^" in phrase or "+" in phrase)
        text, side = self._fill(phrase, manner)
        if form not in ("with", "part"):
            text = inflect_verb(text, form)
        if not manner.plain and not slotted:
            text = self._modify(text, manner, front=form in ("third", "gerund", "base") and not before)
        known = next((n for n, words in _TIMES.items() if any(f" {w}" in text for w in words)), 0)
        manner = Manner(manner.degree, manner.rate, manner.onset, manner.hold, manner.times or known)
        return text, mean(entry, manner, side=side)

    def _modify(self, text: str, manner: Manner, *, front: bool) -> str:
        words = self._manner_words(manner)
        single = " " not in words and words.endswith(("ly", "barely", "fast"))
        if front and single and self.rng.random() < 0.4 and not text.startswith(("is ", "be ", "being ")):
            return f"{words} {text}"
        return f"{text} {words}"

    def _verb_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        """List verb phrases in their base form, drawn alike often from each kind; True where a degree is inside."""
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["verb"]), False)] * 4 if words["verb"] else []
        if words["adj"]:
            adj = pick(rng, words["adj"])
            verb = pick(rng, ("look", "look", "be", "be", "seem", "feel", "appear", "get", "become", "look completely"))
            found += [(f"{verb} ^ {adj}", True), (f"have a(n) ^ {adj} look", True), (f"make a(n) ^ {adj} face", True)]
        found += [(f"{pick(rng, _ADVERB_VERBS)} ^ {pick(rng, words['adv'])}", True)] if words["adv"] else []
        if words["feel"]:
            feel = pick(rng, words["feel"])
            verb = pick(rng, ("show", "express", "feel", "be full of", "react with", "look at us with", "be filled with"))
            found += [(f"{verb} + {feel}", True)]
        if words["with"] and (rng.random() < 0.4 or not found):
            found += [(f"{pick(rng, _POSES)} with {pick(rng, words['with'])}", False)]
        return [(self._article(phrase), inside) for phrase, inside in found]

    def _article(self, phrase: str) -> str:
        before, mark, after = phrase.partition("a(n) ^ ")
        if not mark:
            return phrase
        return f"{before}{'an' if after[0] in 'aeiou' else 'a'} {after}"

    def _with_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["with"]), False)] * 2 if words["with"] else []
        if words["adj"]:
            face = pick(rng, ("look", "expression", "face", "look on * face"))
            found += [(self._article(f"a(n) ^ {pick(rng, words['adj'])} {face}"), True)]
        if words["feel"]:
            place = pick(rng, ("", " in * eyes", " on * face", " written on * face"))
            found += [(pick(rng, ("+ ", "a look of ", "an expression of ")) + pick(rng, words["feel"]) + place, True)]
        return found or [(inflect_verb(draw_words(phrase, rng), "gerund"), False) for phrase in words["verb"]]

    def _part_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["part"]), False)] * 2 if words["part"] else []
        if words["adj"]:
            subject = pick(rng, ("* face looks", "* expression is", "* face is", "the look on * face is"))
            found += [(f"{subject} ^ {pick(rng, words['adj'])}", True)]
        if words["feel"]:
            feel = pick(rng, words["feel"])
            found += [(pick(rng, (f"{feel} shows on * face", f"* face shows + {feel}", f"* eyes are full of {feel}")), True)]
        if found:
            return found
        return [(f"{THEM[self.pronoun]} {inflect_verb(draw_words(phrase, rng), 'third')}", False) for phrase in words["verb"]]

    def sentence(self, entry: Entry, manner: Manner) -> tuple[str, Meaning]:
        """Tell one gesture in a sentence."""
        rng, who = self.rng, pick(self.rng, self.who)
        shape = int(rng.choice(8, p=[0.34, 0.14, 0.1, 0.08, 0.1, 0.12, 0.06, 0.06]))
        if shape == 6 and entry.words["adj"]:
            adj, noun = pick(rng, entry.words["adj"]), pick(rng, _NOUN[self.pronoun])
            title = pick(rng, ("", "", "a portrait of ", "a video of ", "close-up of "))
            text, side = self._fill(self._article(f"{title}a(n) ^ {adj} {noun}"), Manner())
            return text, mean(entry, side=side)
        form: AnyForm = ("third", "third", "gerund", "base", "part", "base", "with", "with")[shape]
        text, meaning = self.say(entry, manner, form=form)
        if form == "with":
            return pick(rng, (f"{who} with {text}", f"{who}, {text}", f"with {text}, {who}", f"{text}")), meaning
        asked = (f"make {_HER[self.pronoun]} {text}", f"I want {_HER[self.pronoun]} to {text}", f"please {text}",
                 f"{who} should {text}", f"let {who} {text}", f"can you make {who} {text}", f"{who} will {text}",
                 f"{who} begins to {text}", f"{who} starts to {text}")  # fmt: skip
        shapes = {
            "third": (f"{who} {text}", f"{who} {text}", text, f"{who} who {text}", f"in the video {who} {text}"),
            "gerund": (f"{who} is {text}", f"{who} {text}", text, f"{who} keeps {text}", f"{who} starts {text}"),
            "base": (text, *asked) if shape == 5 else (text,),
            "part": (text, f"{who}, {text}", f"suddenly {text}" if manner.onset else text),
        }
        return pick(rng, shapes[form]), meaning

    def at_once(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell several gestures of one moment."""
        rng, who = self.rng, pick(self.rng, self.who)
        forms: list[AnyForm] = ["third" if rng.random() < 0.75 else "gerund"]
        text, meaning = self.say(entries[0], manners[0], form=forms[0])
        meanings = [meaning]
        before = ""
        for entry, manner in zip(entries[1:], manners[1:], strict=True):
            form: AnyForm = pick(rng, (forms[0], forms[0], "with", "with", "part", "gerund"))
            more, meaning = self.say(entry, manner, form=form)
            meanings.append(meaning)
            joined = {
                "with": (f"{text} with {more}", f"{text}, with {more}"),
                "part": (f"{text} while {more}", f"{text}, {more}", f"{text} and {more}", f"{text} as {more}"),
                "gerund": (f"{text} while {more}", f"{text}, {more}", f"{text} while also {more}"),
            }.get(form, (f"{text} and {more}", f"{text} and {more}", f"{text}, {more}", f"{text} and at the same time {more}"))
            if form == forms[0] == "gerund":
                joined = (f"{text} and {more}", f"{text} while {more}", f"{text}, {more}")
            if form == "with" and rng.random() < 0.25 and not before:
                before = f"with {more} "
            else:
                text = pick(rng, joined)
        is_ = "is " if forms[0] == "gerund" and rng.random() < 0.6 else ""
        return pick(rng, (f"{before}{who} {is_}{text}", f"{before}{who} {is_}{text}", f"{before}{text}")), meanings

    def in_order(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell gestures one after another."""
        rng, them, who = self.rng, THEM[self.pronoun], pick(self.rng, self.who)
        if len(entries) == 2 and rng.random() < 0.25:
            backwards = rng.random() < 0.5  # told in another order than done
            (done, first), (also, second) = (
                self.say(e, m, form="gerund" if (k == 0) == backwards else "third")
                for k, (e, m) in enumerate(zip(entries, manners, strict=True))
            )
            texts = (f"after {done} {who} {also}", f"{who} {also} after {done}", f"{who} {also}, but first is {done}")
            if not backwards:
                texts = (f"before {also} {who} {done}", f"{who} {done} before {also}", f"{who} {done}, followed by {also}")
            return pick(rng, texts), [first, second]
        text, meaning = self.say(entries[0], manners[0], form="third")
        text, meanings = f"{pick(rng, ('', '', '', 'first ', 'at first '))}{who} {text}", [meaning]
        for entry, manner in zip(entries[1:], manners[1:], strict=True):
            form: AnyForm = pick(rng, ("third", "third", "third", "gerund", "part"))
            more, meaning = self.say(entry, manner, form=form)
            meanings.append(meaning)
            text += pick(rng, {
                "gerund": (f", followed by {more}", f" before {more}", f", then {more}", f", ending up {more}"),
                "part": (f", then {more}", f". Then {more}", f" until {more}", f", and after that {more}", f"; later {more}"),
            }.get(form, (f", then {more}", f" and then {more}", f". Then {them} {more}", f". After that, {them} {more}",
                f", then {them} {more}", f" and finally {more}", f", next {more}", f", and a moment later {more}",
                f", before {them} {more}", f", after which {them} {more}", f" until {them} {more}")))  # fmt: skip
        return text, meanings

    def mixture(self, first: Entry, second: Entry) -> tuple[str, list[Meaning]]:
        """Tell a mixture of two feelings."""
        rng, who = self.rng, pick(self.rng, self.who)
        one, other = (pick(rng, entry.words["adj"]) for entry in (first, second))
        texts = [f"looks {one} but {other}", f"is {one} and {other} at the same time", f"looks both {one} and {other}",
                 f"is half {one}, half {other}", f"looks {one} yet {other}", f"looks {one} and a bit {other}",
                 f"seems {one} and {other}", f"has a look both {one} and {other}", f"is {one}, but also {other}",
                 f"looks {one}, almost {other}"]  # fmt: skip
        if first.words["feel"] and second.words["feel"]:
            feel, more = (pick(rng, entry.words["feel"]) for entry in (first, second))
            texts += [f"is torn between {feel} and {more}", f"shows a mixture of {feel} and {more}",
                      f"looks at us with {feel} and {more}", f"feels {feel} mixed with {more}"]  # fmt: skip
        text = pick(rng, [*texts, *(f"{who} {text}" for text in texts), *(f"{who} {text}" for text in texts)])
        return text.replace("*", _THEIR[self.pronoun]), [mean(first), mean(second)]

    def eyes_alone(self, upper: Entry, lower: Entry | None) -> tuple[str, Meaning, Meaning | None]:
        """Tell a feeling that only the eyes show, beside a mouth that does something else or nothing."""
        rng, who, their = self.rng, pick(self.rng, self.who), _THEIR[self.pronoun]
        adj, above = pick(rng, upper.words["adj"]).replace("*", their), mean(upper)
        if lower is None:
            return pick(rng, (f"only {their} eyes look {adj}", f"{who} looks {adj} only around the eyes",
                f"{their} eyes are {adj}, the mouth is calm", f"{who} has {adj} eyes and a calm mouth")), above, None  # fmt: skip
        third, below = self.say(lower, Manner(), form="third")
        text = pick(rng, (f"{who} {third}, but {their} eyes are {adj}", f"{who} {third} with {adj} eyes",
            f"{third}, but {their} eyes look {adj}", f"{who} {third} while {their} eyes stay {adj}",
            f"{their} eyes look {adj}, but {THEM[self.pronoun]} {third}",
            f"{who} {third} with the mouth alone, and the eyes are {adj}"))  # fmt: skip
        return text, above, below

    def _noun(self, entry: Entry) -> str:
        if entry.words["noun"]:
            return self._fill(pick(self.rng, entry.words["noun"]), Manner())[0]
        if entry.words["feel"]:
            return pick(self.rng, entry.words["feel"])
        return self.say(entry, Manner(), form="gerund")[0]

    def _verb(self, entry: Entry, form: Form) -> str:
        return inflect_verb(self._fill(pick(self.rng, entry.words["verb"]), Manner())[0], form)

    def beside_denial(self, entry: Entry, denied: Entry) -> tuple[str, Meaning]:
        """Tell a gesture, and that another is not done."""
        rng, who, they, noun = self.rng, pick(self.rng, self.who), THEM[self.pronoun], self._noun(denied)
        form: AnyForm = "gerund" if rng.random() < 0.25 else "third"
        said, meaning = self.say(entry, draw_manner(rng, often=0.1), form=form)
        base, other, never = (self._verb(denied, form) for form in ("base", "gerund", "third"))
        if form == "gerund":
            return pick(rng, (f"not {other} but {said}", f"{who} is {said} without {other}", f"no {noun}, just {said}",
                f"{said}, not {other}", f"{said} rather than {other}", f"{who} is {said}, but not {other}")), meaning  # fmt: skip
        return pick(rng, (
            f"without {other} {they} {said}", f"without {other}, {who} {said}", f"{who} {said} without {other}",
            f"{who} does not {base} but {said}", f"{who} doesn't {base}, {they} {said}", f"{who} {said} but does not {base}",
            f"{who} {said} and doesn't {base}", f"no {noun}, {they} only {said}", f"instead of {other} {they} {said}",
            f"{who} {said} instead of {other}", f"{who} never {never}, only {said}", f"{who}, not {other}, {said}",
            f"{who} {said} with no {noun}", f"{who} {said}, no {noun}", f"{who} {said}, but {they} is not {other}",
            f"{who} {said}, without any {noun}", f"not {other}, {who} {said}", f"{who} isn't {other}, {they} just {said}",
            f"no {noun} at all, {they} {said}", f"{who} avoids {other} and {said}", f"{who} {said} rather than {never}",
            f"{who} {said} without a trace of {noun}", f"{who} won't {base}, but {said}", f"never {other}, {who} {said}",
        )), meaning  # fmt: skip

    def deny_all(self, first: Entry, second: Entry) -> str:
        """Say that something is not done, and nothing else."""
        rng, who, noun, another = self.rng, pick(self.rng, self.who), self._noun(first), self._noun(second)
        base, gerund, third = (self._verb(first, form) for form in ("base", "gerund", "third"))
        other, also = self._verb(second, "base"), self._verb(second, "third")
        texts = [
            f"{who} does not {base}", f"{who} doesn't {base}", f"does not {base}", f"no {noun}", f"{who} won't {base}",
            f"{who} is not {gerund}", f"{who} never {third}", f"without {gerund}", f"{who} isn't {gerund} at all",
            f"{who} does not {base} or {other}", f"no {noun}, no {another}", f"{who} with no {noun}",
            f"{who} stops {gerund}", f"don't {base}", f"not {gerund}", f"without any {noun}", f"{who} refuses to {base}",
            f"{who} neither {third} nor {also}", f"{who} avoids {gerund}", f"there is no {noun}", f"{who} must not {base}",
            f"{who} shows no {noun}", f"{who} does not {base} at all",
        ]  # fmt: skip
        if first.words["adj"]:
            adj = pick(rng, first.words["adj"])
            texts += [f"{who} is not {adj}", f"{who} isn't {adj}", f"{who} does not look {adj}", f"not {adj}",
                      f"{who} isn't {adj} at all", f"{who} is anything but {adj}"]  # fmt: skip
        return pick(rng, texts)

    def contradict(self, entry: Entry) -> str:
        """Say and deny the same."""
        said = self._fill(pick(self.rng, entry.words["verb"]), Manner())[0]
        base, third, gerund = (inflect_verb(said, form) for form in ("base", "third", "gerund"))
        who, they = pick(self.rng, self.who), THEM[self.pronoun]
        return pick(self.rng, (f"{who} {third} without {gerund}", f"{third} without {gerund}", f"{who} {third} and does not {base}",
            f"{who} {third} but never {third}", f"{who} does not {base} but {third}", f"without {gerund} {they} {third}",
            f"{who} {third} while not {gerund}", f"{gerund} without {gerund}"))  # fmt: skip

    def one_side_only(self, entry: Entry) -> tuple[str, Meaning]:
        """Tell a gesture of one side, and that it is not of the other."""
        phrases = [w for w in (draw_words(w, self.rng) for w in entry.words["verb"] * 2) if "@" in w]
        if not phrases:
            return self.say(entry, Manner(), form="third")
        side = int(self.rng.integers(2))
        here, there = (("left", "right"), ("right", "left"))[side]
        said = pick(self.rng, phrases).replace("@wards", here).replace("@", here).replace("*", _THEIR[self.pronoun])
        said = " ".join(inflect_verb(said.replace("^", "").replace("+", ""), "third").split())
        text = pick(self.rng, (f"{said}, not the {there}", f"{said}, not the {there} one", f"{said} and not {there}",
            f"{said}, not to the {there}", f"{said} instead of {there}", f"{said}, the {there} one stays still"))  # fmt: skip
        return text, mean(entry, side=side)


