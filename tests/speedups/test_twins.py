"""The compiled core and its plain Python twin do the same, whatever they are given.

Each test makes an input, drives both forms with it, and compares all that can be observed: what
is returned and raised, what is told to others and in which order, and what can be asked for.
"""

from __future__ import annotations

import gc
import importlib
import os
import random
import sys
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypersocket import _speedups
from hypersocket._reasons import DropReason, Reason


class Form:
    """All names of one form of the core, whichever module they are in."""

    def __init__(self, prefix: str) -> None:
        self.modules = [
            importlib.import_module(f"{_speedups.__name__}.{prefix}{name}")
            for name in _speedups.MODULES
        ]

    def __getattr__(self, name: str) -> Any:
        for module in self.modules:
            found = getattr(module, name, None)
            # Not what a module has only imported, which may be of the other form.
            if found is not None and getattr(found, "__module__", module.__name__) in {
                module.__name__,
                None,
            }:
                return found
        raise AttributeError(name)


plain_form: Any = Form("")
core: Any
try:
    core = Form("_")
except ModuleNotFoundError as error:
    ours = str(error.name).startswith(_speedups.__name__)
    if not ours or os.environ.get("HYPERSOCKET_REQUIRE_SPEEDUPS") == "1":
        raise
    pytest.skip("the compiled core is not built here", allow_module_level=True)

FORMS: tuple[Any, Any] = (plain_form, core)
ALL = 1 << 30


def outcome(call: Callable[[], Any]) -> Any:
    """What a call came to, in a form that can be compared."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  whatever it is, the twin's has to be the same
        return type(error), str(error), getattr(error, "reason", None)


def failed(result: Any) -> bool:
    return isinstance(result, tuple) and len(result) == 3 and isinstance(result[0], type)


# --- framing --------------------------------------------------------------------------------------

BUFFERS: list[Callable[[bytes], Any]] = [bytes, bytearray, memoryview]

sizes = st.sampled_from([0, 1, 2, 9, 254, 255, 256, 257, 8191, 8192, 8193, 65535, 65536, 65537])
bodies = st.one_of(
    st.binary(max_size=12),
    # Beginnings that tell a subscription are as likely as any other.
    st.builds(lambda size, first: (first + b"z" * size)[:size], sizes, st.binary(max_size=1)),
    st.builds(
        lambda topic, first: first + topic, st.binary(max_size=40), st.sampled_from([b"\0", b"\1"])
    ),
)
messages = st.one_of(bodies, st.lists(bodies, min_size=2, max_size=4))


def frame(flags: int, body: bytes, long: bool) -> bytes:
    if long or len(body) > 255:
        return bytes((flags | 2,)) + len(body).to_bytes(8, "big") + body
    return bytes((flags, len(body))) + body


valid_frames = st.builds(frame, st.sampled_from([0, 0, 0, 1, 4]), bodies, st.booleans())
odd_frames = st.one_of(
    st.builds(
        frame, st.integers(0, 255).filter(lambda flags: not flags & 2), bodies, st.booleans()
    ),
    # Sizes that are announced and never come, among them those that do not fit into 63 bits.
    st.builds(
        lambda flags, size, rest: bytes((flags | 2,)) + size.to_bytes(8, "big") + rest,
        st.sampled_from([0, 1, 4]),
        st.one_of(
            st.integers(0, 300), sizes, st.sampled_from([2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
        ),
        st.binary(max_size=3),
    ),
    st.binary(max_size=12),
)
streams = st.one_of(
    st.lists(valid_frames, max_size=10),
    st.builds(
        lambda good, odd, more: [*good, odd, *more],
        st.lists(valid_frames, max_size=4),
        odd_frames,
        st.lists(valid_frames, max_size=2),
    ),
).map(b"".join)


@st.composite
def streams_and_bounds(draw: st.DrawFn) -> tuple[bytes, tuple[Any, ...]]:
    """A stream, and bounds that its frames are at, or one past, as often as not."""
    at = draw(st.sampled_from([1, 10, 255, 256, 8192, 65536]))
    near = st.sampled_from([at - 1, at, at, at + 1])
    body = st.builds(lambda size, first: (first + b"z" * size)[:size], near, st.binary(max_size=1))
    close = st.builds(frame, st.sampled_from([0, 0, 1, 4]), body, st.booleans())
    wire = draw(st.one_of(streams, st.lists(close, max_size=6).map(b"".join)))
    return wire, (
        draw(st.one_of(st.just(ALL), near, near.map(lambda size: 2 * size))),  # message
        draw(st.one_of(st.just(100), st.integers(0, 4))),  # frames
        draw(st.one_of(st.just(70_000), near)),  # command
        draw(st.one_of(st.just(-1), near)),  # topic
        draw(st.booleans()),  # topics only
    )


def cut_up(data: st.DataObject, wire: bytes) -> list[Any]:
    """Pieces of any length, as buffers of any kind."""
    at = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[a:b] for a, b in zip([0, *at], [*at, len(wire)], strict=True)]
    return [data.draw(st.sampled_from(BUFFERS))(piece) for piece in pieces]


class Decoder:
    """One form's decoder, in words that can be compared."""

    def __init__(self, form: Any, args: tuple[Any, ...]) -> None:
        self.decoder = form.FrameDecoder(*args)
        self.out: list[Any] = []

    def seen(self) -> tuple[Any, ...]:
        types = [
            [type(one) for one in each] if type(each) is list else type(each) for each in self.out
        ]
        return self.out, types, self.decoder.has_data(), self.decoder.largest_frame()

    def decode(self, limit: int) -> Any:
        return outcome(lambda: self.decoder.decode(self.out, limit))

    def next_frame(self, bound: int) -> Any:
        return outcome(lambda: self.decoder.next_frame(bound, Reason.COMMAND_TOO_LARGE))

    def preamble(self, size: int) -> tuple[bytes, Any]:
        shown = self.decoder.peek(size)
        if len(shown) == size:
            self.decoder.skip(size)
        return shown, type(shown)


