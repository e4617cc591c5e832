"""How quickly the page answers, in a browser; run on an idle machine.

    python -m tests.benchmarks.page [--tab portrait] [--clicks 6] [--seconds 20] [--screenshot FILE]

A Chromium without a window opens the app. One JSON object is printed. Of the Portrait tab: seconds from a
click on a card, and on Generate, until the new clip's first frame is on the screen, and until its scores are.
Of the Play tab: milliseconds from a slider's move to the picture on the screen, beside those of the bare
drawing in Python; and of a clip and the camera, which films a portrait that sways, the page's own figures:
pictures a second, and milliseconds from what is followed to the picture of it. All share the machine's cores:
a visitor whose browser runs elsewhere sees more.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from app_server import start_app
from fake_camera import write_camera
from made_up import ASTRONAUT

from iad import IaDPipeline
from iad.demo.playroom import SIDE

FLAGS = ("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PROMPTS = ("smiles", "nods", "closes the eyes", "looks surprised", "laughs", "opens the mouth wide")
PAUSE = 4000  # milliseconds, until what a click began beside the clip is done
SAID = re.compile(r"([\d.]+) pictures a second, each (\d+) ms")

# What is clicked, and when, after it, the prepared clip, the new one and its scores are on the screen. The
# prepared clip of a card is there at once; every clip is a file of its own.
CLICK_JS = """
async ([what, clips]) => {
  const find = () => document.querySelector('#clip video'), seen = [find()?.currentSrc], came = [];
  const begun = performance.now();
  document.querySelector(what).click();
  while (came.length < clips) {
    await new Promise(requestAnimationFrame);
    const video = find();
    if (!video?.currentSrc || seen.includes(video.currentSrc) || video.readyState < 2) continue;
    seen.push(video.currentSrc);
    if (!video.currentTime) await new Promise(shown => video.requestVideoFrameCallback(shown));
    came.push(performance.now() - begun);
  }
  while (!document.querySelector('#scores .score')) await new Promise(requestAnimationFrame);
  return [...came, performance.now() - begun].map(time => time / 1000);
}
"""
MOVE_JS = """
async k => {
  const slider = document.querySelector('.play-sliders [name=turn]');
  const seen = document.querySelector('.play-result');
  const begun = performance.now(), before = seen.src;
  slider.value = k % 2 ? 10 + k / 2 : -10 - k / 2;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
  while (seen.src === before) await new Promise(requestAnimationFrame);
  await seen.decode();
  await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}
"""


def move_sliders(page: Page, times: int) -> dict[str, float]:
    """Move a slider as often, and say how long its pictures take, beside those that nobody shows."""
    took = [page.evaluate(MOVE_JS, k) for k in range(times)]
    live, bare = IaDPipeline.from_pretrained("mini").live(ASTRONAUT), []
    for k in range(times):
        begun = time.perf_counter()
        live.frame(size=SIDE, yaw=float(10 + k / 2 if k % 2 else -10 - k / 2))
        bare.append(1000 * (time.perf_counter() - begun))
    shown, drawn = float(np.median(took[2:])), float(np.median(bare[2:]))
    return {"milliseconds": shown, "of these drawing": drawn, "ratio": shown / drawn}


def watch(page: Page, seconds: int) -> dict[str, float]:
    """Read what the page says of its speed once a second."""
    page.wait_for_function("document.querySelector('.play-said').innerText.includes('pictures a second')")
    said = []
    for _ in range(seconds):
        page.wait_for_timeout(1000)
        found = SAID.search(page.inner_text(".play-said"))
        said += [tuple(map(float, found.groups()))] if found else []
    rate, late = np.median(said, axis=0)
    return {"pictures a second": float(rate), "milliseconds after it": float(late)}


def make_clips(page: Page, clicks: int) -> dict[str, dict[str, float]]:
    """Click on cards, but for the first, which is there already, and on Generate; the first warms up."""
    cards, typed, moving = [], [], "#examples .cards button:has(video)"
    prepared = page.eval_on_selector_all(moving, "all => all.map(one => one.dataset.index)")[1:]
    for k in range(clicks + 1):
        card = f"#examples [data-index='{prepared[k % len(prepared)]}']"
        cards.append(page.evaluate(CLICK_JS, [card, 2]))
        page.wait_for_timeout(PAUSE)
    for k in range(clicks + 1):
        page.fill("#prompt textarea", PROMPTS[k % len(PROMPTS)])
        page.wait_for_timeout(PAUSE)
        typed.append(page.evaluate(CLICK_JS, ["#generate", 1]))
    return {"card": describe(cards, "prepared clip"), "Generate": describe(typed)}


def describe(took: list[list[float]], *first: str) -> dict[str, float]:
    """Name what was waited for; medians, and of the new clip the longest, too."""
    names = (*first, "new clip", "scores")
    figures = dict(zip(names, np.median(took[1:], axis=0).round(2).tolist(), strict=True))
    return figures | {"new clip, longest": round(max(row[-2] for row in took[1:]), 2), "first": took[0][-2]}


def play(page: Page, seconds: int) -> dict[str, dict[str, float]]:
    """Move the portrait that the page opens with by sliders, by a clip and by the camera."""
    page.get_by_role("tab", name="Play", exact=True).click()
    page.wait_for_selector(".play-result:not([hidden])")
    figures = {"slider": move_sliders(page, 30)}
    page.locator(".play-driver").first.click()
    figures["clip"] = watch(page, seconds)
    page.click(".play-camera")  # asks for consent
    page.check("#consent input")
    page.wait_for_selector(".play-refused", state="hidden")
    return figures | {"camera": watch(page, seconds)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tab", choices=("portrait", "play"), help="only this one; by default both")
    parser.add_argument("--clicks", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--screenshot", type=Path)
    options = parser.parse_args()
    portrait = np.asarray(Image.open(ASTRONAUT).convert("RGB"))[:260, 90:350]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        film = write_camera(Path(folder) / "camera.y4m", np.ascontiguousarray(portrait))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[*FLAGS, f"--use-file-for-fake-video-capture={film}"],
        )
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        page.goto(start_app(IAD_MODEL="mini"))
        page.wait_for_selector("#generate")
        figures = {} if options.tab == "play" else make_clips(page, options.clicks)
        figures |= {} if options.tab == "portrait" else play(page, options.seconds)
        print(json.dumps(figures))
        if options.screenshot:
            page.screenshot(path=options.screenshot)


if __name__ == "__main__":
    main()
