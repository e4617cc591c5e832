"""The collection of faces that the tutorials look at."""

from pathlib import Path

import numpy as np
import pytest
from einops import rearrange
from PIL import Image

from iad.evaluation.own_judges import load_scorers
from iad.geometry.coefficients import COEFFICIENTS
from iad.performing.actions import EIGHT_BASIC
from iad.portraits.clips import is_held_out
from iad.portraits.collection import FOLDER, TRUTH, load_collection

MOST_BYTES, LARGEST_FILE = 2_500_000, 1_000_000


@pytest.fixture(scope="module")
def faces():
    return load_collection()


def test_it_is_small_and_of_people_kept_from_training():
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]
    assert sum(sizes) <= MOST_BYTES and max(sizes) <= LARGEST_FILE
    with np.load(FOLDER / TRUTH) as file:
        assert all(is_held_out(int(seed)) for seed in file["seeds"])


def test_everybody_shows_every_action_twice(faces):
    assert faces.actions == (*EIGHT_BASIC, "neutral") and faces.people == 40
    assert len(faces) == faces.people * 2 * 9 == len(faces.crops) == len(faces.tracks)
    assert len(set(zip(faces.person, faces.take, faces.action, strict=True))) == len(faces)


def test_the_truth_belongs_to_the_pictures(faces):
    jaw = faces.tracks[:, COEFFICIENTS.index("jawOpen")]
    open_mouths, rest = faces.find(action="mouth open"), faces.find(action=["neutral", "frown"])
    assert jaw[open_mouths].min() > 0.3 > 0.05 > jaw[rest].max()
    # what a judge of actions reads off the pictures is what the tracks say, of jaw, lids and yaw
    some = faces.find(person=range(0, faces.people, 4))
    read = load_scorers().track(faces.crops[some])
    for name in ("jawOpen", "eyeBlink_L", "yaw"):
        column = COEFFICIENTS.index(name)
        assert np.corrcoef(read[:, column], faces.tracks[some, column])[0, 1] > 0.6
    straight, swaying = (
        np.abs(faces.tracks[faces.find(action="neutral", take=k), -3:]).mean() for k in (0, 1)
    )
    assert straight < 2 < swaying


def test_pictures_of_one_person_are_more_alike_than_of_two(faces):
    small = faces.crops[faces.find(take=0), ::8, ::8].astype(float).reshape(faces.people, 9, -1)
    within = np.linalg.norm(small - small.mean(1, keepdims=True), axis=2).mean()
    across = np.linalg.norm(small.mean(1) - small.mean((0, 1)), axis=1).mean()
    assert within < across / 3


def test_rows_are_found(faces):
    rows = faces.find(person=[2, 5], action="smile", take=1)
    assert faces.person[rows].tolist() == [2, 5] and set(faces.take[rows]) == {1}
    assert {faces.actions[k] for k in faces.action[rows]} == {"smile"}
    with pytest.raises(ValueError, match="Nobody in the collection shows yawn; choose from smile"):
        faces.find(action="yawn")
    with pytest.raises(ValueError, match="no person 40; they go from 0 to 39"):
        faces.find(person=40)
    with pytest.raises(ValueError, match="no take 2"):
        faces.find(take=2)


def test_a_folder_is_read_or_explained(tmp_path):
    rng = np.random.default_rng(0)
    crops = np.repeat(rng.integers(0, 255, (2, 2, 3, 1, 1, 3), dtype=np.uint8), 32, axis=3).repeat(32, axis=4)
    tracks = rng.random((2, 2, 3, 60)).astype(np.float32)
    for seed, faces in zip((11, 19), crops, strict=True):
        sheet = rearrange(faces, "t a h w c -> (t h) (a w) c")
        Image.fromarray(sheet).save(tmp_path / f"person-{seed:04d}.webp", quality=85)
    about = {"actions": ["a", "b", "c"], "called": ["man", "woman"], "seeds": [11, 19]}
    np.savez(tmp_path / TRUTH, tracks=tracks, **about)
    found = load_collection(tmp_path)
    row = found.find(person=1, take=0, action="c")[0]
    assert np.array_equal(found.tracks[row], tracks[1, 0, 2]) and found.called == ("man", "woman")
    assert np.abs(found.crops[row, 8:24, 8:24].astype(int) - crops[1, 0, 2, 8:24, 8:24]).mean() < 12
    sheet = tmp_path / "person-0019.webp"
    Image.new("RGB", (96, 60)).save(sheet)
    with pytest.raises(ValueError, match="person-0019.webp is 96 x 60 pixels"):
        load_collection(tmp_path)
    sheet.unlink()
    with pytest.raises(ValueError, match="missing or damaged"):
        load_collection(tmp_path)
    with pytest.raises(ValueError, match="restore examples/faces"):
        load_collection(Path(tmp_path) / "nowhere")
