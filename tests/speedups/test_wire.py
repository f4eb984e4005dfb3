"""Both forms of the wire, over real sockets: the same goes in, and the same is seen.

How much one system call brings or takes is the system's affair, and differs. So what is compared
is what a poller would see when all that can be done has been done; and, of a connection that ends
in the middle, that what it gives back fits what the other end got.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypersocket._reasons import DropReason

from .test_twins import ALL, FORMS, bodies, frame, outcome, plain_form, size, streams_and_bounds

CUT_ALL, NO_ROOM, COMMAND_CAME, ENDED = range(4)
WRITTEN, BLOCKED, TURN_OVER = range(3)
BOUNDS = (ALL, 100, 100_000)

both = pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])


class Owner:
    """A pipe's owner and its wire's, which writes down what it is told."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.log: list[Any] = []
        self.on_readable: Callable[[], object] | None = None
        self.on_writable: Callable[[], object] | None = None
        self.on_flushed: Callable[[], object] | None = None
        self.control: list[bytes] = []

    def pipe_readable(self, pipe: Any) -> None:
        self.log.append("readable")
        if self.on_readable:
            self.on_readable()

    def pipe_writable(self, pipe: Any) -> None:
        self.log.append("writable")
        if self.on_writable:
            self.on_writable()

    def pipe_flushed(self, pipe: Any) -> None:
        self.log.append("flushed")
        if self.on_flushed:
            self.on_flushed()

    def found(self, found: int) -> None:
        self.log.append(("found", found))

    def failed(self, error: Exception) -> None:
        self.log.append(("failed", type(error), str(error), getattr(error, "reason", None)))
        self.rig.dead = True

    def write_failed(self) -> None:
        self.log.append("write failed")
        self.rig.wire.writes = False

    def write_blocked(self) -> None:
        self.log.append(("blocked", self.rig.wire.blocked))

    def read_slowly(self) -> None:
        self.log.append("read slowly")

    def add_control(self) -> None:
        self.log.append("add control")
        for data in self.control:
            self.rig.wire.add_control(data)
        self.control.clear()


def pipe_class(form: Any) -> Any:
    class Pipe(form.PipeQueues):  # type: ignore[misc]
        def drop(self, reason: DropReason, count: int = 1) -> None:
            self.owner.log.append(("drop", reason, count))

    return Pipe


PIPES = {form: pipe_class(form) for form in FORMS}


