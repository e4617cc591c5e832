"""Pictures a second of the Live tab, as a visitor with a webcam sees them; run on an idle machine.

    python tests/benchmarks/webcam.py [--seconds 20] [--screenshot FILE]

A Chromium without a window opens the app; its camera films a portrait that sways. The page's own figures are
printed as one JSON object: pictures a second, and milliseconds from the camera's frame to the picture of it.
App, browser and camera share the machine's cores, so a visitor whose browser runs elsewhere sees more.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from app_server import start_app
from fake_camera import write_camera
from made_up import ASTRONAUT

FLAGS = ("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
SAID = re.compile(r"([\d.]+) pictures a second, each (\d+) ms")


def watch(page: Page, seconds: int) -> dict[str, float]:
    """Let the camera drive the second portrait, and read what the page says once a second."""
    page.get_by_role("tab", name="Live", exact=True).click()
    page.locator("#live-faces button").nth(1).click()
    page.wait_for_selector(".live-picture img:not([hidden])")
    key = page.get_attribute(".live", "data-key")
    page.click(".live-camera")  # asks for consent
    page.wait_for_selector("#consent", state="visible")
    page.click(".live-camera")
    page.check("#consent input")  # the photo is read anew
    page.wait_for_function("key => document.querySelector('.live').dataset.key !== key", arg=key)
    page.wait_for_selector(".live-picture img:not([hidden])")
    page.click(".live-camera")
    page.wait_for_function("document.querySelector('.live-said').innerText.includes('pictures a second')")
    said = []
    for _ in range(seconds):
        page.wait_for_timeout(1000)
        found = SAID.search(page.inner_text(".live-said"))
        said += [tuple(map(float, found.groups()))] if found else []
    rate, late = np.median(said, axis=0)
    return {"pictures a second": float(rate), "milliseconds after the camera": float(late)}


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
        print(json.dumps(watch(page, options.seconds)))
        if options.screenshot:
            page.screenshot(path=options.screenshot)


if __name__ == "__main__":
    main()
