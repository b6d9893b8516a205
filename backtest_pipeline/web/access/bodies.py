"""Request bodies, read whole but never more than the limit."""

from __future__ import annotations

from starlette.types import Message, Receive

from backtest_pipeline.web.access.refusal import Refusal


class SenderGone(Exception):
    """The client went away before its request was whole."""


async def read_body(receive: Receive, *, announced: str | None, limit_bytes: int) -> bytes:
    """Reads a request's body; what comes is counted, whatever was announced.

    Args:
        receive: where the pieces come from.
        announced: the header `Content-Length`, `None` where there is none.
        limit_bytes: the most that is kept.

    Raises:
        Refusal: it is larger.
        SenderGone: it never ended.
    """
    sentence = f"send at most {limit_bytes} bytes; larger submissions go in several requests"
    too_large = Refusal(413, sentence, {"connection": "close"})  # else the server would take in all the rest
    if announced is not None and announced.isdigit() and int(announced) > limit_bytes:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise SenderGone
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Hands a body that was read on to the next, and then whatever else comes."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
