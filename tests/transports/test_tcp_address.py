"""tcp addresses: what is understood, what is refused, and how that is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersocket._errors import EndpointError
from hypersocket.transports._tcp_address import HostPort, Route, parse_bind, parse_connect

hosts = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["localhost", "eth0", "eth0.100", "a.example.", "my_host", "bücher.example"]),
    st.just("fe80::1%eth0"),
    st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z]{2,10}){0,3}", fullmatch=True),
)
ports = st.integers(1, 65535)
sources = st.builds(HostPort, hosts | st.just("*"), st.integers(0, 65535))
targets = st.builds(HostPort, hosts, ports)
# What is nearly an address finds more than text of any kind would.
nearly = st.lists(
    st.sampled_from([*"[]:;*%.0159 -_/é", "::1", "127.0.0.1", "eth0", "5555", "\0"]), max_size=8
).map("".join)


@given(sources)
def test_what_is_written_to_bind_is_read_again(place: HostPort) -> None:
    assert parse_bind(str(place)) == place


@given(targets, st.none() | sources)
def test_what_is_written_to_connect_is_read_again(
    target: HostPort, source: HostPort | None
) -> None:
    route = Route(target, source)
    assert parse_connect(str(route)) == route


@given(st.text() | nearly)
def test_any_text_is_an_address_or_an_endpoint_error(text: str) -> None:
    for parse in (parse_bind, parse_connect):
        try:
            parsed = parse(text)
        except EndpointError:
            continue
        assert parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:5555", "127.0.0.1", 5555),
        ("*:5555", "*", 5555),
        ("*:*", "*", 0),
        ("127.0.0.1:*", "127.0.0.1", 0),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:5555", "::1", 5555),
        ("[::]:*", "::", 0),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ("eth0:5555", "eth0", 5555),
        ("eth0.100:5555", "eth0.100", 5555),
        ("localhost:65535", "localhost", 65535),
    ],
)
def test_bind(text: str, host: str, port: int) -> None:
    assert parse_bind(text) == HostPort(host, port)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("127.0.0.1:0;a.example:5555", HostPort("127.0.0.1", 0)),
        ("eth0:*;a.example:5555", HostPort("eth0", 0)),
        ("*:4000;a.example:5555", HostPort("*", 4000)),
        ("[::1]:4000;a.example:5555", HostPort("::1", 4000)),
        ("a.example:5555", None),
    ],
)
def test_connect(text: str, source: HostPort | None) -> None:
    assert parse_connect(text) == Route(HostPort("a.example", 5555), source)


BAD = [
    ("", "port is missing"),
    ("127.0.0.1", "port is missing"),
    ("127.0.0.1:", "port is missing"),
    (":5555", "host is missing"),
    ("127.0.0.1:70000", "70000 is out of range"),
    ("127.0.0.1:" + "9" * 5000, "out of range"),
    ("127.0.0.1:http", "'http' is not a number"),
    ("127.0.0.1:-1", "'-1' is not a number"),
    ("127.0.0.1:5555/", "'5555/' is not a number"),
    ("127.0.0.1:٥", "is not a number"),
    ("127.0.0.1: 5555", "whitespace"),
    ("127.0.0.1\n:5555", "whitespace"),
    ("a\0b:5555", "unprintable"),
    ("::1:5555", "brackets"),
    ("[::1]", r"expected \[IPv6 address\]:port"),
    ("[::1]5555", r"expected \[IPv6 address\]:port"),
    ("[::1:5555", r"expected \[IPv6 address\]:port"),
    ("[127.0.0.1]:5555", "not an IPv6 address"),
    ("[fe80::1%a;b]:5", "source address|expected"),
    ("[fe80::1%]:5", "not an IPv6 address"),
    ("[fe80::1%a?]:5", "not an IPv6 address"),
    ("fe80::1%eth0:5555", "brackets"),
    ("999.1.1.1:5555", "not an IPv4 address"),
    ("127.1:5555", "not an IPv4 address"),
    ("2130706433:5555", "not an IPv4 address"),
    ("user@host:5555", "is no host"),
    ("//host:5555", "is no host"),
    ("**:5555", "is no host"),
    ("a..b:5555", "one of its labels"),
    ("a" * 64 + ".example:5555", "one of its labels"),
    ("a." * 200 + "example:5555", "more than 253"),
]


@pytest.mark.parametrize("parse", [parse_bind, parse_connect])
@pytest.mark.parametrize(("text", "why"), BAD, ids=range(len(BAD)))
def test_what_can_never_work_is_refused_with_its_reason(parse, text: str, why: str) -> None:
    with pytest.raises(EndpointError, match=why):
        parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("*:5555", r"cannot connect to '\*'"),
        ("127.0.0.1:*", "wildcard port"),
        ("127.0.0.1:0", "wildcard port"),
        ("eth0;127.0.0.1:5555", "source address before ';': the port is missing"),
        ("a:1;b:2;c:3", "more than one ';'"),
        (";b:2", "source address before ';'"),
        ("a:1;", "port is missing"),
    ],
)
def test_what_cannot_be_connected_to(text: str, why: str) -> None:
    with pytest.raises(EndpointError, match=why):
        parse_connect(text)


def test_a_bind_has_no_source_address() -> None:
    with pytest.raises(EndpointError, match="for connect, not for bind"):
        parse_bind("127.0.0.1:0;127.0.0.1:5555")
