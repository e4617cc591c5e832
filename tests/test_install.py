"""The wheel: what lies in it, and whether it works in an empty folder, far from the checkout."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

import jupytext
import pytest
from huggingface_hub.utils import filter_repo_objects

import iad
from iad.installation import check_installed

ROOT = Path(__file__).parents[1]
MOST_MB = 80
PROJECT = "iad-{}.dist-info/{}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def _read(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as file:
        return file.read(PROJECT.format(iad.__version__, name)).decode()


def _list_needs(file: str) -> set[str]:
    lines = (ROOT / file).read_text().splitlines()
    return {need for line in lines if (need := line.partition("#")[0].strip())}


def test_everything_that_the_package_reads_is_in_the_wheel(names):
    files = [file for file in (ROOT / "iad").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert {str(file.relative_to(ROOT)) for file in files} <= names
    assert {"iad/portraits/people.csv", "iad/demo/css/page.css", "iad/examples/prompts.json"} <= names
    weights = ROOT / "iad" / "weights" / "mini"
    parts = json.loads((weights / "manifest.json").read_text())["files"]
    assert len(parts) > 10 and {f"iad/weights/mini/{name}" for name in parts} <= names
    assert any(name.startswith("iad/weights/mini/ablations/full/snapshots/") for name in names)
    pictures = {f"iad/{file.relative_to(ROOT)}" for file in (ROOT / "examples").glob("person-*.png")}
    assert len(pictures) == 10 and pictures <= names


def test_nothing_else_is_in_the_wheel_and_it_stays_small(names, wheel):
    assert {name.split("/")[0] for name in names} == {"iad", f"iad-{iad.__version__}.dist-info"}
    assert not [name for name in names if "test" in name or name.endswith((".ipynb", "make.py", ".pyc"))]
    assert wheel.stat().st_size < MOST_MB * 1e6


def test_needs_version_and_command_come_from_where_they_are_written(wheel):
    about = _read(wheel, "METADATA")
    needs = [line.removeprefix("Requires-Dist: ") for line in about.splitlines() if "Requires-Dist" in line]
    plain = {need.partition(";")[0].replace("-", "_") for need in needs}
    assert {n.replace("-", "_") for n in _list_needs("requirements.txt")} <= plain
    assert "torch>=2.8" in needs and "gradio>=6.28; extra == 'app'" in needs  # the page is nobody's duty
    extras = {line.split()[1] for line in about.splitlines() if line.startswith("Provides-Extra")}
    assert extras == {"app", "train", "eval", "full", "notebooks", "dev"}
    assert "iad = iad.cli:main" in _read(wheel, "entry_points.txt")


def test_a_space_gets_all_that_it_needs_and_no_more():
    command = re.search(r"^hf upload .*?[^\\]\n", (ROOT / "docs" / "space.md").read_text(), re.M | re.S)
    words = shlex.split(command[0].replace("\\\n", " "))
    given = list(zip(words, words[1:], strict=False))
    picked, left = ([value for key, value in given if key == name] for name in ("--include", "--exclude"))
    files = {str(file.relative_to(ROOT)) for room in ("iad", "examples") for file in _list_files(ROOT / room)}
    files |= {file.name for file in ROOT.iterdir() if file.is_file()}
    others = {"tests/test_app.py", "iad/__pycache__/cli.pyc"}
    sent = set(filter_repo_objects(files | others, allow_patterns=picked, ignore_patterns=left))
    assert {"app.py", "README.md", "requirements.txt", "pre-requirements.txt"} <= sent
    assert "examples/prompts.json" in sent
    assert {file for file in files if file.startswith("iad/")} <= sent
    assert not (others | {"Makefile"}) & sent


def test_the_front_matter_names_the_tested_gradio():
    front = (ROOT / "README.md").read_text().split("---")[1]
    tested = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"gradio=={re.search('sdk_version: (.+)', front)[1]}" in tested


def _put_package(folder: Path, name: str, version: str) -> None:
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_a_package_that_is_too_old_or_missing_is_told_in_a_sentence(tmp_path, monkeypatch):
    check_installed("torch", "diffusers", "gradio")
    monkeypatch.syspath_prepend(tmp_path)
    _put_package(tmp_path, "gradio", "6.27.0")
    with pytest.raises(ValueError, match=r'^gradio 6\.27\.0 is .* too old; .*--upgrade "gradio>=6\.28"$'):
        check_installed("diffusers", "gradio")
    with pytest.raises(ValueError, match=r'^no_such_package is not installed; .*"no_such_package"$'):
        check_installed("no_such_package")
    _put_package(tmp_path, "diffusers", "0.39.0")
    with pytest.raises(ValueError, match=r"^diffusers 0\.39\.0 is installed"):
        _ = iad.IaDPipeline
    assert metadata.version("diffusers") == "0.39.0"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel in it; all else it borrows from the one that runs the tests."""
    venv = tmp_path_factory.mktemp("machine") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (place,) = venv.glob("lib/python*/site-packages")
    (place / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "install", "-q"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    return venv


def _call(venv: Path, folder: Path, *words: str) -> subprocess.CompletedProcess:
    """Run a program of the environment in a folder, as somebody does who has no checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("IAD_", "PYTHON", "GRADIO_"))}
    home = folder.parent / "home"
    env = kept | {"HOME": str(home), "HF_HUB_OFFLINE": "1", "NUMBA_CACHE_DIR": str(home / "numba")}
    program = [str(venv / "bin" / words[0]), *words[1:]]
    return subprocess.run(program, cwd=folder, env=env, capture_output=True, text=True)


def _list_files(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts}


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_folder_and_writes_nothing_elsewhere(installed, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert _call(installed, folder, "iad", "--version").stdout == f"iad {iad.__version__}\n"
    before = _list_files(installed)
    program = "from iad.installation import EXAMPLES; print(EXAMPLES)"
    examples = _call(installed, folder, "python", "-c", program).stdout.strip()
    assert Path(examples).is_relative_to(installed)
    photo = str(Path(examples) / "person-187.png")
    words = ["--reference", photo, "--prompt", "she smiles", "--output", "out.mp4"]
    # By the denoiser alone: the drawing's loops would be compiled anew, which takes longer than all the rest.
    made = _call(installed, folder, "iad", "generate", *words, "--detail-scale", "0", "--json")
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout.splitlines()[-1])
    assert (report["frames"], report["width"]) == (16, 128) and report["scores"]["identity"] > 0.3
    assert _list_files(folder) == {folder / "out.mp4"}
    assert _list_files(installed) == before


def _list_imports(file: Path) -> list[str]:
    """A tutorial's first cell, which says what is missing, and the imports of all its cells."""
    cells = [cell.source for cell in jupytext.read(file).cells if cell.cell_type == "code"]
    nodes = ast.parse("\n".join(cells)).body
    return [cells[0], *(ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))]


