"""Photo -> Face: detected, landmarks found, aligned.

In comes a photo of any size, light and turn; out comes an aligned 128 x 128 crop, the affine map that made
it, and every doubt in a sentence. Photo coordinates are pixels with the centre of the first pixel at (0, 0),
y down. The framing is FFHQ's (Karras et al. 2019): eyes and mouth decide the square, so the roll of the head
is removed.

`detectors` holds the native detectors and keeps threads apart, `searching` looks for faces from the cheapest
look to the dearest, `framing` cuts squares, `finding` puts them together and writes the notes, and `gaze`
looks at eyes and for glasses.
"""

from iad.faces.finding import Face, Landmarker, find_face, track_face
from iad.faces.framing import CROP_SIZE, Box, alignment, crop
from iad.faces.gaze import wears_glasses
from iad.faces.searching import detect_faces
from iad.media.photos import load_image

__all__ = [
    "CROP_SIZE",
    "Box",
    "Face",
    "Landmarker",
    "alignment",
    "crop",
    "detect_faces",
    "find_face",
    "load_image",
    "track_face",
    "wears_glasses",
]
