"""Sentences of gestures: one, several at once, in order, mixed, denied, of one side; their shapes are data.

In come entries of the lexicon and manners; out come texts with what they mean.
"""

from collections.abc import Sequence

from iad.portraits.lexicon import Entry, draw_words, inflect_verb
from iad.portraits.wording import Form, pick
from iad.training.clauses import HER, NOUN, THEIR, THEM, AnyForm, Speaker, draw_manner
from iad.training.meanings import Manner, Meaning, mean

_SINGLE: dict[AnyForm, tuple[str, ...]] = {
    "third": ("{who} {text}", "{who} {text}", "{text}", "{who} who {text}", "in the video {who} {text}"),
    "gerund": ("{who} is {text}", "{who} {text}", "{text}", "{who} keeps {text}", "{who} starts {text}"),
    "part": ("{text}", "{who}, {text}", "{suddenly}{text}"),
    "with": ("{who} with {text}", "{who}, {text}", "with {text}, {who}", "{text}"),
    "base": ("{text}",),
}
_ASKED = (
    "{text}", "make {her} {text}", "I want {her} to {text}", "please {text}", "{who} should {text}",
    "let {who} {text}", "can you make {who} {text}", "{who} will {text}", "{who} begins to {text}",
    "{who} starts to {text}",
)  # fmt: skip
_BESIDE: dict[str, tuple[str, ...]] = {
    "with": ("{text} with {more}", "{text}, with {more}"),
    "part": ("{text} while {more}", "{text}, {more}", "{text} and {more}", "{text} as {more}"),
    "gerund": ("{text} while {more}", "{text}, {more}", "{text} while also {more}"),
    "both gerunds": ("{text} and {more}", "{text} while {more}", "{text}, {more}"),
    "third": (
        "{text} and {more}",
        "{text} and {more}",
        "{text}, {more}",
        "{text} and at the same time {more}",
    ),
}
_AFTER = ("after {done} {who} {also}", "{who} {also} after {done}", "{who} {also}, but first is {done}")
_BEFORE = ("before {also} {who} {done}", "{who} {done} before {also}", "{who} {done}, followed by {also}")
_NEXT: dict[str, tuple[str, ...]] = {
    "gerund": (", followed by {more}", " before {more}", ", then {more}", ", ending up {more}"),
    "part": (", then {more}", ". Then {more}", " until {more}", ", and after that {more}", "; later {more}"),
    "third": (
        ", then {more}", " and then {more}", ". Then {them} {more}", ". After that, {them} {more}",
        ", then {them} {more}", " and finally {more}", ", next {more}", ", and a moment later {more}",
        ", before {them} {more}", ", after which {them} {more}", " until {them} {more}",
    ),
}  # fmt: skip
_MIXED = (
    "looks {one} but {other}", "is {one} and {other} at the same time", "looks both {one} and {other}",
    "is half {one}, half {other}", "looks {one} yet {other}", "looks {one} and a bit {other}",
    "seems {one} and {other}", "has a look both {one} and {other}", "is {one}, but also {other}",
    "looks {one}, almost {other}",
)  # fmt: skip
_MIXED_FEELINGS = (
    "is torn between {one} and {other}", "shows a mixture of {one} and {other}",
    "looks at us with {one} and {other}", "feels {one} mixed with {other}",
)  # fmt: skip
_ONLY_EYES = (
    "only {their} eyes look {adj}", "{who} looks {adj} only around the eyes",
    "{their} eyes are {adj}, the mouth is calm", "{who} has {adj} eyes and a calm mouth",
)  # fmt: skip
_EYES_APART = (
    "{who} {third}, but {their} eyes are {adj}", "{who} {third} with {adj} eyes",
    "{third}, but {their} eyes look {adj}", "{who} {third} while {their} eyes stay {adj}",
    "{their} eyes look {adj}, but {them} {third}",
    "{who} {third} with the mouth alone, and the eyes are {adj}",
)  # fmt: skip
_DENIED: dict[str, tuple[str, ...]] = {
    "gerund": (
        "not {other} but {said}", "{who} is {said} without {other}", "no {noun}, just {said}",
        "{said}, not {other}", "{said} rather than {other}", "{who} is {said}, but not {other}",
    ),
    "third": (
        "without {other} {they} {said}", "without {other}, {who} {said}", "{who} {said} without {other}",
        "{who} does not {base} but {said}", "{who} doesn't {base}, {they} {said}",
        "{who} {said} but does not {base}", "{who} {said} and doesn't {base}",
        "no {noun}, {they} only {said}",
        "instead of {other} {they} {said}", "{who} {said} instead of {other}",
        "{who} never {never}, only {said}",
        "{who}, not {other}, {said}", "{who} {said} with no {noun}", "{who} {said}, no {noun}",
        "{who} {said}, but {they} is not {other}", "{who} {said}, without any {noun}",
        "not {other}, {who} {said}",
        "{who} isn't {other}, {they} just {said}", "no {noun} at all, {they} {said}",
        "{who} avoids {other} and {said}", "{who} {said} rather than {never}",
        "{who} {said} without a trace of {noun}", "{who} won't {base}, but {said}",
        "never {other}, {who} {said}",
    ),
}  # fmt: skip
_STILL = (
    "{who} {said}, but {still}", "{who} {said} while {still}", "{who} {said}, {still}", "{said}, but {still}",
    "{still}, but {who} {said}", "{still} while {they} {said}", "{who} {said} and {still}",
)  # fmt: skip
_NOTHING = (
    "{who} does not {base}", "{who} doesn't {base}", "does not {base}", "no {noun}", "{who} won't {base}",
    "{who} is not {gerund}", "{who} never {third}", "without {gerund}", "{who} isn't {gerund} at all",
    "{who} does not {base} or {other}", "no {noun}, no {another}", "{who} with no {noun}",
    "{who} stops {gerund}",
    "don't {base}", "not {gerund}", "without any {noun}", "{who} refuses to {base}",
    "{who} neither {third} nor {also}", "{who} avoids {gerund}", "there is no {noun}",
    "{who} must not {base}",
    "{who} shows no {noun}", "{who} does not {base} at all",
)  # fmt: skip
_NOT_SO = (
    "{who} is not {adj}", "{who} isn't {adj}", "{who} does not look {adj}", "not {adj}",
    "{who} isn't {adj} at all",
    "{who} is anything but {adj}",
)  # fmt: skip
_CONTRADICTING = (
    "{who} {third} without {gerund}", "{third} without {gerund}", "{who} {third} and does not {base}",
    "{who} {third} but never {third}", "{who} does not {base} but {third}", "without {gerund} {they} {third}",
    "{who} {third} while not {gerund}", "{gerund} without {gerund}",
)  # fmt: skip
_ONE_SIDE = (
    "{said}, not the {there}", "{said}, not the {there} one", "{said} and not {there}",
    "{said}, not to the {there}", "{said} instead of {there}", "{said}, the {there} one stays still",
)  # fmt: skip


