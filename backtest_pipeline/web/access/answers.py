"""GraphQL answers on their way out: held until they are whole, cleaned, and sent on."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from backtest_pipeline.web.access.answer_cleaning import cleaned
from backtest_pipeline.web.access.off_loop import by_size

# Dagster answers 500 to whatever its coordinator or its own checks raise; these are the client's to mend.
_REFUSALS = {
    b"backtest_pipeline.model.errors.RequestInvalid: ": 400,
    b"backtest_pipeline.model.errors.TaskRepeated: ": 409,
    b"dagster._core.errors.DagsterExecutionStepNotFoundError: ": 400,
    b"dagster._core.errors.DagsterInvalidSubsetError: ": 400,
    b"dagster._core.errors.DagsterRunNotFoundError: ": 400,
}

_NOTHING_DONE = (b'{"data":null,', b'{"data": null,')


def with_clean_answers(send: Send) -> Send:
    """Cleans HTTP answers and WebSocket messages alike."""
    start: Message | None = None
    body = bytearray()

    async def hold(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
        elif message["type"] == "http.response.body" and start is not None:
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                clean = await by_size(len(body), cleaned, bytes(body))
                headers = MutableHeaders(raw=list(start.get("headers", [])))
                headers["content-length"] = str(len(clean))
                await send({**start, "status": _status(start["status"], clean), "headers": headers.raw})
                await send({"type": "http.response.body", "body": clean})
        elif message["type"] == "websocket.send" and message.get("text") is not None:
            text = message["text"].encode()
            await send({**message, "text": (await by_size(len(text), cleaned, text)).decode()})
        else:
            await send(message)

    return hold


def _status(status: int, body: bytes) -> int:
    """A status that says whose mistake it was: a request that was never executed was the client's."""
    if status < 500:
        return status
    if body.startswith(_NOTHING_DONE) and b'"path":' not in body:
        return 400
    return next((better for name, better in _REFUSALS.items() if name in body), status)
