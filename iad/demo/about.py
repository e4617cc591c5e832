"""The About tab: what runs here, how well, where it comes from, and how to use it from a program."""

import html
from typing import Any

import gradio as gr

from iad.config import Preset
from iad.demo.about_words import (
    ADDRESS,
    CARDS,
    CLIP_SECONDS,
    COLUMNS,
    LEAD,
    MCP_OFF,
    MCP_ON,
    PARTS,
    PYTHON,
    QUESTIONS,
    RESULTS,
    RESULTS_NOTE,
)
from iad.demo.examples import Example, make_thumbnail
from iad.demo.hardware import Hardware, choose_hardware, has_mcp
from iad.media.video import read_video

FRAMES_READ = 240  # of the example's clip, at most


def build_about(pipeline: Any, example: Example | None = None) -> None:
    """Lay out the tab inside the current block.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline`; only its preset is looked at.
        example: whose photo and clip show how it works.
    """
    gr.HTML(LEAD)
    if example:
        gr.HTML(_draw_idea(example), elem_id="about-idea")
    gr.HTML(_describe_model(pipeline.preset, choose_hardware()), elem_id="about-model")
    gr.HTML(f'<h2 class="section">Does it work?</h2>{_make_results()}{RESULTS_NOTE}', elem_id="about-results")
    gr.HTML(f'<div class="about-cards">{"".join(_make_card(*card) for card in CARDS.items())}</div>')
    gr.HTML('<h2 class="section">Use it from a program</h2>')
    code = html.escape(PYTHON.format(address=ADDRESS))
    gr.HTML(f'<pre tabindex="0" aria-label="Python code"><code>{code}</code></pre>', elem_id="about-code")
    gr.HTML(
        f'<p class="quiet">{MCP_ON if has_mcp() else MCP_OFF} '
        "Put this page’s own address into the third line. "
        "All parameters: “Use via API” at the foot of the page. Without a page: "
        "<code>python -m iad --help</code>.</p>"
    )
    gr.HTML(
        f'<h2 class="section">Questions</h2>{"".join(_make_question(*pair) for pair in QUESTIONS.items())}'
    )


def _draw_idea(example: Example) -> str:
    """Draw the way from a photo and words to a clip."""
    frames, _ = read_video(example.card or example.clip, FRAMES_READ)
    photo, clip = (
        f'<figure><img src="{make_thumbnail(picture, 160)}" alt=""><figcaption>{words}</figcaption></figure>'
        for picture, words in ((example.picture, "The photo"), (frames[len(frames) // 2], "The clip"))
    )
    parts = "".join(f'<li class="{kind}"><b>{what}</b> {fate}</li>' for kind, what, fate in PARTS)
    said = f'<p class="said">“{html.escape(example.prompt)}”</p>'
    return f'<div class="idea">{photo}<i>→</i><div><ul>{parts}</ul>{said}</div><i>→</i>{clip}</div>'


def _describe_model(preset: Preset, hardware: Hardware) -> str:
    facts = (
        ("Model", preset.name),
        ("Makes", _describe_clip(preset)),
        ("Where", hardware.describe().removeprefix("Runs on: ").removesuffix(".")),
    )
    if preset.name == "mini" and CLIP_SECONDS:
        facts += (("Takes", f"{CLIP_SECONDS} s a clip on two cores"),)
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>'


def _describe_clip(preset: Preset) -> str:
    if preset.name != "mini":
        return f"{preset.frames} frames, {preset.size} × {preset.size} pixels, {preset.duration:g} s"
    return (
        f"up to 10 s, {preset.shown_size} × {preset.shown_size} pixels, 24 frames a second; by the "
        f"embeddings alone {preset.size} × {preset.size} at {preset.fps}"
    )


def _make_results() -> str:
    if not RESULTS:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    rows = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{value}</td>" for value in row[1:])}</tr>'
        for row in RESULTS.values()
    )
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Results"><table class="results">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _make_card(title: str, entries: str) -> str:
    items = "".join(f"<li>{entry}</li>" for entry in entries.strip().split("\n\n"))
    return f"<section><h3>{title}</h3><ul>{items}</ul></section>"


def _make_question(question: str, answer: str) -> str:
    return f'<details class="question"><summary>{question}</summary><p>{answer}</p></details>'
