"""Every kind of wrong topology file, and the line that tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mistakes import GATEWAY, QUEUE, REQ, told

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
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_mistake(text: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(text) == line
