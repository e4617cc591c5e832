"""A small collection of faces whose person, facial action and head pose are known: the tutorials look at it.

Nobody in it exists: they were rendered, by a generator that is no longer part of the package, and training
never saw them. Each shows nine actions (the eight basic ones and a neutral face) in two takes, the second
with the head held less straight. It is a folder with one sheet of pictures a person (a column for every
action, a row for every take) and `faces.npz` with the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from iad.installation import EXAMPLES

FOLDER = EXAMPLES / "faces"
TRUTH = "faces.npz"


@dataclass(frozen=True)
class Collection:
    """Faces, one row each, sorted by person, take and action; cropped as the face encoder wants them."""

    crops: UInt8[np.ndarray, "n h w 3"]
    tracks: Float[np.ndarray, "n 60"]  # expression weights, then pitch, yaw, roll in degrees
    person: Int[np.ndarray, " n"]  # 0, 1, 2, ...
    action: Int[np.ndarray, " n"]  # index into `actions`
    take: Int[np.ndarray, " n"]  # 0 or 1
    actions: tuple[str, ...]
    called: tuple[str, ...]  # woman, man or person, for each person

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.called)

    def find(
        self,
        *,
        person: int | Sequence[int] | None = None,
        action: str | Sequence[str] | None = None,
        take: int | None = None,
    ) -> Int[np.ndarray, " m"]:
        """Return the rows of some people, some actions or one take; None stands for all.

        Raises:
            ValueError: an action or a person that the collection does not have.
        """
        rows = np.ones(len(self), bool)
        if person is not None:
            rows &= self._of(self.person, np.atleast_1d(person), range(self.people), "person")
        if action is not None:
            names = [action] if isinstance(action, str) else list(action)
            unknown = [name for name in names if name not in self.actions]
            if unknown:
                have = ", ".join(self.actions)
                raise ValueError(f"Nobody in the collection shows {', '.join(unknown)}; choose from {have}.")
            rows &= np.isin(self.action, [self.actions.index(name) for name in names])
        if take is not None:
            rows &= self._of(self.take, np.atleast_1d(take), range(2), "take")
        return np.flatnonzero(rows)

    @staticmethod
    def _of(column: np.ndarray, wanted: np.ndarray, known: range, what: str) -> Bool[np.ndarray, " n"]:
        unknown = [str(number) for number in wanted if number not in known]
        if unknown:
            raise ValueError(f"There is no {what} {', '.join(unknown)}; they go from 0 to {len(known) - 1}.")
        return np.isin(column, wanted)


def load_collection(folder: str | Path = FOLDER) -> Collection:
    """Read a collection, by default the shipped one.

    Raises:
        ValueError: the folder holds no collection, or a sheet is missing or not of the expected size.
    """
    folder = Path(folder)
    if not (folder / TRUTH).is_file():
        raise ValueError(f"{folder} holds no collection; restore examples/faces from the repository.")
    with np.load(folder / TRUTH) as file:
        tracks, names, called, seeds = (file[key] for key in ("tracks", "actions", "called", "seeds"))
    people, takes, actions, _ = tracks.shape
    sheets = np.stack([_read_sheet(folder, int(seed), takes, actions) for seed in seeds])
    person, take, action = (x.ravel() for x in np.indices((people, takes, actions)))
    return Collection(
        crops=rearrange(sheets, "p (t h) (a w) c -> (p t a) h w c", t=takes, a=actions),
        tracks=rearrange(tracks, "p t a c -> (p t a) c"),
        person=person,
        action=action,
        take=take,
        actions=tuple(names.tolist()),
        called=tuple(called.tolist()),
    )


def _read_sheet(folder: Path, seed: int, takes: int, actions: int) -> UInt8[np.ndarray, "h w 3"]:
    path = folder / f"person-{seed:04d}.webp"
    try:
        with Image.open(path) as image:
            sheet = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ValueError(f"{path.name} is missing or damaged; restore it from the repository.") from error
    side = sheet.shape[0] // takes
    if sheet.shape != (side * takes, side * actions, 3):
        raise ValueError(
            f"{path.name} is {sheet.shape[1]} x {sheet.shape[0]} pixels, which does not make {takes} rows of "
            f"{actions} square pictures; restore it from the repository."
        )
    return sheet
