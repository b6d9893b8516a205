"""Who sends a request: bearer tokens, the proxy in front, and what each may do."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.settings import Settings
from backtest_pipeline.web.access.hosts import is_loopback
from backtest_pipeline.web.access.refusal import Refusal

Role = Literal["full", "viewer"]
USER_HEADER = "x-backtest-user"
ROLE_HEADER = "x-backtest-role"
PROXY_SECRET_HEADER = "x-backtest-proxy-secret"  # noqa: S105  a header's name
AUTHORIZATION = "authorization"

_SHORTEST_SECRET = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_ADVICE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class AccessInvalid(BacktestError):
    """BACKTEST_TOKENS or BACKTEST_PROXY_SECRET cannot be used."""


class BindRefused(BacktestError):
    """The server would listen where others reach it, and let anyone in."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"listening on {host} would let everyone who reaches it start and delete runs: set "
            "BACKTEST_TOKENS, or BACKTEST_PROXY_SECRET where a proxy asks people who they are, or listen on "
            "127.0.0.1"
        )


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request, as far as was proved."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Token:
    """One of BACKTEST_TOKENS; only the secret's hash is kept."""

    user: User
    sha256: bytes = field(repr=False)


class Access:
    """What proves who somebody is; nothing configured: everybody may do everything."""

    def __init__(self, tokens: Sequence[Token] = (), proxy_secret: str = "") -> None:
        """Keeps the tokens and the secret that a proxy sends with each request, empty for no proxy.

        Raises:
            AccessInvalid: the secret is too short to be one.
        """
        if proxy_secret and len(proxy_secret) < _SHORTEST_SECRET:
            raise AccessInvalid(
                f"BACKTEST_PROXY_SECRET is shorter than {_SHORTEST_SECRET} characters; {_ADVICE}"
            )
        self._tokens = tuple(tokens)
        self._proxy_sha256 = _sha256(proxy_secret) if proxy_secret else None

    @property
    def required(self) -> bool:
        """Whether requests must prove who sends them."""
        return bool(self._tokens) or self._proxy_sha256 is not None

    def user_of(self, headers: Mapping[str, Sequence[str]]) -> User | None:
        """Whose request it is, or `None` where nothing of ours proves it.

        Args:
            headers: all values of each header, by lower-case name.

        Raises:
            Refusal: the proxy is the proxy, and what it says of the user cannot be used.
        """
        if self._proxy_sha256 is not None:
            given = headers.get(PROXY_SECRET_HEADER, ())
            if len(given) == 1 and hmac.compare_digest(_sha256(given[0]), self._proxy_sha256):
                said = headers.get(USER_HEADER, ())
                if said:
                    return _told_by_proxy(said, headers.get(ROLE_HEADER, ()))
        return self._bearer(headers.get(AUTHORIZATION, ()))

    def _bearer(self, values: Sequence[str]) -> User | None:
        scheme, _, secret = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            return None
        given = _sha256(secret.strip())
        found: User | None = None
        for token in self._tokens:  # all of them, so that the time reveals nothing
            if hmac.compare_digest(given, token.sha256):
                found = token.user
        return found


def parsed_tokens(text: str) -> list[Token]:
    """Reads `name:role:token` entries, separated by commas or lines; `#` begins a comment line.

    Raises:
        AccessInvalid: an entry is something else; its token is never part of the message.
    """
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    return [_token(number + 1, entry) for number, entry in enumerate(entries)]


def access_of(settings: Settings) -> Access:
    """What the environment says of who may come in.

    Raises:
        AccessInvalid: it cannot be used.
    """
    return Access(parsed_tokens(settings.backtest_tokens), settings.backtest_proxy_secret)


def refuse_open_bind(host: str, access: Access) -> None:
    """Keeps a server without any login on the loopback.

    Raises:
        BindRefused: others reach the address, and nobody would be asked for a token.
    """
    if not is_loopback(host) and not access.required:
        raise BindRefused(host)


def _token(number: int, entry: str) -> Token:
    name, _, rest = entry.partition(":")
    role, _, secret = rest.partition(":")
    where = f"entry {number} of BACKTEST_TOKENS"
    if not _NAME.fullmatch(name) or role not in get_args(Role) or not secret:
        raise AccessInvalid(f"{where} is not name:role:token with a role of full or viewer")
    if len(secret) < _SHORTEST_SECRET:
        raise AccessInvalid(f"{where}: the token is shorter than {_SHORTEST_SECRET} characters; {_ADVICE}")
    return Token(User(name, "full" if role == "full" else "viewer"), _sha256(secret))


def _told_by_proxy(names: Sequence[str], roles: Sequence[str]) -> User:
    if len(names) != 1 or not _NAME.fullmatch(names[0]):
        raise Refusal(400, "the proxy must set X-Backtest-User once, to a name of letters, digits and ._@+-")
    if not roles:
        return User(names[0], "full")
    if len(roles) != 1 or roles[0] not in get_args(Role):
        raise Refusal(400, "the proxy must set X-Backtest-Role at most once, to full or viewer")
    return User(names[0], "full" if roles[0] == "full" else "viewer")


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
