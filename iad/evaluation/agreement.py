"""What a model tells of faces as they are: what they do, who they are, and what of it its clips copy.

In come held-out photos, photos and videos of real people; out come rows of tables. *Reading* correlates what
the model reads with what an outside judge measures. *Identity* asks every part of the embedding to tell one
person from another, where "same" is one photo in other looks (cropped, relit, blurred), one face in others'
surroundings, or one photo brought to life in other actions by the training renderer. *Copying* is how much of
what photos happen to show comes through into clips asked for calm.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from tqdm import tqdm

from iad.config import ARMS
from iad.evaluation import material, metrics, outside
from iad.evaluation.asked import animate, attempt
from iad.evaluation.intervals import FEW, Estimate, by_person, correlate, interval, verify
from iad.evaluation.material import Photo
from iad.faces import Face, mesh
from iad.geometry.head import Head
from iad.performing.actions import COEFFICIENTS, Performed, perform
from iad.portraits.clips import FRAMES, SECONDS
from iad.portraits.photo import PhotoPerson

Measures = Mapping[str, Float[np.ndarray, " n"]]
Pictures = Sequence[UInt8[np.ndarray, "_ _ 3"]]
# Words -> the judge's measure that they should follow, and its sign.
WORDS = {
    "opens their mouth": ("mouth", 1),
    "closes their eyes": ("lids", -1),
    "smiles": ("smile", 1),
    "turns left": ("yaw", 1),
}
PARTS = ("identity", "recognised", "action", "residual", "facial")  # those that a model has
# What the model reads, under the judge's names; lids are read as how far they are shut.
_READ = {
    "mouth": ("jawOpen",),
    "lids": ("eyeBlink_L", "eyeBlink_R"),
    "smile": ("mouthSmile_L", "mouthSmile_R"),
    "brows": ("browInnerUp_L", "browInnerUp_R", "browOuterUp_L", "browOuterUp_R"),
    "yaw": ("yaw",),
    "pitch": ("pitch",),
}
READ = ("mouth", "lids", "smile", "brows", "yaw", "pitch")
_EYES, _LIPS = slice(36, 48), slice(48, 68)
ACTIONS = ("mouth open", "smile", "eyes closed", "turn left")
CALM = "a person looks ahead calmly"
COPIED = ("smile", "mouth", "lids", "yaw", "pitch")
LOOKS = (0.5, 0.75, 1.0)  # of a clip that are judged for copying


def name_columns(tracks: Float[np.ndarray, "f 60"]) -> dict[str, Float[np.ndarray, " f"]]:
    """Sum tracks up under the judge's names, with the judge's signs."""
    columns = {n: [COEFFICIENTS.index(c) for c in coefficients] for n, coefficients in _READ.items()}
    values = {name: tracks[:, picks].mean(1) for name, picks in columns.items()}
    return values | {"lids": -values["lids"]}


def measure_landmarks(landmarks: Float[np.ndarray, "f 68 2"]) -> dict[str, Float[np.ndarray, " f"]]:
    """Measure what the model's own landmarks show, as the judge measures its mesh."""
    eyes = landmarks[:, 36:48].reshape(-1, 2, 6, 2)
    unit = np.linalg.norm(eyes[:, 1].mean(1) - eyes[:, 0].mean(1), axis=-1)
    gap = np.linalg.norm(landmarks[:, 61:64] - landmarks[:, [67, 66, 65]], axis=-1).mean(1)
    lids = np.linalg.norm(eyes[:, :, 1:3] - eyes[:, :, [5, 4]], axis=-1).mean(-1)
    lids = (lids / np.linalg.norm(eyes[:, :, 0] - eyes[:, :, 3], axis=-1)).mean(1)
    width = np.linalg.norm(landmarks[:, 54] - landmarks[:, 48], axis=-1)
    lift = landmarks[:, 33, 1] - landmarks[:, [48, 54], 1].mean(1)
    return {"mouth": gap / unit, "lids": lids, "smile": (width + lift) / unit}


def embed(pipe: Any, photo: UInt8[np.ndarray, "h w 3"]) -> dict[str, Float[np.ndarray, " d"]]:
    """Split a face; parts by name.

    Raises:
        ValueError: the model finds no face.
    """
    face = pipe.decouple(photo)
    parts = {name: getattr(face, name, None) for name in PARTS}
    return {name: part for name, part in parts.items() if part is not None and np.any(part)}


def match(pipe: Any, photo: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]) -> list[float]:
    """Say how well each prompt says what a face does, in the prompts' order."""
    found = dict(pipe.match_actions(pipe.decouple(photo), list(prompts)))
    return [found[prompt] for prompt in prompts]


