"""Was a file made here, with which settings, and is it as it was? `verify` says it in plain sentences."""

import io
import mmap
import os
from dataclasses import dataclass
from typing import Any, Literal

from iad.checks import make_printable
from iad.media.files import find_file
from iad.media.provenance.containers import MIME, Media, inspect, list_pictures
from iad.media.provenance.record import SOURCE_TYPE, compute_seal, parse_record
from iad.media.provenance.signature import Signature, State, read_signature

_KNOWN = {"statement", "ai_generated", "seal", "generator"}  # of a record; all else are settings
_LONGEST = 1000  # letters of one setting, of which there are at most so many:
_MOST_SETTINGS = 40

Content = Literal["unchanged", "altered", "unknown"]


@dataclass(frozen=True)
class Verification:
    """What a file says of itself, and how far that can be believed."""

    file: str
    made_here: bool  # so its record or its signed manifest says
    generator: str | None
    settings: dict[str, Any]
    signature: State
    signer: str | None
    content: Content  # since it was saved
    declared_generated: bool  # AI-generated, says this or another program
    container: dict[str, Any]
    summary: str


def verify(path: str | os.PathLike) -> Verification:
    """Find out what a file says of its making.

    Args:
        path: an mp4, mov, webm, mkv, avi, gif or png.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another kind or damaged.
    """
    path = find_file(path, "a video or a picture")
    with path.open("rb") as file:
        try:
            media = inspect(file)
        except ValueError as error:
            advice = "a smaller one" if "more than" in str(error) else "an mp4, mov, webm, gif or png file"
            raise ValueError(f"'{path.name}' cannot be verified, {error}; give {advice}.") from error
        file.seek(0)
        signature = read_signature(file, MIME[media.format])
        record = parse_record(media.comment)
        content = _compare(file, record, signature)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            declared = data.find(SOURCE_TYPE.encode()) >= 0
    ours = (signature.generator or "").split(" ")[0] == "iad"
    made_here = record is not None or (ours and signature.state != "broken")
    declared = declared or signature.generated or record is not None
    generator = (record or {}).get("generator") or signature.generator
    settings = {key: value for key, value in (record or {}).items() if key not in _KNOWN}
    if made_here:
        sure = ours and signature.state == "valid" and content != "altered"
        title = _title_ours(content, sure=sure)
    else:
        title = _title_other(signature, declared=declared)
    return Verification(
        file=make_printable(path.name),
        made_here=made_here,
        generator=_shorten(str(generator)) if generator else None,
        settings=_tidy(settings or signature.settings),
        signature=signature.state,
        signer=_shorten(signature.signer) if signature.signer else None,
        content=content,
        declared_generated=declared,
        container=_describe_container(media, path.stat().st_size),
        summary=" ".join([title, *_explain(signature, content, made_here=made_here, declared=declared)]),
    )


def _compare(file: io.BufferedIOBase, record: dict[str, Any] | None, signature: Signature) -> Content:
    """Judge by the signature and by the seal; a signer may have signed what was changed before."""
    if signature.altered:
        return "altered"
    seal = (record or {}).get("seal")
    if record is not None and seal is not None:
        try:
            return "unchanged" if compute_seal(record, list_pictures(file)) == seal else "altered"
        except ValueError:  # what was saved here can be read to its end
            return "altered"
    return "unchanged" if signature.state in ("valid", "signer unknown") else "unknown"


def _tidy(settings: dict[str, Any]) -> dict[str, Any]:
    """Keep what is short, plain and visible: anybody may have written it."""
    plain = {
        make_printable(str(key)[:_LONGEST]): (
            make_printable(value[:_LONGEST]) if isinstance(value, str) else value
        )
        for key, value in settings.items()
        if isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 2.0**64)
    }
    return dict(list(plain.items())[:_MOST_SETTINGS])


def _describe_container(media: Media, size: int) -> dict[str, Any]:
    seconds = media.frames / media.fps if media.frames and media.fps else None
    return {
        "format": media.format,
        "width": media.width,
        "height": media.height,
        "frames": media.frames,
        "fps": None if media.fps is None else round(media.fps, 3),
        "seconds": None if seconds is None else round(seconds, 3),
        "sound": media.sound,
        "bytes": size,
    }


def _title_ours(content: Content, *, sure: bool) -> str:
    claim = "Made with IaD" if sure else "Says that it was made with IaD"
    return claim + {"altered": ", but was altered since.", "unchanged": " and is unchanged since."}.get(
        content, "."
    )


def _title_other(signature: Signature, *, declared: bool) -> str:
    if signature.state == "broken":
        return "Its signature is broken."
    if signature.generator:
        return f"Names another maker than IaD: {_shorten(signature.generator)}."
    if declared:
        return "Says that it is AI-generated, but not by what."
    return "Says nothing about its making, which proves nothing."


def _explain(signature: Signature, content: Content, *, made_here: bool, declared: bool) -> list[str]:
    """Say in sentences what stands behind the title."""
    sentences = []
    if not made_here and signature.generator and declared:
        sentences.append("It says that it is AI-generated.")
    if content == "altered":
        sentences.append("Pictures, times, sound or settings differ from what was saved.")
    if made_here and content == "unknown":
        sentences.append("Whether it was altered since cannot be told.")
    who = f" by {_shorten(signature.signer)}" if signature.signer else ""
    unsigned = "Such notes are lost whenever a site or a program writes the file anew."
    if made_here:
        unsigned = "It is not signed, so this is a note that anybody could have written."
    of_signature = {
        "none": unsigned,
        "valid": f"It is signed{who}, whom this computer trusts.",
        "signer unknown": f"It is signed{who}, for whom nobody vouches here: unknown, or no longer valid.",
        "broken": "The signature does not hold: do not rely on anything that the file says.",
        "unchecked": "Whether it is signed could not be checked here.",
    }
    return [*sentences, of_signature[signature.state]]


def _shorten(name: str) -> str:
    return make_printable(f"{name[:80]}…" if len(name) > 80 else name)
