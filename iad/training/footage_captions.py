"""What a folder of videos says about itself: `captions.jsonl`, read and checked line by line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iad.text import Action, parse_prompt

CAPTIONS = "captions.jsonl"
FORM = '{"video": "a.mp4", "caption": "a woman laughs"}'


@dataclass(frozen=True)
class Entry:
    """One line of the captions: a video and what is said about it."""

    video: str
    caption: str
    person: str | None
    segments: tuple[tuple[float, float, str], ...]  # start, end in seconds of the clip, and the words

    @property
    def told(self) -> str:
        """What the base model hears: all that happens, in one sentence and in order, as when it generates."""
        return ", then ".join(dict.fromkeys(words for _, _, words in self.segments))

    @property
    def sentences(self) -> list[str]:
        """What the base model hears, then the words of every segment, each once."""
        return list(dict.fromkeys([self.told, *(words for _, _, words in self.segments)]))


def read_captions(folder: Path, *, duration: float) -> list[Entry]:
    """Read `captions.jsonl`; every line must be right and name a video that is there.

    Args:
        folder: holds the videos too.
        duration: seconds of a clip; what a timeline says beyond them is left out.

    Raises:
        ValueError: the first thing that is wrong, with its line.
    """
    path = folder / CAPTIONS
    if not path.is_file():
        raise ValueError(f"'{folder}' has no {CAPTIONS}; write one line a video, such as {FORM}.")
    entries: dict[str, Entry] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        entry = _read_line(line, f"Line {number} of {path.name}", duration)
        if not (folder / entry.video).is_file():
            where = f"line {number} of {path.name}"
            raise ValueError(f"There is no video '{entry.video}' in '{folder}', which {where} names; fix it.")
        if entry.video in entries:
            raise ValueError(f"Line {number} of {path.name} names '{entry.video}' again; keep one line.")
        entries[entry.video] = entry
    if not entries:
        raise ValueError(f"'{path}' is empty; write one line a video, such as {FORM}.")
    return list(entries.values())


def _read_line(line: str, where: str, duration: float) -> Entry:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not JSON ({error.msg}); write such as {FORM}.") from error
    values = values if isinstance(values, dict) else {}
    texts = [values.get(key) for key in ("video", "caption")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"{where} needs a video and a caption; write such as {FORM}.")
    video, caption = texts
    person = values.get("person")
    timeline = [_read_action(item, where) for item in values.get("timeline") or ()]
    timeline = [Action(a.start, min(a.end, duration), a.prompt) for a in timeline if a.start < duration]
    try:
        actions = parse_prompt(caption, timeline or None, duration=duration)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    segments = tuple((float(a.start), float(a.end), a.prompt) for a in actions)
    return Entry(video, caption, None if person is None else str(person), segments)


def _read_action(item: Any, where: str) -> Action:
    try:
        start, end, words = item
        return Action(float(start), float(end), str(words))
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where}: a timeline is such as [[0, 1, "smiles"]], got {item!r}.') from error
