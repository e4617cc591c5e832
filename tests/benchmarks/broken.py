"""Broken and hostile inputs by every way in: how many end in one clear sentence, and does any not?

    python -m tests.benchmarks.broken [--each 40] [--seed 0]

Files are damaged, words and numbers are wrong, calls are none. Each input goes through the command line,
Python and the page. It is clear where it ends in one sentence (exit code 2, a status from 400 to 499) and
leaves no file, taken where it is harmless after all; anything else is wrong: a traceback, a fault, an empty
sentence, half a file, a minute without an answer. A Markdown table is printed, and each wrong input on
stderr; the exit code is 1 if there is one.
"""

import argparse
import contextlib
import io
import json
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from app_server import API, META, Visitor, read_log, start_app
from made_up_broken import complain, damage, encode_pictures, encode_videos, make_png_head, write_gif

from iad import IaDPipeline, cli
from iad.batch.lines import BadLine, read_requests
from iad.batch.results import RESULTS
from iad.media.photos import load_image
from iad.media.provenance import verify
from iad.media.video import read_video
from iad.request import Request
from iad.text import parse_prompt

PHOTO = Path(__file__).parents[2] / "examples" / "person-003.png"
MOST_SECONDS = 60
STRANGE = (
    None, True, -1, 0, 1.5, 10**400, float("nan"), float("inf"), "", "words", "\0", "\ud800", "x" * 5000, [],
    [1], {}, {"path": "/etc/passwd"}, "../../a", "<img src=x onerror=alert(1)>", "$(id)", "[9-1s] nods",
    "[0-1s", "-1",
)  # fmt: skip
NAMES = ("seed", "identity_scale", "duration", "fps", "size", "num_frames", "arm", "motion", "face", "loop")
OPTIONS = (
    "--seed", "--identity-scale", "--duration", "--fps", "--size", "--frames", "--arm", "--face", "--device",
)  # fmt: skip
LABELS = (
    "Seed", "Identity strength", "Length (seconds)", "Method", "What happens", "Photo",
    "The action comes from",
)  # fmt: skip
VERIFIED = "A video or picture: mp4, mov, webm, gif, png, jpeg, webp, heic"  # a label, too
PATHS = (
    "call/verify", "call/nosuch", "call/v2/verify", "run/predict", "queue/join", "cancel", "component_server",
    "reset", "upload",
)  # fmt: skip
Outcome = str  # "clear", "taken", or what is wrong