@pytest.mark.slow
def test_tutorials_need_the_package_and_what_lies_beside_them(installed, tmp_path):
    files = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
    folder, bare = tmp_path / "anywhere", tmp_path / "bare"
    folder.mkdir()
    bare.mkdir()
    program = "\n".join(line for file in files for line in _list_imports(file))
    for place in (folder, bare):
        (place / "imports.py").write_text(program)
    for name in ("order.py", "schematic.py"):
        shutil.copy(ROOT / "notebooks" / name, folder)
    found = _call(installed, folder, "python", "imports.py")
    assert found.returncode == 0, found.stderr
    lost = _call(installed, bare, "python", "imports.py").stderr.splitlines()[-1]
    assert lost == "ModuleNotFoundError: order and schematic not found: see notebooks/README.md, or make lab"


@pytest.mark.slow
def test_an_installed_package_without_its_weights_says_so_in_one_sentence(installed, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (package,) = installed.glob("lib/python*/site-packages/iad")
    photo = str(package / "examples" / "person-187.png")
    (package / "weights").rename(package / "elsewhere")
    words = ["--reference", photo, "--prompt", "smiles", "--output", "out.mp4"]
    try:
        made = _call(installed, folder, "iad", "generate", *words)
    finally:
        (package / "elsewhere").rename(package / "weights")
    assert made.returncode == 2 and len(made.stderr.splitlines()) == 1
    assert "No weights of 'mini' are installed" in made.stderr
