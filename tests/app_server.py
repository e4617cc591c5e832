"""Runs the app as a visitor meets it: `python app.py` in a process of its own, with the tiny model.

Not in the tests' own process: gradio looks at functions to tell generators, and the shape checks wrap them.
"""

import atexit
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]


_running: dict[str, subprocess.Popen] = {}


def start_app() -> str:
    """Start the app, once for all tests as long as it lives, and return its address; it ends with them."""
    for address, process in _running.items():
        if process.poll() is None:
            return address
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"IAD_MODEL": "tiny", "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": tempfile.mkdtemp()}
    log = tempfile.TemporaryFile()  # noqa: SIM115 (as long-lived as the process)
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT
    )
    atexit.register(process.terminate)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(240):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(address, timeout=5).close()
            _running[address] = process
            return address
        except OSError:
            time.sleep(0.5)
    log.seek(0)
    raise RuntimeError(f"The app did not start: {log.read().decode()[-2000:]}")
