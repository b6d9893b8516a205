"""Headers that every answer carries."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

_FRAMES = "frame-ancestors 'none'"


def with_security_headers(send: Send) -> Send:
    """Adds what keeps answers out of foreign pages and browsers from guessing; policies of the page stay."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            policy = headers.get("content-security-policy", "")
            if "frame-ancestors" not in policy:
                parts = [part.strip() for part in policy.split(";") if part.strip()]
                headers["content-security-policy"] = "; ".join([*parts, _FRAMES])
            headers["x-content-type-options"] = "nosniff"
            headers["x-frame-options"] = "DENY"
            headers["cross-origin-resource-policy"] = "same-origin"
            headers.setdefault("referrer-policy", "same-origin")
            message = {**message, "headers": headers.raw}
        await send(message)

    return guarded
