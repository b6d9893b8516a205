"""Tokens, roles and the proxy's word."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest_pipeline.settings import Settings
from backtest_pipeline.web.access.identity import (
    Access,
    AccessInvalid,
    BindRefused,
    User,
    access_of,
    parsed_tokens,
    refuse_open_bind,
)
from backtest_pipeline.web.access.refusal import Refusal

ANNS = "anns-token-0123456789"
VIEWS = "views-token-0123456789"
SECRET = "proxy-secret-0123456789"  # noqa: S105  of nothing
TOKENS = parsed_tokens(f"ann:full:{ANNS},vic:viewer:{VIEWS}")


def test_a_token_says_who_and_what_role() -> None:
    access = Access(TOKENS)
    assert access.user_of({"authorization": [f"Bearer {ANNS}"]}) == User("ann", "full")
    assert access.user_of({"authorization": [f"bearer {VIEWS}"]}) == User("vic", "viewer")


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        [f"Bearer {ANNS}x"],
        [f"Bearer {ANNS[:-1]}"],
        [f"Basic {ANNS}"],
        [ANNS],
        [f"Bearer {ANNS}", f"Bearer {ANNS}"],
        ["Bearer ünï"],
    ],
)
def test_anything_else_proves_nothing(values: list[str]) -> None:
    assert Access(TOKENS).user_of({"authorization": values}) is None


def test_without_the_secret_nobody_is_the_proxy() -> None:
    said = {"x-backtest-user": ["ann"], "x-backtest-role": ["full"]}
    for secrets in ([], [""], ["wrong-secret-0123456789"], [SECRET, SECRET]):
        assert Access(TOKENS, SECRET).user_of({**said, "x-backtest-proxy-secret": secrets}) is None
    assert Access(TOKENS).user_of({**said, "x-backtest-proxy-secret": [""]}) is None


def test_the_proxy_says_who_and_what_role() -> None:
    proxy = {"x-backtest-proxy-secret": [SECRET]}
    access = Access((), SECRET)
    assert access.user_of({**proxy, "x-backtest-user": ["ann@lab.example"]}) == User(
        "ann@lab.example", "full"
    )
    assert access.user_of({**proxy, "x-backtest-user": ["vic"], "x-backtest-role": ["viewer"]}) == User(
        "vic", "viewer"
    )
    assert access.user_of(proxy) is None


@pytest.mark.parametrize(
    "said",
    [
        {"x-backtest-user": ["ann", "bob"]},  # the client's own, and the proxy's behind it
        {"x-backtest-user": ["ann bob"]},
        {"x-backtest-user": [""]},
        {"x-backtest-user": ["ann"], "x-backtest-role": ["admin"]},
        {"x-backtest-user": ["ann"], "x-backtest-role": ["full", "viewer"]},
    ],
)
def test_a_proxy_that_lets_doubt_through_is_refused(said: dict[str, list[str]]) -> None:
    with pytest.raises(Refusal) as refused:
        Access((), SECRET).user_of({"x-backtest-proxy-secret": [SECRET], **said})
    assert refused.value.status == 400


def test_a_client_behind_the_proxy_may_bring_its_own_token() -> None:
    headers = {"x-backtest-proxy-secret": [SECRET], "authorization": [f"Bearer {VIEWS}"]}
    assert Access(TOKENS, SECRET).user_of(headers) == User("vic", "viewer")


def test_a_file_of_tokens_has_lines_and_comments() -> None:
    text = f"# the desk\nann:full:{ANNS}\n\n  vic:viewer:{VIEWS}\n"
    assert [token.user for token in parsed_tokens(text)] == [User("ann", "full"), User("vic", "viewer")]


@pytest.mark.parametrize(
    "entry",
    [f"ann:{ANNS}", f"ann:admin:{ANNS}", f":full:{ANNS}", f"a n:full:{ANNS}", "ann:full:", "ann:full:short"],
)
def test_an_entry_that_cannot_be_used_is_told_without_its_token(entry: str) -> None:
    with pytest.raises(AccessInvalid, match=r"entry 2 of BACKTEST_TOKENS") as refused:
        parsed_tokens(f"ann:full:{ANNS},{entry}")
    assert ANNS not in str(refused.value)
    assert "short" not in str(refused.value).replace("shorter", "")


def test_a_short_proxy_secret_is_refused() -> None:
    with pytest.raises(AccessInvalid, match="BACKTEST_PROXY_SECRET"):
        Access((), "hunter2")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "lab.example", ""])  # noqa: S104
def test_others_are_let_near_only_where_somebody_asks_who_they_are(host: str) -> None:
    with pytest.raises(BindRefused, match="BACKTEST_TOKENS"):
        refuse_open_bind(host, Access())
    refuse_open_bind(host, Access(TOKENS))
    refuse_open_bind(host, Access((), SECRET))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_the_loopback_nobody_need_be_asked(host: str) -> None:
    refuse_open_bind(host, Access())


def test_secrets_come_from_files_as_well_and_are_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").write_text(f"vic:viewer:{VIEWS}\n")
    (tmp_path / "proxy").write_text(f"{SECRET}\n")
    (tmp_path / "token").write_text(f"{ANNS}\n")
    monkeypatch.setenv("BACKTEST_TOKENS", f"ann:full:{ANNS}")
    monkeypatch.setenv("BACKTEST_TOKENS_FILE", str(tmp_path / "tokens"))
    monkeypatch.setenv("BACKTEST_PROXY_SECRET_FILE", str(tmp_path / "proxy"))
    monkeypatch.setenv("BACKTEST_TOKEN_FILE", str(tmp_path / "token"))
    settings = Settings()
    access = access_of(settings)
    for secret, name in ((ANNS, "ann"), (VIEWS, "vic")):
        found = access.user_of({"authorization": [f"Bearer {secret}"]})
        assert found is not None
        assert found.name == name
    told = {"x-backtest-proxy-secret": [SECRET], "x-backtest-user": ["pia"]}
    assert access.user_of(told) == User("pia", "full")
    assert settings.backtest_token == ANNS
    for secret in (ANNS, VIEWS, SECRET):
        assert secret not in repr(settings) + repr(access) + repr(TOKENS)