class Rig:
    """One form's wire at one end of a socket pair; the other end is the test's."""

    def __init__(
        self,
        form: Any,
        *,
        hwms: tuple[int, int] = (0, 0),
        conflate: bool = False,
        bounds: tuple[Any, ...] = BOUNDS,
        begin: bytes = b"",
        dirty: list[Any] | None = None,
        sndbuf: int = 0,
    ) -> None:
        self.form = form
        self.dead = False
        self.near, self.far = socket.socketpair()
        for end in (self.near, self.far):
            end.setblocking(False)
        if sndbuf:
            self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        self.owner = Owner(self)
        self.pipe = PIPES[form](self.owner, *hwms, conflate)
        self.decoder = form.FrameDecoder(*bounds)
        self.decoder.feed(begin)
        self.dirty: list[Any] = [] if dirty is None else dirty
        ring = lambda: self.owner.log.append("ring")  # noqa: E731
        self.wire = form.Wire(
            self.near.fileno(), self.pipe, self.decoder, self.owner, self.dirty, ring
        )
        self.wire.writes = True
        self.pipe.link = self
        self.pipe.outlet = self.wire
        self.backlog = bytearray()
        self.got = bytearray()

    # The pipe's link

    def outgoing(self) -> None:
        raise AssertionError("there is an outlet")

    def flush(self) -> None:
        self.wire.flush()

    def incoming_room(self) -> None:
        self.owner.log.append("incoming room")

    def send_at_once(self, messages: list[Any]) -> None:
        """All of them, none being written meanwhile."""
        self.pipe.link = None
        for message in messages:
            self.pipe.send(message)
        self.pipe.link = self
        self.wire.flush()

    # What the far end does

    def push(self) -> None:
        """Write what is still to be written there, as far as it goes."""
        if self.backlog and self.far.fileno() >= 0:
            with contextlib.suppress(BlockingIOError):
                del self.backlog[: self.far.send(self.backlog)]

    def pull(self, most: int = 1 << 20) -> int:
        """Read there."""
        try:
            data = self.far.recv(most)
        except (BlockingIOError, ConnectionResetError):
            return 0
        self.got += data
        return len(data)

    # What a poller does

    def drain(self) -> list[Any]:
        """Read all that can be read; returns what was found that is no message."""
        found: list[Any] = []
        while not self.dead:
            self.push()
            answer = outcome(self.wire.read)
            if answer == CUT_ALL:
                if not self.backlog and not select.select([self.near], [], [], 0)[0]:
                    return found
                continue
            if answer == COMMAND_CAME:
                found.append((answer, self.wire.command, self.pipe.messages_in))
                continue
            found.append(answer)
            self.dead = answer not in (COMMAND_CAME, NO_ROOM)
            return found
        return found

    def write_all(self) -> None:
        """Write and have it read there, until there is nothing to write."""
        for _ in range(100_000):
            if self.dirty:
                self.dirty.clear()
                self.wire.flush()
            moved = self.pull()
            if self.wire.blocked and select.select([], [self.near], [], 0)[1]:
                self.wire.ready(4)
            elif not moved and not self.wire.blocked and not self.dirty:
                return
        raise AssertionError("it goes on for ever")

    def take(self, count: int = ALL) -> list[Any]:
        taken: list[Any] = []
        while len(taken) < count and self.pipe.readable:
            taken.append(self.pipe.recv())
        return taken

    def seen(self) -> Any:
        pipe = self.pipe
        return (
            [pipe.messages_in, pipe.bytes_in, pipe.messages_out, pipe.bytes_out],
            [pipe.queued_in, pipe.queued_out, pipe.flushed, pipe.room_out],
            [self.wire.heard, self.wire.has_outgoing, self.wire.blocked],
            self.owner.log,
        )

    def close(self) -> None:
        self.pipe.link = self.pipe.outlet = None
        self.wire.close()
        self.near.close()
        self.far.close()


@contextlib.contextmanager
def rigs(count: int = 1, **options: Any) -> Iterator[list[Rig]]:
    """So many of each form, the plain ones first; some share a list of those that are dirty."""
    made = [Rig(form, **options) for form in FORMS for _ in range(count)]
    try:
        yield made
    finally:
        for form in FORMS:
            form.forget_shared()
        for rig in made:
            rig.close()


SIZES = [
    0,
    1,
    2,
    254,
    255,
    256,
    257,
    4095,
    4096,
    4097,
    8191,
    8192,
    8193,
    32767,
    32768,
    65535,
    65536,
]
LARGE_SIZES = [131071, 131072, 300_000, 4 * 1024 * 1024 + 1]


# Drawn in short, so that an example can be read: a body as its size and what it is filled with.
sized = st.tuples(st.sampled_from(SIZES), st.integers(0, 255))
large = st.tuples(st.sampled_from([*SIZES, *LARGE_SIZES]), st.integers(0, 255))
singles = st.one_of(st.binary(max_size=20), sized)
few = st.lists(st.one_of(singles, st.lists(singles, min_size=2, max_size=3)), max_size=30)
any_message: st.SearchStrategy[Any] = st.one_of(
    singles, singles, large, st.lists(sized, min_size=2, max_size=5)
)


