"""For whom does it work: held-out photo people by skin tone, sex and age.

In comes the plan of the `action` suite; out come groups of its people. Skin tone is measured, as the
individual typology angle (ITA) of both cheeks in the photo, in the classes of Chardon et al. 1991; a dim
photo makes anybody's darker. Sex and age are how the photos are labelled, by looks. Groups of fewer than
`FEWEST` people are joined with a neighbour where there is an order, and else left out; where fewer than two
groups are left, that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.evaluation.action_plan import Plan
from iad.evaluation.people import photo_of

FEWEST = 8
TONES = ("very light", "light", "intermediate", "tan", "brown", "dark")  # skin, lightest first
ENDS = (55.0, 41.0, 28.0, 10.0, -30.0)  # degrees above which a skin is of the class
AGES = ("young", "middle-aged", "older")
SEXES = ("woman", "man")
CHEEKS = ((41, 48, 3), (46, 54, 13))  # landmarks about each cheek: lower lid, corner of the mouth, jaw
SPOT = 0.16  # radius of what is looked at, in eye distances


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


def list_strata(plan: Plan) -> tuple[list[Stratum], list[str]]:
    """Group the photo people of a plan; returns groups, and a sentence where there are no two to compare."""
    labels: dict[str, dict[int, str]] = {"skin tone": {}, "sex": {}, "age": {}}
    for number, person in enumerate(plan.people):
        if person.kind == "photo":
            record, words = photo_of(person)
            labels["skin tone"][number] = name_tone(measure_skin(record.load_photo(), record.landmarks))
            labels["sex"][number], labels["age"][number] = words.presentation, words.age
    strata: list[Stratum] = []
    left_out = []
    for of, order in (("skin tone", TONES), ("sex", SEXES), ("age", AGES)):
        groups = [(name, [p for p, label in labels[of].items() if label == name]) for name in order]
        groups = groups if of == "sex" else join_small(groups)
        large = [Stratum(of, name, tuple(people)) for name, people in groups if len(people) >= FEWEST]
        if len(large) > 1:
            strata += large
        elif labels[of]:
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
