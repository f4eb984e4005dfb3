"""Every option of every socket type: its default, its checks, its errors."""

from __future__ import annotations

import math
from typing import Any

import pytest

import hypersocket as hs
from hypersocket._options import Option, options_of

KINDS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        *(hs.Req, hs.Rep, hs.Dealer, hs.Router, hs.Pair, hs.Pub, hs.Sub, hs.XPub, hs.XSub),
        *(hs.Push, hs.Pull),
    )
}
EVERY = [(kind, name) for kind, cls in KINDS.items() for name in options_of(cls)]
every_option = pytest.mark.parametrize(("kind", "name"), EVERY, ids=[f"{k}-{n}" for k, n in EVERY])

# Values that are accepted, with what is read back; and values that are not.
GOOD: dict[str, list[tuple[object, object]]] = {
    "flag": [(True, True), (False, False), (1, True), (0, False)],
    "seconds": [(0, 0.0), (2, 2.0), (0.5, 0.5)],
    "whole": [(1, 1), (7, 7)],
    "bytes": [(b"", b""), (b"x", b"x")],
    "name": [("eth0", "eth0")],
}
BAD: dict[str, list[object]] = {
    "flag": ["yes", 2, -1, 1.5, b"", [1]],
    "seconds": ["1", True, b"1", [1], math.nan, -1, -0.001],
    "whole": ["1", True, 1.0, b"1", -1],
    "bytes": ["text", 1, bytearray(b"x"), [b"x"]],
    "name": [b"eth0", 1, ""],
}


def form(option: Option[Any], name: str) -> str:
    if name in {"routing_id", "connect_routing_id", "xpub_welcome_msg"}:
        return "bytes"
    if name == "bindtodevice":
        return "name"
    if option.unit.startswith("flag"):
        return "flag"
    if option.unit.startswith("seconds") and not name.startswith("tcp_keepalive"):
        return "seconds"
    return "whole"


def declared(kind: str, name: str) -> Option[Any]:
    return options_of(KINDS[kind])[name]


@every_option
def test_declaration(kind: str, name: str) -> None:
    option = declared(kind, name)
    assert option.unit
    assert option.doc.endswith(".")
    assert option.name == name
    assert (option.libzmq is None) <= (option.why is None)
    assert getattr(KINDS[kind], name) is option


@every_option
def test_default(kind: str, name: str) -> None:
    option = declared(kind, name)
    socket = KINDS[kind]()
    assert getattr(socket, name) == option.default
    assert option.check(option.default) == option.default


@every_option
def test_good_values(kind: str, name: str) -> None:
    option = declared(kind, name)
    for value, read in GOOD[form(option, name)]:
        if name in {"max_command_size", "max_metadata_size"}:
            value = read = 512
        socket = KINDS[kind](**{name: value})
        assert getattr(socket, name) == read
        socket = KINDS[kind]()
        setattr(socket, name, value)
        assert getattr(socket, name) == read
        assert type(getattr(socket, name)) is type(read)
        assert getattr(KINDS[kind](), name) == option.default  # it was that socket's alone


@every_option
def test_bad_values_are_named_and_change_nothing(kind: str, name: str) -> None:
    option = declared(kind, name)
    socket = KINDS[kind]()
    bad = BAD[form(option, name)]
    if option.default is not None:
        bad = [*bad, None] if form(option, name) != "name" else bad
    for value in bad:
        with pytest.raises((TypeError, ValueError), match=f"^{name}=.*expected"):
            setattr(socket, name, value)
        with pytest.raises((TypeError, ValueError), match=f"^{name}="):
            KINDS[kind](**{name: value})
    assert getattr(socket, name) == option.default


@every_option
def test_none_leaves_the_system_alone(kind: str, name: str) -> None:
    if declared(kind, name).default is None:
        assert getattr(KINDS[kind](**{name: None}), name) is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"routing_id": b"x" * 256}, "at most 255 bytes"),
        ({"routing_id": b"\0x"}, "other than zero"),
        ({"heartbeat_ttl": 6554}, "at most 6553.5"),
        ({"reconnect_ivl_max": math.inf}, "finite"),
        ({"tos": 256}, "at most 255"),
        ({"backlog": 0}, "at least 1"),
        ({"max_command_size": 511}, "at least 512"),
        ({"ipc_mode": 0o1000}, "at most 511"),
        ({"linger": -1}, "math.inf stands for pyzmq's -1"),
        ({"sndhwm": -1}, "at least 0"),
    ],
    ids=str,
)
def test_values_out_of_range(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        hs.Dealer(**options)


def test_durations_may_be_infinite() -> None:
    assert hs.Push(linger=math.inf, reconnect_ivl=math.inf).linger == math.inf


def test_an_unknown_option_is_named_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match=r"^Push has no option 'sndhwn'; did you mean 'sndhwm'"):
        hs.Push(sndhwn=1)
    with pytest.raises(TypeError, match=r"^Push has no option 'qwertz'$"):
        hs.Push(qwertz=1)
    with pytest.raises(TypeError, match="LINGER"):
        hs.Push(LINGER=1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_option_of_another_type_is_named(kind: str) -> None:
    own = set(options_of(KINDS[kind]))
    others = {name for cls in KINDS.values() for name in options_of(cls)} - own
    assert others
    for name in others:
        with pytest.raises(TypeError, match=f"^{kind} has no option '{name}': other socket types"):
            KINDS[kind](**{name: 1})


def test_the_names_of_the_contract_are_there() -> None:
    names = {name for cls in KINDS.values() for name in options_of(cls)}
    contract = """
        sndhwm rcvhwm linger routing_id immediate conflate reconnect_ivl reconnect_ivl_max
        handshake_ivl heartbeat_ivl heartbeat_timeout heartbeat_ttl maxmsgsize req_relaxed
        req_correlate router_mandatory router_handover probe_router xpub_verbose
        xpub_verboser xpub_manual xpub_nodrop xpub_welcome_msg invert_matching tcp_keepalive
        tcp_keepalive_idle tcp_keepalive_cnt tcp_keepalive_intvl backlog ipv6 tos
        connect_timeout
    """
    assert names >= set(contract.split())
    assert hs.Push().linger == 5.0
    assert hs.Req().req_relaxed is True
    assert hs.Req().req_correlate is False


def test_types_have_only_the_calls_that_they_can_do() -> None:
    sends = {name for name, cls in KINDS.items() if hasattr(cls, "send")}
    receives = {name for name, cls in KINDS.items() if hasattr(cls, "recv")}
    assert set(KINDS) - sends == {"Pull", "Sub"}
    assert set(KINDS) - receives == {"Push", "Pub"}
    assert {name for name, cls in KINDS.items() if hasattr(cls, "request")} == {"Req"}
    for name, cls in KINDS.items():
        assert hasattr(cls, "sndhwm") == (name in sends)
        assert hasattr(cls, "rcvhwm") == (name in receives)
        assert hasattr(cls, "wait_subscribed") == (name in {"Pub", "XPub"})


async def test_routing_id_is_read_when_a_connection_is_made() -> None:
    async with hs.Router(bind="inproc://r") as router, hs.Dealer() as dealer:
        dealer.routing_id = b"late"
        await dealer.connect("inproc://r")
        await dealer.send(b"x")
        assert await router.recv_multipart() == [b"late", b"x"]
