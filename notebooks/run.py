"""Run the tutorials: each .py (jupytext, percent format) becomes the .ipynb beside it, with fresh outputs.

python notebooks/run.py                     all of them
python notebooks/run.py 02 answers          those whose names begin so
python notebooks/run.py 02 --smoke          a short run that writes nothing here: does every cell still work?

The .py is what people edit; whatever was changed in an .ipynb alone is lost (jupytext --sync keeps it).
"""

import argparse
import base64
import io
import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
LARGEST = 600_000  # bytes of an .ipynb
CELL_SECONDS = 900  # after which a cell is given up
FINE = 20_000  # bytes of a picture below which nothing is made smaller
COLOURS = 256
NEARLY = 1.0  # levels of 255 by which a picture of few colours may differ from the one drawn
JPEG_QUALITY = 78
SLIDER = "application/vnd.jupyter.widget-view+json"
# One thread, nothing looked up, no progress bars.
QUIET = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",  # progress bars are off anyhow
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def list_sources(names: list[str] | None = None) -> list[Path]:
    """List the tutorials' sources in order, all or those whose names begin with one of `names`.

    Raises:
        ValueError: a name fits no tutorial.
    """
    sources = [*sorted(FOLDER.glob("[0-9][0-9]_*.py")), FOLDER / "answers.py"]
    names = [Path(name).name.split(".")[0] for name in names or []]
    unknown = [name for name in names if not any(path.stem.startswith(name) for path in sources)]
    if unknown:
        have = ", ".join(path.stem for path in sources)
        raise ValueError(f"No tutorial begins with {', '.join(unknown)}; there are {have}.")
    return [path for path in sources if not names or any(path.stem.startswith(name) for name in names)]


def execute(
    source: Path, *, smoke: bool = False, kernel: KernelManager | None = None
) -> nbformat.NotebookNode:
    """Run a tutorial in its own folder and return it with small outputs.

    Args:
        source: its .py.
        smoke: a short run.
        kernel: where it runs, emptied before; packages stay loaded. By default a fresh one.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
        nbclient.exceptions.CellTimeoutError: a cell took too long.
    """
    notebook = jupytext.read(source)
    if kernel:
        notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    path = os.pathsep.join(filter(None, (str(FOLDER.parent), os.environ.get("PYTHONPATH"))))  # not installed
    surroundings = {**os.environ, **QUIET, "PYTHONPATH": path, "IAD_SMOKE": "1" if smoke else ""}
    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        coalesce_streams=True,
        # No colours in error messages, and no chatter of C++ libraries in the cells.
        extra_arguments=["--InteractiveShell.colors=nocolor", "--IPKernelApp.capture_fd_output=False"],
    )
    client.execute(env=surroundings)
    return tidy(notebook)


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs from run to run and says nothing, and make pictures small."""
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:02d}", {}
        if cell.cell_type == "code":  # a slider is nothing without its kernel
            cell.outputs = [output for output in cell.outputs if SLIDER not in output.get("data", {})]
        for output in cell.get("outputs", []):
            if "data" in output:
                output.metadata = {}
                _shrink(output.data)
    return notebook


def _shrink(data: dict) -> None:
    """Keep one form of a picture: PNG where few colours are enough, as in a plot, JPEG for what is like a photo."""
    shown = data.get("image/png") or data.get("image/jpeg")
    if not shown:
        return
    data.pop("image/jpeg", None)
    if len(shown) < FINE:
        data["image/png" if shown.startswith("iVBOR") else "image/jpeg"] = shown
        return
    picture = Image.open(io.BytesIO(base64.b64decode(shown))).convert("RGB")
    few = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    forms = {"image/jpeg": io.BytesIO(), "image/png": io.BytesIO()}
    picture.save(forms["image/jpeg"], "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    few.save(forms["image/png"], "PNG", optimize=True)
    sizes = {kind: len(buffer.getvalue()) for kind, buffer in forms.items()}
    soft = sizes["image/jpeg"] < 0.7 * sizes["image/png"]  # a photo, even where few colours would do
    kind = "image/jpeg" if soft or _difference(picture, few.convert("RGB")) > NEARLY else "image/png"
    data.pop("image/png", None)
    data[kind] = base64.b64encode(forms[kind].getvalue()).decode()


def _difference(one: Image.Image, other: Image.Image) -> float:
    from PIL import ImageChops, ImageStat

    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def run(source: Path, *, smoke: bool) -> int:
    """Run a tutorial and write it beside its source, with `smoke` nowhere; return its bytes.

    Raises:
        ValueError: the file would be larger than 600 KB.
    """
    text = nbformat.writes(execute(source, smoke=smoke)) + "\n"
    size = len(text.encode())
    if size > LARGEST:
        raise ValueError(f"{source.stem} has {size} bytes, at most {LARGEST} fit; show fewer pictures in it.")
    if not smoke:
        source.with_suffix(".ipynb").write_text(text)
    return size


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="how the tutorials' names begin; all by default")
    parser.add_argument("--smoke", action="store_true", help="short loops, and nothing is written here")
    options = parser.parse_args(arguments)
    try:
        for source in list_sources(options.names):
            begun = time.perf_counter()
            size = run(source, smoke=options.smoke)
            print(f"{source.stem}: {time.perf_counter() - begun:.0f} s, {size / 1000:.0f} KB", flush=True)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
