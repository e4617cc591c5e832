"""The gate: what every request passes before Gradio sees it, and what every answer is given on its way out.

In: a request from anybody. Out: Gradio's answer, with the headers that keep a browser careful, or a status
and a sentence. Who runs the page sets IAD_ALLOWED_HOSTS and IAD_MOST_A_MINUTE (docs/space.md).
"""

import collections
import contextlib
import ipaddress
import logging
import os
import shutil
import socket
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gradio import routes
from gradio.route_utils import upload_fn
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from iad.demo.calls import NO_RUN, NOT_TAKEN, Refusal, find_session, read_call, refuse_call
from iad.demo.hardware import read_whole
from iad.demo.visitors import make_secret, name_visitor
from iad.media.photos import MOST_BYTES

API = "/gradio_api"
# What the page and its callers need of Gradio's routes; an end in "/" or "=" stands for all that begins so.
OPEN = (
    "/", "/config", "/theme.css", "/robots.txt", "/favicon.ico", "/manifest.json", "/static/", "/assets/",
    "/svelte/",
    *(f"{API}/{name}" for name in (
        "info", "openapi.json", "app_id", "startup-events", "theme.css", "login_check", "upload", "file=",
        "upload_progress", "queue/join", "queue/data", "queue/status", "call/", "run/", "api/", "cancel",
        "reset", "heartbeat/", "component_server", "mcp/",
    )),
)  # fmt: skip
HUBS = "https://huggingface.co https://*.huggingface.co https://*.hf.space"  # that may show it in a frame
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": f"frame-ancestors 'self' {HUBS}",
    "Permissions-Policy": "microphone=(), geolocation=()",
}
RUNS = tuple(f"{API}/{name}" for name in ("queue/join", "call/", "run/", "api/"))
CALLS = (*RUNS, *(f"{API}/{name}" for name in ("cancel", "reset", "component_server")))  # looked at first
COUNTED = (*RUNS, f"{API}/upload", f"{API}/heartbeat/", f"{API}/component_server")
MOST_SESSION = 64  # letters: each is remembered
MOST_BODY, MOST_UPLOAD = 2_000_000, 10 * MOST_BYTES  # bytes
YEAR = 31_536_000
COOKIES = ("iad", "__Host-iad")  # the latter behind https
FAULT = "Something went wrong here, and it is not your fault. Try again, or with another photo."
TOO_LARGE = f"A file may have {MOST_BYTES / 1e6:.0f} MB; save it smaller."
LEAST_FREE = 1_000_000_000  # bytes of the disk, which are left to others
FULL_DISK = "The disk here is almost full; come back in an hour, when old files are deleted."
NO_UPLOAD = (
    "No file came that can be taken; send it as multipart/form-data, in a part that is called files, with a "
    "short name, and at most 1,000 at once."
)
NO_FILE = "There is no such file for you."


