"""The shapes that devices make, each as a user runs it: as processes of its own."""

from __future__ import annotations

import re
import signal
import struct
from pathlib import Path

import pytest
import trio
import zmq

from .processes import FOLDER, Processes, ipc

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _posix_only() -> None:
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("uses POSIX signals")


def in_files(name: str) -> str:
    return str(FOLDER / f"{name}.toml")


# Request and reply through a shared queue


@pytest.mark.slow
async def test_requests_wait_for_services_which_come_and_go(tmp_path: Path) -> None:
    addresses = ipc(tmp_path, "front", "back", "control")
    async with Processes(in_files("shared_queue"), addresses) as processes:
        queue = await processes.run()
        first = await processes.program("client", "client", "3")
        await trio.to_thread.run_sync(_wait_until_queued, addresses["control"])
        # A request is there, and no service is.
        service = await processes.program("service", "service", "one")
        assert await first.lines(3) == [f"order {number} done by one" for number in range(3)]

        other = await processes.program("service", "service", "two")
        assert await other.line() == "two is there"
        many = await processes.program("client", "client", "10000")
        await many.until("by two")
        await many.until("by one")
        await service.kill()
        # What the killed service was asked is asked again after a while, and answered by another.
        await many.until("by two")
        third = await processes.program("service", "service", "three")
        await many.until("by three")
        await other.kill()
        await third.kill()
        await many.kill()
        await processes.program("service", "service", "four")
        last = await processes.program("client", "client", "2")
        assert await last.lines(2) == ["order 0 done by four", "order 1 done by four"]
        queue.signal(signal.SIGTERM)
        assert await queue.wait() == 0


def _wait_until_queued(control: str) -> None:
    """Wait until the queue has taken a request, by asking it."""
    with zmq.Context() as context, context.socket(zmq.REQ) as req:
        req.linger = 0
        req.rcvtimeo = 20_000
        req.connect(control)
        taken = 0
        while not taken:
            req.send(b"STATISTICS")
            taken = _numbers(req.recv_multipart())[0]


def _numbers(frames: list[bytes]) -> list[int]:
    return [struct.unpack("=Q", frame)[0] for frame in frames]


@pytest.mark.interop
async def test_libzmq_at_both_ends_of_the_queue(tmp_path: Path) -> None:
    addresses = ipc(tmp_path, "front", "back", "control")
    async with Processes(in_files("shared_queue"), addresses) as processes:
        await processes.run()
        answers = await trio.to_thread.run_sync(_ask_with_libzmq, addresses)
    assert answers == [b"order %d done" % number for number in range(20)]


def _ask_with_libzmq(addresses: dict[str, str]) -> list[bytes]:
    answers = []
    with zmq.Context() as context, context.socket(zmq.REQ) as req, context.socket(zmq.REP) as rep:
        for one in (req, rep):
            one.linger = 0
            one.rcvtimeo = 20_000
        req.connect(addresses["front"])
        rep.connect(addresses["back"])
        for number in range(20):
            req.send(b"order %d" % number)
            rep.send(rep.recv() + b" done")
            answers.append(req.recv())
    return answers


# Two sites


@pytest.mark.slow
async def test_sites_stand_in_for_each_other(tmp_path: Path) -> None:
    addresses = ipc(tmp_path, "oslo_front", "oslo_back", "rome_front", "rome_back")
    async with Processes(in_files("two_sites"), addresses) as processes:
        oslo = await processes.run("--only", "oslo")
        await processes.run("--only", "rome")
        service = await processes.program("service", "oslo-service", "oslo")
        await processes.program("service", "rome-service", "rome")
        client = await processes.program("client_of_two_sites", "oslo-own", "oslo-other")
        await client.until("by oslo")

        # The services of the own site die, and come back.
        await service.kill()
        await client.until("by rome")
        await processes.program("service", "oslo-service", "oslo")
        await client.until("by oslo")

        # The queue of the own site dies, and comes back.
        await oslo.kill()
        await client.until("by rome")
        await processes.run("--only", "oslo")
        await client.until("by oslo")