def read_photos(pipe: Any, photos: Sequence[Photo]) -> dict[str, Any]:
    """Read held-out photos as they are; `refused` counts those in which the model finds no face."""
    told = [(photo, *_read(pipe, photo.image)) for photo in photos]
    told = [row for row in told if row[1] is not None]
    kept, faces, words = zip(*told, strict=True)
    seen = {name: np.array([photo.seen[name] for photo in kept]) for name in READ}
    track = name_columns(np.array([face.track for face in faces]))
    marks = measure_landmarks(np.array([face.landmarks for face in faces]))
    return {
        "photos": len(kept),
        "refused": len(photos) - len(kept),
        "track": _agree(seen, track),
        "own landmarks": _agree(seen, marks),
        "words": _follow_words(seen, np.array(words)),
        "shuffled": _shuffle(seen, track),
        "landmarks": _measure_errors(kept, faces),
    }


def read_video(pipe: Any, frames: UInt8[np.ndarray, "f h w 3"], *, every: int = 1) -> dict[str, Any]:
    """Read a video frame by frame."""
    frames = frames[::every]
    seen, told = mesh.see(frames), [_read(pipe, frame) for frame in frames]
    nothing = np.full(len(COEFFICIENTS), np.nan)
    tracks = np.stack([face.track if face else nothing for face, _ in told])
    return {
        "frames": len(frames),
        "refused": int(np.isnan(tracks[:, 0]).sum()),
        "track": _agree(seen, name_columns(tracks)),
        "words": _follow_words(seen, np.array([words for _, words in told])),
    }


def _read(pipe: Any, picture: UInt8[np.ndarray, "h w 3"]) -> tuple[Face | None, list[float]]:
    """Find the face, and say how well `WORDS` tell what it does; NaN where there is none."""
    face = attempt(pipe.find_face, picture)
    words = attempt(match, pipe, picture, list(WORDS)) if face else None
    return face if words else None, words or [np.nan] * len(WORDS)


def _agree(seen: Measures, track: Measures) -> dict[str, Estimate]:
    return {name: correlate(seen[name], track[name]) for name in READ if name in track}


def _follow_words(seen: Measures, words: Float[np.ndarray, "n w"]) -> dict[str, Estimate]:
    columns = zip(WORDS.items(), words.T, strict=True)
    return {prompt: correlate(sign * seen[name], column) for (prompt, (name, sign)), column in columns}


def _shuffle(seen: Measures, track: Measures) -> dict[str, float]:
    """Give each photo another one's reading: what chance looks like, the mean size of r."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(seen["mouth"])) for _ in range(20)]
    return {
        name: float(np.mean([np.corrcoef(seen[name], track[name][order])[0, 1] for order in orders]))
        for name in READ
    }


def _measure_errors(photos: Sequence[Photo], faces: Sequence[Face]) -> dict[str, Estimate]:
    """Mean distances in shares of the eye distance; the mesh's own offset to the 68 stands beside them."""
    found, stored = (np.array([x.landmarks for x in some]) for some in (faces, [p.record for p in photos]))
    lips = np.array([photo.lips for photo in photos])
    eyes = stored[:, _EYES].reshape(-1, 2, 6, 2).mean(2)
    unit = np.hypot(*(eyes[:, 1] - eyes[:, 0]).T)
    pairs = {
        "all, stored 68": (found, stored),
        "lips, stored 68": (found[:, _LIPS], stored[:, _LIPS]),
        "lips, mesh": (found[:, _LIPS], lips),
        "lips, mesh to stored 68": (lips, stored[:, _LIPS]),
    }
    return {k: interval(np.linalg.norm(a - b, axis=-1).mean(1) / unit) for k, (a, b) in pairs.items()}


def verify_looks(pipe: Any, people: Mapping[int, Pictures]) -> dict[str, Any]:
    """Tell people in several pictures each from one another."""
    who = np.repeat(list(people), [len(looks) for looks in people.values()])
    return _verify_all(pipe, [picture for looks in people.values() for picture in looks], who)


def list_surroundings(photos: Sequence[Photo], places: Sequence[Photo]) -> dict[int, Pictures]:
    """Put each face into the hair, clothes and backdrop of several others; all faces share these.

    Whoever looks at the surroundings finds the wrong person here; dlib's row says what a recogniser does.
    """
    return {photo.number: [material.exchange(photo, place) for place in places] for photo in photos}


