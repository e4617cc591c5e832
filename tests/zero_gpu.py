"""A Space on ZeroGPU, as far as a machine without a GPU can be one; run as a program by a test.

`spaces` is the real one: it asks a scheduler (below) for a GPU, and draws in a forked process. Only what
needs CUDA itself is left out. Prints what was asked and what came of it, as JSON.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlparse

asked = []


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
    import spaces.zero.torch

    spaces.zero.torch.init = spaces.zero.torch.move = lambda *_, **__: None
    return hardware


def main(photo):
    """Draw a clip, make three mistakes, cancel, and print what came of it."""
    hardware = become_zero_gpu()
    import gradio as gr
    import numpy as np
    from PIL import Image

    from iad.demo.full_size import FullSize
    from iad.demo.requests import Request
    from iad.demo.runs import Cancelled, Follower, Stop

    full = FullSize(hardware)
    full.start(here=True)
    assert full.failure is None, full.failure
    follow = Follower(Stop(), gr.Progress(), "Drawing")
    picture = np.asarray(Image.open(photo).convert("RGB"))
    expected, results = [], []

    def draw(pictures, **changes):
        request = Request(tuple(pictures), "laughs", **changes)
        expected.append(full.estimate(request))
        try:
            result = full.draw(request, follow)
            results.append(f"{len(result.frames)} frames by process {os.getpid()}")
        except (ValueError, gr.Error) as error:
            results.append(getattr(error, "message", None) or str(error))
        except Cancelled:
            results.append("cancelled")

    draw([np.zeros((64, 64, 3), np.uint8)], steps=400)
    draw([picture], steps=2)
    draw([picture], steps=100_000)
    draw([picture], arm="consisid")
    follow.stop.set()
    draw([picture], steps=2)
    print(
        json.dumps(
            {"accelerator": hardware.accelerator, "asked": asked, "expected": expected, "results": results}
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
