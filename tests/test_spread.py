"""Tasks are spread over processes and over Ray: all are done once, and a worker that dies loses none."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from functools import partial
from pathlib import Path

import pytest

from iad.spread import spread

needs_ray = pytest.mark.skipif(
    not importlib.util.find_spec("ray"), reason="Ray is not installed: pip install ray"
)


@pytest.fixture
def ray_workers(monkeypatch):
    """Let the workers of a local Ray import the project and this module."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent)]))


# What workers do; they import this module.


def square(number):
    return number * number, os.getpid()


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def die_once(task):
    mark, number = task
    if number == 3 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(task):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(task):
    raise ValueError(f"Task {task} is wrong.")


def note_start(folder):
    tempfile.mkstemp(dir=folder, prefix=f"{os.getpid()}-")


def meet(folder):
    """Wait for the other worker."""
    (Path(folder) / str(os.getpid())).touch()
    for _ in range(600):
        if len(list(Path(folder).iterdir())) == 2:
            return os.getpid()
        time.sleep(0.1)
    raise ValueError("The other worker never came.")


def count_threads(task):
    import torch

    return torch.get_num_threads()


class OnDemand(list):
    """Tasks that note which of them are asked for."""

    asked = 0

    def __getitem__(self, number):
        self.asked = max(self.asked, number)
        return super().__getitem__(number)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_is_done_once(workers, tmp_path):
    done = list(spread(range(20), square, workers=workers, start=partial(note_start, tmp_path)))
    assert sorted(number for number, _ in done) == [k * k for k in range(20)]
    processes = {process for _, process in done}
    assert (processes == {os.getpid()}) if workers == 1 else (os.getpid() not in processes)
    started = [int(file.name.split("-")[0]) for file in tmp_path.iterdir()]
    assert processes <= set(started) and len(started) == len(set(started)) <= workers


def test_two_workers_work_at_once(tmp_path):
    assert len(set(spread([tmp_path] * 4, meet, workers=2))) == 2


def test_results_come_as_they_finish():
    assert list(spread([1.5, 0.0, 0.1], sleep, workers=2)) == [0.0, 0.1, 1.5]


def test_no_tasks_start_nothing(tmp_path):
    assert list(spread([], square, workers=2, start=partial(note_start, tmp_path))) == []
    assert list(tmp_path.iterdir()) == []


def test_tasks_are_asked_for_when_a_worker_is_free():
    tasks = OnDemand(range(50))
    running = spread(tasks, square, workers=2)
    next(running)
    assert tasks.asked <= 3
    running.close()


def test_a_worker_that_dies_gives_its_task_back(tmp_path):
    tasks = [(str(tmp_path / "mark"), number) for number in range(6)]
    assert sorted(spread(tasks, die_once, workers=2)) == list(range(6))
    assert (tmp_path / "mark").exists()


def test_when_all_workers_die_one_sentence_says_so():
    with pytest.raises(OSError, match="Every worker died"):
        list(spread(range(4), die, workers=2))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_that_escapes_comes_through(workers):
    with pytest.raises(ValueError, match="Task . is wrong"):
        list(spread(range(4), fail, workers=workers))


def test_a_worker_has_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert list(spread(range(2), count_threads, workers=2)) == [1, 1]


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers is 0"):
        spread([1], square, workers=0)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Only POSIX has process groups.")
@pytest.mark.parametrize("pause", [0.15, 1.0], ids=["while workers start", "while they work"])
def test_ctrl_c_stops_everything_quietly(pause):
    program = (
        "import sys; from iad.spread import spread; from test_spread import sleep; print('on', flush=True)\n"
        "try:\n    list(spread([60.0] * 4, sleep, workers=2))\n"
        "except KeyboardInterrupt:\n    print('stopped')"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # else deaf in the background
    )
    assert run.stdout.readline() == "on\n"
    time.sleep(pause)
    os.killpg(run.pid, signal.SIGINT)  # as the terminal does
    out, errors = run.communicate(timeout=120)
    assert (out, errors, run.returncode) == ("stopped\n", "", 0)
    _wait_for_the_end_of(run.pid)


def _wait_for_the_end_of(group):
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("Workers are still there.")


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"Ray is not installed.*pip install"):
        list(spread([1], square, ray="local"))


@needs_ray
def test_two_ray_workers_work_at_once(tmp_path, ray_workers):
    done = list(spread([tmp_path] * 6, meet, workers=2, ray="local"))
    assert len(done) == 6 and len(set(done)) == 2 and os.getpid() not in done


@needs_ray
def test_ray_gives_the_task_of_a_dead_worker_to_another(tmp_path, ray_workers):
    tasks = [(str(tmp_path / "mark"), number) for number in range(6)]
    assert sorted(spread(tasks, die_once, workers=2, ray="local")) == list(range(6))
    assert (tmp_path / "mark").exists()


@needs_ray
def test_ray_passes_errors_on(ray_workers):
    with pytest.raises(ValueError, match="^Task . is wrong.$"):
        list(spread(range(4), fail, workers=2, ray="local"))


@needs_ray
def test_workers_that_cannot_import_the_work_end_in_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "elsewhere.py").write_text("def work(task):\n    return task\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OSError, match="No Ray worker could start.*elsewhere"):
        list(spread([1, 2], importlib.import_module("elsewhere").work, workers=2, ray="local"))


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("auto", r"No Ray cluster answers at 'auto'; .*ray start --head"),
        ("local", "could not start .*: no luck"),
    ],
)
def test_a_ray_that_does_not_answer_ends_in_one_sentence(monkeypatch, address, complaint):
    def init(*words, **options):
        raise ConnectionError("no luck")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init))
    with pytest.raises(ValueError, match=complaint):
        list(spread([1], square, ray=address))
