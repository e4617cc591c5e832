"""Many independent tasks over processes of this machine or over a Ray cluster.

In go tasks and the function that does one, out come results as they finish. A worker that dies gives its task
back to the others.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Crew = tuple[list[Callable[[Any], Future]], type[Exception]]  # what sends tasks, and how deaths are told

ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
NO_RAY = "Ray is not installed here; install it (pip install ray) or leave --ray out."
NO_START = "No Ray worker could start; this project must be importable on every machine"
ALL_DIED = "Every worker died before the work was done, maybe for lack of memory; try fewer workers."
EVERY = 2.0  # seconds between two looks for the parent


def spread(
    tasks: Sequence[T],
    work: Callable[[T], R],
    *,
    workers: int = 1,
    start: Callable[[], None] | None = None,
    ray: str | None = None,
) -> Iterator[R]:
    """Run `work` over all tasks and yield what it returns, in the order in which it is done.

    Args:
        tasks: anything that can be sent to another process; each is asked for when a worker is free for it.
        work: an importable function; it catches its own errors, one that escapes ends the run.
        workers: 1 works in this process, more in processes with one thread each (with `ray`: always there).
        start: an importable function that every process calls once, before its first task.
        ray: "local" starts Ray on this machine, "auto" or an address joins a cluster that runs.

    Raises:
        ValueError: fewer than one worker, Ray is not installed, or its cluster cannot be reached.
        OSError: every worker died.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; give a whole number of 1 or more.")
    workers = min(workers, max(1, len(tasks)))
    if workers == 1 and not ray:
        return _here(tasks, work, start)
    crew = partial(_cluster, address=ray) if ray else _processes
    return _hand_out(tasks, crew(workers, work, start))


def _here(tasks: Sequence[T], work: Callable[[T], R], start: Callable | None) -> Iterator[R]:
    if start and tasks:
        start()
    yield from map(work, tasks)


def _hand_out(tasks: Sequence[T], crew: contextlib.AbstractContextManager[Crew]) -> Iterator[Any]:
    """Give every worker that is free a task, until all are done; one that dies gives its task back."""
    waiting, left, free = deque(range(len(tasks))), len(tasks), []
    with crew as (workers, died):
        # a worker gets tasks once it answers: one that a cluster has no place for holds nothing up
        busy = {submit(...): (submit, None) for submit in workers}
        while left:
            while waiting and free:
                submit, number = free.pop(0), waiting.popleft()
                busy[submit(tasks[number])] = submit, number
            if not busy:
                raise OSError(ALL_DIED)
            answer = wait(busy, return_when=FIRST_COMPLETED).done.pop()
            submit, number = busy.pop(answer)
            try:
                done, what = answer.result()
            except died as error:
                if number is None and not (busy or free) and died is not BrokenProcessPool:
                    raise OSError(f"{NO_START} ({str(error).strip().splitlines()[-1].strip()})") from error
                waiting.extend(() if number is None else (number,))
                continue
            free.append(submit)
            if number is not None:
                left -= 1
                if not done:
                    raise what
                yield what


@contextlib.contextmanager
def _processes(count: int, work: Callable, start: Callable | None) -> Iterator[Crew]:
    """Start executors of one process each, so that none takes others along as it dies."""
    context = get_context("spawn")
    executors = [ProcessPoolExecutor(1, context, initializer=_enter) for _ in range(count)]
    try:
        yield [partial(_send, executor, work, start) for executor in executors], BrokenProcessPool
    finally:
        for executor in executors:
            for process in list((executor._processes or {}).values()):
                process.terminate()  # whatever it does; public from Python 3.14 on
        for executor in executors:
            executor.shutdown(cancel_futures=True)


def _send(executor: ProcessPoolExecutor, work: Callable, start: Callable | None, task: Any) -> Future:
    with _unheard_interrupts():  # the process starts with its first task
        return executor.submit(_serve, work, start, task)


@contextlib.contextmanager
def _cluster(count: int, work: Callable, start: Callable | None, address: str) -> Iterator[Crew]:
    """Start actors on a Ray cluster."""
    ray = _join(address, count)
    try:
        remote = ray.remote(num_cpus=1)(Server).options(runtime_env={"env_vars": ONE_THREAD})
        actors = [remote.remote(work, start) for _ in range(count)]
        submits = [lambda task, actor=actor: actor.run.remote(task).future() for actor in actors]
        yield submits, ray.exceptions.RayActorError  # the worker or its machine died
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _unheard_interrupts() -> Iterator[None]:
    """Let processes started in here never hear Ctrl-C, which reaches the whole group of processes."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its own start would undo what follows
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _enter() -> None:
    """Prepare a worker process, before the modules of `work` are loaded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that what it put into folders goes with it
    os.environ.update(ONE_THREAD)


def _serve(work: Callable, start: Callable[[], None] | None, task: Any) -> tuple[bool, Any]:
    """Do a task in a worker process."""
    global _server
    _server = _server or Server(work, start)
    try:
        return _server.run(task)
    except SystemExit:
        os._exit(143)  # the pool would take it for what comes of the task


class Server:
    """One worker: starts itself before its first task and wraps what comes of each."""

    def __init__(self, work: Callable, start: Callable[[], None] | None):
        self.work, self.start = work, start

    def run(self, task: Any) -> tuple[bool, Any]:
        """Return (True, result) or (False, error that any process can read); `...` asks for no more."""
        if task is ...:
            return True, None
        try:
            self._start()
            return True, self.work(task)
        except ValueError as error:
            return False, ValueError(str(error))
        except OSError as error:
            return False, OSError(str(error))
        except Exception:
            return False, RuntimeError(traceback.format_exc())

    def _start(self) -> None:
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        if self.start:
            self.start()
            self.start = None


_server: Server | None = None  # of a worker process


def _join(address: str, workers: int) -> Any:
    """Connect to a Ray cluster, or start one here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        import ray
    except ImportError as error:
        raise ValueError(NO_RAY) from error
    quiet = {"logging_level": "error", "log_to_driver": False}
    try:
        if address == "local":
            ray.init("local", num_cpus=workers, include_dashboard=False, **quiet)
        else:
            ray.init(address, **quiet)
    except Exception as error:  # Ray has no narrower class for this
        if address == "local":
            raise ValueError(f"Ray could not start on this machine: {error}") from error
        hint = "start one (ray start --head), and if it asks for a token, set RAY_AUTH_MODE=token"
        raise ValueError(f"No Ray cluster answers at '{address}'; {hint}.") from error
    return ray


def create_pool(workers: int | None = None) -> ProcessPoolExecutor:
    """Return a pool of so many processes, one a core by default, that end when this one does, even killed."""
    return ProcessPoolExecutor(workers, initializer=leave_with, initargs=(os.getpid(),))


def leave_with(parent: int) -> None:
    """End this process soon after its parent has ended."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)
