"""What a prompt tells one after another: "smiles, then nods" is two clauses, each performed as if said alone.

T reads a sentence as a whole, and what it does in one part of it colours the others. So words that say "then"
cut the sentence before it is heard. A clause that means nothing alone, "then opens them", stays with the one
before it. The rule is our own; the paper's T reads whole prompts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_JOINTS = re.compile(  # "every now and then" is none
    r"(?:[,;.]\s*|\s+)(?:and\s+|but\s+)?(?<!now and )"
    r"(?:then|afterwards|finally|after that|followed by)\b[,\s]*",
    re.IGNORECASE,
)
_WAYS = r"(?:left|right|up|down)(?:wards?)?"
_WAY = re.compile(rf"\b{_WAYS}\b", re.IGNORECASE)
_ONLY_WAY = re.compile(rf"(?:back )?(?:to \w+ )?({_WAYS})(?: side)?[.!]?", re.IGNORECASE)


@dataclass(frozen=True)
class Clause:
    """A stretch of a prompt, with the joint before it, and the words to hear; of `parts` it was joined."""

    written: str
    words: str
    parts: int = 1


def cut_clauses(text: str) -> list[Clause]:
    """Cut a prompt where it goes on with "then"; "looks left, then right" looks twice."""
    joints = [joint for joint in _JOINTS.finditer(text) if has_words(text[: joint.start()])]
    joints = [joint for joint in joints if has_words(text[joint.end() :])]
    begins = [(0, 0), *(joint.span() for joint in joints)]
    ends = [joint.start() for joint in joints] + [len(text)]
    clauses: list[Clause] = []
    for (before, begin), end in zip(begins, ends, strict=True):
        words = text[begin:end]
        way = _ONLY_WAY.fullmatch(words.strip())
        if way and clauses and (said := _WAY.findall(clauses[-1].words)):
            words = way[1].join(clauses[-1].words.rsplit(said[-1], 1))
        clauses.append(Clause(text[before:end], words))
    return clauses


def join_clauses(clauses: Sequence[Clause], understood: Sequence[bool]) -> list[Clause]:
    """Let what is not understood alone stay with what stands before it, or, at the beginning, after it."""
    joined: list[Clause] = []
    open_ = False  # the last one still waits for something that is understood
    for clause, sure in zip(clauses, understood, strict=True):
        if joined and (open_ or not sure):
            last = joined[-1]
            joined[-1] = replace(last, words=last.words + clause.written, parts=last.parts + 1)
            open_ = open_ and not sure
        else:
            joined.append(clause)
            open_ = not sure
    return joined


def has_words(text: str) -> bool:
    """Tell whether a text has a letter at all."""
    return any(map(str.isalpha, text))
