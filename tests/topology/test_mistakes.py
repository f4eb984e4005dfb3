"""Every kind of wrong topology file, and the line that tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypersocket.devices import topology
from hypersocket.devices.topology import Problem, TopologyError

QUEUE = """\
[devices.q]
kind = "queue"
frontend.bind = "tcp://127.0.0.1:5555"
backend.bind = "tcp://127.0.0.1:5556"
"""

REQ = """\
[sockets.c]
type = "REQ"
connect = "q.frontend"
"""

GATEWAY = """\
[gateways.g]
[gateways.g.broker]
url = 'amqp://h'
[gateways.g.routes.r]
kind = 'out'
socket.connect = 'q.backend'
queue = 'q'
"""

MISTAKES = {
    # The file as a whole
    "no TOML": (
        "[devices.q\n",
        (
            "t.toml: this is no TOML: Expected ']' at the end of a table declaration (at line 1,"
            " column 11)"
        ),
    ),
    "a device twice": (
        QUEUE + QUEUE,
        "t.toml: this is no TOML: Cannot declare ('devices', 'q') twice (at line 5, column 11)",
    ),
    "a key twice": (
        "title = 'a'\ntitle = 'b'\n",
        "t.toml: this is no TOML: Cannot overwrite a value (at line 2, column 12)",
    ),
    "a gateway without a broker": (
        QUEUE + "[gateways.g.routes.r]\nkind = 'out'\nqueue = 'q'\nsocket = 'tcp://*:1'\n",
        "t.toml:5: gateways.g.broker: this is missing: expected a table",
    ),
    "a gateway with a file that is not there": (
        QUEUE + "[gateways.g]\nconfig = 'no/such.toml'\n",
        "no/such.toml: cannot read it: No such file or directory",
    ),
    "a reference to a gateway whose file is not there": (
        QUEUE + "[gateways.g]\nconfig = 'no/such.toml'\n" + REQ.replace("q.frontend", "g.r"),
        "no/such.toml: cannot read it: No such file or directory",
    ),
    "a reference to a gateway's route that is wrong": (
        QUEUE
        + GATEWAY.replace("socket.connect = 'q.backend'", "socket = 3")
        + REQ.replace("q.frontend", "g.r"),
        ("t.toml:10: gateways.g.routes.r.socket = 3: expected text in quotes, or a list of such"),
    ),
    "a gateway with a file and tables": (
        QUEUE + "[gateways.g]\nconfig = 'no/such.toml'\nlinger = 3\n",
        (
            "t.toml:7: gateways.g.linger = 3.0: it stands in no/such.toml: a gateway has a file, or"
            " tables here"
        ),
    ),
    "a gateway with a device's name": (
        QUEUE + GATEWAY.replace("gateways.g", "gateways.q").replace("q.backend", "tcp://h:1"),
        "t.toml:5: gateways.q: a device has the name 'q' already: names are for all to refer to",
    ),
    "a gateway's password that is wrong": (
        QUEUE
        + GATEWAY.replace("q.backend", "tcp://h:1").replace(
            "'amqp://h'", "'amqp://h'\npasword = 'geheim'"
        ),
        "t.toml:8: gateways.g.broker.pasword = (not shown): unknown key; did you mean 'password'?",
    ),
    "a gateway's route that cannot talk to a device": (
        QUEUE + GATEWAY,
        (
            't.toml:10: gateways.g.routes.r.socket.connect = "tcp://127.0.0.1:5556": q.backend is'
            " there, a DEALER, and a PULL cannot talk to it, but only to PUSH"
        ),
    ),
    "a reference to a gateway and not to a route": (
        QUEUE + GATEWAY.replace("'q.backend'", "'tcp://h:1'") + REQ.replace("q.frontend", "g"),
        ("t.toml:14: sockets.c.connect = \"g\": 'g' is a gateway: say which of its routes, g.r"),
    ),
    "devices is no table": (
        "devices = 3\n",
        "t.toml:1: devices = 3: expected a table",
    ),
    "a device is no table": (
        "[devices]\nq = 'queue'\n",
        't.toml:2: devices.q = "queue": expected a table',
    ),
    # Keys
    "unknown key of the file": (
        "[device.q]\n",
        "t.toml:1: device = a table: unknown key; did you mean 'devices'?",
    ),
    "unknown key of a device": (
        QUEUE + "kapture = 'tcp://*:1'\n",
        "t.toml:5: devices.q.kapture = \"tcp://*:1\": unknown key; did you mean 'capture'?",
    ),
    "unknown key of a device's socket": (
        QUEUE + "frontend.binds = 'tcp://*:1'\n",
        "t.toml:5: devices.q.frontend.binds = \"tcp://*:1\": unknown key; did you mean 'bind'?",
    ),
    "unknown key of an attached socket": (
        QUEUE + "capture = { bind = 'tcp://*:1', hwm = 3 }\n",
        (
            "t.toml:5: devices.q.capture.hwm = 3: unknown key; there are type, bind, connect,"
            " subscribe,"
            " options"
        ),
    ),
    "unknown key of a socket": (
        QUEUE + REQ + "cuont = 3\n",
        "t.toml:8: sockets.c.cuont = 3: unknown key; did you mean 'count'?",
    ),
    "kind is missing": (
        QUEUE.replace('kind = "queue"\n', ""),
        (
            "t.toml:1: devices.q.kind: this is missing: expected 'queue', 'forwarder',"
            " 'streamer' or"
            " 'proxy'"
        ),
    ),
    "backend is missing": (
        QUEUE.replace('backend.bind = "tcp://127.0.0.1:5556"\n', ""),
        "t.toml:1: devices.q.backend: this is missing: expected a table",
    ),
    "type of a socket is missing": (
        "[sockets.c]\nbind = 'tcp://*:1'\n",
        't.toml:1: sockets.c.type: this is missing: expected a socket type, such as "REQ"',
    ),
    "a name that is none": (
        QUEUE.replace("devices.q", 'devices."a.b"'),
        (
            "t.toml:1: devices.a.b: 'a.b' is no name: expected letters, digits, '-' and '_', 255"
            " at most"
        ),
    ),
    # Values
    "unknown kind": (
        QUEUE.replace('"queue"', '"que"'),
        (
            "t.toml:2: devices.q.kind = \"que\": expected 'queue', 'forwarder', 'streamer' or"
            " 'proxy';"
            " did you mean 'queue'?"
        ),
    ),
    "unknown type": (
        QUEUE + REQ.replace('"REQ"', '"req"'),
        (
            "t.toml:6: sockets.c.type = \"req\": expected 'REQ', 'REP', 'DEALER', 'ROUTER', 'PUB',"
            " 'SUB', 'XPUB', 'XSUB', 'PUSH', 'PULL' or 'PAIR'; did you mean 'REQ'?"
        ),
    ),
    "unknown balance": (
        QUEUE + "balance = 'random'\n",
        "t.toml:5: devices.q.balance = \"random\": expected 'round-robin' or 'least-outstanding'",
    ),
    "balance of a streamer": (
        QUEUE.replace('"queue"', '"streamer"') + "balance = 'least-outstanding'\n",
        (
            't.toml:5: devices.q.balance = "least-outstanding": a streamer has nothing to'
            " balance: only"
            " a queue does"
        ),
    ),
    "unknown restart": (
        QUEUE + "restart = 'always'\n",
        "t.toml:5: devices.q.restart = \"always\": expected 'backoff' or 'never'",
    ),
    "a negative pause": (
        QUEUE + "restart_ivl = -1\n",
        "t.toml:5: devices.q.restart_ivl = -1: expected at least 0",
    ),
    "an infinite pause": (
        QUEUE + "restart_ivl = inf\n",
        "t.toml:5: devices.q.restart_ivl = inf: expected a finite number",
    ),
    "pauses that shrink": (
        QUEUE + "restart_ivl = 8\nrestart_ivl_max = 4\n",
        "t.toml:6: devices.q.restart_ivl_max = 4.0: expected at least restart_ivl, which is 8",
    ),
    "no interval": (
        QUEUE + "monitor_interval = 0\n",
        "t.toml:5: devices.q.monitor_interval = 0: expected more than 0",
    ),
    "text for a number": (
        QUEUE + "restart_ivl = 'soon'\n",
        't.toml:5: devices.q.restart_ivl = "soon": expected a number',
    ),
    "a number for text": (
        QUEUE + "label = 3\n",
        "t.toml:5: devices.q.label = 3: expected text in quotes",
    ),
    "a number for an endpoint": (
        QUEUE.replace('"tcp://127.0.0.1:5555"', "5555"),
        "t.toml:3: devices.q.frontend.bind = 5555: expected text in quotes, or a list of such",
    ),
    "a number among endpoints": (
        QUEUE.replace('"tcp://127.0.0.1:5555"', '["tcp://127.0.0.1:5555", 5]'),
        "t.toml:3: devices.q.frontend.bind[1] = 5: expected text in quotes",
    ),
    "a number for an attached socket": (
        QUEUE + "control = 3\n",
        "t.toml:5: devices.q.control = 3: expected text in quotes, or a list of such",
    ),
    "no such program": (
        QUEUE + REQ + "count = 0\n",
        "t.toml:8: sockets.c.count = 0: expected at least 1",
    ),
    "half a program": (
        QUEUE + REQ + "count = 1.5\n",
        "t.toml:8: sockets.c.count = 1.5: expected a whole number",
    ),
    "metrics without a port": (
        QUEUE + "metrics = 'localhost'\n",
        't.toml:5: devices.q.metrics = "localhost": expected HOST:PORT, such as 127.0.0.1:9100',
    ),
    "metrics at no port": (
        QUEUE + "metrics = 'localhost:99999'\n",
        (
            't.toml:5: devices.q.metrics = "localhost:99999": expected HOST:PORT, such as'
            " 127.0.0.1:9100"
        ),
    ),
    # Endpoints
    "an endpoint without a port": (
        QUEUE.replace(":5555", ""),
        (
            't.toml:3: devices.q.frontend.bind = "tcp://127.0.0.1": the port is missing: expected'
            " host:port"
        ),
    ),
    "an unknown transport": (
        QUEUE.replace("tcp://127.0.0.1:5555", "tpc://127.0.0.1:5555"),
        (
            't.toml:3: devices.q.frontend.bind = "tpc://127.0.0.1:5555": no transport serves'
            " 'tpc';"
            " there are inproc, ipc, tcp"
        ),
    ),
    "connect to any host": (
        QUEUE.replace("frontend.bind", "frontend.connect").replace("127.0.0.1:5555", "*:5555"),
        (
            "t.toml:3: devices.q.frontend.connect = \"tcp://*:5555\": cannot connect to '*': name a"
            " host, such as 127.0.0.1:5555"
        ),
    ),
    "the second endpoint": (
        QUEUE + "capture = ['tcp://127.0.0.1:1', 'tcp://127.0.0.1:x']\n",
        (
            "t.toml:5: devices.q.capture[1] = \"tcp://127.0.0.1:x\": the port 'x' is not a number:"
            " expected 1 to 65535"
        ),
    ),
    "no endpoints": (
        QUEUE.replace('"tcp://127.0.0.1:5555"', "[]"),
        (
            "t.toml:3: devices.q.frontend: it binds nothing and connects to nothing: give it"
            " bind or"
            " connect"
        ),
    ),
    "bound twice": (
        QUEUE.replace("5556", "5555"),
        (
            't.toml:4: devices.q.backend.bind = "tcp://127.0.0.1:5555": q.frontend is bound to this'
            " endpoint already"
        ),
    ),
    # References
    "a reference to nobody": (
        QUEUE + REQ.replace("q.frontend", "qq.frontend"),
        (
            't.toml:7: sockets.c.connect = "qq.frontend": this is neither an endpoint, such as'
            " tcp://127.0.0.1:5555, nor the name of a socket; did you mean 'q.frontend'?"
        ),
    ),
    "a reference to a device": (
        QUEUE + REQ.replace("q.frontend", "q"),
        (
            "t.toml:7: sockets.c.connect = \"q\": 'q' is a device: say which of its sockets,"
            " q.frontend or q.backend"
        ),
    ),
    "a reference to a socket that the device lacks": (
        QUEUE + REQ.replace("q.frontend", "q.control"),
        (
            "t.toml:7: sockets.c.connect = \"q.control\": 'q' is a device: say which of its"
            " sockets,"
            " q.frontend or q.backend"
        ),
    ),
    "a reference to what binds nothing": (
        QUEUE + REQ + "[sockets.d]\ntype = 'REP'\nconnect = 'c'\n",
        (
            't.toml:10: sockets.d.connect = "c": c binds nothing that one could connect to: name an'
            " endpoint"
        ),
    ),
    "a reference to a port that is not known": (
        QUEUE.replace("5555", "*") + REQ,
        (
            't.toml:7: sockets.c.connect = "q.frontend": q.frontend is bound to tcp://127.0.0.1:*,'
            " which does not say where it can be reached: give 'q' a host, and its endpoint a port"
        ),
    ),
    "a reference to a host that is not known": (
        QUEUE.replace("127.0.0.1", "*") + REQ,
        (
            't.toml:7: sockets.c.connect = "q.frontend": q.frontend is bound to tcp://*:5555, which'
            " does not say where it can be reached: give 'q' a host, and its endpoint a port"
        ),
    ),
    "types that cannot talk": (
        QUEUE + REQ.replace("REQ", "SUB"),
        (
            't.toml:7: sockets.c.connect = "tcp://127.0.0.1:5555": q.frontend is there, a'
            " ROUTER, and a"
            " SUB cannot talk to it, but only to PUB, XPUB"
        ),
    ),
    # Names
    "a name for two": (
        QUEUE + REQ.replace("sockets.c", "sockets.q"),
        "t.toml:5: sockets.q: a device has the name 'q' already: names are for all to refer to",
    ),
    "a part with the name of a device": (
        QUEUE + "part = 'q'\n",
        (
            't.toml:5: devices.q.part = "q": a device or socket has this name already, and'
            " --only takes"
            " both"
        ),
    ),
    "a program with the name of a device": (
        QUEUE + REQ + "program = 'q'\n",
        't.toml:8: sockets.c.program = "q": a device has this name already',
    ),
    # Socket types
    "a proxy without types": (
        QUEUE.replace('"queue"', '"proxy"') + "frontend.type = 'ROUTER'\n",
        (
            "t.toml:4: devices.q.backend.type: this is missing: a proxy takes any two types"
            " that fit,"
            " so name them"
        ),
    ),
    "a proxy whose types do not fit": (
        QUEUE.replace('"queue"', '"proxy"') + "frontend.type = 'PUSH'\nbackend.type = 'PUB'\n",
        (
            "t.toml:1: devices.q: a PUSH frontend with a PUB backend cannot work: both only"
            " send, so"
            " that neither receives; what fits a PUSH is PULL (or SUB, PAIR, DEALER, ROUTER);"
            " what fits"
            " a PUB is SUB (or PULL, PAIR, DEALER, ROUTER)"
        ),
    ),
    "a queue of other types": (
        QUEUE + "backend.type = 'PUSH'\n",
        (
            't.toml:5: devices.q.backend.type = "PUSH": a queue has a ROUTER frontend and a DEALER'
            " backend, not ROUTER and PUSH; proxy() takes any two types that fit"
        ),
    ),
    "a capture that receives": (
        QUEUE + "capture = { type = 'SUB', bind = 'tcp://*:1' }\n",
        (
            't.toml:5: devices.q.capture.type = "SUB": a capture socket is one of PUB, DEALER,'
            " PUSH,"
            " PAIR"
        ),
    ),
    "a control that cannot answer": (
        QUEUE + "control = { type = 'PULL', bind = 'tcp://*:1' }\n",
        't.toml:5: devices.q.control.type = "PULL": a control socket is one of REP, PAIR',
    ),
    "a monitor that cannot publish": (
        QUEUE + "monitor = { type = 'PUSH', bind = 'tcp://*:1' }\n",
        't.toml:5: devices.q.monitor.type = "PUSH": a monitor socket is one of XPUB, PUB',
    ),
    "a subscription of a REQ": (
        QUEUE + REQ + "subscribe = 'a'\n",
        "t.toml:8: sockets.c.subscribe: only a SUB has subscriptions of its own, and this is a REQ",
    ),
    # Options
    "an unknown option": (
        QUEUE + "frontend.options.sndhvm = 3\n",
        (
            "t.toml:5: devices.q.frontend.options.sndhvm = 3: Router has no option 'sndhvm';"
            " did you"
            " mean 'sndhwm'?"
        ),
    ),
    "an option of other types": (
        QUEUE + REQ + "options.conflate = true\n",
        (
            "t.toml:8: sockets.c.options.conflate = true: Req has no option 'conflate': other"
            " socket"
            " types do"
        ),
    ),
    "an option by pyzmq's other name": (
        QUEUE + "frontend.options.rcvtimeo = 3\n",
        (
            "t.toml:5: devices.q.frontend.options.rcvtimeo = 3: Router has no option"
            " 'rcvtimeo': limit"
            " the time with trio.move_on_after or trio.fail_after"
        ),
    ),
    "an option of the wrong type": (
        QUEUE + "frontend.options.sndhwm = 'many'\n",
        't.toml:5: devices.q.frontend.options.sndhwm = "many": expected a whole number',
    ),
    "an option out of range": (
        QUEUE + "frontend.options = { linger = -1 }\n",
        (
            "t.toml:5: devices.q.frontend.options.linger = -1: expected 0 or more seconds; math.inf"
            " stands for pyzmq's -1, no limit"
        ),
    ),
    "options are no table": (
        QUEUE + "frontend.options = 3\n",
        "t.toml:5: devices.q.frontend.options = 3: expected a table",
    ),
    # Variables
    "an unset variable": (
        "[variables]\nfront = 1\n" + QUEUE.replace("5555", "${fornt}"),
        (
            't.toml:5: devices.q.frontend.bind = "tcp://127.0.0.1:${fornt}": the variable'
            " 'fornt' is"
            " not set: give it a value in [variables], in an included address map, or when"
            " starting;"
            " did you mean 'front'?"
        ),
    ),
    "an unset variable of the environment": (
        QUEUE.replace("5555", "${env:PORT}"),
        (
            't.toml:3: devices.q.frontend.bind = "tcp://127.0.0.1:${env:PORT}": the'
            " environment variable"
            " PORT is not set: set it, or give a default by ${env:PORT:-default}"
        ),
    ),
    "variables in a circle": (
        "[variables]\na = '${b}'\nb = '${a}'\n" + QUEUE.replace("5555", "${a}"),
        (
            't.toml:6: devices.q.frontend.bind = "tcp://127.0.0.1:${a}": variables go round in'
            " a circle:"
            " a -> b -> a"
        ),
    ),
    "a dollar alone": (
        QUEUE + "label = '3 $'\n",
        (
            "t.toml:5: devices.q.label = \"3 $\": a '$' stands alone: write ${name} for a"
            " variable, or"
            " $$ for a '$'"
        ),
    ),
    "a variable without a name": (
        QUEUE + "label = '${}'\n",
        't.toml:5: devices.q.label = "${}": ${} is no variable: expected ${name} or ${env:NAME}',
    ),
    "a variable that is a list": (
        "[variables]\na = [1]\n" + QUEUE,
        "t.toml:2: variables.a = [1]: expected text, a number, true or false",
    ),
    "a variable that makes no endpoint": (
        "[variables]\nport = 'x'\n" + QUEUE.replace("5555", "${port}"),
        (
            "t.toml:5: devices.q.frontend.bind = \"tcp://127.0.0.1:x\": the port 'x' is not a"
            " number:"
            " expected 1 to 65535"
        ),
    ),
    # Address maps
    "an address map that is not there": (
        "include = 'map.toml'\n" + QUEUE,
        't.toml:1: include = "map.toml": cannot read it: No such file or directory',
    ),
    "an address map that is no text": (
        "include = 3\n" + QUEUE,
        "t.toml:1: include = 3: expected text in quotes, or a list of such",
    ),
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_mistake(text: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text(text, encoding="utf-8")
    with pytest.raises(TopologyError) as caught:
        topology.load("t.toml", environ={})
    assert str(caught.value) == line


def test_the_files_that_mistakes_are_made_in_are_right_without() -> None:
    assert topology.loads(QUEUE + REQ, environ={}).devices["q"].kind == "queue"


def test_a_mistake_has_its_parts() -> None:
    with pytest.raises(TopologyError) as caught:
        topology.loads(QUEUE.replace(":5555", ""), file="plant.toml")
    error = caught.value
    assert (error.file, error.key, error.value, error.line) == (
        "plant.toml",
        "devices.q.frontend.bind",
        "tcp://127.0.0.1",
        3,
    )
    assert isinstance(error, ValueError)


def test_all_mistakes_are_told_in_the_order_of_the_file() -> None:
    text = """\
