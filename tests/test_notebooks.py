"""The tutorials: paired, executed, small, readable, answered, and every cell still works."""

import ast
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import psutil
import pytest
from jupyter_client.manager import KernelManager
from nbclient.exceptions import CellExecutionError

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
FROM_SCRATCH = {"torch", "numpy", "matplotlib", "IPython", "order", "schematic", *sys.stdlib_module_names}
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


def code_below(stem: str) -> dict[str, str]:
    """The code of a tutorial by the last heading that stands above it."""
    (source,), heading, below = runner.list_sources([stem]), "", {}
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "code":
            below[heading] = below.get(heading, "") + cell.source + "\n"
        else:
            heading = [heading, *re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE)][-1]
    return below


def test_every_claim_has_what_backs_it():
    code = {stem.split("_")[0]: code_below(stem) for stem in NAMES}
    tables = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "results.md").read_text(), re.MULTILINE)
    sections = (ROOT / "notebooks" / "CLAIMS.md").read_text().split("\n## ")[1:]
    assert [section.split()[0] for section in sections] == [path.stem for path in TUTORIALS]
    for section in sections:
        for row in re.findall(r"^\| (.+) \|$", section, re.MULTILINE)[1:]:
            claim, backed = row.split(" | ")
            cells = re.findall(r"(?:(\w+) )?\*([^*]+)\*: `([^`]+)`", backed)
            tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", backed)
            results = re.findall(r"docs/results\.md, \*(.+?)\*", backed)
            papers = re.findall(r"arXiv \d{4}\.\d{5}", backed)
            others = re.findall(r"proof in the text|weights/mini/README\.md|docs/licences\.md", backed)
            assert len(cells + tests + results + papers + others) == len(backed.split("; ")), claim
            for name, heading, words in cells:
                assert words in code[name or section[:2]].get(heading, ""), (claim, heading, words)
            for file, name in tests:
                assert f"def {name}(" in (ROOT / "tests" / file).read_text(), (claim, name)
            assert set(results) <= set(tables), claim


def test_the_ablation_that_is_told_is_that_of_the_results():
    told = "\n".join(sources_of(ROOT / "notebooks" / "04_the_two_losses.py", "markdown"))
    arms, shares = re.search(r"^\| (all terms .+) \|\n\|[-|]+\n\| (.+) \|$", told, re.MULTILINE).groups()
    table = (ROOT / "docs" / "results.md").read_text().split("### What each term does")[1]
    rows = dict(re.findall(r"^\| ([\w ]+) \| \S+ \[\S+ \S+ \| (\S+) \|", table, re.MULTILINE))
    assert shares.split(" | ") == [rows[arm.replace("all terms", "full")] for arm in arms.split(" | ")]


def find_attempts(package: str) -> list[str]:
    """The `try` statements of all tutorials that import an optional package."""
    cells = [cell for source in SOURCES for cell in sources_of(source, "code") if f"from {package} " in cell]
    return [ast.unparse(node) for cell in cells for node in ast.parse(cell).body if isinstance(node, ast.Try)]


@pytest.mark.parametrize("package", ["ipywidgets", "concept_erasure"])
def test_without_an_optional_package_a_sentence_says_what_to_do(package, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    for attempt in find_attempts(package):
        exec(attempt, {})
        said = capsys.readouterr().out
        assert "pip install" in said and package.replace("_", "-") in said and "run this cell again" in said


def test_sliders_draw_at_once_and_when_they_are_moved(monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets")
    drawn, shown = [], []

    def draw(*values, **sliders):
        drawn.append([*values, *sliders.values()][0])

    def interact(function, **sliders):
        shown.append(ipywidgets.interactive(function, **sliders))
        shown[-1].update()

    monkeypatch.setattr(ipywidgets, "interact", interact)
    attempts = find_attempts("ipywidgets")
    for attempt in attempts:
        drawers = dict.fromkeys(("show", "show_neighbours", "draw_temperature"), draw)
        exec(attempt, drawers | {"display": lambda picture: None, "RANKS": [8], "best": 0})
        slider, before = shown[-1].children[0], len(drawn)
        slider.value = slider.min
        assert len(drawn) == before + 1 and drawn[-1] != drawn[-2]
    assert len(attempts) == 3


def test_a_slider_is_not_stored_since_it_needs_a_kernel():
    kinds = {"text/plain": "interactive(...)", runner.SLIDER: {}}, {"text/plain": "a still"}
    shown = [nbformat.v4.new_output("display_data", data=data) for data in kinds]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=shown)])
    assert [output.data["text/plain"] for output in runner.tidy(notebook).cells[0].outputs] == ["a still"]


def test_links_lead_somewhere_and_no_badge_leads_nowhere():
    pages = [ROOT / "notebooks" / name for name in ("README.md", "CLAIMS.md")]
    texts = [*(page.read_text() for page in pages), *("\n".join(sources_of(s, "markdown")) for s in SOURCES)]
    for text in texts:
        links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("https://")]
        assert all((ROOT / "notebooks" / link).exists() for link in links), links
        assert not re.search(r"colab\.research|mybinder\.org", text), "there is no public address yet"


def test_the_readme_says_how_long_each_takes():
    said = (ROOT / "notebooks" / "README.md").read_text()
    for source in TUTORIALS:
        row = re.search(rf"\({source.stem}\.ipynb\).* (\d) min \|", said)
        assert f"for about {row[1]} minute" in sources_of(source, "markdown")[0], source.stem


def test_one_is_built_from_nothing():
    cells = sources_of(ROOT / "notebooks" / "05_iad_from_scratch.py", "code")
    method = [cell for cell in cells if re.search("class ToyIaD|def diffusion_loss|def identity_loss", cell)]
    assert len(method) == 3 and sum(bool(line) for cell in method for line in cell.splitlines()) < 100
    tree = ast.parse("\n".join(cells))
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


@pytest.fixture(scope="module")
def kernel():
    """One for all tutorials, so that packages are loaded once."""
    manager = KernelManager(kernel_name="python3")
    yield manager
    manager.shutdown_kernel(now=True)


@every_notebook
def test_a_cell_that_is_run_too_early_says_what_to_do(source, kernel, tmp_path):
    first, *_, last = code_cells(jupytext.read(source))
    nbformat.write(nbformat.v4.new_notebook(cells=[first, last]), tmp_path / "early.ipynb")
    with pytest.raises(CellExecutionError, match="NameError: name .* Run > Run All Above Selected Cell"):
        runner.execute(tmp_path / "early.ipynb", smoke=True, kernel=kernel)


@pytest.mark.slow
@every_notebook
def test_every_cell_still_works(source, kernel):
    begun = count_seconds(kernel) if kernel.has_kernel else 0.0
    notebook = runner.execute(source, smoke=True, kernel=kernel)
    assert not [o for cell in code_cells(notebook) for o in cell.outputs if o.output_type == "error"]
    seconds = count_seconds(kernel) - begun  # of the kernel, so that other work on the machine does not count
    assert 0 < seconds < SMOKE_SECONDS, f"{seconds:.0f} s: shorten its loops where IAD_SMOKE is set"


def count_seconds(kernel: KernelManager) -> float:
    times = psutil.Process(kernel.provisioner.pid).cpu_times()
    return times.user + times.system
