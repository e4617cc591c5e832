"""Files that are read or written: names that suit, folders that take them, each file whole or not at all.

In come paths and bytes; a ValueError says in one sentence what is wrong with them.
"""

import contextlib
import os
import stat
import tempfile
import uuid
from pathlib import Path

SUFFIXES = (".mp4", ".gif", ".png")  # what a clip is written as


def find_file(path: str | os.PathLike, wanted: str) -> Path:
    """Make sure that a path leads to a file that holds something.

    Args:
        path: from anybody.
        wanted: what the file is to be, for the sentence.

    Raises:
        FileNotFoundError: there is no such file, nor could there be one of this name.
        ValueError: it is a folder, a device or empty.
    """
    path = Path(path)
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"There is no file '{_shorten(path)}'; check its path.") from error
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"'{_shorten(path)}' is not a file; give the path of {wanted}.")
    if not found.st_size:
        raise ValueError(f"'{path.name}' is empty; give {wanted}.")
    return path


def _shorten(path: Path) -> str:
    return f"…{str(path)[-200:]}" if len(str(path)) > 200 else str(path)


def check_output(path: str | os.PathLike, suffixes: tuple[str, ...] = SUFFIXES) -> Path:
    """Make sure, before any work is done, that a file of this name can be written.

    Raises:
        ValueError: unknown suffix, the name of a folder or of no file, or a folder that takes no files.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"The output '{_shorten(path)}' must end in {' or '.join(suffixes)}; rename it.")
    try:
        folder = path.is_dir()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"No file can be called '{_shorten(path)}' ({reason}); rename it.") from error
    if folder:
        raise ValueError(f"The output '{path}' is a folder; give the name of a file in it.")
    check_folder(path.parent)
    return path


def check_folder(folder: str | os.PathLike) -> Path:
    """Make the folder if it is missing, and make sure that it takes files.

    Raises:
        ValueError: it cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        name = _shorten(folder)
        raise ValueError(f"The folder '{name}' takes no files ({reason}); choose another one.") from error
    return folder


def write_whole(path: Path, data: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        ValueError: the disk is full or the folder takes no files.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise unwritten(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def unwritten(path: Path, error: OSError) -> ValueError:
    """Say that a file could not be written, and why."""
    reason = error.strerror or error
    return ValueError(f"'{path}' could not be written ({reason}); free some space or choose another folder.")
