"""The Verify tab: drop a file, see whether it was made here, with which settings, and what that proves."""

import contextlib
import html
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from iad.checks import make_printable
from iad.demo.examples import load_examples
from iad.demo.runs import QUIET, plain_errors
from iad.demo.uploads import keep_path
from iad.media.photos import load_image
from iad.media.provenance import Signature, Verification, read_signature, verify

SUFFIXES = [".mp4", ".mov", ".webm", ".gif", ".png", ".jpg", ".jpeg", ".webp", ".heic", ".heif"]
PICTURES = {"jpeg": "image/jpeg", "webp": "image/webp", "heic": "image/heic"}  # which nothing here writes
INTRODUCTION = """
<p class="lead">Every clip that is made here says so inside its file. Drop one, and see what it says, whether
it was altered since, and who signed it. No face is looked at, and the file is deleted at once.</p>
"""
WAITING = '<div class="verdict empty"><p>The verdict appears here</p></div>'
WHAT_IT_PROVES = """
<details class="more"><summary>What this can prove, and what not</summary>
<p>A note in a file is easily removed: most sites drop it when they shrink a video. So a file without one may
still be generated. A note is also easily written by hand. Only a signature by somebody whom you trust is
evidence, and only as long as nothing was changed. The seal over pictures and settings shows re-encoding,
cutting and edits, but a forger can compute it anew.</p></details>
"""
NAMES = {
    "prompt": "What happens", "model": "Model", "arm": "Method", "seed": "Seed", "frames": "Frames",
    "steps": "Steps", "guidance_scale": "Guidance", "identity_guidance_scale": "Guidance to the person",
    "identity_scale": "Identity strength", "action_scale": "Action strength",
    "detail_scale": "Photo detail", "size": "Pixels a side", "fps": "Frames a second",
    "paste_back": "In its whole photo", "loop": "Loops",
    "played": "Played live",
}  # fmt: skip
SIGNATURES = {
    "none": "not signed", "valid": "signed, signer trusted", "signer unknown": "signed, signer unknown",
    "broken": "signature broken", "unchecked": "signature not checked",
}  # fmt: skip
DECLARED = b"digitalsourcetype/trainedAlgorithmicMedia"  # as IPTC writes it, and many programs with it
UNTOLD = "Says nothing about its making, which proves nothing."
MARKS = {"good": "✓", "note": "i", "plain": "?", "warning": "!"}
CONTENTS = {"unchanged": "unchanged", "altered": "altered", "unknown": "alteration unknown"}


def build_verify(pipeline: Any, consent: Any) -> None:
    """Lay out the tab inside the current block, and wire it.

    Args:
        pipeline: not asked: what a file says is read without a model.
        consent: not asked: no face is looked at.
    """
    gr.HTML(INTRODUCTION)
    with gr.Row(elem_id="verify-work", equal_height=False):
        with gr.Column(scale=5, min_width=300):
            upload = keep_path(
                gr.File(
                    label="A video or picture: mp4, mov, webm, gif, png, jpeg, webp, heic", height=190,
                    file_types=SUFFIXES, elem_id="verify-file",
                )
            )  # fmt: skip
            prepared = [example.clip for example in load_examples() if example.clip]
            example = gr.Button(
                "No file at hand? Check a prepared clip",
                size="sm",
                visible=bool(prepared),
                elem_id="verify-example",
            )
            gr.HTML(WHAT_IT_PROVES)
        with gr.Column(scale=6, min_width=300):
            card = gr.HTML(WAITING, elem_id="verdict")
            report = gr.JSON(label="Report", visible=False)
    begun = upload.upload(lambda: WAITING, outputs=card, **QUIET)  # the last verdict is of another file
    verify_file = _make_checker()

    def judge(file: str | None) -> tuple[str, None]:
        try:
            return describe(verify_file(file)), None
        except gr.Error as error:
            return refuse(str(error.message)), None

    # The file is gone from the server, so it leaves the page as well; its verdict stays until another comes.
    begun.then(
        judge, upload, [card, upload], api_visibility="private", concurrency_limit=2, show_progress_on=card
    )
    # for callers without a page: nobody presses this button
    called = gr.Button(visible=False)
    called.click(verify_file, upload, report, api_name="verify", concurrency_limit=2)
    gr.on([upload.clear, upload.delete], lambda: WAITING, outputs=card, **QUIET)
    if prepared:
        example.click(lambda: describe(asdict(verify(prepared[0]))), outputs=card, **QUIET)


