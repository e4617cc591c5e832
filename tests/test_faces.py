"""Photos are read safely, and faces are found, framed and cut out where they are."""

import io
import pickle

import cv2
import numpy as np
import pytest
from made_up import ASTRONAUT, cut_portrait
from PIL import Image

from iad import faces
from iad.faces import alignment, crop, detect_faces, find_face, load_image

PORTRAIT = cut_portrait()

# Landmarks of a plausible face inside the unit square of its own FFHQ crop: what the framing makes of them is
# the identity map, up to scale (checked below).
MEAN_FACE = np.full((68, 2), 0.5)
MEAN_FACE[36:42] = (0.375, 0.473)
MEAN_FACE[42:48] = (0.625, 0.473)
MEAN_FACE[48], MEAN_FACE[54] = (0.40, 0.743), (0.60, 0.743)


@pytest.fixture
def portrait():
    return load_image(PORTRAIT)


def _map(affine, points):
    return points @ affine[:, :2].T + affine[:, 2]


def _encode(image, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("notes.jpg", b"these are words, not pixels", "not a JPEG, PNG or WebP"),
        ("empty.png", b"", "is empty"),
        ("cut.jpg", PORTRAIT.read_bytes()[:5000], "cut short"),
        ("header.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged"),
        ("small.png", _encode(np.zeros((8, 8, 3), np.uint8), format="PNG"), "8 x 8 pixels"),
        ("weights.pkl", pickle.dumps({"a": 1}), "pickle"),
        ("picture.gif", _encode(np.zeros((64, 64), np.uint8), format="GIF"), "not a JPEG, PNG or WebP"),
        ("bytes.jpg", b"\xff\xd8\xff" + bytes(30_000_001), "30 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_bad_files_are_refused_in_a_sentence(tmp_path, name, data, complaint):
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(ValueError, match=complaint) as caught:
        load_image(file)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [20_000, 10_000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, side, monkeypatch):
    file = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(file)
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="40 megapixels"):
        load_image(file)


def test_missing_files_folders_and_urls_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        load_image(tmp_path / "absent.jpg")
    with pytest.raises(ValueError, match="not a file"):
        load_image(tmp_path)
    with pytest.raises(ValueError, match="URL"):
        load_image("https://example.com/photo.jpg")


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((64, 64, 3), np.float32), "uint8"),
        (np.zeros((4, 64, 64, 3), np.uint8), "single RGB"),
        (np.zeros((20, 64, 3), np.uint8), "64 x 20 pixels"),
    ],
)
def test_arrays_that_are_no_photos_are_refused(array, complaint):
    with pytest.raises(ValueError, match=complaint):
        load_image(array)


def test_the_camera_s_orientation_is_applied(tmp_path):
    image = np.zeros((60, 100, 3), np.uint8)
    image[:20, :20] = 255  # upper left corner
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn a quarter clockwise to see it upright"
    file = tmp_path / "turned.png"
    Image.fromarray(image).save(file, exif=exif)
    upright = load_image(file)
    assert upright.shape == (100, 60, 3)
    assert upright[5, 55].min() == 255 and upright[5, 5].max() == 0


def test_grey_transparent_and_16_bit_pictures_become_rgb():
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    assert (load_image(ramp) == ramp[..., None]).all()
    glass = np.dstack([np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 64, np.uint8)])
    assert (load_image(glass) == 191).all()  # a quarter black on white
    deep = Image.fromarray(ramp.astype(np.uint16) * 256)
    assert (load_image(deep) == ramp[..., None]).all()


def test_a_face_is_found_where_it_is(portrait):
    (box,) = detect_faces(portrait)
    # Eyes and mouth are inside.
    assert box.left < 102 and box.right > 161 and box.top < 95 and box.bottom > 146
    assert box.right - box.left < 130


def test_two_faces_come_largest_first(portrait):
    canvas = np.full((256, 460, 3), 128, np.uint8)
    canvas[60:220, 10:170] = cv2.resize(portrait, (160, 160), interpolation=cv2.INTER_AREA)
    canvas[:, 200:456] = portrait
    first, second = detect_faces(canvas)
    assert first.left > 200 > second.right
    landmarker = lambda _: MEAN_FACE.astype(np.float32)  # noqa: E731
    face = find_face(canvas, landmarker, index=1)
    assert face.count == 2 and face.index == 1 and face.box[2] < 200
    with pytest.raises(ValueError, match="Face 2 was asked for"):
        find_face(canvas, landmarker, index=2)


@pytest.mark.parametrize("angle", [-50, 50])
def test_a_tilted_face_is_found(portrait, angle):
    turn = cv2.getRotationMatrix2D((130, 128), angle, 0.9)
    tilted = cv2.warpAffine(portrait, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    nose = turn @ (133, 114, 1)
    box = detect_faces(tilted)[0]
    assert box.left < nose[0] < box.right and box.top < nose[1] < box.bottom
    assert box.angle * angle < 0  # OpenCV turns counter-clockwise


def test_large_and_dim_photos_work(portrait):
    large = cv2.resize(portrait, (2048, 2048), interpolation=cv2.INTER_CUBIC)
    assert abs(detect_faces(large)[0].left / 8 - detect_faces(portrait)[0].left) < 15
    assert detect_faces((portrait * 0.1).astype(np.uint8))


def test_a_photo_without_a_face_says_so():
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="No face found"):
        detect_faces(noise)


