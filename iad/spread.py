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
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

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
    if ray:
        return _over_ray(tasks, work, workers, start, ray)
    return _here(tasks, work, start) if workers == 1 else _over_processes(tasks, work, workers, start)


def _here(tasks: Sequence, work: Callable, start: Callable | None) -> Iterator[Any]:
    if start and tasks:
        start()
    yield from map(work, tasks)


def _over_processes(
    tasks: Sequence, work: Callable, workers: int, start: Callable | None
) -> Iterator[Any]:
    from multiprocessing import connection, get_context

    context = get_context("spawn")
    waiting, busy, free, processes = deque(range(len(tasks))), {}, [], []
    try:
        with _unheard_interrupts():
            for _ in range(workers):
                ours, theirs = context.Pipe()
                processes.append(context.Process(target=_serve, args=(theirs,), daemon=True))
                processes[-1].start()
                theirs.close()  # so that the end of the process is the end of the pipe
                free.append(ours)
        for pipe in free:
            _send(pipe, (work, start))
        while True:
            while waiting and free:
                pipe, number = free.pop(0), waiting.popleft()
                busy[pipe] = number
                _send(pipe, tasks[number])
            if not busy:
                break
            pipe = connection.wait(list(busy))[0]
            number = busy.pop(pipe)
            try:
                answer = pipe.recv()
            except (EOFError, OSError):  # the process died
                waiting.append(number)
                continue
            free.append(pipe)
            yield _unwrap(answer)
        if waiting:
            raise OSError(ALL_DIED)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


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


def _send(pipe: Any, what: Any) -> None:
    with contextlib.suppress(OSError):  # the process has died, which the next answer tells
        pipe.send(what)


def _serve(pipe: Any) -> None:
    """What a worker process does: take tasks from the pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ONE_THREAD)  # before the modules of `work` are loaded
    with contextlib.suppress(EOFError, OSError):  # the first process is gone, and nobody waits for more
        server = Server(*pipe.recv())
        while True:
            pipe.send(server.run(pipe.recv()))


class Server:
    """One worker: starts itself before its first task and wraps what comes of each."""

    def __init__(self, work: Callable, start: Callable[[], None] | None):
        self.work, self.start = work, start

    def ready(self) -> None:
        """Return; a worker that answers this is there."""

    def run(self, task: Any) -> tuple[bool, Any]:
        """Return (True, result) or (False, error that any process can read)."""
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


def _unwrap(answer: tuple[bool, Any]) -> Any:
    done, what = answer
    if not done:
        raise what
    return what


def _over_ray(
    tasks: Sequence, work: Callable, workers: int, start: Callable | None, address: str
) -> Iterator[Any]:
    ray = _join(address, workers)
    try:
        remote = ray.remote(num_cpus=1)(Server).options(runtime_env={"env_vars": ONE_THREAD})
        actors = [remote.remote(work, start) for _ in range(workers)]
        # a worker gets tasks once it answers: one that the cluster has no place for holds nothing up
        busy = {actor.ready.remote(): (actor, None) for actor in actors}
        waiting, free, left = deque(range(len(tasks))), [], len(tasks)
        while left:
            while waiting and free:
                actor, number = free.pop(0), waiting.popleft()
                busy[actor.run.remote(tasks[number])] = (actor, number)
            if not busy:
                raise OSError(ALL_DIED)
            reference = ray.wait(list(busy))[0][0]
            actor, number = busy.pop(reference)
            try:
                answer = ray.get(reference)
            except ray.exceptions.RayActorError as error:  # the worker or its machine died
                if number is None and not (busy or free):
                    raise OSError(f"{NO_START} ({_last_line(error)})") from error
                waiting.extend(() if number is None else (number,))
                continue
            free.append(actor)
            if number is not None:
                left -= 1
                yield _unwrap(answer)
    finally:
        ray.shutdown()


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()


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
