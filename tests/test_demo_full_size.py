"""The full-size model on the page, by a tiny twin: what is said before the click, and what comes of it."""

import json
import pickle
import time
import urllib.request
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from app_server import start_app, stop_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import Status
from twins import write_cogvideox
from zero_gpu import draw_full_size, rehearse

from iad.config import PRESETS
from iad.demo import hardware as room
from iad.demo.clip_files import save_clip
from iad.demo.compare import show_table
from iad.demo.full_size import MOST_WAITING, FullSize
from iad.demo.hardware import FULL_SIZE_GB, Hardware, choose_hardware, gpu
from iad.demo.model_choice import FULL, MINI, ModelChoice, describe_estimate
from iad.demo.runs import Cancelled, Follower, Stop
from iad.demo.studio import Studio, make_report
from iad.demo.timing import count_step, write_seconds
from iad.demo.wording import MISSING, describe_scores
from iad.full_size.memory import GB, Needs
from iad.media.video import read_metadata, read_video
from iad.request import Request
from iad.result import Result

H100 = Hardware("cuda", "mini", "cogvideox-5b", rate=4.1e14)
NAMES = (
    "SPACES_ZERO_GPU", "IAD_MODEL", "IAD_BIG_MODEL", "IAD_DEVICE", "IAD_ADAPTER", "IAD_MEMORY", "IAD_ARMS",
    "IAD_STEP_CACHE", "IAD_GPU_SECONDS",
)  # fmt: skip


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return str(write_cogvideox(tmp_path_factory.mktemp("twin") / "cogvideox"))


