"""The rooms import one way, stay small, and stay light where they promise to."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "iad"
LONGEST_FILE = 350

# Each room may import itself and the rooms before it.
ORDER = (
    "config",
    "checks",
    "request",
    "installation",
    "checkpoint",
    "media",
    "result",
    "faces",
    "geometry",
    "text",
    "performing",
    "decoupling",
    "models",
    "full_size",
    "model",
    "pipeline",
    "spread",
    "batch",
    "portraits",
    "training",
    "plots",
    "evaluation",
    "demo",
    "commands",
    "cli",
    "__main__",
)

# These are imported where they are used, or at the top of the rooms named here.
_LEARNING = {
    "checkpoint", "geometry", "performing", "decoupling", "models", "full_size", "model", "pipeline",
    "training",
}  # fmt: skip
HEAVY = {
    "torch": _LEARNING | {"evaluation"},
    "diffusers": {"models", "pipeline", "training"},
    "transformers": set(),
    "accelerate": {"training"},
    "gradio": {"demo"},
    "spaces": {"demo"},
    "insightface": set(),
    "dlib": set(),
    "av": set(),
    "c2pa": set(),
    "numba": {"geometry", "portraits"},
    "scipy": {"geometry", "portraits", "evaluation"},
}
NOWHERE = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"torch.load", "eval", "exec", "os.system"}


def list_faults(source: str, room: str) -> list[str]:
    """List what is wrong with the imports and calls of one file of `room`, as sentences."""
    tree = ast.parse(source)
    top_level = set(map(id, _walk_top_level(tree)))
    faults = []
    for node in ast.walk(tree):
        for name in _list_imports(node):
            head, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if head == "iad" and target in ORDER and ORDER.index(target) > ORDER.index(room):
                faults.append(f"{room} imports {target}, a later room")
            if id(node) in top_level and room not in HEAVY.get(head, {room}):
                faults.append(f"{room} imports {head} at its top; import it where it is used")
            if head in NOWHERE:
                faults.append(f"{room} imports {head}; store arrays as safetensors or npz")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS and not _reads_data(node):
            faults.append(f"{room} calls {ast.unparse(node.func)}, which can run code from a file")
    return faults


def _reads_data(call: ast.Call) -> bool:
    """Tell whether a call of `torch.load` reads weights and nothing else."""
    return any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in call.keywords)


def _walk_top_level(tree: ast.AST):
    """Visit what runs at import: everything outside function bodies and `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not typing_only:
            yield node
            yield from _walk_top_level(node)


def _list_imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        # The package is flat enough that a relative import is written out: `from . import x` counts as iad.x.
        base = node.module or "" if not node.level else f"iad.{node.module or ''}".rstrip(".")
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def _list_rooms() -> list:
    rooms = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            rooms.append(pytest.param(path, room, id=str(path.relative_to(ROOT))))
    return rooms


@pytest.mark.parametrize(("path", "room"), _list_rooms())
def test_rooms_import_one_way_and_late(path, room):
    assert room in ORDER, f"{room} is no room yet: give it a place in ORDER"
    assert list_faults(path.read_text(), room) == []


@pytest.mark.parametrize(
    ("source", "room", "fault"),
    [
        ("from iad.config import Preset", "media", ""),
        ("from iad.pipeline import IaDPipeline", "decoupling", "later room"),
        ("from iad import pipeline", "decoupling", "later room"),
        ("import iad.demo.app", "config", "later room"),
        ("from ..demo import app", "training", "later room"),
        ("def f():\n    from iad.cli import main", "media", "later room"),
        ("import torch", "faces", "at its top"),
        ("try:\n    import torch.nn as nn\nexcept ImportError:\n    pass", "media", "at its top"),
        ("class A:\n    import torch", "media", "at its top"),
        ("def f():\n    import torch", "faces", ""),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", "faces", ""),
        ("def f():\n    import pickle", "training", "pickle"),
        ("import torch\ntorch.load('x')", "training", "torch.load"),
        ("import torch\ntorch.load('x', weights_only=False)", "training", "torch.load"),
        ("import torch\ntorch.load('x', weights_only=True)", "training", ""),
    ],
)
def test_the_reader_of_imports_tells_good_from_bad(source, room, fault):
    faults = list_faults(source, room)
    assert (len(faults) == 1 and fault in faults[0]) if fault else not faults


def test_files_stay_small():
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    app = ROOT / "app.py"
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST_FILE}
    assert not long, f"split these, two rooms live in one: {long}"
    assert not app.exists() or len(app.read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    "room",
    [
        "config", "request", "media.video", "media.provenance", "faces", "text", "geometry.driving",
        "plots.comparison", "plots.history", "plots", "cli",
    ],
)
def test_light_rooms_load_nothing_heavy(room):
    heavy = ["torch", "diffusers", "transformers", "gradio", "dlib", "numba"]
    program = f"import sys, iad.{room}; print([m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"
