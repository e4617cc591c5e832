"""Who is judged by which clips: people that training never saw, their pictures, prompts and the truth.

People are named by the numbers of their photos, so that any process can cast the same ones. The reference
shows another action than the prompt asks for, so nothing can be had by copying it. The tiny head's people are
made up from any number.

A `Plan` has the settings of the suite `action`. A clip of it is named by its row (an arm, or one of the rows
to compare with), what it is for, person, action and seed; its name is its place in the file of measurements,
so that an interrupted run goes on where it stopped. Arms are always measured by the denoiser's own frames,
which is the method; the row "drawn" is the product: iad as a visitor sees it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from iad.geometry.head import Head
from iad.performing.actions import EIGHT_BASIC, NORMAL, SLIGHT, STRONG, Performed, perform
from iad.portraits import clips
from iad.portraits.captions import PersonWords
from iad.portraits.morphable import load_head
from iad.portraits.photo import PhotoRecord
from iad.portraits.phrasings import Pronoun, Speaker, phrasings
from iad.portraits.tiny import create_tiny_head, draw_person

HeadName = Literal["ict", "tiny"]  # "tiny" is made up and needs no data: tests
REFERENCE_FRAME = 10  # of 16: every action is under way
PRONOUNS: dict[str, Pronoun] = {"woman": "she", "man": "he", "person": "they"}
TUNERS = 12  # people on whom settings are chosen and nobody reports
_MADE_UP = 1000  # people of the tiny head
SEXES = ("woman", "man")
Part = Literal["basic", "slight", "broad", "timeline", "render"]

DRAWN = "drawn"  # the row of what a visitor sees
FAIR = "entangled"  # the arm that has all of iad's but the split: what the split itself adds is over this
PRODUCT = (DRAWN, "warp")  # rows that are no arms and make clips of the photo's own pixels

RENDERS = 1000  # seed of the true renders that Frechet distances are measured to
DEGREES: dict[Part, float] = {"slight": SLIGHT, "broad": STRONG}


def choose_people(
    count: int, *, head: HeadName = "ict", held_out: bool = True, tuning: bool = False, seed: int = 7
) -> list[int]:
    """Draw photo people by number; the first of a larger draw are those of a smaller one.

    Held-out people on whom a setting is chosen (`tuning`) are never those on whom it is reported: they are
    the last `TUNERS` of the draw.

    Raises:
        ValueError: more people are asked for than there are.
        FileNotFoundError: the photo people's data is missing.
    """
    known = range(_MADE_UP) if head == "tiny" else list_photos()
    numbers = [number for number in known if clips.is_held_out(number) == held_out]
    numbers = np.random.default_rng(seed).permutation(numbers)
    if held_out:
        numbers = numbers[-TUNERS:] if tuning else numbers[:-TUNERS]
    if count > len(numbers):
        raise ValueError(f"{count} people were asked for, but there are {len(numbers)}; ask for fewer.")
    return numbers[:count].tolist()


def cast_person(number: int, head: HeadName = "ict") -> clips.Cast:
    """Make the person, as they are: neither mirrored nor changed."""
    if head == "tiny":
        called = SEXES[number // 8 % 2]
        return clips.cast_photo(get_head(head), draw_person(number, head=get_head(head)), PersonWords(called))
    return clips.cast_photo(get_head(head), *list_photos()[number])


def held_out_people(count: int, *, head: HeadName = "ict") -> list[clips.Cast]:
    """Cast people that training never saw."""
    return [cast_person(number, head) for number in choose_people(count, head=head)]


@lru_cache(maxsize=1)
def get_head(name: HeadName) -> Head:
    """Load the head once a process."""
    return create_tiny_head() if name == "tiny" else load_head()


@lru_cache(maxsize=1)
def list_photos() -> dict[int, tuple[PhotoRecord, PersonWords]]:
    """List the photo people by number."""
    return {record.number: (record, words) for record, words in clips.usable_photos()}


def references_of(person: int, actions: Sequence[str] = EIGHT_BASIC) -> list[str]:
    """List what the references of the nth person show, the one to use first first.

    Three are enough that one of them differs from whatever a prompt with two actions asks for.
    """
    return [actions[(person + 3 + k) % len(actions)] for k in range(min(3, len(actions)))]


def choose_reference(person: int, wanted: Sequence[str], actions: Sequence[str] = EIGHT_BASIC) -> str:
    """Say which of a person's references goes with a prompt for the `wanted` actions."""
    shown = references_of(person, actions)
    return next((name for name in shown if name not in wanted), shown[0])


def reference_of(cast: clips.Cast, action: str) -> UInt8[np.ndarray, "h w 3"]:
    """Render a person's reference picture, which shows `action`."""
    rng = np.random.default_rng((0, cast.key["person"], sum(action.encode())))
    track = perform([Performed((action,), 0.0, clips.SECONDS)], rng=rng, frames=clips.FRAMES)
    return cast.person.render(track[REFERENCE_FRAME, None])[0]


