"""A Space on ZeroGPU, as far as a machine without a GPU can be one; run as a program by tests.

`spaces` is the real one: it asks a scheduler (below) for a GPU, and draws in a forked process. CUDA is the
emulation of it that `spaces` brings along, in which tensors compute on the CPU and complain when they meet
those of another device; on a Space it ends in the drawing process, here it stays. Prints what was asked and
what came of it, as JSON.
"""

import hashlib
import json
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partialmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlparse

asked = []


def rehearse(what, photo, **settings):
    """Run one of the functions below in a process of its own, and return what it says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings |= {"GRADIO_SERVER_PORT": str(free.getsockname()[1])}
    root = Path(__file__).parents[1]
    settings |= {"PYTHONPATH": str(root)}
    program = [sys.executable, __file__, what.__name__, photo]
    run = subprocess.run(
        program, env=os.environ | settings, capture_output=True, text=True, cwd=root, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


class Scheduler(BaseHTTPRequestHandler):
    """Grants every GPU that is asked for."""

    def do_POST(self):
        """Answer as the Space's own scheduler does."""
        address = urlparse(self.path)
        if address.path == "/schedule":
            asked.append(int(dict(parse_qsl(address.query))["durationSeconds"]))
        answer = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "none", "allowToken": "token"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def become_zero_gpu():
    """Import `spaces` on a CPU build of torch, through the app."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scheduler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["SPACES_ZERO_GPU"] = "true"
    os.environ["SPACES_ZERO_DEVICE_API_URL"] = f"http://127.0.0.1:{server.server_port}"
    import torch

    torch.version.cuda, torch._C._cuda_init, torch.cuda._is_in_bad_fork = "12.8", dict, bool
    from iad.demo.hardware import choose_hardware

    hardware = choose_hardware()
    assert "spaces" in sys.modules
    import spaces.zero.torch as emulated

    emulated.init = emulated.move = emulated.unpatch = lambda *_, **__: None
    # The emulation holds in the thread that began it alone.
    ThreadPoolExecutor.__init__ = partialmethod(ThreadPoolExecutor.__init__, initializer=emulated.enter_mode)
    return hardware


def open_photo(path):
    """Read a photo's pixels."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def digest(pixels):
    """Tell clips apart."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def draw_full_size(photo):
    """Draw a clip, make three mistakes, and cancel."""
    hardware = become_zero_gpu()
    import gradio as gr
    import numpy as np

    from iad.demo.full_size import FullSize
    from iad.demo.runs import Cancelled, Follower, Stop
    from iad.request import Request

    full = FullSize(hardware)
    full.start(here=True)
    assert full.failure is None, full.failure
    follow = Follower(Stop(), gr.Progress(), "Drawing")
    picture = open_photo(photo)
    expected, results = [], []

    def draw(picture, **changes):
        request = Request(picture, "laughs", **changes)
        expected.append(full.estimate(request))
        try:
            result = full.draw(request, follow)
            results.append(f"{len(result.frames)} frames by process {os.getpid()}")
        except (ValueError, gr.Error) as error:
            results.append(getattr(error, "message", None) or str(error))
        except Cancelled:
            results.append("cancelled")

    draw(np.zeros((64, 64, 3), np.uint8), num_inference_steps=400)
    draw(picture, num_inference_steps=2)
    draw(picture, num_inference_steps=1000)
    draw(picture, arm="consisid")
    follow.stop.set()
    draw(picture, num_inference_steps=2)
    return {"accelerator": hardware.accelerator, "asked": asked, "expected": expected, "results": results}


def draw_mini(photo):
    """Draw by the CPU, by a GPU in a process of its own, without a face, and cancel."""
    hardware = become_zero_gpu()
    import gradio as gr
    import numpy as np
    import torch

    from iad.demo.loading import BackgroundPipeline, count_seconds
    from iad.demo.runs import Cancelled, Follower, Stop
    from iad.request import Request

    mini, picture = BackgroundPipeline(hardware.model, hardware.device), open_photo(photo)
    follow = Follower(Stop(), gr.Progress(), "Drawing")
    asking = Request(picture, "laughs", detail_scale=0.5, size=128, duration=0.5)
    results = []
    for photo in (picture, np.zeros((64, 64, 3), np.uint8)):
        try:
            results.append(digest(mini.generate(replace(asking, reference=photo), follow).frames))
        except gr.Error as error:
            results.append(error.message)
    follow.stop.set()
    try:
        mini.generate(asking, follow)
    except Cancelled:
        results.append("cancelled")
    here = mini._wait()
    torch.set_num_threads(1)  # more would round otherwise
    clip = here.generate(asking)
    return {
        "hardware": hardware.describe(), "asked": asked, "expected": count_seconds(asking),
        "results": results, "here": digest(clip.frames), "stays": str(here.device),
    }  # fmt: skip


def open_app(photo):
    """Open the app as a Space does, and be its visitor."""
    become_zero_gpu()
    threading.Thread(target=visit, args=(photo,), daemon=True).start()
    runpy.run_path("app.py", run_name="__main__")


def visit(photo):
    """Ask the page for a clip, print what came of it, and end the app."""
    from gradio_client import Client, handle_file

    # Whoever misses a heartbeat is gone for the page; here both sides share an interpreter, which is busy.
    Client._stream_heartbeat = staticmethod(lambda *_: None)
    address, said = f"http://127.0.0.1:{os.environ['GRADIO_SERVER_PORT']}/", {}
    for _ in range(240):
        try:
            client = Client(address, verbose=False)
            break
        except Exception:
            time.sleep(0.5)
    try:
        props = [component["props"] for component in client.config["components"]]
        said["page"] = next(p["value"] for p in props if p.get("elem_id") == "honesty")
        given = {"photo": handle_file(photo), "prompt": "laughs", "consent": True, "duration": 1.0}
        said["report"] = client.predict(**given, api_name="/generate")[1]
        said["asked"] = asked
    finally:
        print(json.dumps(said), flush=True)
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(0)


def compare_devices(photo):
    """Do all that a model does on the CPU, on CUDA, on the CPU again, and on CUDA without memory."""
    become_zero_gpu()
    import torch

    from iad import IaDPipeline

    pipe, picture = IaDPipeline.from_pretrained("mini", device="cpu"), open_photo(photo)
    live, results = pipe.live(picture), {}

    def do_all(name):
        clip = pipe(picture, "laughs", detail_scale=0.5, size=128, duration=0.5)
        face = pipe.decouple(picture)
        results[name] = {
            "devices": sorted({str(p.device) for p in (*pipe.parts.parameters(), *pipe.parts.buffers())}),
            "notes": clip.notes, "clip": digest(clip.frames),
            "face": digest(face.facial), "match": pipe.match_actions(face, ["smiling"])[0][1],
            "live": digest(live.frame(smile=0.7)),
        }  # fmt: skip
        results[name]["crop"] = digest(pipe(picture, "nods", arm="consisid", duration=0.5).frames)

    for name, device in (("before", "cpu"), ("cuda", "cuda"), ("after", "cpu"), ("full", "auto")):
        pipe.to(device)
        if name == "full":

            def run_out(module, given):
                if given[0].device.type == "cuda":
                    raise torch.OutOfMemoryError("CUDA out of memory.")

            pipe.parts["autoencoder"].expand.register_forward_pre_hook(run_out)
        do_all(name)
    return results


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
