"""The Verify tab judges a file and forgets it, the About tab says what was measured."""

import re
import sys
import types
from dataclasses import asdict
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from pillow_heif import from_pillow

from iad.config import PRESETS
from iad.demo import about_words as words
from iad.demo.about import build_about
from iad.demo.hardware import has_mcp
from iad.demo.page import Page
from iad.demo.verify import DECLARED, WAITING, build_verify, describe
from iad.media import video
from iad.media.provenance import verify

ROOT = Path(__file__).parents[1]


def _save(path, **metadata):
    frames = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3)).astype(np.uint8)
    return video.save(path, frames, 8, metadata={"model": "mini", "arm": "iad", "seed": 5} | metadata)


def _build():
    """Build the tab, and return the page and what its public endpoint calls."""
    with Page(kept=60) as page:
        build_verify(None, None)
    (endpoint,) = (block for block in page.fns.values() if block.api_visibility == "public")
    assert endpoint.api_name == "verify"
    return page, endpoint.fn


def test_a_file_is_judged_and_deleted(tmp_path):
    _, check = _build()
    (tmp_path / "upload").mkdir()
    path = _save(tmp_path / "upload" / "a.mp4")
    expected = asdict(verify(path))
    assert check(str(path)) == expected and expected["made_here"]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_judged_is_deleted_as_well(tmp_path):
    _, check = _build()
    path = tmp_path / "a.mp4"
    path.write_text("words")
    with pytest.raises(gr.Error, match="another kind"):
        check(str(path))
    assert not path.exists()
    with pytest.raises(gr.Error, match="no longer here"):
        check(str(path))
    with pytest.raises(gr.Error, match="no file yet"):
        check(None)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "heic"])
def test_of_a_photo_it_is_said_what_cannot_be_told(tmp_path, suffix):
    _, check = _build()
    path = tmp_path / "upload" / f"a.{suffix}"
    path.parent.mkdir()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 120, 3)).astype(np.uint8))
    from_pillow(picture).save(path) if suffix == "heic" else picture.save(path)
    report = check(str(path))
    card = describe(report)
    assert not report["made_here"] and report["content"] == "unknown" and "120 × 80" in card
    assert "proves nothing" in card and "only a signature can be checked" in card
    assert not path.exists()
    picture.save(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes() + DECLARED)
    assert "Says that it is AI-generated" in describe(check(str(tmp_path / "b.jpg")))


def test_a_broken_photo_is_told_and_deleted(tmp_path):
    _, check = _build()
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 no more")
    with pytest.raises(gr.Error, match="damaged|cut off|not a JPEG"):
        check(str(path))
    assert not path.exists()


def test_the_last_verdict_goes_when_another_file_comes_or_the_file_is_removed():
    page, _ = _build()
    card = next(block for block in page.blocks.values() if block.elem_id == "verdict")
    told = set()
    for function in page.fns.values():
        if function.outputs == [card] and not function.inputs and function.targets[0][1] != "click":
            assert function.fn() == WAITING
            told |= {event for _, event in function.targets}
    assert {"upload", "clear", "delete"} <= told


def test_a_clip_that_the_page_still_shows_is_kept(tmp_path):
    page, check = _build()
    path = _save(tmp_path / "a.mp4")
    page.shown = frozenset([str(path)])
    assert check(str(path))["made_here"] and path.exists()


def test_the_card_shows_verdict_settings_and_facts(tmp_path):
    card = describe(asdict(verify(_save(tmp_path / "a.mp4", prompt="smiles"))))
    for text in (
        "Says that it was made with IaD",
        "not signed",
        "unchanged",
        "smiles",
        "32 × 32",
        "4 frames, 0.5 s",
    ):
        assert text in card
    assert 'class="verdict note"' in card and 'scope="row">Seed</th><td>5<' in card
    video.save_picture(tmp_path / "b.png", np.zeros((8, 8, 3), np.uint8))
    card = describe(asdict(verify(tmp_path / "b.png")))
    assert 'class="verdict plain"' in card and "proves nothing" in card and "Settings" not in card
    path = _save(tmp_path / "c.mp4")
    path.write_bytes(path.read_bytes().replace(b'"seed": 5', b'"seed": 6'))
    assert 'class="verdict warning"' in describe(asdict(verify(path)))


def test_the_photos_detail_is_named_and_a_file_from_before_it_holds(tmp_path):
    card = describe(asdict(verify(_save(tmp_path / "a.mp4", detail_scale=0.25))))
    assert 'scope="row">Photo detail</th><td>0.25<' in card and "unchanged" in card
    card = describe(asdict(verify(_save(tmp_path / "old.mp4"))))
    assert "detail" not in card and "unchanged" in card


def test_what_a_stranger_wrote_stays_text(tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    card = describe(asdict(verify(_save(tmp_path / "a.png", prompt=hostile, **{hostile: "1"}))))
    assert "<img" not in card and card.count("&lt;img") == 2


# About


def test_the_numbers_are_those_of_the_results():
    text = (ROOT / "docs" / "results.md").read_text()
    tables = text.partition("### The method: what the embeddings alone carry")[2]
    for arm, (_, seen, copied, likeness, found) in words.RESULTS.items():
        rows = [re.split(r"\s*\|\s*", line) for line in tables.splitlines() if line.startswith(f"| {arm} |")]
        who, does = rows[0], rows[1]  # of all people
        assert who[2].split(" [")[0] == likeness and who[7].split(" [")[0] == found
        assert does[2].split(" [")[0] == seen and does[4].split(" [")[0] == copied
    assert not words.CLIP_SECONDS or f"| **a clip** | **{words.CLIP_SECONDS}** |" in text


def test_about_is_complete_and_its_code_runs():
    with gr.Blocks() as page:
        build_about(types.SimpleNamespace(preset=PRESETS["mini"]))
    text = "".join(str(block.value) for block in page.blocks.values() if hasattr(block, "value"))
    for part in (
        "arXiv 2606.22347",
        "CPU, mini",
        "Apache-2.0",
        "128 × 128",
        "Consent",
    ):
        assert part in text
    assert "{" not in "".join(words.QUESTIONS.values())  # every number was filled in
    code = words.PYTHON.format(address=words.ADDRESS)
    compile(code, "about", "exec")
    assert set(re.findall(r'api_name="(/\w+)"', code)) == {"/generate", "/compare", "/decouple", "/verify"}


def test_mcp_is_found_only_where_it_works(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not has_mcp()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "gradio.mcp", None)  # the package is there, and gradio cannot use it
    assert not has_mcp()
    monkeypatch.setitem(sys.modules, "gradio.mcp", types.ModuleType("gradio.mcp"))
    assert has_mcp()
