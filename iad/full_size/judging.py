"""The judges of the published comparisons: FaceSim-Arc, FaceSim-Cur and CLIPScore of a clip.

As ConsisID's `eval/` computes them: sixteen frames; faces found by InsightFace's buffalo_l and aligned by its
points; frames without a face left out of the mean; cosines below zero counted as zero; red and blue exchanged
before CLIP sees a frame. None of these networks conditions a clip. What is missing is named, the rest judges.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from iad.full_size import consisid, curricular
from iad.full_size.hub import fetch_model
from iad.full_size.id_animator import CROP_SIZE, align
from iad.full_size.recogniser import load_recogniser

FRAMES = 16
PACK = "buffalo_l"
CUR = f"face_encoder/{curricular.FILE}"
CLIP = "openai/clip-vit-base-patch32"
CLIP_REVISION = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
CLIP_FILES = ("config.json", "preprocessor_config.json", "pytorch_model.bin", "tokenizer_config.json",
              "vocab.json", "merges.txt", "special_tokens_map.json")  # fmt: skip
CHIP = 224  # pixels of an aligned face, before CurricularFace sees half of them
MARGIN = 0.25  # grey, around a frame in which no face is found at first


class Judges:
    """Whatever judges there are.

    Args:
        faces: InsightFace's detector and recogniser, as `load_recogniser` gives them.
        cur: the network of `load_curricular`.
        clip: CLIP and its processor.
        missing: what is not here, in a sentence by name.
    """

    def __init__(self, *, faces: Any = None, cur: Any = None, clip: Any = None, missing: dict[str, str]):
        self.faces, self.cur, self.clip, self.missing = faces, cur, clip, missing

    @torch.inference_mode()
    def judge(
        self, frames: UInt8[np.ndarray, "f h w 3"], photo: UInt8[np.ndarray, "_ _ 3"], prompt: str
    ) -> dict[str, float]:
        """Return the numbers whose judges are here: facesim_arc, facesim_cur, faces (a share), clipscore."""
        said = {}
        if self.faces is not None:
            said |= self._compare_faces(frames[np.linspace(0, len(frames) - 1, FRAMES, dtype=int)], photo)
        if self.clip is not None:
            said["clipscore"] = self._compare_words(frames[np.arange(FRAMES) * len(frames) // FRAMES], prompt)
        return said

    def _compare_faces(self, frames: np.ndarray, photo: np.ndarray) -> dict[str, float]:
        reference, found = self._see(photo), [self._see(frame) for frame in frames]
        seen = [face for face in found if face]
        said = {"faces": len(seen) / len(found)}
        for name, place in (("facesim_arc", 0), ("facesim_cur", 1)):
            if name == "facesim_cur" and self.cur is None:
                continue
            cosines = [_cosine(reference[place], face[place]) for face in seen] if reference else []
            said[name] = float(np.mean(np.maximum(cosines, 0))) if cosines else float("nan")
        return said

    def _see(self, picture: UInt8[np.ndarray, "h w 3"]) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Return ArcFace's and CurricularFace's embedding of the largest face; None where there is none."""
        picture = np.ascontiguousarray(picture[..., ::-1])  # InsightFace wants BGR
        boxes, points = self.faces.detector.detect(picture)
        if not len(boxes):
            high, wide = (round(MARGIN * side) for side in picture.shape[:2])
            grey = {"borderType": cv2.BORDER_CONSTANT, "value": (128,) * 3}
            picture = cv2.copyMakeBorder(picture, high, high, wide, wide, **grey)
            boxes, points = self.faces.detector.detect(picture)
        if not len(boxes):
            return None
        sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        marks = np.float32(points[int(np.argmax(sizes))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, at how InsightFace calls it
            who = self.faces.arcface.get(picture, SimpleNamespace(kps=marks))
        return who, None if self.cur is None else self.cur(prepare_chip(picture, marks))[0].numpy()

    def _compare_words(self, frames: np.ndarray, prompt: str) -> float:
        model, processor = self.clip
        swapped = list(frames[..., ::-1])
        inputs = processor(text=prompt, images=swapped, return_tensors="pt", padding=True, truncation=True)
        return float(model(**inputs).logits_per_image.mean())


def prepare_chip(
    picture: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "5 2"]
) -> Float[Tensor, "1 3 112 112"]:
    """Align a face of a BGR picture as ArcFace wants it, RGB in [-1, 1]."""
    matrix = CHIP * align(points) - [[0, 0, CHIP / CROP_SIZE / 2]]  # to where pixels have their centres
    chip = cv2.warpAffine(picture, matrix, (CHIP, CHIP))[..., ::-1]
    small = cv2.resize(np.ascontiguousarray(chip), (curricular.SIDE,) * 2)
    return rearrange(torch.from_numpy(small).float() / 127.5 - 1, "h w c -> 1 c h w")


def load_judges(
    *, accept_licence: bool = False, consisid_folder: Path | None = None, clip: Path | None = None
) -> Judges:
    """Load what is here, fetching by pinned revisions what may be fetched; never raises for what is not.

    Args:
        accept_licence: the caller accepts the licence of InsightFace's weights.
        consisid_folder: ConsisID's, where it is a folder; CurricularFace's weights lie in it.
        clip: a folder with CLIP ViT-B/32; None the published one.
    """
    missing: dict[str, str] = {}

    def attempt(name: str, load: Callable[[], Any]) -> Any:
        try:
            return load()
        except ValueError as error:
            missing[name] = str(error)
            return None

    faces = attempt("FaceSim-Arc", lambda: load_recogniser(name=PACK, accept_licence=accept_licence))
    cur = None
    if faces is None:
        missing["FaceSim-Cur"] = "FaceSim-Cur aligns faces by buffalo_l, as FaceSim-Arc does."
    else:
        cur = attempt("FaceSim-Cur", lambda: _load_cur(consisid_folder))
    return Judges(faces=faces, cur=cur, clip=attempt("CLIPScore", lambda: _load_clip(clip)), missing=missing)


def _load_cur(folder: Path | None) -> curricular.CurricularFace:
    if folder is None:
        folder = fetch_model(consisid.REPOSITORY, revision=consisid.REVISION, files=(CUR,))
    return curricular.load_curricular(folder / CUR)


def _load_clip(folder: Path | None) -> tuple[Any, Any]:
    from transformers import CLIPModel, CLIPProcessor

    from iad.full_size.published import load_network

    if folder is None:
        folder = fetch_model(CLIP, revision=CLIP_REVISION, files=CLIP_FILES)
    return load_network(CLIPModel, folder), CLIPProcessor.from_pretrained(folder, local_files_only=True)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
