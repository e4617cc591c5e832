"""Stage: the reader, on photos as they are and on animated ones, damaged as visitors' photos are."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from iad.config import EXPRESSIONS, TRACK, Preset
from iad.faces import alignment
from iad.geometry.coefficients import COEFFICIENTS, mirror_track
from iad.geometry.head import MIRRORED_LANDMARKS
from iad.media.video import save_picture
from iad.models.autoencoder import to_tensor
from iad.models.encoders import POSE_SCALE
from iad.models.reading import COVERABLE, READ_SIZE, create_reader
from iad.portraits.stills import Stills
from iad.training.augment import cover, damage, dot, recolour, reframe, roll_of
from iad.training.loop import Stage

UNTOUCHED_SHARE = 0.5  # of a batch: photos as they are
FITTED_TRUST = 0.3  # an untouched photo's coefficients are those of its fit, not the truth
UNFITTED = ("eyeLook", "Pupil")  # and of what landmarks do not show it knows nothing
RARE = 0.01  # added to a coefficient's variance: what hardly ever moves counts for less
WEIGHTS = np.ones(68, np.float32)  # of landmarks: the jaw's are where the face happens to turn away
WEIGHTS[:17], WEIGHTS[36:48], WEIGHTS[48:] = 0.4, 1.6, 1.6
REGION_OF = {
    "right eye": slice(36, 42), "left eye": slice(42, 48), "nose": slice(27, 36), "mouth": slice(48, 68),
}  # fmt: skip
_FITTED = np.float32([0 if name.startswith(UNFITTED) else FITTED_TRUST for name in COEFFICIENTS])
HIDDEN = 0.5  # a region is covered when so much of it is


class ReaderStage(Stage):
    """Trains the reader; a covered region's landmarks count, for a person can guess them, too."""

    name = "reader"

    def __init__(self, preset: Preset, stills: Stills, *, batch_size: int = 24, seed: int = 0):
        self.stills, self.batch_size, self.seed = stills, batch_size, seed
        animated = stills.tracks[~stills.untouched, :EXPRESSIONS]
        self.spread = torch.from_numpy(animated.var(axis=0) + RARE)
        self.kinds = [np.flatnonzero(stills.untouched == kind) for kind in (False, True)]
        self.model = nn.ModuleDict({"reader": create_reader(preset)})

    def batch(self, step: int) -> dict[str, Tensor]:
        """Draw damaged crops with their landmarks, coefficients and what is covered."""
        rng = np.random.default_rng((self.seed, step))
        kinds = (rng.random(self.batch_size) < UNTOUCHED_SHARE).astype(int)
        rows = [_sample(self.stills, int(rng.choice(self.kinds[kind])), rng) for kind in kinds]
        shake = rng.normal(0, (0.06, 0.06, 0.08), (self.batch_size, 3, 3)).astype(np.float32)
        batch = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
        return batch | {"shake": torch.from_numpy(shake)}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare landmarks in eye distances, coefficients and pose in units of the track."""
        seen = self.model["reader"](to_tensor(batch["crop"]), batch["shake"])
        weights = torch.from_numpy(WEIGHTS).to(self.device)

        def distance(landmarks: Tensor) -> Tensor:  # 1 % of the eye distance is 0.0025 of the crop
            away = (landmarks - batch["landmarks"]).pow(2).sum(-1).add(1e-6).sqrt()
            return (away * weights).mean() * 40

        error = (seen.coefficients - batch["track"]).pow(2) * batch["trust"]
        terms = {
            "landmarks": distance(seen.landmarks),
            "rough": distance(seen.rough),
            "expression": (error[:, :EXPRESSIONS] / self.spread.to(self.device)).mean(),
            "pose": error[:, EXPRESSIONS:].mean(),
            "covered": cross_entropy(seen.covered, batch["covered"]),
        }
        total = terms["landmarks"] + 0.5 * terms["rough"] + 2 * terms["expression"] + terms["pose"]
        return {"total": total + 0.3 * terms["covered"]} | terms

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show damaged crops with the landmarks found in them."""
        crops = self.batch(0)["crop"][:12]
        marks = model["reader"](to_tensor(crops.to(self.device))).landmarks.cpu().numpy()
        dotted = [dot(c, p) for c, p in zip(crops.numpy(), marks, strict=True)]
        save_picture(path, np.concatenate([np.concatenate(dotted[k : k + 6], 1) for k in (0, 6)]))


def _sample(stills: Stills, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    picture, marks, track = stills.pictures[index], stills.landmarks[index], stills.tracks[index].copy()
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        marks = marks[list(MIRRORED_LANDMARKS)] * np.float32([-1, 1]) + np.float32([len(picture) - 1, 0])
        track = mirror_track(track[None])[0]
    affine = _compose(reframe(rng, strength=1.2 if rng.random() < 0.85 else 2.2), alignment(marks))
    crop = _cut(np.ascontiguousarray(picture), affine, rng)
    unit = (marks @ affine[:, :2].T + affine[:, 2]).astype(np.float32)
    track[-1] += roll_of(affine)  # the roll that the crop shows
    track[EXPRESSIONS:] /= POSE_SCALE
    crop = recolour(crop, rng, strength=1.5) if rng.random() < 0.7 else crop
    hidden = np.zeros((READ_SIZE, READ_SIZE), bool)
    if rng.random() < 0.35:
        crop, hidden = cover(crop, unit * READ_SIZE, rng)
    return {
        "crop": np.ascontiguousarray(damage(crop, rng)),
        "landmarks": unit,
        "track": track.astype(np.float32),
        "trust": _FITTED if stills.untouched[index] else np.ones(TRACK, np.float32),
        "covered": np.array([_hidden_share(hidden, unit, name) > HIDDEN for name in COVERABLE], np.float32),
    }


def _compose(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.column_stack([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2] + after[:, 2]])


def _cut(picture: np.ndarray, affine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a crop; what lies beyond the photo is its border, its mirror image, or one colour."""
    matrix = affine * READ_SIZE
    matrix[:, 2] -= 0.5
    borders = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    size, border = (READ_SIZE, READ_SIZE), borders[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
    return cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour
    )


def _hidden_share(hidden: np.ndarray, unit: np.ndarray, region: str) -> float:
    points = np.round(unit[REGION_OF[region]] * READ_SIZE).astype(int)
    low, high = points.min(0).clip(0, READ_SIZE - 2), points.max(0).clip(0, READ_SIZE - 2) + 1
    return float(hidden[low[1] : high[1] + 1, low[0] : high[0] + 1].mean())
