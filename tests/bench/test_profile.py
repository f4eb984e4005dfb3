"""Where time goes: what is made of samples, and that a process is sampled where that is allowed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench import benchmarks, profile, sampling
from bench.peers.ours import Ours
from bench.process import BrokenPeer
from bench.profile import CALLS, CORE, CPYTHON, KERNEL, OURS, TRIO, Process, Profile
from bench.sampling import Frame


def _returning(value: object) -> Any:
    def call(*_: object) -> object:
        return value

    return call


CASES = {case.name: case for case in benchmarks.cases(short=True)}
RUN = "run (trio/_core/_run.py)"
STACKS = f"""\
{RUN};Push.send (hypersocket/sockets/pipeline.py) 10
{RUN};Push.send (hypersocket/sockets/pipeline.py);Queue_put (queues.c) 20
{RUN};Push.send (hypersocket/sockets/pipeline.py);Queue_put (queues.c);Py_DECREF (object.h) 5
{RUN};Push.send (hypersocket/sockets/pipeline.py);__Pyx_Call (queues.c);PyObject_Size (abstract.c) 5
{RUN};FdTraffic._write (hypersocket/transports/_fd_traffic.py);os_writev (posixmodule.c);writev (libc.so.6) 30
{RUN} 20
{RUN};get_events (trio/_core/_io_epoll.py);epoll_wait (libc.so.6) 900
run (threading.py);wait_told (bench/speak.py);read (libc.so.6) 900
{RUN};0x7f00 (libpython3.11.so.1.0) 6
{RUN};0x7f01 (libpython3.11.so.1.0) 4
not a sample
"""  # noqa: E501


def _samples() -> sampling.Samples:
    found = sampling.read_stacks(STACKS)
    return {stack: count for stack, count in found.items() if not profile.waits(stack)}


def test_waiting_is_left_out() -> None:
    assert sum(_samples().values()) == 100
    assert sum(sampling.read_stacks(STACKS).values()) == 1900


def test_samples_are_grouped_by_whose_code_it_was() -> None:
    assert profile.by_group(_samples()) == {
        TRIO: 20,
        OURS: 10,
        CORE: 25,
        CALLS: 30,
        CPYTHON: 15,
    }


def test_a_function_pays_for_what_it_has_c_do() -> None:
    owners = {frame.name: count for frame, count in profile.by_owner(_samples()).items()}
    assert owners == {
        "run": 30,
        "Push.send": 10,
        "Queue_put": 25,
        "__Pyx_Call": 5,
        "FdTraffic._write": 30,
    }
    present = {frame.name: count for frame, count in profile.by_presence(_samples()).items()}
    assert present["run"] == 100
    assert present["Push.send"] == 40


def test_symbols_are_functions_in_c_alone() -> None:
    symbols = {frame.name: count for frame, count in profile.by_symbol(_samples()).items()}
    assert symbols == {
        "Queue_put": 20,
        "Py_DECREF": 5,
        "PyObject_Size": 5,
        "writev": 30,
        "no symbol": 10,
    }


def test_what_perf_reports_is_read() -> None:
    text = " 7 ;[kernel.kallsyms];[k] copy\n 3 ;_queues.cpython-311.so;[.] put\n\n# end\n"
    samples = sampling.read_symbols(text)
    assert samples == {
        (Frame("copy", "[kernel.kallsyms]"),): 7,
        (Frame("put", "_queues.cpython-311.so"),): 3,
    }
    assert profile.by_group(samples) == {KERNEL: 7, CORE: 3}


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("__pyx_f_11hypersocket_9_speedups_7_queues_5Queue_take", "Queue.take"),
        ("__pyx_pw_11hypersocket_9_speedups_7_queues_5Queue_3take", "Queue.take"),
        ("__pyx_f_11hypersocket_9_speedups_8_framing_encode", "encode"),
        ("PyObject_Size", "PyObject_Size"),
        ("__pyx_f_", "__pyx_f_"),
    ],
)
def test_names_that_cython_made_are_made_readable(name: str, readable: str) -> None:
    assert profile.readable(name).endswith(readable)
    assert "__pyx_f_1" not in profile.readable(name)


def test_a_profile_is_told_in_tables() -> None:
    case = CASES["thr/tcp/64"]
    process = Process("remote_thr", 2.0, 0.75, 0.25, 10, 20, samples=_samples())
    told = profile.as_markdown(
        Profile(case, "pure", sampling.PySpy(), [1234.0], {"remote_thr": process})
    )
    assert "# thr/tcp/64 --core pure: PUSH to PULL, tcp, 64 B" in told
    assert "Busy for 50.0 % of 2.0 s: 75.0 % in its own code, 25.0 % in the system." in told
    assert "| the compiled core | 25.0 % |" in told
    assert "| `Queue_put`, queues.c | 25.0 % | 25.0 % |" in told
    assert "| `writev`, libc.so.6 | 30.0 % |" in told


def test_a_profile_without_a_sampler_says_why() -> None:
    case = CASES["thr/tcp/64"]
    process = Process("remote_thr", 2.0, 0.75, 0.25, complaint="py-spy gave up")
    profiles = Profile(case, "compiled", None, [1.0], {"remote_thr": process})
    told = profile.as_markdown(profiles, "py-spy may not: Permission denied")
    assert "| sampled | not at all: py-spy may not: Permission denied |" in told
    assert "Nothing was sampled. py-spy gave up\n" in told


def test_profiles_are_found_by_case_and_form(tmp_path: Path) -> None:
    assert profile.found(None, list(CASES.values())) == {}
    place = tmp_path / profile.FOLDER
    place.mkdir()
    for core in ("compiled", "pure"):
        (place / profile.file_name("lat/tcp", core)).touch()
    assert profile.found(tmp_path, list(CASES.values())) == {
        "lat/tcp": "profiles/lat-tcp.md",
        "lat/tcp --core pure": "profiles/lat-tcp-pure.md",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")
@pytest.mark.parametrize("tool", ["py-spy", "perf", "none"])
@pytest.mark.parametrize("name", ["thr/tcp/64", "fan_out/10"])
def test_each_process_of_a_case_is_sampled(
    tool: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "MOST_ROUNDS", 1)
    sampler = next((sampler for sampler in sampling.ALL if sampler.name == tool), None)
    if sampler is not None and (why := sampler.missing()) is not None:
        pytest.skip(why)
    taken = profile.take(CASES[name], "pure", sampler, 0.2)
    roles = ["local_thr", "remote_thr"] if name == "thr/tcp/64" else ["fan_pub", "fan_sub"]
    assert sorted(taken.processes) == roles
    assert len(taken.values) == 1
    for process in taken.processes.values():
        assert process.seconds > 0
        assert process.complaint == ""
    if sampler is None:
        assert "Nothing was sampled." in profile.as_markdown(taken, "none asked for")


def test_a_profile_is_written_where_the_report_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def take(case: object, core: str, *_: object) -> Profile:
        return Profile(CASES["lat/tcp"], core, None, [1.0])

    monkeypatch.setattr(profile, "take", take)
    assert profile.main(["lat/tcp", "--core", "pure", "--output", str(tmp_path)]) == 0
    written = tmp_path / "profiles" / "lat-tcp-pure.md"
    assert written.read_text(encoding="utf-8") in capsys.readouterr().out
    assert "lat/tcp --core pure" in profile.found(tmp_path, [CASES["lat/tcp"]])


def test_a_tool_that_may_not_is_told_and_another_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sampling.PySpy, "missing", _returning("py-spy may not: Permission denied"))
    monkeypatch.setattr(sampling.Perf, "missing", _returning(None))
    sampler, _ = profile._choose("auto")
    assert isinstance(sampler, sampling.Perf)
    assert profile.main(["lat/tcp", "--core", "pure", "--tool", "py-spy"]) == 2
    assert "Permission denied" in capsys.readouterr().err
    monkeypatch.setattr(sampling.Perf, "missing", _returning("perf is not installed"))
    assert profile._choose("auto") == (
        None,
        "py-spy may not: Permission denied; perf is not installed",
    )


def test_what_goes_wrong_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile.main(["thr"]) == 2
    assert capsys.readouterr().err.startswith("bench profile: no benchmark thr: there are thr/tcp")

    def take(*_: object) -> Profile:
        raise BrokenPeer("fell over")

    monkeypatch.setattr(profile, "take", take)
    assert profile.main(["lat/tcp", "--core", "pure"]) == 1
    assert capsys.readouterr().err == "bench profile: lat/tcp: fell over\n"
    monkeypatch.setattr(Ours, "missing", _returning("the pure core is not built here"))
    assert profile.main(["lat/tcp", "--core", "pure"]) == 2
