"""How mistakes are told, and what no parser of topology files likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypersocket.devices import topology
from hypersocket.devices.topology import Problem, TopologyError

from .mistakes import QUEUE, REQ


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
