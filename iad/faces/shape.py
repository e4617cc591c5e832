"""Landmarks -> how far they are from a face's shape."""

import numpy as np
from jaxtyping import Float

# Mean of 1,088 portraits' landmarks in the unit square of their own framing, made symmetric; in thousandths.
MEAN_FACE = np.array((
    (235, 482), (238, 552), (248, 622), (262, 691), (286, 756), (325, 814), (375, 862), (433, 898),
    (500, 908), (567, 898), (625, 862), (675, 814), (714, 756), (738, 691), (752, 622), (762, 552),
    (765, 482), (281, 424), (315, 392), (363, 383), (413, 390), (461, 409), (539, 409), (587, 390),
    (637, 383), (685, 392), (719, 424), (500, 465), (500, 512), (500, 559), (500, 608), (445, 643),
    (471, 652), (500, 659), (529, 652), (555, 643), (332, 474), (361, 456), (397, 456), (428, 481),
    (394, 487), (359, 487), (572, 481), (603, 456), (639, 456), (668, 474), (641, 487), (606, 487),
    (397, 739), (435, 719), (472, 708), (500, 715), (528, 708), (565, 719), (603, 739), (566, 769),
    (530, 783), (500, 786), (470, 783), (434, 769), (414, 740), (472, 735), (500, 738), (528, 735),
    (586, 740), (528, 744), (500, 747), (472, 744),
)) / 1000  # fmt: skip
EYE_DISTANCE = 0.25  # in the framing


def distance_to_face(landmarks: Float[np.ndarray, "68 2"]) -> float:
    """Return how far landmarks are from the mean face that fits them best, r.m.s. in eye distances.

    Portraits are 0.08 away (99 of 100 less than 0.22), scattered points 2 and more. Place, size and roll do
    not count.
    """
    mean = _as_complex(MEAN_FACE)
    seen = _as_complex(landmarks)
    turn = np.vdot(mean, seen) / np.vdot(mean, mean)  # a similarity is a complex factor
    if abs(turn) < 1e-9:
        return float("inf")
    rest = np.sqrt(np.mean(np.abs(seen - turn * mean) ** 2))
    return float(rest / abs(turn) / EYE_DISTANCE)


def _as_complex(points: Float[np.ndarray, "68 2"]) -> np.ndarray:
    points = points - points.mean(axis=0)
    return points[:, 0] + 1j * points[:, 1]
