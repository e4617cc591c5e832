"""Photos -> what the real ConsisID is told of a person.

Two embeddings, five hidden layers of a picture tower, and the face itself on white. Where every package of
ConsisID's authors is installed beside a CUDA device, diffusers prepares the face with them; elsewhere
`FaceReader` takes the same steps with the same published weights, less torchvision. One step differs: it
aligns the face by the five points of antelopev2's detector, theirs by RetinaFace's.
"""

import contextlib
import importlib.util
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from iad.full_size.bisenet import FaceParser, load_face_parser
from iad.full_size.eva import EvaTower, load_eva

EVA = "EVA02_CLIP_L_336_psz14_s6B.pt"
PARSER = "parsing_bisenet.pth"
PACK = "models/antelopev2"
PACKAGES = ("torchvision", "insightface", "facexlib", "consisid_eva_clip")  # of diffusers' own preparation
NEEDS_INSIGHTFACE = (
    "The real ConsisID reads faces with InsightFace, and nothing stands in for it; install it with: "
    "pip install --no-deps insightface, and pip install onnx onnxruntime scikit-image (its weights are "
    "licensed for non-commercial research only)."
)
NO_FACE = "No face found in the photo; use a sharp, well-lit, frontal photo that shows the whole face."

ANTELOPE_DIM = 512
LONGEST = 1024  # pixels of a photo's longer side
DETECTION_SIZE = (640, 640)
CROP = 512
# Where facexlib puts both eyes, the nose and both corners of the mouth in a crop of 512 pixels.
TEMPLATE = ((192.98138, 239.94708), (318.90277, 240.1936), (256.63416, 314.01935), (201.26117, 371.41043),
            (313.08905, 371.15118))  # fmt: skip
SURROUND = (132, 133, 135)  # beyond the photo's edge, RGB
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class FaceCondition:
    """What ConsisID is told of a person; the first two names are its pipeline's own."""

    id_cond: Float[Tensor, "1 v"]  # the recogniser's embedding, as long as it is; the tower's, of length one
    id_vit_hidden: tuple[Float[Tensor, "1 n d"], ...]
    image: UInt8[np.ndarray, "512 512 3"]  # the aligned face in colour, on white