def in_full(drawn: Any) -> Any:
    if isinstance(drawn, tuple):
        size, seed = drawn
        return bytes([seed, 255 - seed]) * (size // 2) + bytes(size % 2)
    return [in_full(one) for one in drawn] if isinstance(drawn, list) else drawn


def encoded(messages: list[Any]) -> bytes:
    out: list[Any] = []
    plain_form.encode_messages(messages, out)
    return b"".join(out)


def pieces(data: st.DataObject, wire: bytes) -> list[bytes]:
    """Byte by byte, in a few large pieces, or anything between."""
    if len(wire) < 1500 and data.draw(st.booleans()):
        return [wire[at : at + 1] for at in range(len(wire))]
    at = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    return [wire[a:b] for a, b in zip([0, *at], [*at, len(wire)], strict=True)]


class TestReading:
    @settings(max_examples=250)
    @given(streams_and_bounds(), st.sampled_from([0, 0, 1, 2, 5]), st.booleans(), st.data())
    def test_frames_commands_and_mistakes(
        self, given: tuple[bytes, tuple[Any, ...]], hwm: int, conflate: bool, data: st.DataObject
    ) -> None:
        """Anything, also what is malformed or passes a bound, in pieces, with messages taken."""
        wire, bounds = given
        bounds = (*bounds[:3], -1)  # where messages may be subscriptions, no wire cuts them
        begin = data.draw(st.integers(0, min(len(wire), 20)))
        with rigs(hwms=(0, hwm), conflate=conflate, bounds=bounds, begin=wire[:begin]) as made:
            self.drive(made, wire[begin:], data)

    @settings(max_examples=120)
    @given(st.lists(any_message, max_size=12), st.sampled_from([0, 0, 1, 3]), st.data())
    def test_messages_of_all_sizes(self, sent: list[Any], hwm: int, data: st.DataObject) -> None:
        sent = in_full(sent)
        with rigs(hwms=(0, hwm)) as made:
            assert self.drive(made, encoded(sent), data) == sent

    @given(st.lists(st.one_of(st.just(b""), bodies), min_size=2, max_size=4), st.data())
    def test_commands_between_and_within_messages(
        self, some: list[bytes], data: st.DataObject
    ) -> None:
        frames = [frame(1, body, False) for body in some[:-1]] + [frame(0, some[-1], False)]
        command = st.builds(frame, st.just(4), bodies, st.booleans())
        wire = b"".join(
            b"".join(data.draw(st.lists(command, max_size=2))) + one for one in frames * 3
        )
        with rigs() as made:
            assert self.drive(made, wire, data) == [some] * 3

    def drive(self, made: list[Rig], wire: bytes, data: st.DataObject) -> list[Any]:
        plain, compiled = made
        got: list[Any] = []
        ends = data.draw(st.booleans())
        counts = data.draw(st.lists(st.sampled_from([0, 1, ALL]), min_size=1, max_size=9))
        for piece, count in zip(pieces(data, wire), cycle(counts), strict=False):
            for rig in made:
                rig.backlog += piece
            found = plain.drain()
            assert compiled.drain() == found
            taken = plain.take(count)
            assert compiled.take(count) == taken
            got += taken
            assert compiled.seen() == plain.seen()
        # How much the system takes of what is behind a full queue is not the same each time.
        if ends and not any(rig.backlog for rig in made):
            for rig in made:
                rig.far.close()
        while True:
            found = plain.drain()
            assert compiled.drain() == found
            taken = plain.take()
            assert compiled.take() == taken
            got += taken
            assert compiled.seen() == plain.seen()
            if not taken or plain.dead:
                return got

    def test_thousands_of_small_frames(self) -> None:
        sent: list[Any] = [b"%d" % number for number in range(50_000)]
        sent[100:100] = [[b"a"] * 90, b"x" * 70_000, [b""] * 3]
        with rigs() as made:
            for rig in made:
                rig.backlog += encoded(sent)
                assert rig.drain() == []
                assert rig.take() == sent

    @both
    def test_an_end_within_a_message(self, form: Any) -> None:
        wire = encoded([b"whole", [b"a" * 300, b"b" * 9000], b"never"])
        for end in [*range(0, 700, 7), *range(9000, len(wire))]:
            rig = Rig(form)
            rig.backlog += wire[:end]
            rig.push()
            rig.far.close()
            assert rig.drain() == [ENDED]
            whole = [b"whole", [b"a" * 300, b"b" * 9000]]
            count = sum(end >= len(encoded(whole[: n + 1])) for n in range(2))
            assert rig.take() == whole[:count]
            rig.close()

    @both
    def test_a_broken_connection(self, form: Any) -> None:
        rig = Rig(form)
        rig.near.send(b"unread")  # makes the end a reset
        rig.far.close()
        kind, _, _ = outcome(rig.wire.read)
        assert kind is ConnectionResetError
        rig.close()

    @both
    @pytest.mark.parametrize("announced", [1 << 62, (1 << 62) + 1, (1 << 63) - 1])
    def test_sizes_that_nobody_has(self, form: Any, announced: int) -> None:
        """Nothing is set aside for what is only announced, and what comes is stored once."""
        rig = Rig(form, bounds=((1 << 63) - 1, 100, 1000))
        rig.backlog += b"\2" + announced.to_bytes(8, "big") + bytes(3_000_000)
        assert rig.drain() == []
        assert rig.pipe.queued_in == 0
        rig.close()

    @both
    def test_an_owner_that_takes_sends_and_closes(self, form: Any) -> None:
        """From within what it is told; nothing is lost, and nothing comes after the end."""
        rig = Rig(form, hwms=(0, 2))
        sent = [b"%d" % number for number in range(100)]
        got: list[Any] = []

        def take() -> None:
            assert rig.wire.read() == CUT_ALL  # the outer call goes on
            got.extend(rig.take())
            rig.pipe.send(b"answer")
            rig.wire.flush()
            if len(got) >= 50:
                rig.wire.close()

        rig.owner.on_readable = take
        rig.backlog += encoded(sent)
        rig.push()
        assert rig.wire.read() == CUT_ALL
        assert got == sent[:50]
        assert rig.take() == []
        rig.pull()
        assert bytes(rig.got) == encoded([b"answer"] * 25)
        rig.close()

    @both
    def test_an_owner_that_fails(self, form: Any) -> None:
        """What was cut before is there, and what came behind it is not lost."""
        rig = Rig(form, hwms=(0, 2))

        def fail() -> None:
            raise ZeroDivisionError("owner")

        rig.owner.on_readable = fail
        rig.backlog += encoded([b"1", [b"2", b"2"], b"3"])
        rig.push()
        with pytest.raises(ZeroDivisionError, match="owner"):
            rig.wire.read()
        rig.owner.on_readable = None
        assert rig.take() == [b"1", [b"2", b"2"]]
        assert rig.drain() == []
        assert rig.take() == [b"3"]
        rig.close()

    @both
    def test_commands_without_end_give_way_to_others(self, form: Any) -> None:
        """A peer that writes commands all the time is not read for ever in one turn."""
        rig = Rig(form)
        command = frame(4, b"\4PING\0\0", False) * 1000
        for _ in range(50_000):
            if len(rig.backlog) < 100_000:
                rig.backlog += command
            rig.push()
            if rig.wire.read() != COMMAND_CAME:
                break
        else:
            raise AssertionError("it goes on for ever")
        assert rig.drain()  # in the next turn
        rig.close()


class TestWriting:
    @settings(max_examples=150)
    @given(
        st.lists(st.one_of(st.lists(any_message, max_size=6), st.binary(max_size=3)), max_size=8),
        st.sampled_from([0, 4608, 40_000]),
        st.booleans(),
        st.booleans(),
        st.data(),
    )
    def test_everything_comes_in_order(
        self, steps: list[Any], sndbuf: int, eager: bool, conflate: bool, data: st.DataObject
    ) -> None:
        """Messages and control between them, to a peer that reads now and then."""
        steps = in_full(steps)
        reads = [data.draw(st.sampled_from([0, 1, 7, 5000, 1 << 20])) for _ in steps]
        with rigs(sndbuf=sndbuf, conflate=conflate) as made:
            for rig in made:
                rig.wire.eager = eager
                for step, count in zip(steps, reads, strict=True):
                    if isinstance(step, bytes):
                        rig.owner.control.append(frame(4, step, False))
                        rig.wire.has_control = True
                        rig.wire.outgoing()
                    else:
                        for message in step:
                            rig.pipe.send(message)
                    if count:
                        rig.pull(count)
                rig.write_all()
                assert not rig.wire.has_outgoing
                assert rig.pipe.flushed
                assert rig.owner.log[-1:] in ([], ["flushed"]) or rig.owner.control == []
            plain, compiled = made
            sent = [message for step in steps if isinstance(step, list) for message in step]
            for rig in made:
                messages, commands = self.read_back(rig.got)
                if not conflate:
                    assert messages == sent
                assert commands == [step for step in steps if isinstance(step, bytes)]
                assert rig.pipe.messages_out == len(messages)
                assert rig.pipe.bytes_out == sum(map(size, messages))
            if not conflate:
                assert compiled.seen()[:2] == plain.seen()[:2]

    def read_back(self, wire: bytearray) -> tuple[list[Any], list[bytes]]:
        decoder = plain_form.FrameDecoder(ALL, 10_000, ALL)
        decoder.feed(bytes(wire))
        messages: list[Any] = []
        commands: list[bytes] = []
        while (command := decoder.decode(messages, ALL)) is not None:
            commands.append(command)
        assert not decoder.has_data()
        return messages, commands

    @settings(max_examples=250)
    @given(
        st.lists(
            st.one_of(any_message, st.integers(20, 90).map(lambda n: [(5000, 7)] * n)),
            min_size=1,
            max_size=12,
        ),
        st.sampled_from([4608, 20_000, 100_000]),
        st.lists(st.sampled_from([1, 100, 3000, 70_000, 1 << 20]), max_size=12),
        st.sampled_from(["close", "break"]),
    )
    def test_what_an_end_in_the_middle_gives_back(
        self, sent: list[Any], sndbuf: int, reads: list[int], how: str
    ) -> None:
        """Whole messages are counted as sent; one that was begun is given back as such."""
        sent = in_full(sent)
        with rigs(sndbuf=sndbuf) as made:
            for rig in made:
                for message in sent:
                    rig.pipe.send(message)
                rig.wire.flush()
                for count in reads:
                    rig.pull(count)
                    rig.wire.ready(4)
                if how == "break":
                    while rig.pull():
                        pass
                    rig.far.shutdown(socket.SHUT_RD)
                    rig.wire.ready(4)
                rig.wire.close()
                while rig.pull():
                    pass
                self.check_given_back(rig, sent)

    def check_given_back(self, rig: Rig, sent: list[Any]) -> None:
        whole = 0
        while whole < len(sent) and len(encoded(sent[: whole + 1])) <= len(rig.got):
            whole += 1
        assert rig.got == encoded(sent)[: len(rig.got)]
        begun = len(rig.got) > len(encoded(sent[:whole]))
        assert rig.pipe.messages_out == whole
        assert rig.pipe.bytes_out == sum(map(size, sent[:whole]))
        assert rig.pipe.queued_out == len(sent) - whole
        if whole == len(sent):
            return
        # A second connection that ends on a message that was begun before drops it.
        rig.owner.log.clear()
        first = rig.pipe.take_outgoing(1, 1)
        assert first == sent[whole : whole + 1]
        rig.pipe.put_back(first, True)
        assert rig.owner.log == ([("drop", DropReason.PEER_GONE, 1)] if begun else [])

    @both
    def test_a_message_that_was_not_begun_can_be_taken_back(self, form: Any) -> None:
        """However many buffers it takes: while no byte of it is written, it is in the queue."""
        rig = Rig(form, sndbuf=4608)
        rig.pipe.send(b"x" * 50_000)
        rig.wire.flush()
        assert rig.wire.blocked
        rig.pipe.send([b"m" * 5000] * 70)
        for _ in range(3):  # the first is written, and no byte of the second
            while rig.wire.blocked and len(rig.got) < 50_009:
                rig.pull(50_009 - len(rig.got))
                rig.wire.ready(4)
        queued = rig.pipe.queued_out
        written = rig.pipe.messages_out
        assert queued + written == 2
        rig.close()

    @pytest.mark.parametrize("length", [0, 1, 63, 255, 256, 300, 3900, 4095, 4096, 4097])
    def test_bursts_of_any_length(self, length: int) -> None:
        """As many as go into one batch, and one more: their headers need space too."""
        sent = [bytes([n % 256]) * length for n in range(2000)]
        with rigs() as made:
            for rig in made:
                rig.send_at_once(sent)
                rig.write_all()
                assert rig.got == encoded(sent)

    def test_the_longest_batch(self) -> None:
        sent = [b"h" * 256] * 255 + [b"r" * 255, b"t" * 4096, b"after"]
        with rigs() as made:
            for rig in made:
                rig.send_at_once(sent)
                rig.write_all()
                assert rig.got == encoded(sent)

    @both
    def test_control_that_comes_while_it_writes(self, form: Any) -> None:
        """From within what the owner is told of the room."""
        rig = Rig(form, hwms=(1, 0))

        def send_control() -> None:
            rig.owner.on_flushed = None
            rig.owner.control.append(frame(4, b"late", False))
            rig.wire.has_control = True
            rig.wire.outgoing()

        rig.owner.on_flushed = send_control
        rig.pipe.want_flushed()
        rig.pipe.send(b"message")
        rig.write_all()
        assert rig.got == encoded([b"message"]) + frame(4, b"late", False)
        rig.close()

    @both
    def test_an_owner_is_told_once_that_all_is_written(self, form: Any) -> None:
        rig = Rig(form)
        for number in range(9):
            if number == 4:
                rig.pipe.want_flushed()
            rig.pipe.send(b"%d" % number)
            rig.write_all()
            assert rig.owner.log.count("flushed") == (number >= 4)
        rig.close()

    @both
    def test_an_owner_that_sends_and_closes(self, form: Any) -> None:
        """From within what it is told of the room."""
        rig = Rig(form, hwms=(2, 0))
        left = [[b"%d" % number, b"x" * 5000] for number in range(30)]
        sent: list[Any] = []

        def send() -> None:
            while left and rig.pipe.writable:
                sent.append(left.pop(0))
                rig.pipe.send(sent[-1])
            if len(sent) == 20:
                rig.wire.close()

        rig.owner.on_writable = send
        send()
        for _ in range(30):
            rig.wire.flush()
            rig.pull()
        assert rig.got == encoded(sent[: rig.pipe.messages_out])
        assert rig.pipe.messages_out + rig.pipe.queued_out == len(sent) >= 20
        rig.close()

    @both
    def test_enough_for_one_turn(self, form: Any) -> None:
        rig = Rig(form)
        rig.wire.turn_bytes = 1
        rig.send_at_once([bytes([number]) * 70_000 for number in range(5)])
        assert rig.owner.log.count(("blocked", True)) > 0
        rig.write_all()
        assert len(rig.got) == 5 * 70_009
        rig.close()

    @both
    def test_what_is_no_message(self, form: Any) -> None:
        rig = Rig(form)
        rig.send_at_once([b"good", [b"a", "text"]])
        assert rig.owner.log[-1][:2] == ("failed", TypeError)
        rig.close()


class TestPublishing:
    @settings(max_examples=100)
    @given(
        st.lists(
            st.tuples(
                st.lists(
                    st.one_of(singles, st.lists(singles, min_size=2, max_size=3)), max_size=30
                ),
                st.sets(st.integers(0, 4)),
                st.booleans(),
            ),
            max_size=6,
        ),
        st.sampled_from([0, 4608]),
    )
    def test_each_gets_its_own(self, steps: list[Any], sndbuf: int) -> None:
        """Pipes that are sent the same messages, though not all of them all."""
        steps = [(in_full(messages), *more) for messages, *more in steps]
        with rigs(count=5, sndbuf=sndbuf) as made:
            for group in (made[:5], made[5:]):
                sent: list[list[Any]] = [[] for _ in group]
                for rig in group:
                    rig.pipe.shares = True
                for messages, left_out, forgets in steps:
                    for message in messages:
                        for number, rig in enumerate(group):
                            if number not in left_out:
                                rig.pipe.send(message)
                                sent[number].append(message)
                    for number, rig in enumerate(group):
                        rig.wire.flush()
                        if number % 2:
                            rig.pull()
                    if forgets:
                        rig.form.forget_shared()
                for rig, expected in zip(group, sent, strict=True):
                    rig.write_all()
                    assert rig.got == encoded(expected)
                    assert rig.pipe.messages_out == len(expected)
                    assert rig.pipe.bytes_out == sum(map(size, expected))

    @both
    def test_nothing_is_held_once_forgotten(self, form: Any) -> None:
        rig = Rig(form)
        rig.pipe.shares = True
        message = b"of its own %d" % id(rig)
        before = sys.getrefcount(message)
        rig.pipe.send(message)
        rig.wire.flush()
        form.forget_shared()
        assert sys.getrefcount(message) == before
        rig.close()


class TestMeanwhile:
    """Other code that runs where nobody expects it must not disturb what is under way."""

    @pytest.mark.parametrize("conflate", [False, True])
    def test_reading_by_others(self, conflate: bool) -> None:
        """Whatever Python function is called while messages are cut, it may read another wire."""
        sent = [[b"%d" % number, b"a" * 300] for number in range(100)]
        other_sent = b"\0\xff" + b"?" * 255
        for form in FORMS:
            rig, other = Rig(form, conflate=conflate), Rig(form)
            rig.backlog += encoded(sent)
            rig.push()

            def meddle(*_: Any, other: Rig = other) -> None:
                other.backlog += other_sent * 100
                other.push()
                other.wire.read()

            with everywhere(meddle):
                rig.wire.read()
            assert rig.take() == (sent[-1:] if conflate else sent)
            assert set(other.take()) <= {b"?" * 255}
            rig.close()
            other.close()

    @pytest.mark.parametrize("shares", [False, True])
    def test_writing_by_others(self, shares: bool) -> None:
        sent: list[Any] = [[b"%d" % number, b"a" * 300] for number in range(100)]
        sent += [b"%d" % number for number in range(100)]
        for form in FORMS:
            rig, other = Rig(form), Rig(form)
            rig.pipe.shares = other.pipe.shares = shares

            def meddle(*_: Any, other: Rig = other) -> None:
                for _number in range(10):
                    other.pipe.send(b"?" * 2000)
                other.wire.flush()
                other.pull()

            for message in sent:
                rig.pipe.send(message)
            with everywhere(meddle):
                rig.wire.flush()
            rig.write_all()
            assert rig.got == encoded(sent)
            rig.close()
            other.close()

    @both
    def test_the_collector_is_left_as_it_was(self, form: Any) -> None:
        rig = Rig(form, bounds=(10, 100, 1000))
        for enabled in (True, False):
            (gc.enable if enabled else gc.disable)()
            try:
                rig.backlog += encoded([b"a", [b"b", b"c"]])
                rig.drain()
                rig.pipe.shares = True
                rig.pipe.send(b"a")
                rig.wire.flush()
                assert gc.isenabled() is enabled
            finally:
                gc.enable()
        rig.backlog += encoded([b"too long a message"])
        rig.drain()
        assert rig.dead
        assert gc.isenabled()
        rig.close()


@contextlib.contextmanager
def everywhere(meddle: Callable[[], None]) -> Iterator[None]:
    """Have something done wherever Python can run: at each collection, and in each call."""
    busy = False

    def run(*_: Any) -> None:
        nonlocal busy
        if not busy:
            busy = True
            try:
                meddle()
            finally:
                busy = False

    thresholds = gc.get_threshold()
    profiler = sys.getprofile()
    gc.callbacks.append(run)
    gc.set_threshold(1, 1, 1)
    sys.setprofile(lambda frame, event, _: run() if event == "call" else None)
    try:
        yield
    finally:
        sys.setprofile(profiler)
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(run)


class TestMemory:
    @both
    def test_nothing_is_kept(self, form: Any) -> None:
        """Over many messages of all kinds, read and written."""
        sent = [b"aaaa", b"b" * 300, b"c" * 9000, [b"dd", b"e" * 70_000], [b"f" * 5000] * 70] * 3

        def once() -> None:
            rig = Rig(form, sndbuf=20_000)
            for message in sent:
                rig.pipe.send(message)
            rig.write_all()
            rig.backlog += rig.got + frame(4, b"command", False)
            rig.drain()
            assert rig.take() == sent
            rig.backlog += encoded(sent)[:400_000]  # ends within one
            rig.drain()
            rig.close()

        def counted() -> list[int]:
            gc.collect()
            counts = [sys.getrefcount(one) for one in (b"", None, *sent)]
            return [sys.getallocatedblocks(), *counts]

        for _ in range(20):
            once()
        before = counted()
        for _ in range(200):
            once()
        grown = [now - was for now, was in zip(counted(), before, strict=True)]
        assert max(grown) < 150
        assert not any(grown[3:])
