"""What rendered people look like, in words for captions and in numbers for the renderer.

`sample_appearance` draws both at once, so that a caption can never contradict the picture. Colours in the
tables (`looks.toml`) are display values (sRGB, 0 to 255); the renderer gets linear ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from iad.portraits import read_table
from iad.portraits.scenes import SCENES

Presentation = Literal["woman", "man", "person"]
Age = Literal["young", "middle-aged", "older"]

_LOOKS = read_table("looks.toml")
SKINS, HAIRS, IRISES, CLOTHES, STYLES = (
    _LOOKS[kind] for kind in ("skins", "hairs", "irises", "clothes", "worn")
)
KINDS = ("t-shirt", "shirt", "sweater", "turtleneck", "jacket")
# Hair that grows on such skin; hair dyed otherwise is rare enough to leave out.
_DARK_HAIR = ("black", "dark brown")
_LIGHT_HAIR = ("black", "dark brown", "brown", "light brown", "blond", "auburn", "red")
BEARDS = ("clean-shaven", "stubble", "short beard", "full beard", "moustache", "goatee")


@dataclass(frozen=True)
class Lighting:
    """A key light over an ambient of sky and ground; colours are linear, directions point to the light."""

    key: Sequence[float]
    key_colour: Sequence[float]
    sharpness: float
    sky: Sequence[float]
    ground: Sequence[float]
    rim: float = 0.0


LIGHTINGS = tuple(Lighting(**light) for light in _LOOKS["lightings"].values())


@dataclass(frozen=True)
class Traits:
    """A rendered person in words."""

    presentation: Presentation
    age: Age
    skin: str
    hair_colour: str
    hair: str
    beard: str
    glasses: Literal["none", "glasses"]
    eyes: str
    clothes_colour: str
    clothes: str
    background: str


@dataclass(frozen=True)
class Appearance:
    """Traits and the numbers that they stand for; colours are linear RGB."""

    traits: Traits
    skin: Float[np.ndarray, " 3"]
    lips: Float[np.ndarray, " 3"]
    hair: Float[np.ndarray, " 3"]
    brows: Float[np.ndarray, " 3"]
    iris: Float[np.ndarray, " 3"]
    cloth: Float[np.ndarray, " 3"]
    accent: Float[np.ndarray, " 3"]
    pattern: Literal["plain", "stripes", "checks", "knit"]
    lighting: Lighting
    lashes: float
    blush: float
    freckles: float
    grain: float
    wrinkles: float
    slim: float


def linear(colour: Sequence[float] | np.ndarray) -> Float[np.ndarray, "3"]:
    """Turn display values (0 to 255) into linear light (0 to 1)."""
    return (np.asarray(colour, np.float64) / 255) ** 2.2


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draw a person's looks."""
    presentation = rng.choice(["woman", "man", "person"], p=[0.46, 0.46, 0.08])
    age = rng.choice(["young", "middle-aged", "older"], p=[0.5, 0.33, 0.17])
    skin = str(rng.choice(list(SKINS), p=[0.17, 0.23, 0.14, 0.14, 0.13, 0.11, 0.08]))
    lines = presentation if presentation != "person" else str(rng.choice(["woman", "man"]))
    style = _sample_style(rng, lines, skin)
    beard = _sample_beard(rng, presentation)
    traits = Traits(
        presentation=str(presentation),
        age=str(age),
        skin=skin,
        hair_colour=_sample_hair_colour(rng, skin, age),
        hair=style,
        beard=beard,
        glasses="glasses" if rng.random() < 0.12 else "none",
        eyes=_sample_eyes(rng, skin),
        clothes_colour=str(rng.choice(list(CLOTHES))),
        clothes=str(rng.choice(KINDS, p=[0.3, 0.2, 0.22, 0.1, 0.18])),
        background=str(rng.choice(list(SCENES))),
    )
    return _with_colours(rng, traits, lines)


def sample_shape(rng: np.random.Generator, modes: int, traits: Traits) -> Float[np.ndarray, " m"]:
    """Draw identity weights that suit the words.

    The first modes of the ICT head were named by eye: 0 runs from large and angular to small and fine, 2 from
    full lips and a wide nose to an aged face, 3 from oval to broad. Mode 0 stops short of a child's looks.
    """
    weights = rng.normal(0, 0.9, modes)
    lean = {"woman": 1.0, "man": -1.0}.get(traits.presentation, 0.0)
    depth = list(SKINS).index(traits.skin) / (len(SKINS) - 1)
    means = {
        0: 0.8 * lean,
        2: 0.6 - 1.9 * depth + 0.8 * (traits.age == "older"),
        3: -0.8 * lean,
        5: 0.4 * lean,
    }
    for mode, mean in means.items():
        if mode < modes:
            weights[mode] = mean + 0.7 * weights[mode]
    weights[0] = np.clip(weights[0], -2.0, 1.0)
    return weights.astype(np.float32)


