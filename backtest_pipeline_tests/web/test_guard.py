"""What the guard lets through, told by what reaches the app behind it."""

from __future__ import annotations

import json

import pytest

from backtest_pipeline.web.access.guard import Guard
from backtest_pipeline.web.access.hosts import AllowedHosts
from backtest_pipeline.web.access.identity import Access, parsed_tokens
from backtest_pipeline_tests.web.asgi import HOST, JSON, Headers, Recorder, ask, converse, post

ANNS = "anns-token-0123456789"
VIEWS = "views-token-0123456789"
SECRET = "proxy-secret-0123456789"  # noqa: S105  of nothing
TOKENS = parsed_tokens(f"ann:full:{ANNS},vic:viewer:{VIEWS}")
CHANGE = {"query": "mutation { reloadWorkspace { __typename } }"}
READ = {"query": "{ version }"}
ANN = ("authorization", f"Bearer {ANNS}")
VIC = ("authorization", f"Bearer {VIEWS}")
OURS = ("origin", "http://localhost:3000")
FOREIGN = ("origin", "http://evil.example")


def _guard(
    app: Recorder, access: Access | None = None, *, limit_bytes: int = 1_000, read_only: bool = False
) -> Guard:
    return Guard(
        app,
        hosts=AllowedHosts("127.0.0.1"),
        access=access or Access(),
        read_only=read_only,
        open_paths=["/healthz"],
        body_limit_bytes=limit_bytes,
    )


