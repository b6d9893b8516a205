"""GraphQL answers on their way out: held until they are whole, cleaned, and sent on."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from backtest_pipeline.web.cleaning import cleaned
from backtest_pipeline.web.off_loop import by_size


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
                await send({**start, "headers": headers.raw})
                await send({"type": "http.response.body", "body": clean})
        elif message["type"] == "websocket.send" and message.get("text") is not None:
            text = message["text"].encode()
            await send({**message, "text": (await by_size(len(text), cleaned, text)).decode()})
        else:
            await send(message)

    return hold
