"""What a gateway file means."""

from __future__ import annotations

import math
import ssl
from pathlib import Path
from textwrap import dedent

import pytest

from hypersocket.amqp import Binding, Exchange, Queue
from hypersocket.devices import ConfigurationError
from hypersocket.devices.amqp_gateway import (
    DeadLetters,
    GatewayConfig,
    Policy,
    RouteSocket,
    RouteSpec,
    load,
    loads,
)

SECRET = "geheim"


def config(text: str, **environ: str) -> GatewayConfig:
    return loads(dedent(text), environ=environ)


def route(text: str, broker: str = 'url = "amqp://localhost"') -> RouteSpec:
    return config(f"[broker]\n{broker}\n[routes.r]\n{dedent(text)}").spec.routes[0]


EVERYTHING = """
    [variables]
    host = "127.0.0.1"
    hwm = 7

    [gateway]
    name = "oslo.1"
    linger = 3
    monitor = "tcp://${host}:5599"
    monitor_interval = 0.5
    metrics = "${host}:9100"

    [broker]
    url = ["amqp://anna@${host}/shop%2F1", "amqp://berit:g%40n@${host}:1234"]
    password = { env = "PASSWORD" }
    heartbeat = 5
    connect_timeout = 3
    reconnect_ivl = 0.5
    reconnect_ivl_max = 5

    [[broker.exchanges]]
    name = "events"

    [[broker.exchanges]]
    name = "log"
    type = "fanout"
    durable = false
    arguments.alternate-exchange = "rest"

    [[broker.queues]]
    name = "jobs"
    arguments = { x-queue-type = "quorum", x-max-length = 1000 }

    [[broker.bindings]]
    exchange = "events"
    queue = "jobs"
    routing_key = "jobs.#"

    [routes.orders]
    kind = "out"
    socket = { bind = "tcp://${host}:5555", options = { rcvhwm = "${hwm}" } }
    exchange = "events"
    routing_key = "orders.{frame[0]}"
    mode = "on-publish"
    prefetch = 50
    mandatory = false
    durable = false
    properties = { content_type = "text/plain", headers = { source = "shop" } }
    metadata = "json"
    retries = 3
    max_hops = 2
    hop_header = false
    dead_letters = { exchange = "log", routing_key = "dead" }
    policy = { exchanges = ["events", "log*"], topics = "orders.*", rate = 1000 }

    [routes.work]
    kind = "in"
    ack = "reply"
    socket = "tcp://${host}:5556"
    queue = "jobs"
    arguments.x-priority = 5
    max_deliveries = 5
    timeout = inf
    dead_letters.socket.connect = "tcp://${host}:5557"
"""


def test_everything() -> None:
    found = config(EVERYTHING, PASSWORD=SECRET)
    assert found.monitor == RouteSocket(
        type="XPUB", bind=("tcp://127.0.0.1:5599",), options={"xpub_verbose": True}
    )
    assert (found.monitor_interval, found.metrics) == (0.5, "127.0.0.1:9100")
    assert (found.spec.name, found.spec.linger) == ("oslo.1", 3.0)
    broker = found.spec.broker
    assert (broker.reconnect_ivl, broker.reconnect_ivl_max) == (0.5, 5.0)
    first, second = broker.addresses
    assert (first.host, first.port, first.vhost) == ("127.0.0.1", 5672, "shop/1")
    assert (first.username, first.password, first.sasl) == ("anna", SECRET, "PLAIN")
    assert (first.heartbeat, first.connect_timeout, first.tls) == (5.0, 3.0, None)
    assert (second.port, second.vhost) == (1234, "/")
    assert (second.username, second.password) == ("berit", "g@n")
    assert broker.declare == (
        Exchange(name="events"),
        Exchange(
            name="log", type="fanout", durable=False, arguments={"alternate-exchange": "rest"}
        ),
        Queue(name="jobs", arguments={"x-queue-type": "quorum", "x-max-length": 1000}),
        Binding(exchange="events", queue="jobs", routing_key="jobs.#"),
    )
    orders, work = found.spec.routes
    assert orders == RouteSpec(
        name="orders",
        kind="out",
        socket=RouteSocket(type="PULL", bind=("tcp://127.0.0.1:5555",), options={"rcvhwm": 7}),
        exchange="events",
        routing_key="orders.{frame[0]}",
        mode="on-publish",
        prefetch=50,
        mandatory=False,
        durable=False,
        properties={"content_type": "text/plain", "headers": {"source": "shop"}},
        metadata="json",
        retries=3,
        max_hops=2,
        hop_header=False,
        dead_letters=DeadLetters(exchange="log", routing_key="dead"),
        policy=Policy(exchanges=("events", "log*"), topics=("orders.*",), rate=1000.0),
    )
    assert work == RouteSpec(
        name="work",
        kind="in",
        ack="reply",
        socket=RouteSocket(type="DEALER", bind=("tcp://127.0.0.1:5556",)),
        queue="jobs",
        arguments={"x-priority": 5},
        max_deliveries=5,
        timeout=None,
        dead_letters=DeadLetters(
            socket=RouteSocket(type="PUSH", connect=("tcp://127.0.0.1:5557",))
        ),
    )
    assert list(found.sockets()) == ["orders", "work", "work.dead-letters", "monitor"]
    assert not found.warnings


def test_what_is_not_said_is_as_in_the_specification() -> None:
    found = route('kind = "out"\nsocket = "tcp://127.0.0.1:*"\nqueue = "q"')
    socket = RouteSocket(type="PULL", bind=("tcp://127.0.0.1:*",))
    assert found == RouteSpec(name="r", kind="out", socket=socket, queue="q")