class TestDecoder:
    @settings(max_examples=300)
    @given(streams_and_bounds(), st.data())
    def test_messages_commands_and_errors(
        self, given: tuple[bytes, tuple[Any, ...]], data: st.DataObject
    ) -> None:
        wire, args = given
        plain, compiled = (Decoder(form, args) for form in FORMS)
        for piece in cut_up(data, wire):
            for each in (plain, compiled):
                each.decoder.feed(piece)
            assert compiled.seen() == plain.seen()
            while True:
                limit = data.draw(st.sampled_from([ALL, ALL, 0, 1, 2, 3]))
                expected = plain.decode(limit)
                assert compiled.decode(limit) == expected
                assert compiled.out == plain.out
                if failed(expected):
                    return  # the decoder is of no further use
                assert compiled.seen() == plain.seen()
                if expected is None and limit == ALL:
                    break

    @settings(max_examples=200)
    @given(st.binary(max_size=80), streams_and_bounds(), st.data())
    def test_greeting_and_handshake(
        self, greeting: bytes, given: tuple[bytes, tuple[Any, ...]], data: st.DataObject
    ) -> None:
        """What a connection does: look at a greeting, cut single frames, then all of them."""
        wire, args = given
        plain, compiled = (Decoder(form, args) for form in FORMS)
        waiting = len(greeting)
        frames_left = data.draw(st.integers(0, 3))
        for piece in cut_up(data, greeting + wire):
            for each in (plain, compiled):
                each.decoder.feed(piece)
            if waiting:
                shown = plain.preamble(waiting)
                assert compiled.preamble(waiting) == shown
                if len(shown[0]) < waiting:
                    continue
                waiting = 0
            while frames_left:
                bound = data.draw(st.sampled_from([0, 10, 300, ALL]))
                cut = plain.next_frame(bound)
                assert compiled.next_frame(bound) == cut
                if failed(cut):
                    return
                if cut is None:
                    break
                frames_left -= 1
            else:
                while True:
                    command = plain.decode(ALL)
                    assert compiled.decode(ALL) == command
                    assert compiled.seen() == plain.seen()
                    if failed(command):
                        return
                    if command is None:
                        break

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    def test_messages_are_their_own(self, form: Any) -> None:
        """A buffer that is fed may be used again at once."""
        wire = bytearray(b"\x00\x05hello\x01\x02ab\x00\x02cd")
        decoder = form.FrameDecoder(ALL, 100, 1000)
        out: list[Any] = []
        decoder.feed(memoryview(wire))
        wire[:] = b"\xff" * len(wire)
        assert decoder.decode(out, ALL) is None
        assert out == [b"hello", [b"ab", b"cd"]]

    @pytest.mark.parametrize(
        "args",
        [(), (1,), (1, 2), (1, 2, 3, 4, 5, 6), ("1", 2, 3), (1, None, 3)],
        ids=["none", "one", "two", "six", "str", "None"],
    )
    def test_wrong_arguments(self, args: tuple[Any, ...]) -> None:
        """Whether they are refused; the words are the compiler's own."""
        for form in FORMS:
            with pytest.raises(TypeError):
                form.FrameDecoder(*args).decode([], 1)


