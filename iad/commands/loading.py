"""Looks at the pictures that a command is given, and the progress bar that it shows."""

import sys
from pathlib import Path

from iad.checks import check_number


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
    from iad.media.photos import load_image
    from iad.media.video import VIDEO_SUFFIXES, read_video

    if Path(file).suffix.lower() in VIDEO_SUFFIXES:
        read_video(file, 1)
    elif small:
        check_photo(file)
    else:
        load_image(file)


class Progress:
    """A progress bar on stderr, moved by `progress(step, total)`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar = None

    def __enter__(self) -> "Progress":
        from tqdm import tqdm

        self.bar = tqdm(desc=self.title, file=sys.stderr, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, step: int, total: int) -> None:
        """Show `step` of `total`."""
        self.bar.total = total
        self.bar.update(step - self.bar.n)

    def tell(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self.bar.write(sentence, file=sys.stderr)
