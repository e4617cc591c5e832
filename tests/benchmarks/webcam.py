"""How quickly the Play tab answers sliders, a clip and a webcam, in a browser; run on an idle machine.

    python -m tests.benchmarks.webcam [--seconds 20] [--screenshot FILE]

A Chromium without a window opens the app; its camera films a portrait that sways. One JSON object is printed:
milliseconds from a slider's move to the picture on the screen, beside those of the bare drawing in Python;
and of a clip and the camera the page's own figures: pictures a second, and milliseconds from what is followed
to the picture of it. All share the machine's cores: a visitor whose browser runs elsewhere
sees more.
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
SAID = re.compile(r"([\d.]+) pictures a second, each (\d+) ms")


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


def measure(page: Page, seconds: int) -> dict[str, dict[str, float]]:
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
        print(json.dumps(measure(page, options.seconds)))
        if options.screenshot:
            page.screenshot(path=options.screenshot)


if __name__ == "__main__":
    main()