@runtime_checkable
class Antelope(Protocol):
    """A recogniser with a detector of its own."""

    def find(
        self, photo: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[Float32[np.ndarray, "e"], Float32[np.ndarray, "5 2"]]:
        """Return the embedding and the five points of the largest face."""
        ...


class InsightFaceAntelope:
    """InsightFace's antelopev2 on whole photos.

    It runs on the CPU, which takes a tenth of a second a photo and spares onnxruntime-gpu.
    """

    def __init__(self, folder: Path):
        from iad.full_size.recogniser import load_recogniser

        recogniser = load_recogniser(folder, device="cpu", accept_licence=True)
        self.detector, self.arcface = recogniser.detector, recogniser.arcface

    def find(
        self, photo: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[Float32[np.ndarray, "e"], Float32[np.ndarray, "5 2"]]:
        """Return the embedding, as long as the network gives it, and the five points of the largest face."""
        picture = np.ascontiguousarray(photo[..., ::-1])  # it wants BGR
        boxes, points = self.detector.detect(picture, input_size=DETECTION_SIZE)
        if not len(boxes):
            raise ValueError(NO_FACE)
        largest = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, at how InsightFace calls it
            who = self.arcface.get(picture, SimpleNamespace(kps=points[largest]))
        return np.float32(who), np.float32(points[largest])


class FaceReader:
    """ConsisID's preparation of a face, without torchvision.

    Args:
        antelope: tells who it is, and where eyes, nose and mouth are.
        tower: EVA02-CLIP's.
        parser: tells the face from its backdrop.
        device: where the two networks work; between faces they wait in main memory.
    """

    def __init__(self, antelope: Antelope, tower: EvaTower, parser: FaceParser, *, device: str = "cpu"):
        self.antelope, self.tower, self.parser, self.device = antelope, tower, parser, device

    @torch.no_grad()
    def read(self, photo: UInt8[np.ndarray, "h w 3"]) -> FaceCondition:
        """Describe the largest face of an upright photo.

        Raises:
            ValueError: no face is found.
        """
        photo = shrink(photo)
        who, points = self.antelope.find(photo)
        crop = torch.from_numpy(align(photo, points)).to(self.device)
        crop = rearrange(crop, "h w c -> 1 c h w").float() / 255
        with self._at_work():
            backdrop = self.parser.find_backdrop(crop)
            pooled, hidden = self.tower(to_gray(crop).masked_fill(backdrop, 1.0))
        embedding = torch.from_numpy(who)[None].to(pooled)
        image = rearrange(crop.masked_fill(backdrop, 1.0), "1 c h w -> h w c") * 255
        return FaceCondition(
            torch.cat([embedding, normalize(pooled)], dim=1), hidden, image.cpu().numpy().astype(np.uint8)
        )

    @contextlib.contextmanager
    def _at_work(self):
        networks = (self.tower, self.parser)
        try:
            yield [network.to(self.device) for network in networks]
        finally:
            for network in networks:
                network.to("cpu")


class DiffusersFaceReader:
    """diffusers' own preparation, with ConsisID's packages; it wants CUDA."""

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype):
        from diffusers.pipelines.consisid.consisid_utils import prepare_face_models

        align_helper, arcface, tower, analysis, mean, std = prepare_face_models(str(folder), device, dtype)
        self._models = (align_helper, tower, arcface, mean, std, analysis, device, dtype)

    @torch.no_grad()
    def read(self, photo: UInt8[np.ndarray, "h w 3"]) -> FaceCondition:
        """Describe the largest face of an upright photo.

        Raises:
            ValueError: no face is found.
        """
        from diffusers.pipelines.consisid.consisid_utils import process_face_embeddings_infer

        try:
            id_cond, hidden, image, _ = process_face_embeddings_infer(*self._models, photo)
        except (IndexError, RuntimeError) as error:  # its list of faces is empty
            if isinstance(error, RuntimeError) and "align face" not in str(error):
                raise
            raise ValueError(NO_FACE) from error
        return FaceCondition(id_cond, tuple(hidden), np.asarray(image))


def prepare_face(
    reader: FaceReader | DiffusersFaceReader, photos: list[UInt8[np.ndarray, "_ _ 3"]]
) -> FaceCondition:
    """Describe one person from one or several photos.

    Of several, both embeddings are averaged, the tower's brought back to length one; the hidden layers and
    the face itself, which are pictures, are the first photo's.

    Raises:
        ValueError: no photo, or one without a face.
    """
    if not photos:
        raise ValueError("ConsisID needs at least one photo of the person; none was given.")
    read = []
    for number, photo in enumerate(photos, start=1):
        try:
            read.append(reader.read(photo))
        except ValueError as error:
            if len(photos) == 1:
                raise
            raise ValueError(f"Photo {number} of {len(photos)}: {error}") from error
    if len(read) == 1:
        return read[0]
    mean = torch.cat([face.id_cond for face in read]).mean(dim=0, keepdim=True)
    who, pooled = mean[:, :ANTELOPE_DIM], mean[:, ANTELOPE_DIM:]
    return replace(read[0], id_cond=torch.cat([who, normalize(pooled)], dim=1))


def load_face_reader(
    folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> FaceReader | DiffusersFaceReader:
    """Load what prepares faces from `face_encoder/` of a ConsisID folder.

    Raises:
        ValueError: InsightFace is not installed, or a file is missing or broken.
    """
    check_insightface()
    if device.startswith("cuda") and has_their_packages():
        return DiffusersFaceReader(folder, device=device, dtype=dtype)
    home = folder / "face_encoder"
    tower, parser = load_eva(home / EVA).to(dtype), load_face_parser(home / PARSER)
    return FaceReader(InsightFaceAntelope(home / PACK), tower, parser, device=device)


def check_insightface() -> None:
    """Refuse where InsightFace is not installed.

    Raises:
        ValueError: it is not.
    """
    if not all(map(importlib.util.find_spec, ("insightface", "onnxruntime"))):
        raise ValueError(NEEDS_INSIGHTFACE)


def has_their_packages() -> bool:
    """Tell whether diffusers can prepare faces itself; it runs InsightFace on CUDA alone."""
    if not all(map(importlib.util.find_spec, PACKAGES)):
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def shrink(photo: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "y x 3"]:
    """Bring a photo's longer side down to 1024 pixels, where it is longer."""
    height, width = photo.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return photo
    size = (int(width * scale), int(height * scale))
    return cv2.resize(photo, size, interpolation=cv2.INTER_LANCZOS4)


def align(
    photo: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "5 2"]
) -> UInt8[np.ndarray, "512 512 3"]:
    """Cut out the face, its five points where facexlib puts them.

    Raises:
        ValueError: the points fall together.
    """
    matrix, _ = cv2.estimateAffinePartial2D(np.float64(points), np.float64(TEMPLATE), method=cv2.LMEDS)
    if matrix is None:
        raise ValueError(NO_FACE)
    return cv2.warpAffine(photo, matrix, (CROP, CROP), borderValue=SURROUND)


def to_gray(crops: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Take the colour out; the three channels stay."""
    weights = crops.new_tensor(LUMINANCE)[:, None, None]
    return repeat((crops * weights).sum(dim=1), "b h w -> b c h w", c=3)
