"""What is asked of a model: every setting with its default, its range and its words, checked in one place.

In: photos, words and numbers, from the command line, a line of a batch, the page, or Python. Out: a
`Request`, which every pipeline takes; or a ValueError with one sentence that calls a setting what its asker
calls it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from numbers import Real
from typing import Any, get_args

from iad.checks import check_name, check_number
from iad.config import ARMS, CONTROLS, PRESETS, is_full_size

EVERY_ARM = (*ARMS, *CONTROLS)
FPS, MOST_FPS = 24, 60  # of what is drawn
SHORTEST, LONGEST = 0.1, 10.0  # seconds
DURATION = 2.0  # seconds, where nothing says how long a clip is to be
SMALLEST, LARGEST = 64, 1024  # pixels a side
MOST_PIXELS = 300_000_000  # of all frames together, which are held at once: 900 MB
_KINDS = {
    bool: (bool, "true or false"), str: (str, "a text"), int: (int, "a whole number"),
    float: (Real, "a number"),
}  # fmt: skip


def _setting(default: Any, words: str, **about: Any) -> Any:
    """Describe a setting.

    Args:
        default: None where the model chooses.
        words: what it is.
        about: low and high, or choices; only, "small" or "large", of models that alone take it; option, its
            name on the command line and in a batch, or None there; metavar, what stands for its value.
    """
    return field(default=default, metadata={"words": words} | about)


@dataclass(frozen=True)
class Request:
    """One clip to be made."""

    reference: Any
    prompt: str = _setting("", "what the person does; may be empty with an action reference", option=None)
    _: KW_ONLY
    timeline: Sequence[Any] | None = _setting(
        None, 'actions with times; also read from the prompt, "[0-1s] smiles [1-2s] nods"', option=None
    )
    arm: str = _setting("iad", ", ".join(EVERY_ARM), choices=EVERY_ARM)
    action_reference: Any = _setting(
        None, "a photo or video that drives the action instead of the prompt", metavar="P"
    )
    face: int | None = _setting(None, "which face of the photo, 0 the largest (default: 0)", low=0, high=999)
    seed: int = _setting(0, "same seed, same frames", low=0, high=2**63 - 1)
    num_inference_steps: int | None = _setting(
        None, "of a full-size model (default: its own); mini has none", low=1, high=1000, option="steps"
    )
    identity_scale: float = _setting(1.0, "weight of the identity", low=0, high=10)
    action_scale: float = _setting(1.0, "weight of the action", low=0, high=10)
    guidance_scale: float | None = _setting(
        None, "how far the words are exaggerated; 1 not at all (default: the model's)", option=None
    )
    num_frames: int | None = _setting(
        None, "how many, instead of a duration; 8k + 1 of a large model", low=1, high=1000, option="frames"
    )
    detail_scale: float = _setting(
        1.0, "how much of the drawing with the photo's pixels counts, 0 to 1; 0 shows what the embeddings "
        "alone carry", low=0, high=1, only="small",
    )  # fmt: skip
    identity_guidance_scale: float | None = _setting(
        None, "as guidance_scale, of the person", only="small", option=None
    )
    duration: float | None = _setting(
        None, f"seconds, {SHORTEST:g} to {LONGEST:g} (default: the timeline's or the driver's own, else "
        f"{DURATION:g})",
        low=SHORTEST, high=LONGEST, only="small", metavar="SECONDS",
    )  # fmt: skip
    fps: float | None = _setting(
        None, f"frames a second, to {MOST_FPS} (default: {FPS})", low=1, high=MOST_FPS, only="small",
        metavar="N",
    )  # fmt: skip
    size: int | None = _setting(
        None, f"pixels a side, {SMALLEST} to {LARGEST} (default: 384)", low=SMALLEST, high=LARGEST,
        only="small",
    )  # fmt: skip
    paste_back: bool = _setting(False, "put the moving face into its own whole photo", only="small")
    loop: bool = _setting(False, "lead the end of the clip back to its beginning", only="small")
    motion: str = _setting(
        "relative", "whether a driving video turns the head about its own middle pose, or as it stands",
        choices=("relative", "absolute"), only="small", option=None,
    )  # fmt: skip
    height: int | None = _setting(None, "pixels, a multiple of 16 (default: the model's own)", only="large")
    width: int | None = _setting(None, "likewise", only="large")
    cache: str | None = _setting(
        None, "a step cache for this clip (default: the pipeline's, if any)", only="large", option=None
    )

    def __post_init__(self) -> None:
        """Refuse what no model makes."""
        check_settings({name: getattr(self, name) for name in SETTINGS})

    @property
    def references(self) -> list[Any]:
        """The photos, of one person."""
        return list(self.reference) if isinstance(self.reference, list | tuple) else [self.reference]

    def check_for(self, *, small: bool, name: Callable[[str], str] = str) -> None:
        """Refuse what models of this size do not make.

        Args:
            small: what `iad.config.is_full_size` says not to be large.
            name: what the asker calls a setting.

        Raises:
            ValueError: a setting that only models of the other size take, an arm that large ones have not,
                or a clip that is too long.
        """
        size = "small" if small else "large"
        other = {key: s for key, s in SETTINGS.items() if s.metadata.get("only", size) != size}
        given = [name(key) for key, s in other.items() if getattr(self, key) != s.default]
        refuse(given, small=small)
        if not small and self.arm not in ARMS:
            raise ValueError(f"Unknown arm {self.arm!r}; at full size there are {', '.join(ARMS)}.")
        if small:
            most = int(LONGEST * (self.fps or FPS))
            check_number(self.num_frames, name("num_frames"), low=1, high=most)


SETTINGS = {s.name: s for s in fields(Request) if s.metadata}
OPTIONS = {s.metadata.get("option", name): name for name, s in SETTINGS.items()}  # by what words call them
OPTIONS.pop(None)  # what only Python and the page ask
_CALLED = {name: option for option, name in OPTIONS.items()}
_WORDS = "".join(f"\n    {name}: {s.metadata['words']}." for name, s in SETTINGS.items())
Request.__doc__ += f"\n\nAttributes:\n    reference: a photo of the person, or several.{_WORDS}"


def as_key(name: str) -> str:
    """Return what a setting is called in a batch's line."""
    return _CALLED.get(name, name)


