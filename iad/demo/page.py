"""The page as it is served: the one place through which every call goes, by whichever address it came.

In: an event and what a visitor sent for it. Out: its answer, whose files are the visitor's alone, or one
sentence. What a page keeps in memory is bounded over all visitors, the oldest goes first.
"""

import asyncio
import contextlib
import ctypes
import dataclasses
import html
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
import numpy as np
from gradio import routes
from gradio.state_holder import SessionState
from gradio_client import utils as files
from starlette.middleware import Middleware

from iad.demo.gate import API, FAULT, Gate, log_fault
from iad.demo.uploads import STRANGE, check_values
from iad.demo.visitors import open_house

MOST_STATE = 256_000_000  # bytes of what visitors' pages keep in memory, together: some 35 clips
MOST_SESSIONS = 300  # Gradio takes 0.4 MB for each
MOST_OWNERS = 100_000
MOST_WAITING = 4  # runs of one visitor
CLOSED_SECONDS = 60  # after which a page that was closed, and a caller without one, is forgotten
ANSWER_SECONDS = 300  # after which an answer is forgotten that nobody fetches
MOST_PROGRESS = 1000  # uploads whose progress is told
SESSION_TAKEN = "This session is another visitor's; load the page again."
_visitor: ContextVar[str | None] = ContextVar("visitor", default=None)


