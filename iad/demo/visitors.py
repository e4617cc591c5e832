"""Whose file is whose: each visitor has a secret in a cookie, and a folder that opens to nobody else.

In: cookies and paths as strangers send them. Out: a visitor's name, whether a file is theirs, and places for
new ones. All lies in one folder of this process. It goes when the process ends; what a killed one has left
goes when the next one starts.
"""

import atexit
import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "iad-app-"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
SHARED = "shared-"  # begins the secrets and names of visitors whose files open to whoever knows the address


@dataclass(frozen=True)
class House:
    """The folder of this process, locked for as long as it lives."""

    folder: Path
    lock: FileLock
    process: int

    @property
    def runs(self) -> Path:
        """Where each run that goes on has a file."""
        return self.folder / "runs"

    def room(self, visitor: str) -> Path:
        """Return where a visitor's files lie."""
        return self.folder / "visitors" / visitor

    def owns(self, visitor: str | None, path: str) -> Path | None:
        """Return the real path of a visitor's own file, or a shared one; None for all others."""
        try:
            file = Path(path).resolve() if visitor else None
        except (OSError, ValueError, RuntimeError):  # nothing that names a file
            return None
        if not file or not file.is_relative_to(self.room("")):
            return None
        owner = file.relative_to(self.room("")).parts[:1]
        mine = owner == (visitor,) or any(name.startswith(SHARED) for name in owner)
        return file if mine and file.is_file() else None

    def make_place(self, visitor: str) -> Path:
        """Make an empty folder for one file: no two visitors, and no two files, ever share one."""
        place = self.room(visitor) / secrets.token_hex(8)
        place.mkdir(parents=True)
        return place

    def hand_over(self, path: str, visitor: str) -> str:
        """Give a file that was made for a visitor a place of its own; it is linked, not copied."""
        new = self.make_place(visitor) / Path(path).name
        try:
            os.link(path, new)
        except OSError:
            shutil.copyfile(path, new)
        return str(new)

    def sweep(self, seconds: float, kept: frozenset[str]) -> None:
        """Delete what is older, but for what the page itself shows, and folders that are empty since then."""
        old = time.time() - seconds
        for top in self.folder.iterdir():
            if top.name in ("runs", "tmp") or not top.is_dir():
                continue
            for path in sorted(top.rglob("*"), reverse=True):  # files before their folders
                with contextlib.suppress(OSError):
                    if path.lstat().st_ctime > old or str(path) in kept:
                        continue
                    path.rmdir() if path.is_dir() else path.unlink()

    def leave(self) -> None:
        """Delete everything; runs that still go on end at their next step."""
        if os.getpid() == self.process:  # not in a child that shares it
            shutil.rmtree(self.folder, ignore_errors=True)
            self.lock.release()
            Path(self.lock.lock_file).unlink(missing_ok=True)


@functools.cache
def open_house() -> House:
    """Make the folder of this process, after what dead ones left has been deleted."""
    base = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()).resolve()
    base.mkdir(parents=True, exist_ok=True)
    for left in base.glob(f"{PREFIX}*/"):
        lock = FileLock(f"{left}.lock")
        with contextlib.suppress(Timeout, OSError), lock.acquire(blocking=False):
            shutil.rmtree(left, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)
    folder = base / f"{PREFIX}{secrets.token_hex(8)}"
    lock = FileLock(f"{folder}.lock")
    lock.acquire()  # before the folder is there: a folder without its lock is a dead one's
    for part in ("runs", "tmp", "visitors"):
        (folder / part).mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    house = House(folder, lock, os.getpid())
    atexit.register(house.leave)
    return house


def name_visitor(secret: str) -> str | None:
    """Return the name that belongs to a cookie: no path betrays the secret. None for what was never given."""
    if not _SECRET.fullmatch(secret):
        return None
    return SHARED * secret.startswith(SHARED) + hashlib.sha256(secret.encode()).hexdigest()[:32]


def make_secret(*, shared: bool = False) -> str:
    """Make a new visitor's secret; with `shared` their files open to whoever knows the address."""
    return (SHARED * shared + secrets.token_urlsafe(32))[:43]