def as_option(name: str) -> str:
    """Return what a setting is called on the command line."""
    return f"--{as_key(name).replace('_', '-')}"


def refuse(given: Sequence[str], *, small: bool) -> None:
    """Refuse what is given and only models of the other size take."""
    if given:
        other, size = ("large", "small") if small else ("small", "large")
        raise ValueError(
            f"{', '.join(given)}: only {other} models take these; leave them out with a {size} one."
        )


def find_kind(name: str) -> type | None:
    """Return which of bool, str, int and float a setting's values are; None for a file or a picture."""
    hint = SETTINGS[name].type
    return next((kind for kind in _KINDS if kind in (get_args(hint) or (hint,))), None)


def check_kind(value: Any, kind: type, name: str) -> None:
    """Make sure that a value is a bool, str, int or float."""
    wanted, words = _KINDS[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"'{name}' must be {words}, it is {value!r:.40}.")


def check_settings(values: Mapping[str, Any], *, name: Callable[[str], str] = str) -> None:
    """Make sure that settings are of their kind, within their range, and go together.

    Args:
        values: by the names of `Request`'s fields.
        name: what the asker calls a setting.

    Raises:
        ValueError: one is not, or two do not.
    """
    for key, value in values.items():
        if value is not None or SETTINGS[key].default is not None:
            _check_setting(key, value, name(key))
    if (size := values.get("size")) and size % 2:
        raise ValueError(f"{name('size')} is {size}; give an even number of pixels.")
    if values.get("duration") is not None and values.get("num_frames") is not None:
        both = f"{name('duration')} and {name('num_frames')}"
        raise ValueError(f"{both} both say how long the clip is; give one.")
    if values.get("paste_back") and (values.get("arm", "iad") != "iad" or not values.get("detail_scale", 1)):
        needs = "needs a face that is drawn: the arm iad, and a detail scale above 0."
        raise ValueError(f"{name('paste_back')} {needs}")


def _check_setting(key: str, value: Any, name: str) -> None:
    about, kind = SETTINGS[key].metadata, find_kind(key)
    if kind is not None:
        check_kind(value, kind, name)
    if "choices" in about:
        check_name(value, about["choices"], what=key)
    if "low" in about:
        check_number(value, name, low=about["low"], high=about["high"])


def check_duration(seconds: float | None) -> float | None:
    """Refuse what is no length of a clip.

    Raises:
        ValueError: not between `SHORTEST` and `LONGEST` seconds.
    """
    if seconds is not None and not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"The clip lasts {seconds:g} s; give {SHORTEST:g} to {LONGEST:g} seconds.")
    return seconds


def check_frames(count: int, size: int) -> None:
    """Refuse a clip that would not fit into memory.

    Raises:
        ValueError: so many frames of `size` pixels a side have more than `MOST_PIXELS`.
    """
    if count * size**2 > MOST_PIXELS:
        raise ValueError(
            f"{count} frames of {size} x {size} pixels are too many for a clip; at this size choose at most "
            f"{MOST_PIXELS // size**2}, by fewer seconds or frames a second, or choose a smaller size."
        )


def find_longest(model: str) -> float:
    """Return the seconds of a model's longest clip."""
    return PRESETS.get(model, PRESETS["cogvideox-5b"]).duration if is_full_size(model) else LONGEST


def spell_out(call: Callable) -> Callable:
    """Let `call(self, reference, prompt, *, callback, **settings)` show and describe every setting."""
    own = inspect.signature(call)
    *first, callback, _ = own.parameters.values()
    settings = [p for p in inspect.signature(Request).parameters.values() if p.kind is p.KEYWORD_ONLY]
    call.__signature__ = own.replace(parameters=[*first, *settings, callback])
    call.__doc__ = f"{inspect.cleandoc(call.__doc__)}\n\nSettings:{_WORDS}"
    return call