@pytest.mark.parametrize("path", ["/graphql", "/view/graphql", "/graphql/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_graphql_is_posted_and_nothing_else(path: str, method: str) -> None:
    app = Recorder()
    answer = ask(
        _guard(app), method, path, query=b"query=mutation{a}", headers=[HOST, ("accept", "text/html")]
    )
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.problem == "send GraphQL with POST and a JSON body"
    assert app.scopes == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "text/plain",
        "text/plain; application/json",  # Dagster looks for the words anywhere in the header
        "application/graphql",
        "application/json-patch+json",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/report_asset_materialization/a"])
def test_what_a_form_can_send_is_refused(kind: str, path: str) -> None:
    app = Recorder()
    answer = post(_guard(app), path, CHANGE, headers=[HOST, ("content-type", kind)])
    assert answer.status == 415
    assert "Content-Type: application/json" in answer.problem
    assert app.scopes == []


def test_two_content_types_are_none() -> None:
    assert post(_guard(Recorder()), "/graphql", CHANGE, headers=[HOST, JSON, JSON]).status == 415


def test_a_query_string_beside_the_body_is_refused() -> None:
    app = Recorder()
    answer = ask(
        _guard(app), "POST", "/graphql", headers=[HOST, JSON], query=b"query=mutation{a}", body=[b"{}"]
    )
    assert (answer.status, app.scopes) == (400, [])


def test_json_reaches_the_app_as_it_was_sent() -> None:
    app = Recorder()
    assert (
        post(
            _guard(app),
            "/graphql",
            CHANGE,
            headers=[HOST, ("content-type", "Application/JSON; charset=utf-8")],
        ).status
        == 200
    )
    assert [json.loads(body) for body in app.bodies] == [CHANGE]


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, FOREIGN, JSON],
        [HOST, ("origin", "null"), JSON],
        [HOST, ("sec-fetch-site", "cross-site"), JSON],
        [HOST, OURS, ("sec-fetch-site", "Cross-Site"), JSON],
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/report_asset_check/a"])
def test_another_sites_page_changes_nothing(headers: Headers, path: str) -> None:
    app = Recorder()
    assert post(_guard(app), path, CHANGE, headers=headers).status == 403
    assert app.scopes == []


def test_the_servers_own_page_may() -> None:
    app = Recorder()
    headers = [HOST, OURS, ("sec-fetch-site", "same-origin"), JSON]
    assert post(_guard(app), "/graphql", CHANGE, headers=headers).status == 200


@pytest.mark.parametrize("path", ["/", "/graphql", "/logs/a", "/tasks/x/report.html", "/metrics"])
def test_a_foreign_host_is_not_answered_on_any_page(path: str) -> None:
    app = Recorder()
    assert ask(_guard(app), "GET", path, headers=[("host", "evil.example")]).status == 421
    assert app.scopes == []


def test_a_body_is_counted_while_it_comes() -> None:
    app = Recorder()
    fits = [b'{"query": "{version}"}'.ljust(400), b" " * 600]
    assert ask(_guard(app), "POST", "/graphql", headers=[HOST, JSON], body=fits).status == 200
    assert app.bodies == [b"".join(fits)]
    answer = ask(_guard(app), "POST", "/graphql", headers=[HOST, JSON], body=[*fits, b" "])  # 1001 bytes
    assert (answer.status, len(app.bodies)) == (413, 1)


def test_an_announced_body_is_refused_before_it_comes() -> None:
    headers = [HOST, JSON, ("content-length", "1001")]
    assert ask(_guard(Recorder()), "POST", "/graphql", headers=headers, body=[b"x"]).status == 413


def test_a_small_announcement_does_not_shrink_a_large_body() -> None:
    headers = [HOST, JSON, ("content-length", "1")]
    assert ask(_guard(Recorder()), "POST", "/graphql", headers=headers, body=[b"x" * 1_001]).status == 413


@pytest.mark.parametrize(
    "path", ["/", "/graphql", "/metrics", "/logs/a", "/healthz/x", "/tasks/x/report.html"]
)
@pytest.mark.parametrize(
    "headers",
    [
        [HOST, JSON],
        [HOST, JSON, ("authorization", "Bearer wrong-token-0123456789")],
        [HOST, JSON, ("x-backtest-user", "ann")],
        [HOST, JSON, ("x-backtest-user", "ann"), ("x-backtest-proxy-secret", "wrong-secret-0123456789")],
        [HOST, JSON, ("cookie", f"token={ANNS}")],
    ],
)
def test_without_proof_nothing_is_told(path: str, headers: Headers) -> None:
    app = Recorder()
    method = "POST" if path == "/graphql" else "GET"
    answer = ask(_guard(app, Access(TOKENS, SECRET)), method, path, headers=headers, body=[b"{}"])
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="backtest"')
    assert app.scopes == []


def test_the_user_is_told_to_the_app_and_the_proof_is_not() -> None:
    app = Recorder()
    guard = _guard(app, Access(TOKENS, SECRET))
    post(guard, "/graphql", READ, headers=[HOST, JSON, ANN, ("x-backtest-user", "forged")])
    assert app.header("x-backtest-user") == "ann"
    assert app.header("authorization") is None
    proxy = [("X-Backtest-Proxy-Secret", SECRET), ("X-Backtest-User", "pia"), ("X-Backtest-Role", "full")]
    post(guard, "/graphql", CHANGE, headers=[HOST, JSON, *proxy])
    assert app.header("x-backtest-user") == "pia"
    assert app.header("x-backtest-proxy-secret") is None
    assert app.header("x-backtest-role") is None


def test_where_nobody_is_asked_nobody_can_say_who_they_are() -> None:
    app = Recorder()
    post(_guard(app), "/graphql", READ, headers=[HOST, JSON, ("x-backtest-user", "forged")])
    assert app.header("x-backtest-user") is None
    assert converse(_guard(app), "/graphql", [], headers=[HOST, ("x-backtest-user", "forged")])[0]
    assert app.header("x-backtest-user") is None


def test_a_viewer_reads_and_changes_nothing() -> None:
    app = Recorder()
    guard = _guard(app, Access(TOKENS))
    assert post(guard, "/graphql", READ, headers=[HOST, JSON, VIC]).status == 200
    assert ask(guard, "GET", "/logs/a", headers=[HOST, VIC]).status == 200
    for content in (CHANGE, [READ, CHANGE]):
        refused = post(guard, "/graphql", content, headers=[HOST, JSON, VIC])
        assert (refused.status, "viewers only read" in refused.problem) == (403, True)
    assert post(guard, "/report_asset_materialization/a", {}, headers=[HOST, JSON, VIC]).status == 403
    assert len(app.scopes) == 2
    assert post(guard, "/graphql", CHANGE, headers=[HOST, JSON, ANN]).status == 200


def test_on_a_read_only_server_everybody_is_a_viewer() -> None:
    app = Recorder()
    guard = _guard(app, Access(TOKENS), read_only=True)
    assert post(guard, "/view/graphql", CHANGE, headers=[HOST, JSON, ANN]).status == 403
    assert post(guard, "/view/graphql", READ, headers=[HOST, JSON, ANN]).status == 200
    assert post(_guard(app, read_only=True), "/view/graphql", CHANGE).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, FOREIGN],
        [HOST, ("origin", "null")],
        [("host", "evil.example"), ("origin", "http://evil.example")],
    ],
)
def test_a_websocket_of_another_page_is_never_accepted(headers: Headers) -> None:
    app = Recorder()
    sent = converse(_guard(app), "/graphql", ["{}"], headers=headers)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert app.scopes == []


