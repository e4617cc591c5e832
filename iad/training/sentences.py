"""Sentences of gestures: one, several at once, in order, mixed, denied, of one side.

In come entries of the lexicon and manners; out come texts with what they mean, in one of the `shapes`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from iad.portraits.lexicon import Entry, inflect_verb, one_sided
from iad.portraits.wording import Form, pick
from iad.training import shapes
from iad.training.clauses import HER, NOUN, THEIR, THEM, AnyForm, Speaker, Subject, draw_manner
from iad.training.meanings import Manner, Meaning, mean


class Teller(Speaker):
    """Tells sentences of one person."""

    def _shape(self, options: Sequence[str], *, who: str = "", **parts: str) -> str:
        whom = HER[self.pronoun] if who in ("she", "he") else who
        return pick(self.rng, options).format(who=who, whom=whom, **parts)

    def _address(self, entry: Entry, manner: Manner) -> tuple[str, Meaning]:
        """Tell one gesture of oneself, or ask somebody for it."""
        subject: Subject = "I" if self.rng.random() < 0.4 else "you"
        form: AnyForm = "base" if self.rng.random() < 0.75 else "gerund"
        text, meaning = replace(self, pronoun=subject).say(entry, manner, form=form)
        text = self._shape((shapes.OF_MYSELF if subject == "I" else shapes.TO_YOU)[form], text=text)
        text = re.sub(r"^(I|now I) be\b", r"\1 am", text)
        return re.sub(r"^you be\b", "you are", text), meaning

    def _command(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Ask somebody for one gesture after another."""
        speaker = replace(self, pronoun="you")
        said = [speaker.say(e, m, form="base") for e, m in zip(entries, manners, strict=True)]
        text = pick(self.rng, shapes.COMMANDS_JOINED).join(text for text, _ in said)
        return pick(self.rng, ("", "", "first ", "please ")) + text, [meaning for _, meaning in said]

    def _list_cues(self, entries: Sequence[Entry], options: Sequence[str]) -> tuple[str, list[Meaning]]:
        """Tell two gestures as directions without verbs."""
        (one, first), (other, second) = (self.say(entry, Manner(), form="cue") for entry in entries)
        return self._shape(options, who=pick(self.rng, self.who), one=one, other=other), [first, second]

    def sentence(self, entry: Entry, manner: Manner) -> tuple[str, Meaning]:
        """Tell one gesture in a sentence."""
        rng, who = self.rng, pick(self.rng, self.who)
        shape = int(rng.choice(10, p=[0.28, 0.14, 0.05, 0.08, 0.1, 0.06, 0.05, 0.06, 0.11, 0.07]))
        if shape == 9:
            return self._address(entry, manner)
        if shape == 6 and entry.words["adj"]:
            adj, noun = pick(rng, entry.words["adj"]), pick(rng, NOUN[self.pronoun])
            title = pick(rng, ("", "", "a portrait of ", "a video of ", "close-up of "))
            text, side = self.fill(self.add_article(f"{title}a(n) ^ {adj} {noun}"), Manner())
            return text, mean(entry, side=side)
        form: AnyForm = ("third", "gerund", "base", "part", "base", "with", "base", "with", "cue")[shape]
        text, meaning = self.say(entry, manner, form=form)
        options = shapes.ASKED if shape == 4 else shapes.SINGLE[form]
        suddenly = "suddenly " if manner.onset else ""
        parts = {"her": HER[self.pronoun], "pronoun": THEM[self.pronoun], "suddenly": suddenly}
        return self._shape(options, who=who, text=text, **parts), meaning

    def at_once(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell several gestures of one moment."""
        rng, who = self.rng, pick(self.rng, self.who)
        if len(entries) == 2 and rng.random() < 0.22:
            return self._list_cues(entries, shapes.CUES_AT_ONCE)
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
                options = shapes.BESIDE["both gerunds" if form == first == "gerund" else form]
                text = self._shape(options, text=text, more=more)
        is_ = "is " if first == "gerund" and rng.random() < 0.6 else ""
        whole = (f"{before}{who} {is_}{text}", f"{before}{who} {is_}{text}", f"{before}{text}")
        return pick(rng, whole), meanings

    def in_order(self, entries: Sequence[Entry], manners: Sequence[Manner]) -> tuple[str, list[Meaning]]:
        """Tell gestures one after another."""
        rng, who = self.rng, pick(self.rng, self.who)
        if (kind := rng.random()) < 0.1:
            return self._command(entries, manners)
        if len(entries) == 2 and kind < 0.18:
            return self._list_cues(entries, shapes.CUES_IN_ORDER)
        if len(entries) == 2 and kind < 0.42:
            backwards = rng.random() < 0.5  # told in another order than done
            (done, first), (also, second) = (
                self.say(e, m, form="gerund" if (k == 0) == backwards else "third")
                for k, (e, m) in enumerate(zip(entries, manners, strict=True))
            )
            parts = {"done": done, "also": also, "them": THEM[self.pronoun]}
            options = shapes.AFTER if backwards else shapes.BEFORE
            return self._shape(options, who=who, **parts), [first, second]
        text, meaning = self.say(entries[0], manners[0], form="third")
        text, meanings = f"{pick(rng, ('', '', '', 'first ', 'at first '))}{who} {text}", [meaning]
        for entry, manner in zip(entries[1:], manners[1:], strict=True):
            form: AnyForm = pick(rng, ("third", "third", "third", "gerund", "part"))
            more, meaning = self.say(entry, manner, form=form)
            meanings.append(meaning)
            text += self._shape(shapes.NEXT[form], more=more, them=THEM[self.pronoun])
        return text, meanings

    def mixture(self, first: Entry, second: Entry) -> tuple[str, list[Meaning]]:
        """Tell a mixture of two feelings."""
        rng, who = self.rng, pick(self.rng, self.who)
        one, other = (pick(rng, entry.words["adj"]) for entry in (first, second))
        texts = [shape.format(one=one, other=other) for shape in shapes.MIXED]
        if first.words["feel"] and second.words["feel"]:
            feel, more = (pick(rng, entry.words["feel"]) for entry in (first, second))
            texts += [shape.format(one=feel, other=more) for shape in shapes.MIXED_FEELINGS]
        text = pick(rng, [*texts, *(f"{who} {text}" for text in texts), *(f"{who} {text}" for text in texts)])
        return text.replace("*", THEIR[self.pronoun]), [mean(first), mean(second)]

    def eyes_alone(self, upper: Entry, lower: Entry | None) -> tuple[str, Meaning, Meaning | None]:
        """Tell a feeling that only the eyes show, beside a mouth that does something else or nothing."""
        rng, who, their = self.rng, pick(self.rng, self.who), THEIR[self.pronoun]
        adj, above = pick(rng, upper.words["adj"]).replace("*", their), mean(upper)
        if lower is None:
            return self._shape(shapes.ONLY_EYES, who=who, their=their, adj=adj), above, None
        third, below = self.say(lower, Manner(), form="third")
        parts = {"their": their, "adj": adj, "third": third, "them": THEM[self.pronoun]}
        text = self._shape(shapes.EYES_APART, who=who, **parts)
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
            parts = {"said": said, "still": still, "they": THEM[self.pronoun]}
            return self._shape(shapes.STILL, who=who, **parts), meaning
        noun = self._name(denied)
        form: AnyForm = "gerund" if rng.random() < 0.25 else "third"
        said, meaning = self.say(entry, draw_manner(rng, often=0.1), form=form)
        base, other, never = (self._verb(denied, form) for form in ("base", "gerund", "third"))
        parts = {"who": who, "they": THEM[self.pronoun], "said": said, "noun": noun}
        return self._shape(shapes.DENIED[form], **parts, base=base, other=other, never=never), meaning

    def deny_all(self, first: Entry, second: Entry) -> str:
        """Say that something is not done, and nothing else."""
        rng, who = self.rng, pick(self.rng, self.who)
        parts = {"who": who, "noun": self._name(first), "another": self._name(second)}
        parts |= {form: self._verb(first, form) for form in ("base", "gerund", "third")}
        parts |= {"other": self._verb(second, "base"), "also": self._verb(second, "third")}
        options = list(shapes.NOTHING)
        if first.words["adj"]:
            parts["adj"] = self.fill(pick(rng, first.words["adj"] + first.words["mood"]), Manner())[0]
            options += shapes.NOT_SO
        if first.words["still"]:
            parts["still"] = self.fill(pick(rng, first.words["still"]), Manner())[0]
            options += shapes.NOT_MOVED
        return self._shape(options, **parts)

    def contradict(self, entry: Entry) -> str:
        """Say and deny the same."""
        said = self.fill(pick(self.rng, entry.words["verb"]), Manner())[0]
        parts = {form: inflect_verb(said, form) for form in ("base", "third", "gerund")}
        parts |= {"who": pick(self.rng, self.who), "they": THEM[self.pronoun]}
        return self._shape(shapes.CONTRADICTING, **parts)

    def one_side_only(self, entry: Entry) -> tuple[str, Meaning]:
        """Tell a gesture of one side, and that it is not of the other."""
        phrases = one_sided(entry).words["verb"]
        side = int(self.rng.integers(2))
        here, there = (("left", "right"), ("right", "left"))[side]
        said = pick(self.rng, phrases).replace("@wards", here).replace("@", here)
        said = said.replace("*", THEIR[self.pronoun]).replace("^", "").replace("+", "")
        said = " ".join(inflect_verb(said, "third").split())
        return self._shape(shapes.ONE_SIDE, said=said, there=there), mean(entry, side=side)
