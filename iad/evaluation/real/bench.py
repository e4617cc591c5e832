"""What a case needs: the model, the judge, things to draw over faces, and drivers made on the spot."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.evaluation.real import mesh, subject
from iad.evaluation.real.asked import ACTIONS, LOOKS
from iad.evaluation.real.measures import measure

Picture = UInt8[np.ndarray, "_ _ 3"]  # pictures of several sizes meet here


@dataclass(frozen=True)
class Outcome:
    """What came out of a case.

    Attributes:
        right: True or False, by the automatic check; None where only the sheet can tell.
        said: what came out, in a few words.
        strips: frames for the sheet.
    """

    right: bool | None
    said: str
    strips: list[UInt8[np.ndarray, "_ _ _ 3"]] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """The model on trial and what it is tried with.

    Attributes:
        model: its name or folder, for the command line.
        folder: where drivers are written.
        video: frames of the real video and their rate; None where there is none.
    """

    pipe: object
    model: str
    folder: Path
    astronaut: Picture
    hopper: Picture
    video: tuple[UInt8[np.ndarray, "f _ _ 3"], float] | None

    def animate(self, reference, prompt: str = "", **options) -> subject.Clip:
        """Make a clip, thinned out to what is judged."""
        return subject.animate(self.pipe, reference, prompt, **options).sample(LOOKS)

    def see(self, clip: subject.Clip) -> dict[str, Float[np.ndarray, " f"]]:
        """Measure a clip."""
        return measure(mesh.load_judge()(clip.frames))

    def own(self, picture: Picture) -> dict[str, float]:
        """Measure a photo."""
        return {name: float(v[0]) for name, v in measure(mesh.load_judge()([picture])).items()}

    def shows(self, clip: subject.Clip, photo: Picture, action: str) -> bool:
        """Tell whether the judge sees one of the asked actions happen."""
        seen = self.see(clip)
        return bool(
            np.isfinite(seen["mouth"]).mean() > 0.5 and ACTIONS[action].judge(seen, self.own(photo))[1]
        )

    def detected(self, clip: subject.Clip) -> float:
        """Return the share of frames in which the judge sees a face."""
        return float(np.isfinite(self.see(clip)["mouth"]).mean())


def cover(picture: Picture, box: tuple[int, int, int, int], colour) -> Picture:
    """Lay a plain card (left, top, right, bottom) over a picture."""
    left, top, right, bottom = box
    picture = picture.copy()
    picture[top:bottom, left:right] = colour
    return picture


def tilt(picture: Picture, degrees: float) -> Picture:
    """Turn a picture about its middle."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def write_video(path: Path, frames, times: Float[np.ndarray, " f"]) -> Path:
    """Write frames at given times (seconds), however uneven."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        height, width = (side // 2 * 2 for side in frames[0].shape[:2])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "12", "bf": "0"}
        for frame, time in zip(frames, times, strict=True):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            picture.pts, picture.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def sharpness(pictures: UInt8[np.ndarray, "f h w 3"]) -> Float[np.ndarray, " f"]:
    """Measure how much fine detail the middle of each picture holds."""
    height, width = pictures.shape[1:3]
    middle = pictures[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    return np.array([cv2.Laplacian(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var() for p in middle])
