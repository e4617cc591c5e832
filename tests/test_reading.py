"""The reader: where it looks closely, what it says of a real face, and what it says is covered."""

import numpy as np
import pytest
import skimage.data
import torch

from iad.config import PRESETS
from iad.faces import alignment, crop
from iad.geometry.coefficients import COLUMN
from iad.models import reading
from iad.models.reading import READ_SIZE, FaceReader, create_reader, load_mini_reader, read_crop

# Corners of the eyes and of the mouth of the astronaut, by hand, to a pixel or two.
BY_HAND = {36: (193, 101), 39: (212, 103), 42: (236, 104), 45: (259, 104), 48: (202, 140), 54: (246, 140)}


@pytest.fixture(scope="module")
def reader() -> FaceReader:
    return load_mini_reader()


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def place(reader, astronaut):
    """Frame the astronaut from afar, as a detector would."""
    affine = np.array([[1 / 160, 0, -145 / 160], [0, 1 / 160, -50 / 160]])
    for _ in range(3):
        affine = alignment(read_crop(reader, crop(astronaut, affine, READ_SIZE), affine).landmarks)
    return affine


def read(reader, photo, affine):
    return read_crop(reader, crop(photo, affine, READ_SIZE), affine)


def test_close_looks_are_centred_and_turned_with_the_face():
    marks = torch.full((1, 68, 2), 0.5)
    marks[:, 36:42], marks[:, 42:48] = torch.tensor([0.4, 0.4]), torch.tensor([0.6, 0.4])
    marks[:, 48:] = torch.tensor([0.5, 0.6])
    right, left, mouth = reading._close_looks(marks, None)[0]
    assert torch.allclose(right[:, 2], torch.tensor([-0.2, -0.2])) and left[0, 2] > 0 > left[1, 2]
    assert torch.allclose(mouth[:, 2], torch.tensor([0.0, 0.2]), atol=1e-6)
    assert mouth[0, 0] > right[0, 0] > 0 and right[0, 1] == 0
    turned = marks.flip(-1)  # the face lies on its side
    assert abs(reading._close_looks(turned, None)[0, 0, 0, 0]) < 1e-6


def test_every_part_of_the_reader_learns():
    reader = create_reader(PRESETS["tiny"])
    seen = reader(torch.rand(2, 3, 256, 256), torch.zeros(2, 3, 3))
    assert seen.landmarks.shape == (2, 68, 2) and seen.coefficients.shape == (2, 60)
    terms = (seen.landmarks, seen.rough, seen.coefficients, seen.covered)
    sum(term.square().sum() for term in terms).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in reader.parameters())


def test_corners_are_where_a_person_sees_them(reader, astronaut, place):
    marks = read(reader, astronaut, place).landmarks
    eyes = np.linalg.norm(marks[42:48].mean(0) - marks[36:42].mean(0))
    for number, point in BY_HAND.items():
        assert np.linalg.norm(marks[number] - point) < 0.12 * eyes


def test_a_roll_of_the_photo_is_read_as_one(reader, astronaut, place):
    import cv2

    turn = cv2.getRotationMatrix2D((235.0, 120.0), -20, 1.0)  # clockwise as seen
    photo = cv2.warpAffine(astronaut, turn, (512, 512))
    inverse = np.vstack([turn, [0, 0, 1]])
    affine = place @ np.linalg.inv(inverse)
    plain, rolled = read(reader, astronaut, place), read(reader, photo, affine)
    assert rolled.track[COLUMN["roll"]] - plain.track[COLUMN["roll"]] == pytest.approx(20, abs=2)
    mapped = np.c_[plain.landmarks, np.ones(68)] @ turn.T
    assert np.abs(rolled.landmarks - mapped).mean() < 1.5


def test_a_smile_of_a_real_person_is_read(reader, astronaut, place):
    track = read(reader, astronaut, place).track
    smile = track[[COLUMN["mouthSmile_L"], COLUMN["mouthSmile_R"]]].mean()
    assert smile > 0.3 and track[[COLUMN["eyeBlink_L"], COLUMN["eyeBlink_R"]]].max() < 0.4
    assert np.abs(track[57:]).max() < 20


def test_a_card_over_the_mouth_is_noticed(reader, astronaut, place):
    photo = astronaut.copy()
    photo[126:166, 186:264] = 235
    assert "mouth" in read(reader, photo, place).covered
    assert not read(reader, astronaut, place).covered


def test_openings_are_measured_by_landmarks_too():
    marks = np.zeros((68, 2), np.float32)
    marks[36:42] = [(0, 0), (3, -2), (7, -2), (10, 0), (7, 2), (3, 2)]
    marks[42:48] = marks[36:42] + np.float32([30, 0])
    marks[62], marks[66] = (15, 30), (15, 48)
    track = np.zeros(60, np.float32)
    reading._measure_openings(track, marks)
    assert track[COLUMN["jawOpen"]] > 0.4 and track[COLUMN["eyeBlink_R"]] == 0
    marks[[37, 38, 40, 41], 1] = 0  # the right eye closes
    reading._measure_openings(track, marks)
    assert track[COLUMN["eyeBlink_R"]] == pytest.approx(0.5) and track[COLUMN["eyeBlink_L"]] == 0
