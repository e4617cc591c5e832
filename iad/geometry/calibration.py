"""What is seen of a driver -> what a portrait does: about the driver's own face at rest, and steadily.

A row of what is seen is a track's 60 numbers as they are read, then how high over wide both eyes are open and
where the irises lie in them. Lids and gaze go by that: people differ in it by as much as half a blink.
"""

from itertools import accumulate

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import grey_opening

from iad.config import EXPRESSIONS
from iad.faces.gaze import measure_gaze
from iad.geometry.coefficients import COEFFICIENTS, COLUMN, GAZE

LIDS, _POSE, _EYES = [COLUMN["eyeBlink_L"], COLUMN["eyeBlink_R"]], slice(EXPRESSIONS, 60), slice(60, 62)
_LOOK = slice(62, 64)
# An outside judge (MediaPipe's mesh) saw 0.6 of a nod and 0.87 of a turn when the poses of held-out photos
# were read, and drawn with other photos.
POSE_GAIN = np.float32([1.5, 1.15, 1.0])
# On 400 animated stills weights were read lower than they were; one over the slope, up to 2, where r was 0.5.
_READ_LOW = {
    "browDown": 2.0, "browInnerUp": 1.4, "browOuterUp": 1.5, "cheekSquint": 1.8, "eyeSquint": 2.0,
    "eyeWide": 2.0, "jawOpen": 1.2, "mouthClose": 2.0, "mouthFrown": 2.0, "mouthSmile": 1.4,
    "mouthStretch": 2.0, "mouthUpperUp": 2.0, "noseSneer": 1.7,
}  # fmt: skip
WEIGHT_GAIN = np.float32([_READ_LOW.get(name.split("_")[0], 1.0) for name in COEFFICIENTS[:EXPRESSIONS]])
LOOK_OF_ONE = np.float32([0.16, -0.115])  # what the irises of those stills moved by, in a look of weight 1
REST = 0.15  # what a weight may be read as in a face at rest: cheeks, brows and gaze, by their shape
SHUT, OPEN = 0.06, 0.22  # height over width of an eye: shut, and open in the narrowest eyes
WINK = 0.55, 0.75  # how far both lids are read apart: by mistake, for the far one is hard to see, and winking
BLINK, HALF = 0.2, 0.3  # how far blinks are read to close: what passes for one, and what is taken for shut
_LASTS = 0.3  # seconds of a blink, at most
# By what a reading trembles from frame to frame: three standard deviations, measured on a real video.
_TREMBLE = np.r_[np.full(EXPRESSIONS, 0.03), np.full(3, 1.2)].astype(np.float32)
_SHARE = 0.3  # of a tremble that is followed


def observe(
    picture: UInt8[np.ndarray, "h w 3"],
    track: Float[np.ndarray, " 60"],
    landmarks: Float[np.ndarray, "68 2"],
) -> Float[np.ndarray, " 64"]:
    """Make a row of a face as it was read; where shut eyes look is NaN."""
    eyes = np.stack([landmarks[42:48], landmarks[36:42]])
    height = np.linalg.norm(eyes[:, [1, 2]] - eyes[:, [5, 4]], axis=-1).mean(-1)
    opened = height / np.linalg.norm(eyes[:, 3] - eyes[:, 0], axis=-1).clip(1e-3)
    return np.r_[track, opened, measure_gaze(picture, landmarks)]


def find_rest(seen: Float[np.ndarray, "f 64"]) -> Float[np.ndarray, " 64"]:
    """Find the face at rest: what its weights are read as, the middle of its poses and looks, open eyes."""
    rest = np.quantile(seen, 0.1, axis=0)
    rest[rest > REST] = 0  # an action that is held throughout
    rest[COLUMN["jawOpen"]] = 0  # lips meet at rest in every face
    rest[_POSE] = np.median(seen[:, _POSE], axis=0)
    awake = seen[:, _EYES] >= 0.65 * np.quantile(seen[:, _EYES], 0.9, axis=0)
    rest[_EYES] = np.nanmedian(np.where(awake, seen[:, _EYES], np.nan), axis=0).clip(OPEN)
    known = np.isfinite(seen[:, 62])
    rest[_LOOK] = np.median(seen[known][:, _LOOK], axis=0) if known.any() else 0
    return rest


def move_about(rest: Float[np.ndarray, " 64"], seen: Float[np.ndarray, "f 64"]) -> Float[np.ndarray, "f 60"]:
    """Turn what is seen into a portrait's track."""
    track = (seen - rest)[:, :60]
    track[:, :EXPRESSIONS] *= WEIGHT_GAIN
    left, up = np.nan_to_num((seen - rest)[:, _LOOK] / LOOK_OF_ONE).T
    for (one, other), look in zip(GAZE, (left, -left, up, up), strict=True):
        track[:, one], track[:, other] = look, -look
    track[:, LIDS] = (rest[_EYES] - seen[:, _EYES]) / (rest[_EYES] - SHUT)
    track[:, :EXPRESSIONS] = track[:, :EXPRESSIONS].clip(0, 1)
    apart = np.abs(np.diff(track[:, LIDS]))
    winks = ((apart - WINK[0]) / (WINK[1] - WINK[0])).clip(0, 1)
    track[:, LIDS] += (1 - winks) * (track[:, LIDS].mean(axis=1, keepdims=True) - track[:, LIDS])
    track[:, _POSE] *= POSE_GAIN
    return track


def close_in_blinks(track: Float[np.ndarray, "f 60"], fps: float) -> Float[np.ndarray, "f 60"]:
    """Let the largest blink close the eyes: one that is over in a frame or two is read as half of itself."""
    lids = track[:, LIDS].mean(axis=1)
    largest = float((lids - grey_opening(lids, max(3, round(_LASTS * fps)))).max())
    if largest > BLINK:
        track[:, LIDS] = (track[:, LIDS] / np.clip(largest, HALF, 1)).clip(0, 1)
    return track


def settle(last: Float[np.ndarray, " 60"], row: Float[np.ndarray, " 60"]) -> Float[np.ndarray, " 60"]:
    """Go from one row of a track to the next: at once by what moves, a little by what only trembles."""
    apart = row - last
    return last + (_SHARE + (1 - _SHARE) * apart**2 / (apart**2 + _TREMBLE**2)) * apart


def steady(track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, "f 60"]:
    """Settle a whole track, forwards and backwards, so that nothing comes late."""
    forwards, backwards = (np.stack(list(accumulate(rows, settle))) for rows in (track, track[::-1]))
    return (forwards + backwards[::-1]) / 2
