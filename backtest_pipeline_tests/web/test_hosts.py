"""Which addresses the server answers for, and whose pages may speak to it."""

from __future__ import annotations

import pytest

from backtest_pipeline.web.access.hosts import AllowedHosts, HostsInvalid, is_loopback, reached_at
from backtest_pipeline.web.access.refusal import Refusal

EVERYWHERE = "0.0.0.0"  # noqa: S104  nothing listens there


@pytest.mark.parametrize("host", ["localhost", "localhost:3000", "LOCALHOST:1", "127.0.0.1:9", "[::1]:3000"])
def test_on_the_loopback_every_port_of_its_names_is_answered_for(host: str) -> None:
    AllowedHosts("127.0.0.1").check_host([host])


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:3000", "127.0.0.1.evil.example"])
def test_a_name_that_was_made_to_point_here_is_not_answered_for(host: str) -> None:
    with pytest.raises(Refusal, match="add it to BACKTEST_HOSTS") as refused:
        AllowedHosts("127.0.0.1").check_host([host])
    assert refused.value.status == 421


@pytest.mark.parametrize(
    "values", [[], ["localhost", "localhost"], [""], ["a b"], ["user@localhost"], ["x:y"]]
)
def test_anything_but_one_host_is_no_host(values: list[str]) -> None:
    with pytest.raises(Refusal) as refused:
        AllowedHosts("127.0.0.1").check_host(values)
    assert refused.value.status == 400


def test_elsewhere_only_the_address_itself_and_what_was_named_is_answered_for() -> None:
    hosts = AllowedHosts("10.0.0.5", ["lab.example", "other.example:8443"])
    for fine in ("10.0.0.5:3000", "lab.example", "lab.example:3000", "other.example:8443"):
        hosts.check_host([fine])
    for foreign in ("localhost:3000", "other.example", "other.example:1", "10.0.0.6:3000"):
        with pytest.raises(Refusal):
            hosts.check_host([foreign])


def test_an_entry_that_is_no_host_is_told() -> None:
    with pytest.raises(HostsInvalid, match=r"https://lab\.example"):
        AllowedHosts("127.0.0.1", ["https://lab.example"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:3000", "localhost:3000"),
        ("https://lab.example", "lab.example"),  # a proxy ends TLS; both ports are the usual ones
        ("https://lab.example:443", "lab.example"),
        ("https://lab.example", "127.0.0.1:3000"),  # a proxy that rewrites Host; the name is allowed
        ("https://other.example:8443", "127.0.0.1:3000"),
    ],
)
def test_the_servers_own_pages_may_change_something(origin: str, host: str) -> None:
    AllowedHosts("127.0.0.1", ["lab.example", "other.example:8443"]).check_origin([origin], [host])


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:8888",  # another program on this machine
        "http://127.0.0.1:3000",  # the same server, yet to a browser another origin
        "http://lab.example:8888",  # a neighbour of an allowed host
        "null",  # a sandboxed page, such as a report
        "file://",
        "http://localhost:3000.evil.example",
        "http://localhost:3000/",
        "",
    ],
)
def test_pages_of_another_origin_may_not(origin: str) -> None:
    with pytest.raises(Refusal) as refused:
        AllowedHosts("127.0.0.1", ["lab.example"]).check_origin([origin], ["localhost:3000"])
    assert refused.value.status == 403


def test_two_origins_are_none() -> None:
    with pytest.raises(Refusal):
        AllowedHosts("127.0.0.1").check_origin(["http://localhost:3000"] * 2, ["localhost:3000"])


def test_what_no_page_sent_has_no_origin() -> None:
    AllowedHosts("127.0.0.1").check_origin([], ["localhost:3000"])


@pytest.mark.parametrize(
    ("address", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        (EVERYWHERE, False),
        ("::", False),
        ("10.0.0.5", False),
        ("lab.example", False),
        ("", False),
    ],
)
def test_loopback_addresses_are_told_from_others(address: str, only_here: bool) -> None:
    assert is_loopback(address) is only_here


@pytest.mark.parametrize(
    ("address", "host"), [(EVERYWHERE, "127.0.0.1"), ("::1", "[::1]"), ("10.0.0.5", "10.0.0.5")]
)
def test_a_server_is_reached_from_its_own_machine(address: str, host: str) -> None:
    assert reached_at(address) == host
