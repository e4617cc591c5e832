"""Copying: how much of what a photo happens to show comes through into clips asked for calm.

In come held-out photos as they are, which smile, turn or squint by chance; out comes for each arm, and for
each of the outside judge's measures, the share of it that the clips still show.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from iad.config import ARMS
from iad.evaluation.intervals import FEW, Estimate, by_person
from iad.evaluation.real import mesh, subject
from iad.evaluation.real.material import Photo
from iad.evaluation.real.mesh import measure

PROMPT = "a person looks ahead calmly"
COPIED = ("smile", "mouth", "lids", "yaw", "pitch")
DRAWN = "iad, drawn"
LOOKS = (0.5, 0.75, 1.0)  # of a clip that are judged
Measures = dict[str, Float[np.ndarray, " n"]]


def list_rows(pipe) -> dict[str, dict[str, Any]]:
    """Name what is compared, and how it is asked for: every arm by its embeddings alone, and the product."""
    arms = [arm for arm in (*ARMS, "entangled") if arm in pipe.arms]
    return {arm: {"arm": arm, "detail_scale": 0.0} for arm in arms} | {DRAWN: {}}


def look_at_clips(pipe, photos: Sequence[Photo], options: Mapping[str, Any]) -> Measures:
    """Ask each photo for calm and measure its clip; NaN where the model refuses or no face is seen."""
    rows = []
    for photo in tqdm(photos, desc="calm clips"):
        try:
            frames = subject.animate(pipe, photo.image, PROMPT, **options).frames
        except ValueError:
            rows.append(dict.fromkeys(COPIED, np.nan))
            continue
        picks = [round(at * (len(frames) - 1)) for at in LOOKS]
        seen = measure(mesh.load_judge()(frames[picks]))
        known = np.isfinite(seen["yaw"])
        rows.append({name: seen[name][known].mean() if known.any() else np.nan for name in COPIED})
    return {name: np.array([row[name] for row in rows]) for name in COPIED}


def read_photos(pipe, photos: Sequence[Photo]) -> Measures:
    """Read what the photos show, by the model: it sets apart what a face does from how it is built."""
    named = subject.named(np.stack([pipe.find_face(photo.image).track for photo in photos]))
    return {name: named[name] for name in COPIED}


def estimate_share(clips: Measures, shown: Measures, read: Measures) -> dict[str, Estimate]:
    """Share of what the photos show that the clips show, too: cov(clip, z) / cov(photo, z) over people.

    z is what the model reads off the photo, an instrumental variable: what the judge misreads of a person, in
    photo and clip alike, cancels as far as z does not share it. 1 repeats the photo, 0 does not depend on it.
    """
    found = {}
    for name in COPIED:
        columns = np.stack([clips[name], shown[name], read[name]])
        columns = columns[:, np.isfinite(columns).all(0)]
        people, through = columns.shape[1], partial(_through, columns)
        found[name] = by_person(through, people, resamples=FEW) if people >= 3 else (np.nan,) * 3
    return found


def _through(columns: Float[np.ndarray, "3 n"], drawn) -> float:
    clip, photo, z = columns[:, drawn]
    z = z - z.mean()
    return float(clip @ z / (photo @ z)) if abs(photo @ z) > 1e-9 else np.nan


def compare(pipe, photos: Sequence[Photo]) -> dict[str, Any]:
    """Measure all rows, and one that must be about nothing: the method's clips under other photos."""
    shown = {name: np.array([photo.seen[name] for photo in photos]) for name in COPIED}
    read = read_photos(pipe, photos)
    seen = {name: look_at_clips(pipe, photos, options) for name, options in list_rows(pipe).items()}
    seen["iad, photos exchanged"] = {name: np.roll(values, 1) for name, values in seen["iad"].items()}
    rows = {name: estimate_share(clips, shown, read) for name, clips in seen.items()}
    return {"photos": len(photos), "rows": rows}
