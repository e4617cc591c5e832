"""The app: one page, a pipeline behind it. `build_demo` makes the page, `launch` serves it.

Uploads stay on this machine: no analytics, no share link, no run history, and files in the cache are deleted.
"""

import os
from typing import Any

from iad.demo.loading import BackgroundPipeline
from iad.photos import MOST_BYTES

MOST_WAITING = 20


def build_demo(pipeline: Any) -> Any:
    """Lay out the page.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline` that is still loading.

    Returns:
        A `gradio.Blocks`, not launched; `serve` launches it with its looks.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when it is imported
    import gradio as gr

    from iad.demo.portrait import build_portrait

    # Files older than an hour are deleted, checked every hour.
    with gr.Blocks(title="IaD video portraits", analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        build_portrait(pipeline)
    return demo.queue(max_size=MOST_WAITING, default_concurrency_limit=1)


def serve(demo: Any, *, port: int | None = None, wait: bool = True) -> str:
    """Launch the page and return its address; with `wait`, only after it was closed.

    The host is 127.0.0.1, or what GRADIO_SERVER_NAME says.
    """
    from iad.demo.theme import CSS, create_theme

    _, address, _ = demo.launch(
        server_port=port,
        theme=create_theme(),
        css=CSS,
        share=False,
        run_history=False,
        ssr_mode=False,
        max_file_size=MOST_BYTES,
        footer_links=["api"],
        prevent_thread_lock=True,
    )
    if wait:
        demo.block_thread()
    return address


def create_demo() -> Any:
    """Build the page around the model that IAD_MODEL names, mini by default; it loads when first needed."""
    return build_demo(BackgroundPipeline(os.environ.get("IAD_MODEL", "mini")))


def launch(port: int | None = None) -> None:
    """Serve the app until it is interrupted.

    The page is up while the model still loads.

    Raises:
        ValueError: no such model, or no weights of it.
    """
    pipeline = BackgroundPipeline(os.environ.get("IAD_MODEL", "mini"))
    demo = build_demo(pipeline)
    serve(demo, port=port, wait=False)
    pipeline.start()
    demo.block_thread()
