"""Options as text: what each stands for, and what is said of those that stand for nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

import hypersocket as hs
from hypersocket._options import options_of
from hypersocket.cli._option_values import parse_options, parse_value

TYPES = [hs.Req, hs.Rep, hs.Dealer, hs.Router, hs.Pub, hs.Sub, hs.XPub, hs.XSub, hs.Push, hs.Pull]


@pytest.mark.parametrize(
    ("socket_type", "text", "value"),
    [
        (hs.Push, "sndhwm=5", 5),
        (hs.Push, "linger=0.5", 0.5),
        (hs.Push, "linger=inf", math.inf),
        (hs.Push, "ipv6=true", True),
        (hs.Push, "ipv6=No", False),
        (hs.Push, "ipv6=1", True),
        (hs.Push, "tcp_keepalive=none", None),
        (hs.Push, "tcp_keepalive=on", True),
        (hs.Push, "ipc_mode=600", 0o600),
        (hs.Push, "ipc_mode=0o660", 0o660),
        (hs.Push, "bindtodevice=eth0", "eth0"),
        (hs.Dealer, "routing_id=17", b"17"),
        (hs.Dealer, "routing_id=none", b"none"),
        (hs.XPub, "xpub_welcome_msg=hello", b"hello"),
        (hs.XPub, "xpub_welcome_msg=none", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values(socket_type: type[Any], text: str, value: object) -> None:
    name, _, given = text.partition("=")
    assert parse_options({name: given}, socket_type) == {name: value}
    assert getattr(socket_type(**{name: value}), name) == value


@pytest.mark.parametrize("socket_type", TYPES, ids=lambda cls: cls.__name__)
def test_every_default_can_be_written(socket_type: type[Any]) -> None:
    for name, option in options_of(socket_type).items():
        default = option.default
        text = default.decode() if isinstance(default, bytes) else str(default)
        if name == "ipc_mode" and default is not None:
            text = oct(default)
        assert option.check(parse_value(option, text)) == default, name


@pytest.mark.parametrize(
    ("socket_type", "given", "said"),
    [
        (hs.Push, {"sndhwm": "-1"}, "sndhwm=-1: expected at least 0; 0 stands for"),
        (hs.Push, {"sndhwm": "many"}, "sndhwm=many: expected a whole number"),
        (hs.Push, {"sndhwm": "1.5"}, "sndhwm=1.5: expected a whole number"),
        (hs.Push, {"sndhwm": "true"}, "sndhwm=true: expected a whole number"),
        (hs.Push, {"linger": "-1"}, "linger=-1: expected 0 or more seconds; inf stands for"),
        (hs.Push, {"linger": "soon"}, "linger=soon: expected a number of seconds"),
        (hs.Push, {"ipv6": "perhaps"}, "ipv6=perhaps: expected True or False"),
        (hs.Push, {"ipc_mode": "999"}, "ipc_mode=999: expected"),
        (hs.Push, {"sndhmw": "5"}, "Push has no option 'sndhmw'; did you mean 'sndhwm'"),
        (hs.Push, {"rcvhwm": "5"}, "Push has no option 'rcvhwm': other socket types do"),
        (hs.Dealer, {"routing_id": "x" * 256}, "expected at most 255 bytes"),
    ],
    ids=lambda value: (
        next(iter(value)) + "=" + next(iter(value.values()))[:9] if isinstance(value, dict) else ""
    ),
)
def test_mistakes_are_named(socket_type: type[Any], given: dict[str, str], said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        parse_options(given, socket_type)
    assert said in str(caught.value)
