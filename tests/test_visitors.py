"""What visitors can reach from outside: raw requests to a running app, as somebody means harm or mistakes."""

import itertools
import json
import platform
import re
import secrets
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import psutil
import pytest
from app_server import API, META, ROOT, Visitor, list_cache, read_log, start_app, stop_app
from benchmarks.soak import soak
from gradio.state_holder import SessionState
from PIL import Image
from starlette.testclient import TestClient

from iad.demo.gate import Gate
from iad.demo.page import ANSWER_SECONDS, Page, give_memory_back

get, post = partial(httpx.get, timeout=60), partial(httpx.post, timeout=60)
VARIES = re.compile(r'\w*(time|duration|eta|event_id)\\*": ?[^,}]*')
REFUSED = "not one that you added here"


@pytest.fixture(scope="module")
def address():
    return start_app()


def shape(path):
    """Dress a path up in every way in which a file may be named."""
    name = {"orig_name": "photo.png", "mime_type": "image/png"}
    return {
        "bare": {"path": path},
        "with meta": {"path": path} | META,
        "named": {"path": path} | META | name,
        "as an address": {"path": path, "url": f"/gradio_api/file={path}"} | META,
        "address alone": {"path": None, "url": f"/gradio_api/file={path}"} | META,
        "elsewhere": {"path": "http://127.0.0.1:1/a.png", "url": "http://127.0.0.1:1/a.png"} | META,
        "a stream": {"path": path, "is_stream": True} | META,
        "in a list": [{"path": path} | META],
        "nested": {"image": {"path": path} | META},
        "words": path,
        "dotted": {"path": f"{Path(path).parent}/x/../{Path(path).name}"} | META,
    }


@pytest.fixture
def secret(photo, tmp_path):
    """Somebody's photo on the server, which nobody uploaded."""
    file = tmp_path / "secret-photo.png"
    Image.open(photo).convert("RGB").save(file)
    return str(file)


@pytest.mark.parametrize("way", ["queue", "run"])
def test_no_picture_of_the_server_is_looked_at(address, secret, way):
    visitor = Visitor(address)
    for name, there in shape(secret).items():
        missing = shape(secret.replace("secret", "missing"))[name]
        answers = [visitor.ask("look", [given, True], way) for given in (there, missing)]
        assert "data:image" not in answers[0], name
        assert "secret-photo" not in answers[0], name
        a, b = (VARIES.sub("", answer) for answer in answers)
        assert a == b, name  # it says nothing of whether the file is there


@pytest.mark.parametrize(
    ("name", "label"),
    [("generate", "Photo"), ("generate", "Driving picture"), ("generate", "Driving video"),
     ("generate", "Up to 4 more photos"), ("compare", "Photo"),
     ("decouple", "Photos, one to eight"),
     ("verify", "A video or picture: mp4, mov, webm, gif, png, jpeg, webp, heic")],
)  # fmt: skip
@pytest.mark.parametrize("way", ["queue", "run", "call"])
def test_no_endpoint_takes_a_file_that_was_not_uploaded(address, secret, photo, name, label, way):
    visitor = Visitor(address)
    mine = {"path": visitor.upload(photo)} | META
    several = "photos" in label or "Photos" in label
    for given in ({"path": secret}, {"path": secret} | META):
        source = {"Driving picture": "picture", "Driving video": "video"}.get(label, "words")
        filled = {"Photo": mine, "What happens": "nods", "The action comes from": source}
        data = visitor.fill(name, **(filled | {label: [given] if several else given}))
        consent = next(i for i, p in visitor.parts.items() if p.get("elem_id") == "consent")
        event = next(e for e in visitor.config["dependencies"] if e["id"] == visitor.find(name))
        data = [True if i == consent else x for i, x in zip(event["inputs"], data, strict=True)]
        assert REFUSED in visitor.ask(name, data, way)