class Teller(Speaker):
    """Tells sentences of one person."""

    def _shape(self, shapes: Sequence[str], **parts: str) -> str:
        return pick(self.rng, shapes).format(**parts)

    def sentence(self, entry: Entry, manner: Manner) -> tuple[str, Meaning]:
        """Tell one gesture in a sentence."""
        rng, who = self.rng, pick(self.rng, self.who)
        shape = int(rng.choice(8, p=[0.34, 0.14, 0.1, 0.08, 0.1, 0.12, 0.06, 0.06]))
        if shape == 6 and entry.words["adj"]:
            adj, noun = pick(rng, entry.words["adj"]), pick(rng, NOUN[self.pronoun])
            title = pick(rng, ("", "", "a portrait of ", "a video of ", "close-up of "))
            text, side = self.fill(self.add_article(f"{title}a(n) ^ {adj} {noun}"), Manner())
            return text, mean(entry, side=side)
        form: AnyForm = ("third", "third", "gerund", "base", "part", "base", "with", "with")[shape]
        text, meaning = self.say(entry, manner, form=form)
        shapes = _ASKED if shape == 5 else _SINGLE[form]
        suddenly = "suddenly " if manner.onset else ""
        return self._shape(shapes, who=who, text=text, her=HER[self.pronoun], suddenly=suddenly), meaning

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
                shapes = _BESIDE["both gerunds" if form == first == "gerund" else form]
                text = self._shape(shapes, text=text, more=more)
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
            return self._shape(_AFTER if backwards else _BEFORE, who=who, done=done, also=also), [
                first,
                second,
            ]
        text, meaning = self.say(entries[0], manners[0], form="third")
        text, meanings = f"{pick(rng, ('', '', '', 'first ', 'at first '))}{who} {text}", [meaning]
        for entry, manner in zip(entries[1:], manners[1:], strict=True):
            form: AnyForm = pick(rng, ("third", "third", "third", "gerund", "part"))
            more, meaning = self.say(entry, manner, form=form)
            meanings.append(meaning)
            text += self._shape(_NEXT[form], more=more, them=THEM[self.pronoun])
        return text, meanings

    def mixture(self, first: Entry, second: Entry) -> tuple[str, list[Meaning]]:
        """Tell a mixture of two feelings."""
        rng, who = self.rng, pick(self.rng, self.who)
        one, other = (pick(rng, entry.words["adj"]) for entry in (first, second))
        texts = [shape.format(one=one, other=other) for shape in _MIXED]
        if first.words["feel"] and second.words["feel"]:
            feel, more = (pick(rng, entry.words["feel"]) for entry in (first, second))
            texts += [shape.format(one=feel, other=more) for shape in _MIXED_FEELINGS]
        text = pick(rng, [*texts, *(f"{who} {text}" for text in texts), *(f"{who} {text}" for text in texts)])
        return text.replace("*", THEIR[self.pronoun]), [mean(first), mean(second)]

    def eyes_alone(self, upper: Entry, lower: Entry | None) -> tuple[str, Meaning, Meaning | None]:
        """Tell a feeling that only the eyes show, beside a mouth that does something else or nothing."""
        rng, who, their = self.rng, pick(self.rng, self.who), THEIR[self.pronoun]
        adj, above = pick(rng, upper.words["adj"]).replace("*", their), mean(upper)
        if lower is None:
            return self._shape(_ONLY_EYES, who=who, their=their, adj=adj), above, None
        third, below = self.say(lower, Manner(), form="third")
        text = self._shape(_EYES_APART, who=who, their=their, adj=adj, third=third, them=THEM[self.pronoun])
        return text, above, below

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
            return self._shape(_STILL, who=who, said=said, still=still, they=THEM[self.pronoun]), meaning
        noun = self._name(denied)
        form: AnyForm = "gerund" if rng.random() < 0.25 else "third"
        said, meaning = self.say(entry, draw_manner(rng, often=0.1), form=form)
        base, other, never = (self._verb(denied, form) for form in ("base", "gerund", "third"))
        parts = {"who": who, "they": THEM[self.pronoun], "said": said, "noun": noun}
        return self._shape(_DENIED[form], **parts, base=base, other=other, never=never), meaning

    def deny_all(self, first: Entry, second: Entry) -> str:
        """Say that something is not done, and nothing else."""
        rng, who = self.rng, pick(self.rng, self.who)
        parts = {"who": who, "noun": self._name(first), "another": self._name(second)}
        parts |= {form: self._verb(first, form) for form in ("base", "gerund", "third")}
        parts |= {"other": self._verb(second, "base"), "also": self._verb(second, "third")}
        shapes = list(_NOTHING)
        if first.words["adj"]:
            parts["adj"] = pick(rng, first.words["adj"])
            shapes += _NOT_SO
        return self._shape(shapes, **parts)

    def contradict(self, entry: Entry) -> str:
        """Say and deny the same."""
        said = self.fill(pick(self.rng, entry.words["verb"]), Manner())[0]
        parts = {form: inflect_verb(said, form) for form in ("base", "third", "gerund")}
        return self._shape(_CONTRADICTING, who=pick(self.rng, self.who), they=THEM[self.pronoun], **parts)

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
        return self._shape(_ONE_SIDE, said=said, there=there), mean(entry, side=side)
