"""Finished frames -> scores: is there a face, is it the person, does it do what was asked.

The frames are looked at as any photo is: found, read and recognised anew. So a picture that breaks scores
low, whoever drew it. A few frames of a clip are judged, and those beside a sudden jump, where one may be torn
or blank; likeness in between is interpolated.

How well words say what a face does is told by their codes, compared where the words' action is at its
height (`match`): a face's code (c,) and what T says a prompt looks like over time (f, c), both relative
to a calm face, and a weight for every number, such that an action's usual squared height is about one,
make a similarity. It is 1 where the face does what the words say at least as strongly, 0 where it does
something else or nothing, below 0 where it does the opposite.
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from iad.faces import Face, mesh
from iad.geometry.coefficients import track_to_code

NEAR_HEIGHT = 0.9  # frames this near to the farthest count: a nod swings to both sides
CALM = 0.35  # words whose height, every number weighing alike, stays below say that nothing is done


def find_height(told: Float[Tensor, "f c"], weight: Float[Tensor, " c"]) -> Float[Tensor, "k c"]:
    """Keep the frames that are farthest from calm: at first every action looks like none."""
    height = _length(told, weight)
    return told[height >= NEAR_HEIGHT * height.max()]


def match(code: Float[Tensor, " c"], told: Float[Tensor, "k c"], weight: Float[Tensor, " c"]) -> float:
    """Compare a face with the frames from `find_height`; the best counts.

    It is the cosine, lessened by 2 |c| |t| / (|c|^2 + |t|^2) where the face falls short of the words. So it
    rises as a face goes on doing what the words say, and a hint of a smile is not taken for a smile.
    """
    face, words = _length(code, weight), _length(told, weight)
    alike = weight.mean().expand(len(weight))  # gaze is action, though ill read
    if float(_length(told, alike).max()) < CALM:
        return float(1 - _fullness(face))
    cosine = (told * weight) @ code / (words * face).clamp(min=1e-9)
    return float((cosine * _fullness(face / words)).max())


def _length(code: Float[Tensor, "*f c"], weight: Float[Tensor, " c"]) -> Float[Tensor, "*f"]:
    return (code.pow(2) * weight).sum(-1).sqrt()


def _fullness(ratio: Tensor) -> Tensor:
    ratio = ratio.clamp(max=1.0)
    return 2 * ratio / (1 + ratio.pow(2))


JUDGED = 4  # frames of a clip, at even distances
MOVES = 0.5  # of a track in units: one that stays below it between the frames is held
MISSING = 0.0  # likeness of a frame without a face
JUMP = 3.0  # levels of 255 beyond twice a lively change from frame to frame


def find_jump(frames: UInt8[np.ndarray, "f s s 3"]) -> tuple[int, ...]:
    """Return the two frames beside the largest change of a clip, if that is sudden; else none."""
    changes = np.abs(np.diff(frames[:, ::8, ::8].astype(np.int16), axis=0)).mean((1, 2, 3))
    if not len(changes) or changes.max() <= 2 * np.quantile(changes, 0.75) + JUMP:
        return ()
    return int(changes.argmax()), int(changes.argmax()) + 1


class Scores(Mapping):
    """Scores that are measured when they are first looked at, so that a clip can be shown before.

    A copy for another process holds them measured.
    """

    def __init__(self, measure: Callable[[], dict[str, Any]]):
        self._measure, self._lock = measure, threading.Lock()
        self._measured: dict[str, Any] | None = None

    def _look(self) -> dict[str, Any]:
        with self._lock:
            if self._measured is None:
                self._measured = self._measure()
                self._measure = None  # with the photo that it holds
        return self._measured

    def __getitem__(self, name: str) -> Any:
        return self._look()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())

    def __repr__(self) -> str:
        return repr(self._look())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._look(),)


LookAt = Callable[[UInt8[np.ndarray, "_ _ 3"]], Face | None]
Embed = Callable[[UInt8[np.ndarray, "_ _ 3"], Face], Float[np.ndarray, " d"]]
Match = Callable[[Float[np.ndarray, "k 60"], Float[np.ndarray, "k 60"]], float]
See = Callable[[UInt8[np.ndarray, "f s s 3"], Float[np.ndarray, "f 60"]], float | None]
OWN = "the model's own reader"


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Keep two threads: each has a detector of its own, which takes longer to load than to use."""
    return ThreadPoolExecutor(2, thread_name_prefix="judge")


if hasattr(os, "register_at_fork"):  # threads do not come along; work for them would wait
    os.register_at_fork(after_in_child=_pool.cache_clear)


@dataclass(frozen=True)
class Judge:
    """What a clip is judged by.

    Attributes:
        look: finds and reads the face of a frame, or None.
        embed: the identity embedding by which persons are compared.
        match: how well the frames of one track are another's, 1 at best.
        see: how well a clip does what a track says by an outside judge, None where it cannot tell; None
            where there is no such judge.
    """

    look: LookAt
    embed: Embed
    match: Match
    see: See | None = None

    def score(
        self,
        frames: UInt8[np.ndarray, "f s s 3"],
        identities: Float[np.ndarray, "n d"],
        *,
        asked: Float[np.ndarray, "f 60"] | None,
        own: Float[np.ndarray, " 60"],
    ) -> dict[str, Any]:
        """Score a clip.

        Args:
            frames: finished.
            identities: the person's embeddings, one a reference.
            asked: the track that the clip performs; None where no action was recognised.
            own: what the photo itself does.

        Returns:
            identity (f,), action, judge (whose word the action is), copied, detected; action is NaN and
            judge None where nothing was asked.
        """
        even = np.linspace(0, len(frames) - 1, min(JUDGED, len(frames))).round().astype(int)
        picks = np.unique([*even, *find_jump(frames)])
        seen = list(_pool().map(lambda k: self._look_at(frames[k], identities), picks))
        likeness = [MISSING if one is None else one[0] for one in seen]
        tracks = {k: one[1] for k, one in zip(picks, seen, strict=True) if one is not None}
        action, judge = (float("nan"), None) if asked is None else self._judge(frames, tracks, picks, asked)
        copied = [self.match(track[None], own[None]) for track in tracks.values()]
        return {
            "identity": np.interp(np.arange(len(frames)), picks, likeness).astype(np.float32),
            "action": action,
            "judge": judge,
            "copied": float(np.mean(copied)) if copied else float("nan"),
            "detected": len(tracks) / len(picks),
        }

    def _judge(
        self, frames: np.ndarray, tracks: Mapping[Any, np.ndarray], picks: np.ndarray, asked: np.ndarray
    ) -> tuple[float, str]:
        """Score the action, and say whose word that is; frames without a face do nothing asked."""
        seen = self.see(frames, asked) if self.see else None
        if seen is not None:
            return seen, mesh.NAME
        if not tracks:
            return 0.0, OWN
        shown, wanted = np.stack([*tracks.values()]), asked[[*tracks]]
        if np.ptp(track_to_code(wanted), axis=0).max() > MOVES:  # how a face is built does not count then
            shown, wanted = shown - shown.mean(0), wanted - wanted.mean(0)
        return self.match(shown, wanted) * len(tracks) / len(picks), OWN

    def _look_at(self, frame: UInt8[np.ndarray, "s s 3"], identities: Float[np.ndarray, "n d"]) -> Any:
        face = self.look(frame)
        if face is None:
            return None
        embedding = self.embed(frame, face)
        lengths = np.linalg.norm(identities, axis=1) * np.linalg.norm(embedding)
        cosines = identities @ embedding / np.maximum(lengths, 1e-9)
        return float(cosines.mean()), face.track