def truth_of(
    cast: clips.Cast, action: str | Sequence[Performed], seed: int, *, frames: Sequence[int] | None = None
) -> UInt8[np.ndarray, "f h w 3"]:
    """Render the truth: this person doing this action (or these segments); all 16 frames or some of them."""
    segments = [Performed((action,), 0.0, clips.SECONDS)] if isinstance(action, str) else list(action)
    track = perform(segments, rng=np.random.default_rng((seed, cast.key["person"])), frames=clips.FRAMES)
    return cast.person.render(track if frames is None else track[list(frames)])


def prompt_for(
    presentation: str, segments: Sequence[Performed], *, turn: int = 0, held_out: bool = False
) -> str:
    """Say what a person is to do: plainly, with a degree, or with times where there are several segments.

    Args:
        presentation: what the person is called: woman, man or person.
        segments: one, or one after the other.
        turn: which of the wordings; they take turns.
        held_out: use wordings that training never saw.
    """
    pronoun = PRONOUNS[presentation]

    def say(segment: Performed) -> str:
        name = segment.actions[0]
        if segment.intensity == NORMAL:
            said = phrasings(name, pronoun=pronoun, held_out=held_out)
            return said[turn % len(said)]
        speaker = Speaker(pronoun, np.random.default_rng(turn), held_out)
        return speaker.action(name, segment, form="third")

    if len(segments) == 1:
        return f"a {presentation} {say(segments[0])}"
    timed = " ".join(f"[{s.start:.3g}-{s.end:.3g}s] {say(s)}" for s in segments)
    return f"a {presentation} {timed}"


@dataclass(frozen=True)
class Plan:
    """The settings of a run; two runs with equal plans and weights measure the same.

    Attributes:
        rows: arms, and of the rows to compare with "drawn", "still" and "warp" ("truth" is always there);
            "iad@2" is the arm at another guidance to the words than the preset's.
        count: of people who are judged.
        tuning: judge people on whom settings are chosen, and nobody else (see `choose_people`).
        degrees: actions a person that are asked for slightly and broadly.
        detail_scale: how much of the drawing counts in the row "drawn", 0 to 1.
        teachers: training people who teach the classifiers.
        held_out_words: prompts in wordings that training never saw.
        head: "tiny" is made up and needs no data.
    """

    model: str
    rows: tuple[str, ...]
    count: int = 64
    seeds: int = 3
    actions: tuple[str, ...] = EIGHT_BASIC
    degrees: int = 2
    detail_scale: float = 1.0
    teachers: int = 48
    held_out_words: bool = True
    head: HeadName = "ict"
    tuning: bool = False

    def __post_init__(self):
        unknown = sorted(set(self.actions) - set(EIGHT_BASIC))
        if unknown or len(set(self.actions)) < 2:
            named, known = ", ".join(self.actions) or "none", ", ".join(EIGHT_BASIC)
            raise ValueError(f"The actions are {named}; name two or more of: {known}.")
        if self.count < 1:
            raise ValueError(f"{self.count} people are asked for; ask for one or more.")
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; give a whole number of 1 or more.")

    @property
    def people(self) -> list[int]:
        """Those who are judged."""
        return choose_people(self.count, head=self.head, tuning=self.tuning)

    @property
    def class_teachers(self) -> list[int]:
        """Training people who teach the classifiers."""
        return choose_people(self.teachers, head=self.head, held_out=False, seed=5)


@dataclass(frozen=True)
class Wanted:
    """One clip to make and measure."""

    row: str
    part: Part
    person: int
    segments: tuple[Performed, ...]
    seed: int

    @property
    def key(self) -> str:
        """The clip's name."""
        return f"{self.row}/{self.part}/{self.person}/{'+'.join(self.actions)}/{self.seed}"

    @property
    def actions(self) -> list[str]:
        """What is to be seen, in order."""
        return [segment.actions[0] for segment in self.segments]


def list_wanted(plan: Plan, row: str, person: int) -> Iterator[Wanted]:
    """List the clips of one row of the table and one person.

    Only generated rows have several seeds. A repeated reference is compared by the basic actions alone.
    """
    arm = row not in ("truth", "still", "warp")
    for action in plan.actions:
        for seed in range(plan.seeds if arm else 1):
            yield Wanted(row, "basic", person, (_whole(action),), seed)
    if row == "truth":
        for action in plan.actions:
            yield Wanted(row, "render", person, (_whole(action),), RENDERS)
    if row != "still":
        for k in range(plan.degrees):
            action = plan.actions[
                (person + k * len(plan.actions) // max(1, plan.degrees)) % len(plan.actions)
            ]
            for part, intensity in DEGREES.items():
                yield Wanted(row, part, person, (_whole(action, intensity),), 0)
        yield Wanted(row, "timeline", person, timeline(plan.actions, person), 0)


def _whole(action: str, intensity: float = NORMAL) -> Performed:
    return Performed((action,), 0.0, clips.SECONDS, intensity)


def timeline(actions: tuple[str, ...], turn: int) -> tuple[Performed, Performed]:
    """Give two different actions, a second each; all pairs take turns."""
    count = len(actions)
    first, apart = turn % count, 1 + turn // count % (count - 1)
    second = (first + apart) % count
    return (
        Performed((actions[first],), 0.0, clips.SECONDS / 2),
        Performed((actions[second],), clips.SECONDS / 2, clips.SECONDS),
    )
