"""Who is judged: people that training never saw, their reference pictures, their prompts, and the truth.

People are named by the numbers of their photos, so that any process can cast the same ones. The reference
shows another action than the prompt asks for, so nothing can be had by copying it. The tiny head's people are
made up from any number.

For whom does it work? Photo people are grouped by skin tone, sex and age. Skin tone is measured, as the
individual typology angle (ITA) of both cheeks in the photo, in the classes of Chardon et al. 1991; a dim
photo makes anybody's darker. Sex and age are how the photos are labelled, by looks. Groups of fewer than
`FEWEST` people are joined with a neighbour where there is an order, and else left out; where fewer than two
groups are left, that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.geometry.head import Head
from iad.performing.actions import EIGHT_BASIC, NORMAL, Performed, perform
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
FEWEST = 8
TONES = ("very light", "light", "intermediate", "tan", "brown", "dark")  # skin, lightest first
ENDS = (55.0, 41.0, 28.0, 10.0, -30.0)  # degrees above which a skin is of the class
AGES = ("young", "middle-aged", "older")
SEXES = ("woman", "man")
CHEEKS = ((41, 48, 3), (46, 54, 13))  # landmarks about each cheek: lower lid, corner of the mouth, jaw
SPOT = 0.16  # radius of what is looked at, in eye distances


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
    known = range(_MADE_UP) if head == "tiny" else _photos()
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
    return clips.cast_photo(get_head(head), *_photos()[number])


def held_out_people(count: int, *, seed: int = 7, head: HeadName = "ict") -> list[clips.Cast]:
    """Cast people that training never saw."""
    return [cast_person(number, head) for number in choose_people(count, seed=seed, head=head)]


@lru_cache(maxsize=1)
def get_head(name: HeadName) -> Head:
    """Load the head once a process."""
    return create_tiny_head() if name == "tiny" else load_head()


@lru_cache(maxsize=1)
def _photos() -> dict[int, tuple[PhotoRecord, PersonWords]]:
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


def reference_of(cast: clips.Cast, action: str, *, seed: int = 0) -> UInt8[np.ndarray, "h w 3"]:
    """Render a person's reference picture, which shows `action`."""
    rng = np.random.default_rng((seed, cast.key["person"], sum(action.encode())))
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
class Stratum:
    """Some of the people that are judged, by their number in the plan."""

    of: str
    name: str
    people: tuple[int, ...]


def measure_skin(photo: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"]) -> float:
    """Return the typology angle of the cheeks, degrees: arctan((L* - 50) / b*), higher is lighter."""
    lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    radius = SPOT * np.linalg.norm(landmarks[42:48].mean(0) - landmarks[36:42].mean(0))
    mask = np.zeros(photo.shape[:2], np.uint8)
    for about in CHEEKS:
        x, y = landmarks[list(about)].mean(0).round().astype(int).tolist()
        cv2.circle(mask, (x, y), max(1, round(float(radius))), 1, -1)
    lightness, _, yellow = np.median(lab[mask > 0], axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(yellow, 1e-6))))


def name_tone(angle: float) -> str:
    """Name the class of a typology angle."""
    return TONES[sum(angle <= end for end in ENDS)]


def list_strata(people: Sequence[int]) -> tuple[list[Stratum], list[str]]:
    """Group photo people by their places in a list; returns groups, and sentences where there are no two."""
    labels: dict[str, dict[int, str]] = {"skin tone": {}, "sex": {}, "age": {}}
    for place, number in enumerate(people):
        record, words = _photos()[number]
        labels["skin tone"][place] = name_tone(measure_skin(record.load_photo(), record.landmarks))
        labels["sex"][place], labels["age"][place] = words.presentation, words.age
    strata: list[Stratum] = []
    left_out = []
    for of, order in (("skin tone", TONES), ("sex", SEXES), ("age", AGES)):
        groups = [(name, [p for p, label in labels[of].items() if label == name]) for name in order]
        groups = groups if of == "sex" else join_small(groups)
        large = [Stratum(of, name, tuple(people)) for name, people in groups if len(people) >= FEWEST]
        if len(large) > 1:
            strata += large
        else:
            left_out.append(f"By {of}, there are too few people to tell groups apart.")
    return strata, left_out


def join_small(
    groups: Sequence[tuple[str, Sequence[int]]], fewest: int = FEWEST
) -> list[tuple[str, list[int]]]:
    """Join neighbours in an order until each group has as many people as needed, or only one is left."""
    joined = [([name], list(people)) for name, people in groups if people]
    while len(joined) > 1 and min(len(people) for _, people in joined) < fewest:
        k = min(range(len(joined)), key=lambda place: len(joined[place][1]))
        beside = [place for place in (k - 1, k + 1) if 0 <= place < len(joined)]
        other = min(beside, key=lambda place: len(joined[place][1]))
        first, second = sorted((k, other))
        names, people = (joined[first][part] + joined[second][part] for part in (0, 1))
        joined[first : second + 1] = [(names, people)]
    return [
        (names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}", people) for names, people in joined
    ]
