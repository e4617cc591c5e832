"""The tutorials: paired, executed, small, readable, and every cell still works."""

import ast
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import run as runner  # noqa: E402

SOURCES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
CELL_LINES, LINE_LENGTH = 12, 110
MEDIAN_LINES = 6
SMOKE_SECONDS = 150
PLACES = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|usr|opt|Users|private|var|mnt)/\w|[A-Z]:\\\\")

every_tutorial = pytest.mark.parametrize("source", SOURCES, ids=[path.stem for path in SOURCES])


def read(source: Path) -> nbformat.NotebookNode:
    path = source.with_suffix(".ipynb")
    assert path.is_file(), f"{path.name} is missing; make it with: make notebooks"
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_seven_in_order():
    assert [path.stem[:2] for path in SOURCES] == [f"0{k}" for k in range(1, 8)]
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {path.stem for path in SOURCES}


@every_tutorial
def test_pairs_are_in_step(source):
    ours, theirs = (
        [(cell.cell_type, cell.source) for cell in notebook.cells]
        for notebook in (jupytext.read(source), read(source))
    )
    assert ours == theirs, f"run: python notebooks/run.py {source.stem}"


@every_tutorial
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


@every_tutorial
def test_cells_are_short_and_define_nothing(source):
    cells = [cell.source for cell in code_cells(jupytext.read(source))]
    lengths = [len(text.strip().splitlines()) for text in cells]
    assert max(lengths) <= CELL_LINES and sorted(lengths)[len(lengths) // 2] <= MEDIAN_LINES, lengths
    assert max(len(line) for text in cells for line in text.splitlines()) <= LINE_LENGTH
    made = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
    found = [
        ast.unparse(node) for text in cells for node in ast.walk(ast.parse(text)) if isinstance(node, made)
    ]
    assert not found, "what needs a function belongs in the library"


@every_tutorial
def test_it_says_what_it_teaches_and_asks_at_the_end(source):
    texts = [cell.source for cell in jupytext.read(source).cells if cell.cell_type == "markdown"]
    first, last = texts[0], texts[-1]
    assert first.startswith(f"# {int(source.stem[:2])} · ")
    assert "What you will learn" in first and re.search(r"\d+ (minute|second)s?", first)
    assert last.startswith("## Exercises")
    assert last.count("<details>") == last.count("</details>") == last.count("<summary>") == 3


def test_the_checks_can_fail():
    assert PLACES.search("saved to /home/anna/x.mp4") and PLACES.search("/tmp/x/y.png")
    assert not PLACES.search("../examples/person-003.png and https://example.org/tmp/x 3 / tmp")
    with pytest.raises(ValueError, match="No tutorial begins with 99"):
        runner.list_sources(["99"])


@pytest.mark.slow
@every_tutorial
def test_every_cell_still_works(source):
    before = os.times()
    notebook = runner.execute(source, smoke=True)
    after = os.times()
    assert not [o for cell in code_cells(notebook) for o in cell.outputs if o.output_type == "error"]
    # of the kernel, so that other work on the machine does not count
    seconds = sum(getattr(after, k) - getattr(before, k) for k in ("children_user", "children_system"))
    assert 0 < seconds < SMOKE_SECONDS, f"{seconds:.0f} s: shorten its loops where IAD_SMOKE is set"
