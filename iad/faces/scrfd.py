"""InsightFace's detector, where the package and one of its packs are on this machine; nothing is fetched.

In comes a picture; out come boxes in dlib's manner with the roll of the eyes. Its weights are licensed for
non-commercial research only, so whoever puts them there has accepted that.
"""

import functools
import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from iad.faces.framing import Box, alignment_of_points, box_in

PACKS = Path("~/.insightface/models")
DETECTORS = ("buffalo_l/det_10g.onnx", "antelopev2/scrfd_10g_bnkps.onnx")
INPUT_SIDE = 640

_in_use = threading.Lock()


def is_available() -> bool:
    """Tell whether InsightFace and the detector of buffalo_l or antelopev2 are installed."""
    return _find_file() is not None and importlib.util.find_spec("insightface") is not None


def detect(image: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
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
