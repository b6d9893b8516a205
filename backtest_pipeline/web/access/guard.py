"""The guard: what comes in, who it is from, and what leaves."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backtest_pipeline.web.access import identity
from backtest_pipeline.web.access.answers import with_clean_answers
from backtest_pipeline.web.access.bodies import SenderGone, read_body, replayed
from backtest_pipeline.web.access.graphql_gate import GraphQLGate
from backtest_pipeline.web.access.hosts import AllowedHosts
from backtest_pipeline.web.access.identity import Access, User
from backtest_pipeline.web.access.launch_requests import KnowsRun
from backtest_pipeline.web.access.off_loop import in_thread
from backtest_pipeline.web.access.plain_paths import check_path, with_plain_failures
from backtest_pipeline.web.access.rate_limits import Rates
from backtest_pipeline.web.access.refusal import Refusal, refusal_answer
from backtest_pipeline.web.access.security_headers import with_security_headers

BODY_LIMIT_BYTES = 1_048_576
REQUESTS_PER_SECOND = 50.0
USER = "backtest.user"
_READING = {"GET", "HEAD", "OPTIONS"}
_UNTRUSTED = {
    name.encode()
    for name in (
        identity.USER_HEADER,
        identity.ROLE_HEADER,
        identity.PROXY_SECRET_HEADER,
        identity.AUTHORIZATION,
    )
}
_UNKNOWN = "send Authorization: Bearer with a token of BACKTEST_TOKENS (clients: set BACKTEST_TOKEN)"
_CHALLENGE = {"www-authenticate": 'Bearer realm="backtest"'}

_CONTENT_TYPES = {"application/json", "application/json;charset=utf-8"}

Headers = dict[str, list[str]]
_log = logging.getLogger("dagster-webserver.guard")


class Guard:
    """ASGI middleware around the whole web server."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: AllowedHosts,
        access: Access,
        read_only: bool = False,
        open_paths: Sequence[str] = (),
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        requests_per_second: float = REQUESTS_PER_SECOND,
        knows_run: KnowsRun | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Stands before an app.

        Args:
            app: what answers where the guard lets through. It finds the user in `scope["backtest.user"]`
                (`None` for a stranger on an open path) and the user's name in the header `x-backtest-user`.
            hosts: the hosts that requests may name.
            access: what proves who somebody is.
            read_only: treats everybody as a viewer.
            open_paths: paths that strangers may read.
            body_limit_bytes: of one request, and of one message of a WebSocket.
            requests_per_second: of each user who had to prove who they are; 0 for any number.
            knows_run: whether there is a run of an id, called in a thread; `None` where nobody knows.
            clock: another clock, for tests.
        """
        self._app = app
        self._hosts = hosts
        self._access = access
        self._read_only = read_only
        self._open_paths = frozenset(open_paths)
        self._body_limit_bytes = body_limit_bytes
        self._rates = Rates(requests_per_second, clock)
        self._gate = GraphQLGate(knows_run)
        self._knows_run = knows_run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request or WebSocket through, or refuses it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = _by_name(scope)
        send = with_security_headers(send)
        if _is_graphql(scope):
            send = with_clean_answers(send)
        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, headers, receive, send)
            else:
                await self._http(scope, headers, receive, send)
        except Refusal as refusal:
            with suppress(RuntimeError):  # of a server whose WebSocket is closed already
                answer = refusal_answer(refusal, websocket=scope["type"] == "websocket")
                await answer(scope, receive, send)
        except SenderGone:
            return

    async def _http(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if scope["path"] in self._open_paths and scope["method"] in _READING:
            await self._app(self._handed_on(scope, self._known_locally(headers)), receive, send)
            return
        self._hosts.check_host(headers.get("host", []))
        user = self._user(headers)
        self._rates.count(user.name)
        if _is_graphql(scope):
            _check_graphql_form(scope)
        else:
            await check_path(scope["path"], self._knows_run)
            send = with_plain_failures(scope, receive, send)
        if scope["method"] not in _READING:
            self._check_unsafe(scope, headers)
            if user.role == "viewer" and not _is_graphql(scope):
                raise Refusal(403, "viewers only read; ask the operator for a token of the role full")
            announced = headers.get("content-length", [None])[0]
            body = await read_body(receive, announced=announced, limit_bytes=self._body_limit_bytes)
            if _is_graphql(scope):
                await in_thread(self._gate.check_body, body, user.role)
                scope = _with_content_type(scope)
            receive = replayed(body, receive)
        await self._app(self._handed_on(scope, user), receive, send)

    async def _websocket(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        self._hosts.check_host(headers.get("host", []))
        self._hosts.check_origin(headers.get("origin", []), headers["host"])
        user = self._user(headers)
        self._rates.count(user.name)

        async def checked() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                self._rates.count(user.name)
                await self._check_message(message, user)
            return message

        try:
            await self._app(self._handed_on(scope, user), checked, send)
        except Refusal:
            raise
        except Exception as error:
            _log.exception("a WebSocket ended by an error")
            raise Refusal(500, "the server failed at this message; see its log") from error

    async def _check_message(self, message: Message, user: User) -> None:
        text = message.get("text")
        if text is None:
            raise Refusal(400, "send GraphQL messages as text")
        if len(text) > self._body_limit_bytes:
            raise Refusal(413, f"send at most {self._body_limit_bytes} characters in one message")
        await in_thread(self._gate.check_message, text, user.role)

    def _check_unsafe(self, scope: Scope, headers: Headers) -> None:
        self._hosts.check_origin(headers.get("origin", []), headers["host"])
        if "cross-site" in (value.strip().lower() for value in headers.get("sec-fetch-site", [])):
            raise Refusal(403, "a page of another site may not do this; open the server's own page")
        if scope["method"] != "POST":
            raise Refusal(405, "send this with POST", {"allow": "GET, HEAD, POST"})
        kinds = headers.get("content-type", [])
        if len(kinds) != 1 or "".join(kinds[0].lower().split()) not in _CONTENT_TYPES:
            raise Refusal(415, "send JSON with Content-Type: application/json")

    def _user(self, headers: Headers) -> User:
        user = self._access.user_of(headers)
        if user is None:
            if self._access.required:
                raise Refusal(401, _UNKNOWN, _CHALLENGE)
            user = User("", "full")
        return User(user.name, "viewer") if self._read_only else user

    def _known_locally(self, headers: Headers) -> User | None:
        """The user of a request to an open path, `None` where anything about it is doubtful."""
        try:
            self._hosts.check_host(headers.get("host", []))
            return self._user(headers)
        except Refusal:
            return None

    @staticmethod
    def _handed_on(scope: Scope, user: User | None) -> Scope:
        kept = [(name, value) for name, value in scope["headers"] if name.lower() not in _UNTRUSTED]
        if user is not None and user.name:
            kept.append((identity.USER_HEADER.encode(), user.name.encode()))
        return {**scope, "headers": kept, USER: user}


_OPERATION_NAME = re.compile(rb"op=\w{1,100}")
"""Dagster's pages write the operation's name into the address; its server does not read it."""


def _check_graphql_form(scope: Scope) -> None:
    """Only what a page of another origin cannot send without asking first.

    Raises:
        Refusal: it is sent another way.
    """
    if scope["method"] != "POST":
        raise Refusal(405, "send GraphQL with POST and a JSON body", {"allow": "POST"})
    if scope.get("query_string") and not _OPERATION_NAME.fullmatch(scope["query_string"]):
        raise Refusal(400, "send GraphQL in the JSON body, with nothing behind a question mark")


def _with_content_type(scope: Scope) -> Scope:
    """A request with the one content type that Dagster reads as JSON, however it was written."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-type"]
    return {**scope, "headers": [*kept, (b"content-type", b"application/json")]}


def _is_graphql(scope: Scope) -> bool:
    return str(scope["path"]).rstrip("/").endswith("/graphql")


def _by_name(scope: Scope) -> Headers:
    found: Headers = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found
