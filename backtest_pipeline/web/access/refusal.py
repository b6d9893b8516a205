"""A request that goes no further, and how it is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocketClose

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


def json_answer(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON that nobody keeps.

    All but ASCII is escaped: what a client has sent may hold halves of characters, which Starlette's
    `JSONResponse` cannot write.
    """
    fields = {"cache-control": "no-store", **(headers or {})}
    return Response(json.dumps(content), status, fields, media_type="application/json")


def refusal_answer(refusal: Refusal, *, websocket: bool) -> ASGIApp:
    """What answers a refused request: in the shape of a GraphQL answer, or by closing the WebSocket."""
    if websocket:
        code = _CLOSE_CODES.get(refusal.status, _POLICY_VIOLATION)
        reason = refusal.sentence.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")
        return WebSocketClose(code, reason)
    content = {"data": refusal.data} if refusal.data else {"errors": [{"message": refusal.sentence}]}
    return json_answer(refusal.status, content, refusal.headers)
