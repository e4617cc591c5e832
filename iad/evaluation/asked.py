"""Asked actions: on photos as they are, does what was asked happen, by an outside judge?

In come calm held-out photos, and toothy ones that are asked for a neutral face; out come, for each action,
the share of clips in which the judge sees it, the size of the change, how often a face is seen at all, and
likeness. The photo is the person's own neutral face, so a clip that repeats the photo scores nothing; the
column "others" is how often the rule holds in clips of the other actions: what chance looks like. Here is
also how the suite `real` asks a model for a `Clip`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from iad.evaluation import outside
from iad.evaluation.intervals import interval
from iad.evaluation.material import Photo
from iad.faces import mesh

SIZE = 256  # pixels of the clips: what the page makes
LOOKS = 16  # frames of a clip that are judged
LIKE = 4  # of them for likeness, which is slow
Measures = dict[str, Float[np.ndarray, " f"]]

# Thresholds are about a third of what the training renderer's clips of held-out people show (medians: smile
# 0.29, mouth 0.21, lids 0.36 of their own opening, shake 20 and nod 12 degrees of range, sad 0.06).
SMILE, MOUTH, SHUT, SHAKE, NOD, SAD = 0.10, 0.07, 0.55, 8.0, 4.0, 0.04
LIPS_MET = 0.07  # a gap that a closed mouth may show in the mesh


@dataclass(frozen=True)
class Clip:
    """A clip, when its frames are shown (seconds), and what the model said of it."""

    frames: UInt8[np.ndarray, "f h w 3"]
    times: Float[np.ndarray, " f"]
    notes: list[str] = field(default_factory=list)

    def sample(self, count: int) -> "Clip":
        """Pick frames at even distances, at most `count`."""
        picks = np.unique(np.linspace(0, len(self.frames) - 1, count).round().astype(int))
        return Clip(self.frames[picks], self.times[picks], self.notes)


def animate(pipe: Any, reference: Any, prompt: str = "", **options: Any) -> Clip:
    """Make a clip.

    Raises:
        ValueError: the model refuses, in a sentence.
    """
    made = pipe(reference, prompt, **{"size": SIZE, "seed": 0} | options)
    return Clip(made.frames, np.arange(len(made.frames)) / made.fps, list(made.notes))


def attempt(work: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """Ask the model; None where it refuses."""
    try:
        return work(*given, **options)
    except ValueError:
        return None


def _rise(seen: Measures, own: dict[str, float], name: str) -> float:
    """How far a measure rises above the photo's, in the frames where it is highest (a fifth of them)."""
    return float(np.nanpercentile(seen[name], 85) - own[name])


def _range(seen: Measures, name: str) -> float:
    return float(np.nanpercentile(seen[name], 95) - np.nanpercentile(seen[name], 5))


