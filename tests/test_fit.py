"""The fit finds again what made the landmarks, within its bounds."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iad.geometry import fit as room
from iad.geometry.fit import Fit, fit_head, project
from iad.geometry.head import rotation_matrices
from iad.portraits.download import Cell, fit_people
from iad.portraits.morphable import load_head
from iad.portraits.tiny import create_tiny_head

HEAD = create_tiny_head(0)


def made_up_fit(seed=0):
    rng = np.random.default_rng(seed)
    expression = np.zeros(57, np.float32)
    expression[list(HEAD.expression_names).index("jawOpen")] = 0.6
    return Fit(
        identity=rng.normal(0, 0.3, len(HEAD.identity)).astype(np.float32),
        expression=expression,
        scale=8.0,
        rotation=rotation_matrices(np.array([[6.0, -14.0, 8.0]]))[0],
        translation=np.array([128.0, -140.0], np.float32),
        error=0.0,
    )


def landmarks_of(head, fit):
    offsets = np.tensordot(fit.identity, head.identity, 1) + np.tensordot(fit.expression, head.expression, 1)
    return project((head.neutral + offsets)[head.landmarks].astype(np.float32), fit)[:, :2]


def test_finds_pose_and_points_again():
    truth = made_up_fit()
    landmarks = landmarks_of(HEAD, truth)
    found = fit_head(HEAD, landmarks)
    turn = np.degrees(np.arccos((np.trace(found.rotation.T @ truth.rotation) - 1) / 2))
    assert found.error < 0.02
    assert turn < 6
    assert abs(found.scale / truth.scale - 1) < 0.05
    eye_distance = np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0))
    assert np.abs(landmarks_of(HEAD, found) - landmarks).mean() / eye_distance == pytest.approx(
        found.error, 1e-3
    )


def test_weights_keep_their_bounds_under_noise():
    landmarks = landmarks_of(HEAD, made_up_fit()) + np.random.default_rng(1).normal(0, 6, (68, 2))
    found = fit_head(HEAD, landmarks)
    assert found.expression.min() >= 0
    assert found.expression.max() <= 1
    assert np.abs(found.identity).max() <= 3
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(found.rotation) == pytest.approx(1, abs=1e-5)


def test_jacobian_is_the_derivative():
    problem = room._create_problem(HEAD, landmarks_of(HEAD, made_up_fit()))
    rng = np.random.default_rng(2)
    point = np.r_[0.3, -0.2, 0.4, 2.0, rng.normal(0, 1, 2), rng.uniform(0, 1, len(problem.basis))]
    steps = 1e-6 * np.eye(len(point))
    numeric = [
        (room._residuals(point + step, problem) - room._residuals(point - step, problem)) / 2e-6
        for step in steps
    ]
    np.testing.assert_allclose(room._jacobian(point, problem), np.stack(numeric, axis=1), atol=1e-6)


def test_a_photo_twice_as_large_gives_the_same_person():
    landmarks = landmarks_of(HEAD, made_up_fit())
    small, large = fit_head(HEAD, landmarks), fit_head(HEAD, landmarks * 2)
    np.testing.assert_allclose(small.identity, large.identity, atol=1e-3)
    assert large.scale == pytest.approx(2 * small.scale, rel=1e-3)
    assert large.error == pytest.approx(small.error, rel=1e-2)


@pytest.mark.parametrize("fault", [np.full((68, 2), np.nan), np.zeros((68, 2))])
def test_unusable_landmarks_are_explained(fault):
    with pytest.raises(ValueError, match="pixel"):
        fit_head(HEAD, fault)


def test_folder_of_photos_becomes_the_arrays_of_fits(tmp_path):
    cells = [Cell(number, f"figure_{number}.jpg", 0, 0, 256) for number in (3, 4, 5, 9)]
    for cell in cells[:3]:  # the last was never cut
        grey = (20 * cell.number,) * 3
        Image.new("RGB", (256, 256), grey).save(tmp_path / f"{cell.number:04d}.jpg")
    good = landmarks_of(HEAD, made_up_fit()).astype(np.float32)

    def find_landmarks(photo):
        number = round(photo.mean() / 20)
        if number == 4:
            raise ValueError("No face found.")
        wild = np.random.default_rng(0).normal(0, 25, (68, 2)).astype(np.float32)
        return good if number == 3 else good + wild

    arrays = fit_people(tmp_path, cells, head=HEAD, find_landmarks=find_landmarks)
    assert arrays["id"].tolist() == [3]
    shapes = {name: (array.shape[1:], array.dtype.name) for name, array in arrays.items()}
    assert shapes == {
        "id": ((), "int32"),
        "landmarks": ((68, 2), "float32"),
        "identity": ((len(HEAD.identity),), "float16"),
        "expression": ((57,), "float16"),
        "scale": ((), "float32"),
        "rotation": ((3, 3), "float32"),
        "translation": ((2,), "float32"),
        "error": ((), "float32"),
    }
    with pytest.raises(ValueError, match="could be fitted"):
        fit_people(tmp_path, cells[1:2], head=HEAD, find_landmarks=find_landmarks)


@pytest.mark.skipif(
    not (os.environ.get("IAD_PHOTO_PEOPLE") and os.environ.get("IAD_ICT_FACEKIT")),
    reason="needs the head and the photo people; fetch them with `python -m iad data download`",
)
def test_real_portraits_fit_as_well_as_before():
    head = load_head()
    with np.load(Path(os.environ["IAD_PHOTO_PEOPLE"]) / "fits.npz") as fits:
        known = {name: fits[name][::62][:20] for name in ("landmarks", "error", "rotation")}
    found = [fit_head(head, landmarks) for landmarks in known["landmarks"]]
    errors = np.array([fit.error for fit in found])
    assert errors.mean() < known["error"].mean() + 1e-3
    assert errors.max() < known["error"].max() + 2e-3
    turns = np.einsum("nij,nij->n", np.stack([fit.rotation for fit in found]), known["rotation"])
    assert np.degrees(np.arccos((turns - 1) / 2)).max() < 5
