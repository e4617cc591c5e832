"""Fit the morphable head to the landmarks of one photo: shape, expression and pose.

In come 68 landmarks in pixels, out comes a `Fit`: the weights and the scaled orthographic camera under which
the head's landmark vertices lie on them.
"""

from dataclasses import dataclass, replace

import numpy as np
from einops import rearrange
from jaxtyping import Float
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from iad.geometry.head import Head

SHAPE_LIMIT = 3.0  # standard deviations

WORST_FIT = 0.045  # of the eye distance; above it the landmarks are not the face's, or it is hidden

# What one unit of a weight costs, beside landmark errors in eye distances: strong enough that 157 weights do
# not explain the noise of 136 coordinates. Shape is cheap beside expression, for what counts as expression is
# taken off a calm face: a wide mouth or nose must not be. Found on grins of 15 real and made-up people.
_IDENTITY_COST = 0.05
_EXPRESSION_COST = 0.16
_RARE = ("noseSneer", "cheekPuff", "jawForward", "mouthFunnel", "mouthRoll")
_RARE_COST = 2.0  # times as much
_STEPS = 12  # four or five are enough for most faces
_TINY = 1e-12  # keeps both bounds of a step apart


@dataclass(frozen=True)
class Fit:
    """A fitted head: pixel = (s (R v)_x + t_x, -(s (R v)_y + t_y)), depth = s (R v)_z for a vertex v.

    Attributes:
        scale: Pixels a head unit.
        translation: Pixels, y up.
        error: Mean distance of landmarks along x and y, over the distance between the eyes' centres.
    """

    identity: Float[np.ndarray, " m"]
    expression: Float[np.ndarray, " e"]
    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 2"]
    error: float

    @property
    def pose(self) -> Float[np.ndarray, " 3"]:
        """Pitch, yaw and roll in degrees."""
        matrix = self.rotation
        pitch = np.arctan2(-matrix[2, 1], matrix[2, 2])
        yaw = np.arcsin(np.clip(-matrix[2, 0], -1, 1))
        return np.degrees([pitch, yaw, np.arctan2(-matrix[1, 0], matrix[0, 0])]).astype(np.float32)

    def enlarged(self, factor: float, shift: Float[np.ndarray, " 2"]) -> "Fit":
        """Return the fit of the photo enlarged so much about (0, 0), then shifted (pixels, y down)."""
        moved = factor * self.translation + np.float32([shift[0], -shift[1]])
        return replace(self, scale=factor * self.scale, translation=moved.astype(np.float32))


@dataclass(frozen=True)
class _Problem:
    """The landmark vertices alone, and the targets with y up; all that the solver looks at."""

    neutral: Float[np.ndarray, "k 3"]
    basis: Float[np.ndarray, "n k 3"]
    target: Float[np.ndarray, "k 2"]
    start: Float[np.ndarray, "3 3"]
    eye_distance: float
    cost: Float[np.ndarray, " n"]


def fit_head(head: Head, landmarks: Float[np.ndarray, "68 2"]) -> Fit:
    """Fit shape within +-3 standard deviations, expression within [0, 1] and pose by bounded least squares.

    The landmarks are Multi-PIE's, in pixels, y down.

    Raises:
        ValueError: The landmarks are not 68 finite points, or the eyes coincide.
    """
    problem = _create_problem(head, landmarks)
    shapes, expressions = len(head.identity), len(head.expression)
    pose = np.full(6, np.inf)
    lower = np.r_[-pose, np.full(shapes, -SHAPE_LIMIT), np.zeros(expressions)]
    upper = np.r_[pose, np.full(shapes, SHAPE_LIMIT), np.ones(expressions)]
    parameters = _solve(problem, lower, upper)
    rotation, scale, translation, weights = _unpack(parameters, problem)
    vertices = problem.neutral + np.tensordot(weights, problem.basis, axes=1)
    miss = scale * (vertices @ rotation.T)[:, :2] + translation - problem.target
    return Fit(
        identity=weights[:shapes].astype(np.float32),
        expression=weights[shapes:].astype(np.float32),
        scale=float(scale),
        rotation=rotation.astype(np.float32),
        translation=translation.astype(np.float32),
        error=float(np.abs(miss).mean() / problem.eye_distance),
    )


def _solve(problem: _Problem, lower: Float[np.ndarray, " p"], upper: Float[np.ndarray, " p"]) -> np.ndarray:
    """Minimise by Gauss-Newton, each step a bounded linear least-squares problem.

    scipy's `least_squares` with bounds stalls here: half of the expression weights end on their bound.
    """
    scale, translation = _pose_scale(problem)
    pose = np.r_[np.zeros(3), np.log(scale), translation / problem.eye_distance]
    parameters = np.r_[pose, np.zeros(len(problem.basis))]
    residuals = _residuals(parameters, problem)
    for _ in range(_STEPS):
        orthogonal, triangle = np.linalg.qr(_jacobian(parameters, problem))
        room = (lower - parameters - _TINY, upper - parameters + _TINY)
        step = lsq_linear(triangle, -orthogonal.T @ residuals, bounds=room, method="bvls").x
        candidate = np.clip(parameters + step, lower, upper)
        changed = _residuals(candidate, problem)
        if changed @ changed > (1 - 1e-5) * (residuals @ residuals):
            break
        parameters, residuals = candidate, changed
    return parameters


