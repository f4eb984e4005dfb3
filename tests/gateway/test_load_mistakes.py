"""Every kind of wrong gateway file, and the line that tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypersocket.devices import ConfigurationError, topology
from hypersocket.devices.amqp_gateway.config._load import load, loads

from .mistakes import BROKER, BROKER_10, CALL, GOOD, IN, OUT, told

MISTAKES: dict[str, tuple[str, str]] = {
    # The file as a whole
    "no TOML": (
        "[broker\n",
        (
            "g.toml: this is no TOML: Expected ']' at the end of a table declaration (at "
            "line 1, column 8)"
        ),
    ),
    "nothing in it": (
        "",
        (
            "g.toml: broker: this is missing: expected a table\ng.toml: routes: this is "
            "missing: a gateway carries nothing without [routes.NAME]"
        ),
    ),
    "no broker": (OUT, "g.toml: broker: this is missing: expected a table"),
    "no routes": (
        BROKER,
        ("g.toml: routes: this is missing: a gateway carries nothing without [routes.NAME]"),
    ),
    "unknown table": (
        GOOD + "[route.x]\n",
        "g.toml:7: route = a table: unknown key; did you mean 'routes'?",
    ),
    "unknown key of the gateway": (
        GOOD + "[gateway]\nlingr = 3\n",
        "g.toml:8: gateway.lingr = 3: unknown key; did you mean 'linger'?",
    ),
    "a name that is none": (
        GOOD + "[gateway]\nname = 'a,b'\n",
        (
            'g.toml:8: gateway.name = "a,b": this is no name: expected letters, digits, '
            "'-' and '_', 255 at most"
        ),
    ),
    "linger below zero": (
        GOOD + "[gateway]\nlinger = -1\n",
        "g.toml:8: gateway.linger = -1: expected at least 0",
    ),
    "metrics at no address": (
        GOOD + "[gateway]\nmetrics = '9100'\n",
        ('g.toml:8: gateway.metrics = "9100": expected HOST:PORT, such as 127.0.0.1:9100'),
    ),
    "a monitor of another type": (
        GOOD + "[gateway]\nmonitor = { type = 'PUSH', bind = 'tcp://*:1' }\n",
        'g.toml:8: gateway.monitor.type = "PUSH": a monitor has one of XPUB, PUB',
    ),
    "a variable that is not set": (
        GOOD.replace("localhost", "${host}"),
        (
            "g.toml:2: broker.url = \"amqp://${host}\": the variable 'host' is not set: "
            "give it a value in [variables], in an included address map, or when "
            "starting; there are none"
        ),
    ),
    # Dead letters and policy
    "dead letters to nowhere": (
        GOOD + "dead_letters = {}\n",
        ("g.toml:7: routes.r.dead_letters: expected one of exchange, queue, address and socket"),
    ),
    "dead letters to two places": (
        GOOD + "dead_letters = { exchange = 'e', socket = 'tcp://*:1' }\n",
        (
            "g.toml:7: routes.r.dead_letters: expected one of exchange, queue, address "
            "and socket, not exchange and socket"
        ),
    ),
    "dead letters by a socket that cannot": (
        GOOD + "dead_letters.socket = { type = 'PULL', bind = 'tcp://*:1' }\n",
        (
            'g.toml:7: routes.r.dead_letters.socket.type = "PULL": dead letters have one '
            "of PUSH, PUB"
        ),
    ),
    "dead letters to an exchange over 1.0": (
        BROKER_10 + OUT + "address = 'a'\ndead_letters.exchange = 'e'\n",
        (
            'g.toml:8: routes.r.dead_letters.exchange = "e": it is of AMQP 0-9-1, and the'
            " broker's protocol is another: name an address"
        ),
    ),
    "dead letters to a node over 0-9-1": (
        GOOD + "dead_letters.address = 'e'\n",
        (
            'g.toml:7: routes.r.dead_letters.address = "e": it is of AMQP 1.0, and the '
            "broker's protocol is another: name an exchange or a queue"
        ),
    ),
    "dead letters by the default exchange": (
        GOOD + "dead_letters.exchange = ''\n",
        (
            'g.toml:7: routes.r.dead_letters.exchange = "": the default exchange needs a '
            "queue's name as routing_key: give queue instead"
        ),
    ),
    "dead letters with a key to nothing": (
        GOOD + "dead_letters = { queue = 'd', routing_key = 'k' }\n",
        ('g.toml:7: routes.r.dead_letters.routing_key = "k": it counts for an exchange alone'),
    ),
    "unknown key of the policy": (
        GOOD + "policy.exchange = 'e'\n",
        ("g.toml:7: routes.r.policy.exchange = \"e\": unknown key; did you mean 'exchanges'?"),
    ),
    "policy against the own queue": (
        GOOD + "policy.queues = 'p*'\n",
        ("g.toml:6: routes.r.queue = \"q\": the policy does not allow the queue 'q', but 'p*'"),
    ),
    "policy against the own exchange": (
        BROKER + OUT + "exchange = 'e'\npolicy.exchanges = ['a', 'b']\n",
        (
            'g.toml:6: routes.r.exchange = "e": the policy does not allow the exchange '
            "'e', but 'a', 'b'"
        ),
    ),
    "policy against the own key": (
        BROKER + OUT + "exchange = 'e'\nrouting_key = 'k'\npolicy.topics = 'a.*'\n",
        (
            'g.toml:7: routes.r.routing_key = "k": the policy does not allow the topic '
            "'k', but 'a.*'"
        ),
    ),
    "policy against a binding's key": (
        BROKER + IN + "exchange = 'e'\nrouting_key = '#'\npolicy.topics = 'a.*'\n",
        (
            'g.toml:7: routes.r.routing_key = "#": the policy does not allow the topic '
            "'#', but 'a.*'"
        ),
    ),
    "policy against the own address": (
        BROKER_10 + OUT + "address = 'a'\npolicy.addresses = []\n",
        ("g.toml:7: routes.r.address = \"a\": the policy does not allow the address 'a', but none"),
    ),
    "policy against a called queue": (
        BROKER + CALL + "queue = 'q'\npolicy.queues = 'p'\n",
        ("g.toml:6: routes.r.queue = \"q\": the policy does not allow the queue 'q', but 'p'"),
    ),
    "a rate of zero": (
        GOOD + "policy.rate = 0\n",
        "g.toml:7: routes.r.policy.rate = 0: expected more than 0",
    ),
    "messages of no size": (
        GOOD + "policy.max_message_size = 0\n",
        "g.toml:7: routes.r.policy.max_message_size = 0: expected at least 1",
    ),
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(text: str, line: str) -> None:
    assert told(text) == line


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("broker", "sasl_password"),
        ("broker", "api_Token"),
        ("broker", "credentials"),
        ("gateway", "passphrase"),
        ("routes.r.properties", "secret"),
    ],
)
def test_what_may_be_a_secret_is_not_shown(table: str, key: str) -> None:
    """Messages end in logs; the value of a key that is not known may be anything."""
    text = GOOD + "[gateway]\n[routes.r.properties]\n"
    wrong = text.replace(f"[{table}]\n", f"[{table}]\n{key} = '${{env:PASSWORD}}'\n")
    assert f"{table}.{key} = (not shown): unknown key" in told(wrong)
    assert "geheim" not in told(wrong)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "tables and lists are nested more than 32 deep"),
        ("a" + ".a" * 5000 + " = 1", "tables and lists are nested more than 32 deep"),
        ("x = " + "9" * 5000, "this is no TOML: Exceeds the limit"),
    ],
    ids=["lists", "tables", "digits"],
)
def test_what_no_parser_likes(text: str, says: str) -> None:
    assert told(text).startswith(f"g.toml: {says}")


def test_a_variable_that_no_parser_likes() -> None:
    socket = "{ bind = 'tcp://*:1', options = { rcvhwm = '${env:IT}' } }"
    text = GOOD.replace('"tcp://127.0.0.1:5555"', socket)
    with pytest.raises(ConfigurationError) as caught:
        loads(text, environ={"IT": "[" * 5000})
    assert caught.value.key == "routes.r.socket.options.rcvhwm"


@pytest.mark.parametrize("as_member", [False, True], ids=["include", "config"])
def test_a_name_that_no_file_can_have(as_member: bool, tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    key = "config" if as_member else "include"
    line = f'{key} = "a\\u0000b"\n'
    path.write_text("[gateways.g]\n" + line if as_member else line + GOOD, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot read it: embedded null"):
        topology.load(path) if as_member else load(path)


def test_a_mark_at_the_beginning_is_no_mistake(tmp_path: Path) -> None:
    """Some editors begin a file of UTF-8 with a byte order mark."""
    (tmp_path / "map.toml").write_text("[variables]\na = 1\n", encoding="utf-8-sig")
    path = tmp_path / "g.toml"
    path.write_text("include = 'map.toml'\n" + GOOD, encoding="utf-8-sig")
    assert load(path).spec.name == "g"


@pytest.mark.parametrize(
    "text",
    [
        GOOD + f"[gateway]\nname = '{'x' * 256}'\n",
        GOOD.replace("routes.r", f"routes.{'x' * 256}"),
    ],
    ids=["gateway", "route"],
)
def test_names_that_are_too_long_for_topics(text: str) -> None:
    """A monitor could not tell of them."""
    assert "255 at most" in told(text)
