"""Who a face is, by a recogniser that learned from millions of photos of real people.

In come photos with the 68 landmarks of one face each; out come rows whose Euclidean distance says how alike
two people are. dlib's ResNet (128 numbers; public domain) ships in the package face_recognition_models and
runs offline. InsightFace's antelopev2 (512 numbers) is used where its weights are here already and its
licence, non-commercial research only, was accepted. Nothing is ever fetched.
"""

import functools
import importlib.util
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

from iad.faces import crop
from iad.faces.detectors import find_model

ACCEPT = "IAD_ACCEPT_INSIGHTFACE"  # set to 1 by a user who accepts InsightFace's licence
PACK = Path("~/.insightface/models/antelopev2")
DIM = 128  # numbers of dlib's embedding
CHIP = 150  # pixels a side of what dlib's network sees
MARGIN = 0.25  # of the face's square, around it

# Corners of the eyes and base of the nose (Multi-PIE), and where dlib's training put them in its square.
POINTS = (45, 42, 36, 39, 33)
PLACES = np.array([
    [0.8595674595992, 0.2134981538014],
    [0.6460604764104, 0.2289674387677],
    [0.1205750620789, 0.2137274526848],
    [0.3340850613712, 0.2290642403242],
    [0.4901123135679, 0.6277975316475],
])  # fmt: skip


@runtime_checkable
class Recogniser(Protocol):
    """Embeds faces.

    Attributes:
        name: "dlib" or "insightface".
        dim: numbers a face.
        same_below: faces nearer than this are taken for one person.
    """

    name: str
    dim: int
    same_below: float

    def embed(
        self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]], landmarks: Sequence[Float[np.ndarray, "68 2"]]
    ) -> Float32[np.ndarray, "n e"]:
        """Embed one face of each photo, RGB, given its landmarks in the photo's pixels."""
        ...


class DlibRecogniser:
    """dlib's ResNet on chips that our own landmarks cut out, at any size and without rounding.

    Threads may share it: a network of dlib holds state while it runs, so they take turns. (dlib 20 keeps
    Python's own lock during a call; a version that lets go of it would mix faces up.)
    """

    name = "dlib"
    dim = DIM
    same_below = 0.6  # dlib's own

    def __init__(self, path: Path):
        import dlib

        self._network = dlib.face_recognition_model_v1(str(path))
        self._turn = threading.Lock()

    def embed(
        self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]], landmarks: Sequence[Float[np.ndarray, "68 2"]]
    ) -> Float32[np.ndarray, "n 128"]:
        """Embed one face of each photo; about 75 ms each on a core, several at once are no faster."""
        chips = [cut_chip(photo, marks) for photo, marks in zip(photos, landmarks, strict=True)]
        rows = np.empty((len(chips), self.dim), np.float32)
        for row, chip in zip(rows, chips, strict=True):
            with self._turn:
                row[:] = self._network.compute_face_descriptor(chip)
        return rows


class InsightFaceRecogniser:
    """ArcFace of antelopev2 on chips that our own landmarks cut out; rows have length one."""

    name = "insightface"
    same_below = 1.2  # a cosine of 0.28

    def __init__(self, folder: Path):
        from insightface.app import FaceAnalysis

        analysis = FaceAnalysis(name=str(folder), allowed_modules=["detection", "recognition"])
        self._arcface = analysis.models["recognition"]
        self.dim = int(self._arcface.output_shape[-1])

    def embed(
        self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]], landmarks: Sequence[Float[np.ndarray, "68 2"]]
    ) -> Float32[np.ndarray, "n e"]:
        """Embed one face of each photo."""
        from insightface.utils.face_align import norm_crop

        chips = []
        for photo, marks in zip(photos, landmarks, strict=True):
            eyes = marks[36:42].mean(axis=0), marks[42:48].mean(axis=0)
            points = np.stack([*eyes, marks[30], marks[48], marks[54]]).astype(np.float32)
            chips.append(norm_crop(np.ascontiguousarray(photo[..., ::-1]), points))  # it wants BGR
        rows = self._arcface.get_feat(chips)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def cut_chip(
    photo: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"]
) -> UInt8[np.ndarray, "150 150 3"]:
    """Cut a face out as dlib's network was shown faces in training.

    dlib's own cutter takes whole pixels only, which moves the eyes of a small face by a tenth of their width.

    Raises:
        ValueError: the landmarks fall on one point.
    """
    from skimage.transform import SimilarityTransform

    places = (PLACES + MARGIN) / (1 + 2 * MARGIN)
    found = SimilarityTransform.from_estimate(landmarks[list(POINTS)].astype(np.float64), places)
    if not found or not np.all(np.isfinite(found.params)):
        raise ValueError("The landmarks fall on one point; a face needs two eyes and a nose apart.")
    return crop(photo, found.params[:2], CHIP)


def load_recogniser(name: str = "auto") -> Recogniser:
    """Load a recogniser; the same object every time, for it holds no state and threads may share it.

    Args:
        name: "auto" is InsightFace where it is installed, its weights are here and its licence is accepted
            (IAD_ACCEPT_INSIGHTFACE=1), else dlib.

    Raises:
        ValueError: unknown name, or what it needs is missing; says what to install.
    """
    if name == "auto":
        return load_recogniser("insightface" if not _lacks_insightface() else "dlib")
    if name not in ("dlib", "insightface"):
        raise ValueError(f"Unknown recogniser {name!r}; choose 'auto', 'dlib' or 'insightface'.")
    with _LOADING:  # two threads that ask at once get one object
        return _load(name)


_LOADING = threading.Lock()


@functools.cache
def _load(name: str) -> Any:
    if name == "dlib":
        return DlibRecogniser(find_model("dlib_face_recognition_resnet_model_v1.dat"))
    lack = _lacks_insightface()
    if lack:
        raise ValueError(f"InsightFace cannot be used: {lack}; or choose the recogniser 'dlib'.")
    return InsightFaceRecogniser(PACK.expanduser())


def _lacks_insightface() -> str:
    """Say what is missing before InsightFace may run; empty where nothing is."""
    if importlib.util.find_spec("insightface") is None:
        return "install it with: pip install --no-deps insightface, then pip install onnx onnxruntime"
    if not any(PACK.expanduser().glob("*.onnx")):
        return f"its weights are not in {PACK}; unpack antelopev2.zip there"
    if os.environ.get(ACCEPT) != "1":
        return f"its weights are for non-commercial research only; accept that with {ACCEPT}=1"
    return ""
