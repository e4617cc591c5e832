"""Many visitors of the app at once, for minutes: are all answered rightly, and is nothing left behind?

    python -m tests.benchmarks.soak [--seconds S] [--clients 16] [--browsers 0] [--model M] [--app D]

Each caller of the raw interface uploads photos, asks for clips, faces and verdicts; some cancel, some leave
in the middle, some send nonsense. An answer counts as wrong that is not the one which the same request got
alone, before the others came. One JSON object is printed: requests, failed, wrong, the middle of how long a
clip took, and what the app's process held every few seconds: memory, open handles, threads, files.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
import app_server
from app_server import API, META, Visitor, find_process, list_cache, start_app

CLIP = "person-131.mp4"
PHOTOS = ("person-099.png", "person-131.png")
PROMPTS = ("nods", "[0-0.5s] smiles [0.5-1s] closes the eyes")
NONSENSE = (
    {"Seed": None}, {"Identity strength": "one"}, {"What happens": []}, {"Photo": {"path": "/etc/passwd"}},
)  # fmt: skip
EVERY = 5  # seconds between two looks at the process
PATIENCE = 300_000  # milliseconds for which a browser waits; it has what the app leaves of the processor
KEPT = 150  # seconds that files are kept; longer than anybody waits for a clip
SETTLED = 120  # seconds after which memory should grow no more


@dataclass
class Tally:
    """What happened so far."""

    alone: dict[str, Any] = field(default_factory=dict)  # the right answers
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # that each clip took

    def judge(self, key: str, answer: Any) -> None:
        """Count an answer, and compare it with the one that was given alone."""
        kind = key.split()[0]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if isinstance(answer, str) and answer.startswith("failed"):
            self.failed.append(f"{key}: {answer[-300:]}")
        elif self.alone.setdefault(key, answer) != answer:
            self.wrong.append(key)


def find_file(answer: str, suffix: str) -> str | None:
    """Find the path of a file in an answer."""
    found = re.search(rf'"path": ?"([^"]*{suffix})"', answer)
    return found and found[1]


class Caller:
    """One visitor, who asks for one thing after the other."""

    def __init__(self, address: str, tally: Tally, seed: int):
        self.address, self.tally, self.random = address, tally, random.Random(seed)
        self.examples = app_server.ROOT / "examples"

    def come(self) -> None:
        """Open the page anew."""
        self.visitor = Visitor(self.address)

    def _fill(self, name: str, **given: Any) -> list[Any]:
        visitor = self.visitor
        data = visitor.fill(name, **given)
        event = next(e for e in visitor.config["dependencies"] if e["id"] == visitor.find(name))
        consent = next(i for i, p in visitor.parts.items() if p.get("elem_id") == "consent")
        return [True if i == consent else x for i, x in zip(event["inputs"], data, strict=True)]

    def _upload(self, name: str) -> dict[str, Any]:
        file = next(self.examples.rglob(name))
        return {"path": self.visitor.upload(file)} | META

    def clip(self, photo: str, prompt: str) -> None:
        """Ask for a clip, fetch it and compare its pictures."""
        asked = {"Photo": self._upload(photo), "What happens": prompt, "Length (seconds)": 1}
        data = self._fill("generate", **asked)
        began = time.monotonic()
        answer = self.visitor.ask("generate", data).replace("\\", "")
        self.tally.seconds.append(time.monotonic() - began)
        path = find_file(answer, r"\.mp4")
        found = self.visitor.fetch(path) if path else None
        good = found is not None and found.status_code == 200
        self.tally.judge(f"clip {photo} {prompt}", _digest(found.content) if good else f"failed {answer}")

    def look(self, photo: str) -> None:
        """Let the faces of a photo be outlined."""
        answer = self.visitor.ask("look", [self._upload(photo), True])
        found = re.findall(r"data:image/webp;base64,[^\"\\]*|style=[^>]*left:[^\"]*", answer)
        self.tally.judge(f"look {photo}", _digest("".join(found).encode()) if found else f"failed {answer}")

    def verify(self) -> None:
        """Let a clip be judged."""
        answer = self.visitor.ask("verify", [self._upload(CLIP)], "run")
        ok = '"made_here"' in answer
        self.tally.judge("verify", json.loads(answer)["data"] if ok else f"failed {answer}")

    def mistake(self) -> None:
        """Send nonsense, to be told so."""
        filled = {"Photo": self._upload(PHOTOS[0]), "What happens": "nods"} | self.random.choice(NONSENSE)
        data, way = self._fill("generate", **filled), self.random.choice(("run", "call"))
        answer = self.visitor.ask("generate", data, way)
        told = re.search(r'error[\\": ]+[A-Z][^"]{20,}', answer)
        self.tally.judge("mistake", "told" if told else f"failed {answer}")

    def leave(self, *, cancel: bool) -> None:
        """Begin a clip, and cancel it, or close the page."""
        visitor = self.visitor
        body = {"session_hash": visitor.session, "fn_index": visitor.find("generate")}
        photo = self._upload(PHOTOS[0])
        data = self._fill("generate", Photo=photo, **{"What happens": "laughs", "Length (seconds)": 5})
        with visitor.http.stream("GET", f"{API}/heartbeat/{visitor.session}") as heart:
            next(heart.iter_lines())
            event = visitor.http.post(f"{API}/queue/join", json=body | {"data": data})
            time.sleep(self.random.uniform(0.1, 3))
            if cancel and event.status_code == 200:
                visitor.http.post(f"{API}/cancel", json=body | event.json())
        self.tally.judge("leave", "left" if event.status_code == 200 else f"failed {event.text}")
        self.come()

    def go_on(self, until: float) -> None:
        """Ask until the time is over."""
        self.come()
        while time.monotonic() < until:
            kind = self.random.random()
            try:
                if kind < 0.45:
                    self.clip(self.random.choice(PHOTOS), self.random.choice(PROMPTS))
                elif kind < 0.65:
                    self.look(self.random.choice(PHOTOS))
                elif kind < 0.75:
                    self.verify()
                elif kind < 0.87:
                    self.mistake()
                else:
                    self.leave(cancel=kind < 0.94)
                if self.random.random() < 0.2:
                    self.come()
            except (httpx.HTTPError, ValueError, KeyError, AssertionError) as error:
                self.tally.failed.append(f"{type(error).__name__}: {str(error)[:300]}")
                self.come()  # an answer that is still under way would be taken for the next one's


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.cache
def write_browser() -> Path:
    """Write a command that starts a browser of low priority: visitors draw their pages elsewhere."""
    path = Path(tempfile.mkdtemp()) / "chromium"
    # Linux shares out a processor by session first, and each browser has a session of its own
    lowest = "{ echo 19 > /proc/self/autogroup; } 2>/dev/null"
    path.write_text(f'#!/bin/sh\n{lowest}\nexec nice -n 15 {shutil.which("chromium")} "$@"\n')
    path.chmod(0o755)
    return path


def browse(address: str, until: float, tally: Tally) -> None:
    """Use the page in a browser, and close it in the middle every other time."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=write_browser(), args=["--no-sandbox"])
        for k in range(10_000):
            if time.monotonic() > until:
                break
            page = browser.new_context().new_page()
            page.set_default_timeout(PATIENCE)
            try:
                page.goto(address)
                page.locator("#examples button").nth(k % 2).click()
                page.wait_for_timeout(1000)
                page.click("#generate")
                if k % 2:
                    page.wait_for_timeout(1500)
                else:
                    page.wait_for_selector("#download-mp4")
                tally.judge("page", "used")
            except Error as error:
                tally.judge("page", f"failed {str(error)[:200]}")
            page.context.close()
        browser.close()


