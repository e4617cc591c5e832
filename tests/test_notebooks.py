"""The tutorials: paired, executed, small, readable, answered, and every cell still works."""

import ast
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from iad.plots.style import ACTION, IDENTITY, INK, to_hex

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import run as runner  # noqa: E402
import schematic  # noqa: E402

NAMES = [
    "01_first_portrait",
    "02_what_a_face_embedding_tells",
    "03_splitting_by_algebra",
    "04_the_two_losses",
    "05_iad_from_scratch",
    "06_injection_and_the_video_model",
    "07_geometry",
    "08_train_it_yourself",
    "09_judge_it",
    "answers",
]
SOURCES = runner.list_sources()
TUTORIALS = [path for path in SOURCES if path.stem != "answers"]
CELL_LINES, LINE_LENGTH = 25, 110
FROM_SCRATCH = {"torch", "numpy", "matplotlib", "IPython", "schematic", *sys.stdlib_module_names}
SMOKE_SECONDS = 60
PLACES = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|usr|opt|Users|private|var|mnt)/\w|[A-Z]:\\\\")

every_notebook = pytest.mark.parametrize("source", SOURCES, ids=[path.stem for path in SOURCES])
every_tutorial = pytest.mark.parametrize("source", TUTORIALS, ids=[path.stem for path in TUTORIALS])


def read(source: Path) -> nbformat.NotebookNode:
    path = source.with_suffix(".ipynb")
    assert path.is_file(), f"{path.name} is missing; make it with: make notebooks"
    return nbformat.read(path, as_version=4)


def sources_of(source: Path, kind: str) -> list[str]:
    return [cell.source for cell in jupytext.read(source).cells if cell.cell_type == kind]


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_they_are_all_there_in_order():
    assert [path.stem for path in SOURCES] == NAMES
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == NAMES


@every_notebook
def test_pairs_are_in_step(source):
    ours, theirs = (
        [(cell.cell_type, cell.source) for cell in notebook.cells]
        for notebook in (jupytext.read(source), read(source))
    )
    assert ours == theirs, f"run: python notebooks/run.py {source.stem}"


@every_notebook
def test_outputs_are_those_of_one_whole_run(source):
    notebook = read(source)
    assert source.with_suffix(".ipynb").stat().st_size <= runner.LARGEST
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    shown = [o for o in outputs if o.output_type in ("display_data", "execute_result")]
    assert any(key.startswith("image/") for o in shown for key in o.data), "no picture in it"
    texts = [o.get("text", "") + str(o.get("data", {}).get("text/plain", "")) for o in outputs]
    assert not [text for text in texts if PLACES.search(text)], "a path of this machine is in an output"


@every_notebook
def test_cells_are_short(source):
    cells = sources_of(source, "code")
    lengths = [len(text.strip().splitlines()) for text in cells]
    assert max(lengths) <= CELL_LINES, lengths
    assert max(len(line) for text in cells for line in text.splitlines()) <= LINE_LENGTH


@every_tutorial
def test_it_says_what_it_teaches_and_where_we_are(source):
    first = sources_of(source, "markdown")[0]
    assert first.startswith(f"# {int(source.stem[:2])} · ")
    assert "What you will learn" in first and re.search(r"\d+ (minute|second)s?", first)
    lit = re.findall(r"^draw_schematic\((.+)\)$", "\n".join(sources_of(source, "code")[:4]), re.MULTILINE)
    assert len(lit) == 1, "the schematic belongs near the top, with the parts that the tutorial is about"


@every_tutorial
def test_every_exercise_has_an_answer(source):
    number, last = int(source.stem[:2]), sources_of(source, "markdown")[-1]
    asked = re.findall(r"^\*\*(\d+\.\d+)\*\* ", last, re.MULTILINE)
    answers = "\n".join(sources_of(ROOT / "notebooks" / "answers.py", "markdown"))
    answered = re.findall(rf"^### ({number}\.\d+) ", answers, re.MULTILINE)
    assert last.startswith("## Exercises") and len(asked) in (2, 3)
    assert asked == answered


def test_one_is_built_from_nothing():
    tree = ast.parse("\n".join(sources_of(ROOT / "notebooks" / "05_iad_from_scratch.py", "code")))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in found} <= FROM_SCRATCH


def test_the_schematic_lights_what_is_named():
    import numpy as np

    every, some = schematic.draw_schematic(), schematic.draw_schematic("identity", "L_ID")
    assert every.size == some.size and not np.array_equal(every, some)
    assert np.array_equal(every, schematic.draw_schematic(*schematic.PARTS, *schematic.LOSSES))
    with pytest.raises(ValueError, match="no part soul; choose from photo, encoder"):
        schematic.draw_schematic("identity", "soul")
    assert tuple(map(to_hex, (IDENTITY, ACTION, INK))) == (schematic.BLUE, schematic.ORANGE, schematic.INK)


def test_the_checks_can_fail():
    assert PLACES.search("saved to /home/anna/x.mp4") and PLACES.search("/tmp/x/y.png")
    assert not PLACES.search("../examples/person-003.png and https://example.org/tmp/x 3 / tmp")
    with pytest.raises(ValueError, match="No tutorial begins with 99"):
        runner.list_sources(["99"])


@pytest.mark.slow
@every_notebook
def test_every_cell_still_works(source):
    before = os.times()
    notebook = runner.execute(source, smoke=True)
    after = os.times()
    assert not [o for cell in code_cells(notebook) for o in cell.outputs if o.output_type == "error"]
    # of the kernel, so that other work on the machine does not count
    seconds = sum(getattr(after, k) - getattr(before, k) for k in ("children_user", "children_system"))
    assert 0 < seconds < SMOKE_SECONDS, f"{seconds:.0f} s: shorten its loops where IAD_SMOKE is set"
