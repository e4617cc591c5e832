"""The tab "Inside the embedding": some faces, each in three parts, compared, and put together anew."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8

from iad.demo.clip_files import save_clip
from iad.demo.embedding_words import (
    INTRODUCTION,
    MATRICES,
    SWAP,
    describe_faces,
    describe_sources,
    describe_swap,
    draw_maps,
    draw_tables,
    show_strip,
)
from iad.demo.examples import Example, digest, vary
from iad.demo.faceview import describe_problem
from iad.demo.runs import QUIET, Runs
from iad.demo.uploads import CONSENT_NEEDED, PHOTOS, check_driver, keep_path, open_photo
from iad.installation import EXAMPLES
from iad.media.photos import load_image
from iad.media.video import save_picture
from iad.plots import list_labels
from iad.plots.comparison import compare_faces, cosines, stack, write_csv, write_npz
from iad.request import Request
from iad.result import DecoupledFace

PAIRS = EXAMPLES / "pairs"
MOST_FACES, MOST_PROMPTS, LONGEST_PROMPT = 8, 30, 200
KEPT = 1800  # seconds that a visitor's embeddings stay in memory
SCENE = "a portrait"  # a swap's words: they name no action
PROMPTS = (
    "smiling", "laughing", "mouth open", "eyes closed", "eyebrows raised", "frowning", "blowing a kiss",
    "looking surprised", "looking sad", "turning the head to the left", "a neutral face",
)  # fmt: skip


@dataclass(frozen=True)
class Looked:
    """What the last look of a visitor found; it lives in their session alone."""

    faces: tuple[DecoupledFace, ...]
    report: dict[str, Any]
    paths: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """A, B, ..."""
        return list_labels(len(self.faces))


class EmbeddingActions:
    """What the tab's events call."""

    def __init__(self, pipeline: Any, portraits: Sequence[Example] = ()):
        self.pipeline = pipeline
        self.looks, self.swaps = Runs(), Runs()
        self.examples = choose_examples(portraits)
        self.known = {digest(picture) for picture in self.examples.values()}
        self.known |= {example.digest for example in portraits}

    def lend_examples(self, count: int) -> Iterator[tuple[list[str], int]]:
        """Give the examples as files, and one more than `count`."""
        with tempfile.TemporaryDirectory() as folder:  # gradio serves no file of the package
            files = [Path(folder) / f"{name}.png" for name in self.examples]
            for file, picture in zip(files, self.examples.values(), strict=True):
                save_picture(file, picture)
            yield [str(file) for file in files], count + 1

    def look_at_files(self, files: Sequence[str] | None, consent: bool) -> str:
        """Say what is wrong with the photos that were added."""
        for path in files or []:
            try:
                check_driver(path, consent=consent, known=self.known)
            except ValueError as error:
                return describe_problem(_name_file(error, path))
            except OSError as error:
                return describe_problem(error)
        return ""

    def decouple(
        self,
        files: list[str],
        prompts: str,
        consent: bool,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008 (gradio finds it by its default)
    ) -> Iterator[tuple[dict[str, Any], Looked]]:
        """Split faces into identity, action and residual, and compare them.

        Args:
            files: one to eight JPEG, PNG, WebP or HEIC files, each showing a face; the largest is used.
            prompts: facial actions in words, one a line, to be ranked by how well they say what a face does.
            consent: that the people in the photos agreed; examples of the page need none.
            request: whose run this is; gradio gives it.
            progress: shows the steps; gradio gives it.

        Returns:
            faces (file, box, identity_share, action_share, residual_share, cosine, actions), identity_cosine,
            action_cosine, recogniser_cosine (the recogniser's part of the identity alone), notes (a sentence
            for each photo that is not among the faces, because none was found in it).
        """
        with self.looks.follow(request, progress, doing="Looking at the faces") as follow:
            wanted = _read_prompts(prompts)
            faces, shown, refused = [], [], []
            for k, path in enumerate(_check_count(files)):
                follow(k, len(files))
                try:
                    faces.append(self._split(path, self._open(path, consent)))
                    shown.append(path)
                except ValueError as error:  # the others are still worth a look
                    if str(error) == CONSENT_NEEDED:
                        raise
                    refused.append(error)
            if not faces:
                raise refused[0]
            report = compare_faces(self.pipeline, faces, [Path(path).name for path in shown], wanted)
            report |= {"notes": [str(error) for error in refused]}
            yield report, Looked(tuple(faces), report, tuple(shown))

    def swap(
        self,
        looked: Looked | None,
        person: str,
        action: str,
        consent: bool,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008 (gradio finds it by its default)
    ) -> Iterator[tuple[str, str]]:
        """Draw the person of one face with the action of another."""
        followed = self.swaps.follow(request, progress, doing="Drawing the clip")
        with followed as follow, tempfile.TemporaryDirectory() as folder:
            who, what = (_find(looked, label) for label in (person, action))
            photo, driver = (self._open(looked.paths[k], consent) for k in (who, what))
            result = self.pipeline.generate(Request(photo, SCENE, action_reference=driver), follow)
            path = Path(folder) / f"swap-{person}-{action}.mp4"
            path = save_clip(result, path, label=True)
            pair = [looked.faces[who], looked.faces[what]]
            yield (
                path,
                describe_swap(self._measure(result.frames, pair), [person, action], result.seconds),
            )

    def draw(self, looked: Looked | None) -> Iterator[tuple[Any, ...]]:
        """Show what was found: cards, matrices, maps, the choices for a swap, and two files."""
        if looked is None:  # a cancelled run ends here too
            yield gr.update(visible=False), gr.update(visible=False), *[gr.skip()] * 7
            return
        several = len(looked.faces) > 1
        crops, labels, report = [face.crop for face in looked.faces], looked.labels, looked.report
        alike = np.array(report["identity_cosine"]) + np.array(report["action_cosine"])
        with tempfile.TemporaryDirectory() as folder:
            npz, table = Path(folder) / "embeddings.npz", Path(folder) / "faces.csv"
            npz.write_bytes(write_npz(looked.faces, report))
            table.write_bytes(write_csv(report))
            yield (
                gr.update(visible=True),
                gr.update(visible=several),
                describe_faces(crops, labels, report, [face.count for face in looked.faces]),
                draw_tables(crops, labels, report) if several else "",
                draw_maps(crops, labels, *(stack(looked.faces, p) for p in ("identity", "action")))
                if len(crops) > 2  # two points lie at the two ends of any map
                else "",
                gr.update(choices=labels, value=labels[0]),
                gr.update(choices=labels, value=labels[int(alike[0].argmin())]),
                str(npz),
                str(table),
            )

    def show_sources(self, looked: Looked | None, person: str, action: str) -> str:
        """Show the two faces that a swap would take."""
        if looked is None or not {person, action} <= set(looked.labels):
            return ""
        crops = [looked.faces[looked.labels.index(label)].crop for label in (person, action)]
        return describe_sources(crops, [person, action])

    def _open(self, path: str, consent: bool) -> UInt8[np.ndarray, "h w 3"]:
        try:
            return open_photo(path, consent=consent, known=self.known)
        except ValueError as error:
            raise _name_file(error, path) from error

    def _split(self, path: str, picture: UInt8[np.ndarray, "h w 3"]) -> DecoupledFace:
        try:
            return self.pipeline.decouple(picture)
        except ValueError as error:
            raise _name_file(error, path) from error

    def _measure(self, frames: UInt8[np.ndarray, "f h w 3"], pair: Sequence[DecoupledFace]) -> Any:
        """Compare the middle frame with both faces: cosines (identity or action, face)."""
        try:
            shown = self.pipeline.decouple(frames[len(frames) // 2])
        except ValueError:
            return None
        return np.stack(
            [cosines(stack([shown], part), stack(pair, part))[0] for part in ("identity", "action")]
        )


def choose_examples(portraits: Sequence[Example]) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """Choose at most eight pictures with their names: two looks of each real person, then rendered pairs."""
    shown = {}
    people = {example.name: example for example in reversed(portraits) if example.name}
    for example in reversed(people.values()):
        cold = bool(len(shown) % 4)
        shown[example.name] = example.picture
        shown[f"{example.name}, in {'cold' if cold else 'warm'} light"] = vary(example.picture, cold=cold)
    shown |= {file.stem: load_image(file) for file in sorted(PAIRS.glob("*.png"))}
    return dict(list(shown.items())[:MOST_FACES])


def build_embedding(pipeline: Any, consent: Any, portraits: Sequence[Example] = ()) -> None:
    """Lay out the tab inside the current `gr.Tab`.

    Args:
        pipeline: an `IaDPipeline`, or one that is still loading.
        consent: the page's checkbox, True once the visitor agreed.
        portraits: examples of the Portrait tab, which need no consent here either.
    """
    actions = EmbeddingActions(pipeline, portraits)
    gr.HTML(INTRODUCTION, elem_id="inside-introduction")
    with gr.Row(elem_id="inside-inputs", equal_height=False):
        with gr.Column(scale=5, min_width=300):
            files = keep_path(gr.File(
                label="Photos, one to eight", file_count="multiple", file_types=PHOTOS, height=170,
                elem_id="inside-files",
            ))  # fmt: skip
            told = gr.HTML(elem_id="inside-told")
            gr.HTML(show_strip(list(actions.examples.values())))
            more = keep_path(gr.UploadButton(
                "Add more photos", file_count="multiple", file_types=PHOTOS, visible=False, size="sm",
                elem_id="inside-more",
            ))  # fmt: skip
            sample = gr.Button(
                f"Try these {len(actions.examples)} examples", elem_id="inside-examples",
                visible=bool(actions.examples),
            )  # fmt: skip
        with gr.Column(scale=5, min_width=300):
            prompts = gr.Textbox(
                "\n".join(PROMPTS), label="What the faces may be doing, one a line", lines=5, max_lines=12,
                max_length=MOST_PROMPTS * LONGEST_PROMPT, elem_id="inside-prompts",
            )  # fmt: skip
    look = gr.Button("Look inside", variant="primary", elem_id="inside-look")
    stop = gr.Button("Cancel", visible=False, elem_id="inside-cancel")
    report = gr.JSON(label="Report", visible=False)
    looked, asked = gr.State(None, time_to_live=KEPT), gr.State(0)
    with gr.Column(visible=False, elem_id="inside-results") as results:
        cards = gr.HTML(elem_id="inside-faces")
        with gr.Column(visible=False, elem_id="inside-several") as several:
            gr.HTML(MATRICES)
            tables, maps = gr.HTML(elem_id="inside-tables"), gr.HTML(elem_id="inside-maps")
            person, action = _lay_out_swap(actions, looked, consent)
        with gr.Row(elem_id="inside-downloads"):
            npz = gr.DownloadButton("Embeddings (npz)", size="sm", elem_id="inside-npz")
            table = gr.DownloadButton("Numbers (csv)", size="sm", elem_id="inside-csv")
    run = actions.looks.wire(
        [look.click, asked.change], actions.decouple, [files, prompts, consent], [report, looked],
        buttons=[look, stop], api_name="decouple", progress_on=look,
    )  # fmt: skip
    shown = [results, several, cards, tables, maps, person, action, npz, table]
    drawn = run.success(actions.draw, looked, shown, **QUIET)
    drawn.success(None, js=_scroll_to("inside-results", "start"), **QUIET)
    more.upload(lambda old, new: [*(old or []), *(new or [])], [files, more], files, **QUIET)
    gr.on(
        [files.change, consent.change], actions.look_at_files, [files, consent], told,
        api_visibility="private", concurrency_limit=2, show_progress="hidden", trigger_mode="always_last",
    )  # fmt: skip
    files.change(lambda paths: gr.update(visible=bool(paths)), files, more, **QUIET)
    sample.click(actions.lend_examples, asked, [files, asked], api_visibility="private")


def _lay_out_swap(actions: EmbeddingActions, looked: Any, consent: Any) -> tuple[Any, Any]:
    gr.HTML(SWAP)
    with gr.Row(elem_id="swap", equal_height=False):
        with gr.Column(scale=4, min_width=280):
            with gr.Row():
                person = gr.Dropdown([], label="Identity from", elem_id="swap-identity", min_width=120)
                action = gr.Dropdown([], label="Action from", elem_id="swap-action", min_width=120)
            sources = gr.HTML(elem_id="swap-sources")
            start = gr.Button("Swap", variant="primary", elem_id="swap-start")
            stop = gr.Button("Cancel", visible=False, elem_id="swap-cancel")
            words = gr.HTML(elem_id="swap-words")
        with gr.Column(scale=5, min_width=280):
            clip = gr.Video(
                label="Clip of the swap", show_label=False, autoplay=True, loop=True, interactive=False,
                buttons=[], elem_id="swap-clip", height="auto",
            )  # fmt: skip
    actions.swaps.wire(
        [start.click], actions.swap, [looked, person, action, consent], [clip, words],
        buttons=[start, stop], api_name=None, progress_on=clip,
        js=_scroll_to("swap-clip", "center"),
    )  # fmt: skip
    gr.on([person.change, action.change], actions.show_sources, [looked, person, action], sources, **QUIET)
    return person, action


def _scroll_to(element: str, block: str) -> str:
    """On a phone what was asked for lies below the button."""
    scroll = f"document.getElementById('{element}')?.scrollIntoView({{behavior: 'smooth', block: '{block}'}})"
    return f"() => {{ if (innerWidth < 800) {scroll}; }}"


def _check_count(files: Sequence[str] | None) -> Sequence[str]:
    if not files:
        raise ValueError("There is no photo yet; add one to eight, or try the examples.")
    if len(files) > MOST_FACES:
        raise ValueError(f"There are {len(files)} photos; compare at most {MOST_FACES} at a time.")
    return files


def _read_prompts(prompts: str | None) -> list[str]:
    wanted = list(dict.fromkeys(line.strip() for line in (prompts or "").splitlines() if line.strip()))
    if not wanted:
        raise ValueError("The list of actions is empty; write at least one, such as smiling.")
    if len(wanted) > MOST_PROMPTS:
        raise ValueError(f"The list has {len(wanted)} actions; write at most {MOST_PROMPTS}.")
    long = next((line for line in wanted if len(line) > LONGEST_PROMPT), None)
    if long:
        raise ValueError(
            f"The action '{long[:24]}...' has {len(long)} characters; use at most {LONGEST_PROMPT}."
        )
    return wanted


def _find(looked: Looked | None, label: str) -> int:
    if looked is None:
        raise ValueError("The faces are no longer here; look inside again.")
    if label not in looked.labels:
        raise ValueError(f"There is no face {label!r}; choose one of {', '.join(looked.labels)}.")
    return looked.labels.index(label)


def _name_file(error: ValueError, path: str) -> ValueError:
    name = Path(path).name
    return error if str(error) == CONSENT_NEEDED or name in str(error) else ValueError(f"{name}: {error}")