def break_files(rng: random.Random, each: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, name and bytes of broken files."""
    pictures, videos = encode_pictures(), encode_videos()
    for kind, files, name in (("pictures", pictures, "a.jpg"), ("videos", videos, "a.mp4")):
        for k in range(each):
            edits = [(rng.random(), rng.randrange(256)) for _ in range(rng.randrange(12))]
            cut = rng.random() if rng.random() < 0.5 else None
            yield kind, name, damage(files[k % len(files)], edits, cut)
    with tempfile.TemporaryDirectory() as folder:
        many = write_gif(Path(folder) / "a.gif", frames=20_000).read_bytes()
    bombs = (b"", b"junk" * 99, b"PK\3\4", make_png_head(30_000, 30_000), make_png_head(9000, 9000), many)
    for data in bombs:
        yield "other files", "a.png", data


def judge(call: Callable[[], Outcome]) -> Outcome:
    """Return how a call ends; it has a minute."""

    def too_slow(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(MOST_SECONDS)
    try:
        return call()
    except BaseException as error:  # also what ends the process
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)


def in_python(*calls: Callable[[], Any]) -> Outcome:
    """Return "taken" if all calls succeed; `complain` fails where a sentence is not ours."""
    told = [complain(call) for call in calls]
    return "clear" if any(told) else "taken"


def on_command_line(words: list[str], output: Path) -> Outcome:
    """Run a command in this process, and look at its exit code, its words and what it leaves."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = cli.main(words)
        except SystemExit as stop:
            code = stop.code
    lines = [line for line in said.getvalue().replace("\r", "\n").splitlines() if line.strip()]
    left = [file.name for file in output.iterdir() if file.name != RESULTS]
    if code == 0:
        return "taken"
    if code != 2 or left or not lines or len(lines[-1]) < 20 or "Traceback" in said.getvalue():
        return f"exit code {code}, left {left}, {lines[-1:]}"
    return "clear"


def read_batch(file: Path) -> Outcome:
    """Read the requests of a file, of which each may be refused by itself."""
    found: list[Any] = []
    refused = complain(lambda: found.extend(read_requests(file, duration=2)))
    return "clear" if refused or any(isinstance(line, BadLine) and line.error for line in found) else "taken"


def on_page(status: int, words: str) -> Outcome:
    """Judge an answer of the page."""
    if status == 200:
        return "taken"
    sentence = words
    with contextlib.suppress(ValueError, KeyError, TypeError):
        sentence = json.loads(words)["error"]
    good = 400 <= status < 500 and sentence and len(sentence) > 15 and "Traceback" not in words
    return "clear" if good else f"status {status}: {words[:200]}"


class Inputs:
    """All inputs by all ways; `table` counts how they ended."""

    def __init__(self, seed: int, each: int):
        self.rng, self.each = random.Random(seed), each
        self.table: dict[tuple[str, str], Counter[str]] = {}
        self.work, self.out = (Path(tempfile.mkdtemp()) for _ in range(2))
        self.visitor = Visitor(start_app())
        IaDPipeline.create("tiny")  # so that no input's minute is spent on loading

    def note(self, kind: str, way: str, given: Any, call: Callable[[], Outcome]) -> None:
        """Try one input, and count how it ended."""
        outcome = judge(call)
        for file in self.out.iterdir():
            file.unlink()
        short = outcome if outcome in ("clear", "taken") else "wrong"
        self.table.setdefault((kind, way), Counter())[short] += 1
        if short == "wrong":
            print(f"{kind}, {way}, {given!r:.200}: {outcome}", file=sys.stderr)

    def generate(self, *words: str, photo: Path = PHOTO, prompt: str = "nods") -> Outcome:
        """Run `generate` with these words more."""
        asked = ["generate", "--reference", str(photo), "--prompt", prompt, "--model", "tiny"]
        asked += ["--duration", "0.1", "--output", str(self.out / "a.mp4")]
        return on_command_line([*asked, *words], self.out)

    def ask(self, name: str, **given: Any) -> Outcome:
        """Call an endpoint of the page by hand, with these values by their labels."""
        data = self.visitor.fill(name, **given)
        body = {"data": data, "session_hash": self.visitor.session, "fn_index": self.visitor.find(name)}
        head = {"Content-Type": "application/json"}
        answer = self.visitor.http.post(f"{API}/run/predict", content=json.dumps(body).encode(), headers=head)
        return on_page(answer.status_code, answer.text)

    def try_files(self) -> None:
        """Photos, videos, and what is neither."""
        for kind, name, data in break_files(self.rng, self.each):
            file = self.work / name
            file.write_bytes(data)
            if kind == "pictures":
                self.note(kind, "Python", data, lambda file=file: in_python(lambda: load_image(file)))
                self.note(kind, "command line", data, lambda file=file: self.generate(photo=file))
            else:
                look = (lambda file=file: verify(file)), (lambda file=file: read_video(file, 8))
                self.note(kind, "Python", data, lambda look=look: in_python(*look))
                words = ["verify", str(file)]
                self.note(kind, "command line", data, lambda words=words: on_command_line(words, self.out))
            if data:  # no browser sends an empty one
                self.note(kind, "page", data, lambda file=file: self.upload(file))

    def upload(self, file: Path) -> Outcome:
        """Bring a file, and let it be verified."""
        return self.ask("verify", **{VERIFIED: {"path": self.visitor.upload(file)} | META})

    def try_words(self) -> None:
        """Prompts, numbers and choices."""
        for name, option, label in zip(NAMES, OPTIONS, (*LABELS, None, None, None), strict=False):
            for value in STRANGE:
                call = lambda name=name, value=value: Request(PHOTO, "nods", **{name: value})  # noqa: E731
                self.note("settings", "Python", (name, value), lambda call=call: in_python(call))
                words = option, str(value).replace("\0", "")[:1000]
                self.note("settings", "command line", words, lambda words=words: self.generate(*words))
                if label:
                    given = {label: value}
                    self.note("settings", "page", given, lambda given=given: self.ask("generate", **given))
        for value in (value for value in STRANGE if isinstance(value, str)):
            self.note("prompts", "Python", value, lambda v=value: in_python(lambda: parse_prompt(v)))
            self.note("prompts", "command line", value, lambda v=value: self.generate(prompt=v))

    def try_batches(self) -> None:
        """Lines of a batch, each with a strange value, or cut short."""
        for number, value in enumerate(STRANGE * 2):
            key = ("reference", "prompt", "seed", "name", "format", "other")[number % 6]
            line = json.dumps({"reference": "a.png", "prompt": "nods"} | {key: value})
            file = self.work / "a.jsonl"
            file.write_text(line if number % 5 else line[: len(line) // 2])
            self.note("batches", "Python", line, lambda file=file: read_batch(file))
            words = ["batch", str(file), "--output", str(self.out), "--model", "tiny"]
            self.note("batches", "command line", line, lambda words=words: on_command_line(words, self.out))

    def try_calls(self) -> None:
        """Bodies of calls."""
        for path in PATHS:
            for number, value in enumerate(STRANGE):
                key = ("data", "fn_index", "session_hash", "event_id", "component_id")[number % 5]
                body = {"data": [None], "fn_index": 1, "session_hash": self.visitor.session} | {key: value}
                data = json.dumps(value if number % 3 == 0 else body).encode()
                self.note("calls", "page", (path, data), lambda path=path, data=data: self.call(path, data))

    def call(self, path: str, data: bytes) -> Outcome:
        """Post a body."""
        head = {"Content-Type": "application/json"}
        answer = self.visitor.http.post(f"{API}/{path}", content=data, headers=head)
        return on_page(answer.status_code, answer.text)


def print_table(table: dict[tuple[str, str], Counter[str]]) -> int:
    """Print how many of each kind ended how; returns how many were wrong."""
    print("| inputs | way | tried | clear | taken | wrong |\n|---|---|---|---|---|---|")
    whole = Counter()
    for (kind, way), counts in sorted(table.items()):
        whole += counts
        numbers = counts.total(), counts["clear"], counts["taken"], counts["wrong"]
        print(f"| {kind} | {way} | {' | '.join(map(str, numbers))} |")
    numbers = whole.total(), whole["clear"], whole["taken"], whole["wrong"]
    print(f"| all | | {' | '.join(map(str, numbers))} |")
    return whole["wrong"]


def main() -> int:
    """Try everything and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=40, help="broken files of a kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    inputs = Inputs(options.seed, options.each)
    for part in (inputs.try_files, inputs.try_words, inputs.try_batches, inputs.try_calls):
        part()
    if "Traceback" in read_log() or "A request failed" in read_log():
        inputs.note("the page's log", "page", "", lambda: f"it tells of a fault: {read_log()[-500:]}")
    return int(print_table(inputs.table) > 0)


if __name__ == "__main__":
    sys.exit(main())
