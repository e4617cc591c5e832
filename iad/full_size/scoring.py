"""How the encoder that conditioned a full-size clip judges it; `iad.evaluation` has independent judges."""

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import cosine_similarity

from iad.autoencoder import to_tensor
from iad.faces import Face
from iad.splitting import Splitting


@torch.inference_mode()
def score_clip(
    splitting: Splitting, frames: UInt8[np.ndarray, "f h w 3"], faces: list[Face], code: Tensor | None
) -> dict[str, Any]:
    """Judge one frame a latent frame, as `Result.scores` has it; the other frames carry no likeness (NaN).

    Args:
        splitting: whose encoder and decoupler judge.
        frames: of the clip.
        faces: of the reference photos.
        code: action codes (1, t, c) that were asked for; None where the system heard the words alone.
    """
    stride, decoupler = splitting.preset.frames_per_latent, splitting.parts["decoupler"]
    picks = range(0, len(frames), stride)
    crops = {k: crop for k in picks if (crop := _find_crop(splitting, frames[k])) is not None}
    pictures = np.stack([*crops.values(), *(face.image for face in faces)])
    features = splitting.parts["encoder"](to_tensor(pictures).to(splitting.device))
    split, shown = splitting.centre(decoupler(features.vector, features.tokens)), len(crops)
    shares = [float(share[shown:].mean()) for share in split.shares()]
    likeness = np.full(len(frames), np.nan, np.float32)
    scores = {
        "identity": likeness,
        "detected": shown / len(picks),
        "identity_share": shares[0],
        "action_share": shares[1],
    }
    if not crops:
        return scores
    reference = features.embedding[shown:].mean(0, keepdim=True)
    likeness[list(crops)] = cosine_similarity(features.embedding[:shown], reference).float().cpu().numpy()
    actions, photo = split.action[:shown].flatten(1), split.action[shown:].flatten(1).mean(0, keepdim=True)
    scores["copied"] = float(cosine_similarity(actions, photo).mean())
    if code is not None:
        places = torch.tensor(list(crops), device=code.device) // stride
        wanted = decoupler.expand(code[0, places]) - decoupler.mean_action
        scores["action"] = float(cosine_similarity(actions, wanted.flatten(1)).mean())
    return scores


def _find_crop(splitting: Splitting, frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"] | None:
    try:
        return splitting.find_face(frame).image
    except ValueError:
        return None
