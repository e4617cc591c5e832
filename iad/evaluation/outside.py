"""Judges from elsewhere, and which of them are here; nothing is ever fetched.

Frames are in the framing of `iad.faces`, 128 pixels. Embeddings come with rows of length one, so that a dot
product is a cosine. InsightFace and CLIP are those of `iad.full_size.judging`.

What ConsisID calls FID (arXiv 2411.17440, eval/get_facesim_fid.py) is the distance of *one* face from one
other, whose covariances are zero: the squared distance of two feature vectors, least for a copy of the
reference, and no Frechet distance (that is `iad.evaluation.metrics.frechet`).
"""

import importlib.util
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from iad.faces.detectors import find_model
from iad.full_size.arcface import PACKS
from iad.full_size.judging import CLIP, PACK, find_clip

LARGE = 256  # pixels; dlib's models want the face about 150 wide
FACE = (52, 60, 204, 212)  # where the framing puts dlib's box in an enlarged frame
MARKS_FILE = "shape_predictor_68_face_landmarks.dat"
DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
ACCEPT = "IAD_ACCEPT_DLIB_LANDMARKS"  # set to 1 by a user whom the terms of MARKS_FILE's data allow it
BUFFALO = ("det_10g.onnx", "w600k_r50.onnx")  # detector and ArcFace R50 of buffalo_l
# What is read off 68 landmarks; the last two say where the head turns, the others what the face does.
READINGS = ("mouth open", "mouth wide", "corners up", "lips high", "left eye", "right eye") + (
    "left brow", "right brow", "brows apart", "yaw", "pitch",
)  # fmt: skip
POSES = 2
SAME = 0.6  # distance up to which dlib's authors call two faces one person
INCEPTION_SIZE = 299
INCEPTION_FILE = "inception_v3_google-0cc3c7bd.pth"
_MIDDLE = (0.1, 0.9)  # of our framing: where ArcFace's alignment, which ConsisID crops by, ends
# dlib's five points in MediaPipe's mesh: outer and inner corner of the eye at the picture's right, of the one
# at its left, and the base of the nose.
_FIVE = (263, 362, 33, 133, 2)


def available() -> dict[str, str]:
    """Tell for every outside judge what is missing, in a sentence; an empty one where nothing is."""
    return {
        "dlib": lacks_landmarks(),
        "insightface": _lacks_insightface(),
        "curricularface-ir101": (
            "CurricularFace IR-101 is not judged: no package carries its weights, and those of ConsisID "
            "(`iad.full_size.judging.load_curricular`) judge full-size clips alone; our own 'cur' stands in."
        ),
        "ConsisID's 'FID'": _lacks_inception(),
        "CLIPScore": _lacks_clip(),
    }


def lacks_dlib(file: str = DLIB_FILE) -> str:
    """Say what dlib's recogniser, or another model of it, needs and does not have; empty where nothing."""
    if not importlib.util.find_spec("dlib"):
        return "dlib is not installed; install it with: pip install dlib-bin"
    try:
        _ = find_model(file)
    except ValueError as error:
        return str(error)
    return ""


def lacks_landmarks() -> str:
    """Say why dlib's 68 landmarks are not asked: they are not here, or nobody accepted their terms."""
    refused = (
        "dlib's landmarks, and its recogniser on faces cut out by them, are not asked: their training data "
        "(iBUG 300-W) exclude commercial use; where yours is none, accept that with "
        f"{ACCEPT}=1 in the environment."
    )
    return lacks_dlib() or lacks_dlib(MARKS_FILE) or ("" if os.environ.get(ACCEPT) == "1" else refused)


def _lacks_insightface() -> str:
    if not importlib.util.find_spec("insightface"):
        return "InsightFace is not installed; install it with: pip install insightface onnxruntime"
    folder = PACKS.expanduser() / "models" / PACK
    lacking = [name for name in BUFFALO if not (folder / name).exists()]
    if lacking:
        return f"InsightFace's pack {PACK} lacks {', '.join(lacking)} in {folder}; put them there."
    return ""


def _lacks_inception() -> str:
    if not importlib.util.find_spec("torchvision"):
        return "ConsisID's 'FID' needs Inception v3 of torchvision, which is not installed."
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return "" if path.is_file() else f"ConsisID's 'FID' needs Inception's weights at {path}."


def _lacks_clip() -> str:
    if not importlib.util.find_spec("transformers"):
        return "CLIPScore needs transformers, which is not installed."
    try:
        find_clip(fetch=False)
    except ValueError:
        return f"CLIPScore needs {CLIP} in the hub's cache."
    return ""


