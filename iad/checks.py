"""What can be wrong with the words of a command line, found before anything heavy is loaded.

Every check raises a ValueError (a missing file: FileNotFoundError) with one sentence, or returns nothing.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path

# As `iad.pipeline` has them, which is slow to import; a test compares.
LONGEST, SHORTEST = 10.0, 0.5  # seconds
MOST_FPS = 60
SMALLEST, LARGEST = 64, 1024  # pixels a side
FPS, OWN_FPS = 24, 8  # drawn, and of the denoiser alone


def check_name(name: str, names: tuple[str, ...], *, what: str) -> None:
    """Make sure that `name` is one of `names`; else suggest the nearest."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'? All of them: " if near else "choose one of "
        raise ValueError(f"Unknown {what} '{name}'; {hint}{', '.join(names)}.")


def check_model(name: str) -> None:
    """Make sure that `name` is a preset, or may be a folder or a hub id (owner/name)."""
    from iad.config import PRESETS

    if not Path(name).is_dir() and name.count("/") != 1:
        check_name(name, tuple(PRESETS), what="model")


def check_number(value: float | None, option: str, *, low: float, high: float) -> None:
    """Make sure that a given number lies within its range."""
    if value is not None and not low <= value <= high:
        raise ValueError(f"{option} is {value}; give a number from {low} to {high}.")


def check_detail(scale: float, option: str, *, small: bool) -> None:
    """Make sure that a large model is not asked for the photo's detail."""
    if not small and scale != 1:
        raise ValueError(f"{option} is of mini's drawing, which large models do not have; leave it out.")


def check_form(
    *,
    duration: float | None = None,
    frames: int | None = None,
    fps: float | None = None,
    size: int | None = None,
    prefix: str = "",
) -> None:
    """Make sure that a small model's clip can have this length, rate and size.

    Args:
        duration: seconds.
        frames: how many, instead of `duration`.
        fps: frames a second.
        size: pixels a side.
        prefix: stands before the names, "--" of options.
    """
    check_number(duration, f"{prefix}duration", low=SHORTEST, high=LONGEST)
    check_number(fps, f"{prefix}fps", low=1, high=MOST_FPS)
    check_number(size, f"{prefix}size", low=SMALLEST, high=LARGEST)
    if size is not None and size % 2:
        raise ValueError(f"{prefix}size is {size}; give an even number of pixels.")
    if duration is not None and frames is not None:
        raise ValueError(f"{prefix}duration and {prefix}frames both say how long the clip is; give one.")
    check_number(frames, f"{prefix}frames", low=1, high=int(LONGEST * (fps or FPS)))


def check_paste_back(paste_back: bool, option: str, *, arm: str, detail_scale: float) -> None:
    """Make sure that a face which is to go back into its photo is drawn at all."""
    if paste_back and (arm != "iad" or not detail_scale):
        raise ValueError(f"{option} needs a face that is drawn: the arm iad, and a detail scale above 0.")


def check_small(given: Iterable[str], *, small: bool) -> None:
    """Make sure that a large model is not given what only small ones take, by the options' names."""
    if not small and (names := list(given)):
        raise ValueError(
            f"{', '.join(names)}: only small models take these; leave them out with a large one."
        )


def check_apart(output: str | Path, inputs: Iterable[str | Path | None]) -> None:
    """Make sure that what is to be written is nothing that is to be read, by whatever name or link."""
    for given in inputs:
        if given is not None and _is_same(Path(output), Path(given)):
            raise ValueError(
                f"The output '{output}' is the input '{given}', which would be lost; give another name."
            )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them is not there
        return False


def check_photo(file: str, face: int | None = None) -> None:
    """Make sure that a photo can be read and shows face number `face`."""
    from iad.faces import detect_faces, load_image

    photo = load_image(file)
    try:
        faces = detect_faces(photo)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    check_number(face, f"--face of '{file}'", low=0, high=len(faces) - 1)


def check_driver(file: str, *, small: bool = True) -> None:
    """Make sure that an action reference is a video or a photo; for a small model one that shows a face."""
    from iad.photos import load_image
    from iad.video import VIDEO_SUFFIXES, read_video

    if Path(file).suffix.lower() in VIDEO_SUFFIXES:
        read_video(file, 1)
    elif small:
        check_photo(file)
    else:
        load_image(file)


def explain(error: Exception) -> str:
    """Say in one line what went wrong; what libraries raise for a file or for memory becomes a sentence."""
    from iad.provenance.record import make_printable

    words = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        file = f"The file '{error.filename}'" if error.filename else "A file"
        words = f"{file} cannot be used ({error.strerror}); check its path, its rights and the disk's space."
    elif isinstance(error, MemoryError):
        words = "The memory does not suffice; end other programs, or ask for less at once."
    return make_printable(words)
