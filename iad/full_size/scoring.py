"""How the encoder that conditioned a full-size clip judges it; `iad.evaluation` has independent judges."""

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import cosine_similarity

from iad.faces import Face
from iad.models.autoencoder import to_tensor
from iad.models.splitting import Splitting


@torch.inference_mode()
def score_clip(
    splitting: Splitting,
    frames: UInt8[np.ndarray, "f h w 3"],
    faces: list[Face],
    code: Tensor | None,
    *,
    split: bool = True,
) -> dict[str, Any]:
    """Judge one frame a latent frame, as `Result.scores` has it; the other frames carry no likeness (NaN).

    Args:
        splitting: whose encoder and decoupler judge.
        frames: of the clip.
        faces: of the reference photos.
        code: action codes (1, t, c) that were asked for; None where the system heard the words alone.
        split: the decoupler is trained, so what it says counts.
    """
    stride = splitting.preset.frames_per_latent
    picks = range(0, len(frames), stride)
    crops = {k: crop for k in picks if (crop := _find_crop(splitting, frames[k])) is not None}
    pictures = np.stack([*crops.values(), *(face.image for face in faces)])
    features = splitting.parts["encoder"](to_tensor(pictures).to(splitting.device))
    likeness, shown = np.full(len(frames), np.nan, np.float32), len(crops)
    scores = {"identity": likeness, "detected": shown / len(picks)}
    if crops:
        reference = features.embedding[shown:].mean(0, keepdim=True)
        cosines = cosine_similarity(features.embedding[:shown], reference)
        likeness[list(crops)] = cosines.float().cpu().numpy()
    if split:
        scores |= _compare_actions(splitting, features, np.array(list(crops), int) // stride, code)
    return scores


def _compare_actions(
    splitting: Splitting, features, places: np.ndarray, code: Tensor | None
) -> dict[str, Any]:
    """Compare what frames at these latent places do with what the photos do, and with what was asked for."""
    decoupler, shown = splitting.parts["decoupler"], len(places)
    split = splitting.centre(decoupler(features.vector, features.tokens))
    shares = [float(share[shown:].mean()) for share in split.shares()]
    scores = {"identity_share": shares[0], "action_share": shares[1]}
    if not shown:
        return scores
    actions, photo = split.action[:shown].flatten(1), split.action[shown:].flatten(1).mean(0, keepdim=True)
    scores["copied"] = float(cosine_similarity(actions, photo).mean())
    if code is not None:
        wanted = decoupler.expand(code[0, torch.from_numpy(places)]) - decoupler.mean_action
        scores["action"] = float(cosine_similarity(actions, wanted.flatten(1)).mean())
    return scores


def _find_crop(splitting: Splitting, frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"] | None:
    try:
        return splitting.find_face(frame).image
    except ValueError:
        return None