def _make_checker() -> Callable[[str | None], dict[str, Any]]:
    page = gr.context.Context.root_block

    def verify_file(file: str | None) -> dict[str, Any]:
        """Find out whether a video or picture was made by IaD, with which settings, and if it was altered.

        Args:
            file: an mp4, mov, webm, gif, png, jpeg, webp or heic; it is deleted afterwards.

        Returns:
            file, made_here, generator, settings, signature ("none", "valid", "signer unknown", "broken" or
            "unchecked"), signer, content ("unchanged", "altered" or "unknown"), declared_generated,
            container, and summary, which says it in sentences.
        """
        with plain_errors():
            if file is None:
                raise ValueError("There is no file yet; add a video or a picture.")
            try:
                kind = recognise_picture(Path(file))
                return asdict(verify_picture(Path(file), kind) if kind else verify(file))
            finally:
                if file not in page.shown:  # what everybody sees stays
                    _delete(Path(file))

    return verify_file


def recognise_picture(file: Path) -> str | None:
    """Name one of `PICTURES` by a file's first bytes; None for all others, and for what is not there."""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        start = opened.read(16)
        if start.startswith(b"\xff\xd8\xff"):
            return "jpeg"
        if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
            return "webp"
        if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"heif", b"mif1"):
            return "heic"
    return None


def verify_picture(file: Path, kind: str) -> Verification:
    """Find out what a picture says that was written elsewhere: whether it is signed, and what it declares.

    Raises:
        ValueError: it is damaged, or too large.
    """
    height, width = load_image(file).shape[:2]
    with file.open("rb") as opened:
        signature = read_signature(opened, PICTURES[kind])
    declared = signature.generated or DECLARED in file.read_bytes()
    said = "Says that it is AI-generated, but not by what." if declared else UNTOLD
    if signature.generator:
        said = f"Names its maker: {make_printable(signature.generator[:80])}."
    signed = SIGNATURES[signature.state]
    return Verification(
        file=make_printable(file.name), made_here=False, generator=signature.generator, settings={},
        signature=signature.state, signer=signature.signer, content=_judge_content(signature),
        declared_generated=declared,
        container={
            "format": kind, "width": width, "height": height, "frames": 1, "fps": None, "seconds": None,
            "sound": False, "bytes": file.stat().st_size,
        },
        summary=f"{said} Nothing here writes {kind} files: if this picture came from a clip, another program "
        "wrote it anew, which loses our note and our seal. Of such a file only a signature can be checked: "
        f"it is {signed}.",
    )  # fmt: skip


def _judge_content(signature: Signature) -> str:
    if signature.altered:
        return "altered"
    return "unchanged" if signature.state in ("valid", "signer unknown") else "unknown"


def _delete(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
        file.parent.rmdir()  # only where it is empty


def describe(report: dict[str, Any]) -> str:
    """Make the verdict card: what the file says, how far to believe it, its settings and facts."""
    title, _, rest = report["summary"].partition(". ")
    tone = _choose_tone(report)
    badges = [SIGNATURES[report["signature"]]]
    if report["made_here"] or report["content"] != "unknown":
        badges.insert(0, CONTENTS[report["content"]])
    badges += ["says AI-generated"] if report["declared_generated"] else []
    return (
        f'<div class="verdict {tone}" role="status"><h3><i aria-hidden="true">{MARKS[tone]}</i>'
        f"<span>{html.escape(title.removesuffix('.'))}</span></h3><p>{html.escape(rest)}</p>"
        f'<div class="badges">{"".join(f"<span>{html.escape(badge)}</span>" for badge in badges)}</div>'
        f"{_make_table('Settings', _name_settings(report))}{_make_table('File', _list_facts(report))}</div>"
    )


def refuse(why: str) -> str:
    """Make the card of a file that cannot be judged."""
    return f'<div class="verdict warning" role="alert"><p>{html.escape(why)}</p></div>'


def _choose_tone(report: dict[str, Any]) -> str:
    if report["content"] == "altered" or report["signature"] == "broken":
        return "warning"
    if report["made_here"] and report["signature"] == "valid":
        return "good"
    return "note" if report["made_here"] else "plain"


def _name_settings(report: dict[str, Any]) -> list[tuple[str, Any]]:
    settings = report["settings"]
    rows = [(name, settings[key]) for key, name in NAMES.items() if key in settings]
    rows += [(key, value) for key, value in settings.items() if key not in NAMES]
    return rows + ([("Made with", report["generator"])] if report["generator"] else [])


def _list_facts(report: dict[str, Any]) -> list[tuple[str, Any]]:
    facts = report["container"]
    size = f"{facts['bytes'] / 1e6:.1f} MB" if facts["bytes"] >= 1e6 else f"{facts['bytes'] / 1e3:.0f} kB"
    rows = [("Name", report["file"]), ("Kind", f"{facts['format']}, {size}")]
    rows.append(("Picture", f"{facts['width']} × {facts['height']}"))
    if facts["seconds"]:
        sound = ", with sound" if facts["sound"] else ""
        rows.append(("Length", f"{facts['frames']} frames, {facts['seconds']:.3g} s{sound}"))
    return rows + ([("Signed by", report["signer"])] if report["signer"] else [])


def _make_table(title: str, rows: list[tuple[str, Any]]) -> str:
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row">{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f"<table><caption>{title}</caption><tbody>{body}</tbody></table>"