def project(vertices: Float[np.ndarray, "v 3"], fit: Fit) -> Float[np.ndarray, "v 3"]:
    """Return pixel x, pixel y (down) and depth (larger = nearer) of head vertices under a fit's camera."""
    x, y, z = fit.scale * (vertices @ fit.rotation.T).T
    return np.stack([x + fit.translation[0], -(y + fit.translation[1]), z], axis=1)


def _create_problem(head: Head, landmarks: Float[np.ndarray, "k 2"]) -> _Problem:
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.shape != (68, 2) or not np.isfinite(landmarks).all():
        raise ValueError(
            f"Landmarks have shape {landmarks.shape}; expected 68 finite points (68, 2) in pixels, "
            "in the Multi-PIE order."
        )
    eye_distance = float(np.linalg.norm(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0)))
    if eye_distance < 1:
        raise ValueError("The two eyes are less than a pixel apart; pass landmarks in pixels of the photo.")
    target = landmarks * (1, -1)
    neutral = head.neutral[head.landmarks].astype(np.float64)
    basis = np.concatenate([head.identity[:, head.landmarks], head.expression[:, head.landmarks]])
    rare = [name.startswith(_RARE) for name in head.expression_names]
    expression_cost = np.where(rare, _RARE_COST, 1) * _EXPRESSION_COST
    cost = np.r_[np.full(len(head.identity), _IDENTITY_COST), expression_cost]
    start = _start_rotation(neutral, target)
    return _Problem(neutral, basis.astype(np.float64), target, start, eye_distance, cost)


def _start_rotation(
    neutral: Float[np.ndarray, "k 3"], target: Float[np.ndarray, "k 2"]
) -> Float[np.ndarray, "3 3"]:
    """Return the rotation of the best affine camera: its two rows, made orthonormal."""
    affine, *_ = np.linalg.lstsq(neutral - neutral.mean(axis=0), target - target.mean(axis=0), rcond=None)
    left, _, right = np.linalg.svd(affine.T, full_matrices=False)
    x, y = left @ right
    return np.stack([x, y, np.cross(x, y)])


def _pose_scale(problem: _Problem) -> tuple[float, Float[np.ndarray, " 2"]]:
    """Return scale and translation of the neutral head under the starting rotation."""
    turned = (problem.neutral @ problem.start.T)[:, :2]
    spread = turned - turned.mean(axis=0)
    scale = float((spread * (problem.target - problem.target.mean(axis=0))).sum() / (spread**2).sum())
    return scale, problem.target.mean(axis=0) - scale * turned.mean(axis=0)


def _unpack(parameters: Float[np.ndarray, " p"], problem: _Problem) -> tuple:
    rotation = Rotation.from_rotvec(parameters[:3]).as_matrix() @ problem.start
    return rotation, np.exp(parameters[3]), parameters[4:6] * problem.eye_distance, parameters[6:]


def _residuals(parameters: Float[np.ndarray, " p"], problem: _Problem) -> Float[np.ndarray, " r"]:
    rotation, scale, translation, weights = _unpack(parameters, problem)
    vertices = problem.neutral + np.tensordot(weights, problem.basis, axes=1)
    miss = scale * (vertices @ rotation.T)[:, :2] + translation - problem.target
    return np.r_[miss.ravel() / problem.eye_distance, problem.cost * weights]


def _jacobian(parameters: Float[np.ndarray, " p"], problem: _Problem) -> Float[np.ndarray, "r p"]:
    rotation, scale, _, weights = _unpack(parameters, problem)
    turned = (problem.neutral + np.tensordot(weights, problem.basis, axes=1)) @ rotation.T
    scale = scale / problem.eye_distance
    points = np.zeros((len(turned), 2, len(parameters)))
    # A change d of the rotation vector turns a point by (J d) x point.
    spin = np.cross(_left_jacobian(parameters[:3]).T, turned[:, None])
    points[:, :, :3] = scale * rearrange(spin[:, :, :2], "k turn xy -> k xy turn")
    points[:, :, 3] = scale * turned[:, :2]
    points[:, :, 4:6] = np.eye(2)
    points[:, :, 6:] = scale * rearrange((problem.basis @ rotation.T)[:, :, :2], "n k xy -> k xy n")
    costs = np.concatenate([np.zeros((len(weights), 6)), np.diag(problem.cost)], axis=1)
    return np.concatenate([rearrange(points, "k xy p -> (k xy) p"), costs])


def _left_jacobian(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Return how a change of a rotation vector turns the rotated frame (Sola et al. 2018, eq. 145)."""
    angle = np.linalg.norm(vector)
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-6:
        return np.eye(3) + cross / 2
    first, second = (1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    return np.eye(3) + first * cross + second * cross @ cross
