"""What the dearest requests take: megabytes above the loaded model, and seconds of a core. Linux only.

    python -m tests.benchmarks.memory [--only WORDS]

Each request runs in a process of its own, after a first small clip. A line of JSON is printed for each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from PIL import Image

from iad import IaDPipeline
from iad.media.video import save

SMALL = {"prompt": "nods", "duration": 1}
REQUESTS = {
    "a 40-megapixel photo": ("photo", {"prompt": "nods"}),
    "the same, pasted back": ("photo", {"prompt": "nods", "paste_back": True}),
    "eight 40-megapixel photos": ("photos", {"prompt": "nods"}),
    "10 s of 1024 pixels": ("astronaut", {"prompt": "nods", "duration": 10, "size": 1024}),
    "10 s of 1024 pixels at 60 a second": (
        "astronaut", {"prompt": "nods", "duration": 10, "size": 1024, "fps": 60},
    ),
    "10 s of a 4K video at 60 a second that drives": ("astronaut", {"action_reference": "4K"}),
}  # fmt: skip


def make_photo(path: Path) -> Path:
    """Write the astronaut, enlarged to 40 megapixels."""
    Image.fromarray(skimage.data.astronaut()).resize((6300, 6300)).save(path, quality=92)
    return path


def make_video(path: Path, *, seconds: int = 10) -> Path:
    """Write 4K video of the astronaut, who sways."""
    large = cv2.resize(skimage.data.astronaut(), (2400, 2400))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("h264", rate=60, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 3840, 2160, "yuv420p"
        for k in range(60 * seconds):
            place = np.float32([[1, 0, 700 + 60 * np.sin(k / 20)], [0, 1, -60]])
            frame = cv2.warpAffine(large, place, (3840, 2160), borderMode=cv2.BORDER_REPLICATE)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    return path


def read_status(name: str) -> float:
    """Read a size of this process in megabytes."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) / 1000


def measure(name: str, folder: Path) -> dict[str, float | list[int]]:
    """Make one request in this process, and save what comes of it."""
    shown, asked = REQUESTS[name]
    pipe = IaDPipeline.from_pretrained("mini")
    pipe(reference=skimage.data.astronaut(), **SMALL)
    kinds = {"photo": str(folder / "photo.jpg"), "astronaut": skimage.data.astronaut()}
    reference = [kinds["photo"]] * 8 if shown == "photos" else kinds[shown]
    if "action_reference" in asked:
        asked = asked | {"action_reference": str(folder / "video.mp4")}
    Path("/proc/self/clear_refs").write_text("5")  # the highest size begins anew
    idle, begun = read_status("VmRSS"), time.process_time()
    result = pipe(reference=reference, **asked)
    save(folder / "clip.mp4", result.frames, result.fps, label=True)
    return {
        "MB above idle": round(read_status("VmHWM") - idle),
        "seconds of a core": round(time.process_time() - begun, 1),
        "frames": list(result.frames.shape[:3]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="of what is measured, what has these words")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure(options.only, options.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        asked = {name: request for name, request in REQUESTS.items() if options.only in name}
        if any("photo" in shown for shown, _ in asked.values()):
            make_photo(Path(folder) / "photo.jpg")
        if any("action_reference" in more for _, more in asked.values()):
            make_video(Path(folder) / "video.mp4")
        for name in asked:
            command = [sys.executable, "-m", "tests.benchmarks.memory", "--only", name, "--folder", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found = json.loads(done.stdout) if done.returncode == 0 else done.stderr[-300:]
            print(json.dumps({name: found}), flush=True)


if __name__ == "__main__":
    main()
