"""Any picture file -> upright RGB pixels.

In comes a path, a PIL picture or an array, from anybody; out comes a uint8 array. Everything that can be
wrong with an upload ends here, with a sentence: nothing is fetched, unpickled or decoded before its size is
known, and no metadata gets through.
"""

import io
import math
import os
import re
import struct
import warnings
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import ExifTags, Image, ImageCms

from iad.media.files import find_file
from iad.media.provenance import DAMAGE, MOST_PIXELS

SMALLEST_SIDE = 48
LARGEST_SIDE = 16_384  # OpenCV's warps end at 32,767
MOST_BYTES = 30_000_000
FORMATS = ("JPEG", "PNG", "WEBP")  # that Pillow reads by itself; HEIC, which phones write, needs pillow-heif
READ = "a JPEG, PNG, WebP or HEIC"  # in words
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")  # what follows ftyp in its first bytes
_BROKEN = (*DAMAGE, ValueError, RuntimeError)  # libheif's own are RuntimeErrors
_NO_WHITE = ("I", "F", "La")  # of Pillow's modes
# Values of the camera's orientation; an 8 was turned left.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
DARK, LIT = 28.0, 100.0  # luminance of a face that is brightened, and what it becomes

ImageSource = str | os.PathLike | Image.Image | np.ndarray


def load_image(source: ImageSource) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photo upright and without its metadata.

    Args:
        source: a JPEG, PNG, WebP or HEIC file, a PIL picture, or a uint8 array of 1, 3 or 4 channels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a picture, or too large, too small or damaged.
    """
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source), "the array")
    if isinstance(source, Image.Image):
        _check_size(source.size, "the picture")
        return _to_rgb(source, "the picture")
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"A photo is a path, a PIL picture or a uint8 array, got {type(source).__name__}; convert it."
        )
    if re.match(r"[a-z][a-z0-9+.-]+://|data:", os.fspath(source), re.IGNORECASE):
        raise ValueError(
            "Photos are not fetched from URLs; download the picture and give the path of the file."
        )
    path = Path(source)
    return _decode(_read_bytes(path), f"'{path.name}'")


def _read_bytes(path: Path) -> bytes:
    size = find_file(path, f"{READ} photo").stat().st_size
    if size > MOST_BYTES:
        raise ValueError(
            f"'{path.name}' has {size / 1e6:.0f} MB, at most {MOST_BYTES // 10**6} are read; save it smaller."
        )
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise ValueError(f"'{path}' may not be read; change its permissions.") from error


def _decode(data: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    if data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK"):
        raise ValueError(f"{name} is a pickle or an archive, which is never opened; give {READ} photo.")
    heic = data[4:8] == b"ftyp" and data[8:12] in _HEIC
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if not (heic or webp or data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))):
        raise ValueError(f"{name} is not {READ} picture; convert it to one of these.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = _open_heic(data) if heic else Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(_too_large(name, "")) from error
    except _BROKEN as error:
        raise ValueError(f"{name} is damaged and cannot be opened; save the photo again.") from error
    _check_size(picture.size, name)
    return _to_rgb(picture, name)


def _open_heic(data: bytes) -> Image.Image:
    """Open a phone's photo, which libheif turns upright by itself."""
    from pillow_heif import HeifImageFile

    for size in re.finditer(rb"ispe\0{4}(.{8})", data, re.DOTALL):  # of what it is cut from, too
        if math.prod(struct.unpack(">II", size[1])) > MOST_PIXELS:
            raise Image.DecompressionBombError
    return HeifImageFile(io.BytesIO(data))


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if min(size) < SMALLEST_SIDE:
        raise ValueError(
            f"{name} has {width} x {height} pixels; a photo needs at least {SMALLEST_SIDE} on each side."
        )
    if width * height > MOST_PIXELS or max(size) > LARGEST_SIDE:
        raise ValueError(_too_large(name, f", {width} x {height}"))


def _too_large(name: str, size: str) -> str:
    return (
        f"{name} is too large{size}; a photo may have {MOST_PIXELS // 10**6} megapixels "
        f"and {LARGEST_SIDE} pixels a side: save it smaller."
    )


def _from_array(array: Shaped[np.ndarray, "..."]) -> Image.Image:
    if array.dtype != np.uint8:
        raise ValueError(
            f"A photo array must be uint8, got {array.dtype}; scale it to 0..255 and convert it."
        )
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        raise ValueError(
            f"A photo array must be (height, width, 3), got {array.shape}; give a single RGB picture."
        )
    _check_size((array.shape[1], array.shape[0]), "the array")
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _to_rgb(picture: Image.Image, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decode, turn upright, lay transparency on white."""
    if picture.mode in _NO_WHITE:
        mode = picture.mode
        raise ValueError(f"{name} is of mode {mode}, which has no white of its own; convert it to RGB.")
    try:
        picture.load()
        turn = _UPRIGHT.get(_find_orientation(picture))
        picture = picture if turn is None else picture.transpose(turn)
        if picture.mode.startswith("I;16"):  # PIL would clip 16 bits instead of scaling them
            picture = Image.fromarray((np.asarray(picture, np.uint16) >> 8).astype(np.uint8))
        picture = _to_srgb(picture)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))
    except _BROKEN as error:
        raise ValueError(f"{name} is damaged or cut short; save or download the photo again.") from error


def _to_srgb(picture: Image.Image) -> Image.Image:
    """Turn colours of a phone or a press into those of any screen, where the file says what they are.

    A profile that cannot be read, or is another kind of picture's, says nothing.
    """
    profile = picture.info.get("icc_profile")
    if not profile:
        return picture
    if picture.mode == "P":
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(own):
            return picture
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(picture, own, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, *_BROKEN):
        return picture


def _find_orientation(picture: Image.Image) -> int | None:
    """Read how the camera was held; notes that cannot be read say nothing, and the pixels may be whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about the notes
        try:
            found = picture.getexif().get(ExifTags.Base.Orientation)
        except _BROKEN:
            return None
    return found if isinstance(found, int) else None


def luminance(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Return the brightness of each pixel as an eye weighs it, 0 to 255."""
    return image @ np.array([0.299, 0.587, 0.114])


def gain_for(level: float) -> float:
    """Return the gain for `brighten` that makes this luminance that of a lit face; 1 where it is not dark."""
    return 1.0 if level >= DARK else LIT / max(level, 1.0)


def brighten(image: UInt8[np.ndarray, "h w 3"], gain: float) -> UInt8[np.ndarray, "h w 3"]:
    """Brighten the dark by `gain`, and the bright parts less, so that they stay below white.

    A gain of 1 changes nothing.
    """
    if gain == 1:
        return image
    # A dark photo has few levels, which would become visible steps; smooth over one or two of them.
    smooth = cv2.bilateralFilter(image.astype(np.float32), d=5, sigmaColor=2.0, sigmaSpace=2.0) / 255
    white = max(float(np.percentile(image.max(axis=2), 99.9)) / 255, 1e-3)
    bend = max(0.0, gain - 1 / white)
    return np.rint(255 * np.clip(gain * smooth / (1 + bend * smooth), 0, 1)).astype(np.uint8)