@pytest.mark.parametrize(
    ("kind", "target", "socket_type"),
    [
        ("out", 'queue = "q"', "PULL"),
        ("in", 'queue = "q"', "PUSH"),
        ("topics", 'exchange = "e"', "XPUB"),
        ("call", 'queue = "q"', "ROUTER"),
        ("serve", 'queue = "q"', "DEALER"),
    ],
)
def test_each_kind_has_its_socket(kind: str, target: str, socket_type: str) -> None:
    found = route(f'kind = "{kind}"\nsocket = "tcp://127.0.0.1:*"\n{target}')
    assert found.socket.type == socket_type


def test_a_called_queue_is_called_by_the_default_exchange() -> None:
    found = route('kind = "call"\nsocket = "tcp://127.0.0.1:*"\nqueue = "rpc"')
    assert (found.exchange, found.routing_key, found.queue) == ("", "rpc", "")


def test_dead_letters_for_a_queue_go_by_the_default_exchange() -> None:
    found = route(
        'kind = "out"\nsocket = "tcp://127.0.0.1:*"\nqueue = "q"\ndead_letters.queue = "dead"'
    )
    assert found.dead_letters == DeadLetters(exchange="", routing_key="dead")


def test_1_0_has_other_defaults() -> None:
    text = """
        [broker]
        url = "amqp://localhost/vhost:shop"
        protocol = "1.0"
        [routes.r]
        kind = "in"
        socket = "tcp://127.0.0.1:*"
        address = "/queue/q"
    """
    (address,) = config(text).spec.broker.addresses
    assert (address.vhost, address.sasl, address.username) == ("vhost:shop", "ANONYMOUS", "")
    (address,) = config(text.replace("/vhost:shop", "")).spec.broker.addresses
    assert address.vhost is None


def test_who_says_nothing_is_guest() -> None:
    text = '[broker]\nurl = "amqp://localhost"\n[routes.r]\nkind = "out"\nqueue = "q"\n'
    (address,) = config(text + 'socket = "tcp://127.0.0.1:*"').spec.broker.addresses
    assert (address.username, address.password, address.vhost) == ("guest", "guest", "/")


OUT = '[routes.r]\nkind = "out"\nsocket = "tcp://127.0.0.1:*"\nqueue = "q"\n'


def test_a_password_from_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n", encoding="utf-8")
    path = tmp_path / "bridge.toml"
    broker = '[broker]\nurl = "amqp://anna@localhost"\npassword.file = "password"\n'
    path.write_text(broker + OUT, encoding="utf-8")
    found = load(path)
    assert found.spec.name == "bridge"
    assert found.spec.broker.addresses[0].password == SECRET


def test_passwords_are_nowhere_to_be_seen() -> None:
    text = EVERYTHING.replace("berit:g%40n", f"berit:{SECRET}")
    found = config(text, PASSWORD=SECRET)
    assert SECRET not in repr(found)
    wrong = dedent(text).replace("heartbeat", "hartbeat").replace("//berit", "//be[rit")
    for more in ("", f'[variables.x]\npassword = "{SECRET}"\n'):
        with pytest.raises(ConfigurationError) as caught:
            loads(wrong + more, environ={"PASSWORD": SECRET})
        assert SECRET not in str(caught.value) + repr(caught.value.problems)
    with pytest.raises(ConfigurationError) as caught:
        loads(dedent(text), environ={"PASSWORD": "x"}, variables={"pin": SECRET})
    assert SECRET not in str(caught.value) + repr(caught.value.problems)


def test_what_is_unwise_is_a_warning() -> None:
    text = '[broker]\nurl = "amqps://anna:x@rabbit.example"\ntls.verify = false\n' + OUT
    found = config(text)
    (warning,) = found.warnings
    assert str(warning) == (
        "gateway.toml:3: broker.tls.verify = false: warning: whoever is on the way can pretend to"
        " be the broker, and read the password"
    )
    context = found.spec.broker.addresses[0].tls
    assert context is not None
    assert context.verify_mode == ssl.CERT_NONE
    (warning,) = config(text.replace("amqps", "amqp").replace("tls.verify = false", "")).warnings
    assert "amqp://anna:***@rabbit.example" in str(warning)
    assert "for all to read" in str(warning)


def test_tls_verifies_by_default() -> None:
    found = config('[broker]\nurl = "amqps://anna:x@rabbit.example"\n' + OUT)
    (address,) = found.spec.broker.addresses
    assert address.port == 5671
    assert address.tls is not None
    assert address.tls.verify_mode == ssl.CERT_REQUIRED
    assert address.tls.check_hostname
    assert not found.warnings


def test_two_readings_run_alike_unless_something_has_changed(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("a", encoding="utf-8")
    path = tmp_path / "g.toml"
    path.write_text(
        '[broker]\nurl = "amqps://anna@localhost"\npassword.file = "password"\n' + OUT,
        encoding="utf-8",
    )
    first = load(path)
    assert load(path).identity == first.identity
    secret.write_text("b", encoding="utf-8")
    assert load(path).identity != first.identity


def test_the_environment_may_change_a_password(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text(
        '[broker]\nurl = "amqp://anna@localhost"\npassword.env = "P"\n' + OUT, encoding="utf-8"
    )
    assert load(path, environ={"P": "a"}).identity != load(path, environ={"P": "b"}).identity


def test_a_timeout_of_inf_is_none() -> None:
    text = 'kind = "call"\nsocket = "tcp://127.0.0.1:*"\nqueue = "q"\n'
    assert route(text).timeout == 30.0
    assert route(text + "timeout = inf").timeout is None
    assert not math.isinf(route(text + "timeout = 1").timeout or 0)
