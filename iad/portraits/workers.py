"""Processes that make pictures, and end when the process that started them does, even if it was killed."""

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor

EVERY = 2.0  # seconds between two looks for the parent


def create_pool(workers: int | None = None) -> ProcessPoolExecutor:
    """Return a pool of so many processes, one a core by default, that do not outlive this one."""
    return ProcessPoolExecutor(workers, initializer=leave_with, initargs=(os.getpid(),))


def leave_with(parent: int) -> None:
    """End this process soon after its parent has ended."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)
