"""Who a face is, by InsightFace: antelopev2 conditions a full-size model, buffalo_l only ever scores.

In: crops in the framing of `iad.faces` with our own landmarks. Out: ArcFace's embeddings, as the network
gives them. Nothing is fetched before the weights' licence is accepted, and nothing runs on a CPU unasked.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

PACK = "antelopev2"
PACKS = Path("~/.insightface")  # InsightFace's own folder
ACCEPT = "IAD_ACCEPT_INSIGHTFACE"
LICENCE = "The weights of InsightFace's packs are licensed for non-commercial research only."
DETECTION_SIZE = (320, 320)  # pixels: a face fills the crop

_INSTEAD = "the face encoder 'clip' does without InsightFace, ConsisID does not"
_INSTALL = (
    "InsightFace is not installed; install it with: pip install --no-deps insightface, then pip install onnx "
    "onnxruntime (onnxruntime-gpu on a GPU). Its dependency opencv-python, left out so, wants libGL and "
    f"overwrites opencv-python-headless. {LICENCE} And {_INSTEAD}."
)


class ArcFace:
    """A detector and a recogniser of InsightFace.

    Args:
        analysis: InsightFace's `FaceAnalysis`, with both.
    """

    def __init__(self, analysis: Any):
        self.detector, self.arcface = analysis.models["detection"], analysis.models["recognition"]
        self.dim = int(self.arcface.output_shape[-1])

    def find(
        self, photo: UInt8[np.ndarray, "h w 3"], *, side: int | None = None
    ) -> tuple[Float32[np.ndarray, "e"], Float32[np.ndarray, "5 2"]] | None:
        """Return the embedding, as long as it is, and the five points of the largest face; None without one.

        Args:
            photo: RGB.
            side: of the square, in pixels, that the detector sees of it; None as it was loaded.
        """
        picture = np.ascontiguousarray(photo[..., ::-1])  # it wants BGR
        boxes, points = self.detector.detect(picture, input_size=None if side is None else (side, side))
        if not len(boxes):
            return None
        largest = np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        marks = np.float32(points[largest])
        with _without_warnings():
            return np.float32(self.arcface.get(picture, SimpleNamespace(kps=marks))), marks

    def embed(
        self, crops: UInt8[np.ndarray, "b h w 3"], landmarks: Float32[np.ndarray, "b 68 2"]
    ) -> Float32[np.ndarray, "b e"]:
        """Embed who each crop shows; the rows are of no particular length.

        Args:
            crops: RGB, in the framing of `iad.faces`.
            landmarks: in the unit square of each crop; they serve where the detector sees no face.
        """
        chips = [self._cut(crop, marks) for crop, marks in zip(crops, landmarks, strict=True)]
        return self.arcface.get_feat(chips)

    def _cut(self, crop: np.ndarray, marks: np.ndarray) -> np.ndarray:
        from insightface.utils.face_align import norm_crop

        picture = np.ascontiguousarray(crop[..., ::-1])  # it wants BGR
        _, found = self.detector.detect(picture, max_num=1)
        # a unit square's edge is the outer edge of its first pixel
        points = found[0] if found is not None and len(found) else five_points(marks) * len(crop) - 0.5
        with _without_warnings():
            return norm_crop(picture, np.float32(points), self.arcface.input_size[0])


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, at how InsightFace calls it
        yield


def five_points(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "5 2"]:
    """Take ArcFace's five points out of Multi-PIE's: both eyes, the nose, both corners of the mouth."""
    eyes = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    return np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])


def load_arcface(
    pack: str | Path | None = None,
    *,
    name: str = PACK,
    device: str = "cpu",
    fetch: bool = True,
    accept_licence: bool = False,
) -> ArcFace:
    """Load a pack; where it is missing, fetch it, once its licence is accepted.

    Args:
        pack: a folder with the pack's .onnx files; None is InsightFace's own place.
        name: the pack's, where it is fetched.
        device: "cpu", or "cuda" with or without an index.
        fetch: whether to fetch it where it is missing.
        accept_licence: the caller accepts `LICENCE`; so does IAD_ACCEPT_INSIGHTFACE=1 in the environment.

    Raises:
        ValueError: InsightFace, its GPU runtime or the pack is missing or broken, or the licence is not
            accepted.
    """
    create = import_insightface()
    home = PACKS.expanduser() / "models" / name
    if fetch and pack is None and not home.exists():
        _fetch(name, accept_licence)
    folder = find_models(home if pack is None else Path(pack).expanduser())
    settings = {"allowed_modules": ["detection", "recognition"], "providers": choose_providers(device)}
    try:
        analysis = create(name=str(folder), **settings)
    except Exception as error:  # a dozen kinds, one of them without a word
        reason = str(error).strip().split("\n")[0] or "no face detector in it"
        raise ValueError(
            f"The InsightFace pack in {folder} cannot be read ({reason}); delete it and fetch it again."
        ) from error
    if "recognition" not in analysis.models:
        raise ValueError(f"The InsightFace pack in {folder} holds no recogniser; delete and fetch it again.")
    _check_device(analysis, device)
    analysis.prepare(ctx_id=-1 if device == "cpu" else 0, det_size=DETECTION_SIZE)
    return ArcFace(analysis)


def find_models(folder: Path) -> Path:
    """Return the folder with a pack's .onnx files: this one, or one in it, as antelopev2's archive is nested.

    Raises:
        ValueError: there are none.
    """
    inner = sorted(place for place in folder.glob("*") if place.is_dir())
    for place in (folder, *inner):
        if any(place.glob("*.onnx")):
            return place
    lack = "holds no .onnx files" if folder.is_dir() else "is no folder"
    raise ValueError(
        f"The InsightFace pack {folder} {lack}; unpack {folder.name}.zip there, or delete it so that it is "
        "fetched."
    )


def choose_providers(device: str) -> list[str | tuple[str, dict]]:
    """Name what ONNX Runtime shall run on."""
    kind, _, index = device.partition(":")
    on_gpu = [("CUDAExecutionProvider", {"device_id": int(index or 0)})] if kind == "cuda" else []
    return [*on_gpu, "CPUExecutionProvider"]


def _check_device(analysis: Any, device: str) -> None:
    """ONNX Runtime falls back to the CPU with a mere warning, for want of a build or of libraries."""
    used = {model.session.get_providers()[0] for model in analysis.models.values()}
    if device.startswith("cuda") and used != {"CUDAExecutionProvider"}:
        raise ValueError(
            "InsightFace was asked to run on the GPU, but the installed onnxruntime is built for the CPU "
            "alone, or CUDA's or cuDNN's libraries did not load; install onnxruntime-gpu for this CUDA (pip "
            "uninstall onnxruntime, then pip install onnxruntime-gpu), or load the face encoder on 'cpu'."
        )


def import_insightface() -> Callable[..., Any]:
    """Import what analyses faces.

    Raises:
        ValueError: InsightFace is not installed, or does not start.
    """
    try:
        from insightface.app import FaceAnalysis
    except ImportError as error:
        if (error.name or "").startswith("insightface"):
            raise ValueError(_INSTALL) from error
        reason = str(error).split("\n")[0]
        raise ValueError(
            f"InsightFace is installed but does not start ({reason}); mend that; {_INSTEAD}."
        ) from error
    return FaceAnalysis


def check_licence(accepted: bool, *, where: str) -> None:
    """Show the licence of InsightFace's weights before they are fetched, once it is accepted.

    Raises:
        ValueError: neither the caller nor the environment accepts it.
    """
    if not (accepted or os.environ.get(ACCEPT) == "1"):
        raise ValueError(
            f"{LICENCE} They are not here yet; accept this with accept_licence=True (--accept-licence) or "
            f"{ACCEPT}=1 and they are fetched {where}. Or {_INSTEAD}."
        )
    print(LICENCE, file=sys.stderr)


def _fetch(pack: str, accept_licence: bool) -> None:
    check_licence(accept_licence, where=f"to {PACKS}")
    from insightface.utils import ensure_available

    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints where it loads from
            ensure_available("models", pack, root=str(PACKS.expanduser()))
    except Exception as error:
        raise ValueError(
            f"InsightFace could not fetch {pack} ({type(error).__name__}); check the connection, or unpack "
            f"{pack}.zip of its model zoo into {PACKS}/models/{pack}."
        ) from error