def watch(process: psutil.Process, settings: dict[str, str]) -> dict[str, float]:
    """Look at what the app holds."""
    files = {*list_cache(**settings), *(f for f in Path(settings["TMPDIR"]).rglob("*") if f.is_file())}
    stops = [file for file in files if file.parent.name == "runs" or file.name.startswith("iad-stop")]
    return {
        "MB": round(process.memory_info().rss / 1e6),
        "handles": process.num_fds(),
        "threads": process.num_threads(),
        "files": len(files),
        "stops": len(stops),
    }


def soak(*, seconds: float, clients: int, browsers: int = 0, model: str = "mini") -> dict[str, Any]:
    """Let everybody come at once; returns what is printed."""
    settings = {"IAD_MODEL": model, "IAD_KEPT_SECONDS": str(KEPT), "TMPDIR": tempfile.mkdtemp()}
    address, tally, seen = start_app(**settings), Tally(), []
    process = psutil.Process(find_process(**settings))
    first = Caller(address, tally, 0)
    first.come()
    for photo in PHOTOS:
        first.look(photo)
        for prompt in PROMPTS:
            first.clip(photo, prompt)
    first.verify()
    alone, before = dict(tally.alone), watch(process, settings)
    tally.seconds.clear()
    tally.counts.clear()
    began = time.monotonic()
    until = began + seconds
    callers = [Caller(address, tally, 1 + k).go_on for k in range(clients)]
    callers = [threading.Thread(target=call, args=[until]) for call in callers]
    callers += [threading.Thread(target=browse, args=[address, until, tally]) for _ in range(browsers)]
    for caller in callers:
        caller.start()
    while any(caller.is_alive() for caller in callers):
        time.sleep(EVERY)
        with contextlib.suppress(psutil.Error):
            seen.append({"second": round(time.monotonic() - began)} | watch(process, settings))
    time.sleep(KEPT + 40)  # until all is gone that was promised to go
    after, alive = watch(process, settings), process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    settled = [row["MB"] for row in seen if row["second"] >= min(SETTLED, seconds / 2)]
    third = max(1, len(settled) // 3)  # a single look sees one clip more or less
    early, late = settled[:third], settled[-third:]
    return {
        "requests": sum(tally.counts.values()), "kinds": tally.counts, "alive": alive,
        "failed": len(tally.failed), "wrong": len(tally.wrong),
        "p50 seconds of a clip": round(statistics.median(tally.seconds), 2) if tally.seconds else None,
        "memory grew by": round(statistics.median(late) / statistics.median(early) - 1, 3),
        "most MB": max(row["MB"] for row in seen), "before": before, "after": after,
        "told": sorted(set(tally.failed))[:12], "wrong ones": tally.wrong[:8], "alone": len(alone),
        "over time": seen[:: max(1, len(seen) // 12)],
    }  # fmt: skip


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--browsers", type=int, default=0)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--app", type=Path, help="another checkout, to compare with")
    options = vars(parser.parse_args())
    if app := options.pop("app"):
        app_server.ROOT = app.resolve()
        os.chdir(app)
    print(json.dumps(soak(**options), indent=1))


if __name__ == "__main__":
    main()
