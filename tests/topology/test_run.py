"""Devices of a topology run, fail and are started again, change while they run, and stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import hypersocket as hs
from hypersocket.devices import DeviceResult, topology
from hypersocket.devices.topology import DeviceFailed, Running, Topology, TopologyError
from hypersocket.devices.topology._restarts import Pauses

from ..sockets.worlds import fill

PATIENCE = 20.0

STREAMER = """\
[devices.{name}]
kind = "streamer"
frontend.bind = "inproc://{name}-in"
backend.bind = "inproc://{name}-out"
"""
ONE, TWO = STREAMER.format(name="one"), STREAMER.format(name="two")


GATEWAY = """
[gateways.gw]
linger = 0
monitor = { bind = "inproc://gw-monitor" }
monitor_interval = 0.01
broker.url = "amqp://127.0.0.1:1"
routes.r = { kind = "out", queue = "q", socket = "inproc://gw-in" }
"""
"""A broker that is not there is tried again."""


@asynccontextmanager
async def running(what: Topology | str, **how: Any) -> AsyncIterator[Running]:
    """A topology that runs, and is stopped gracefully at the end."""
    loaded = what if isinstance(what, Topology) else topology.loads(what)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            run = partial(topology.run, loaded, **{"signals": False, **how})
            one: Running = await nursery.start(run)
            yield one
            one.stop_soon()


async def passes(name: str, message: bytes = b"x") -> None:
    """Send one message through a streamer."""
    async with (
        hs.Push(connect=f"inproc://{name}-in") as source,
        hs.Pull(connect=f"inproc://{name}-out") as sink,
    ):
        await source.send(message)
        assert await sink.recv() == message


async def test_devices_run_until_stopped() -> None:
    results: dict[str, Any] = {}

    async def run(*, task_status: trio.TaskStatus[Running]) -> None:
        loaded = topology.loads(ONE + TWO)
        results.update(await topology.run(loaded, signals=False, task_status=task_status))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            one: Running = await nursery.start(run)
            assert {name: at.state for name, at in one.status().items()} == {
                "one": "running",
                "two": "running",
            }
            await passes("one")
            await passes("two")
            one.stop_soon()
    assert list(results) == ["one", "two"]
    assert results["one"].complete
    assert results["one"].stats.backend.messages_out == 1


async def test_only_runs_a_part() -> None:
    text = ONE + 'part = "oslo"\n' + TWO + 'part = "rome"\n' + STREAMER.format(name="three")
    for only, names in ((["oslo"], ["one"]), (["rome", "three"], ["two", "three"])):
        async with running(text, only=only) as one:
            assert list(one.status()) == names


async def test_only_is_checked_before_anything_runs() -> None:
    with pytest.raises(TopologyError, match="did you mean 'one'"):
        await topology.run(topology.loads(ONE), only=["onne"], signals=False)


async def test_an_address_in_use_at_the_start_is_a_failure() -> None:
    async with hs.Pull(bind="inproc://two-out"):
        with pytest.raises(DeviceFailed) as caught:
            await topology.run(topology.loads(ONE + TWO), signals=False)
    assert caught.value.name == "two"
    assert str(caught.value) == "two: inproc://two-out is bound by another socket"


async def test_a_missing_interface_at_the_start_is_a_failure() -> None:
    text = ONE.replace("inproc://one-in", "tcp://nosuchif0:5555")
    with pytest.raises(DeviceFailed, match=r"^one: .*nosuchif0"):
        await topology.run(topology.loads(text), signals=False)


async def break_(one: Running, name: str) -> None:
    """Have a device fail: a socket is closed under it."""
    await one.children[name].opened["frontend"].aclose()


async def test_a_device_that_fails_is_started_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(ONE + TWO) as one:
        untouched = one.children["two"].handle
        await break_(one, "one")
        status = await one.wait_state("one", "waiting")
        assert 0.25 <= status.retry_in <= 0.5
        assert "closed" in status.error.lower()
        status = await one.wait_state("one", "running")
        assert status.restarts == 1
        await passes("one")
        assert one.children["two"].handle is untouched
    assert "one: failed:" in caplog.text
    assert "starts again in" in caplog.text


async def test_pauses_grow_while_a_device_keeps_failing(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    text = ONE + "restart_ivl = 1\nrestart_ivl_max = 4\n"
    async with running(text) as one:
        await break_(one, "one")
        await one.wait_state("one", "waiting")
        pauses = [one.status()["one"].retry_in]
        async with hs.Pull(bind="inproc://one-in"):
            while len(pauses) < 5:
                before = one.status()["one"].restarts
                while one.status()["one"].restarts == before:
                    await one.wait_state("one", "starting")
                    await one.wait_state("one", "waiting")
                pauses.append(one.status()["one"].retry_in)
        longest = [1, 2, 4, 4, 4]
        assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
        await one.wait_state("one", "running")
        await passes("one")


def test_pauses_begin_anew_when_a_device_has_run_well() -> None:
    pauses = Pauses()
    for most in (1.0, 2.0, 4.0):
        assert most / 2 <= pauses.next(1.0, 30.0) <= most
    pauses.ran(0.5)
    assert pauses.next(1.0, 30.0) >= 4.0
    pauses.ran(60.0)
    assert pauses.next(1.0, 30.0) <= 1.0


async def test_fail_fast_stops_everything_gracefully() -> None:
    with trio.fail_after(PATIENCE), pytest.RaisesGroup(DeviceFailed):
        async with trio.open_nursery() as nursery:
            loaded = topology.loads(ONE + 'restart = "never"\n' + TWO)
            run = partial(topology.run, loaded, signals=False)
            one: Running = await nursery.start(run)
            await break_(one, "one")
            assert (await one.wait_state("one", "failed")).restarts == 0
            await one.wait_state("two", "stopped")
    result = one.children["two"].result
    assert result is not None
    assert result.complete


async def test_a_device_that_waits_can_be_stopped(autojump_clock: trio.testing.MockClock) -> None:
    async with running(ONE + "restart_ivl = 3600\nrestart_ivl_max = 3600\n") as one:
        await break_(one, "one")
        await one.wait_state("one", "waiting")
        begun = trio.current_time()
        one.stop_soon()
        await one.wait_state("one", "stopped")
        assert trio.current_time() - begun < 3600


async def test_a_terminated_device_stays_stopped_and_the_others_run() -> None:
    async with running(ONE + 'control = "inproc://control"\n' + TWO) as one:
        async with hs.Req(connect="inproc://control") as req:
            await req.send(b"TERMINATE")
            await one.wait_state("one", "stopped")
        await passes("two")
        assert one.status()["one"].restarts == 0


async def test_the_run_ends_when_all_devices_were_terminated() -> None:
    loaded = topology.loads(ONE + 'control = "inproc://control"\n')
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, hs.Req(connect="inproc://control") as req:
            nursery.start_soon(partial(topology.run, loaded, signals=False))
            await req.send(b"TERMINATE")


async def test_what_stops_first_hands_on_to_what_stops_later() -> None:
    text = ONE.replace('backend.bind = "inproc://one-out"', 'backend.connect = "two.frontend"')
    numbers = [b"%d" % number for number in range(1_500)]
    async with (
        hs.Push(connect="inproc://one-in") as source,
        hs.Pull(connect="inproc://two-out") as sink,
        running(TWO + text) as one,
    ):
        for number in numbers:
            await source.send(number)
        received = await sink.recv_many(max=10)
        one.stop_soon()
        while len(received) < len(numbers):
            received += await sink.recv_many()
        await one.wait_state("two", "stopped")
    assert received == numbers


async def test_what_cannot_be_delivered_is_told(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with hs.Push(connect="inproc://one-in") as source, running(ONE) as one:
        for _ in range(10):
            await source.send(b"x")
        await wait_all_tasks_blocked()
        one.stop_soon()
        await one.wait_state("one", "stopped")
        result = one.children["one"].result
        assert isinstance(result, DeviceResult)
        lost = result.undelivered + result.unread + result.unwritten
        # What was not taken is with the source still.
        assert lost + source.stats().queued_out == 10
    assert lost
    assert "could not be delivered" in caplog.text


async def test_the_end_does_not_wait_for_linger_twice(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Once by the device and once more by its sockets."""
    text = ONE.replace('backend.bind = "inproc://one-out"', 'backend.connect = "inproc://nobody"')
    async with hs.Push(connect="inproc://one-in") as source, running(text) as one:
        await source.send(b"x")
        begun = trio.current_time()
        one.stop_soon()
        await one.wait_state("one", "stopped")
        assert trio.current_time() - begun < 6.5
        result = one.children["one"].result
        assert isinstance(result, DeviceResult)
        assert result.unwritten == 1


