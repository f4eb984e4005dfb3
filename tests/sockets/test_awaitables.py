"""What ``send`` and ``recv`` return can be used wherever a coroutine can."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
from typing import Any

import pytest
import trio

import hypersocket as hs
from hypersocket.sockets._receiving import BatchReceiver
from hypersocket.sockets._sending import BatchSender

from .worlds import joined

FORGETFUL = """
import trio
import hypersocket as hs

async def main():
    options = {"bind": "inproc://here"}, {"connect": "inproc://here"}
    for one, other in (hs.Push, hs.Pull), (hs.Pub, hs.Sub), (hs.Router, hs.Dealer):
        async with one(**options[0]) as one, other(**options[1]) as other:
            one.send_multipart([b"x", b"y"])
            other.recv()
            other.recv_multipart()
    async with hs.Push(bind="inproc://here") as push, hs.Pull(connect="inproc://here") as pull:
        push.send(b"forgotten")
        await push.send(b"awaited")
        print(await pull.recv())

trio.run(main)
"""


CALLS = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}")
    for kind in (hs.Push, hs.Pull, hs.Pub, hs.Dealer, hs.Router, hs.Req)
    for name in ("send", "send_multipart", "recv", "recv_multipart", "recv_many")
    if hasattr(kind, name)
]


@pytest.mark.parametrize(("kind", "name"), CALLS)
def test_help_has_the_same_words_whichever_way_is_taken(kind: type[Any], name: str) -> None:
    written = getattr(BatchSender if name.startswith("send") else BatchReceiver, name)
    assert inspect.getdoc(getattr(kind, name)) == inspect.getdoc(written)


async def test_they_can_be_started_as_tasks(here: str) -> None:
    async with joined(hs.Pull(), hs.Push(), here) as (pull, push):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(push.send, b"by a task")
            nursery.start_soon(pull.recv)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pull.recv_multipart)
            nursery.start_soon(push.send, b"by another")
        assert pull.stats().messages_in == 2


def test_they_can_be_run() -> None:
    """Outside of a run the socket is closed, which is what they say."""
    made: list[Any] = []

    async def main() -> None:
        async with joined(hs.Pull(), hs.Push()) as (pull, push):
            made.extend([pull, push])

    trio.run(main)
    for call in (made[0].recv, made[0].recv_multipart, lambda: made[1].send(b"x")):
        with pytest.raises(trio.ClosedResourceError):
            trio.run(call)


@pytest.mark.skipif(sys.flags.dev_mode, reason="calls are coroutines in development mode")
async def test_a_send_that_is_awaited_twice_or_never(here: str) -> None:
    async with joined(hs.Pull(), hs.Push(), here) as (pull, push):
        push.send(b"never awaited, never sent")  # type: ignore[unused-coroutine]
        call = push.send(b"once")
        await call
        with pytest.raises(RuntimeError, match="again"):
            await call
        del call
        gc.collect()
        await push.send(b"last")
        assert [await pull.recv(), await pull.recv()] == [b"once", b"last"]


@pytest.mark.skipif(sys.flags.dev_mode, reason="calls are coroutines in development mode")
async def test_a_receive_that_is_awaited_twice_or_never(here: str) -> None:
    """Each time it is awaited is a call."""
    async with joined(hs.Pull(), hs.Push(), here) as (pull, push):
        for number in range(3):
            await push.send(b"%d" % number)
        pull.recv()  # type: ignore[unused-coroutine]
        call = pull.recv()
        assert [await call, await call, await pull.recv()] == [b"0", b"1", b"2"]


def test_in_development_mode_python_tells_of_a_forgotten_await() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "always", "-c", FORGETFUL],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "b'awaited'\n")
    told = [line for line in done.stderr.splitlines() if "was never awaited" in line]
    calls = [line.split("'")[1].rpartition(".")[2] for line in told]
    assert sorted(calls) == sorted(["recv", "recv_multipart", "send_multipart"] * 3 + ["send"])


@pytest.mark.parametrize("trace", [sys.settrace, sys.setprofile], ids=["trace", "profile"])
async def test_they_can_be_traced(trace: Any, here: str) -> None:
    before = sys.gettrace() if trace is sys.settrace else sys.getprofile()
    lines = 0

    def follow(frame: Any, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += 1
        return follow

    async def use() -> None:
        for number in range(20):
            await push.send(b"%d" % number)
            await push.send_multipart([b"a", b"%d" % number])
        for number in range(20):
            assert await pull.recv() == b"%d" % number
            assert await pull.recv_multipart() == [b"a", b"%d" % number]

    async with joined(hs.Pull(), hs.Push(), here) as (pull, push):
        trace(follow)
        try:
            await use()
        finally:
            trace(before)
    assert lines > 0


async def test_a_short_call_in_a_cancelled_scope_has_done_its_work(here: str) -> None:
    """A cancellation is only delivered where others may run, and nothing was done then."""
    async with joined(hs.Pull(), hs.Push(), here) as (pull, push):
        done = 0
        with trio.CancelScope() as scope:
            scope.cancel()
            while True:
                await push.send(b"%d" % done)
                done += 1
        await push.send(b"last")
        with trio.fail_after(30):
            for number in range(done):
                assert await pull.recv() == b"%d" % number
            assert await pull.recv() == b"last"
