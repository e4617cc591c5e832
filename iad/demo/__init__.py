"""The app: one page with a tab for each thing to do, and a pipeline behind it.

`build_demo` makes the page, `launch` serves it.

Uploads stay on this machine: no analytics, no share link, no run history, and files in the cache are deleted.
"""

import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from iad.demo.loading import BackgroundPipeline
from iad.demo.visitors import open_house
from iad.installation import check_installed
from iad.media.photos import MOST_BYTES

MOST_WAITING = 40
KEPT_SECONDS = 3600  # files older than this are deleted, looked for as often


def build_demo(pipeline: Any, full_size: Any = None) -> Any:
    """Lay out the page.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline` that is still loading.
        full_size: a `FullSize` to choose beside it, where there is a GPU.

    Returns:
        A `gradio.Blocks`, not launched; `serve` launches it with its looks.

    Raises:
        ValueError: gradio is missing or too old.
    """
    # Gradio reads the first when it is imported, the second whenever it writes a file.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(open_house().folder)
    check_installed("gradio")
    import gradio as gr

    from iad.demo.about import build_about
    from iad.demo.compare import build_compare
    from iad.demo.embedding import build_embedding
    from iad.demo.hardware import read_whole
    from iad.demo.losses import build_losses
    from iad.demo.page import Page
    from iad.demo.play import build_play
    from iad.demo.portrait import build_portrait
    from iad.demo.verify import build_verify
    from iad.demo.wording import CONSENT, TITLE

    kept = read_whole("IAD_KEPT_SECONDS", KEPT_SECONDS)
    with Page(kept=kept, title="IaD video portraits", analytics_enabled=False) as demo:
        gr.HTML(TITLE, elem_id="title")
        # every tab asks for it, the page shows it when it is first asked for
        consent = gr.Checkbox(False, label=CONSENT, elem_id="consent", container=False)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            with gr.Tab("Portrait", id="portrait"):
                studio = build_portrait(pipeline, consent, full_size)
            with gr.Tab("Play", id="play") as tab:
                build_play(studio, consent, tab)
            with gr.Tab("Compare", id="compare"):
                build_compare(studio, consent)
            with gr.Tab("Inside the embedding", id="embedding"):
                build_embedding(pipeline, consent, studio.faces)
            with gr.Tab("Losses", id="losses"):
                build_losses(pipeline, consent)
            with gr.Tab("Verify", id="verify"):
                build_verify(pipeline, consent)
            with gr.Tab("About", id="about"):
                build_about(pipeline, studio.first_prepared())
        _lay_out_honesty(pipeline, full_size)
    return demo.queue(max_size=MOST_WAITING, default_concurrency_limit=1)


def _lay_out_honesty(pipeline: Any, full_size: Any) -> None:
    """Say at the foot of the page what runs here, and what more could."""
    import gradio as gr

    from iad.demo.hardware import choose_hardware
    from iad.demo.wording import MISSING, describe_model

    def describe() -> str:
        big = full_size.name if full_size is not None and full_size.loaded else None
        more = MISSING if full_size is None else ""
        return describe_model(pipeline.preset.name, choose_hardware().describe(big=big), more)

    words = gr.HTML(describe(), elem_id="honesty")
    if full_size is not None:  # by the time somebody comes, it may be there
        page = gr.context.Context.root_block
        page.load(describe, outputs=words, api_visibility="private", queue=False, show_progress="hidden")


def serve(demo: Any, *, port: int | None = None, wait: bool = True) -> str:
    """Launch the page and return its address; with `wait`, only after it was closed.

    The host is 127.0.0.1, or what GRADIO_SERVER_NAME says.
    """
    from iad.demo.hardware import has_mcp
    from iad.demo.theme import CSS, WATCH_JS, create_theme

    _, address, _ = demo.launch(
        server_port=port,
        theme=create_theme(),
        css=CSS,
        js=WATCH_JS,
        max_file_size=MOST_BYTES,
        footer_links=["api"],
        mcp_server=has_mcp(),
        prevent_thread_lock=True,
    )
    if demo.mcp_server:
        from iad.demo.tools import keep_agents_apart

        keep_agents_apart(demo)
    if wait:
        demo.block_thread()
    return address


def create_demo() -> Any:
    """Build the page around the models that the hardware allows; they load when first needed."""
    return build_demo(*_prepare())


def launch(port: int | None = None, *, tell: Callable[[str], None] | None = None) -> NoReturn:
    """Serve the app until it is interrupted, and end the process.

    The page is up while the models still load; only ZeroGPU wants the large one loaded before.

    Args:
        port: by default Gradio's own.
        tell: is called with the page's address when it is up.

    Raises:
        ValueError: no such model, no weights of it, a setting or a certificate that will not do, a port that
            is taken.
    """
    check_port(port)
    # Networks as small as mini's only lose by threads of their own; torch reads this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    house = open_house()
    signal.signal(signal.SIGTERM, _interrupt)
    tempfile.tempdir = str(house.folder / "tmp")  # what is half written goes with the rest
    pipeline, full_size = _prepare()
    demo = build_demo(pipeline, full_size)
    if full_size is not None and full_size.hardware.accelerator == "zerogpu":
        full_size.start(here=True)
    try:
        address = serve(demo, port=port, wait=False)
        if tell is not None:
            tell(address)
        pipeline.start()
        if full_size is not None and full_size.hardware.named:
            full_size.start()
        threading.Event().wait()
    except KeyboardInterrupt:
        house.leave()  # first, so that the runs that go on end at their next step
        demo.close(verbose=False)
        house.leave()  # what they wrote meanwhile
        sys.stdout.flush()
        os._exit(0)  # the interpreter would wait for threads, up to the end of a step, or of loading


def check_port(port: int | None) -> None:
    """Refuse a port that another program has, before anything is loaded.

    Raises:
        ValueError: it is taken, or not for everybody to open.
    """
    if port is None:
        return
    host = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            told = f"Port {port} cannot be opened ({error.strerror}); choose another by --port."
            raise ValueError(told) from error


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _prepare() -> tuple[Any, Any]:
    """Make what stands for the models: IAD_MODEL, mini by default, and a full-size one where it can run."""
    from iad.demo.hardware import choose_hardware
    from iad.media.provenance import check_signing

    check_signing()
    hardware = choose_hardware()  # before anything touches CUDA
    small = BackgroundPipeline(hardware.model, hardware.device)
    if hardware.big_model is None:
        return small, None
    from iad.demo.full_size import FullSize

    return small, FullSize(hardware)