async def test_who_looks_on_does_not_hold_up_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Copies that nobody takes are waited for within the device's linger, and hardly longer."""
    text = ONE + 'capture = { type = "PUSH", connect = "inproc://nobody" }\n'
    async with (
        hs.Push(connect="inproc://one-in") as source,
        hs.Pull(connect="inproc://one-out") as sink,
        running(text) as one,
    ):
        await source.send(b"x")
        assert await sink.recv() == b"x"
        begun = trio.current_time()
        one.stop_soon()
        await one.wait_state("one", "stopped")
        assert trio.current_time() - begun < 6.5


# Reloading


async def test_reload_changes_only_what_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(ONE + TWO + STREAMER.format(name="gone"))
    async with running(topology.load(path)) as one:
        kept = one.children["one"].handle
        async with (
            hs.Push(connect="inproc://one-in") as source,
            hs.Pull(connect="inproc://one-out") as sink,
        ):
            await source.send(b"before")
            assert await sink.recv() == b"before"
            path.write_text(
                ONE
                + "restart_ivl = 7\n"
                + TWO
                + "backend.options.sndhwm = 7\n"
                + STREAMER.format(name="new")
            )
            assert await one.reload() == [
                "gone was stopped",
                "two was stopped and started anew",
                "new was started",
            ]
            await source.send(b"after")
            assert await sink.recv() == b"after"
            assert (source.stats().connects, source.stats().disconnects) == (1, 0)
        assert one.children["one"].handle is kept
        assert one.children["one"].spec.restart_ivl == 7
        assert one.children["two"].opened["backend"].sndhwm == 7  # type: ignore[attr-defined]
        assert list(one.status()) == ["one", "two", "new"]
        await passes("new")
        await passes("two")