class Gate:
    """Stands between the network and Gradio.

    Args:
        app: what comes after it.
        page: the `Page`, which knows whose file and session is whose.
    """

    def __init__(self, app: Any, page: Any):
        self.app, self.page = app, page
        self.hosts = {"localhost", socket.gethostname().lower()}
        named = f"{os.environ.get('IAD_ALLOWED_HOSTS', '')} {os.environ.get('SPACE_HOST', '')}"
        self.named = set(named.lower().replace(",", " ").split())
        self.anywhere = "*" in self.named or "SPACE_ID" in os.environ  # a Space answers to its proxy alone
        self.most = read_whole("IAD_MOST_A_MINUTE", 0)
        self.asked: dict[str, collections.deque[float]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, or not."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        scope["headers"] = [pair for pair in scope["headers"] if self._believes(*pair)]
        request = Request(scope, receive)
        secure = (request.headers.get("x-forwarded-proto") or scope["scheme"]).startswith("https")
        secret = request.cookies.get(COOKIES[secure], "")
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        # Who begins by these has no page: agents, which keep no cookie.
        begins = path == f"{API}/upload" or path.startswith(f"{API}/mcp")
        new = "" if name_visitor(secret) else make_secret(shared=begins)
        scope["secret"] = new or secret
        scope["visitor"] = name_visitor(new or secret)
        private = path in ("/", "/config") or path.startswith(API)  # the rest may lie in shared caches
        dressed = _Dressed(send, scope, _bake(new, secure) if new and private else "", private)
        receive = _limit(receive, MOST_UPLOAD if path == f"{API}/upload" else MOST_BODY)
        try:
            await self._answer(request, path, receive, dressed.send)
        except Exception as error:
            if not isinstance(error, HTTPException | ClientDisconnect):
                log_fault(error)
            if not dressed.begun:
                status = getattr(error, "status_code", 500)
                told = PlainTextResponse(getattr(error, "detail", FAULT), status)
                await told(scope, receive, dressed.send)

    async def _answer(self, request: Request, path: str, receive: Any, send: Any) -> None:
        scope, called = request.scope, request.method == "POST" and path.startswith(CALLS)
        refusal = self._refuse(request, path)
        if not refusal and called:
            body = await Request(scope, receive).body()
            receive, asked = _replay(body, receive), read_call(body)
            refusal = self._refuse_session((asked or {}).get("session_hash"), scope["visitor"])
            refusal = refusal or refuse_call(self.page, path.removeprefix(f"{API}/"), asked)
        if refusal:
            answer = _tell(*refusal) if called else PlainTextResponse(refusal[1], refusal[0])
        elif path == "/health":
            answer = JSONResponse({"status": "ok"})
        elif path == f"{API}/upload":
            answer = await self._upload(Request(scope, receive))
        else:
            answer = self.app
        beat = path.removeprefix(f"{API}/heartbeat/")
        with self.page.connect(beat) if beat != path and not refusal else contextlib.nullcontext():
            await answer(scope, receive, send)

    def _refuse(self, request: Request, path: str) -> Refusal | None:
        """Say why a request gets no further; None where it does."""
        if not self._knows(request.headers):
            return 403, "This page is not served under that name; see IAD_ALLOWED_HOSTS in docs/space.md."
        if not _is_open(path):
            return 404, "There is nothing here."
        if self.most and path.startswith(COUNTED) and self._too_often(request):
            return 429, f"At most {self.most} requests a minute are answered here; wait a little."
        visitor, file = request.scope["visitor"], path.removeprefix(f"{API}/file=")
        if request.method == "POST" and path.startswith(RUNS) and self.page.is_waiting(visitor):
            return 429, "So many of your runs wait already; let them end first."
        if file != path:
            return None if self.page.find_file(visitor, file) else (403, NO_FILE)
        session = request.query_params.get("session_hash")
        if path.startswith(f"{API}/heartbeat/"):
            session = path.rsplit("/", 1)[1]
        elif request.method == "GET" and path.startswith(f"{API}/call/"):
            session = find_session(self.page, path.rsplit("/", 1)[1])
            if session is None:
                return 404, NO_RUN
        refusal = self._refuse_session(session, visitor)
        if not refusal and path == f"{API}/queue/data" and not self.page.has_messages(session):
            return 404, NO_RUN
        return refusal

    def _refuse_session(self, session: Any, visitor: str) -> Refusal | None:
        if not isinstance(session, str | None) or len(session or "") > MOST_SESSION:
            return 400, NOT_TAKEN
        return None if self.page.claim(session, visitor) else (403, "This session is another visitor's.")

    def _believes(self, name: bytes, value: bytes) -> bool:
        """Whether a header is to be heeded: anybody may write what Gradio would make its addresses of."""
        if name == b"x-forwarded-host":
            first = value.decode("latin-1").split(",")[0].strip()
            return self.anywhere or _find_name(f"//{first}") in self.named
        return name != b"x-gradio-server"  # of a server beside it, which is never started

    def _knows(self, headers: Headers) -> bool:
        """Whether the page is meant, and not asked by another one: names can be made to point here."""
        host, origin = headers.get("host", ""), headers.get("origin")
        name = _find_name(f"//{host}")
        if not (self.anywhere or name in self.hosts | self.named or _is_address(name)):
            return False
        if origin is None or "*" in self.named:
            return True
        return urlsplit(origin).netloc.lower() == host.lower() or _find_name(origin) in self.named

    def _too_often(self, request: Request) -> bool:
        now, client = time.monotonic(), request.client.host if request.client else ""
        if len(self.asked) > 10_000:  # of whom most have long gone
            self.asked = {who: times for who, times in self.asked.items() if times[-1] > now - 60}
        times = self.asked.setdefault(client, collections.deque())
        while times and times[0] < now - 60:
            times.popleft()
        if len(times) >= self.most:
            return True
        times.append(now)
        return False

    async def _upload(self, request: Request) -> Response:
        """Take files into a place of the visitor's own; Gradio's is one for all who bring the same file."""
        if shutil.disk_usage(self.page.house.folder).free < LEAST_FREE:
            return PlainTextResponse(FULL_DISK, 507)
        progress, upload = request.query_params.get("upload_id"), routes.file_upload_statuses
        place = self.page.house.make_place(request.scope["visitor"])
        try:
            paths, *_ = await upload_fn(
                request, str(place), MOST_BYTES, progress, upload_progress=upload if progress else None
            )
        except MultiPartException as error:
            large = error.message.startswith("File size")
            return PlainTextResponse(*((TOO_LARGE, 413) if large else (NO_UPLOAD, 400)))
        except (HTTPException, TypeError, ValueError) as error:
            if getattr(error, "status_code", 400) != 400:  # ours
                raise
            return PlainTextResponse(NO_UPLOAD, 400)
        return JSONResponse(paths) if paths else PlainTextResponse(NO_UPLOAD, 400)


def _is_open(path: str) -> bool:
    return any(path.startswith(way) if way[-1] in "/=" and way != "/" else path.rstrip("/") == way.rstrip("/")
               for way in (*OPEN, "/health"))  # fmt: skip


def _find_name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether a host is given by number, which no foreign name server can change."""
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _replay(body: bytes, receive: Any) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Give a body that was read once more, and then what really comes: that the caller has gone."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> dict[str, Any]:
        return first.pop() if first else await receive()

    return again


def _limit(receive: Any, most: int) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Stop reading a body that is too large."""
    read = 0

    async def limited() -> dict[str, Any]:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise HTTPException(413, f"This is too large; at most {most / 1e6:.0f} MB are read at once.")
        return message

    return limited


def _tell(status: int, sentence: str) -> JSONResponse:
    """Refuse in the form in which Gradio's callers look for a reason."""
    return JSONResponse({"detail": sentence, "error": sentence}, status)


def _bake(secret: str, secure: bool) -> str:
    """Write a new visitor's cookie; on a hub the page lies in another site's frame."""
    if secure:
        return f"{COOKIES[1]}={secret}; Path=/; Max-Age={YEAR}; HttpOnly; Secure; SameSite=none; Partitioned"
    return f"{COOKIES[0]}={secret}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=lax"


def log_fault(error: Exception) -> None:
    """Say where the code failed, not what it says: that may hold a visitor's words and paths."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno} in {where.name}"
    logging.getLogger(__name__).error("A request failed: %s at %s", type(error).__name__, place)


@dataclass
class _Dressed:
    """An answer with the headers that every one has."""

    forward: Any
    scope: Any
    cookie: str
    private: bool
    begun: bool = False
    instead: Response | None = None

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            if message["status"] == 422:  # a library's list of what it found wrong
                self.instead = _tell(400, NOT_TAKEN)
                message |= {"status": 400, "headers": list(self.instead.raw_headers)}
            message["status"] = self.scope.get("mistake", message["status"])
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS | ({"Cache-Control": "private, no-store"} if self.private else {}))
            if self.cookie:
                headers.append("Set-Cookie", self.cookie)
        elif self.instead:
            message = message | {"body": b"" if message.get("more_body") else self.instead.body}
        await self.forward(message)
