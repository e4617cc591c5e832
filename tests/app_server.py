"""Runs the app as a visitor meets it: `python app.py` in a process of its own, and callers with raw requests.

Not in the tests' own process: gradio looks at functions to tell generators, and the shape checks wrap them.
"""

import atexit
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
API = "gradio_api"
META = {"meta": {"_type": "gradio.FileData"}}

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
    process.wait(60)
    return cache


def read_log(**settings: str) -> str:
    """Return what an app with these settings has printed."""
    return _logs[tuple(sorted(settings.items()))].read_text()


def find_process(**settings: str) -> int:
    """Return the number of the process of an app with these settings."""
    return _running[tuple(sorted(settings.items()))][2].pid


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
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(address, timeout=5).close()
            _running[key] = (address, cache, process)
            return address, cache
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"The app did not start: {_logs[key].read_text()[-2000:]}")


class Visitor:
    """A caller of the raw interface, with cookies of its own."""

    def __init__(self, address):
        self.http = httpx.Client(
            base_url=address, timeout=300, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.config = self.http.get("config").json()
        self.session = secrets.token_hex(6)
        self.parts = {part["id"]: part["props"] for part in self.config["components"]}

    def upload(self, file, name=None):
        answer = self.http.post(
            f"{API}/upload", files=[("files", (name or Path(file).name, Path(file).read_bytes()))]
        )
        assert answer.status_code == 200, answer.text
        return answer.json()[0]

    def find(self, name):
        """Find an event by its public name, or "look" for the one that outlines faces."""
        photo = next(i for i, props in self.parts.items() if props.get("elem_id") == "photo")
        for event in self.config["dependencies"]:
            if event["api_name"] == name or (name == "look" and event["targets"] == [[photo, "change"]]):
                return event["id"]
        raise LookupError(name)

    def fill(self, name, **given):
        """Return the data of an event, as its page opens with, but for what is given by label."""
        event = next(e for e in self.config["dependencies"] if e["id"] == self.find(name))
        props = [self.parts[i] for i in event["inputs"]]
        return [given.get(p.get("label"), p.get("value")) for p in props]

    def ask(self, name, data, way="queue"):
        """Call an event; returns the answer's text."""
        body = {"data": data, "session_hash": self.session}
        if way == "run":
            return self.http.post(f"{API}/run/predict", json=body | {"fn_index": self.find(name)}).text
        if way == "call":
            body.pop("session_hash")
            event = self.http.post(f"{API}/call/{name}", json=body)
            if event.status_code != 200:
                return event.text
            return self._listen(f"{API}/call/{name}/{event.json()['event_id']}", "event: (complete|error)")
        joined = self.http.post(f"{API}/queue/join", json=body | {"fn_index": self.find(name)})
        if joined.status_code != 200:
            return joined.text
        return self._listen(f"{API}/queue/data?session_hash={self.session}", "process_completed|close_stream")

    def _listen(self, path, until):
        lines = []
        with self.http.stream("GET", path) as stream:
            for line in stream.iter_lines():
                lines.append(line)
                if re.search(until, line) and "event:" not in line:
                    break
                if line.startswith("data:") and lines[-2:-1] and re.search(until, lines[-2]):
                    break
        return json.dumps("\n".join(lines), ensure_ascii=False).replace("\\\\", "\\")

    def fetch(self, path, **headers):
        return self.http.get(f"{API}/file={path}", headers=headers)
