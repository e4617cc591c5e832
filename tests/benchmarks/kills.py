"""Kill a training of every stage, or a batch of two workers, at random: does it end as if undisturbed?

    python -m tests.benchmarks.kills training [--kills 20] [--seed 0] [--steps 3]
    python -m tests.benchmarks.kills batch [--kills 20] [--seed 0]

Each kill is a SIGKILL of the whole group of processes, after a random share of what is left to do; then the
same command goes on. When one is done, another begins, until all kills are spent. Prints a line of JSON for
each that was done, and ends with exit code 1 where a file differs by a bit, is missing, doubled or half
written. Training needs the head and the photo people (docs/training.md).
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from iad.batch.results import RESULTS
from iad.cli import main as run_command


def start(words: list[str], log: Path) -> int:
    """Run a command in a process and a group of its own, which has what this one has imported."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        os._exit(run_command(words))


def end(child: int, *, after: float | None) -> bool:
    """Wait for a command, or kill it and all its helpers after so many seconds; tells whether it ended."""
    limit = time.monotonic() + (after or 1e9)
    while time.monotonic() < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise SystemExit(f"the command itself failed with {os.waitstatus_to_exitcode(status)}")
            return True
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def digest(folder: Path, pattern: str) -> dict[str, str]:
    """Digest the files of a folder by name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def words_of_training(output: Path, clips: Path | None, steps: int) -> list[str]:
    """Spell the training of everything; clips that are there already are used."""
    words = ["train", "mini", "--preset", "tiny", "--steps", str(steps), "--device", "cpu", "--resume"]
    return [*words, "--output", str(output), *(["--data", str(clips)] if clips else [])]


def tell_training(output: Path) -> dict[str, str]:
    """Digest the weights that a training left."""
    return digest(output / "tiny", "*.safetensors")


def write_requests(folder: Path, count: int) -> Path:
    """Write requests for short clips of one photo."""
    from skimage.data import astronaut

    from iad.media.video import save_picture

    save_picture(folder / "a.png", astronaut())
    lines = [
        json.dumps({"reference": "a.png", "prompt": "she smiles", "seed": k, "duration": 0.5})
        for k in range(count)
    ]
    (folder / "requests.jsonl").write_text("\n".join(lines))
    return folder / "requests.jsonl"


def words_of_batch(output: Path, requests: Path, workers: int) -> list[str]:
    """Spell a batch."""
    words = ["batch", str(requests), "--output", str(output), "--model", "tiny"]
    return [*words, "--workers", str(workers)]


def tell_batch(output: Path) -> dict[str, str]:
    """Digest clips, and what the results say of each but how long it took."""
    lines = [json.loads(line) for line in (output / RESULTS).read_text().splitlines()]
    told = {f"line {n}": json.dumps(line | {"seconds": 0}) for n, line in enumerate(lines)}
    return digest(output, "*.mp4") | told


def disturb(make_words, output: Path, *, whole: float, kills: int, rng: random.Random) -> Iterator[str]:
    """Run a command to its end, killed up to so many times; yields when and where each kill was."""
    for _ in range(kills):
        log, after = output.with_suffix(".log"), rng.uniform(0, whole / 3)
        if end(start(make_words(output), log), after=after):
            return
        stages = re.findall(r"^(?:Stage ')?([\w-]+)(?:' of|: [\d.]+ M trained)", log.read_text(), re.M)
        yield f"{after:.0f} s {stages[-1] if stages else ''}".strip()
    end(start(make_words(output), output.with_suffix(".log")), after=None)


def compare(make_words, tell, folder: Path, *, kills: int, seed: int) -> bool:
    """Disturb a command until all kills are spent; tells whether everything came out the same."""
    begun = time.monotonic()
    end(start(make_words(folder / "whole"), folder / "whole.log"), after=None)
    seconds, expected = time.monotonic() - begun, tell(folder / "whole")
    print(json.dumps({"undisturbed, s": round(seconds, 1), "compared": len(expected)}), flush=True)
    rng, right, spent = random.Random(seed), True, 0
    while spent < kills:
        output = folder / f"after-{spent}"
        at = list(disturb(make_words, output, whole=seconds, kills=kills - spent, rng=rng))
        spent += len(at)
        found, halves = tell(output), [path.name for path in output.rglob("*.part*")]
        wrong = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        right &= not (wrong or halves)
        line = {"kills": len(at), "at": at, "differs": wrong, "halves": halves}
        print(json.dumps(line), flush=True)
        shutil.rmtree(output)
    print(json.dumps({"kills": spent, "all the same": right}), flush=True)
    return right


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("training", "batch"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3, help="of every stage of a training")
    given = parser.parse_args()
    import iad.batch.making
    import iad.training.whole  # noqa: F401 (so that no process need import it again)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.what == "training":
            clips = folder / "whole" / "clips"
            words = lambda output: words_of_training(  # noqa: E731
                output, clips if output.name != "whole" else None, given.steps
            )
            same = compare(words, tell_training, folder, kills=given.kills, seed=given.seed)
        else:
            requests = write_requests(folder, 8)
            words = lambda output: words_of_batch(output, requests, 2)  # noqa: E731
            same = compare(words, tell_batch, folder, kills=given.kills, seed=given.seed)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