def test_a_link_in_ones_own_folder_leads_nowhere(address, secret, photo):
    visitor = Visitor(address)
    mine = Path(visitor.upload(photo))
    link = mine.parent / "link.png"
    link.symlink_to(secret)
    assert REFUSED in visitor.ask("look", [{"path": str(link)} | META, True], "run")
    assert visitor.fetch(link).status_code == 403
    assert "data:image" in visitor.ask("look", [{"path": str(mine)} | META, True], "run")


def test_a_file_is_refused_to_everybody_else(address, photo):
    anna, ben = Visitor(address), Visitor(address)
    mine = anna.upload(photo, "anna.jpg")
    assert anna.fetch(mine).content == Path(photo).read_bytes()
    answers = [ben.fetch(path) for path in (mine, mine + "x", "/etc/hostname", "/no/such", "http://localhost/")]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1 and "anna" not in answers[0].text
    assert get(f"{address}{API}/file={mine}").status_code == 403
    assert REFUSED in ben.ask("look", [{"path": mine} | META, True])
    assert "data:image" in anna.ask("look", [{"path": mine} | META, True])
    assert ben.http.get(f"{API}/file/{mine}").status_code == 404


def test_a_clip_is_its_visitors_alone(address, photo):
    anna, ben = Visitor(address), Visitor(address)
    clips = []
    for visitor in (anna, ben):
        data = visitor.fill("generate", Photo={"path": visitor.upload(photo)} | META)
        data[2] = True
        clips.append(re.search(r'"path": ?"([^"]*\.mp4)', visitor.ask("generate", data).replace("\\", ""))[1])
    assert clips[0] != clips[1]  # though it is the same clip
    assert anna.fetch(clips[0]).content == ben.fetch(clips[1]).content
    assert anna.fetch(clips[0], Range="bytes=0-9").status_code == 206
    assert ben.fetch(clips[0]).status_code == 403 and anna.fetch(clips[1]).status_code == 403


def test_only_files_that_agents_bring_open_to_whoever_knows_where_they_lie(address, photo):
    anna, ben = Visitor(address), Visitor(address)
    mine, files = anna.upload(photo), {"files": ("photo.jpg", Path(photo).read_bytes())}
    brought = post(f"{address}{API}/upload", files=files).json()[0]  # without a cookie
    assert ben.fetch(brought).status_code == 200 and ben.fetch(mine).status_code == 403
    assert "data:image" in ben.ask("look", [{"path": brought} | META, True])
    assert ben.fetch(str(Path(brought).parents[2])).status_code == 403  # a folder is not listed


def test_five_who_verify_the_same_clip_are_all_answered(address):
    clip, answers = ROOT / "examples" / "gallery" / "person-131.mp4", []

    def check():
        visitor = Visitor(address)
        file = {"path": visitor.upload(clip)} | META
        answers.append((visitor.ask("verify", [file], "run"), visitor.fetch(file["path"]).status_code))

    threads = [threading.Thread(target=check) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 5 and all("made_here" in words for words, _ in answers)
    assert {status for _, status in answers} == {403}  # the files are gone


def test_a_session_is_its_visitors_alone(address, photo):
    anna, ben = Visitor(address), Visitor(address)
    anna.ask("look", [{"path": anna.upload(photo)} | META, True], "run")
    ben.session = anna.session
    assert "another visitor" in ben.ask("look", [None, True], "run")
    for path in (f"{API}/heartbeat/{anna.session}", f"{API}/queue/data?session_hash={anna.session}"):
        with ben.http.stream("GET", path) as answer:
            assert answer.status_code == 403
    run = anna.http.post(f"{API}/call/verify", json={"data": [None]}).json()["event_id"]
    stolen = {"session_hash": "ben", "fn_index": anna.find("verify"), "event_id": run}
    assert ben.http.post(f"{API}/cancel", json=stolen).status_code == 404
    cancel = {"session_hash": anna.session, "fn_index": 1, "event_id": "x"}
    assert ben.http.post(f"{API}/cancel", json=cancel).status_code == 403
    assert anna.http.post(f"{API}/cancel", json=cancel).status_code == 200
    join = {"session_hash": anna.session, "fn_index": 1, "data": []}
    assert ben.http.post(f"{API}/queue/join", json=join).status_code == 403


def test_pages_that_open_and_close_hold_nobody_up(address):
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=450)) as http:
        asked = [f"{address}{API}/heartbeat/{secrets.token_hex(8)}" for _ in range(400)]
        beats = [http.send(http.build_request("GET", one), stream=True) for one in asked]
        for beat in beats:
            beat.close()
    slowest = 0.0
    for _ in range(40):
        begun = time.perf_counter()
        assert get(f"{address}health").status_code == 200
        slowest = max(slowest, time.perf_counter() - begun)
        time.sleep(0.25)
    assert slowest < 4  # 8.8 s on two idle cores where Gradio's `unload` tidied up, 0.04 s now


