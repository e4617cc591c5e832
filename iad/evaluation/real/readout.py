"""Reading: does what the model reads off faces as they are agree with an outside judge?

In come held-out photos and real videos; out come correlations and landmark errors as rows of tables.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from iad.evaluation.intervals import Estimate, correlate, interval
from iad.evaluation.real import mesh, subject
from iad.evaluation.real.material import Photo
from iad.evaluation.real.mesh import measure
from iad.faces import Face

# Words -> the judge's measure that they should follow, and its sign.
WORDS = {
    "opens their mouth": ("mouth", 1),
    "closes their eyes": ("lids", -1),
    "smiles": ("smile", 1),
    "turns left": ("yaw", 1),
}
READ = ("mouth", "lids", "smile", "brows", "yaw", "pitch")
_EYES, _LIPS = slice(36, 48), slice(48, 68)


def read_photos(pipe, photos: Sequence[Photo]) -> dict[str, Any]:
    """Read held-out photos as they are; `refused` counts those in which the model finds no face."""
    faces, words, kept = [], [], []
    for photo in photos:
        try:
            faces.append(pipe.find_face(photo.image))
            words.append(subject.match(pipe, photo.image, list(WORDS)))
        except ValueError:
            continue
        kept.append(photo)
    seen = {name: np.array([photo.seen[name] for photo in kept]) for name in READ}
    track = subject.named(np.array([face.track for face in faces]))
    return {
        "photos": len(kept),
        "refused": len(photos) - len(kept),
        "track": _agree(seen, track),
        "own landmarks": _agree(seen, subject.shown(np.array([face.landmarks for face in faces]))),
        "words": _say(seen, np.array(words)),
        "shuffled": _shuffle(seen, track),
        "landmarks": _landmark_errors(kept, faces),
    }


def read_video(pipe, frames, *, every: int = 1) -> dict[str, Any]:
    """Read a video frame by frame."""
    frames = frames[::every]
    seen = measure(mesh.load_judge()(frames))
    tracks = subject.read_frames(pipe, frames)
    words = np.full((len(frames), len(WORDS)), np.nan)
    for k, frame in enumerate(frames):
        if np.isfinite(tracks[k]).all():
            words[k] = subject.match(pipe, frame, list(WORDS))
    return {
        "frames": len(frames),
        "refused": int(np.isnan(tracks[:, 0]).sum()),
        "track": _agree(seen, subject.named(tracks)),
        "words": _say(seen, words),
    }


def _agree(seen, track) -> dict[str, Estimate]:
    return {name: correlate(seen[name], track[name]) for name in READ if name in track}


def _say(seen, words) -> dict[str, Estimate]:
    return {
        prompt: correlate(sign * seen[name], words[:, k])
        for k, (prompt, (name, sign)) in enumerate(WORDS.items())
    }


def _shuffle(seen, track) -> dict[str, float]:
    """Give each photo another one's reading: what chance looks like, the mean size of r."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(seen["mouth"])) for _ in range(20)]
    return {
        name: float(np.mean([np.corrcoef(seen[name], track[name][order])[0, 1] for order in orders]))
        for name in READ
    }


def _landmark_errors(photos: Sequence[Photo], faces: Sequence[Face]) -> dict[str, Estimate]:
    """Mean distances in shares of the eye distance; the mesh's own offset to the 68 stands beside them."""
    errors: dict[str, list[float]] = {"all, stored 68": [], "lips, stored 68": [], "lips, mesh": []}
    errors["lips, mesh to stored 68"] = []
    for photo, face in zip(photos, faces, strict=True):
        stored = photo.record.landmarks
        eyes = stored[_EYES].reshape(2, 6, 2).mean(1)
        unit = np.hypot(*(eyes[1] - eyes[0]))
        lips = face.landmarks[_LIPS]
        for name, found, right in (
            ("all, stored 68", face.landmarks, stored),
            ("lips, stored 68", lips, stored[_LIPS]),
            ("lips, mesh", lips, photo.lips),
            ("lips, mesh to stored 68", photo.lips, stored[_LIPS]),
        ):
            errors[name].append(float(np.linalg.norm(found - right, axis=1).mean() / unit))
    return {name: interval(values) for name, values in errors.items()}
