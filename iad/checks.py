"""What can be wrong with the words of a command line, found before anything heavy is loaded.

Every check raises a ValueError (a missing file: FileNotFoundError) with one sentence, or returns nothing.
"""

import difflib
from pathlib import Path


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
        raise ValueError(f"{option} is of mini's finisher, which large models do not have; leave it out.")


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
