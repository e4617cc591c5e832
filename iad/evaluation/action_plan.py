"""What the `action` suite does: its settings, and every clip that they ask for.

A clip is named by its row (an arm, or one of the rows to compare with), what it is for, person, action and
seed; its name is its place in the file of measurements, so that an interrupted run goes on where it stopped.
Arms are always measured by the denoiser's own frames, which is the method; the row "drawn" is the product:
iad as a visitor sees it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from iad.evaluation.people import HeadName, choose_people
from iad.performing.actions import EIGHT_BASIC, NORMAL, SLIGHT, STRONG, Performed
from iad.portraits.clips import SECONDS

Part = Literal["basic", "slight", "broad", "timeline", "render"]

DRAWN = "drawn"  # the row of what a visitor sees
FAIR = "entangled"  # the arm that has all of iad's but the split: what the split itself adds is over this
PRODUCT = (DRAWN, "warp")  # rows that are no arms and make clips of the photo's own pixels

RENDERS = 1000  # seed of the true renders that Frechet distances are measured to
DEGREES: dict[Part, float] = {"slight": SLIGHT, "broad": STRONG}


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
        scorers: weights folder of the judges; None takes the model's own, else the shipped ones.
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
    scorers: str | None = None
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
    return Performed((action,), 0.0, SECONDS, intensity)


def timeline(actions: tuple[str, ...], turn: int) -> tuple[Performed, Performed]:
    """Give two different actions, a second each; all pairs take turns."""
    count = len(actions)
    first, apart = turn % count, 1 + turn // count % (count - 1)
    second = (first + apart) % count
    return (
        Performed((actions[first],), 0.0, SECONDS / 2),
        Performed((actions[second],), SECONDS / 2, SECONDS),
    )