def verify_actions(pipe: Any, photos: Sequence[Photo], head: Head) -> dict[str, Any]:
    """Same person: one photo in four actions, each compared with another action only.

    The row `action, same action` asks the action part for what it should tell: one action of two persons from
    two actions of two persons.
    """
    pictures = []
    for photo in photos:
        person = PhotoPerson(head, photo.record)
        for k, action in enumerate(ACTIONS):
            rng = np.random.default_rng((photo.number, k))
            track = perform([Performed((action,), 0.0, SECONDS)], rng=rng, frames=FRAMES, idle=False)
            pictures.append(person.render(track[FRAMES * 5 // 8, None])[0])
    who = np.repeat([photo.number for photo in photos], len(ACTIONS))
    return _verify_all(pipe, pictures, who, what=np.tile(np.arange(len(ACTIONS)), len(photos)))


def _verify_all(
    pipe: Any, pictures: Pictures, who: Int[np.ndarray, " n"], *, what: Int[np.ndarray, " n"] | None = None
) -> dict[str, Any]:
    def compare(table: np.ndarray, mask: Any) -> dict[str, Any]:
        among = None if what is None else _differ(what[mask])
        return verify(table, who[mask], among=among) | _compare_means(table, who[mask], among)

    embedded = {k: parts for k, p in enumerate(pictures) if (parts := attempt(embed, pipe, p))}
    kept, found = list(embedded), list(embedded.values())
    tables = {
        part: np.stack([parts[part] for parts in found])
        for part in PARTS
        if all(part in parts for parts in found)
    }
    rows = {part: compare(table, kept) for part, table in tables.items()}
    if what is not None:
        people, among = who[kept], _differ(who[kept])
        rows["action, same action"] = verify(tables["action"], what[kept], people=people, among=among)
    if not (mesh.missing() or outside.lacks_dlib()):
        table = outside.recognise(pictures, mesh.load_judge()(pictures).points)
        known = np.isfinite(table[:, 0])
        rows["dlib, alone"] = compare(table[known], known)
    return {"pictures": len(pictures), "refused": len(pictures) - len(kept), "rows": rows}


def _differ(labels: Int[np.ndarray, " n"]) -> Bool[np.ndarray, "n n"]:
    return labels[:, None] != labels[None]


def _compare_means(
    rows: Float[np.ndarray, "n d"], who: Int[np.ndarray, " n"], among: Bool[np.ndarray, "n n"] | None
) -> dict[str, float]:
    """Mean cosine of the same and of different persons."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    alike, differ = unit @ unit.T, _differ(who)
    counted = ~np.eye(len(rows), dtype=bool) & (True if among is None else among)
    masks = {"cosine same": ~differ, "cosine different": differ}
    return {name: float(alike[counted & mask].mean()) for name, mask in masks.items()}


def compare_copying(pipe: Any, photos: Sequence[Photo]) -> dict[str, Any]:
    """Say for every arm by its embeddings alone, and for the product, what calm clips copy of their photos.

    One more row must be about nothing: the method's clips under other photos.
    """
    shown = {name: np.array([photo.seen[name] for photo in photos]) for name in COPIED}
    read = name_columns(np.stack([pipe.find_face(photo.image).track for photo in photos]))
    arms = [arm for arm in (*ARMS, "entangled") if arm in pipe.arms]
    asked: dict[str, dict[str, Any]] = {arm: {"arm": arm, "detail_scale": 0.0} for arm in arms}
    seen = {name: _see_calm(pipe, photos, options) for name, options in (asked | {"iad, drawn": {}}).items()}
    seen["iad, photos exchanged"] = {name: np.roll(values, 1) for name, values in seen["iad"].items()}
    rows = {name: estimate_share(clips, shown, read) for name, clips in seen.items()}
    return {"photos": len(photos), "rows": rows}


def _see_calm(pipe: Any, photos: Sequence[Photo], options: Mapping[str, Any]) -> Measures:
    """Ask each photo for calm and measure its clip; NaN where the model refuses or no face is seen."""
    rows = np.full((len(COPIED), len(photos)), np.nan)
    for k, photo in enumerate(tqdm(photos, desc="calm clips")):
        clip = attempt(animate, pipe, photo.image, CALM, **options)
        if clip is not None:
            seen = mesh.see(clip.frames[[round(at * (len(clip.frames) - 1)) for at in LOOKS]])
            known = np.isfinite(seen["yaw"])
            rows[:, k] = [seen[name][known].mean() if known.any() else np.nan for name in COPIED]
    return dict(zip(COPIED, rows, strict=True))


def estimate_share(clips: Measures, shown: Measures, read: Measures) -> dict[str, Estimate]:
    """Share of what the photos show that the clips show, too, by `metrics.copied`.

    z is what the model reads off the photo, an instrumental variable: what the judge misreads of a person, in
    photo and clip alike, cancels as far as z does not share it. 1 repeats the photo, 0 does not depend on it.
    """
    found = {}
    for name in COPIED:
        columns = np.stack([clips[name], shown[name], read[name]])
        sides = columns[:, None, np.isfinite(columns).all(0), None]  # of one prompt, one reading
        people = sides.shape[2]
        copied = by_person(lambda drawn, s=sides: metrics.copied(*s[:, :, drawn]), people, resamples=FEW)
        found[name] = copied if people >= 3 else (np.nan,) * 3
    return found
