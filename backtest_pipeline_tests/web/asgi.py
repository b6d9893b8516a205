"""Speaking ASGI by hand: whatever a client could send, also what no good client sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = ("host", "localhost:3000")
JSON = ("content-type", "application/json")

Headers = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The sentence of a refusal."""
        return str(self.json()["errors"][0]["message"])


@dataclass
class Recorder:
    """An app that notes what reaches it and answers what it is told to."""

    answer: bytes = b'{"data": {}}'
    headers: Mapping[str, str] = field(default_factory=dict)
    scopes: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        self.bodies.append(body)
        fields = {"content-type": "application/json", "content-length": str(len(self.answer)), **self.headers}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.answer})

    async def _websocket(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.texts.append(message["text"])
            await send({"type": "websocket.send", "text": self.answer.decode()})

    def header(self, name: str) -> str | None:
        """A header of the newest request that came through."""
        found = [value.decode() for key, value in self.scopes[-1]["headers"] if key == name.encode()]
        assert len(found) <= 1
        return found[0] if found else None


def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Headers = (HOST,),
    body: Iterable[bytes] = (),
    query: bytes = b"",
) -> Answer:
    """Sends one request, its body in pieces that nothing announces."""
    pieces = list(body)
    incoming = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces or [b""])
    ]
    sent = _run(app, _scope("http", path, headers, query, method=method), incoming)
    start = sent[0]
    names = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert len(names) == len(start["headers"]), "a header was sent twice"
    content = b"".join(message.get("body", b"") for message in sent[1:])
    if method != "HEAD" and "content-length" in names:
        assert int(names["content-length"]) == len(content)
    return Answer(start["status"], names, content)


def sent_until_hung_up(app: ASGIApp, path: str, *, after_messages: int) -> list[Message]:
    """What an app sends to a client that hangs up, as a server of ASGI 2.3 reports it."""
    sent, gone = list[Message](), asyncio.Event()
    incoming: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) >= after_messages:
            gone.set()
        await asyncio.sleep(0)

    async def whole() -> None:
        scope = _scope("http", path, (HOST,), b"", method="GET")
        await app({**scope, "asgi": {"version": "3.0", "spec_version": "2.3"}}, receive, send)

    asyncio.run(whole())
    return sent


def post(app: ASGIApp, path: str, content: object, *, headers: Headers = (HOST, JSON)) -> Answer:
    """Sends JSON."""
    return ask(app, "POST", path, headers=headers, body=[json.dumps(content).encode()])


def converse(
    app: ASGIApp, path: str, texts: Sequence[str | bytes], *, headers: Headers = (HOST,)
) -> list[Message]:
    """Opens a WebSocket, says something and hangs up; returns all that came back."""
    incoming: list[Message] = [{"type": "websocket.connect"}]
    for text in texts:
        kind = "text" if isinstance(text, str) else "bytes"
        incoming.append({"type": "websocket.receive", kind: text})
    incoming.append({"type": "websocket.disconnect", "code": 1000})
    return _run(app, _scope("websocket", path, headers, b""), incoming)


def _scope(kind: str, path: str, headers: Headers, query: bytes, **further: Any) -> Scope:
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    # From 2.4 on, who hangs up is noticed by sending; before, by reading on, see `sent_until_hung_up`.
    version = {"version": "3.0", "spec_version": "2.4"}
    return {
        "type": kind,
        "asgi": version,
        "path": path,
        "headers": encoded,
        "query_string": query,
        **further,
    }


def _run(app: ASGIApp, scope: Scope, incoming: Sequence[Message]) -> list[Message]:
    pending, sent = list(incoming), list[Message]()

    async def receive() -> Message:
        assert pending, "the app reads on after the end"
        return pending.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def whole() -> None:
        await app(scope, receive, send)

    asyncio.run(whole())
    return sent
