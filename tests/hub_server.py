"""A model hub on this machine: one repository, served as the real hub serves it."""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has, how it misbehaves, and what it was asked."""

    repo: str
    files: dict[str, bytes]
    gated: bool = False
    size: int | None = None  # what it says of every file's size; None the truth
    stall: int | None = None  # bytes of a file after which it sends nothing more
    asked: list[str] = field(default_factory=list)
    url: str = ""
    over: Event = field(default_factory=Event)


@contextmanager
def serve(hub: Hub):
    """Serve a repository on a free port until the block ends."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool):
        hub = self.hub
        path = self.path.partition("?")[0]
        start = int(re.findall(r"\d+", self.headers.get("Range", "0"))[0])
        hub.asked.append(f"{self.command} {path}")
        if path == "/":
            return self._send(200, b"hub", {}, with_body)
        if hub.repo not in path:
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"}, with_body)
        if hub.gated:
            return self._send(403, b"", {"X-Error-Code": "GatedRepo"}, with_body)
        if path.startswith("/api/models/"):
            if COMMIT not in path and "/tree/" in path:
                return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, with_body)
            tree = [self._entry(name, body) for name, body in hub.files.items()]
            said = tree if "/tree/" in path else {"id": hub.repo, "sha": COMMIT, "siblings": []}
            return self._send(200, json.dumps(said).encode(), {"Content-Type": "application/json"}, with_body)
        name = path.split(f"/resolve/{COMMIT}/")[-1]
        if name not in hub.files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
        body = hub.files[name]
        headers = {"ETag": f'"{sha1(body).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        headers |= {"X-Linked-Size": str(hub.size)} if hub.size else {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return self._send(206 if start else 200, body[start:], headers, with_body, stall=hub.stall)

    def _entry(self, name: str, body: bytes) -> dict:
        return {"type": "file", "path": name, "size": len(body), "oid": sha1(body).hexdigest()}

    def _send(self, status: int, body: bytes, headers: dict, with_body: bool, *, stall: int | None = None):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[:stall])
            if stall is not None and stall < len(body):
                self.hub.over.wait()
