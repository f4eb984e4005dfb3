"""What a topology file means."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import trio

import hypersocket as hs
from hypersocket.devices import topology
from hypersocket.devices._files._lines import line_of, lines_of
from hypersocket.devices.topology import Topology, TopologyError
from hypersocket.devices.topology._order import stop_order

PATIENCE = 20.0


def loads(text: str, **how: object) -> Topology:
    return topology.loads(dedent(text), **{"environ": {}, **how})  # type: ignore[arg-type]


EVERYTHING = """
    title = "All there is"

    [variables]
    host = "10.0.0.1"
    port = 5555
    front = "tcp://${host}:${port}"
    hwm = 7

    [devices.orders]
    kind = "queue"
    balance = "least-outstanding"
    label = "${host} costs $$5"
    part = "oslo"
    host = "orders.example"
    restart = "never"
    frontend = { bind = ["${front}", "ipc:///run/orders"], options = { rcvhwm = "${hwm}" } }
    capture = "inproc://capture"
    control = ["inproc://control", "tcp://*:5556"]
    monitor = { type = "PUB", bind = "tcp://*:5557", options = { sndhwm = 3 } }
    metrics = "127.0.0.1:9100"

    [devices.orders.backend]
    bind = "tcp://*:5558"
    connect = "far"
    options.linger = inf
    options.tcp_keepalive = true

    [devices.copy]
    kind = "proxy"
    frontend = { type = "SUB", connect = "orders.capture", subscribe = ["a", "b"] }
    backend = { type = "PUSH", bind = "inproc://copy" }

    [sockets.client]
    type = "REQ"
    connect = ["orders.frontend", "orders.control"]
    options = { routing_id = "anna", heartbeat_ivl = 0.5 }
    count = 3
    program = "till"

    [sockets.far]
    type = "REP"
    bind = "tcp://1.2.3.4:1"
