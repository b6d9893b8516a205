"""GraphQL over HTTP: the border where foreign errors become ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from backtest_pipeline.model.errors import ServerRefused, ServerUnreachable

_TIMEOUT_S = 30.0


class GraphQL:
    """Sends GraphQL documents to the web server."""

    def __init__(self, url: str, token: str = "", transport: httpx.BaseTransport | None = None) -> None:
        """Prepares a connection; nothing is sent yet.

        Args:
            url: the web server, e.g. `http://127.0.0.1:3000`.
            token: bearer token, empty for none.
            transport: another way to send, for tests.
        """
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(headers=headers, timeout=_TIMEOUT_S, transport=transport)

    def close(self) -> None:
        """Gives the connection back."""
        self._http.close()

    def ask(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Sends one document and returns its `data`.

        Raises:
            ServerUnreachable: nothing answers.
            ServerRefused: the answer is an error, or no GraphQL at all.
        """
        try:
            response = self._http.post(
                f"{self.url}/graphql", json={"query": document, "variables": dict(variables)}
            )
        except httpx.InvalidURL as error:
            raise ServerUnreachable(self.url, f"this is no address: {error}") from error
        except httpx.TransportError as error:
            raise ServerUnreachable(self.url, str(error) or type(error).__name__) from error
        return self._data(response)

    def _data(self, response: httpx.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError:
            raise ServerRefused(self.url, f"status {response.status_code}, and no JSON") from None
        if not isinstance(body, dict):
            raise ServerRefused(self.url, f"status {response.status_code}, and no GraphQL answer")
        if body.get("errors"):
            raise ServerRefused(
                self.url, _first_line(body["errors"][0].get("message", "an error without a message"))
            )
        if response.is_error or not isinstance(body.get("data"), dict):
            raise ServerRefused(self.url, f"status {response.status_code}, and no GraphQL answer")
        return dict(body["data"])


def _first_line(message: str) -> str:
    """The first line only: what follows may be SQL or a stack trace, which is nobody's business."""
    return message.strip().partition("\n")[0]
