"""Both forms of what serves many connections at once, over real descriptors."""

from __future__ import annotations

import gc
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from .test_wire import Rig, both, encoded

EPOLLIN = 1
EPOLLOUT = 4

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here")


class Channel:
    """One that is no wire, and ends or dirties others when it is served."""

    def __init__(self, log: list[Any], name: str, then: Callable[[], object]) -> None:
        self.log = log
        self.name = name
        self.then = then

    def ready(self, events: int) -> None:
        self.log.append((self.name, events))
        self.then()

    def flush(self) -> None:
        self.log.append((self.name, "flush"))
        self.then()


def nothing() -> None:
    """What most channels do besides."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def readable(stack: ExitStack) -> int:
    """A descriptor that there is something to read from."""
    here, there = socket.socketpair()
    stack.enter_context(here)
    stack.enter_context(there)
    there.send(b"x")
    return here.fileno()


@needs_epoll
class TestServing:
    @both
    def test_wires_and_others_are_served(self, form: Any, stack: ExitStack) -> None:
        rig = Rig(form)
        epoll = stack.enter_context(select.epoll())
        channels = form.Channels()
        other = readable(stack)
        rig.far.send(encoded([b"message"]))
        for fd, channel in (
            (rig.wire.fd, rig.wire),
            (other, Channel(rig.owner.log, "other", nothing)),
        ):
            channels.add(fd, channel)
            epoll.register(fd, EPOLLIN)
        channels.serve(epoll, 64)
        assert rig.owner.log == ["readable", ("other", EPOLLIN)]
        assert rig.take() == [b"message"]
        rig.close()

    @both
    def test_who_is_ended_by_another_of_the_round_is_passed_over(
        self, form: Any, stack: ExitStack
    ) -> None:
        log: list[Any] = []
        epoll = stack.enter_context(select.epoll())
        channels = form.Channels()
        first, second = readable(stack), readable(stack)
        for fd, other in ((first, second), (second, first)):

            def end(other: int = other) -> None:
                assert channels.remove(other)

            channels.add(fd, Channel(log, "served", end))
            epoll.register(fd, EPOLLIN)
        channels.serve(epoll, 64)
        assert log == [("served", EPOLLIN)]
        assert len(channels) == 1

    @both
    def test_each_is_told_of_its_events(self, form: Any, stack: ExitStack) -> None:
        log: list[Any] = []
        epoll = stack.enter_context(select.epoll())
        channels = form.Channels()
        fd = readable(stack)
        channels.add(fd, Channel(log, "it", nothing))
        epoll.register(fd, EPOLLIN | EPOLLOUT)
        channels.serve(epoll, 1)
        channels.ready(fd, EPOLLOUT)
        channels.ready(fd + 1, EPOLLOUT)
        assert log == [("it", EPOLLIN | EPOLLOUT), ("it", EPOLLOUT)]

    @both
    def test_no_more_than_were_asked_for(self, form: Any, stack: ExitStack) -> None:
        log: list[Any] = []
        epoll = stack.enter_context(select.epoll())
        channels = form.Channels()
        for number in range(5):
            fd = readable(stack)
            channels.add(fd, Channel(log, str(number), nothing))
            epoll.register(fd, EPOLLIN)
        channels.serve(epoll, 3)
        assert len(log) == 3
        channels.serve(epoll, 2)
        assert sorted(log) == [(str(number), EPOLLIN) for number in range(5)]
        for most in (0, -1, 257):
            with pytest.raises(ValueError, match=f"most={most}: expected 1 to 256"):
                channels.serve(epoll, most)

    @both
    def test_nothing_is_ready(self, form: Any, stack: ExitStack) -> None:
        epoll = stack.enter_context(select.epoll())
        form.Channels().serve(epoll, 64)

    @both
    def test_a_number_that_another_has_by_now_is_passed_over(
        self, form: Any, stack: ExitStack
    ) -> None:
        """One of the round ends another, whose number is given again before its turn."""
        log: list[Any] = []
        epoll = stack.enter_context(select.epoll())
        mine, yours = form.Channels(), form.Channels()
        ends: dict[int, socket.socket] = {}
        for _ in range(2):
            here, there = socket.socketpair()
            stack.callback(here.close)
            stack.enter_context(there)
            there.send(b"x")
            ends[here.fileno()] = here
        first, second = ends

        def end(other: int) -> None:
            mine.remove(other)
            ends[other].close()
            here, there = socket.socketpair()
            stack.enter_context(here)
            stack.enter_context(there)
            assert other in {here.fileno(), there.fileno()}
            yours.add(other, Channel(log, "yours", nothing))

        for fd, other in ((first, second), (second, first)):
            mine.add(fd, Channel(log, "mine", partial(end, other)))
            epoll.register(fd, EPOLLIN)
        mine.serve(epoll, 64)
        assert log == [("mine", EPOLLIN)]

    @both
    def test_descriptors_that_nobody_has_are_passed_over(self, form: Any, stack: ExitStack) -> None:
        epoll = stack.enter_context(select.epoll())
        fd = readable(stack)
        epoll.register(fd, EPOLLIN)
        channels = form.Channels()
        channels.serve(epoll, 64)
        channels.add(fd, Channel([], "it", nothing))
        channels.remove(fd)
        channels.serve(epoll, 64)

    @pytest.mark.parametrize("prefix", ["", "_"], ids=["pure", "compiled"])
    def test_a_descriptor_beyond_all_that_anybody_had(self, prefix: str) -> None:
        subprocess.run([sys.executable, "-c", BEYOND.format(prefix=prefix)], check=True)

    @both
    def test_the_set_is_closed(self, form: Any) -> None:
        epoll = select.epoll()
        epoll.close()
        with pytest.raises(ValueError, match="closed"):
            form.Channels().serve(epoll, 64)

    @both
    def test_what_a_channel_raises_is_passed_on(self, form: Any, stack: ExitStack) -> None:
        def fail() -> None:
            raise KeyboardInterrupt

        epoll = stack.enter_context(select.epoll())
        channels = form.Channels()
        fd = readable(stack)
        channels.add(fd, Channel([], "it", fail))
        epoll.register(fd, EPOLLIN)
        with pytest.raises(KeyboardInterrupt):
            channels.serve(epoll, 64)


BEYOND = """
import os, resource, select
from hypersocket._speedups.{prefix}serving import Channels
here, there = os.pipe()
os.write(there, b"x")
high = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16) - 1
os.dup2(here, high)
epoll = select.epoll()
epoll.register(high, select.EPOLLIN)
Channels().serve(epoll, 64)
"""


class TestKeeping:
    @both
    def test_the_only_one(self, form: Any) -> None:
        channels = form.Channels()
        assert (len(channels), channels.only()) == (0, -1)
        channels.add(7, Channel([], "seven", nothing))
        assert (len(channels), channels.only()) == (1, 7)
        channels.add(5000, Channel([], "far off", nothing))
        assert (len(channels), channels.only()) == (2, -1)
        assert channels.remove(7)
        assert not channels.remove(7)
        assert channels.only() == 5000

    @both
    def test_no_descriptor(self, form: Any) -> None:
        with pytest.raises(ValueError, match="fd=-1: expected a descriptor"):
            form.Channels().add(-1, Channel([], "it", nothing))

    @both
    @needs_epoll
    def test_what_it_had_is_nobodys_when_it_goes(self, form: Any, stack: ExitStack) -> None:
        """Not even of one that comes to lie where it lay."""
        log: list[Any] = []
        epoll = stack.enter_context(select.epoll())
        fd = readable(stack)
        epoll.register(fd, EPOLLIN)
        for _ in range(20):
            before = form.Channels()
            before.add(fd, Channel(log, "before", nothing))
            del before
            form.Channels().serve(epoll, 64)
        assert log == []

    @both
    @needs_epoll
    def test_one_that_goes_takes_nothing_from_the_next(self, form: Any, stack: ExitStack) -> None:
        """A number may be given again while who had it before is not yet gone."""
        log: list[Any] = []
        epoll = stack.enter_context(select.epoll())
        fd = readable(stack)
        before, after = form.Channels(), form.Channels()
        before.add(fd, Channel(log, "before", nothing))
        after.add(fd, Channel(log, "after", nothing))
        epoll.register(fd, EPOLLIN)
        before.remove(fd)
        after.serve(epoll, 64)
        before.add(fd, Channel(log, "again", nothing))
        after.add(fd, Channel(log, "after", nothing))
        del before
        gc.collect()
        after.serve(epoll, 64)
        assert log == [("after", EPOLLIN)] * 2


class TestFlushing:
    @both
    def test_the_dirty_are_written_and_those_that_become_so(self, form: Any) -> None:
        rig = Rig(form)
        rig.pipe.send(b"first")
        late = Channel(rig.owner.log, "late", lambda: None)

        def dirty_others() -> None:
            rig.dirty.append(late)
            rig.pipe.send(b"second")

        rig.dirty.append(Channel(rig.owner.log, "dirties", dirty_others))
        rig.owner.log.clear()
        form.flush_dirty(rig.dirty)
        rig.pull()
        assert rig.owner.log == [("dirties", "flush"), ("late", "flush")]
        assert rig.got == encoded([b"first", b"second"])
        assert rig.dirty == []
        rig.close()
