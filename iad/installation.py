"""How the package lies on this machine: where its examples are, and whether what it needs is new enough.

In come names of packages; out comes nothing, or a ValueError that says in one sentence what to install.
"""

from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "examples"
EXAMPLES = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "examples"  # beside it in a checkout


def check_installed(*names: str) -> None:
    """Make sure that packages are there, and as new as this one needs them.

    Raises:
        ValueError: one is missing or too old.
    """
    for name in names:
        need = _read_needs().get(name, name)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError as error:
            raise ValueError(f'{name} is not installed; install it with: pip install "{need}"') from error
        if not _suits(version, need):
            raise ValueError(
                f"{name} {version} is installed, which is too old; renew it with: pip install "
                f'--upgrade "{need}"'
            )


@cache
def _read_needs() -> dict[str, str]:
    """Return what is needed by name, as in gradio: gradio>=6.28; empty where nobody wrote it down."""
    file = _PACKAGE.parent / "requirements.txt"
    try:
        lines = file.read_text().splitlines() if file.is_file() else metadata.requires("iad") or []
    except metadata.PackageNotFoundError:
        return {}
    # "gradio>=6.28; extra == 'app'" in a wheel, "gradio>=6.28  # the page" in a checkout
    needs = (line.partition("#")[0].partition(";")[0].strip() for line in lines)
    return {need.partition(">=")[0]: need for need in needs if need}


def _suits(version: str, need: str) -> bool:
    from packaging.requirements import Requirement

    return Requirement(need).specifier.contains(version, prereleases=True)
