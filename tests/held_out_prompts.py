"""Prompts that T never met, and a judge of what it makes of them: `held_out_prompts.tsv`.

`develop` was looked at while T was made, `report` is what figures are reported on, `second` was written later
by somebody who had not seen the lexicon. `wanted` names numbers over the whole typical track: "a>x" the peak
is above (pose may be negative: "yaw<-8" the lowest is below), "a<x" the peak stays below, "a~x" the range is
at least x. A name without its side: both; "one:a>x": one only. "a>x|b>y": either; "A then B": A, later B.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iad.geometry.coefficients import COLUMN

FILE = Path(__file__).with_suffix(".tsv")
SHORTEST = 4  # frames that a deed takes at least
_WANTED = re.compile(r"(one:)?(\w+)([<>~])(-?[\d.]+)")


@dataclass(frozen=True)
class Prompt:
    """A prompt and what its typical track must show; kind: expression, wording, negation or two (deeds)."""

    part: str
    kind: str
    text: str
    wanted: str

    def judge(self, track: np.ndarray) -> bool:
        """Tell whether a track (f, 60) shows all that is wanted, in its order."""
        first, then, last = self.wanted.partition(" then ")
        if not then:
            return _shows_all(track, first)
        cuts = range(SHORTEST, len(track) - SHORTEST)
        return any(_shows_all(track[:cut], first) and _shows_all(track[cut:], last) for cut in cuts)


def load_prompts(part: str | None = None, kind: str | None = None) -> list[Prompt]:
    """Read the prompts, of one part and kind where they are given."""
    with FILE.open() as file:
        rows = csv.DictReader(file, delimiter="\t")
        prompts = [Prompt(row["part"], row["kind"], row["prompt"], row["wanted"]) for row in rows]
    return [p for p in prompts if part in (None, p.part) and kind in (None, p.kind)]


def _shows_all(track: np.ndarray, wanted: str) -> bool:
    return all(
        any(_shows(track, *_WANTED.fullmatch(word).groups()) for word in words.split("|"))
        for words in wanted.split()
    )


def _shows(track: np.ndarray, one: str | None, name: str, sign: str, text: str) -> bool:
    limit = float(text)
    columns = [COLUMN[name]] if name in COLUMN else [COLUMN[f"{name}_{side}"] for side in "LR"]
    high, low = track[:, columns].max(0), track[:, columns].min(0)
    if sign == "~":
        return bool((high - low).max() >= limit)
    if one:
        return bool(high.max() > limit and high.min() < 0.6 * high.max())
    pose = name in ("pitch", "yaw", "roll")
    if sign == ">":
        return bool((low if pose and limit < 0 else high).min() > limit)
    return bool((low if pose and limit < 0 else high).max() < limit)
