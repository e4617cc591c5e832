"""Do the oldest versions that requirements.txt names work? Installs and tests them, apart from all else.

    python -m tests.benchmarks.oldest [--try-only] [tests/test_x.py ...]

Makes an environment in a folder of the system's choice (some GB), installs of every package that
requirements.txt and requirements-dev.txt name the lower bound (of 4.10 the newest 4.10.x), and runs a few
tests with it. With `--try-only` pip says whether these versions go together. Exit code 0 where all went well.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("requirements.txt", "requirements-dev.txt")
TESTS = ("tests/test_pipeline.py", "tests/test_video.py", "tests/test_cases.py", "tests/test_training.py")


def list_oldest() -> list[str]:
    """Name of every package the lowest version that is asked for, as pip's constraints."""
    lines = [line for file in FILES for line in (ROOT / file).read_text().splitlines()]
    bounds = [re.match(r"([\w.-]+)>=([\w.]+)", line) for line in lines]
    return [f"{bound[1]}=={bound[2]}.*" for bound in bounds if bound]


def main() -> int:
    """Read the command line, install and test."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tests", nargs="*", default=TESTS)
    parser.add_argument("--try-only", action="store_true", help="install nothing, ask pip alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "oldest.txt").write_text("\n".join(list_oldest()))
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = str(folder / "venv" / "bin" / "python")
        words = [word for file in FILES for word in ("-r", str(ROOT / file))]
        install = [python, "-m", "pip", "install", *words, "-c", str(folder / "oldest.txt")]
        code = subprocess.run([*install, *(["--dry-run"] if given.try_only else [])]).returncode
        if code or given.try_only:
            return code
        return subprocess.run([python, "-m", "pytest", "-q", "-x", *given.tests], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