class TestEncoding:
    @settings(max_examples=200)
    @given(st.lists(messages, max_size=8), st.sampled_from([list, tuple, deque]))
    def test_messages(self, sent: list[Any], container: Callable[[Any], Any]) -> None:
        plain: list[Any] = ["kept"]
        compiled: list[Any] = ["kept"]
        plain_form.encode_messages(container(sent), plain)
        core.encode_messages(container(sent), compiled)
        assert compiled[0] == plain[0] == "kept"
        assert b"".join(compiled[1:]) == b"".join(plain[1:])
        assert [id(body) for body in compiled if is_large(body, sent)] == [
            id(body) for body in plain if is_large(body, sent)
        ]

    @given(st.lists(st.lists(bodies, min_size=1, max_size=3), max_size=4), st.data())
    def test_frames_of_other_buffers(self, sent: list[list[bytes]], data: st.DataObject) -> None:
        """The frames of a multipart message need not be bytes, nor the last of several."""
        kinds = st.sampled_from(BUFFERS)
        mixed = [[data.draw(kinds)(body) for body in message] for message in sent]
        plain: list[Any] = []
        compiled: list[Any] = []
        plain_form.encode_messages(mixed, plain)
        core.encode_messages(mixed, compiled)
        assert b"".join(compiled) == b"".join(plain)

    @given(st.lists(messages, max_size=4), st.sampled_from([None, 1, "text", [b"a", None], ["t"]]))
    def test_what_is_no_message(self, sent: list[Any], wrong: Any) -> None:
        for form in FORMS:
            with pytest.raises(TypeError):
                form.encode_messages([*sent, wrong], [])

    @given(st.integers(0, 7), st.one_of(sizes, st.integers(0, 2**63 - 1)))
    def test_header(self, flags: int, size: int) -> None:
        assert core.frame_header(flags, size) == plain_form.frame_header(flags, size)

    @given(bodies)
    def test_command(self, body: bytes) -> None:
        assert core.encode_command(body) == plain_form.encode_command(body)

    @given(st.lists(messages, max_size=6), st.data())
    def test_each_reads_the_other(self, sent: list[Any], data: st.DataObject) -> None:
        for writer, reader in (FORMS, FORMS[::-1]):
            out: list[Any] = []
            writer.encode_messages(sent, out)
            decoder = Decoder(reader, (ALL, 100, 1000))
            for piece in cut_up(data, b"".join(out)):
                decoder.decoder.feed(piece)
                assert decoder.decode(ALL) is None
            assert decoder.out == sent