def test_alignment_is_ffhq_s():
    affine = alignment(MEAN_FACE)
    assert np.allclose(_map(affine, np.array([[0.5, 0.5]])), 0.5)
    # 2 x the eye distance and 1.8 x the eye-to-mouth distance are half the side; here 0.5 and 0.486.
    assert np.allclose(affine, [[1, 0, 0], [0, 1, 0]])


def test_alignment_follows_the_face():
    turn = cv2.getRotationMatrix2D((0.3, 0.8), 37, 2.5)
    moved = alignment(_map(turn, MEAN_FACE))
    assert np.allclose(_map(moved, _map(turn, MEAN_FACE)), _map(alignment(MEAN_FACE), MEAN_FACE))
    with pytest.raises(ValueError, match="one point"):
        alignment(np.ones((68, 2)))


def test_crop_takes_the_square_without_shift_or_aliasing():
    ramp = np.zeros((300, 300, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(300) // 2, (np.arange(300) // 2)[:, None]
    # The square from 39.5 to 239.5 in pixels 4 photo pixels wide; halving and rounding down loses 0.25.
    affine = np.array([[1 / 200, 0, -39.5 / 200], [0, 1 / 200, -39.5 / 200]])
    expected = (39.5 + 4 * (np.arange(50) + 0.5)) / 2 - 0.25
    cut = crop(ramp, affine, 50)
    assert np.abs(cut[10, :, 0] - expected).max() < 0.6 and np.abs(cut[:, 10, 1] - expected).max() < 0.6
    stripes = np.tile(np.array([0, 255], np.uint8), (300, 150))[..., None].repeat(3, axis=2)
    affine = np.array([[1 / 200, 0, -40 / 200], [0, 1 / 200, -40 / 200]])  # pixel centres on white stripes
    assert np.abs(crop(stripes, affine, 50).astype(int) - 127).max() < 3


def test_crop_continues_softly_beyond_the_edge(portrait):
    affine = np.array([[1 / 256, 0, 0.25 + 0.5 / 256], [0, 1 / 256, 0.25 + 0.5 / 256]])
    cut = crop(portrait, affine, 128).astype(int)
    halved = cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(cut[33:, 33:] - halved[1:96, 1:96]).max() <= 2
    roughness = np.abs(np.diff(halved[0, 8:96], axis=0)).mean()
    assert np.abs(np.diff(cut[:28, 40:], axis=1)).mean() < 0.5 * roughness


@pytest.fixture
def atlas():
    """A photo whose red and green are the coordinates of each pixel, so that a crop tells its place."""
    image = np.zeros((256, 256, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(256), np.arange(256)[:, None]
    return image


def _read_atlas(landmarks):
    """Make a landmarker that is never wrong about `landmarks` in the atlas."""
    grid = np.stack(np.meshgrid(np.arange(128), np.arange(128)), -1)[40:88, 40:88].reshape(-1, 2)

    def landmarker(image):
        seen = image[40:88, 40:88, :2].reshape(-1, 2).astype(float)
        seen = np.column_stack([seen, np.ones(len(seen))])
        to_crop, *_ = np.linalg.lstsq(seen, (grid + 0.5) / 128, rcond=None)
        return (np.column_stack([landmarks, np.ones(68)]) @ to_crop).astype(np.float32)

    return landmarker


@pytest.mark.parametrize("error", [0.8, 1.0, 1.25])
def test_find_face_recovers_the_alignment_from_a_rough_box(atlas, monkeypatch, error):
    turn = cv2.getRotationMatrix2D((0.5, 0.5), 8, 120)
    landmarks = _map(turn, MEAN_FACE) + 128
    centre = landmarks[36:48].mean(axis=0) + (3, 12)
    half = 120 / faces.BOX_TO_SIDE / 2 * error
    box = faces.Box(*(centre - half), *(centre + half))
    monkeypatch.setattr(faces, "detect_faces", lambda _: [box])
    face = find_face(atlas, _read_atlas(landmarks))
    assert np.abs(face.landmarks - landmarks).max() < 0.5
    assert np.abs(_map(face.affine, landmarks) - MEAN_FACE).max() < 0.005
    assert face.image.shape == (128, 128, 3) and face.count == 1 and face.index == 0


def test_find_face_survives_a_lost_landmarker(portrait):
    lost = lambda _: (MEAN_FACE * 8).astype(np.float32)  # noqa: E731
    rough = lambda _: MEAN_FACE.astype(np.float32)  # noqa: E731
    assert np.allclose(find_face(portrait, lost).affine, find_face(portrait, rough).affine)


def test_everybody_in_a_group_is_found():
    """Two faces stand nearer than the others, which are too small for the first look."""
    person = load_image(ASTRONAUT)[:300, 100:400]
    group = np.full((886, 1280, 3), 128, np.uint8)
    for k, side in enumerate((480, 480, 300, 300, 300, 300)):
        small = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
        y, x = (40, 60 + 600 * k) if k < 2 else (560, 20 + 310 * (k - 2))
        group[y : y + side, x : x + side] = small
    assert len(detect_faces(group)) == 6
