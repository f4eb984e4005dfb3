"""Every kind of mistake in what names something else, and the line that tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mistakes import QUEUE, REQ, told

MISTAKES = {
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
    assert told(text) == line