async def test_no_request_is_left_out_while_sites_change(tmp_path: Path) -> None:
    addresses = ipc(tmp_path, "oslo_front", "oslo_back", "rome_front", "rome_back")
    async with Processes(in_files("two_sites"), addresses) as processes:
        oslo = await processes.run("--only", "oslo")
        await processes.run("--only", "rome")
        await processes.program("service", "oslo-service", "oslo")
        await processes.program("service", "rome-service", "rome")
        client = await processes.program("client_of_two_sites", "oslo-own", "oslo-other")
        lines = await client.lines(5)
        await oslo.kill()
        while not any("by rome" in line for line in lines):
            lines.append(await client.line())
        lines += await client.lines(5)
    numbers = [int(re.findall(r"\d+", line)[0]) for line in lines]
    assert numbers == list(range(len(numbers)))


# Publish and subscribe over a slow link


async def test_nothing_crosses_the_link_that_nobody_wants(tmp_path: Path) -> None:
    names = ("publishers", "link", "subscribers", "hub_control", "relay_control")
    addresses = ipc(tmp_path, *names)
    wanted, size = 100, 50
    expected = [f"weather.oslo.{number}" for number in range(wanted)]
    with zmq.Context() as context, context.socket(zmq.SUB) as libzmq_farmer:
        libzmq_farmer.linger = 0
        libzmq_farmer.rcvtimeo = 20_000
        libzmq_farmer.connect(addresses["subscribers"])
        libzmq_farmer.subscribe("weather.oslo.")
        async with Processes(in_files("slow_link"), addresses) as processes:
            await processes.run("--only", "head-office")
            await processes.run("--only", "branch")
            farmer = await processes.program("subscriber", "farmer", str(wanted))
            # Both have subscribed, to topics that are not the same, so that both travel upstream.
            await trio.to_thread.run_sync(_wait_for_subscriptions, addresses["relay_control"], 2)
            stocks = await processes.program(
                "publisher", "stock-exchange", "stocks.oslo.", "1000", "10000"
            )
            assert await stocks.line() == "published 1000"
            weather = await processes.program(
                "publisher", "weather-station", "weather.oslo.", str(wanted), str(size)
            )
            assert await weather.line() == f"published {wanted}"
            assert await farmer.lines(wanted) == expected
            heard = await trio.to_thread.run_sync(
                lambda: [libzmq_farmer.recv() for _ in range(wanted)]
            )
            assert [one.decode().partition(" ")[0] for one in heard] == expected
            counted = await trio.to_thread.run_sync(_statistics, addresses["hub_control"])
            # In at the hub's frontend and out at its backend: the weather, once for both farmers.
            assert counted[:2] == [wanted, wanted * size]
            assert counted[6:] == [wanted, wanted * size]
            counted = await trio.to_thread.run_sync(_statistics, addresses["relay_control"])
            assert counted[:2] == [wanted, wanted * size]


def _statistics(control: str) -> list[int]:
    with zmq.Context() as context, context.socket(zmq.REQ) as req:
        req.linger = 0
        req.rcvtimeo = 20_000
        req.connect(control)
        req.send(b"STATISTICS")
        return _numbers(req.recv_multipart())


def _wait_for_subscriptions(control: str, count: int) -> None:
    """Wait until so many have come through: they are what the relay's backend receives."""
    while _statistics(control)[4] < count:
        pass


# A pipeline


@pytest.mark.slow
async def test_pipeline_grows_while_it_runs_and_keeps_order(tmp_path: Path) -> None:
    addresses = ipc(tmp_path, "source", "front", "back", "sink")
    # So much that most is yet to come when instances are added, whatever is under way.
    total, size = 20_000, 1_000
    async with Processes(in_files("pipeline"), addresses) as processes:
        await processes.run()
        sink = await processes.program("sink", "sink", str(total))
        for name in ("a1", "a2", "a3"):
            await processes.program("step", "a-in", "a-out", name)
        for name in ("b1", "b2", "b3"):
            await processes.program("step", "b-in", "b-out", name)
        await processes.program("source", "source", str(total), str(size))
        lines = await sink.lines(100)  # what is not read holds back all that comes before it
        for name, inlet, outlet in (("b4", "b-in", "b-out"), ("a4", "a-in", "a-out")):
            step = await processes.program("step", inlet, outlet, name)
            assert await step.line() == f"{name} is there"
        lines += await sink.lines(total - len(lines))
    arrived = [re.fullmatch(r"(\d+) (a\d):(\d+) (b\d):(\d+)", line) for line in lines]
    messages = [one.groups() for one in arrived if one is not None]
    assert sorted(int(message[0]) for message in messages) == list(range(total))
    assert {message[1] for message in messages} == {"a1", "a2", "a3", "a4"}
    assert {message[3] for message in messages} == {"b1", "b2", "b3", "b4"}
    for a in {message[1] for message in messages}:
        for b in {message[3] for message in messages}:
            one_way = [int(m[2]) for m in messages if (m[1], m[3]) == (a, b)]
            assert one_way == sorted(one_way)


