"""People who do not exist: a morphable head, photographs fitted with it, their actions, and clips of them."""

import tomllib
import zlib
from importlib import resources
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np


def read_table(name: str) -> dict[str, Any]:
    """Read one of the TOML files of this package."""
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an .npz file of the download.

    Raises:
        ValueError: It is cut off or damaged.
    """
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged; make it again with `python -m iad data download`.") from error
