"""One socket at the shell, with libzmq at the other side."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import zmq

from .commands import ANY_PORT, MODULE, PATIENCE, ROOT, Start, run
from .conftest import Make

pytestmark = pytest.mark.interop


def bound(socket: zmq.Socket[bytes]) -> str:
    """Bind a socket of libzmq's; its endpoint."""
    socket.bind(ANY_PORT)
    endpoint: str = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return endpoint


# push


def test_push_sends_the_lines_of_its_input(theirs: Make) -> None:
    pull = theirs("PULL")
    done = run("push", bound(pull), stdin="one\n\ntwo\tØ\n{\\n}".encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    received = [pull.recv_multipart() for _ in range(4)]
    assert received == [[b"one"], [b""], ["two\tØ".encode()], [b"{\\n}"]]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (["--data", "a"], [[b"a"]]),
        (["--data", "a", "--count", "3"], [[b"a"]] * 3),
        (["--data", "a", "--data", "b", "--count", "3"], [[b"a"], [b"b"], [b"a"]]),
        (["--data", "00 - ff", "--format", "hex"], [[b"\0", b"", b"\xff"]]),
        (["--data", '["a", {"b64": "/w=="}]', "--format", "json"], [[b"a", b"\xff"]]),
        (["--data", "a\nb", "--format", "raw"], [[b"a\nb"]]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_push_sends_what_it_is_given(
    theirs: Make, arguments: list[str], received: list[list[bytes]]
) -> None:
    pull = theirs("PULL")
    done = run("push", bound(pull), *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [pull.recv_multipart() for _ in received] == received


def test_what_is_said_commands_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('title = "x"\nwrong = "\\u001b[2J\\u009b2J"\n', encoding="utf-8")
    said = run("check", str(path)).stderr.decode()
    assert said.startswith(f'hypersocket: {path}:2: wrong = "\\x1b[2J\\x9b2J": unknown key')


def test_push_sends_no_more_lines_than_it_is_to(theirs: Make) -> None:
    pull = theirs("PULL")
    assert run("push", bound(pull), "--count", "2", stdin=b"1\n2\n3\n").returncode == 0
    assert [pull.recv(), pull.recv()] == [b"1", b"2"]
    pull.rcvtimeo = 200
    with pytest.raises(zmq.Again):
        pull.recv()


def test_push_sends_a_file_as_it_is(theirs: Make, tmp_path: Path) -> None:
    pull = theirs("PULL")
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    done = run("push", bound(pull), "--format", "raw", "--file", str(tmp_path / "file"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert pull.recv_multipart() == [content]


def test_many_lines_of_a_file_arrive_in_order(theirs: Make, tmp_path: Path) -> None:
    pull = theirs("PULL")
    (tmp_path / "file").write_bytes(b"".join(b"%d\n" % number for number in range(200_000)))
    with subprocess.Popen(
        [*MODULE, "push", bound(pull), "--file", str(tmp_path / "file")],
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as push:
        assert [int(pull.recv()) for _ in range(200_000)] == list(range(200_000))
        assert push.stderr is not None
        assert (push.wait(PATIENCE), push.stderr.read()) == (0, b"")


def test_lines_before_a_wrong_one_are_sent_and_it_is_named(theirs: Make, tmp_path: Path) -> None:
    pull = theirs("PULL")
    (tmp_path / "file").write_bytes(b"61\n62\nxyz\n63\n")
    name = str(tmp_path / "file")
    done = run("push", bound(pull), "--format", "hex", "--file", name)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"hypersocket: {name}, line 3: 'xyz' is not hex")
    assert [pull.recv(), pull.recv()] == [b"a", b"b"]


def test_push_says_what_was_not_delivered() -> None:
    done = run("push", "tcp://127.0.0.1:1", "--data", "a", "--count", "3", "--timeout", "0.1")
    assert done.returncode == 1
    assert done.stderr == (
        b"hypersocket: 3 messages of 3 not delivered (linger expired);"
        b" there was no connection: --verbose says why\n"
    )


@pytest.mark.parametrize("arguments", [["pull"], ["req", "--data", "a"], ["sub"], ["rep"]])
def test_without_a_connection_it_is_said_and_verbose_says_why(
    start: Start, arguments: list[str]
) -> None:
    done = run(*arguments, "tcp://127.0.0.1:1", "--timeout", "0.1")
    assert done.returncode == 1
    assert done.stderr.endswith(b"; there was no connection: --verbose says why\n")
    done = run(*arguments, "tcp://127.0.0.1:1", "--timeout", "0.1", "--verbose")
    assert done.stderr.endswith(b"; there was no connection\n")
    running = start(*arguments, "tcp://127.0.0.1:1", "--verbose")
    while b"127.0.0.1:1: connection refused" not in running.err.seen.lower():
        assert running.err.line()


def test_push_says_when_nobody_takes_a_message() -> None:
    done = run("push", "--bind", ANY_PORT, "--data", "a", "--timeout", "0.1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        b"hypersocket: nobody took message 1 within 0.1 seconds; nobody has connected"
    ]


def test_push_to_several(theirs: Make) -> None:
    first, second = theirs("PULL"), theirs("PULL")
    done = run("push", bound(first), bound(second), "--data", "a", "--count", "4")
    assert done.returncode == 0
    assert [first.recv(), first.recv(), second.recv(), second.recv()] == [b"a"] * 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_push_has_written_what_it_took(
    start: Start, theirs: Make, number: signal.Signals
) -> None:
    pull = theirs("PULL")
    push = start("push", bound(pull))
    push.write(b"1\n2\n")
    assert [pull.recv(), pull.recv()] == [b"1", b"2"]
    assert push.end(number) == 1
    assert push.err.rest() == b"hypersocket: interrupted after 2 messages\n"


# pull


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("text", b"a\tb\n\\xff\n\n"),
        ("hex", b"61 62\nff\n-\n"),
        ("json", b'["a", "b"]\n[{"b64": "/w=="}]\n[""]\n'),
        ("raw", b"ab\xff"),
    ],
)
def test_pull_prints_in_each_format(start: Start, theirs: Make, form: str, printed: bytes) -> None:
    pull = start("pull", "--bind", ANY_PORT, "--count", "3", "--format", form)
    push = theirs("PUSH", connect=pull.endpoint(), linger=-1)
    push.send_multipart([b"a", b"b"])
    push.send(b"\xff")
    push.send(b"")
    assert pull.wait() == 0
    assert pull.out.rest() == printed
    assert pull.err.rest() == b""


def test_pull_prints_each_message_at_once(start: Start, theirs: Make) -> None:
    pull = start("pull", "--bind", ANY_PORT)
    push = theirs("PUSH", connect=pull.endpoint())
    for number in range(3):
        push.send(b"%d" % number)
        assert pull.out.line() == b"%d\n" % number
    assert pull.end(signal.SIGINT) == 0
    assert pull.err.rest() == b""


def test_pull_fails_when_nothing_arrives() -> None:
    done = run("pull", "--bind", ANY_PORT, "--timeout", "0.1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        b"hypersocket: nothing arrived within 0.1 seconds; nobody has connected"
    ]


def test_pull_that_is_interrupted_before_its_count_has_failed(start: Start, theirs: Make) -> None:
    pull = start("pull", "--bind", ANY_PORT, "--count", "3")
    theirs("PUSH", connect=pull.endpoint()).send(b"a")
    assert pull.out.line() == b"a\n"
    assert pull.end() == 1
    assert pull.err.rest() == b"hypersocket: interrupted after 1 of 3 messages\n"


WIDE = ["--option", "rcvhwm=10000", "--option", "rcvbuf=65536"]


def test_what_pull_has_received_is_printed_before_it_ends(start: Start, theirs: Make) -> None:
    # Nobody reads what it prints, so that it comes to a halt with messages received.
    with subprocess.Popen(
        [*MODULE, "pull", "--bind", ANY_PORT, *WIDE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as pull:
        assert pull.stdout is not None
        assert pull.stderr is not None
        endpoint = pull.stderr.readline().split()[-1].decode()
        push = theirs("PUSH", connect=endpoint, sndhwm=1, sndbuf=65536)
        # Far more than a pipe holds, and than the system keeps for who does not read.
        for number in range(8000):
            push.send(b"%06d" % number + b"." * 1000)
        pull.send_signal(signal.SIGTERM)
        lines = pull.stdout.read().splitlines()
        assert pull.wait(PATIENCE) == 0
    numbers = [int(line[:6]) for line in lines]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 1000


def test_a_reader_that_leaves_early_is_no_calamity(start: Start, theirs: Make) -> None:
    pull = start("pull", "--bind", ANY_PORT)
    push = theirs("PUSH", connect=pull.endpoint())
    push.send(b"a")
    assert pull.out.line() == b"a\n"
    with subprocess.Popen(
        [*MODULE, "pull", "--bind", ANY_PORT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as other:
        assert other.stdout is not None
        assert other.stderr is not None
        endpoint = other.stderr.readline().split()[-1].decode()
        other.stdout.close()
        theirs("PUSH", connect=endpoint).send(b"a")
        assert other.wait(PATIENCE) == 1
        assert other.stderr.read() == b""


# pub and sub


def test_pub_waits_for_a_subscriber(start: Start, theirs: Make) -> None:
    pub = start("pub", "--bind", ANY_PORT, "--topic", "weather", "--data", "rain", "--count", "3")
    endpoint = pub.endpoint()
    other = theirs("SUB", connect=endpoint, subscribe="sport", rcvtimeo=200)
    sub = theirs("SUB", connect=endpoint, subscribe="weather")
    assert [sub.recv_multipart() for _ in range(3)] == [[b"weather", b"rain"]] * 3
    assert (pub.wait(), pub.err.rest()) == (0, b"")
    with pytest.raises(zmq.Again):
        other.recv()


def test_a_topic_need_not_be_text(start: Start) -> None:
    topic = os.fsdecode(b"\xff")
    pub = start("pub", "--bind", ANY_PORT, "--topic", topic, "--data", "x")
    sub = start("sub", pub.endpoint(), "--topic", topic, "--count", "1", "--format", "hex")
    assert (sub.wait(), sub.err.rest(), sub.out.rest()) == (0, b"", b"ff 78\n")
    assert (pub.wait(), pub.err.rest()) == (0, b"")
    done = run("pub", "--bind", ANY_PORT, "--topic", topic, "--data", "x", "--timeout", "0.1")
    assert done.returncode == 1
    assert b"no subscriber to '\\udcff' within" in done.stderr


def test_pub_waits_for_several_subscribers_of_anything(start: Start, theirs: Make) -> None:
    pub = start("pub", "--bind", ANY_PORT, "--wait-subscribers", "2")
    pub.write(b"sport regatta\nweather rain\n")
    pub.end_input()
    endpoint = pub.endpoint()
    sub = theirs("SUB", connect=endpoint, subscribe="weather")
    everything = theirs("SUB", connect=endpoint, subscribe="")
    assert sub.recv() == b"weather rain"
    assert [everything.recv(), everything.recv()] == [b"sport regatta", b"weather rain"]
    assert (pub.wait(), pub.err.rest()) == (0, b"")


def test_pub_fails_when_no_subscriber_comes() -> None:
    done = run("pub", "--bind", ANY_PORT, "--topic", "x", "--data", "a", "--timeout", "0.1")
    assert done.returncode == 1
    said = b"hypersocket: there was no subscriber to 'x' within 0.1 seconds; nobody has connected"
    assert done.stderr.splitlines()[1:] == [said]


def test_pub_need_not_wait() -> None:
    done = run("pub", "--bind", ANY_PORT, "--wait-subscribers", "0", "--data", "a")
    assert done.returncode == 0


def test_pub_says_what_it_dropped(start: Start, theirs: Make) -> None:
    pub = start(
        *("pub", "--bind", ANY_PORT, "--data", "x" * 100_000, "--count", "1000"),
        *("--option", "sndhwm=1", "--linger", "0"),
    )
    theirs("SUB", connect=pub.endpoint(), subscribe="", rcvhwm=1)
    assert pub.wait() == 1
    said = pub.err.rest().decode()
    assert "dropped for subscribers that were full (--option xpub_nodrop=true waits" in said
    assert said.count("\n") == 1


def test_sub_prints_its_topics(start: Start, theirs: Make) -> None:
    pub = theirs("XPUB", linger=-1)
    sub = start("sub", bound(pub), "--topic", "weather", "--topic", "sport", "--count", "2")
    assert {pub.recv(), pub.recv()} == {b"\1weather", b"\1sport"}
    for message in ([b"music", b"opera"], [b"weather", b"rain"], [b"sport"]):
        pub.send_multipart(message)
    assert sub.wait() == 0
    assert sub.out.rest() == b"weather\train\nsport\n"


def test_sub_prints_everything_by_default(start: Start, theirs: Make) -> None:
    pub = theirs("XPUB")
    sub = start("sub", bound(pub))
    assert pub.recv() == b"\1"
    pub.send(b"music")
    assert sub.out.line() == b"music\n"
    assert (sub.end(), sub.err.rest()) == (0, b"")


# req and rep


def test_req_prints_replies(start: Start, theirs: Make) -> None:
    rep = theirs("REP")
    req = start("req", bound(rep))
    for number in (b"1", b"2"):
        req.write(number + b"\n")
        assert rep.recv_multipart() == [number]
        rep.send_multipart([number, b"done"])
        assert req.out.line() == number + b"\tdone\n"
    req.end_input()
    assert (req.wait(), req.err.rest()) == (0, b"")


def test_requests_and_replies_in_two_formats(start: Start, theirs: Make) -> None:
    rep = theirs("REP")
    req = start("req", bound(rep), "--data", "STATISTICS", "--print", "hex")
    assert rep.recv() == b"STATISTICS"
    rep.send_multipart([b"\0\1", b""])
    assert (req.wait(), req.out.rest()) == (0, b"0001 -\n")


def test_req_fails_when_no_reply_comes(theirs: Make) -> None:
    done = run("req", bound(theirs("REP")), "--data", "a", "--timeout", "0.2")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"hypersocket: no reply within 0.2 seconds\n"


def test_an_interrupted_req_says_so(start: Start, theirs: Make) -> None:
    rep = theirs("REP")
    req = start("req", bound(rep), "--data", "a")
    assert rep.recv() == b"a"
    assert req.end(signal.SIGINT) == 1
    assert req.err.rest() == b"hypersocket: interrupted after 0 replies\n"


@pytest.mark.parametrize(
    ("given", "replies"),
    [([], [b"1", b"2", b"3"]), (["--data", "yes"], [b"yes"] * 3),
     (["--data", "yes", "--data", "no"], [b"yes", b"no", b"yes"])],
    ids=["echo", "one reply", "by turns"],
)  # fmt: skip
def test_rep_answers(start: Start, theirs: Make, given: list[str], replies: list[bytes]) -> None:
    rep = start("rep", "--bind", ANY_PORT, *given)
    req = theirs("REQ", connect=rep.endpoint())
    for number, reply in enumerate(replies, 1):
        req.send(b"%d" % number)
        assert req.recv() == reply
        assert rep.out.line() == b"%d\n" % number
    assert (rep.end(), rep.err.rest()) == (0, b"")


def test_rep_ends_after_its_count(start: Start, theirs: Make) -> None:
    rep = start("rep", "--bind", ANY_PORT, "--count", "1", "--format", "json")
    req = theirs("REQ", connect=rep.endpoint())
    req.send_multipart([b"a", b"\xff"])
    assert req.recv_multipart() == [b"a", b"\xff"]
    assert rep.wait() == 0
    assert rep.out.rest() == b'["a", {"b64": "/w=="}]\n'


# Both ends ours


def test_raw_carries_a_file_from_shell_to_shell(start: Start, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)
    pull = start("pull", "--bind", ANY_PORT, "--format", "raw", "--count", "1")
    push = run("push", pull.endpoint(), "--format", "raw", stdin=content)
    assert push.returncode == 0
    assert pull.wait() == 0
    assert pull.out.rest() == content


def test_what_cannot_talk_to_each_other_says_so(start: Start, theirs: Make) -> None:
    endpoint = bound(theirs("PUB"))
    assert run("push", endpoint, "--data", "a", "--timeout", "0.1").returncode == 1
    push = start("push", endpoint)
    while b"a PUSH socket cannot talk to 'PUB'" not in push.err.seen:
        assert push.err.line()
    assert push.end() == 1