"""


def test_everything() -> None:
    loaded = loads(EVERYTHING)
    assert loaded.title == "All there is"
    assert list(loaded.devices) == ["orders", "copy"]
    assert loaded.parts == ("oslo",)
    orders, copy = loaded.devices.values()
    assert (orders.kind, orders.balance, orders.restart) == ("queue", "least-outstanding", "never")
    assert orders.label == "10.0.0.1 costs $5"
    assert orders.metrics == "127.0.0.1:9100"
    assert orders.frontend.type == "ROUTER"
    assert orders.frontend.bind == ("tcp://10.0.0.1:5555", "ipc:///run/orders")
    assert orders.frontend.options == {"rcvhwm": 7}
    assert orders.backend.type == "DEALER"
    assert orders.backend.connect == ("tcp://1.2.3.4:1",)
    assert orders.backend.options == {"linger": math.inf, "tcp_keepalive": True}
    assert orders.capture is not None
    assert (orders.capture.type, orders.capture.bind) == ("PUB", ("inproc://capture",))
    assert orders.control is not None
    assert orders.control.type == "REP"
    assert orders.control.bind == ("inproc://control", "tcp://*:5556")
    assert orders.monitor is not None
    assert (orders.monitor.type, orders.monitor.options) == ("PUB", {"sndhwm": 3})
    assert copy.frontend.connect == ("inproc://capture",)
    assert copy.frontend.options == {"subscribe": ("a", "b")}
    client = loaded.sockets["client"]
    # Reached by the host, not by what it is bound to; inproc by its name.
    assert client.socket.connect == ("tcp://orders.example:5555", "inproc://control")
    assert client.socket.options == {"routing_id": b"anna", "heartbeat_ivl": 0.5}
    assert (client.count, client.program) == (3, "till")


def test_a_socket_of_the_file() -> None:
    socket = loads(EVERYTHING).socket("client", linger=1)
    assert isinstance(socket, hs.Req)
    assert (socket.routing_id, socket.heartbeat_ivl, socket.linger) == (b"anna", 0.5, 1)


def test_a_queue_that_counts_has_a_backend_that_can() -> None:
    backend = loads(EVERYTHING).devices["orders"].backend.make(at_endpoints=False)
    assert isinstance(backend, hs.devices.AddressedDealer)


def test_who_is_connected_to_whom() -> None:
    links = [(one.connecting, one.binding) for one in topology.links_of(loads(EVERYTHING))]
    assert links == [
        (("orders", "backend"), ("far", "")),
        (("copy", "frontend"), ("orders", "capture")),
        (("client", ""), ("orders", "frontend")),
        (("client", ""), ("orders", "control")),
    ]


def test_an_address_that_is_written_out_is_a_link_too() -> None:
    text = """
        [devices.d]
        kind = "streamer"
        frontend.bind = "tcp://*:5555"
        backend.connect = "tcp://elsewhere:1"
        [sockets.s]
        type = "PUSH"
        connect = "tcp://machine:5555"
    """
    links = [(one.connecting, one.binding) for one in topology.links_of(loads(text))]
    assert links == [(("d", "backend"), None), (("s", ""), ("d", "frontend"))]


# Variables

STREAMER = """\
[devices.d]
kind = "streamer"
frontend = { bind = "inproc://f", options = { rcvhwm = "${hwm}", linger = "${env:LINGER:-3}" } }
backend.bind = "inproc://b"
label = "${name} ${env:CITY:-nowhere} ${flag}"
"""
DEFAULTS = "[variables]\nhwm = 7\nname = 'a'\nflag = true\n"


@pytest.mark.parametrize(
    ("variables", "environ", "hwm", "linger", "label"),
    [
        ({}, {}, 7, 3, "a nowhere true"),
        ({"hwm": "8", "name": "b"}, {"CITY": "Oslo"}, 8, 3, "b Oslo true"),
        (
            {"name": "x ${hwm}"},
            {"LINGER": "inf", "CITY": "${name}"},
            7,
            math.inf,
            "x 7 ${name} true",
        ),
        ({"name": "$$"}, {"LINGER": "0.5", "CITY": ""}, 7, 0.5, "$  true"),
    ],
)
def test_variables(
    variables: dict[str, str], environ: dict[str, str], hwm: int, linger: float, label: str
) -> None:
    device = loads(DEFAULTS + STREAMER, variables=variables, environ=environ).devices["d"]
    assert device.frontend.options == {"rcvhwm": hwm, "linger": linger}
    assert device.label == label


def test_a_number_as_text_is_none_where_it_was_written_so() -> None:
    with pytest.raises(TopologyError, match="expected a whole number"):
        loads(DEFAULTS + STREAMER.replace('"${hwm}"', '"7"'))


def test_text_of_a_variable_that_is_no_number() -> None:
    with pytest.raises(TopologyError, match=r'rcvhwm = "lots": expected a whole number'):
        loads(DEFAULTS + STREAMER, variables={"hwm": "lots"})
    with pytest.raises(TopologyError, match=r'rcvhwm = "-1": expected at least 0'):
        loads(DEFAULTS + STREAMER, variables={"hwm": "-1"})


def test_address_maps_go_before_the_file_and_the_caller_before_them(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("[variables]\nhwm = 1\nname = 'one'\nunused = 1\n")
    (tmp_path / "two.toml").write_text("[variables]\nname = 'two'\n")
    path = tmp_path / "t.toml"
    path.write_text("include = ['${env:FIRST}.toml', 'two.toml']\n" + DEFAULTS + STREAMER)
    device = topology.load(path, environ={"FIRST": "one"}).devices["d"]
    assert (device.frontend.options["rcvhwm"], device.label) == (1, "two nowhere true")
    device = topology.load(path, environ={"FIRST": "one"}, variables={"hwm": "2"}).devices["d"]
    assert device.frontend.options["rcvhwm"] == 2


def test_the_variables_that_were_used() -> None:
    loaded = loads(DEFAULTS + "spare = 1\n" + STREAMER)
    assert loaded.variables == {"hwm": 7, "name": "a", "flag": True}


# Lines


def test_lines_of_keys() -> None:
    text = dedent('''\
        title = "a [devices.no] = {"   # [x]
        include = [
            "a",   # "]"
            "b]",
        ]

        [devices.a]
        kind = """
        x = 1
        """
        frontend.options.hwm = 1
        "quoted key" = 2
          [ devices . "b c" ]   # spaced
        backend = { bind = "x", options = { hwm = 2 } }
        [[array]]
        y = 1
    ''')
    lines = lines_of(text)
    assert lines["title",] == 1
    assert lines["include",] == 2
    assert lines["devices",] == 7
    assert lines["devices", "a", "kind"] == 8
    assert ("devices", "a", "x") not in lines
    assert lines["devices", "a", "frontend", "options"] == 11
    assert lines["devices", "a", "quoted key"] == 12
    assert lines["devices", "b c"] == 13
    assert lines["devices", "b c", "backend", "bind"] == 14
    assert line_of(lines, ("devices", "b c", "backend", "options", "hwm")) == 14
    assert line_of(lines, ("devices", "a", "frontend", "nowhere", 3)) == 11
    assert line_of(lines, ("nowhere",)) is None


# The order of stopping


def test_those_that_send_stop_first() -> None:
    text = """
        [devices.c]
        kind = "streamer"
        frontend.bind = "inproc://c"
        backend.bind = "inproc://out"
        [devices.b]
        kind = "streamer"
        frontend.bind = "inproc://b"
        backend.connect = "c.frontend"
        [devices.a]
        kind = "streamer"
        frontend.bind = "inproc://a"
        backend.connect = ["b.frontend", "c.frontend"]
        [devices.alone]
        kind = "streamer"
        frontend.bind = "inproc://x"
        backend.bind = "inproc://y"
    """
    loaded = loads(text)
    assert stop_order(loaded, loaded.devices) == [["a", "alone"], ["b"], ["c"]]
    assert stop_order(loaded, ["c", "a"]) == [["a"], ["c"]]
    circle = loads(
        text.replace("inproc://out", "inproc://out2").replace(
            'backend.bind = "inproc://out2"', 'backend.connect = "b.frontend"'
        )
    )
    assert stop_order(circle, circle.devices) == [["a", "alone"], ["b", "c"]]


# A configuration service


async def test_a_topology_of_a_configuration_service() -> None:
    endpoint = "inproc://configuration"
    asked: list[bytes] = []

    async def serve(rep: hs.Rep) -> None:
        async for name in rep:
            asked.append(name)
            await rep.send_multipart([b"ok", STREAMER.encode(), DEFAULTS.encode()])

    with trio.fail_after(PATIENCE):
        async with hs.Rep(bind=endpoint) as rep, trio.open_nursery() as nursery:
            nursery.start_soon(serve, rep)
            loaded = await topology.load_from(endpoint, "shop", environ={})
            nursery.cancel_scope.cancel()
    assert asked == [b"shop"]
    assert loaded.devices["d"].frontend.options["rcvhwm"] == 7
    assert loaded.file == "inproc://configuration shop"
    assert loaded.source is not None
    assert loaded.source.name == "shop"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([b"error", b"there is none"], "the configuration service says: there is none"),
        ([b"ok"], "expected an answer of 'ok' and a topology, not b'ok'"),
        ([b"what?"], "expected an answer of 'ok' and a topology, not b'what?'"),
        ([b"ok", b"\xff"], "the answer is not UTF-8 text"),
        ([b"ok", b"devises = 1"], "devises = 1: unknown key"),
        (None, "no configuration service answered within 5 s"),
    ],
)
async def test_what_a_configuration_service_may_do_wrong(
    answer: list[bytes] | None, text: str, autojump_clock: trio.testing.MockClock
) -> None:
    endpoint = "inproc://configuration"

    async def serve(rep: hs.Rep) -> None:
        if answer is not None:
            await rep.recv()
            await rep.send_multipart(answer)

    async with hs.Rep(bind=endpoint) as rep, trio.open_nursery() as nursery:
        nursery.start_soon(serve, rep)
        with pytest.raises(TopologyError) as caught:
            await topology.load_from(endpoint, timeout=5)
        nursery.cancel_scope.cancel()
    assert text in str(caught.value)
    assert str(caught.value).startswith("inproc://configuration:")


# Without the extra

ALONE = """
import sys
sys.modules["pydantic"] = None
from hypersocket.devices import topology
try:
    topology.loads("")
except ImportError as error:
    print(error)
"""


def test_without_pydantic_the_extra_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(hs.__file__).parents[1],
    )
    assert done.stdout == ("topology files need pydantic: pip install 'hypersocket[topology]'\n")
