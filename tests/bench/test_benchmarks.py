"""That each benchmark works, and that a peer which does not is shown as broken. Never how fast."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import amqp, benchmarks, build, compare, peers, process
from bench.benchmarks import fan_out, throughput
from bench.contract import Case, Measured, Peer
from bench.job import Job
from bench.peers.ours import Ours
from bench.process import BrokenPeer
from bench.run import Settings, run
from bench.speak import UnsupportedError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")

CASES = {case.name: case for case in benchmarks.cases(short=True)}
NEEDS_RAW_CLIENT = ("fan_in", "idle", "subscriptions", "fan_out/10/raw")


@pytest.fixture(autouse=True)
def _own_build(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    # One directory for all tests of a run, none in the tree.
    monkeypatch.setattr(build, "BUILT", tmp_path_factory.getbasetemp() / "bench-build")


def measure(case: Case, peer: Peer) -> Measured:
    if case.name.startswith(NEEDS_RAW_CLIENT) and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    if case.name.startswith("gateway") and (why := amqp.missing()) is not None:
        pytest.skip(why)
    return case.measure(peer, replace(case.job, seconds=0.05, warmup=0.02))


@pytest.mark.parametrize("name", CASES)
def test_ours_does_each_benchmark(name: str) -> None:
    assert measure(CASES[name], peers.BY_NAME["hypersocket-pure"]).value > 0


@pytest.mark.interop
@pytest.mark.parametrize("peer", ["pyzmq", "zmq.asyncio", "pynng", "pyomq", "libzmq", "bare"])
def test_each_peer_does_the_first_benchmarks(peer: str) -> None:
    found = peers.BY_NAME[peer]
    if found.missing() is not None:
        pytest.skip(f"{peer}: {found.missing()}")
    name = "thr/tcp/65536" if peer == "bare" else "thr/tcp/64"
    assert measure(CASES[name], found).value > 0
    assert measure(CASES["lat/tcp"], found).value > 0


@pytest.mark.interop
def test_a_bare_router_is_beside_ours() -> None:
    assert measure(CASES["fan_in/20"], peers.BY_NAME["bare"]).value > 0


@pytest.mark.interop
def test_the_device_beside_ours_is_libzmqs_proxy() -> None:
    for name in ("device/streamer/64", "device/queue"):
        assert measure(CASES[name], peers.BY_NAME["pyzmq"]).value > 0


@pytest.mark.interop
@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("gateway/out", "shovel"),
        ("gateway/out", "bare-amqp"),
        ("gateway/in", "pika"),
        ("gateway/in-1.0", "proton"),
        ("gateway/call", "bare-amqp"),
        ("gateway/call", "bare-relay"),
    ],
)
def test_what_the_gateway_is_measured_beside(name: str, peer: str) -> None:
    assert measure(CASES[name], peers.BY_NAME[peer]).value > 0


@pytest.mark.interop
def test_a_run_in_which_all_comes_at_once_is_made_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the machine stands still while messages come."""
    counts: list[int] = []
    measured = amqp.Broker.rate_into

    def rate_into(broker: amqp.Broker, queue: str, job: Job) -> float:
        counts.append(job.count)
        if len(counts) < 3:
            broker.wait(queue, job.count)
        return measured(broker, queue, job)

    monkeypatch.setattr(amqp.Broker, "rate_into", rate_into)
    assert measure(CASES["gateway/out"], peers.BY_NAME["bare-amqp"]).value > 0
    assert counts == sorted(set(counts))
    assert len(counts) >= 3


class Impostor(Ours):
    """Ours, with another program in one role."""

    def __init__(self, role: str, program: str) -> None:
        super().__init__("pure")
        self._role, self._program = role, program

    def command(self, role: str, job: Job) -> list[str]:
        if role == self._role:
            return [sys.executable, "-c", self._program, *job.words()]
        return super().command(role, job)


LOSES_ONE = """
import sys, trio, hypersocket as hs
from bench import stamp
from bench.job import Job
job = Job.parse(sys.argv[1:])
async def main():
    async with hs.Push(connect=job.endpoint) as push:
        for n in range(10 * job.chunk):
            if n != 100:
                kind = stamp.START if n == 0 else stamp.RUN
                stamped = n % job.chunk == 0
                await push.send(stamp.stamped(kind, n, job.size) if stamped else bytes(job.size))
        await trio.sleep_forever()
trio.run(main)
"""

DROPS_THE_LAST = """
import sys, trio, hypersocket as hs
from bench import stamp
from bench.job import Job
from bench.speak import say, told
job = Job.parse(sys.argv[1:])
async def main():
    async with hs.Pub(bind=job.endpoint, sndhwm=0) as pub:
        say("ready", endpoint=pub.endpoints[0])
        while not told():
            await pub.send(stamp.stamped(stamp.HELLO, 0, job.size))
            await trio.sleep(0.01)
        for n in range(job.count - 1):
            await pub.send(stamp.stamped(stamp.RUN, n, job.size))
        await trio.sleep_forever()
trio.run(main)
"""


@pytest.mark.parametrize(
    ("program", "reason", "patience"),
    [
        (LOSES_ONE, "lost", 30.0),
        ("raise SystemExit('I give up')", "no result within", 3.0),
        ("import time; time.sleep(60)", "no result within", 3.0),
    ],
    ids=["loses one", "gives up", "hangs"],
)
def test_a_broken_sender_is_shown(
    program: str, reason: str, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "PATIENCE", patience)
    with pytest.raises(BrokenPeer, match=reason):
        measure(CASES["thr/tcp/64"], Impostor("remote_thr", program))


