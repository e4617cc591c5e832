"""A visitor's run: the two buttons that start and stop it, its progress, and its mistakes as one sentence."""

import contextlib
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from iad.demo.visitors import open_house

MOST_ASIDE = 5.0  # seconds; where runs follow each other, even what waits for them is done
QUIET = {"api_visibility": "private", "queue": False}


class Cancelled(Exception):
    """Raised in the sampler's callback: it leaves the pipeline at the next step."""


def _make_file() -> Path:
    file = open_house().runs / secrets.token_hex(16)
    file.touch()
    return file


@dataclass(frozen=True)
class Stop:
    """Tells a run to leave, in whichever process it is: it may go on for as long as its file is there."""

    file: Path = field(default_factory=_make_file)

    def set(self) -> None:
        """Let the run leave; also what is called when it has ended, so that nothing is left."""
        self.file.unlink(missing_ok=True)

    def check(self) -> None:
        """Leave, if the visitor has cancelled or the app ends."""
        if not self.file.exists():
            raise Cancelled


@dataclass(frozen=True)
class Follower:
    """A pipeline's callback: it moves the bar, and leaves when the visitor has cancelled.

    Plain data, because ZeroGPU draws in another process.
    """

    stop: Stop
    progress: Any
    doing: str
    begin: float = 0.0  # of the bar
    end: float = 1.0

    def __call__(self, step: int, total: int) -> None:
        """Show a step."""
        self.stop.check()
        done = step / total
        self.progress((1 - done) * self.begin + done * self.end, desc=self.doing)

    def say(self, what: str) -> None:
        """Show what is done before the steps."""
        self.stop.check()
        self.progress(self.begin, desc=what)

    def part(self, begin: float, end: float, doing: str = "") -> "Follower":
        """Follow a part of the work in its own part of the bar, which so never goes back."""
        width = self.end - self.begin
        begin, end = self.begin + width * begin, self.begin + width * end
        return replace(self, doing=doing or self.doing, begin=begin, end=end)


class Runs:
    """The runs of one tab; every visitor's can be stopped by its session, and by nobody else."""

    def __init__(self) -> None:
        self.going: dict[str, set[Stop]] = defaultdict(set)

    def start(self) -> tuple[Any, Any]:
        """Show Cancel instead of Generate."""
        return gr.update(visible=False), gr.update(visible=True)

    def finish(self) -> tuple[Any, Any]:
        """Show Generate again."""
        return gr.update(visible=True), gr.update(visible=False)

    def cancel(self, request: gr.Request) -> tuple[Any, Any]:
        """Stop the visitor's run at its next step."""
        self.forget(request.session_hash or "")
        gr.Info("Stopped.", duration=3)
        return self.finish()

    def forget(self, session: str) -> None:
        """Stop what a closed page had going; what still waits is taken out of the queue instead."""
        for stop in self.going.pop(session, ()):
            stop.set()

    def step_aside(self, *, most: float = MOST_ASIDE) -> None:
        """Wait while runs go on, at most so many seconds: for what is done in passing."""
        until = time.monotonic() + most
        while self.going and time.monotonic() < until:
            time.sleep(0.05)

    @contextlib.contextmanager
    def follow(self, request: gr.Request, progress: Any, *, doing: str) -> Iterator[Follower]:
        """Make the pipeline's callback for a visitor's run, whose mistakes become sentences."""
        session, stop = request.session_hash or "", Stop()
        self.going[session].add(stop)
        try:
            with plain_errors():
                yield Follower(stop, progress, doing)
        finally:
            stop.set()
            mine = self.going.get(session, set())
            mine.discard(stop)
            if not mine:
                self.going.pop(session, None)

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
        when_closed(self.forget)
        return run


def when_closed(call: Callable[[str], None]) -> None:
    """Let `call(session)` tidy up after a page that was closed; for Gradio's `unload` each would be a run."""
    getattr(gr.context.Context.root_block, "closers", []).append(call)


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