@pytest.fixture
def plain(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(room, "_rate_cuda", lambda: None)
    choose_hardware.cache_clear()
    yield monkeypatch
    choose_hardware.cache_clear()


@pytest.fixture
def full(plain, twin):
    plain.setenv("IAD_DEVICE", "cpu")
    return FullSize(Hardware("cpu", "mini", twin))


# Hardware


def test_a_cpu_runs_mini_and_nothing_else(plain):
    plain.setenv("IAD_BIG_MODEL", "some-5b")
    assert choose_hardware() == Hardware("none", "mini", None)
    assert choose_hardware().describe() == "Runs on: CPU, mini."
    choose_hardware.cache_clear()
    plain.setenv("IAD_DEVICE", "mps")
    assert choose_hardware().describe() == "Runs on: this computer's GPU, mini."


def test_a_gpu_runs_the_full_size_beside_mini_unless_somebody_says_no(plain):
    plain.setattr(room, "_rate_cuda", lambda: 1e14)
    assert choose_hardware() == Hardware("cuda", "mini", "cogvideox-5b", 1e14)
    assert choose_hardware().describe() == "Runs on: CPU, mini."  # not there yet
    sentence = choose_hardware().describe(big="CogVideoX-5B")
    assert sentence == "Runs on: CPU, mini, at once; CogVideoX-5B on this computer's GPU."
    for named, expected in (("none", None), ("me/my-5b", "me/my-5b")):
        choose_hardware.cache_clear()
        plain.setenv("IAD_BIG_MODEL", named)
        assert choose_hardware().big_model == expected


def test_only_a_named_model_runs_on_a_cpu(plain, twin):
    plain.setenv("IAD_DEVICE", "cpu")
    assert choose_hardware().big_model is None
    choose_hardware.cache_clear()
    plain.setenv("IAD_BIG_MODEL", twin)
    assert choose_hardware() == Hardware("cpu", "mini", twin, named=True)


def test_elsewhere_a_function_stays_itself(plain):
    def work():
        return 1

    assert gpu(work, duration=lambda: 5) is work


def test_what_the_page_says_it_takes_is_what_it_takes():
    parts = {"transformer": 2 * 5_726_240_832, "text_encoder": 2 * 4_762_310_656, "vae": 2 * 215_583_907}
    assert Needs(parts, 5 * GB).by_mode()["offload"] / GB == pytest.approx(FULL_SIZE_GB, abs=1)
    assert f"{FULL_SIZE_GB} GB" in MISSING


# The expected time


def test_the_expected_time_is_near_what_is_published(plain):
    # 664.4e12 is what torch counts of a step; 50 steps take an H100 90 seconds, by the model's own page.
    assert count_step(PRESETS["cogvideox-5b"].base, 13 * 30 * 45 + 226) == pytest.approx(664.4e12, rel=0.01)
    assert 75 < FullSize(H100).estimate(Request(())) < 110


@pytest.mark.parametrize("less", [{"num_inference_steps": 10}, {"num_frames": 9}, {"arm": "id-animator"}])
def test_less_work_takes_less_time(plain, less):
    full = FullSize(H100)
    assert full.estimate(Request((), **less)) < full.estimate(Request(()))


def test_the_line_the_chooser_and_the_gpu_go_by_one_number(plain):
    full = FullSize(H100)
    request = Request((), num_inference_steps=20, num_frames=25)
    seconds = full._count(request)  # what `gpu` was given to ask for
    assert f"About {write_seconds(seconds)}</b>, an estimate" in describe_estimate(full, request)
    choice = ModelChoice(full, small="mini", duration=2.0)
    assert choice.list_models(seconds)[1] == (f"CogVideoX-5B, about {write_seconds(seconds)}", FULL)
    full.duration.learn(request, 100.0)
    assert full._count(request) == full.estimate(request) == 100


def test_lengths_of_time_read_well():
    assert [write_seconds(s) for s in (9, 119, 120, 200)] == ["9 s", "119 s", "2 min", "3 min 20 s"]


def test_a_shared_gpu_is_asked_for_little(plain):
    plain.setattr("iad.demo.full_size.gpu", lambda function, duration: function)
    full = FullSize(Hardware("zerogpu", "mini", "cogvideox-5b", room.ZERO_GPU_RATE))
    assert full.arms == ("iad", "id-animator") and full.settings.memory == "full"
    assert full.estimate(Request(())) <= full.settings.most_seconds == 80
    long = describe_estimate(full, Request((), num_inference_steps=50, num_frames=49))
    assert "at most 80 s" in long and "at most" not in describe_estimate(full, Request(()))
    with pytest.raises(ValueError, match="take fewer steps or frames"):
        full._complete(Request((), num_inference_steps=50, num_frames=49))


@pytest.mark.parametrize(("name", "value"), [("IAD_STEP_CACHE", "warm"), ("IAD_ARMS", "iad pixie")])
def test_settings_that_cannot_be_are_told_at_the_start(plain, name, value):
    plain.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        FullSize(H100)


def test_a_small_model_is_no_full_size_one(plain):
    with pytest.raises(ValueError, match="no full-size model"):
        FullSize(Hardware("cuda", "mini", "mini"))


# The choice


def test_the_dials_follow_the_method_and_the_clip_its_frames(full):
    choice = ModelChoice(full, small="mini", duration=2.0)
    steps, frames, guidance, cache = choice._adopt(FULL, "id-animator")
    assert (steps, guidance) == (30, 8.0) and not frames["visible"] and not cache["visible"]
    *small, dials, arm, seconds = choice._switch(FULL, 9, count=5)
    assert [dial["visible"] for dial in small] == [False] * 5 and dials["visible"] and seconds == 9 / 8
    assert [value for _, value in arm["choices"]] == ["iad", "consisid", "id-animator"]
    assert "published" in arm["choices"][1][0]
    *small, dials, _, seconds = choice._switch(MINI, 9, count=5)
    assert all(dial["visible"] for dial in small) and not dials["visible"] and seconds == 2.0


def test_choosing_loads_and_a_failure_is_a_sentence(plain):
    plain.setenv("IAD_DEVICE", "cpu")
    plain.setenv("HF_HUB_OFFLINE", "1")
    full = FullSize(Hardware("cpu", "mini", "nobody/nothing-5b"))
    choice = ModelChoice(full, small="mini", duration=2.0)
    assert choice.refresh(MINI, "iad", 20, 9, "")[1] == "" and not full.started
    assert "is loading" in choice.refresh(FULL, "iad", 20, 9, "")[1]
    with pytest.raises(ValueError, match="nothing-5b could not be loaded: nobody/nothing-5b is not on this"):
        full.draw(Request(()), Follower(Stop(), lambda *_, **__: None, ""))
    chooser, said, timer = choice.refresh(FULL, "iad", 20, 9, "")
    assert chooser["value"] == MINI and not chooser["visible"] and not timer["active"]
    assert "could not be loaded, mini works" in said and "is not on this machine" in said


# Runs


def test_one_clip_at_a_time_and_few_that_wait(full):
    looks = iter(range(3))
    follow = Follower(Stop(), lambda *_, **__: next(looks), "")  # whoever waits longer fails
    with full._take_turn(follow):
        full._waiting = MOST_WAITING
        with pytest.raises(ValueError, match="already wait"), full._take_turn(follow):
            pass
        full._waiting = 0
        follow.stop.set()
        with pytest.raises(Cancelled), full._take_turn(follow):
            pass
    assert full._waiting == 0
    with full._take_turn(follow):  # whoever left made room
        pass


def test_a_run_can_be_stopped_from_another_process():
    follow = Follower(Stop(), gr.Progress(), "Drawing")
    there = pickle.loads(pickle.dumps(follow))
    there(1, 2)
    follow.stop.set()
    with pytest.raises(Cancelled):
        there(2, 2)
    assert not follow.stop.file.exists()


def test_zero_gpu_draws_in_its_own_process_for_the_seconds_that_the_page_shows(twin, photo):
    said = rehearse(draw_full_size, photo, IAD_BIG_MODEL=twin, IAD_DEVICE="cpu", IAD_ARMS="iad")
    faceless, drawn, long, missing, cancelled = said["results"]
    assert said["accelerator"] == "zerogpu" and drawn.startswith("9 frames")
    assert said["asked"] == said["expected"][:2] and said["asked"][0] != said["asked"][1]
    assert "No face found" in faceless and "fewer steps" in long and "not offered" in missing
    assert cancelled == "cancelled"


# What came of it


def make_result(height, width, **scores):
    frames = np.zeros((5, height, width, 3), np.uint8)
    settings = {"model": "cogvideox-5b", "arm": "iad", "steps": 2}
    return Result(frames, 8, 0, 200.0, {"identity": np.full(5, np.nan), **scores}, settings, ["<b>"])


def test_frames_that_were_not_looked_at_do_not_count():
    likeness = np.array([0.9, np.nan, np.nan, np.nan, 0.7])
    report = make_report(make_result(8, 8))
    assert report["identity"] == [None] * 5 and report["action"] is None
    assert "Likeness to" not in describe_scores(report | {"detected": 0.0})
    report["identity"] = [None if np.isnan(x) else x for x in likeness]
    words = describe_scores(report | {"detected": 1.0})
    assert "<small>0.80</small>" in words and "from 0.70 to 0.90" in words and "nan" not in words
    assert "Action asked for" not in words and "identity</b>" not in words
    json.dumps(report, allow_nan=False)


def test_only_small_clips_are_enlarged(tmp_path):
    for (height, width), times in {(32, 48): 3, (384, 384): 1, (480, 720): 1}.items():
        clip = save_clip(make_result(height, width), tmp_path / f"{height}.mp4", label=True)
        frames, _ = read_video(clip, 99)
        assert frames.shape == (5, height * times, width * times, 3)


def test_a_system_that_is_missing_leaves_the_others_in_the_table():
    made = {"notes": ["note"], "model": FULL, "identity": [0.5, None], "action": None, "copied": None}
    made |= {"seconds": 12.0}
    table = show_table({"iad": made, "consisid": {"model": FULL, "problem": "No <weights>."}})
    assert "<td>0.50</td><td>–</td>" in table and "ConsisID: No &lt;weights&gt;." in table


def test_without_a_full_size_model_a_caller_hears_what_it_takes(photo):
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    with pytest.raises(ValueError, match=f"CUDA GPU with about {FULL_SIZE_GB} GB"):
        studio.draw_full_size(Request(()), Follower(Stop(), lambda *_, **__: None, ""))


# The page


def read_page(address):
    with urllib.request.urlopen(f"{address}config", timeout=30) as answer:
        components = json.load(answer)["components"]
    return {c["props"]["elem_id"]: c["props"] for c in components if c["props"].get("elem_id")}


@pytest.fixture(scope="module")
def settings(twin):
    return {"IAD_BIG_MODEL": twin, "IAD_DEVICE": "cpu", "IAD_ARMS": "iad,id-animator"}


@pytest.fixture(scope="module")
def client(settings):
    return Client(start_app(**settings), verbose=False)


def ask(client, photo, prompt="laughs", **settings):
    given = {"photo": handle_file(photo), "prompt": prompt, "consent": True} | settings
    return client.predict(**given, api_name="/generate")


def path_of(clip):
    return clip["video"] if isinstance(clip, dict) else clip


def test_without_a_gpu_there_is_no_chooser_and_one_sentence(photo):
    address = start_app()
    page = read_page(address)
    assert not page["model"]["visible"] and not page["compare-model"]["visible"]
    assert "full-steps" not in page and "cache" not in page
    line, more = page["honesty"]["value"].split("</summary>")  # one line, and what it opens
    assert more.count(MISSING) == 1 and len(line) < 120
    with pytest.raises(AppError, match="no full-size model on this page"):
        ask(Client(address, verbose=False), photo, model="full-size")


def test_the_full_size_model_is_chosen_on_the_page_and_draws(client, photo):
    page = read_page(client.src)
    assert page["model"]["visible"] and page["model"]["value"] == MINI
    assert [name.split(",")[0] for name, _ in page["model"]["choices"]] == ["tiny", "cogvideox"]
    assert (
        page["frames"]["maximum"] == 9 and page["full-steps"]["value"] == 50 and page["cache"]["value"] == ""
    )
    assert MISSING not in page["honesty"]["value"]
    clip, report = ask(
        client,
        photo,
        "[0-0.5s] smiles [0.5-1s] nods",
        model="full-size",
        full_steps=2,
        frames=9,
        detail_scale=0.5,
    )
    frames, _ = read_video(path_of(clip), 99)
    assert frames.shape[1:] == (192, 288, 3)  # the twin's 64 x 96, enlarged
    assert report["model"] == "cogvideox" and report["steps"] == 2
    assert any("No adapter is loaded" in note and "IAD_ADAPTER" in note for note in report["notes"])
    assert "detail_scale" not in read_metadata(path_of(clip))
    clip, small = ask(client, photo, detail_scale=0.5)
    assert small["model"] == "tiny" and read_metadata(path_of(clip))["detail_scale"] == 0.5


def test_mistakes_at_full_size_are_sentences(client, photo):
    with pytest.raises(AppError, match="num_frames is 6; .* try 9"):
        ask(client, photo, model="full-size", full_steps=1, frames=6)
    with pytest.raises(AppError, match="ConsisID is not offered here"):
        ask(client, photo, model="full-size", arm="consisid")


def test_mini_answers_while_the_full_size_model_draws(settings, photo, tmp_path):
    big = write_cogvideox(tmp_path / "big", heads=32, layers=16)  # a minute or more a clip
    big_one = settings | {"IAD_BIG_MODEL": str(big)}
    given = {"photo": handle_file(photo), "prompt": "nods", "consent": True, "seed": 1}
    slow = {**given, "model": "full-size", "full_steps": 100, "api_name": "/generate"}
    first, second = (Client(start_app(**big_one), verbose=False) for _ in range(2))  # held: gone, it cancels
    drawing = first.submit(**slow)
    waiting = (Status.STARTING, Status.JOINING_QUEUE, Status.SENDING_DATA, Status.IN_QUEUE)
    while drawing.status().code in waiting:
        time.sleep(0.1)
    quick = second.submit(**given, api_name="/generate")
    assert quick.result(timeout=60)[1]["model"] == "tiny"
    assert not drawing.done()
    stop_app(**big_one)


def test_mini_works_where_the_full_size_model_cannot_be_loaded(photo):
    client = Client(start_app(IAD_BIG_MODEL="nobody/nothing-5b", IAD_DEVICE="cpu"), verbose=False)
    with pytest.raises(AppError, match="nothing-5b could not be loaded"):
        ask(client, photo, model="full-size")
    assert ask(client, photo)[1]["model"] == "tiny"
