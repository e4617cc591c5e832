"""Files from a server: whole or not at all, tried again, and fetched once more where they prove spoilt."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Literal, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from tqdm import tqdm

from iad.media.files import write_whole

SERVER = "https://raw.githubusercontent.com"
_ATTEMPTS = 4
_TIMEOUT = 30  # seconds without an answer

T = TypeVar("T")


class SpoiltError(ValueError):
    """Files are not what this version expects."""

    def __init__(self, paths: Sequence[Path], fault: str):
        self.paths = tuple(paths)
        super().__init__(
            f"{paths[0]} {fault}, and did when it was fetched again, too; try later, or with a newer version."
        )


def fetch_files(files: Mapping[Path, str], *, what: str, server: str = SERVER, pause: float = 1.0) -> None:
    """Fetch the files that are not there yet, four at a time, each under another name until it is whole.

    Args:
        files: Where each goes, and its path on the server.
        what: Names them in messages.
        server: As in `download`.
        pause: Seconds before the second attempt; doubled with every further one.

    Raises:
        ConnectionError: The server cannot be reached after four attempts, or lacks a file.
        ValueError: The disk is full, or the folder takes no files.
    """
    missing = {path: f"{server}/{quote(place)}" for path, place in files.items() if not path.is_file()}
    if not missing:
        return

    def fetch(path: Path) -> int:
        data = _retry(_read_whole, missing[path], pause=pause)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
        return len(data)

    pool = ThreadPoolExecutor(4)
    try:
        total = sum(pool.map(lambda url: _retry(_ask_size, url, pause=pause), missing.values()))
        here = f"; {len(files) - len(missing)} more are here already" if len(missing) < len(files) else ""
        said = f"{what}: {len(missing)} files, {total / 1e6:.1f} MB to fetch{here}."
        tqdm.write(said, file=sys.stderr)
        with tqdm(total=total, unit="B", unit_scale=True, desc=what, file=sys.stderr) as bar:
            for job in as_completed([pool.submit(fetch, path) for path in missing]):
                bar.update(job.result())
    finally:
        pool.shutdown(cancel_futures=True)  # after a failure, do not try the others too


def heal(fetch: Callable[[], None], use: Callable[[], T]) -> T:
    """Fetch what is missing, then use it; a file that proves spoilt is dropped and fetched, once.

    Raises:
        SpoiltError: It was spoilt again.
    """
    dropped: set[Path] = set()
    while True:
        fetch()
        try:
            return use()
        except SpoiltError as error:
            if dropped & set(error.paths):
                raise
            dropped |= set(error.paths)
            for path in error.paths:
                path.unlink(missing_ok=True)


def _retry(action: Callable[[str], T], url: str, *, pause: float) -> T:
    attempt = 1
    while True:
        try:
            return action(url)
        except (HTTPException, OSError) as error:  # URLError and timeouts are OSErrors
            refused = isinstance(error, HTTPError) and error.code < 500 and error.code != 429
            if refused or attempt == _ATTEMPTS:
                raise ConnectionError(_explain(url, error)) from error
        time.sleep(pause * 2 ** (attempt - 1))
        attempt += 1


def _explain(url: str, error: Exception) -> str:
    again = "run the command again, finished files are kept."
    if isinstance(error, HTTPError):
        return f"{url} answered {error.code} {error.reason}; wait a while and {again}"
    return f"Could not reach {url}; check the connection and {again}"


def _ask_size(url: str) -> int:
    with _open(url, "HEAD") as answer:
        return int(answer.headers.get("Content-Length") or 0)


def _read_whole(url: str) -> bytes:
    with _open(url, "GET") as answer:
        return answer.read()  # raises IncompleteRead when it is cut short


def _open(url: str, method: Literal["GET", "HEAD"]) -> HTTPResponse:
    return urlopen(Request(url, method=method, headers={"User-Agent": "iad"}), timeout=_TIMEOUT)