def is_large(body: Any, sent: list[Any]) -> bool:
    """Whether a buffer that was encoded is one of the bodies themselves."""
    parts = [part for one in sent for part in (one if isinstance(one, list) else [one])]
    return any(body is part and len(part) >= plain_form.LARGE for part in parts)


# --- queues ---------------------------------------------------------------------------------------


class Told:
    """An owner and a link at once: it writes down what it is told, and by whom."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.drain = 0  # messages that a flush writes at once, as a link with a free wire does
        self.fair: Any = None
        self.balancer: Any = None

    def pipe_readable(self, pipe: Any) -> None:
        self.log.append(("readable", pipe.number))
        if self.fair is not None:
            self.fair.add(pipe)

    def pipe_writable(self, pipe: Any) -> None:
        self.log.append(("writable", pipe.number))
        if self.balancer is not None:
            self.balancer.add(pipe)

    def pipe_flushed(self, pipe: Any) -> None:
        self.log.append(("flushed", pipe.number))


class Link:
    """The transport's side of one pipe."""

    def __init__(self, told: Told, pipe: Any) -> None:
        self.told = told
        self.pipe = pipe

    def outgoing(self) -> None:
        self.told.log.append(("outgoing", self.pipe.number))

    def flush(self) -> None:
        self.told.log.append(("flush", self.pipe.number))
        if self.told.drain and self.pipe.has_outgoing:
            taken = self.pipe.take_outgoing(self.told.drain, ALL)
            self.pipe.written(len(taken), sum(map(size, taken)))

    def incoming_room(self) -> None:
        self.told.log.append(("incoming_room", self.pipe.number))


def size(message: Any) -> int:
    return len(message) if isinstance(message, bytes) else sum(map(len, message))


def pipe_class(form: Any) -> Any:
    """A pipe as the transports make it: a class in Python on top of the form's."""

    class Pipe(form.PipeQueues):  # type: ignore[misc]
        def __init__(self, told: Told, number: int, *args: Any) -> None:
            super().__init__(told, *args)
            self.number = number
            self.told = told

        def drop(self, reason: DropReason, count: int = 1) -> None:
            self.told.log.append(("drop", self.number, reason, count))

    return Pipe


PIPES = {form: pipe_class(form) for form in FORMS}

PROPERTIES = [
    *("room_out", "queued_in", "queued_out", "flushed", "readable", "holds_input", "has_outgoing"),
    *("messages_in", "messages_out", "bytes_in", "bytes_out", "connected", "closing", "gone"),
    *("sndhwm", "rcvhwm", "drop_at_end"),
]