class Page(gr.Blocks):
    """A `gradio.Blocks` that keeps its visitors apart.

    Args:
        kept: seconds after which files are deleted.
        settings: of `gradio.Blocks`.
    """

    def __init__(self, *, kept: int, **settings: Any):
        super().__init__(**settings)
        self.kept, self.house = kept, open_house()
        self.shown: frozenset[str] = frozenset()  # files of the page itself, which everybody sees
        self.closers: list[Callable[[str], None]] = []  # told the session of each page that is closed
        self._owners: OrderedDict[str, str | None] = OrderedDict()
        self._open: Counter[str] = Counter()
        self._idle: dict[str, float] = {}  # sessions whose answers nobody fetches, since when
        self._sizes: OrderedDict[tuple[int, int], tuple[weakref.ref, int]] = OrderedDict()

    def launch(self, *args: Any, **settings: Any) -> Any:
        """Serve the page behind its gate."""
        kept = (Path(file) for block in self.blocks.values() for file in block.keep_in_cache)
        self.shown = frozenset(str(file.resolve()) for file in kept)
        settings["app_kwargs"] = {"middleware": [Middleware(Gate, page=self)], "lifespan": self._tidy}
        # Other processes would serve files past the gate.
        settings |= {"share": False, "ssr_mode": False, "num_workers": 0}
        settings |= {"enable_monitoring": False, "run_history": False, "show_error": False}
        settings["_frontend"] = False  # else Gradio gives up where the page takes more than 3 s at first
        return super().launch(*args, state_session_capacity=MOST_SESSIONS, **settings)

    def find_file(self, visitor: str | None, path: str) -> Path | None:
        """Return the real path of a file that a visitor may use: their own, or one of the page itself."""
        return Path(path) if path in self.shown else self.house.owns(visitor, path)

    def claim(self, session: str | None, visitor: str | None) -> bool:
        """Tell whether a session is a visitor's: it belongs to whoever came with it first."""
        if session is None:
            return True
        owner = self._owners.setdefault(session, visitor)
        self._owners.move_to_end(session)
        if len(self._owners) > MOST_OWNERS:
            self._owners.popitem(last=False)
        return owner == visitor

    def is_waiting(self, visitor: str) -> bool:
        """Tell whether a visitor has as many runs in the queue as one may have."""
        queues = self._queue.event_queue_per_concurrency_id.values()
        waiting = [event for queue in queues for event in queue.queue]
        mine = [event for event in waiting if event.request.scope.get("visitor") == visitor]
        return len(mine) >= MOST_WAITING

    def has_messages(self, session: str | None) -> bool:
        """Tell whether there is, or will be, something to be told to a session."""
        return session in self._queue.pending_messages_per_session

    @contextlib.contextmanager
    def connect(self, session: str) -> Iterator[None]:
        """Note that a page is open; it is forgotten some time after."""
        self._open[session] += 1
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                for call in self.closers:
                    call(session)

    async def process_api(
        self, block_fn: Any, inputs: Any, state: Any = None, request: Any = None, **more: Any
    ) -> dict[str, Any]:
        """Answer an event for the visitor who sent it; what goes wrong is one sentence."""
        scope = getattr(getattr(request, "request", None), "scope", {})
        visitor = scope.get("visitor")
        token = _visitor.set(visitor)
        try:
            if not self.claim(more.get("session_hash"), visitor):
                raise gr.Error(SESSION_TAKEN)
            return await super().process_api(block_fn, inputs, state=state, request=request, **more)
        except gr.Error as error:
            error.print_exception = False
            error.message = html.escape(str(error.message), quote=False)  # the page shows it as HTML
            scope["mistake"] = 400  # of whoever waits for the answer itself, which Gradio calls a fault
            raise
        except Exception as error:
            log_fault(error)
            raise gr.Error(FAULT, print_exception=False) from None
        finally:
            _visitor.reset(token)
            self._bound(state)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Look at what came before Gradio does."""
        visitor = _visitor.get()
        state = SessionState(self) if state is None else state
        given = inputs[: len(block_fn.inputs)] if block_fn.cancels else inputs  # Gradio adds to a cancel's
        for block in block_fn.inputs:  # what an update made anew is without what `keep_path` gave it
            if "preprocess" in vars(block) and block._id in state:
                state[block._id].preprocess = block.preprocess
        try:
            if not explicit_call:  # which no address leads to
                shown = [state[x._id] if x._id in state and not x.stateful else x for x in block_fn.inputs]
                given = check_values(shown, given, lambda path: self.find_file(visitor, path))
            return await super().preprocess_data(block_fn, given, state, explicit_call)
        except gr.Error:
            raise
        except ValueError as error:
            strange = isinstance(error, gr.exceptions.ComponentProcessingError) or not _is_sentence(error)
            raise gr.Error(STRANGE if strange else str(error), title="That did not work") from None
        except Exception:
            raise gr.Error(STRANGE) from None

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Give the visitor files of their own: equal ones of two visitors are one file to Gradio."""
        data, visitor = await super().postprocess_data(block_fn, predictions, state), _visitor.get()

        def hand_over(file: dict[str, Any]) -> dict[str, Any]:
            path = file["path"]
            if visitor is None or self.find_file(visitor, path) is not None:
                return file
            path = self.house.hand_over(path, visitor)
            return file | {"path": path, "url": f"{API}/file={files.encode_file_path(path)}"}

        return files.traverse(data, hand_over, files.is_file_obj_with_meta)

    def _bound(self, state: Any) -> None:
        """Forget the oldest of what pages keep in memory, once all together is too much."""
        if state is None:
            return
        for key, value in state.state_data.items():
            self._sizes.pop((id(state), key), None)
            if size := count_bytes(value):
                self._sizes[id(state), key] = weakref.ref(state), size
        for key, (keeper, _) in list(self._sizes.items()):
            if keeper() is None:
                del self._sizes[key]
        while sum(size for _, size in self._sizes.values()) > MOST_STATE:
            (_, key), (keeper, _) = self._sizes.popitem(last=False)
            if (old := keeper()) is not None:
                old.state_data[key] = None

    @contextlib.asynccontextmanager
    async def _tidy(self, app: Any) -> AsyncIterator[None]:
        """Tidy up for as long as the server runs."""
        task = asyncio.create_task(self._tidy_often())
        try:
            yield
        finally:
            task.cancel()

    async def _tidy_often(self) -> None:
        while True:
            await asyncio.sleep(min(max(self.kept, 1), 30))
            try:
                await anyio.to_thread.run_sync(self.house.sweep, self.kept, self.shown)
                self._forget_sessions()
                self._forget_answers(time.monotonic())
                self._queue.event_analytics.clear()  # for a page that is off
                for names in self.temp_file_sets:
                    names.clear()
                await anyio.to_thread.run_sync(give_memory_back)
            except Exception as error:  # the next time may go well
                log_fault(error)

    def _forget_sessions(self) -> None:
        """Forget pages that were closed and callers without one: each call may be a session of its own."""
        self._open = +self._open
        held = self.state_holder
        for session, used in list(held.time_last_used.items()):
            if session not in self._open and time.time() - used.timestamp() > CLOSED_SECONDS:
                held.session_data.pop(session, None)
                held.time_last_used.pop(session, None)

    def _forget_answers(self, now: float) -> None:
        """Forget what nobody fetches: Gradio keeps each call's answers, and the progress of each upload."""
        queue, progress = self._queue, routes.file_upload_statuses
        going = {event.session_hash for event in queue.event_ids_to_events.values()} | self._open.keys()
        idle = queue.pending_messages_per_session.keys() - going
        self._idle = {session: self._idle.get(session, now) for session in idle}
        for session, since in self._idle.items():
            if now - since > ANSWER_SECONDS:
                queue.pending_messages_per_session.pop(session, None)
                queue.pending_event_ids_session.pop(session, None)
        if len(progress._signals) > MOST_PROGRESS:
            progress._signals.clear()
            progress._statuses.clear()


def give_memory_back() -> None:
    """Let the system have what pictures of many threads took; glibc would keep it for each thread."""
    with contextlib.suppress(OSError, AttributeError):  # of other systems
        ctypes.CDLL(None).malloc_trim(0)


def count_bytes(value: Any) -> int:
    """Count roughly what a value holds in memory."""
    if isinstance(value, np.ndarray | np.generic):
        return value.nbytes
    if isinstance(value, str | bytes):
        return len(value)
    if dataclasses.is_dataclass(value):
        value = [getattr(value, part.name) for part in dataclasses.fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(count_bytes, value)) if isinstance(value, Sequence) else 0


def _is_sentence(error: ValueError) -> bool:
    return type(error) is ValueError and str(error).endswith((".", ")")) and "\n" not in str(error)
