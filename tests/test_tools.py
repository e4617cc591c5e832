"""MCP tools as an agent calls them: files of its own, clear refusals, and nothing that is read or fetched."""

import asyncio
import base64
import json
import socket
from pathlib import Path

import httpx
import pytest
from app_server import API, Visitor, start_app

pytest.importorskip("mcp")
from jsonschema import Draft202012Validator
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


@pytest.fixture(scope="module")
def address():
    return start_app()


def ask(address, work):
    """Let an agent that keeps no cookie do something in a session of its own."""

    async def begin():
        there = streamable_http_client(f"{address}{API}/mcp/")
        async with there as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return await work(session)

    return asyncio.run(begin())


def call(address, tool, **given):
    """Call a tool; returns whether it refused, and what it said."""
    answer = ask(address, lambda session: session.call_tool(tool, given))
    return answer.isError, [part.text for part in answer.content]


def test_tools_are_told_whole(address):
    tools = ask(address, lambda session: session.list_tools()).tools
    assert {tool.name for tool in tools} == {"generate", "compare", "decouple", "verify_file"}
    for tool in tools:
        Draft202012Validator.check_schema(tool.inputSchema)
        told = json.dumps(tool.inputSchema)
        assert "$ref" not in told and "iad-app-" not in told, "what leads nowhere, or where files lie"
        for name, part in tool.inputSchema["properties"].items():
            assert part["description"].endswith("."), f"{name} is cut off: {part['description']}"


def test_an_upload_becomes_a_clip(address, photo):
    files = {"files": ("photo.jpg", Path(photo).read_bytes())}
    path = httpx.post(f"{address}{API}/upload", files=files).json()[0]
    upload = f"{address}{API}/file={path}"
    refused, (clip, report) = call(address, "generate", photo=upload, prompt="nods", consent=True, seed=3)
    assert not refused and json.loads(report)["seed"] == 3
    assert httpx.get(clip).content[4:8] == b"ftyp"
    refused, (said,) = call(address, "verify_file", file=clip)
    assert not refused and json.loads(said)["settings"]["prompt"] == "nods"
    refused, (said,) = call(address, "decouple", files=[upload], consent=True)
    assert not refused and len(json.loads(said)["faces"]) == 1


def test_a_photo_may_be_written_out_and_needs_consent(address, photo):
    written = f"data:image/jpeg;base64,{base64.b64encode(Path(photo).read_bytes()).decode()}"
    asked = {"photo": written, "prompt": "nods", "seed": 3}
    assert call(address, "generate", **asked, consent=True)[0] is False
    refused, (said,) = call(address, "generate", **asked)
    assert refused and said.startswith("Tick the box first")


def test_nothing_else_is_read_or_fetched(address, photo, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    alien = Visitor(address).upload(photo)  # of a visitor with a page
    with socket.create_server(("127.0.0.1", 0)) as listener:
        elsewhere = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for given in (
            "/etc/passwd", "file:///etc/passwd", "", f"{tmp_path}/secret.png", f"{elsewhere}/a.png",
            f"{address}{API}/file=/etc/passwd", f"{address}{API}/file={tmp_path}/secret.png",
            f"{elsewhere}/{API}/file=/etc/passwd", f"{address}{API}/file={alien}", f"{address}health",
        ):  # fmt: skip
            refused, (said,) = call(address, "generate", photo=given, prompt="nods", consent=True)
            assert refused and said.startswith("No file is read from"), given
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
    for given in ("data:,x", "data:image/png;base64,", "data:image/png;base64,!"):
        refused, (said,) = call(address, "generate", photo=given, prompt="nods", consent=True)
        assert refused and said.startswith("The data address cannot be read"), given


def test_what_is_asked_wrongly_is_said(address):
    assert call(address, "generate", prompt="", seed=1) == (
        True,
        ['The prompt is empty; say what happens, for example "laughs".'],
    )
    refused, (said,) = call(address, "generate", prompt="nods " * 9000, seed=1)
    assert refused and "letters are too many" in said
