"""A visitor's run: the two buttons that start and stop it, its progress, and its mistakes as one sentence."""

import contextlib
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

FORGOTTEN = 600  # seconds after which no run asks any more whether it was stopped
QUIET = {"api_visibility": "private", "queue": False}


class Cancelled(Exception):
    """Raised in the sampler's callback: it leaves the pipeline at the next step."""


def _name_file() -> Path:
    return Path(tempfile.gettempdir()) / f"iad-stop-{secrets.token_hex(16)}"


@dataclass(frozen=True)
class Stop:
    """Tells a run to leave, in whichever process it is: by a file, which the run takes away."""

    file: Path = field(default_factory=_name_file)

    def set(self) -> None:
        """Let the run leave; if it ends without asking again, the file goes later."""
        self.file.touch()
        later = threading.Timer(FORGOTTEN, self.file.unlink, kwargs={"missing_ok": True})
        later.daemon = True
        later.start()

    def check(self) -> None:
        """Leave, if the visitor has cancelled."""
        if self.file.exists():
            self.file.unlink(missing_ok=True)
            raise Cancelled


@dataclass(frozen=True)
class Follower:
    """A pipeline's callback: it shows the steps, and leaves when the visitor has cancelled.

    Plain data, because ZeroGPU draws in another process.
    """

    stop: Stop
    progress: Any
    doing: str

    def __call__(self, step: int, total: int) -> None:
        """Show a step."""
        self.stop.check()
        self.progress((step, total), desc=self.doing, unit="steps")

    def say(self, what: str) -> None:
        """Show what is done before the steps."""
        self.stop.check()
        self.progress(0, desc=what)


class Runs:
    """The runs of one tab; every visitor's can be stopped by its session, and by nobody else."""

    def __init__(self) -> None:
        self.stops: dict[str, Stop] = {}
        self.followed: set[Stop] = set()  # of runs that have begun; only these ask

    def start(self, request: gr.Request) -> tuple[Any, Any]:
        """Show Cancel instead of Generate."""
        self.stops[request.session_hash or ""] = Stop()
        return gr.update(visible=False), gr.update(visible=True)

    def finish(self, request: gr.Request) -> tuple[Any, Any]:
        """Show Generate again."""
        self.followed.discard(self.stops.pop(request.session_hash or "", None))
        return gr.update(visible=True), gr.update(visible=False)

    def cancel(self, request: gr.Request) -> tuple[Any, Any]:
        """Stop the visitor's run at its next step."""
        self.forget(request)
        gr.Info("Stopped.", duration=3)
        return gr.update(visible=True), gr.update(visible=False)

    def forget(self, request: gr.Request) -> None:
        """Stop what a closed page had going."""
        stop = self.stops.pop(request.session_hash or "", None)
        if stop in self.followed:  # a run that still waits in the queue is taken out of it instead
            self.followed.discard(stop)
            stop.set()

    def follow(self, request: gr.Request, progress: Any, *, doing: str) -> Follower:
        """Make the pipeline's callback for a visitor's run."""
        stop = self.stops.setdefault(request.session_hash or "", Stop())
        self.followed.add(stop)
        return Follower(stop, progress, doing)

    def wire(
        self,
        triggers: Sequence[Any],
        function: Callable,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        *,
        buttons: Sequence[Any],
        api_name: str | None,
        progress_on: Any,
        js: str | None = None,
        at_once: int = 1,
    ) -> Any:
        """Let the triggers run `function`, and Cancel stop it; returns the event, to follow up its success.

        Args:
            triggers: events, as `button.click`.
            function: takes the inputs; calls `follow` for its pipeline's callback.
            inputs: components.
            outputs: components.
            buttons: the one that starts and the one that cancels; the latter is hidden at first.
            api_name: the public name of the endpoint; None keeps it private.
            progress_on: the component that shows the progress.
            js: run in the browser at the start.
            at_once: how many visitors' runs; more than one only where each model takes turns by itself.
        """
        started = gr.on(list(triggers), self.start, outputs=list(buttons), js=js, **QUIET)
        named = {"api_name": api_name} if api_name else {"api_visibility": "private"}
        queue = f"model-{at_once}"  # events that share a queue get the lowest of their limits
        run = started.then(
            function, list(inputs), list(outputs), concurrency_id=queue, concurrency_limit=at_once,
            show_progress_on=progress_on, **named,
        )  # fmt: skip
        run.success(self.finish, outputs=list(buttons), **QUIET)
        run.failure(self.finish, outputs=list(buttons), **QUIET)  # `then` does not follow a failure
        buttons[1].click(self.cancel, outputs=list(buttons), cancels=[run], **QUIET)
        gr.context.Context.root_block.unload(self.forget)
        return run


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn a caller's mistake into one sentence on the page, and a stop into nothing."""
    try:
        yield
    except Cancelled:
        return
    except FileNotFoundError as error:
        raise _tell("The file is no longer here; add it again.") from error
    except ValueError as error:
        raise _tell(str(error)) from error


def _tell(sentence: str) -> gr.Error:
    return gr.Error(sentence, title="That did not work", duration=8, print_exception=False)