def test_what_a_visitor_wrote_comes_back_as_no_html(address, photo):
    visitor = Visitor(address)
    words = "[1-<img src=x>s] smiles"
    data = visitor.fill("generate", Photo={"path": visitor.upload(photo)} | META, **{"What happens": words})
    data[2] = True
    for way in ("run", "queue"):
        answer = visitor.ask("generate", data, way)
        assert "&lt;img" in answer and "<img" not in answer


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems keep memory in other ways")
def test_what_pictures_took_in_many_threads_is_given_back():
    def work(_):
        parts = [np.ones(50_000, np.uint8) for _ in range(400)]  # too small for pages of their own
        return parts[-1]  # which lies at the end, so that what is before it is kept

    process = psutil.Process()
    with ThreadPoolExecutor(8) as pool:
        before = process.memory_info().rss
        kept = list(pool.map(work, range(8)))
        grown = process.memory_info().rss - before
        give_memory_back()
        left = process.memory_info().rss - before
    assert len(kept) == 8 and grown > 1e7 and left < grown / 3


def test_one_visitor_does_not_fill_the_queue():
    page = Page(kept=60)
    waiting = SimpleNamespace(request=SimpleNamespace(scope={"visitor": "anna"}))
    page._queue.event_queue_per_concurrency_id["model"] = SimpleNamespace(queue=[waiting] * 3)
    assert not page.is_waiting("anna")
    page._queue.event_queue_per_concurrency_id["other"] = SimpleNamespace(queue=[waiting])
    assert page.is_waiting("anna") and not page.is_waiting("ben")


def test_answers_that_nobody_fetches_are_forgotten_and_others_are_not():
    page = Page(kept=60)
    queue = page._queue
    for session in ("gone", "open", "going"):
        queue.pending_messages_per_session[session] = queue.pending_event_ids_session[session] = object()
    queue.event_ids_to_events["x"] = SimpleNamespace(session_hash="going")
    with page.connect("open"):
        for now in (0, ANSWER_SECONDS - 1):
            page._forget_answers(now)
            assert len(queue.pending_messages_per_session) == 3
        page._forget_answers(ANSWER_SECONDS + 1)
    assert {*queue.pending_messages_per_session} == {*queue.pending_event_ids_session} == {"open", "going"}


def test_no_upload_fills_the_disk(monkeypatch):
    page = Page(kept=60)
    there = TestClient(Gate(None, page), base_url="http://localhost")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9 - 1))
    answer = there.post(f"/{API}/upload", files={"files": b"x"})
    assert answer.status_code == 507 and "come back" in answer.text
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
    assert there.post(f"/{API}/upload", files={"files": b"x"}).status_code == 200


def test_what_a_page_had_going_ends_when_it_is_closed_and_not_before():
    page, closed = Page(kept=60), []
    page.closers.append(closed.append)
    with page.connect("a"), page.connect("b"):
        with page.connect("a"):  # a second connection of the same page
            pass
        assert closed == []
    assert sorted(closed) == ["a", "b"]


