"""The app in a browser: what a visitor does, on a desk and on a phone."""

import shutil

import pytest
from app_server import start_app
from made_up import ASTRONAUT
from PIL import Image

pytestmark = pytest.mark.browser

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESK, PHONE = (1280, 900), (390, 844)
WAIT = 120_000  # milliseconds; a busy machine is slow


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    """Give a visitor's own photo: saved as JPEG, its pixels are no longer the example's."""
    file = tmp_path_factory.mktemp("visitor") / "photo.jpg"
    Image.open(ASTRONAUT).save(file, quality=90)
    return str(file)


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("No Chromium is installed; `apt-get install chromium` brings the one these tests use.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser, request):
    width, height = getattr(request, "param", DESK)
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.requested = []
    page.on("request", lambda sent: page.requested.append(sent.url))
    page.goto(start_app())
    page.wait_for_selector("#generate")
    yield page
    context.close()


def upload(page, file, *, consent=True):
    if consent:
        page.check("#consent input")
    page.set_input_files("#photo input[type=file]", str(file))


def read_toast(page):
    toast = page.locator(".toast-body.error").first
    toast.wait_for()
    return toast.inner_text()


@pytest.mark.parametrize("page", [DESK, PHONE], ids=["desk", "phone"], indirect=True)
def test_a_visitor_makes_a_clip_that_plays(page, photo):
    upload(page, photo)
    page.wait_for_selector("#face img")
    page.click("#chips button:has-text('laughs')")
    assert page.input_value("#prompt textarea") == "laughs"
    page.click("#generate")
    page.wait_for_selector("#scores .score")
    assert page.locator("#scores .score").count() == 3
    video = "document.querySelector('#clip video')"
    page.wait_for_function(f"{video}.currentTime > 0.05 && !{video}.paused")
    # It loops: the time runs on, and then back.
    page.evaluate("() => { window.latest = 0 }")
    page.wait_for_function(
        f"() => {{ const t = {video}.currentTime; latest = Math.max(latest, t); return t < latest - 0.2 }}"
    )
    assert page.evaluate(f"[{video}.loop, {video}.videoWidth]") == [True, 384]
    assert page.evaluate(f"{video}.clientWidth") > 300
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename == "portrait-laughs-seed0.mp4"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    away = [url for url in page.requested if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert away == []


def test_an_upload_waits_for_consent(page, photo):
    assert not page.is_checked("#consent input")
    upload(page, photo, consent=False)
    page.wait_for_selector("#face .quiet")
    assert page.locator("#face img").count() == 0
    page.fill("#prompt textarea", "nods")
    page.click("#generate")
    assert "Tick the box" in read_toast(page)
    page.wait_for_selector("#generate", state="visible")
    page.check("#consent input")
    page.wait_for_selector("#face img")


def test_a_photo_without_a_face_is_told_in_red(page, tmp_path):
    Image.new("RGB", (200, 200), "gray").save(tmp_path / "wall.png")
    upload(page, tmp_path / "wall.png")
    assert "No face found" in read_toast(page)
    page.wait_for_selector("#generate", state="visible")


def test_cancel_stops_and_the_next_run_starts_at_once(page, photo):
    upload(page, photo)
    page.wait_for_selector("#face img")
    page.fill("#prompt textarea", "nods")
    page.click("#advanced button")
    page.fill("#steps input[type=number]", "50")
    page.press("#steps input[type=number]", "Tab")
    page.click("#generate")
    page.wait_for_selector("#clip .progress-bar")
    page.click("#cancel")
    page.wait_for_selector("#generate", state="visible")
    page.wait_for_selector("#clip .progress-bar", state="detached")
    assert page.locator("#scores .score").count() == 0
    page.wait_for_timeout(1000)  # as a visitor would; a script can outrun the cancelling
    page.fill("#steps input[type=number]", "1")
    page.press("#steps input[type=number]", "Tab")
    page.click("#generate")
    page.wait_for_selector("#scores .score")
    assert "1 step." in page.inner_text("#scores")


def test_an_example_needs_one_click_and_no_consent(page):
    if not page.locator("#examples button").count():
        pytest.skip("No examples are installed; they come with the folder examples or with scikit-image.")
    page.locator("#examples button").last.click()
    page.wait_for_selector("#face img")
    assert page.input_value("#prompt textarea")
    assert not page.is_checked("#consent input")
