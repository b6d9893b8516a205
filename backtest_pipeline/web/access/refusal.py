"""A request that goes no further, and how that is told."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.types import Send

from backtest_pipeline.model.errors import BacktestError

_CLOSE_CODES = {413: 1009, 429: 1013, 500: 1011}  # of WebSockets; too large, try again later, server's error
_POLICY_VIOLATION = 1008
_LONGEST_REASON_BYTES = 123  # of a close frame


class Refusal(BacktestError):
    """A request that the guard does not let in.

    Attributes:
        status: HTTP status of the answer.
        sentence: what is wrong and what to do.
        headers: further headers of the answer.
        data: what the answer has as its `data` in place of `errors`, for clients that read nothing else.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})
        self.data = data
        super().__init__(sentence)


async def send_json(
    send: Send, status: int, content: object, headers: Mapping[str, str] | None = None
) -> None:
    """Answers an HTTP request with JSON that nobody keeps."""
    body = json.dumps(content).encode()
    fields = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        **(headers or {}),
    }
    encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, refusal: Refusal, *, websocket: bool) -> None:
    """Refuses in the shape of a GraphQL answer, or closes the WebSocket."""
    if websocket:
        code = _CLOSE_CODES.get(refusal.status, _POLICY_VIOLATION)
        reason = refusal.sentence.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")
        await send({"type": "websocket.close", "code": code, "reason": reason})
        return
    content = {"data": refusal.data} if refusal.data else {"errors": [{"message": refusal.sentence}]}
    await send_json(send, refusal.status, content, refusal.headers)