@pytest.mark.slow
async def test_the_slowest_step_holds_back_the_source(tmp_path: Path) -> None:
    addresses = ipc(tmp_path, "source", "front", "back", "sink")
    total, size = 20_000, 10_000  # 200 MB
    async with Processes(in_files("pipeline"), addresses) as processes:
        queue = await processes.run()
        sink = await processes.program("sink", "sink", str(total))
        await processes.program("step", "a-in", "a-out", "a1")
        step_b = await processes.program("step", "b-in", "b-out", "b1")
        assert await step_b.line() == "b1 is there"
        step_b.signal(signal.SIGSTOP)
        before = queue.memory()
        source = await processes.program("source", "source", str(total), str(size))
        held = await source.until("held back after")
        sent = int(held.split()[-1])
        # High-water marks of 100 on each of the ways, and what the system holds of its own.
        assert sent * size < 64 * MIB
        assert queue.memory() - before < 64 * MIB
        step_b.signal(signal.SIGCONT)
        numbers = [int((await sink.line()).split()[0]) for _ in range(total)]
        assert numbers == list(range(total))


# Three tiers


@pytest.mark.slow
async def test_tiers_pull_their_configuration_from_a_service(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    text = (FOLDER / "tiers.toml").read_text(encoding="utf-8")
    (folder / "tiers.toml").write_text(text, encoding="utf-8")
    _write_addresses(folder, tmp_path)
    service = f"ipc://{tmp_path}/configuration"
    async with Processes(f"{service}#tiers", {}) as processes:
        tiers = [await processes.run("--only", tier) for tier in ("front", "mid", "core")]
        # Who pulls may come first, and waits.
        await processes.start(str(FOLDER / "configuration_service.py"), service, str(folder))
        archive = await processes.program("sink", "log-archive", "5")
        await processes.program("service", "orders-service", "orders")
        await processes.program("service", "stock-service", "stock")
        for socket in ("orders", "stock"):
            shop = await processes.program("client", f"ask-{socket}", "3")
            assert await shop.lines(3) == [f"order {n} done by {socket}" for n in range(3)]
        await processes.program("source", "tell-log", "5", "1")
        assert await archive.lines(5) == ["0", "1", "2", "3", "4"]
        for tier in tiers:
            tier.signal(signal.SIGTERM)
        assert [await tier.wait() for tier in tiers] == [0, 0, 0]


async def test_a_tier_moves_when_the_address_map_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    text = (FOLDER / "tiers.toml").read_text(encoding="utf-8")
    (folder / "tiers.toml").write_text(text, encoding="utf-8")
    _write_addresses(folder, tmp_path)
    service = f"ipc://{tmp_path}/configuration"
    async with Processes(f"{service}#tiers", {}) as processes:
        await processes.start(str(FOLDER / "configuration_service.py"), service, str(folder))
        tiers = [await processes.run("--only", tier) for tier in ("front", "mid", "core")]
        await processes.program("service", "orders-service", "orders")
        shop = await processes.program("client", "ask-orders", "1")
        assert await shop.line() == "order 0 done by orders"
        # SIGHUP ends a process that has not asked for it yet; an answer shows that all have.
        await processes.program("service", "stock-service", "stock")
        shop = await processes.program("client", "ask-stock", "1")
        assert await shop.line() == "order 0 done by stock"
        _write_addresses(folder, tmp_path, mid_orders="elsewhere")
        for tier in tiers[:2]:
            tier.signal(signal.SIGHUP)
        shop = await processes.program("client", "ask-orders", "2")
        assert await shop.lines(2) == [f"order {n} done by orders" for n in range(2)]
        with trio.fail_after(20):
            while not (tmp_path / "elsewhere").exists():  # noqa: ASYNC110 - a file has no event
                await trio.sleep(0.01)


def _write_addresses(folder: Path, sockets: Path, **moved: str) -> None:
    text = (FOLDER / "tiers.addresses.toml").read_text(encoding="utf-8")
    names = re.findall(r"^(\w+) = ", text, re.MULTILINE)
    lines = [f'{name} = "ipc://{sockets}/{moved.get(name, name)}"' for name in names]
    path = folder / "tiers.addresses.toml"
    path.write_text("\n".join(["[variables]", *lines, ""]), encoding="utf-8")
