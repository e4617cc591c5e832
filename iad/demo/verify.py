"""The Verify tab: drop a file, see whether it was made here, with which settings, and what that proves."""

import contextlib
import html
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from iad.demo.examples import load_examples
from iad.demo.runs import QUIET, plain_errors
from iad.demo.uploads import keep_path
from iad.media.provenance import verify

SUFFIXES = [".mp4", ".mov", ".webm", ".gif", ".png"]
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
}  # fmt: skip
SIGNATURES = {
    "none": "not signed", "valid": "signed, signer trusted", "signer unknown": "signed, signer unknown",
    "broken": "signature broken", "unchecked": "signature not checked",
}  # fmt: skip
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
                    label="A video or picture: mp4, mov, webm, gif, png", file_types=SUFFIXES, height=190,
                    elem_id="verify-file",
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
    checked = upload.upload(
        _make_checker(), upload, report, api_name="verify", concurrency_limit=2, show_progress_on=card
    )
    checked.success(describe, report, card, **QUIET)
    # The file is gone from the server, so it leaves the page as well.
    checked.then(lambda: None, outputs=upload, **QUIET)
    checked.failure(lambda: (None, WAITING), outputs=[upload, card], **QUIET)
    if prepared:
        example.click(lambda: describe(asdict(verify(prepared[0]))), outputs=card, **QUIET)


def _make_checker() -> Callable[[str | None], dict[str, Any]]:
    page = gr.context.Context.root_block

    def verify_file(file: str | None) -> dict[str, Any]:
        """Find out whether a video or picture was made by IaD, with which settings, and if it was altered.

        Args:
            file: an mp4, mov, webm, gif or png; it is deleted afterwards.

        Returns:
            file, made_here, generator, settings, signature ("none", "valid", "signer unknown", "broken" or
            "unchecked"), signer, content ("unchanged", "altered" or "unknown"), declared_generated,
            container, and summary, which says it in sentences.
        """
        with plain_errors():
            if file is None:
                raise ValueError("There is no file yet; add a video or a picture.")
            try:
                return asdict(verify(file))
            finally:
                if file not in page.shown:  # what everybody sees stays
                    _delete(Path(file))

    return verify_file


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
