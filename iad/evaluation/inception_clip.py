"""ConsisID's other two numbers, as its code computes them, where their networks are installed.

ConsisID (arXiv 2411.17440), eval/get_facesim_fid.py and eval/get_clipscore.py. Nothing is ever fetched:
Inception must lie where torchvision keeps it, CLIP in the hub's cache.

What it calls FID is the distance of *one* face from one other, whose covariances are zero: the squared
distance of two feature vectors, least for a copy of the reference, and no Frechet distance (that is
`iad.evaluation.metrics.frechet`). Its CLIPScore shows CLIP frames with red and blue exchanged; we do the
same, since comparing numbers is all that it is good for.
"""

import importlib.util
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

INCEPTION_SIZE = 299
INCEPTION_FILE = "inception_v3_google-0cc3c7bd.pth"
CLIP = "openai/clip-vit-base-patch32"
FACE = (0.1, 0.9)  # of our framing: where ArcFace's alignment, which ConsisID crops by, ends

DEFINITIONS = {
    "ConsisID's 'FID'": "squared distance of Inception features of a frame's face to the reference's, mean "
    "over 16 frames; not a Frechet distance, and a copy of the reference is best.",
    "CLIPScore": "100 cosine of CLIP ViT-B/32 between frame and prompt, mean over 16 frames; red and blue "
    "are exchanged as in ConsisID's code, and scenes weigh more than expressions.",
}


def available() -> dict[str, str]:
    """Tell for both numbers what is missing, in a sentence; an empty one where nothing is."""
    return {"ConsisID's 'FID'": _lacks_inception(), "CLIPScore": _lacks_clip()}


def _lacks_inception() -> str:
    if not importlib.util.find_spec("torchvision"):
        return "ConsisID's 'FID' needs Inception v3 of torchvision, which is not installed."
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return "" if path.is_file() else f"ConsisID's 'FID' needs Inception's weights at {path}."


def _lacks_clip() -> str:
    from huggingface_hub import try_to_load_from_cache

    if not importlib.util.find_spec("transformers"):
        return "CLIPScore needs transformers, which is not installed."
    there = any(
        isinstance(try_to_load_from_cache(CLIP, name), str)
        for name in ("model.safetensors", "pytorch_model.bin")
    )
    return "" if there else f"CLIPScore needs {CLIP} in the hub's cache."


def feature_distance(frames: Float[np.ndarray, "f d"], reference: Float[np.ndarray, " d"]) -> float:
    """What ConsisID calls FID: the mean squared distance of frames' features to the reference's."""
    return float(np.square(frames - reference).sum(1).mean())


class InceptionClipJudge:
    """Inception and CLIP, each loaded when it is first asked and installed."""

    @cached_property
    def inception(self):
        """Inception v3 up to its last layer's input, or None."""
        if _lacks_inception():
            return None
        from torchvision import models

        network = models.inception_v3(weights=models.Inception_V3_Weights.DEFAULT)
        network.fc = torch.nn.Identity()
        return network.eval()

    @cached_property
    def clip(self):
        """CLIP and its processor, or None."""
        if _lacks_clip():
            return None
        from transformers import CLIPModel, CLIPProcessor

        return (
            CLIPModel.from_pretrained(CLIP, local_files_only=True).eval(),
            CLIPProcessor.from_pretrained(CLIP, local_files_only=True),
        )

    @torch.inference_mode()
    def judge(
        self, frames: UInt8[np.ndarray, "f h w 3"], reference: UInt8[np.ndarray, "h w 3"], prompt: str
    ) -> dict[str, float]:
        """Return the numbers whose networks are installed; true renders have no prompt and no CLIPScore."""
        said = {}
        if self.inception is not None:
            features = self.inception(_as_inception_sees(np.concatenate([frames, reference[None]]))).numpy()
            said["consisid_fid"] = feature_distance(features[:-1], features[-1])
        if prompt and self.clip is not None:
            model, processor = self.clip
            swapped = [frame[..., ::-1] for frame in frames]
            inputs = processor(
                text=prompt, images=swapped, return_tensors="pt", padding=True, truncation=True
            )
            said["clipscore"] = float(model(**inputs).logits_per_image.mean())
        return said


def _as_inception_sees(frames: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, "n 3 299 299"]:
    """Cut out the faces and enlarge them; no normalisation, as in ConsisID's code."""
    start, end = (round(edge * frames.shape[1]) for edge in FACE)
    size = (INCEPTION_SIZE, INCEPTION_SIZE)
    large = [cv2.resize(f[start:end, start:end], size, interpolation=cv2.INTER_LINEAR) for f in frames]
    return rearrange(torch.from_numpy(np.stack(large)).float() / 255, "n h w c -> n c h w")