class Model:
    """Some pipes of one form with a fair queue and a balancer, and what can be done to them."""

    def __init__(
        self, form: Any, count: int, hwms: tuple[int, int], conflate: bool, immediate: bool
    ) -> None:
        self.told = Told()
        self.pipes = [PIPES[form](self.told, number, *hwms, conflate) for number in range(count)]
        self.in_flight: list[list[Any]] = [[] for _ in self.pipes]
        self.fair = self.told.fair = form.FairQueue()
        self.balancer = self.told.balancer = form.LoadBalancer(immediate)
        for pipe in self.pipes:
            self.balancer.add(pipe)

    def seen(self) -> Any:
        source = self.fair.source
        return (
            [[getattr(pipe, name) for name in PROPERTIES] for pipe in self.pipes],
            [(pipe.count_room(), pipe.count_incoming(), pipe.link is None) for pipe in self.pipes],
            len(self.balancer),
            self.balancer.immediate,
            None if source is None else source.number,
            self.told.log,
        )

    def do(self, name: str, number: int, *args: Any) -> Any:
        pipe = self.pipes[number % len(self.pipes)]
        result = outcome(lambda: getattr(self, f"do_{name}")(pipe, *args))
        return getattr(result, "number", result)

    # Each returns what is to be compared. What a caller has to see to is seen to here.

    def do_connect(self, pipe: Any) -> None:
        pipe.link = Link(self.told, pipe)
        pipe.connected = True

    def do_disconnect(self, pipe: Any, how: str) -> None:
        flying = self.in_flight[pipe.number]
        if flying and how != "lost":
            pipe.put_back(flying[:], begun=how == "begun")
        elif flying:
            pipe.lost(1, DropReason.PEER_GONE)
            pipe.put_back(flying[1:], begun=False)
        flying.clear()
        pipe.link = None
        pipe.connected = False

    def do_send(self, pipe: Any, message: Any) -> Any:
        if not pipe.writable:
            return "full"
        return pipe.send(message)

    def do_has_room(self, pipe: Any) -> Any:
        return pipe.has_room()

    def do_want_room(self, pipe: Any) -> None:
        pipe.want_room()

    def do_room_again(self, pipe: Any) -> None:
        pipe.room_again()

    def do_take(self, pipe: Any, max_messages: int, max_bytes: int) -> Any:
        taken = pipe.take_outgoing(max_messages, max_bytes)
        self.in_flight[pipe.number] += taken
        return taken

    def do_written(self, pipe: Any, count: int) -> Any:
        flying = self.in_flight[pipe.number]
        done = flying[:count]
        del flying[:count]
        if done:
            pipe.written(len(done), sum(map(size, done)))

    def do_deliver(self, pipe: Any, some: list[Any]) -> Any:
        room = pipe.room_in
        pipe.deliver(some[:room])
        return room

    def do_recv(self, pipe: Any) -> Any:
        return pipe.recv()

    def do_hold(self, pipe: Any) -> None:
        pipe.hold_input()

    def do_release(self, pipe: Any) -> None:
        pipe.release_input()

    def do_discard(self, pipe: Any, which: str) -> Any:
        return getattr(pipe, which)()

    def do_forsake(self, pipe: Any) -> None:
        pipe.forsake()

    def do_set(self, pipe: Any, name: str, value: Any) -> None:
        setattr(pipe, name, value)

    def do_drain(self, pipe: Any, count: int) -> None:
        self.told.drain = count

    def do_fair_take(self, pipe: Any) -> Any:
        return self.fair.take()

    def do_fair_singles(self, pipe: Any, most: int) -> Any:
        return self.fair.take_singles(most)

    def do_next(self, pipe: Any) -> Any:
        return self.balancer.next()

    def do_balanced(self, pipe: Any, message: Any) -> Any:
        return self.balancer.send(message)

    def do_batch(self, pipe: Any, batch: list[Any]) -> Any:
        return self.balancer.send_batch(batch)

    def do_add(self, pipe: Any) -> None:
        self.balancer.add(pipe)

    def do_remove(self, pipe: Any) -> None:
        self.balancer.remove(pipe)


small = st.binary(max_size=3)
any_message = st.one_of(
    small, small, st.lists(small, min_size=2, max_size=3), st.just(b"L" * 40_000)
)
many = st.lists(any_message, max_size=5)


def op(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), st.integers(0, 3), *args)


operations = st.one_of(
    op("connect"),
    op("disconnect", st.sampled_from(["put back", "begun", "lost"])),
    op("send", any_message),
    op("send", any_message),
    op("has_room"),
    op("want_room"),
    op("room_again"),
    op("take", st.sampled_from([0, 1, 2, ALL]), st.sampled_from([0, 1, 5, 50_000, ALL])),
    op("written", st.integers(0, 4)),
    op("deliver", many),
    op("deliver", many),
    op("recv"),
    op("hold"),
    op("release"),
    op(
        "discard",
        st.sampled_from(["discard_incoming", "discard_outgoing", "clear_outgoing"]),
    ),
    op("forsake"),
    op("set", st.sampled_from(["closing", "gone", "connected"]), st.booleans()),
    op("set", st.just("drop_at_end"), st.sampled_from(list(DropReason))),
    op("drain", st.integers(0, 3)),
    op("fair_take"),
    op("fair_singles", st.integers(1, 4)),
    op("fair_take"),
    op("fair_singles", st.integers(1, 4)),
    op("next"),
    op("balanced", any_message),
    op("balanced", any_message),
    op("batch", many),
    op("add"),
    op("remove"),
)


