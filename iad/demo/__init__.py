"""The app: one page with a tab for each thing to do, and a pipeline behind it.

`build_demo` makes the page, `launch` serves it.

Uploads stay on this machine: no analytics, no share link, no run history, and files in the cache are deleted.
"""

import os
from typing import Any

from iad.demo.loading import BackgroundPipeline
from iad.photos import MOST_BYTES

MOST_WAITING = 20
KEPT_SECONDS = 3600  # files older than this are deleted, looked for as often


def build_demo(pipeline: Any) -> Any:
    """Lay out the page.

    Args:
        pipeline: an `IaDPipeline`, or a `BackgroundPipeline` that is still loading.

    Returns:
        A `gradio.Blocks`, not launched; `serve` launches it with its looks.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when it is imported
    import gradio as gr

    from iad.demo.about import build_about
    from iad.demo.compare import build_compare
    from iad.demo.embedding import build_embedding
    from iad.demo.hardware import choose_hardware
    from iad.demo.losses import build_losses
    from iad.demo.portrait import build_portrait
    from iad.demo.verify import build_verify
    from iad.demo.wording import CONSENT, TITLE, describe_model

    kept = int(os.environ.get("IAD_KEPT_SECONDS", KEPT_SECONDS))
    with gr.Blocks(title="IaD video portraits", analytics_enabled=False, delete_cache=(kept, kept)) as demo:
        gr.HTML(TITLE, elem_id="title")
        consent = gr.Checkbox(False, label=CONSENT, elem_id="consent", container=False)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            with gr.Tab("Portrait", id="portrait"):
                studio = build_portrait(pipeline, consent)
            with gr.Tab("Compare", id="compare"):
                build_compare(studio, consent)
            with gr.Tab("Inside the embedding", id="embedding"):
                build_embedding(pipeline, consent)
            with gr.Tab("Losses", id="losses"):
                build_losses(pipeline, consent)
            with gr.Tab("Verify", id="verify"):
                build_verify(pipeline, consent)
            with gr.Tab("About", id="about"):
                build_about(pipeline)
        gr.HTML(describe_model(pipeline.preset, choose_hardware().describe()), elem_id="honesty")
    return demo.queue(max_size=MOST_WAITING, default_concurrency_limit=1)


def serve(demo: Any, *, port: int | None = None, wait: bool = True) -> str:
    """Launch the page and return its address; with `wait`, only after it was closed.

    The host is 127.0.0.1, or what GRADIO_SERVER_NAME says.
    """
    from iad.demo.hardware import has_mcp
    from iad.demo.theme import CSS, NAME_EMPTY_JS, create_theme

    _, address, _ = demo.launch(
        server_port=port,
        theme=create_theme(),
        css=CSS,
        js=NAME_EMPTY_JS,
        share=False,
        run_history=False,
        ssr_mode=False,
        max_file_size=MOST_BYTES,
        footer_links=["api"],
        mcp_server=has_mcp(),
        prevent_thread_lock=True,
    )
    if wait:
        demo.block_thread()
    return address


def create_demo() -> Any:
    """Build the page around the model that IAD_MODEL names, mini by default; it loads when first needed."""
    from iad.demo.hardware import choose_hardware
    from iad.provenance import check_signing

    check_signing()
    return build_demo(BackgroundPipeline(choose_hardware().model))


def launch(port: int | None = None) -> None:
    """Serve the app until it is interrupted.

    The page is up while the model still loads.

    Raises:
        ValueError: no such model, no weights of it, or a certificate that cannot sign.
    """
    from iad.demo.hardware import choose_hardware
    from iad.provenance import check_signing

    check_signing()
    pipeline = BackgroundPipeline(choose_hardware().model)  # before anything touches CUDA
    demo = build_demo(pipeline)
    serve(demo, port=port, wait=False)
    pipeline.start()
    demo.block_thread()
