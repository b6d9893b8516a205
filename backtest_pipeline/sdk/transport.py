"""GraphQL over HTTP: the border where foreign errors become ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from backtest_pipeline.model.errors import (
    AddressInvalid,
    ServerBusy,
    ServerRefused,
    ServerSilent,
    ServerUnreachable,
    ServiceError,
)
from backtest_pipeline.sdk.clock import Clock
from backtest_pipeline.sdk.first_contact import NothingSaid, send_once_connected
from backtest_pipeline.sdk.reachable import FIRST_CONTACT_S, is_this_machine
from backtest_pipeline.sdk.refusals import refusal_of_answer, sentence_of

_TIMEOUT_S, _CONNECT_S, _LEAST_CONNECT_S = 30.0, 5.0, 1.5
SILENCE_S = 3.0
"""After so long without an answer a server is asked for a word, for which it has as long again."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_NOBODY_BEHIND = {502, 503, 504}
_UNKNOWN, _FORBIDDEN, _TOO_MANY = 401, 403, 429
_LONGEST_WAIT_S, _LONGEST_BUSY_S = 60.0, 600.0


def without_proxy(url: str) -> dict[str, None]:
    """Keeps requests to this machine's own addresses away from the proxies that the environment names."""
    if not is_this_machine(url):
        return {}
    host = urlsplit(url).hostname or ""
    return {f"all://[{host}]" if ":" in host else f"all://{host}": None}


class GraphQL:
    """Sends GraphQL documents to the web server. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        token: str = "",
        transport: httpx.BaseTransport | None = None,
        *,
        patience_s: float = 0.0,
        first_patience_s: float | None = None,
        clock: Clock | None = None,
        on_retry: Callable[[ServiceError], object] | None = None,
    ) -> None:
        """Prepares a connection; nothing is sent yet.

        Args:
            url: the web server, e.g. `http://127.0.0.1:3000`.
            token: bearer token, empty for none.
            transport: another way to send, for tests.
            patience_s: how long `ask_patiently` goes on trying after a first failure, in seconds.
            first_patience_s: the same as long as nothing has answered once; `patience_s` by default.
            clock: another clock, for tests.
            on_retry: called with what went wrong before each further try.
        """
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        self._first_patience_s = patience_s if first_patience_s is None else first_patience_s
        self._answered = False
        self._clock = clock or Clock()
        self._on_retry = on_retry
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connect_s = min(_CONNECT_S, max(self._first_patience_s, _LEAST_CONNECT_S))
        timeout = httpx.Timeout(_TIMEOUT_S, connect=connect_s)
        self._http = httpx.Client(
            headers=headers, timeout=timeout, transport=transport, mounts=without_proxy(self.url)
        )

    def close(self) -> None:
        """Gives the connection back."""
        self._http.close()

    def ask_patiently(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Sends one document until it is answered or the patience is over; returns its `data`.

        Only for what may arrive twice: queries, and mutations that the server recognises when repeated.

        Raises:
            ServiceError: as for `ask`; one that may pass only after the patience is over.
        """
        give_up_s, pause_s = None, _FIRST_PAUSE_S
        started_s = self._clock.monotonic_s()
        busy_until_s = started_s + _LONGEST_BUSY_S
        while True:
            try:
                return self.ask(document, variables)
            except ServiceError as error:
                now_s = self._clock.monotonic_s()
                if give_up_s is None:
                    patient_s = now_s + self._patience_s
                    give_up_s = (
                        patient_s if self._answered else min(patient_s, started_s + self._first_patience_s)
                    )
                wait_s = pause_s
                if isinstance(error, ServerBusy):  # it answers and says when: that costs no patience
                    wait_s = max(pause_s, min(error.retry_after_s, _LONGEST_WAIT_S))
                    give_up_s = max(give_up_s, min(now_s + wait_s, busy_until_s))
                if not error.retryable or now_s + wait_s > give_up_s:
                    raise
                if self._on_retry is not None:
                    self._on_retry(error)
            self._clock.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def ask(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Sends one document once and returns its `data`.

        Raises:
            AddressInvalid: the url is none.
            ServerUnreachable: nothing answers; `ServerSilent` where something listens.
            ServerTroubled: the answer is an error that may pass; `ServerBusy` where it says when.
            ServerRefused: the answer is another error, or no GraphQL at all.
        """
        try:
            response = self._send({"query": document, "variables": dict(variables)})
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise AddressInvalid(self.url, str(error)) from error
        except NothingSaid as error:
            raise ServerSilent(self.url, error.waited_s) from error
        except httpx.TransportError as error:
            raise ServerUnreachable(self.url, str(error) or type(error).__name__) from error
        return self._data(response)

    def _send(self, body: dict[str, Any]) -> httpx.Response:
        address = f"{self.url}/graphql"
        if self._answered:
            return self._http.post(address, json=body)
        return send_once_connected(
            lambda trace: self._http.post(address, json=body, extensions={"trace": trace}),
            FIRST_CONTACT_S,
            says_anything=self._says_anything,
            silence_s=SILENCE_S,
        )

    def _says_anything(self) -> bool:
        """Whether the server answers something that costs it nothing, be it with a refusal."""
        try:
            self._http.get(f"{self.url}/server_info", timeout=SILENCE_S)
        except httpx.TransportError:
            return False
        return True

    def _data(self, response: httpx.Response) -> dict[str, Any]:
        status = response.status_code
        if status in _NOBODY_BEHIND:
            raise ServerUnreachable(self.url, f"a gateway says {status}")
        self._answered = True
        if status == _UNKNOWN:
            raise ServerRefused(self.url, f"status {status}; set BACKTEST_TOKEN to a token that it knows")
        body = _json(response)
        if status == _FORBIDDEN:
            problem = sentence_of(body) or "it does not say why; ask its operator what you may do"
            raise ServerRefused(self.url, f"status {status}; {problem}")
        if status == _TOO_MANY:
            raise ServerBusy(self.url, sentence_of(body) or "too many requests", _retry_after_s(response))
        if body is None:
            raise ServerRefused(self.url, f"status {status}, and no JSON")
        body = body if isinstance(body, dict) else {}
        if body.get("errors"):
            raise refusal_of_answer(self.url, body["errors"][0])
        data = body.get("data")
        answers = data if isinstance(data, dict) else {}
        for answer in answers.values():  # Dagster sends typed errors with status 500
            if isinstance(answer, dict) and answer.get("__typename") == "PythonError":
                raise refusal_of_answer(self.url, answer)
        if data is None or (response.is_error and not answers):  # errors inside an answer make it 500 too
            raise ServerRefused(self.url, f"status {status}, and no GraphQL answer")
        return dict(answers)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 1.0