class TestQueues:
    @settings(max_examples=400)
    @given(
        st.integers(1, 4),
        st.tuples(st.integers(0, 4), st.integers(0, 4)),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.lists(operations, min_size=20, max_size=80),
    )
    def test_any_operations(
        self,
        count: int,
        hwms: tuple[int, int],
        conflate: bool,
        immediate: bool,
        connected: bool,
        steps: list[Any],
    ) -> None:
        plain, compiled = (Model(form, count, hwms, conflate, immediate) for form in FORMS)
        before = [("connect", number) for number in range(count)] if connected else []
        for name, number, *args in [*before, *steps]:
            assert compiled.do(name, number, *args) == plain.do(name, number, *args)
            assert compiled.seen() == plain.seen()

    @pytest.mark.parametrize("seed", range(4))
    def test_long_queues(self, seed: int) -> None:
        """Queues that grow to thousands, so that what is used is moved or wrapped around."""
        rng = random.Random(seed)
        plain, compiled = (Model(form, 2, (0, 0), False, False) for form in FORMS)
        at = 0
        for _ in range(400):
            some = [b"%d" % number for number in range(at, at + rng.randrange(1000))]
            at += len(some)
            step: tuple[Any, ...] = rng.choice(
                [
                    ("deliver", rng.randrange(2), some),
                    ("batch", 0, some),
                    ("take", rng.randrange(2), rng.choice([10, 700]), ALL),
                    ("written", rng.randrange(2), rng.randrange(3000)),
                    ("disconnect", rng.randrange(2), "put back"),
                ]
            )
            assert compiled.do(*step) == plain.do(*step)
            for _ in range(rng.randrange(300)):
                assert compiled.do("fair_take", 0) == plain.do("fair_take", 0)
        assert compiled.seen() == plain.seen()

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    def test_a_waiting_message_is_kept_alive_once(self, form: Any) -> None:
        """What has left a queue is not held by it."""
        message = b"a message of its own %d" % id(form)
        model = Model(form, 1, (0, 0), False, False)
        before = sys.getrefcount(message)
        model.do("send", 0, message)
        model.do("deliver", 0, [message])
        assert sys.getrefcount(message) > before
        model.do("recv", 0)
        model.do("take", 0, ALL, ALL)
        model.do("written", 0, 1)
        assert sys.getrefcount(message) == before

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    def test_an_error_of_the_owner_is_not_lost(self, form: Any) -> None:
        class Broken(Told):
            def pipe_readable(self, pipe: Any) -> None:
                raise ZeroDivisionError("owner")

        pipe = PIPES[form](Broken(), 0, 1, 1, False)
        with pytest.raises(ZeroDivisionError, match="owner"):
            pipe.deliver([b"a"])
        assert pipe.recv() == b"a"

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    def test_cycles_are_collected(self, form: Any) -> None:
        """A pipe, its owner and its link refer to each other, and go together."""
        told = Told()
        gone = weakref.ref(told)
        pipe = PIPES[form](told, 0, 1, 1, False)
        pipe.link = Link(told, pipe)
        told.fair = form.FairQueue()
        pipe.deliver([[b"a", b"b"]])
        del told, pipe
        gc.collect()
        assert gone() is None


# --- the short ways -------------------------------------------------------------------------------