async def test_reload_of_the_same_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(ONE)
    async with running(topology.load(path)) as one:
        handle = one.children["one"].handle
        assert await one.reload() == ["nothing has changed"]
        assert one.children["one"].handle is handle


async def test_a_wrong_file_is_refused_and_the_old_one_runs_on(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(ONE)
    async with running(topology.load(path)) as one:
        handle = one.children["one"].handle
        for text in (ONE.replace("streamer", "steamer"), ONE + "x", TWO.replace("two", "a b")):
            path.write_text(text)
            with pytest.raises(TopologyError):
                await one.reload()
        path.unlink()
        with pytest.raises(TopologyError, match="No such file"):
            await one.reload()
        assert one.children["one"].handle is handle
        await passes("one")


async def test_reload_keeps_to_the_part(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(ONE + 'part = "here"\n')
    async with running(topology.load(path), only=["here"]) as one:
        path.write_text(ONE + 'part = "here"\n' + TWO)
        assert await one.reload() == ["nothing has changed"]
        path.write_text(ONE + TWO)
        with pytest.raises(TopologyError, match="no device, gateway or part has this name"):
            await one.reload()
        assert list(one.status()) == ["one"]


async def test_what_was_not_read_cannot_be_read_again() -> None:
    async with running(ONE) as one:
        with pytest.raises(TopologyError, match="cannot be read again"):
            await one.reload()
        assert await one.reload(topology.loads(TWO)) == ["one was stopped", "two was started"]
        await passes("two")


async def test_a_new_device_whose_address_is_taken_is_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(ONE) as one:
        async with hs.Pull(bind="inproc://two-in"):
            await one.reload(topology.loads(ONE + TWO))
            status = await one.wait_state("two", "waiting")
            assert status.error == "inproc://two-in is bound by another socket"
        await one.wait_state("two", "running")
        await passes("two")


async def test_a_new_device_that_may_not_fail_ends_the_run() -> None:
    with trio.fail_after(PATIENCE), pytest.RaisesGroup(DeviceFailed):
        async with trio.open_nursery() as nursery, hs.Pull(bind="inproc://two-in"):
            run = partial(topology.run, topology.loads(ONE), signals=False)
            one: Running = await nursery.start(run)
            await one.reload(topology.loads(ONE + TWO + 'restart = "never"\n'))
            await one.wait_state("one", "stopped")


async def test_stopping_while_a_change_is_under_way() -> None:
    async with running(ONE) as one, trio.open_nursery() as nursery:
        changed = ONE + "backend.options.sndhwm = 7\n" + TWO
        nursery.start_soon(one.reload, topology.loads(changed))
        await one.wait_state("one", "stopping", "stopped", "starting")
        one.stop_soon()
    assert {at.state for at in one.status().values()} == {"stopped"}


async def test_stopping_while_a_configuration_service_is_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    source = topology.Source(path="inproc://nobody", name="", timeout=3600)
    async with running(replace(topology.loads(ONE), source=source)) as one:
        done: list[str] = []

        async def reload() -> None:
            done.extend(await one.reload())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reload)
            await wait_all_tasks_blocked()
            begun = trio.current_time()
            one.stop_soon()
            await one.wait_state("one", "stopped")
        assert trio.current_time() - begun < 10
        assert done == ["everything is being stopped"]


# Signals, which go to this process


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a signal has done, of which nothing else tells."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.001)


async def test_signals(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hypersocket")
    path = tmp_path / "t.toml"
    path.write_text(ONE)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            one: Running = await nursery.start(partial(topology.run, topology.load(path)))
            path.write_text(ONE + TWO)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "two" in one.status())
            await one.wait_state("two", "running")
            path.write_text("wrong = 1\n")
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "is wrong" in caplog.text)
            assert f"{path}:1: wrong = 1: unknown key" in caplog.text
            await passes("two")
            os.kill(os.getpid(), signal.SIGTERM)
    assert "SIGTERM: stopping" in caplog.text
    assert "two: stopped, with nothing left undelivered" in caplog.text


