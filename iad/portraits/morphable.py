"""The morphable head: a neutral mesh, identity modes and named expression shapes.

`load_head` reads ICT-FaceKit (USC Institute for Creative Technologies, MIT) from the arrays that the
download makes; `iad.portraits.tiny` makes up a small one with the same fields. Vertices are in
centimetre-like units: x to the right of the picture, y up, z towards the viewer.
"""

import os
from pathlib import Path

import numpy as np

from iad.geometry.coefficients import COEFFICIENTS
from iad.geometry.head import Head
from iad.portraits import read_arrays

# First vertex of every part of the ICT Face Model Light, in file order.
PART_STARTS = {
    "face": 0, "head": 9409, "mouth_socket": 11248, "eye_sockets": 13294, "gums": 14062, "teeth": 17039,
    "sclera_L": 21451, "iris_L": 22221, "sclera_R": 23021, "iris_R": 23791, "lacrimal": 24591,
    "eye_blend": 24999, "eye_occlusion": 25047, "eyelashes": 25351,
}  # fmt: skip

# The 68 Multi-PIE landmarks as vertices of the ICT head.
_LANDMARKS = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268,
    493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269,
    3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275,
    6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip


def find_head(path: str | Path | None = None) -> Path:
    """Return where the ICT head is: `path`, $IAD_ICT_FACEKIT or the download cache, the first that is given.

    Raises:
        FileNotFoundError: The file is not there.
    """
    found = Path(path or os.environ.get("IAD_ICT_FACEKIT") or cache_folder() / "ict" / "ict_facekit.npz")
    if not found.is_file():
        raise FileNotFoundError(
            f"No morphable head at {found}; fetch it with `python -m iad data download`, or point "
            "$IAD_ICT_FACEKIT at an ict_facekit.npz."
        )
    return found


def load_head(path: str | Path | None = None) -> Head:
    """Load the ICT head from `path`, $IAD_ICT_FACEKIT or the download cache, the first that is given.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: It is damaged, or another version's.
    """
    found = find_head(path)
    arrays = read_arrays(found)
    names = tuple(str(name) for name in arrays["expression_names"])
    if names != COEFFICIENTS[: len(names)]:
        raise ValueError(
            f"The head at {found} names its expressions otherwise than this version does; "
            "fetch it again with `python -m iad data download`."
        )
    neutral = arrays["neutral"].astype(np.float32)
    ends = [*list(PART_STARTS.values())[1:], len(neutral)]
    return Head(
        neutral=neutral,
        identity=arrays["identity"],
        expression=arrays["expression"].astype(np.float32),
        expression_names=names,
        triangles=arrays["faces"].astype(np.int32),
        landmarks=np.array(_LANDMARKS, np.int32),
        parts={
            name: slice(start, end) for (name, start), end in zip(PART_STARTS.items(), ends, strict=True)
        },
    )


def cache_folder() -> Path:
    """Return the folder that downloads go to: $IAD_CACHE, else ~/.cache/iad."""
    return Path(os.environ.get("IAD_CACHE") or Path.home() / ".cache" / "iad")