def test_a_websocket_without_proof_is_never_accepted() -> None:
    app = Recorder()
    sent = converse(_guard(app, Access(TOKENS)), "/graphql", ["{}"], headers=[HOST, OURS])
    assert ([message["type"] for message in sent], app.scopes) == (["websocket.close"], [])


def test_the_servers_own_page_may_open_a_websocket() -> None:
    app = Recorder()
    text = json.dumps({"type": "start", "payload": CHANGE})
    sent = converse(_guard(app), "/graphql", [text], headers=[HOST, OURS])
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
    assert app.texts == [text]


def test_a_viewers_websocket_ends_at_the_first_mutation() -> None:
    app = Recorder()
    reading = json.dumps({"type": "start", "payload": {"query": "subscription { a }"}})
    changing = json.dumps({"type": "start", "payload": CHANGE})
    sent = converse(
        _guard(app, Access(TOKENS)), "/graphql", [reading, changing, reading], headers=[HOST, OURS, VIC]
    )
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert app.texts == [reading]


@pytest.mark.parametrize(("text", "code"), [("x" * 1_001, 1009), (b"{}", 1008)])
def test_a_websocket_takes_text_of_limited_length(text: str | bytes, code: int) -> None:
    app = Recorder()
    sent = converse(_guard(app), "/graphql", [text])
    assert (sent[-1]["type"], sent[-1]["code"]) == ("websocket.close", code)
    assert app.texts == []


def test_every_answer_stays_out_of_frames_and_is_not_guessed_at() -> None:
    policy = "script-src 'nonce-1'; base-uri 'none';"
    for answer in (
        ask(_guard(Recorder(headers={"content-security-policy": policy})), "GET", "/"),
        ask(_guard(Recorder()), "GET", "/graphql"),
        ask(_guard(Recorder(), Access(TOKENS)), "GET", "/"),
    ):
        assert answer.headers["content-security-policy"].endswith("frame-ancestors 'none'")
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "same-origin"
    merged = ask(_guard(Recorder(headers={"content-security-policy": policy})), "GET", "/").headers
    assert (
        merged["content-security-policy"] == "script-src 'nonce-1'; base-uri 'none'; frame-ancestors 'none'"
    )


def test_a_policy_that_knows_about_frames_stays_as_it_is() -> None:
    own = "default-src 'none'; frame-ancestors 'none'; sandbox"
    answer = ask(_guard(Recorder(headers={"content-security-policy": own})), "GET", "/")
    assert answer.headers["content-security-policy"] == own


def test_answers_and_messages_leave_without_sql() -> None:
    app = Recorder(answer=json.dumps({"errors": [{"message": "it failed\n[SQL: SELECT 1]"}]}).encode())
    answer = post(_guard(app), "/graphql", READ)
    assert answer.problem.startswith("it failed\n(details: error ")
    sent = converse(_guard(app), "/graphql", ['{"type": "connection_init"}'])
    assert "SELECT" not in sent[-1]["text"]


def test_only_the_open_path_is_open_and_tells_the_page_who_asks() -> None:
    app = Recorder()
    guard = _guard(app, Access(TOKENS))
    for headers, user in (
        ([("host", "evil.example"), ANN], None),
        ([HOST], None),
        ([HOST, ANN], "ann"),
    ):
        assert ask(guard, "GET", "/healthz", headers=headers).status == 200
        known = app.scopes[-1]["backtest.user"]
        assert (known.name if known else None) == user
        assert app.header("authorization") is None
    assert post(guard, "/healthz", {}).status == 401