titel = "plant"

[devices.a]
kind = "que"
frontend.bind = ["tcp://127.0.0.1:${port}", 7]
backend.bind = "tcp://127.0.0.1:7002"

[devices.b]
kind = "queue"
frontend.bind = "tcp://127.0.0.1:7001"
frontend.options = { sndhvm = 1, linger = -1 }
backend.connect = "a.backend"

[sockets.c]
type = "REQ"
connect = "bb.frontend"
"""
    with pytest.raises(TopologyError) as caught:
        topology.loads(text, environ={})
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (1, "titel"),
        (4, "devices.a.kind"),
        (5, "devices.a.frontend.bind[0]"),
        (5, "devices.a.frontend.bind[1]"),
        (11, "devices.b.frontend.options.sndhvm"),
        (11, "devices.b.frontend.options.linger"),
        (16, "sockets.c.connect"),
    ]
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(TopologyError) as caught:
        topology.load(path)
    assert str(caught.value) == f"{path}: cannot read it: No such file or directory"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_bytes(b"title = '\xff'")
    with pytest.raises(TopologyError) as caught:
        topology.load(path)
    assert str(caught.value) == f"{path}: cannot read it: it is not UTF-8 text"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title = " + "[" * 5000 + "]" * 5000, "tables and lists are nested more than 32 deep"),
        ("a" + ".a" * 5000 + " = 1", "tables and lists are nested more than 32 deep"),
        ("title = " + "9" * 5000, "this is no TOML: Exceeds the limit"),
    ],
    ids=["lists", "tables", "digits"],
)
def test_what_no_parser_likes(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TopologyError) as caught:
        topology.load(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('include = "a\\u0000b"\n' + QUEUE, encoding="utf-8")
    with pytest.raises(TopologyError) as caught:
        topology.load(path)
    assert caught.value.key == "include"
    assert "cannot read it: embedded null" in str(caught.value)


def test_a_mark_at_the_beginning_is_no_mistake(tmp_path: Path) -> None:
    """Some editors begin a file of UTF-8 with a byte order mark."""
    (tmp_path / "map.toml").write_text("[variables]\na = 1\n", encoding="utf-8-sig")
    path = tmp_path / "t.toml"
    path.write_text("include = 'map.toml'\n" + QUEUE, encoding="utf-8-sig")
    assert list(topology.load(path).devices) == ["q"]


def test_a_wrong_address_map_is_the_one_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text("[variables]\na = 1\n\n[devices.x]\n")
    path = tmp_path / "t.toml"
    path.write_text("include = 'map.toml'\n" + QUEUE)
    with pytest.raises(TopologyError) as caught:
        topology.load(path)
    assert str(caught.value) == (
        f"{tmp_path / 'map.toml'}:4: devices = a table: unknown key; there are variables"
    )


def test_a_variable_of_the_caller_that_is_not_used() -> None:
    with pytest.raises(TopologyError) as caught:
        topology.loads("[variables]\nport = 1\n" + QUEUE, variables={"prot": "2"})
    assert str(caught.value) == (
        "topology: variables.prot = \"2\": unknown variable; did you mean 'port'?"
    )


def test_include_has_no_meaning_without_a_file() -> None:
    with pytest.raises(TopologyError) as caught:
        topology.loads("include = 'map.toml'\n" + QUEUE)
    assert str(caught.value) == (
        'topology:1: include = "map.toml": no address map came along with this text, which is from'
        " no folder"
    )


def test_only_names_what_is_there() -> None:
    loaded = topology.loads(QUEUE + "part = 'oslo'\n" + REQ)
    assert list(loaded.select(["oslo"])) == ["q"]
    for name, text in {
        "olso": "no device, gateway or part has this name; did you mean 'oslo'?",
        "c": "this is a socket of another program: only devices and gateways are run",
    }.items():
        with pytest.raises(TopologyError) as caught:
            loaded.select([name])
        assert str(caught.value) == f'topology: only = "{name}": {text}'


def test_there_has_to_be_something_to_run() -> None:
    with pytest.raises(TopologyError) as caught:
        topology.loads("[sockets.c]\ntype = 'REQ'\nconnect = 'tcp://h:1'\n").select([])
    assert str(caught.value) == "topology: devices: there is no device or gateway to run"


def test_names_that_are_too_long_for_topics() -> None:
    """A monitor could not tell of them."""
    long = "x" * 256
    text = QUEUE + f"part = '{long}'\n" + QUEUE.replace(".q]", f".{long}]")
    with pytest.raises(TopologyError) as caught:
        topology.loads(text)
    assert [problem.key for problem in caught.value.problems] == [
        "devices.q.part",
        f"devices.{long}",
    ]
    assert all("255 at most" in problem.text for problem in caught.value.problems)


@pytest.mark.parametrize("key", ["password", "frontend.options.plain_password", "api_Token"])
def test_what_may_be_a_secret_is_not_shown(key: str) -> None:
    """Messages end in logs; the value of a key that is not known may be anything."""
    with pytest.raises(TopologyError) as caught:
        topology.loads(QUEUE + f"{key} = '${{env:IT}}'\n", environ={"IT": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert f"devices.q.{key} = (not shown): " in str(caught.value)


def test_a_socket_that_is_not_there() -> None:
    loaded = topology.loads(QUEUE + REQ)
    with pytest.raises(TopologyError) as caught:
        loaded.socket("d")
    assert str(caught.value) == 'topology: sockets = "d": no socket has this name; there are c'


VALUES = (
    *("1", "-1", "0.5", "inf", "nan", "true", '""', '"x"', '"a b"', "[]", "[[]]", "[1]", '["x"]'),
    *(
        "{}",
        "{ a = 1 }",
        "{ bind = 1 }",
        "1979-05-27",
        '"${x}"',
        '"$"',
        '"\\u0000"',
        '"q.frontend"',
    ),
    *('"tcp://x:1"', '"inproc://x"', '["tcp://x:1", 1]', '{ type = "SUB", bind = "tcp://x:1" }'),
)


REST = """
[devices.q]
kind = "queue"
balance = "least-outstanding"
host = "h"
metrics = "127.0.0.1:1"
monitor_interval = 3
restart = "never"
restart_ivl = 1
restart_ivl_max = 2
frontend = { bind = "inproc://q" }
backend = { bind = "inproc://r" }
[devices.q2]
kind = "proxy"
[devices.q2.frontend]
type = "SUB"
connect = "tcp://x:1"
subscribe = ["a"]
[devices.q2.frontend.options]
rcvhwm = 3
[devices.q2.backend]
type = "PUB"
bind = "inproc://s"
"""


def _lines() -> list[str]:
    path = Path(__file__).parent / "twenty.toml"
    return (path.read_text(encoding="utf-8") + REST).splitlines()


def every_key() -> list[tuple[int, str]]:
    lines = _lines()
    keys = [(i, line.partition(" = ")[0]) for i, line in enumerate(lines) if " = " in line]
    last: dict[str, tuple[int, str]] = {key: (i, key) for i, key in keys}  # one of each kind
    return sorted(last.values())


@pytest.mark.parametrize(("number", "key"), every_key())
def test_whatever_a_value_is_the_mistake_is_told(number: int, key: str) -> None:
    """Nothing but a TopologyError comes of any value, a line for each mistake."""
    lines = _lines()
    for value in VALUES:
        changed = [*lines[:number], f"{key} = {value}", *lines[number + 1 :]]
        told: tuple[Problem, ...] = ()
        try:
            topology.graph(topology.loads("\n".join(changed), environ={}))
        except TopologyError as error:
            told = error.problems
        assert all("\n" not in str(problem) for problem in told)
        assert all(str(problem).startswith("topology:") for problem in told)


def test_what_follows_from_a_mistake_is_not_told() -> None:
    text = QUEUE.replace('"queue"', '"que"') + "capture = 3\n" + REQ
    with pytest.raises(TopologyError) as caught:
        topology.loads(text)
    assert [problem.key for problem in caught.value.problems] == [
        "devices.q.kind",
        "devices.q.capture",
    ]
    text = QUEUE + "capture = { bind = 3 }\n" + REQ.replace("REQ", "SUB").replace("front", "capt")
    with pytest.raises(TopologyError) as caught:
        topology.loads(text.replace("captend", "capture"))
    assert [problem.key for problem in caught.value.problems] == ["devices.q.capture.bind"]
