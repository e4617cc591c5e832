"""Identity: do the parts of the embedding tell one person from another, on photos and not on renders alone?

"Same" is one person's photo in other looks (cropped, relit, blurred), the face of one photo put into the
surroundings of others, and the photo brought to life in other actions by the training renderer; "different"
is another person in the same kind of picture. In come photos, out come AUC and equal error rate by part.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from iad.evaluation import outside
from iad.evaluation.intervals import verify
from iad.evaluation.real import material, mesh, subject
from iad.evaluation.real.material import Photo

ACTIONS = ("mouth open", "smile", "eyes closed", "turn left")


def verify_looks(pipe, photos: Sequence[Photo]) -> dict[str, Any]:
    """Same person: one photo, four looks. The action is the same, too, so the action part may know it."""
    pictures, who = [], []
    for photo in photos:
        looks = [photo.image, *material.list_looks(photo.image, seed=photo.number)]
        pictures += looks
        who += [photo.number] * len(looks)
    return _verify_all(pipe, pictures, np.array(who), kind=None)


def verify_surroundings(pipe, photos: Sequence[Photo], places: Sequence[Photo]) -> dict[str, Any]:
    """Same person: one face in the hair, clothes and backdrop of several others; all faces share these.

    Whoever looks at the surroundings finds the wrong person here; dlib's row says what a recogniser does.
    """
    pictures = [material.exchange(photo, place) for photo in photos for place in places]
    return _verify_all(pipe, pictures, np.repeat([p.number for p in photos], len(places)), kind=None)


def verify_actions(pipe, photos: Sequence[Photo], head) -> dict[str, Any]:
    """Same person: one photo in four actions, each compared with another action only.

    The row `action, same action` asks the action part for what it should tell: one action of two persons from
    two actions of two persons.
    """
    from iad.performing.actions import Performed, perform
    from iad.portraits.clips import FRAMES, SECONDS
    from iad.portraits.photo import PhotoPerson

    pictures, who, what = [], [], []
    for photo in photos:
        person = PhotoPerson(head, photo.record)
        for k, action in enumerate(ACTIONS):
            rng = np.random.default_rng((photo.number, k))
            track = perform([Performed((action,), 0.0, SECONDS)], rng=rng, frames=FRAMES, idle=False)
            pictures.append(person.render(track[FRAMES * 5 // 8, None])[0])
            who.append(photo.number)
            what.append(k)
    return _verify_all(pipe, pictures, np.array(who), kind=np.array(what))


def compare_real_people(pipe, video) -> dict[str, Any]:
    """Two photos in four looks each, and frames of a video: three real people."""
    people = [
        [photo, *material.list_looks(photo, seed=seed)]
        for seed, photo in enumerate((material.load_astronaut(), material.load_hopper()))
    ]
    if video is not None:
        people.append(list(video[np.linspace(0, len(video) - 1, 6).astype(int)]))
    who = np.repeat(np.arange(len(people)), [len(looks) for looks in people])
    report = _verify_all(pipe, [picture for looks in people for picture in looks], who, kind=None)
    return report | {"people": len(people)}


def _verify_all(pipe, pictures, who, *, kind) -> dict[str, Any]:
    embedded, kept = [], []
    for k, picture in enumerate(pictures):
        try:
            embedded.append(subject.embed(pipe, picture))
        except ValueError:
            continue
        kept.append(k)
    rows: dict[str, Any] = {}
    among = None if kind is None else _other(kind[kept])
    for part in subject.PARTS:
        if all(part in parts for parts in embedded):
            table = np.stack([parts[part] for parts in embedded])
            rows[part] = verify(table, who[kept], among=among) | _gap(table, who[kept], among)
    if kind is not None:
        table, people = np.stack([parts["action"] for parts in embedded]), who[kept]
        rows["action, same action"] = verify(table, kind[kept], people=people, among=_other(people))
    if not (mesh.missing() or outside.available()["dlib"]):
        rows["dlib, alone"] = _verify_dlib(pictures, who, kind)
    return {"pictures": len(pictures), "refused": len(pictures) - len(kept), "rows": rows}


def _verify_dlib(pictures, who, kind) -> dict[str, Any]:
    rows = outside.recognise(pictures, mesh.load_judge()(pictures))
    found = np.isfinite(rows[:, 0])
    among = None if kind is None else _other(kind[found])
    return verify(rows[found], who[found], among=among) | _gap(rows[found], who[found], among)


def _other(labels: np.ndarray) -> np.ndarray:
    return labels[:, None] != labels[None]


def _gap(rows: np.ndarray, who: np.ndarray, among) -> dict[str, float]:
    """Mean cosine of the same and of different persons."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    alike, same = unit @ unit.T, who[:, None] == who[None]
    counted = ~np.eye(len(rows), dtype=bool) & (True if among is None else among)
    return {
        "cosine same": float(alike[counted & same].mean()),
        "cosine different": float(alike[counted & ~same].mean()),
    }
