"""Made-up data for tests: a pool of clips with the right files and no faces in it."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import Image

ASTRONAUT = Path(skimage.data.__file__).parent / "astronaut.png"  # a real photo, in the public domain


def cut_portrait() -> Path:
    """Cut the head of the astronaut into a JPEG of 256x256 pixels."""
    path = Path(tempfile.mkdtemp()) / "portrait.jpg"
    Image.open(ASTRONAUT).convert("RGB").crop((96, 0, 352, 256)).save(path, quality=95)
    return path


def draw_wall(path: Path) -> None:
    """Draw a picture without a face; it is narrow, because all of it is searched, at every scale and roll."""
    Image.new("RGB", (480, 48), "gray").save(path)


def make_pool(folder: Path, *, groups: int = 3, frames: int = 16, size: int = 128) -> Path:
    """Write one shard: `groups` groups of four clips of coloured blobs."""
    rng = np.random.default_rng(0)
    clips, tracks, marks, portraits, records = [], [], [], [], []
    for group in range(groups):
        takes = [rng.random((frames, 60)).astype(np.float32) * 0.5 for _ in range(2)]
        for slot in range(2):
            base = cv2.resize(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), (size, size))
            for take in range(2):
                lift = (takes[take][:, :1, None, None] * 80).astype(np.uint8)
                clips.append(np.broadcast_to(base // 2, (frames, size, size, 3)) + lift)
                tracks.append(takes[take])
                marks.append(rng.random((frames, 68, 2)).astype(np.float32))
                portraits.append(base // 2)
                records.append(_record(group, slot, take, len(records)))
    folder.mkdir(parents=True, exist_ok=True)
    arrays_of = {"frames": clips, "tracks": tracks, "landmarks": marks, "portraits": portraits}
    for name, arrays in arrays_of.items():
        np.save(folder / f"00000.{name}.npy", np.stack(arrays))
    (folder / "00000.jsonl").write_text("\n".join(json.dumps(r) for r in records) + "\n")
    return folder


def _record(group: int, slot: int, take: int, row: int) -> dict:
    action = ("smile", "nod", "frown")[(group + take) % 3]
    parts = [(0.0, 1.0), (1.0, 2.0)] if take else [(0.0, 2.0)]
    return {
        "kind": "photo",
        "person": 10 * group + slot,
        "held_out": False,
        "identity": f"photo-{group}-{slot}",
        "captions": [f"she does {action}", f"a person does {action}"],
        "segments": [
            {"actions": [action], "start": a, "end": b, "prompt": f"does {action} {k}"}
            for k, (a, b) in enumerate(parts)
        ],
        "group": group,
        "slot": slot,
        "take": take,
        "shard": "00000",
        "row": row,
    }
