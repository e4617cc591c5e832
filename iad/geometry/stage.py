"""Where a photo person stands: head space -> the photo's camera space -> the unit square of the frame.

Camera space is in pixels of the photo, x right, y up, z to the viewer. A turn pivots about the neck, which
stays where the photo has it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from iad.faces import alignment
from iad.geometry.fit import Fit
from iad.geometry.head import NECK_PIVOT

_DOWN = np.float32([1, -1])


@dataclass(frozen=True)
class Stage:
    """A fitted camera, and how the same head stands in it when it looks straight ahead.

    Attributes:
        anchor: What takes scaled head space to camera space when the head is frontal.
        chin: Height of the chin in head space; below it the neck follows less and less.
        affine: Photo pixels to the unit square.
    """

    fit: Fit
    anchor: Float[np.ndarray, " 3"]
    chin: float
    affine: Float[np.ndarray, "2 3"]

    def fitted(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Take head space to camera space as the photo has it."""
        camera = self.fit.scale * (points @ self.fit.rotation.T)
        camera[:, :2] += self.fit.translation
        return camera

    def unfitted(self, camera: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Take the photo's camera space back to head space."""
        shifted = camera - np.append(self.fit.translation, 0).astype(np.float32)
        return shifted @ self.fit.rotation / self.fit.scale

    def posed(
        self, points: Float[np.ndarray, "n 3"], turn: Float[np.ndarray, "3 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """Take head space to camera space under a head pose that has nothing to do with the photo's."""
        pivot = np.float32(NECK_PIVOT)
        return self.fit.scale * ((points - pivot) @ turn.T + pivot) + self.anchor

    def to_unit(self, camera: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Take camera space to the frame's unit square, y down."""
        return (camera[:, :2] * _DOWN) @ self.affine[:, :2].T + self.affine[:, 2]

    def follow_share(self, height: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return how much points at this height follow the head: 1 above the chin, 0 at the shoulders."""
        share = np.clip((height - (self.chin - 7.0)) / 6.5, 0, 1)
        return (share * share * (3 - 2 * share)).astype(np.float32)


def create_stage(fit: Fit, landmarks: Float[np.ndarray, "68 3"]) -> Stage:
    """Stand a fitted head up; `landmarks` are those of its neutral shape, in head space."""
    pivot = np.float32(NECK_PIVOT)
    camera = fit.scale * (fit.rotation @ pivot)
    camera[:2] += fit.translation
    anchor = (camera - fit.scale * pivot).astype(np.float32)
    frontal = (fit.scale * landmarks + anchor)[:, :2] * _DOWN
    return Stage(fit, anchor, float(landmarks[8, 1]), alignment(frontal).astype(np.float32))
