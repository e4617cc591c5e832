"""The judges of the published comparisons: FaceSim-Arc, FaceSim-Cur and CLIPScore of a clip.

As ConsisID's `eval/` computes them: sixteen frames; faces found by InsightFace's buffalo_l and aligned by its
points; frames without a face left out of the mean; cosines below zero counted as zero; red and blue exchanged
before CLIP sees a frame. None of these networks conditions a clip. What is missing is named, the rest judges.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from iad.full_size import consisid
from iad.full_size.arcface import ArcFace, load_arcface
from iad.full_size.hub import fetch_model
from iad.full_size.id_animator import CROP_SIZE, align
from iad.full_size.published import fill_module, load_network, read_published

FRAMES = 16
PACK = "buffalo_l"
CUR = "face_encoder/glint360k_curricular_face_r101_backbone.bin"
CLIP = "openai/clip-vit-base-patch32"
CLIP_REVISION = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
CLIP_FILES = ("config.json", "preprocessor_config.json", "pytorch_model.bin", "tokenizer_config.json",
              "vocab.json", "merges.txt", "special_tokens_map.json")  # fmt: skip
SIDE = 112  # pixels of the face that CurricularFace sees
WIDTHS = (64, 128, 256, 512)
UNITS = (3, 13, 30, 3)  # residual units of each width
CHIP = 224  # pixels of an aligned face, before CurricularFace sees half of them
MARGIN = 0.25  # grey, around a frame in which no face is found at first


@dataclass(frozen=True)
class Judges:
    """Whatever judges there are."""

    missing: Mapping[str, str]  # what is not here, in a sentence by name
    faces: ArcFace | None = None  # buffalo_l
    cur: nn.Module | None = None  # see `create_curricular`
    clip: Any = None  # CLIP and its processor

    @torch.inference_mode()
    def judge(
        self, frames: UInt8[np.ndarray, "f h w 3"], photo: UInt8[np.ndarray, "_ _ 3"], prompt: str
    ) -> dict[str, float]:
        """Return the numbers whose judges are here: facesim_arc, facesim_cur, faces (a share), clipscore."""
        said = {}
        if self.faces is not None:
            said |= self._compare_faces(frames[np.linspace(0, len(frames) - 1, FRAMES, dtype=int)], photo)
        if self.clip is not None:
            said["clipscore"] = self.compare_words(frames[np.arange(FRAMES) * len(frames) // FRAMES], prompt)
        return said

    def _compare_faces(self, frames: np.ndarray, photo: np.ndarray) -> dict[str, float]:
        reference, found = self._see(photo), [self._see(frame) for frame in frames]
        seen = [face for face in found if face]
        said = {"faces": len(seen) / len(found)}
        for name in ("facesim_arc", "facesim_cur")[: 1 if self.cur is None else 2]:
            cosines = [_cosine(reference[name], face[name]) for face in seen] if reference else []
            said[name] = float(np.mean(np.maximum(cosines, 0))) if cosines else float("nan")
        return said

    def embed(self, frames: UInt8[np.ndarray, "f h w 3"]) -> Float32[np.ndarray, "f e"]:
        """Embed the largest face of each frame by `faces`: rows of length one, of NaN where there is none."""
        found = [self._find(frame) for frame in frames]
        rows = [np.full(self.faces.dim, np.nan) if face is None else face[0] for face in found]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)

    def compare_words(self, frames: UInt8[np.ndarray, "f h w 3"], prompt: str) -> float:
        """Return the CLIPScore of all frames, as logits."""
        model, processor = self.clip
        swapped = list(frames[..., ::-1])
        inputs = processor(text=prompt, images=swapped, return_tensors="pt", padding=True, truncation=True)
        with torch.inference_mode():
            return float(model(**inputs).logits_per_image.mean())

    def _see(self, picture: UInt8[np.ndarray, "h w 3"]) -> dict[str, np.ndarray]:
        """Return each recogniser's embedding of the largest face; nothing where there is none."""
        found = self._find(picture)
        if found is None:
            return {}
        embedding, points, picture = found
        seen = {"facesim_arc": embedding}
        if self.cur is not None:
            seen["facesim_cur"] = self.cur(cut_chip(picture, points))[0].numpy()
        return seen

    def _find(self, picture: UInt8[np.ndarray, "h w 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return embedding and points of the largest face, and the picture that they are of."""
        high, wide = (round(MARGIN * side) for side in picture.shape[:2])
        padding = ((high, high), (wide, wide), (0, 0))
        for seen in (picture, np.pad(picture, padding, constant_values=128)):
            if found := self.faces.find(seen):
                return *found, seen
        return None


def cut_chip(
    picture: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "5 2"]
) -> Float[Tensor, "1 3 112 112"]:
    """Cut a face out as ArcFace wants it, in [-1, 1]."""
    matrix = CHIP * align(points) - [[0, 0, CHIP / CROP_SIZE / 2]]  # to where pixels have their centres
    small = cv2.resize(cv2.warpAffine(picture, matrix, (CHIP, CHIP)), (SIDE, SIDE))
    return rearrange(torch.from_numpy(small).float() / 127.5 - 1, "h w c -> 1 c h w")


def load_judges(
    *,
    fetch: bool = True,
    accept_licence: bool = False,
    consisid_folder: Path | None = None,
    clip: Path | None = None,
) -> Judges:
    """Load what is here, fetching by pinned revisions what may be fetched; never raises for what is not.

    Args:
        fetch: False takes only what is on this machine.
        accept_licence: the caller accepts the licence of InsightFace's weights.
        consisid_folder: ConsisID's, where it is a folder; CurricularFace's weights lie in it.
        clip: a folder with CLIP ViT-B/32; None the published one.
    """
    missing: dict[str, str] = {}

    def attempt(what: str, load: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            return load(*given, **named)
        except ValueError as error:
            missing[what] = str(error)
            return None

    faces = attempt("FaceSim-Arc", load_arcface, name=PACK, fetch=fetch, accept_licence=accept_licence)
    cur = None
    if faces is None:
        missing["FaceSim-Cur"] = "FaceSim-Cur aligns faces by buffalo_l, as FaceSim-Arc does."
    else:
        cur = attempt("FaceSim-Cur", load_curricular, consisid_folder, fetch=fetch)
    words = attempt("CLIPScore", _load_clip, clip, fetch=fetch)
    return Judges(faces=faces, cur=cur, clip=words, missing=missing)


def find_clip(*, fetch: bool) -> Path:
    """Return the folder of the published CLIP.

    Raises:
        ValueError: it is not here, and cannot or may not be fetched.
    """
    return fetch_model(CLIP, revision=CLIP_REVISION, files=CLIP_FILES, fetch=fetch)


def _load_clip(folder: Path | None, *, fetch: bool) -> tuple[Any, Any]:
    from transformers import CLIPModel, CLIPProcessor

    folder = folder or find_clip(fetch=fetch)
    return load_network(CLIPModel, folder), CLIPProcessor.from_pretrained(folder, local_files_only=True)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


class Unit(nn.Module):
    """A residual unit, whose first convolution normalises what comes in."""

    def __init__(self, width: int, out: int, stride: int):
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if width != out:
            shortcut = nn.Conv2d(width, out, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(shortcut, nn.BatchNorm2d(out))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Halve the sides with a stride of 2."""
        return self.res_layer(x) + self.shortcut_layer(x)


def create_curricular(units: tuple[int, ...] = UNITS) -> nn.Sequential:
    """Build CurricularFace's IR-101 (arXiv 2004.00288) with random weights: faces in [-1, 1] -> embeddings.

    The network of TFace's `model_irse.py` under the names of ConsisID's file, which holds its weights.

    Args:
        units: how many residual units there are of each width.
    """
    first, body = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False), []
    for width, out, count in zip((WIDTHS[0], *WIDTHS), WIDTHS, units, strict=False):
        body += [Unit(width, out, 2), *(Unit(out, out, 1) for _ in range(count - 1))]
    last, left = WIDTHS[-1], SIDE // 2 ** len(WIDTHS)
    outwards = (nn.BatchNorm2d(last), nn.Dropout(0.4), nn.Flatten(), nn.Linear(last * left**2, 512))
    return nn.Sequential(
        OrderedDict(
            input_layer=nn.Sequential(first, nn.BatchNorm2d(WIDTHS[0]), nn.PReLU(WIDTHS[0])),
            body=nn.Sequential(*body),
            output_layer=nn.Sequential(*outwards, nn.BatchNorm1d(512, affine=False)),
        )
    )


def load_curricular(folder: Path | None = None, *, fetch: bool = True) -> nn.Sequential:
    """Read CurricularFace's weights out of ConsisID's folder, or fetch them; nothing in the file is run.

    Args:
        folder: None is the hub's cache.
        fetch: whether to fetch them where they are not in the cache.

    Raises:
        ValueError: the file is missing, broken or of another network.
    """
    if folder is None:
        folder = fetch_model(consisid.REPOSITORY, revision=consisid.REVISION, files=(CUR,), fetch=fetch)
    with torch.device("meta"):
        network = create_curricular()
    network.to_empty(device="cpu")
    fill_module(network, read_published(folder / CUR), folder / CUR)
    return network.eval().requires_grad_(False)
