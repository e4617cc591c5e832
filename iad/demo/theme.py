"""The page's looks: calm paper and ink, one colour, fonts of the visitor's own system."""

from pathlib import Path
from typing import Any

_SHEETS = sorted((Path(__file__).parent / "css").glob("*.css"))
CSS = "\n".join(sheet.read_text() for sheet in _SHEETS)


# Gradio labels the empty place of a video without saying what it is, which screen readers must then skip.
# Nor can every browser show every photo that is read here, such as an iPhone's, nor does it offer them.
# A place in the queue, "queue: 5/5", becomes a sentence.
# The button for an upload opens the choice of a file at once, and the photo stays until one is chosen.
# A clip can be shared where the device can share files.
# The box of consent is shown from when any tab first asks for it.
WATCH_JS = """
() => {
const tellPlace = told => {
  const found = told.textContent.match(/queue: (\\d+)\\/\\d*\\s*\\|\\s*([\\d.]+)(?:\\/([\\d.]+))?s/);
  if (!found) return told.removeAttribute('data-wait');
  const [, place, gone, whole] = found, left = Math.max(Math.round(whole - gone), 1);
  told.dataset.wait = `You are number ${place} in the queue` + (whole ? `, about ${left} s` : '');
};
document.addEventListener('error', event => {
  if (event.target.tagName === 'IMG' && event.target.closest('.block')) {
    event.target.closest('.block').classList.add('unshown');
  }
}, true);
document.addEventListener('load', event => {
  if (event.target.tagName === 'IMG') event.target.closest('.block')?.classList.remove('unshown');
}, true);
document.addEventListener('click', event => {
  if (!event.target.closest('[aria-label="Upload file"], .image-frame')) return;
  const input = event.target.closest('.block').querySelector('input[type=file]');
  if (!input) return;
  event.stopPropagation();
  input.click();
}, true);
const clip = new File([''], 'clip.mp4', {type: 'video/mp4'});
document.body.classList.toggle('shares', Boolean(navigator.canShare?.({files: [clip]})));
new MutationObserver(() => {
  document.querySelectorAll('input[type=file][accept="image/*"]')
    .forEach(input => { input.accept = 'image/*,.heic,.heif'; });
  document.querySelectorAll('[aria-label="Empty value"]:not([role])')
    .forEach(place => place.setAttribute('role', 'img'));
  document.querySelectorAll('#clip .progress-text').forEach(tellPlace);
  const box = document.getElementById('consent');
  if (!box || box.classList.contains('asked')) return;
  const said = [...document.querySelectorAll('.toast-body, .note, .play-said, #face')];
  if (said.some(words => words.textContent.includes('Tick the box'))) box.classList.add('asked');
}).observe(document.body, {childList: true, subtree: true, characterData: true});
}
"""


def create_theme() -> Any:
    """Build the theme; nothing of it is fetched."""
    import gradio as gr

    theme = gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="stone",
        radius_size="lg",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return theme.set(
        body_text_color_subdued="#6b645d",
        body_text_color_subdued_dark="#aaa39b",
        body_background_fill="#faf8f5",
        body_background_fill_dark="#171513",
        block_background_fill="#ffffff",
        block_background_fill_dark="#201d1b",
        block_border_width="1px",
        block_border_color="#e9e4dd",
        block_border_color_dark="#38332f",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        slider_color="#0f6b63",
        slider_color_dark="#2aa396",
        checkbox_background_color_selected="#0f6b63",
        checkbox_background_color_selected_dark="#2aa396",
        color_accent="#0f6b63",
        input_background_fill="#ffffff",
        input_background_fill_dark="#201d1b",
        button_primary_background_fill="#0f6b63",
        button_primary_background_fill_hover="#0c5650",
        button_primary_background_fill_dark="#2aa396",
        button_primary_background_fill_hover_dark="#3fbcae",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#08211e",
        button_secondary_background_fill="#f1ede7",
        button_secondary_background_fill_hover="#e7e1d8",
        button_secondary_background_fill_dark="#2c2825",
        button_secondary_background_fill_hover_dark="#38332f",
    )