async def test_whatever_goes_wrong_when_reading_again_what_runs_runs_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    path = tmp_path / "t.toml"
    path.write_text(ONE)
    async with running(topology.load(path), signals=True):
        monkeypatch.setattr("hypersocket.devices.topology._run.load", fail)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "could not be read again" in caplog.text)
        assert "ZeroDivisionError" in caplog.text
        await passes("one")


async def test_a_second_signal_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    text = ONE + "backend.options.linger = 3600\nfrontend.options.linger = 3600\n"
    with trio.fail_after(PATIENCE):
        async with (
            trio.open_nursery() as nursery,
            hs.Pull(connect="inproc://one-out", rcvhwm=1),
            hs.Push(connect="inproc://one-in", linger=0) as source,
        ):
            one: Running = await nursery.start(partial(topology.run, topology.loads(text)))
            while fill(source.send_nowait):
                await wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGTERM)
            await one.wait_state("one", "stopping")
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: "interrupted twice" in caplog.text)


# What stands beside


async def test_monitor_and_metrics() -> None:
    pytest.importorskip("prometheus_client")
    text = ONE + 'monitor = "inproc://monitor"\nmonitor_interval = 0.01\nmetrics = "127.0.0.1:*"\n'
    async with running(text + TWO) as one:
        async with hs.Sub(connect="inproc://monitor", subscribe="") as sub:
            await passes("one")
            topic, *_ = await sub.recv_multipart()
            assert b"one" in topic
        (url,) = one.metrics_urls
        page = await trio.to_thread.run_sync(_fetch, url)
        assert 'device="one"' in page
        assert 'device="two"' not in page  # which has no metrics
        assert await one.reload(topology.loads(ONE + TWO)) == ["one was stopped and started anew"]
        assert one.metrics_urls == ()
        with pytest.raises(OSError, match="refused"):  # at once, not some time later
            socket.create_connection(("127.0.0.1", int(url.split(":")[2].partition("/")[0])))
        await passes("one")