class Call:
    """One socket's short ways, and slow ones that only say that they were taken."""

    def __init__(self, form: Any, left: int) -> None:
        self.model = Model(form, 2, (2, 2), False, False)
        self.budget = form.Budget(left)
        self.senders: deque[Any] = deque()
        self.receivers: deque[Any] = deque()
        self.sending = form.SendPath(self.model.balancer, self.senders, self.budget, self.slow_send)
        self.head: list[Any] = []
        self.to_come: list[tuple[int, Any]] = []
        self.receiving = form.ReceivePath(
            self.model.fair, self.head, self.receivers, self.budget, self.slow_recv, self.refill
        )

    def refill(self) -> None:
        self.model.told.log.append("refill")
        if self.to_come:
            pipe, message = self.to_come.pop()
            self.model.do("deliver", pipe, [message])

    async def slow_send(self, data: Any) -> Any:
        self.model.told.log.append(("slow send", data))

    async def slow_recv(self) -> Any:
        self.model.told.log.append(("slow recv", self.head[:]))
        self.head.clear()
        return b"slow"

    def do(self, name: str, *args: Any) -> Any:
        return outcome(lambda: getattr(self, f"do_{name}")(*args))

    def do_send(self, data: Any) -> Any:
        return finish(self.sending.call(data))

    def do_recv(self) -> Any:
        return finish(self.receiving)

    def do_forget(self, data: Any) -> None:
        self.sending.call(data)  # never awaited: it has done nothing

    def do_open(self, sending: bool, receiving: bool) -> None:
        self.sending.is_open = sending
        self.receiving.is_open = receiving

    def do_budget(self, left: int) -> None:
        self.budget.left = left

    def do_wait(self, senders: int, receivers: int) -> None:
        self.senders.clear()
        self.senders.extend(range(senders))
        self.receivers.clear()
        self.receivers.extend(range(receivers))

    def do_deliver(self, number: int, some: list[Any]) -> Any:
        return self.model.do("deliver", number, some)

    def do_come(self, number: int, message: Any) -> None:
        self.to_come.append((number, message))

    def do_take(self, number: int) -> Any:
        taken = self.model.do("take", number, ALL, ALL)
        self.model.do("written", number, len(taken))
        return taken

    def seen(self) -> Any:
        return (
            self.model.seen(),
            self.budget.left,
            self.head,
            self.sending.is_open,
            self.receiving.is_open,
        )


def finish(awaitable: Any) -> Any:
    """Await something that never suspends."""

    async def wait() -> Any:
        return await awaitable

    task = wait()
    try:
        task.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it has suspended")


paths = st.one_of(
    st.tuples(st.just("send"), any_message),
    st.tuples(st.just("send"), any_message),
    st.tuples(st.just("send"), st.sampled_from([bytearray(b"a"), "text", None])),
    st.tuples(st.just("recv")),
    st.tuples(st.just("recv")),
    st.tuples(st.just("come"), st.integers(0, 3), any_message),
    st.tuples(st.just("forget"), any_message),
    st.tuples(st.just("open"), st.booleans(), st.booleans()),
    st.tuples(st.just("budget"), st.integers(-1, 4)),
    st.tuples(st.just("wait"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("deliver"), st.integers(0, 1), many),
    st.tuples(st.just("take"), st.integers(0, 1)),
)


class TestPaths:
    @settings(max_examples=200)
    @given(st.integers(0, 20), st.lists(paths, max_size=40))
    def test_any_calls(self, left: int, steps: list[Any]) -> None:
        plain, compiled = (Call(form, left) for form in FORMS)
        for name, *args in [("open", True, True), *steps]:
            assert compiled.do(name, *args) == plain.do(name, *args)
            assert compiled.seen() == plain.seen()

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    def test_calls_have_a_coroutines_methods(self, form: Any) -> None:
        calls = Call(form, 1)
        for each in (calls.sending.call(b"a"), calls.receiving):
            for name in ("send", "throw"):
                with pytest.raises(TypeError, match="to be awaited"):
                    getattr(each, name)(None)
            assert each.close() is None