def _settled(seen: Measures, name: str) -> float:
    return float(np.nanmedian(seen[name][len(seen[name]) // 2 :]))


def _tell(change: float, least: float, also: bool = True) -> tuple[float, bool]:
    return change, change > least and also


def _tell_sway(seen: Measures, name: str, other: str, least: float) -> tuple[float, bool]:
    return _tell(_range(seen, name), least, _range(seen, name) > _range(seen, other))


def _tell_sad(seen: Measures, own: dict[str, float]) -> tuple[float, bool]:
    change = _settled(seen, "brows") - own["brows"] + own["smile"] - _settled(seen, "smile")
    return _tell(change, SAD, _rise(seen, own, "mouth") < MOUTH)


def _tell_neutral(seen: Measures, own: dict[str, float]) -> tuple[float, bool]:
    return _tell(own["smile"] - _settled(seen, "smile"), SMILE, _settled(seen, "mouth") < LIPS_MET)


def _tell_shut(seen: Measures, own: dict[str, float]) -> tuple[float, bool]:
    return _tell(1 - float(np.nanpercentile(seen["wider"], 15) / own["wider"]), 1 - SHUT)


@dataclass(frozen=True)
class Asked:
    """An action as a visitor asks for it; the judge's rule: (measures, the photo's) -> (change, right)."""

    prompt: str
    judge: Callable[[Measures, dict[str, float]], tuple[float, bool]]
    moves: str
    like: tuple[str, ...] = ()  # actions that rightly do the same: their clips are no control


ACTIONS: dict[str, Asked] = {
    "smile": Asked(
        "a person smiles broadly", lambda s, o: _tell(_rise(s, o, "smile"), SMILE), "smile rises", ("laugh",)
    ),
    "mouth": Asked(
        "a person opens their mouth wide",
        lambda s, o: _tell(_rise(s, o, "mouth"), MOUTH),
        "lips part",
        ("laugh",),
    ),
    "eyes": Asked("a person closes their eyes", _tell_shut, "both eyes shut, share"),
    "shake": Asked(
        "a person shakes their head", lambda s, _: _tell_sway(s, "yaw", "pitch", SHAKE), "yaw, degrees"
    ),
    "nod": Asked("a person nods", lambda s, _: _tell_sway(s, "pitch", "yaw", NOD), "pitch, degrees"),
    "laugh": Asked(
        "a person laughs",
        lambda s, o: _tell(_rise(s, o, "smile"), SMILE, _rise(s, o, "mouth") > MOUTH),
        "smile and lips",
        ("smile", "mouth"),
    ),
    "sad": Asked("a person looks sad", _tell_sad, "brows up and corners down"),
}
NEUTRAL = Asked("a person with a neutral face, the mouth closed", _tell_neutral, "smile falls, lips meet")


@dataclass(frozen=True)
class Judged:
    """One clip as the judge saw it."""

    number: int
    action: str
    own: dict[str, float]
    seen: Measures
    detected: float
    distance: float  # dlib's, mean over the frames that it looked at
    frames: UInt8[np.ndarray, "f h w 3"]
    photo: UInt8[np.ndarray, "_ _ 3"]

    def apply(self, rule: Asked) -> tuple[float, bool]:
        """Say how much moved and whether the rule holds; nothing where hardly a face is seen."""
        if self.detected < 0.5:
            return np.nan, False
        return rule.judge(self.seen, self.own)


def look(
    frames: UInt8[np.ndarray, "f h w 3"], photo: UInt8[np.ndarray, "_ _ 3"], *, number: int, action: str
) -> Judged:
    """Judge the frames of a clip against its photo."""
    before, meshes = mesh.load_judge()([photo]), mesh.load_judge()(frames)
    own = {name: float(values[0]) for name, values in mesh.measure(before).items()}
    distance = np.nan
    if not outside.lacks_dlib():
        picks = np.linspace(0, len(frames) - 1, LIKE).round().astype(int)
        rows = outside.recognise(frames[picks], meshes.points[picks])
        apart = np.linalg.norm(rows - outside.recognise([photo], before.points), axis=1)
        distance = float(np.nanmean(apart)) if np.isfinite(apart).any() else np.nan
    detected = float(np.isfinite(meshes.points[:, 0, 0]).mean())
    return Judged(number, action, own, mesh.measure(meshes), detected, distance, frames, photo)


def ask(
    pipe: Any, calm: Sequence[Photo], toothy: Sequence[Photo], *, actions: Sequence[str]
) -> list[Judged]:
    """Ask every calm photo for every action, and every toothy one for a neutral face."""
    wanted = [(photo, name, ACTIONS[name]) for photo in calm for name in actions]
    wanted += [(photo, "neutral", NEUTRAL) for photo in toothy]
    made = []
    for photo, name, asked in tqdm(wanted, desc="asked actions"):
        clip = attempt(animate, pipe, photo.image, asked.prompt)
        if clip is not None:
            frames = clip.sample(LOOKS).frames
            made.append(look(frames, photo.image, number=photo.number, action=name))
    return made


def sum_up(judged: Sequence[Judged]) -> dict[str, Any]:
    """Make the table: one row an action."""
    rows = {}
    for name in dict.fromkeys(one.action for one in judged):
        rule = ACTIONS.get(name, NEUTRAL)
        clips = [one for one in judged if one.action == name]
        others = [one for one in judged if one.action not in (name, "neutral", *rule.like)]
        answers = [one.apply(rule) for one in clips]
        changes = [change for change, _ in answers if np.isfinite(change)]
        rows[name] = {
            "clips": len(clips),
            "right": interval([right for _, right in answers]),
            "others": float(np.mean([o.apply(rule)[1] for o in others])) if others else np.nan,
            "moves": rule.moves,
            "change": float(np.median(changes)) if changes else np.nan,
            "detected": float(np.mean([one.detected for one in clips])),
            "distance": float(np.nanmean([one.distance for one in clips])),
            "same person": interval([one.distance < outside.SAME for one in clips]),
        }
    return rows


def repeat_photos(judged: Sequence[Judged]) -> list[Judged]:
    """Make the control that must fail: each photo itself, repeated, as if it were the clip."""
    clips = []
    for one in judged:
        still = {name: np.full(LOOKS, value) for name, value in one.own.items()}
        frames = np.repeat(one.photo[None], LOOKS, axis=0)
        clips.append(Judged(one.number, one.action, one.own, still, 1.0, 0.0, frames, one.photo))
    return clips
