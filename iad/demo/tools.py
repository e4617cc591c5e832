"""Tools for agents, by MCP: each call passes the gate as its agent's own, with its files and no others.

In: Gradio's MCP server, whose calls all come from one visitor, whom the gate refuses. Out: the same server,
with calls that go to the page's own address under the cookie of whoever asked. A file is given by the address
under which it was uploaded here, or written out as a data address; nothing else is read or fetched.
"""

import base64
import binascii
import json
import mimetypes
from typing import Any

import httpx
from gradio.route_utils import get_root_url
from gradio_client.utils import encode_file_path, is_file_obj_with_meta

from iad.demo.gate import API, COOKIES, FAULT
from iad.demo.page import Page

MARK = f"{API}/file="  # what comes before the path in a file's address
NO_FILE = (
    "No file is read from {given!r}. Upload it to {api}/upload and give the address that ends in the path "
    "which comes back, as in https://HOST{mark}PATH; or write it out, as in data:image/jpeg;base64,..."
)
NO_DATA = "The data address cannot be read; write it as data:image/jpeg;base64, and then the file in base64."


def keep_agents_apart(page: Page) -> None:
    """Let each MCP call be its agent's own, where the served page has MCP tools."""
    from mcp.types import TextContent

    server = page.mcp_server_obj
    find_schema = server.get_input_schema

    def describe(tool: str, parameters: Any = None) -> tuple[dict[str, Any], Any]:
        schema, places = find_schema(tool, parameters)
        for part in schema["properties"].values():
            if isinstance(part.get("default"), dict):  # of a file: where the example lies, which is no text
                del part["default"]
            if part.pop("$defs", None):  # of several files, whose "$ref" leads nowhere
                del part["items"]["$ref"]
        return schema, places

    def take_files(arguments: dict[str, Any], places: list[list[str | int]]) -> dict[str, Any]:
        visitor, names = server.mcp_server.request_context.request.scope["visitor"], {p[0] for p in places}

        def take(value: Any) -> Any:
            return [take(one) for one in value] if isinstance(value, list) else _take(page, visitor, value)

        return {key: take(value) if key in names else value for key, value in arguments.items()}

    server.get_input_schema, server.convert_strings_to_filedata = describe, take_files

    @server.mcp_server.call_tool()
    async def call(name: str, arguments: dict[str, Any]) -> list[TextContent]:
        asked = server.mcp_server.request_context.request
        endpoint, values, *_ = server._prepare_tool_call_args(name, arguments)
        answers = await _call(server.local_url, endpoint, values, asked)
        root = get_root_url(asked, server.get_route_path(asked), server.root_path)
        told = (answer for answer in answers if answer is not None)  # what the page alone keeps is not sent
        return [TextContent(type="text", text=_write(answer, root)) for answer in told]


def _take(page: Page, visitor: str, address: Any) -> dict[str, Any] | None:
    """Return an agent's file as Gradio's callers name it.

    Raises:
        ValueError: it is not one of theirs, or cannot be read.
    """
    if address is None:
        return None
    if address.startswith("data:"):
        path = _store(page, visitor, address)
    else:
        path = address.partition(MARK)[2]
        if page.find_file(visitor, path) is None:
            raise ValueError(NO_FILE.format(given=address[:80], api=API, mark=MARK))
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _store(page: Page, visitor: str, address: str) -> str:
    head, _, written = address.partition(";base64,")
    try:
        data = base64.b64decode(written, validate=True)
    except binascii.Error as error:
        raise ValueError(NO_DATA) from error
    if not data:
        raise ValueError(NO_DATA)
    file = page.house.make_place(visitor) / f"file{mimetypes.guess_extension(head[5:]) or ''}"
    file.write_bytes(data)
    return str(file)


async def _call(home: str, endpoint: str, values: list[Any], asked: Any) -> list[Any]:
    """Call an endpoint of the page as the visitor who sent a request.

    Raises:
        ValueError: the gate, the page or the endpoint refuses, in a sentence.
    """
    told = {"x-forwarded-for": asked.client.host}  # whose limit a minute it is
    cookies, place = dict.fromkeys(COOKIES, asked.scope["secret"]), f"{API}/call{endpoint}"
    async with httpx.AsyncClient(
        base_url=home, headers=told, cookies=cookies, timeout=None, verify=False, trust_env=False
    ) as http:
        begun = await http.post(place, json={"data": values})
        if begun.status_code != 200:
            refusal = begun.headers.get("content-type", "").startswith("application/json")
            raise ValueError(begun.json()["detail"] if refusal else begun.text)
        event = ""
        async with http.stream("GET", f"{place}/{begun.json()['event_id']}") as stream:
            async for line in stream.aiter_lines():
                key, _, said = line.partition(": ")
                event = said if key == "event" else event
                if key == "data" and event == "complete":
                    return json.loads(said)
                if key == "data" and event == "error":
                    raise ValueError((json.loads(said) or {}).get("error") or FAULT)
    raise ValueError(FAULT)


def _write(answer: Any, root: str) -> str:
    """Write an answer for an agent: the address of a file, else JSON."""
    if is_file_obj_with_meta(answer):
        return f"{root}{MARK}{encode_file_path(answer['path'])}"
    return json.dumps(answer, ensure_ascii=False)
