"""Files that are written: names that suit, folders that take them, and each file whole or not at all.

In come paths and bytes; a ValueError says in one sentence what is wrong with them.
"""

import contextlib
import os
import tempfile
import uuid
from pathlib import Path

SUFFIXES = (".mp4", ".gif", ".png")  # what a clip is written as


def check_output(path: str | os.PathLike, suffixes: tuple[str, ...] = SUFFIXES) -> Path:
    """Make sure, before any work is done, that a file of this name can be written.

    Raises:
        ValueError: unknown suffix, the name of a folder, or a folder that takes no files.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"The output '{path.name}' must end in {' or '.join(suffixes)}; rename it.")
    if path.is_dir():
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
        raise ValueError(f"The folder '{folder}' takes no files ({reason}); choose another one.") from error
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