def read_landmarks(points: Float[np.ndarray, "f 68 2"]) -> Float[np.ndarray, "f 11"]:
    """Read `READINGS` off landmarks, in eye distances; neither size nor roll of the head changes them."""
    eyes = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
    across = eyes[1] - eyes[0]
    unit = np.linalg.norm(across, axis=-1, keepdims=True)
    across = across / unit
    down = np.stack([-across[:, 1], across[:, 0]], axis=-1)
    centred = points - (eyes[0] + eyes[1])[:, None] / 2
    x, y = ((centred * axis[:, None]).sum(-1) / unit for axis in (across, down))

    def gap(values, upper, lower):
        return values[:, list(lower)].mean(1) - values[:, list(upper)].mean(1)

    said = (
        gap(y, (61, 62, 63), (65, 66, 67)), gap(x, (48,), (54,)), gap(y, (48, 54), (33,)),
        gap(y, (50, 52), (57,)), gap(y, (37, 38), (40, 41)), gap(y, (43, 44), (46, 47)),
        gap(y, range(17, 22), (36, 39)), gap(y, range(22, 27), (42, 45)), gap(x, (21,), (22,)),
        gap(x, (0, 16), (30,)), gap(y, (0, 16), (30,)),
    )  # fmt: skip
    return np.stack(said, axis=-1)


class DlibJudge:
    """dlib's 68 landmarks and 128-d recogniser, in the place where the framing puts the face.

    Raises:
        ValueError: dlib or the package with its models is not installed, or the landmarks' terms are not
            accepted.
    """

    def __init__(self):
        if lack := lacks_landmarks():
            raise ValueError(lack)
        import dlib

        self._box = dlib.rectangle(*FACE)
        self._predictor = dlib.shape_predictor(str(find_model(MARKS_FILE)))
        self._recogniser = _load_recogniser()

    def landmarks(self, frames: UInt8[np.ndarray, "f h w 3"]) -> Float32[np.ndarray, "f 68 2"]:
        """Find the landmarks of each frame, in the unit square."""
        shapes = [self._find(frame)[1] for frame in frames]
        points = np.array([[(p.x, p.y) for p in shape.parts()] for shape in shapes], np.float32)
        return points / LARGE

    def embed(self, frames: UInt8[np.ndarray, "f h w 3"]) -> Float32[np.ndarray, "f 128"]:
        """Embed who each frame shows, one row of length one a frame."""
        rows = [np.array(self._recogniser.compute_face_descriptor(*self._find(frame))) for frame in frames]
        return _unit(np.array(rows))

    def _find(self, frame: np.ndarray):
        large = cv2.resize(frame, (LARGE, LARGE), interpolation=cv2.INTER_CUBIC)
        return large, self._predictor(large, self._box)


@cache
def _load_recogniser():
    import dlib

    return dlib.face_recognition_model_v1(str(find_model(DLIB_FILE)))


def recognise(
    pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]], points: Float32[np.ndarray, "f 468 3"]
) -> Float32[np.ndarray, "f 128"]:
    """Embed who each picture shows by dlib, the face placed by a mesh; rows of NaN where it saw no face.

    The product itself may use this recogniser (its file is CC0) to say who somebody is; reports say so.

    Raises:
        ValueError: the recogniser is not installed.
    """
    if lack := lacks_dlib():
        raise ValueError(lack)
    return np.array([_describe(*pair) for pair in zip(pictures, points, strict=True)], np.float32)


def _describe(picture: UInt8[np.ndarray, "h w 3"], points: Float32[np.ndarray, "468 3"]) -> np.ndarray:
    import dlib

    if not np.isfinite(points).all():
        return np.full(128, np.nan)
    low, high = points[:, :2].min(0).round().astype(int), points[:, :2].max(0).round().astype(int)
    five = [dlib.point(*map(int, points[k, :2].round())) for k in _FIVE]
    shape = dlib.full_object_detection(dlib.rectangle(*map(int, (*low, *high))), five)
    return np.array(_load_recogniser().compute_face_descriptor(np.ascontiguousarray(picture), shape))


def _unit(rows: np.ndarray) -> Float32[np.ndarray, "f e"]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def feature_distance(frames: Float[np.ndarray, "f d"], reference: Float[np.ndarray, " d"]) -> float:
    """What ConsisID calls FID: the mean squared distance of frames' features to the reference's."""
    return float(np.square(frames - reference).sum(1).mean())


def load_inception() -> torch.nn.Module | None:
    """Load Inception v3 up to its last layer's input; None where it is not here."""
    if _lacks_inception():
        return None
    from torchvision import models

    network = models.inception_v3(weights=models.Inception_V3_Weights.DEFAULT)
    network.fc = torch.nn.Identity()
    return network.eval()


@torch.inference_mode()
def compare_features(
    inception: torch.nn.Module,
    frames: UInt8[np.ndarray, "f h w 3"],
    reference: UInt8[np.ndarray, "h w 3"],
) -> float:
    """Return what ConsisID calls FID, of a clip."""
    features = inception(_as_inception_sees(np.concatenate([frames, reference[None]]))).numpy()
    return feature_distance(features[:-1], features[-1])


def _as_inception_sees(frames: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, "n 3 299 299"]:
    """Cut out the faces and enlarge them; no normalisation, as in ConsisID's code."""
    start, end = (round(edge * frames.shape[1]) for edge in _MIDDLE)
    size = (INCEPTION_SIZE, INCEPTION_SIZE)
    large = [cv2.resize(f[start:end, start:end], size, interpolation=cv2.INTER_LINEAR) for f in frames]
    return rearrange(torch.from_numpy(np.stack(large)).float() / 255, "n h w c -> n c h w")