def test_other_hosts_and_pages_are_refused(address):
    port = address.rstrip("/").rsplit(":", 1)[1]
    for host, status in (("evil.example", 403), (f"localhost:{port}", 200), (f"127.0.0.1:{port}", 200)):
        assert get(address, headers={"Host": host}).status_code == status
    for origin, status in (
        ("https://evil.example", 403), ("null", 403), (f"http://127.0.0.1:{int(port) + 1}", 403),
        (f"http://127.0.0.1:{port}", 200),
    ):  # fmt: skip
        assert get(f"{address}config", headers={"Origin": origin}).status_code == status


def test_every_answer_has_its_headers_and_what_is_not_needed_is_closed(address):
    page = get(address)
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'self' https://huggingface.co" in page.headers["content-security-policy"]
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    behind = get(address, headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert all(word in behind for word in ("__Host-", "Secure", "SameSite=none", "Partitioned"))
    assert get(f"{address}health").json() == {"status": "ok"}
    for path in ("monitoring", "monitoring/summary", f"{API}/deep_link?session_hash=a", f"{API}/runs",
                 f"{API}/proxy=http://localhost", f"{API}/vibe-code", f"{API}/user"):  # fmt: skip
        assert get(f"{address}{path}").status_code == 404, path
    assert post(f"{address}{API}/process_recording").status_code == 404


WRONG = [
    ("Identity strength", None, "a number"), ("Identity strength", "one", "a number"),
    ("Identity strength", [1], "a number"), ("Identity strength", float("nan"), "a number"),
    ("Action strength", float("inf"), "a number"), ("Photo detail", True, "a number"),
    ("Seed", 10**400, "a number"), ("Seed", {"a": 1}, "a number"), ("Seed", 2**64, "seed"),
    ("Seed", -1, "at least 0"), ("Guidance", 99, "at most 6"),
    ("Seed", 1.5, "a whole number"), ("What happens", None, "a text"),
    ("What happens", ["nods"], "a text"), ("What happens", "\ud800", "half a letter"),
    ("What happens", "x" * 5000, "1000"),
    ("Method", ["iad"], "choices"), ("Method", {"a": 1}, "choices"),
    ("The action comes from", "dance", "choices"), ("Photo", "photo.png", REFUSED),
    ("Photo", 7, "with its path"), ("Photo", {"path": 7}, "with its path"),
    ("Photo", {"path": "a\0b"} | META, REFUSED),
]  # fmt: skip


@pytest.mark.parametrize("way", ["call", "run"])
def test_what_is_no_value_is_told_in_a_sentence(address, photo, way):
    visitor = Visitor(address)
    mine = {"path": visitor.upload(photo)} | META
    for label, value, words in WRONG:
        data = visitor.fill("generate", **({"Photo": mine, "What happens": "nods"} | {label: value}))
        data[2] = True
        body = json.dumps({"data": data} | ({} if way == "call" else {"fn_index": visitor.find("generate")}))
        path = f"{API}/call/generate" if way == "call" else f"{API}/run/predict"
        head = {"Content-Type": "application/json"}
        answer = visitor.http.post(path, content=body.encode(), headers=head)
        text = answer.text
        if way == "call":
            text = visitor._listen(f"{path}/{answer.json()['event_id']}", "event: (complete|error)")
        assert words in text and "Traceback" not in text and "/home" not in text, (label, value, text)
    for wrong in ([], visitor.fill("generate")[:3], visitor.fill("generate") + [1]):
        assert "values are needed" in visitor.ask("generate", wrong, way)
    data = visitor.fill("generate", Photo=mine, **{"The action comes from": None})
    data[2] = True
    assert "choices" in visitor.ask("generate", data, way)


ONE = {"session_hash": "s", "fn_index": 1, "event_id": "x", "component_id": 1, "fn_name": "draw"}
ONE |= {"data": [None]}
NO_EVENTS = (
    None, "x", [1], {}, {"index": "x"}, {"index": True}, {"index": -2}, {"index": 10**30}, {"prompt": 1},
    {"prompt": "\ud800"}, {"rows": 1}, {"rows": [None]}, {"rows": [["0", "1"]]}, {"rows": [[0, 1, "nods"]]},
)  # fmt: skip
NO_CALLS = [
    ("call/nosuch", {"data": []}, 404), ("call/verify", {}, 400), ("call/verify", b"rubbish", 400),
    ("call/verify", [1], 400), ("call/verify", b"[" * 9999, 400), ("call/verify", {"data": []}, 400),
    ("call/verify", {"data": [None, 1]}, 400), ("call/verify", {"data": "words"}, 400),
    ("call/v2/nosuch", {}, 404), ("call/v2/verify", {"x": 1}, 400), ("call/v2/verify", {}, 400),
    ("run/verify", {"data": [None], "batched": True}, 400), ("run/verify", {"data": [None]}, 400),
    ("run/predict", ONE | {"fn_index": 9999}, 404), ("run/predict", ONE | {"fn_index": "x"}, 400),
    ("queue/join", ONE | {"fn_index": 9999}, 404), ("queue/join", ONE | {"fn_index": None}, 400),
    ("queue/join", ONE | {"session_hash": None}, 400), ("queue/join", ONE | {"session_hash": {}}, 400),
    ("queue/join", ONE | {"session_hash": "s" * 65}, 400), (f"heartbeat/{'s' * 65}", None, 400),
    ("queue/join", ONE | {"trigger_id": "x"}, 400),
    *(("cancel", body, 400) for body in (b"junk", {}, [], ONE | {"event_id": 1}, ONE | {"fn_index": [1]})),
    ("cancel", ONE | {"fn_index": 9999}, 404),
    ("component_server", b"junk", 400), ("component_server", ONE | {"component_id": 9999}, 404),
    ("component_server", ONE | {"fn_name": "__init__"}, 404), ("component_server", {"fn_name": "draw"}, 400),
    ("reset", {}, 400), ("reset", b"NaN", 400), ("reset", b'{"event_id": "\\ud800"}', 400),
    ("queue/join", b'{"data": [], "fn_index": 1, "session_hash": "s", "trigger_id": NaN}', 400),
    ("upload", b"x", 400), ("upload?upload_id=1", {"files": "x"}, 400),
    *((path, None, 404) for path in ("call/verify/nosuch", "queue/data?session_hash=nosuch", "queue/data")),
    ("upload_progress", None, 400),
]  # fmt: skip


def test_what_is_no_call_is_told_in_a_sentence_and_logged_nowhere(address):
    visitor, before = Visitor(address), read_log()
    for path, body, status in NO_CALLS:
        sent = {"json": body} if isinstance(body, dict | list) else {"content": body}
        answer = visitor.http.request("GET" if body is None else "POST", f"{API}/{path}", **sent)
        told = answer.text if answer.text[:1] != "{" else answer.json()["error"]
        assert answer.status_code == status, (path, body, answer.text)
        assert told[0] in "'" or told[0].isupper() or told[0].isdigit(), told
        assert told.endswith(".") and len(told) > 20 and "Gradio" not in told, told
    head = {"Content-Type": "application/json"}  # httpx writes no half letters
    clicks = [part for part in visitor.config["dependencies"] if part["collects_event_data"]]
    for part, rubbish in itertools.product(clicks, NO_EVENTS):
        sent = {"fn_index": part["id"], "data": [None] * len(part["inputs"]), "event_data": rubbish}
        answer = visitor.http.post(f"{API}/run/predict", content=json.dumps(sent).encode(), headers=head)
        assert answer.status_code == 400 and answer.json()["error"].endswith("."), (part["id"], rubbish)
    for part in visitor.config["dependencies"]:  # those without a function here are scripts of the page
        sent = {"fn_index": part["id"], "data": [None] * len(part["inputs"])}
        status = visitor.http.post(f"{API}/run/predict", json=sent).status_code
        assert (status == 404) == (not part["backend_fn"]) and status < 500, part["id"]
    assert clicks and "A request failed" not in read_log()[len(before) :]


def test_nobody_s_word_makes_addresses_of_another_host(address):
    named = {"X-Forwarded-Host": "evil.example", "X-Gradio-Server": "https://evil.example"}
    assert "evil.example" not in get(f"{address}config", headers=named).text
    assert "evil.example" not in get(address, headers=named).text


def test_large_bodies_are_refused_before_they_are_read(address):
    visitor = Visitor(address)
    body = b'{"data": ["' + b"x" * 5_000_000 + b'"]}'
    head = {"Content-Type": "application/json"}
    assert visitor.http.post(f"{API}/call/generate", content=body, headers=head).status_code == 413
    named = visitor.http.post(f"{API}/upload", files={"files": ("x" * 5000, b"x")})
    assert named.status_code == 400 and "short name" in named.text  # the file is small


def test_those_who_ask_too_often_wait():
    address = start_app(IAD_MOST_A_MINUTE="5")
    codes = [post(f"{address}{API}/call/verify", json={"data": [None]}).status_code for _ in range(8)]
    assert codes[:5] == [200] * 5 and codes[5:] == [429] * 3
    assert get(address).status_code == 200


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_the_end(way, photo):
    settings = {"IAD_KEPT_SECONDS": str(3000 + way)}
    visitor = Visitor(start_app(**settings))
    name = f"left-{secrets.token_hex(4)}.jpg"
    visitor.ask("look", [{"path": visitor.upload(photo, name)} | META, True], "run")
    assert any(file.name == name for file in list_cache(**settings))
    data = visitor.fill("generate", **{"What happens": "nods", "Length (seconds)": 10})  # goes on meanwhile
    body = {"data": [*data[:2], True, *data[3:]], "session_hash": "x", "fn_index": visitor.find("generate")}
    assert visitor.http.post(f"{API}/queue/join", json=body).status_code == 200
    while not any(file.parent.name == "runs" for file in list_cache(**settings)):
        time.sleep(0.05)
    log = read_log(**settings)
    with visitor.http.stream("GET", f"{API}/heartbeat/{visitor.session}"):  # a page is open
        begun = time.monotonic()
        cache = stop_app(way, **settings)
    assert time.monotonic() - begun < 5
    assert name not in log and "Traceback" not in log
    if way == signal.SIGKILL:  # it could do nothing; the next start does
        start_app(**settings, GRADIO_TEMP_DIR=str(cache))
        assert not any(file.name == name for file in cache.rglob("*"))
        stop_app(signal.SIGTERM, **settings, GRADIO_TEMP_DIR=str(cache))
    assert [file for file in cache.rglob("*") if file.is_file()] == []


def test_the_log_says_nothing_of_visitors(address, photo):
    visitor = Visitor(address)
    path = visitor.upload(photo, "name-of-somebody.jpg")
    data = visitor.fill("generate", Photo={"path": path} | META, **{"What happens": "dances secretly [9-1s]"})
    for wrong in (data, data[:4], [*data[:3], {"secretly": 1}, *data[4:]]):
        for way in ("run", "call"):
            visitor.ask("generate", wrong, way)
    visitor.http.post(f"{API}/run/secretly", json={"data": []})
    log = read_log()
    for word in ("somebody", "secretly", "Traceback", path):
        assert word not in log


def test_what_pages_keep_in_memory_is_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr("iad.demo.page.MOST_STATE", 2500)
    with Page(kept=60) as page:
        held = gr.State()
    states = [SessionState(page) for _ in range(3)]
    for state in states:
        state[held._id] = {"frames": [np.zeros(1000, np.uint8)], "words": "x" * 10}
        page._bound(state)
    assert [state[held._id] is not None for state in states] == [False, True, True]
    del state, states[2]
    page._bound(states[0])
    assert len(page._sizes) == 1


@pytest.mark.soak
def test_a_minute_of_everything_at_once_leaves_nothing():
    said = soak(seconds=60, clients=6, model="tiny")
    assert said["alive"] and not said["failed"] and not said["wrong"], said
    assert said["after"]["stops"] == 0 and said["after"]["files"] <= said["before"]["files"]
    assert said["after"]["handles"] <= said["before"]["handles"] + 4