def test_a_publisher_that_drops_is_shown() -> None:
    job = Job(size=64, peers=3, count=50)
    with pytest.raises(BrokenPeer, match=r"3 of 150 messages did not arrive"):
        fan_out.measure(fan_out._own_subscribers, Impostor("fan_pub", DROPS_THE_LAST), job)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("print('hello')", "wrote 'hello'"),
        ("import sys; sys.exit('no such library')", "no such library"),
        ('print(\'{"event": "error", "text": "told so"}\')', "told so"),
        ('print(\'{"event": "result"}\')', "said result in place of ready"),
    ],
)
def test_what_a_process_says_wrong_is_the_reason(program: str, reason: str) -> None:
    with (
        process.Child([sys.executable, "-c", program], {}, "it") as child,
        pytest.raises(BrokenPeer, match=reason),
    ):
        child.expect("ready")


def test_what_a_peer_cannot_do_is_no_failure() -> None:
    if peers.BY_NAME["pynng"].missing() is not None:
        pytest.skip("pynng is not installed")
    with pytest.raises(UnsupportedError):
        measure(CASES["fan_in/20"], peers.BY_NAME["pynng"])


def _flaky(fails: Iterator[bool]) -> Any:
    def measure_it(peer: Peer, job: Job) -> Measured:
        if next(fails):
            raise BrokenPeer("fell over")
        return Measured(10.0)

    return measure_it


def test_rounds_go_on_after_a_failure_and_the_failure_stays_visible() -> None:
    case = Case("x", "x", "us", "less", Job(), _flaky(iter([False, True, False])))
    results = run([case], [Ours("pure")], Settings(3, 0.1, 0.1), lambda _: None)
    outcome = results["x"]["hypersocket-pure"]
    assert outcome.values == [10.0, None, 10.0]
    assert outcome.broken == ["fell over"]


def test_compare_writes_json_tables_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--short", "--seconds", "0.05", "--only", "thr/tcp/64,lat", "--core", "pure"]
    chosen = ["--peers", "hypersocket,bare", "--output", str(tmp_path)]
    assert compare.main([*arguments, *chosen]) == 0
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert data["cases"]["lat/tcp"]["peers"]["bare"]["summary"]["rounds"] == 1
    assert data["settings"]["pinned"] is None
    assert {"processor", "kernel", "python", "commit"} <= set(data["system"])
    table = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "hypersocket (pure)" in table
    assert "met" in table
    assert "processes not pinned" in table
    assert (tmp_path / "latency.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "round 1" in capsys.readouterr().out


def test_a_short_run_shows_no_figures_as_if_they_meant_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "libzmq_missing", lambda: "no libzmq3-dev")
    arguments = ["--short", "--seconds", "0.05", "--only", "lat", "--core", "pure"]
    assert compare.main([*arguments, "--peers", "hypersocket,libzmq"]) == 0
    out = capsys.readouterr().out
    assert "1 benchmarks ran with hypersocket (pure)." in out
    assert "libzmq (C) did not take part: no libzmq3-dev." in out
    assert "Targets" not in out


def _returning(value: object) -> Any:
    def call(*_: object) -> object:
        return value

    return call


def _missing_compiled(peer: Ours) -> str | None:
    return "x" if peer.form == "compiled" else None


def _always(error: Exception) -> Any:
    def fail(*_: object) -> Measured:
        raise error

    return fail


@pytest.mark.parametrize(
    ("peer", "error", "status"),
    [
        ("hypersocket", BrokenPeer("fell over"), 1),
        ("bare", BrokenPeer("fell over"), 1),
        ("pyzmq", BrokenPeer("fell over"), 0),
        ("pyzmq", build.BrokenProgramError("raw_sub.c: error"), 1),
        ("hypersocket", build.BuildError("no C compiler"), 0),
    ],
)
def test_the_exit_status_is_about_what_is_ours(
    peer: str,
    error: Exception,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = Case("x", "x", "us", "less", Job(), _always(error), not_peers=())
    monkeypatch.setattr(benchmarks, "cases", _returning([case]))
    assert compare.main(["--short", "--core", "pure", "--peers", peer]) == status
    captured = capsys.readouterr()
    assert str(error) in captured.out
    assert (str(error) in captured.err) == bool(status)


def test_a_form_of_ours_that_has_to_be_there_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case("x", "x", "us", "less", Job(), _returning(Measured(1.0)))
    monkeypatch.setattr(benchmarks, "cases", _returning([case]))
    monkeypatch.setattr(Ours, "missing", _missing_compiled)
    arguments = ["--short", "--peers", "hypersocket"]
    monkeypatch.delenv("HYPERSOCKET_REQUIRE_SPEEDUPS", raising=False)
    assert compare.main(arguments) == 0
    monkeypatch.setenv("HYPERSOCKET_REQUIRE_SPEEDUPS", "1")
    assert compare.main(arguments) == 1
    assert "hypersocket (compiled): x" in capsys.readouterr().err


def test_a_program_of_ours_that_does_not_compile_is_no_lack_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (tmp_path / "raw_wrong.c").write_text("int main(void) { return nothing; }\n", encoding="utf-8")
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    with pytest.raises(build.BrokenProgramError, match=r"raw_wrong\.c: .*nothing"):
        build.program("raw_wrong")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(build.BuildError, match="no C compiler"):
        build.program("raw_wrong")


@pytest.mark.parametrize(
    "arguments", [["--only", "nothing"], ["--peers", "nobody"]], ids=["only", "peers"]
)
def test_bad_usage_is_told_in_a_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(["--short", *arguments]) == 2
    assert capsys.readouterr().err.startswith("bench compare: no ")