def _sample_style(rng: np.random.Generator, lines: str, skin: str) -> str:
    weights = np.ones(len(STYLES[lines]))
    for i, style in enumerate(STYLES[lines]):
        if style == "afro":
            weights[i] = 2.5 if skin in ("brown", "dark brown", "deep") else 0.0
        elif lines == "woman" and style in ("short", "slicked-back", "side-swept short"):
            weights[i] = 0.35
        elif skin in ("dark brown", "deep") and style in ("long straight", "side-parted", "receding"):
            weights[i] = 0.4
    return str(rng.choice(STYLES[lines], p=weights / weights.sum()))


def _sample_beard(rng: np.random.Generator, presentation: str) -> str:
    if presentation != "man":
        return "clean-shaven"
    return str(rng.choice(BEARDS, p=[0.42, 0.2, 0.14, 0.1, 0.07, 0.07]))


def _sample_hair_colour(rng: np.random.Generator, skin: str, age: str) -> str:
    if age == "older" or (age == "middle-aged" and rng.random() < 0.15):
        return str(rng.choice(["grey", "white", "grey", "dark brown"]))
    return str(rng.choice(_LIGHT_HAIR if skin in ("fair", "light") else _DARK_HAIR))


def _sample_eyes(rng: np.random.Generator, skin: str) -> str:
    if skin in ("fair", "light"):
        return str(rng.choice(list(IRISES)))
    return str(rng.choice(["dark brown", "brown", "hazel"], p=[0.6, 0.32, 0.08]))


def _vary(colour, brightness, hue, rng):
    """Linear colour near a table's."""
    varied = np.array(colour) * rng.normal(1, brightness) * rng.normal(1, hue, 3)
    return linear(np.clip(varied, 8, 248))


def _with_colours(rng: np.random.Generator, words: Traits, lines: str) -> Appearance:
    light = LIGHTINGS[rng.integers(len(LIGHTINGS))]
    if rng.random() < 0.5:
        mirrored = (-light.key[0], *light.key[1:])
        light = replace(light, key=mirrored)
    skin = _vary(SKINS[words.skin], 0.04, 0.012, rng)
    hair = _vary(HAIRS[words.hair_colour], 0.08, 0.015, rng)
    woman = lines == "woman"
    made_up = woman and rng.random() < 0.45
    rose = linear((190, 70, 76) if not made_up else rng.choice([[176, 40, 56], [200, 84, 92], [150, 48, 60]]))
    share = rng.uniform(0.35, 0.6) if made_up else rng.uniform(0.12, 0.3)
    lips = (skin * (1 - share) + rose * share * (0.35 + 0.8 * skin[0])) * np.array([0.95, 0.84, 0.86])
    brows = hair if words.hair_colour in ("grey", "white", "black") else hair * 0.75
    kind_patterns = {"shirt": ["plain", "plain", "stripes", "checks"], "sweater": ["knit", "knit", "stripes"],
                     "t-shirt": ["plain", "plain", "plain", "stripes"], "turtleneck": ["knit"]}  # fmt: skip
    cloth = _vary(CLOTHES[words.clothes_colour], 0.08, 0.03, rng)
    return Appearance(
        traits=words,
        skin=skin, lips=lips, hair=hair, brows=brows * 0.8 + 0.004,
        iris=_vary(IRISES[words.eyes], 0.12, 0.03, rng), cloth=cloth,
        accent=linear(list(CLOTHES.values())[rng.integers(3)]) if rng.random() < 0.6 else cloth * 0.45,
        pattern=str(rng.choice(kind_patterns.get(words.clothes, ["plain"]))),
        lighting=light,
        lashes=rng.uniform(0.7, 1.0) if woman else rng.uniform(0.25, 0.5),
        blush=rng.uniform(0.4, 1.0),
        freckles=rng.uniform(0.4, 1.0) if words.skin == "fair" and rng.random() < 0.35 else 0.0,
        grain=rng.uniform(0.25, 0.6) if woman else rng.uniform(0.4, 0.9),
        wrinkles={"young": 0.0, "middle-aged": 0.35, "older": 0.9}[words.age] * rng.uniform(0.7, 1.2),
        slim=rng.uniform(0.8, 0.88) if woman else rng.uniform(0.88, 0.98),
    )  # fmt: skip
