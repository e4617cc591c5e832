"""Runs the app as a visitor meets it: `python app.py` in a process of its own, with the tiny model.

Not in the tests' own process: gradio looks at functions to tell generators, and the shape checks wrap them.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]


_running: dict[tuple, tuple[str, Path, subprocess.Popen]] = {}
_logs: dict[tuple, Path] = {}


def start_app(**settings: str) -> str:
    """Start the app, once for all tests as long as it lives, and return its address; it ends with them.

    Args:
        settings: more variables of its environment; other settings, another process.
    """
    return _find_app(settings)[0]


def stop_app(way: int = signal.SIGKILL, **settings: str) -> Path:
    """End the app with these settings, whatever it is doing; returns the folder of its cache."""
    _, cache, process = _running.pop(tuple(sorted(settings.items())))
    process.send_signal(way)
    process.wait(30)
    return cache


def read_log(**settings: str) -> str:
    """Return what an app with these settings has printed."""
    return _logs[tuple(sorted(settings.items()))].read_text()


def list_cache(**settings: str) -> list[Path]:
    """List the files that an app with these settings keeps for its visitors."""
    return [path for path in _find_app(settings)[1].rglob("*") if path.is_file()]


def _find_app(more: dict[str, str]) -> tuple[str, Path]:
    key = tuple(sorted(more.items()))
    if key in _running and _running[key][2].poll() is None:
        return _running[key][:2]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cache = Path(more.get("GRADIO_TEMP_DIR") or tempfile.mkdtemp())
    settings = {"IAD_MODEL": "tiny", "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(cache)} | more
    _logs[key] = cache.with_suffix(".log")
    with _logs[key].open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    atexit.register(process.terminate)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(240):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(address, timeout=5).close()
            _running[key] = (address, cache, process)
            return address, cache
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"The app did not start: {_logs[key].read_text()[-2000:]}")
