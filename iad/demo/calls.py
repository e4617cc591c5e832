"""Calls by hand: what is no call of an endpoint here is told in a sentence, where Gradio would fail.

In: an address of Gradio's, and the body that came to it. Out: the session that it names, and a status with a
sentence; None for what Gradio may take.
"""

import json
from typing import Any

import gradio as gr

Refusal = tuple[int, str]

LISTED = "/gradio_api/info lists the endpoints and what each takes."
NO_OBJECT = f"A JSON object is expected in the body; {LISTED}"
NO_ENDPOINT = f"There is no such endpoint; {LISTED}"
NO_RUN = "There is no such run here, or its answer was fetched already; start it anew."
NOT_TAKEN = f"What came is not what this address takes; {LISTED}"
FULL = "So many runs wait here that one more would wait for long; come back in a few minutes."
_TEXT, _WHOLE, _LIST = (str, "a text"), (int, "a whole number"), (list, "a list of values")
_KINDS = {
    "session_hash": _TEXT, "event_id": _TEXT, "fn_name": _TEXT, "oauth_token": _TEXT, "fn_index": _WHOLE,
    "component_id": _WHOLE, "trigger_id": _WHOLE, "data": _LIST,
}  # fmt: skip
_NEEDED = {
    "queue/join": ("session_hash", "fn_index", "data"),
    "reset": ("event_id",),
    "cancel": ("session_hash", "fn_index", "event_id"),
    "component_server": ("session_hash", "component_id", "fn_name"),
}  # all else: data


def read_call(body: bytes) -> dict[str, Any] | None:
    """Read a body; None where it is no JSON object."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return asked if isinstance(asked, dict) else None


def refuse_call(page: gr.Blocks, path: str, asked: dict[str, Any] | None) -> Refusal | None:
    """Say what is wrong with a call.

    Args:
        page: whose endpoints they are.
        path: after Gradio's prefix, such as "call/generate".
        asked: what `read_call` read.
    """
    if asked is None:
        return 400, NO_OBJECT
    path = path.strip("/")
    route, _, name = path.rpartition("/")
    if route == "call/v2":
        return _refuse_names(page, name, asked)
    if path == "component_server":
        return _refuse_kinds(path, asked | {"data": []}) or _refuse_component(page, asked)
    refusal = _refuse_kinds(path, asked)
    if refusal or path == "reset":
        return refusal
    index = None if route == "call" else asked.get("fn_index")
    found = (x for x in page.fns.values() if (x.api_name == name if index is None else x._id == index))
    if (endpoint := next(found, None)) is None:
        return 404, NO_ENDPOINT
    if path == "cancel":
        mine = find_session(page, asked["event_id"]) in (None, asked["session_hash"])
        return None if mine else (404, NO_RUN)
    if endpoint.fn is None:  # a script of the page is all there is
        return 404, NO_ENDPOINT
    queue = page._queue
    if route not in ("run", "api") and queue.max_size is not None and len(queue) >= queue.max_size:
        return 503, FULL
    return _refuse_values(endpoint, asked)


def _refuse_kinds(path: str, asked: dict[str, Any]) -> Refusal | None:
    for key, (kind, words) in _KINDS.items():
        value, needed = asked.get(key), key in _NEEDED.get(path, ("data",))
        if (needed or value is not None) and (not isinstance(value, kind) or isinstance(value, bool)):
            return 400, f"'{key}' must be {words}; {LISTED}"
        if isinstance(value, str) and not value.isascii():  # which no name here is
            return 400, f"'{key}' must be plain letters and digits; {LISTED}"
    return None


def _refuse_values(endpoint: Any, asked: dict[str, Any]) -> Refusal | None:
    if asked.get("batched") or asked.get("simple_format"):  # which nothing here is
        return 400, NOT_TAKEN
    came, named = len(asked["data"]), sum(not part.skip_api for part in endpoint.inputs)
    if came in (named, len(endpoint.inputs)) or endpoint.cancels:  # Gradio fills in a cancel's
        return None
    return 400, f"{named} values are needed here, and {came} came; {LISTED}"


def _refuse_names(page: gr.Blocks, name: str, asked: dict[str, Any]) -> Refusal | None:
    endpoint = page.get_api_info()["named_endpoints"].get(f"/{name}")
    if endpoint is None:
        return 404, NO_ENDPOINT
    takes = {one["parameter_name"]: one["parameter_has_default"] for one in endpoint["parameters"]}
    if strange := [key for key in asked if key not in takes]:
        return 400, f"'{strange[0][:40]}' is nothing that this endpoint takes; {LISTED}"
    if missing := [key for key, has_default in takes.items() if not (has_default or key in asked)]:
        return 400, f"'{missing[0]}' is missing; {LISTED}"
    return None


def _refuse_component(page: gr.Blocks, asked: dict[str, Any]) -> Refusal | None:
    """Only functions that a component offers are called from the page, and they take an object."""
    function = getattr(page.blocks.get(asked["component_id"]), asked["fn_name"], None)
    if not getattr(function, "_is_server_fn", False):
        return 404, NO_ENDPOINT
    return None if isinstance(asked.get("data"), dict) else (400, NO_OBJECT)


def find_session(page: gr.Blocks, run: str) -> str | None:
    """Return the session of a run that goes on, or whose answer waits; None where there is no such run."""
    queue = page._queue
    if event := queue.event_ids_to_events.get(run):
        return event.session_hash
    found = (session for session, runs in queue.pending_event_ids_session.items() if run in runs)
    return next(found, None)
