"""What to do about a cell that was run before those above it; every tutorial asks for it in its first cell.

Needs IPython alone, so that the tutorial that builds everything from nothing can use it, too.
"""

from types import TracebackType

from IPython import get_ipython
from IPython.core.interactiveshell import InteractiveShell

ADVICE = (
    "If a cell above makes it, that cell was not run: run all cells from the top down to this one "
    "(in JupyterLab: Run > Run All Above Selected Cell)."
)


def explain_missing_names() -> None:
    """Let every NameError of a notebook's cells end with the advice; outside of notebooks do nothing."""
    if shell := get_ipython():
        shell.set_custom_exc((NameError,), _show)


def _show(
    shell: InteractiveShell,
    kind: type[NameError],
    error: NameError,
    trace: TracebackType,
    tb_offset: int | None = None,
) -> None:
    error.args = (f"{error}. {ADVICE}",)
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