async def test_a_mistake_of_the_monitor_does_not_end_the_device(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hypersocket.management.Feed._publish_stats", fail)
    async with running(ONE + 'monitor = "inproc://monitor"\n') as one:
        await until(lambda: "the monitor feed of 'one' failed" in caplog.text)
        await passes("one")
        assert one.status()["one"].restarts == 0


async def test_a_mistake_of_the_monitor_does_not_end_a_gateway(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hypersocket.management.Feed._publish_stats", fail)
    async with running(GATEWAY) as one:
        await until(lambda: "the monitor feed of 'gw' failed" in caplog.text)
        status = one.status()["gw"]
        assert (status.state, status.restarts) == ("running", 0)


async def test_who_looks_on_does_not_hold_up_the_end_of_a_gateway(
    autojump_clock: trio.testing.MockClock,
) -> None:
    text = GATEWAY.replace('bind = "inproc://gw-monitor"', 'connect = "inproc://nobody"')
    async with running(text) as one:
        opened = one.children["gw"].opened
        assert opened["monitor"].linger < opened["r"].linger


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read(), "utf-8")


async def test_metrics_of_all_devices() -> None:
    pytest.importorskip("prometheus_client")
    async with running(ONE + TWO, metrics="127.0.0.1:*") as one:
        (url,) = one.metrics_urls
        page = await trio.to_thread.run_sync(_fetch, url)
        assert 'device="one"' in page
        assert 'device="two"' in page


async def test_metrics_at_an_address_in_use() -> None:
    pytest.importorskip("prometheus_client")
    async with hs.Pull(bind="tcp://127.0.0.1:*") as taken:
        address = taken.endpoints[0].removeprefix("tcp://")
        async with hs.Push(connect="inproc://one-in", linger=0) as source:
            await source.send(b"x")
            with pytest.raises(hs.AddressInUse):
                await topology.run(topology.loads(ONE), metrics=address, signals=False)
            assert source.stats().queued_out == 1  # nobody was let in, to lose it


async def test_reloading_loses_nothing_on_its_way_through(tmp_path: Path) -> None:
    total = 20_000
    text = f"""
        [devices.d]
        kind = "streamer"
        frontend.bind = "ipc://{tmp_path}/f"
        backend.bind = "ipc://{tmp_path}/b"
    """
    received: list[int] = []

    async def send(source: hs.Push) -> None:
        for number in range(total):
            await source.send(b"%d" % number)

    async with (
        running(text) as one,
        hs.Push(connect=f"ipc://{tmp_path}/f", immediate=True) as source,
        hs.Pull(connect=f"ipc://{tmp_path}/b") as sink,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send, source)
        for times in range(1, 6):
            while len(received) < total * times // 7:
                received += map(int, await sink.recv_many(max=100))
            changed = text + f"\nbackend.options.sndhwm = {1000 + times}\n"
            nursery.start_soon(one.reload, topology.loads(changed))
        while len(received) < total:
            received += map(int, await sink.recv_many())
    assert sorted(received) == list(range(total))


async def test_a_queue_that_counts() -> None:
    text = """
        [devices.q]
        kind = "queue"
        balance = "least-outstanding"
        frontend.bind = "inproc://front"
        backend.bind = "inproc://back"
    """

    async def work(rep: hs.Rep, name: bytes) -> None:
        async for request in rep:
            if request == b"slow":
                await trio.sleep_forever()
            await rep.send(name)

    async with (
        running(text) as one,
        hs.Rep(connect="inproc://back") as rep,
        hs.Rep(connect="inproc://back") as other,
        hs.Req(connect="inproc://front") as req,
        hs.Req(connect="inproc://front") as patient,
        trio.open_nursery() as nursery,
    ):
        await one.children["q"].opened["backend"].wait_connected(2)
        nursery.start_soon(work, rep, b"one")
        nursery.start_soon(work, other, b"other")
        await patient.send(b"slow")
        await wait_all_tasks_blocked()
        # One is busy for ever, so all go to the other.
        answers = {await req.request(b"quick") for _ in range(10)}
        assert len(answers) == 1
        nursery.cancel_scope.cancel()
