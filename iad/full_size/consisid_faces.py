"""Photos -> what the real ConsisID is told of a person.

Two embeddings, five hidden layers of a picture tower, and the face itself on white. diffusers' own way
takes the same steps by packages that cannot stand beside ours: see `face_networks`. One step differs: the
face is aligned by the five points of antelopev2's detector, there by RetinaFace's.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from iad.full_size.arcface import ArcFace, load_arcface
from iad.full_size.face_networks import EvaTower, FaceParser, load_eva, load_face_parser

EVA = "EVA02_CLIP_L_336_psz14_s6B.pt"
PARSER = "parsing_bisenet.pth"
PACK = "models/antelopev2"
NO_FACE = "No face found in the photo; use a sharp, well-lit, frontal photo that shows the whole face."

ANTELOPE_DIM = 512
LONGEST = 1024  # pixels of a photo's longer side
DETECTION_SIDE = 640
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


class FaceReader:
    """ConsisID's preparation of a face.

    Args:
        arcface: antelopev2, which tells who it is, and where eyes, nose and mouth are.
        tower: EVA02-CLIP's.
        parser: tells the face from its backdrop.
        device: where the two networks work; between faces they wait in main memory.
    """

    def __init__(
        self, arcface: ArcFace, tower: EvaTower, parser: FaceParser, *, device: torch.device | str = "cpu"
    ):
        self.arcface, self.tower, self.parser, self.device = arcface, tower, parser, device

    @torch.no_grad()
    def read(self, photo: UInt8[np.ndarray, "h w 3"]) -> FaceCondition:
        """Describe the largest face of an upright photo.

        Raises:
            ValueError: no face is found.
        """
        photo = shrink(photo)
        found = self.arcface.find(photo, side=DETECTION_SIDE)
        if found is None:
            raise ValueError(NO_FACE)
        who, points = found
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
    def _at_work(self) -> Iterator[None]:
        try:
            self.tower.to(self.device), self.parser.to(self.device)
            yield
        finally:
            self.tower.to("cpu"), self.parser.to("cpu")


def prepare_face(reader: FaceReader, photos: list[UInt8[np.ndarray, "_ _ 3"]]) -> FaceCondition:
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
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> FaceReader:
    """Load what prepares faces from `face_encoder/` of a ConsisID folder.

    antelopev2 runs on the CPU, which takes a tenth of a second a photo and spares onnxruntime-gpu.

    Raises:
        ValueError: InsightFace is not installed, or a file is missing or broken.
    """
    home = folder / "face_encoder"
    tower, parser = load_eva(home / EVA).to(dtype), load_face_parser(home / PARSER)
    return FaceReader(load_arcface(home / PACK, accept_licence=True), tower, parser, device=device)


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
