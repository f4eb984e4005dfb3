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
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypersocket import ProtocolError, _speedups
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

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    @pytest.mark.parametrize("flags", [0, 4])
    def test_sizes_of_32_bits(self, form: Any, flags: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no room for more than 2 GiB, more is too large, whatever the bound."""
        with monkeypatch.context() as patched:
            patched.setattr(sys, "maxsize", 2**31 - 1)
            one, other = (form.FrameDecoder(2**63 - 1, 100, 2**63 - 1) for _ in range(2))
        assert one.largest_frame() == 2**31 - 1
        one.feed(bytes((flags | 2,)) + (2**31 - 1).to_bytes(8, "big"))
        assert one.decode([], 1) is None
        other.feed(bytes((flags | 2,)) + (2**31).to_bytes(8, "big"))
        with pytest.raises(ProtocolError, match="2147483648 bytes announced, 2147483647 allowed"):
            other.decode([], 1)

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
        self.supply: list[Any] = []  # what a link delivers as soon as it is told of room
        self.fair: Any = None
        self.balancer: Any = None
        self.on_flush: Callable[[Any], None] | None = None
        self.on_room: Callable[[Any], None] | None = None

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
        if self.told.on_flush is not None:
            self.told.on_flush(self.pipe)
        if self.told.drain and self.pipe.has_outgoing:
            taken = self.pipe.take_outgoing(self.told.drain, ALL)
            self.pipe.written(len(taken), sum(map(size, taken)))

    def incoming_room(self) -> None:
        self.told.log.append(("incoming_room", self.pipe.number))
        if self.told.on_room is not None:
            self.told.on_room(self.pipe)
        some = self.told.supply[: self.pipe.room_in]
        del self.told.supply[: len(some)]
        self.pipe.deliver(some)


def outlet_class(form: Any) -> Any:
    """A shorter way to write than the link's."""

    class Outlet(form.Outlet):  # type: ignore[misc]
        def __init__(self, told: Told, pipe: Any) -> None:
            self.told = told
            self.pipe = pipe

        def outgoing(self) -> None:
            self.told.log.append(("by outlet", self.pipe.number))

        def flush(self) -> None:
            self.told.log.append(("flush by outlet", self.pipe.number))
            self.pipe.link.flush()

    return Outlet


def inlet_class(form: Any) -> Any:
    """Stands between a pipe and its owner."""

    class Inlet(form.Inlet):  # type: ignore[misc]
        def __init__(self, told: Told, passes_on: bool) -> None:
            self.told = told
            self.passes_on = passes_on

        def incoming(self, pipe: Any) -> bool:
            self.told.log.append(("by inlet", pipe.number))
            return self.passes_on

    return Inlet


def own(message: Any) -> Any:
    """A message that one form may change, with nothing to see for the other."""
    return message[:] if type(message) is list else message


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
INLETS = {form: inlet_class(form) for form in FORMS}
OUTLETS = {form: outlet_class(form) for form in FORMS}

PROPERTIES = [
    *("room_out", "queued_in", "queued_out", "flushed", "readable", "holds_input", "has_outgoing"),
    *("messages_in", "messages_out", "bytes_in", "bytes_out", "connected", "closing", "gone"),
    *("sndhwm", "rcvhwm", "drop_at_end", "shares", "in_turn", "routing_id"),
]


class Model:
    """Some pipes of one form with a fair queue and a balancer, and what can be done to them."""

    def __init__(
        self, form: Any, count: int, hwms: tuple[int, int], conflate: bool, immediate: bool
    ) -> None:
        self.told = Told()
        self.form = form
        self.pipes = [PIPES[form](self.told, number, *hwms, conflate) for number in range(count)]
        self.in_flight: list[list[Any]] = [[] for _ in self.pipes]
        self.waiters: deque[Any] = deque()
        self.fair = self.told.fair = form.FairQueue(self.waiters)
        self.balancer = self.told.balancer = form.LoadBalancer(immediate)
        for pipe in self.pipes:
            self.balancer.add(pipe)

    def seen(self) -> Any:
        source = self.fair.source
        return (
            [[getattr(pipe, name) for name in PROPERTIES] for pipe in self.pipes],
            [(pipe.count_room(), pipe.count_incoming(), pipe.link is None) for pipe in self.pipes],
            [None if (behind := pipe.next_ready) is None else behind.number for pipe in self.pipes],
            len(self.fair),
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

    def do_want_flushed(self, pipe: Any) -> None:
        pipe.want_flushed()

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
        pipe.deliver([own(message) for message in some[:room]])
        return room

    def do_supply(self, pipe: Any, some: list[Any]) -> None:
        self.told.supply += map(own, some)

    def do_inlet(self, pipe: Any, which: str) -> None:
        kind = INLETS[self.form]
        made = {"fair": self.fair, "passes on": kind(self.told, True), "none": None}
        pipe.inlet = made.get(which, kind(self.told, False))

    def do_outlet(self, pipe: Any, given: bool) -> None:
        pipe.outlet = OUTLETS[self.form](self.told, pipe) if given else None

    def do_wait(self, pipe: Any, count: int) -> None:
        self.waiters.clear()
        self.waiters.extend(range(count))

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

    def do_fair_remove(self, pipe: Any) -> None:
        self.fair.remove(pipe)

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
    op("want_flushed"),
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
    op("supply", many),
    op("inlet", st.sampled_from(["none", "fair", "fair", "passes on", "swallows"])),
    op("outlet", st.booleans()),
    op("wait", st.integers(0, 1)),
    op("set", st.just("shares"), st.booleans()),
    op("fair_remove"),
    op("fair_take"),
    op("fair_singles", st.integers(1, 4)),
    op("fair_take"),
    op("fair_singles", st.sampled_from([1, 2, 3, 4, 1000, sys.maxsize])),
    op("next"),
    op("balanced", any_message),
    op("balanced", any_message),
    op("batch", many),
    op("add"),
    op("remove"),
)


queue_steps = st.one_of(
    st.tuples(st.just("put"), small),
    st.tuples(st.just("put"), st.lists(small, min_size=2, max_size=3)),
    st.tuples(st.just("put many"), st.integers(1, 5000)),
    st.tuples(st.just("take"), st.integers(1, 3)),
    st.tuples(st.just("take"), st.integers(1, 5000)),
    st.tuples(st.just("count_singles"), st.sampled_from([0, 1, 2, 5, 5000, sys.maxsize])),
    st.tuples(st.just("take_some"), st.one_of(st.integers(0, 5), st.integers(0, 10_000))),
    st.tuples(st.just("drop"), st.one_of(st.integers(0, 5), st.integers(0, 10_000))),
    st.tuples(st.just("put_first"), st.lists(small, max_size=3)),
    st.tuples(st.just("put_all"), st.lists(small, max_size=3)),
    st.tuples(st.just("clear"), st.none()),
)


def step(queue: Any, name: str, value: Any) -> Any:
    """One call, or several of the same; returns what came of it."""
    if name == "put many":
        return [queue.put(b"%d" % number) for number in range(value)]
    if name == "take":
        return [outcome(queue.take) for _ in range(value)]
    if name == "clear":
        return queue.clear()
    return getattr(queue, name)(value)


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

    @settings(max_examples=200)
    @given(st.lists(queue_steps, min_size=20, max_size=60))
    @example([("put many", 3), ("take", 1), ("count_singles", sys.maxsize)])
    def test_one_queue(self, steps: list[tuple[str, Any]]) -> None:
        plain, compiled = (form.Queue() for form in FORMS)
        for name, value in steps:
            if name in {"take_some", "drop"}:
                value = min(value, len(plain))  # they have to be there
            results = [step(queue, name, value) for queue in (plain, compiled)]
            assert results[1] == results[0]
            assert len(compiled) == len(plain)
            waiting = range(len(plain))
            assert [compiled.look(at) for at in waiting] == [plain.look(at) for at in waiting]

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
    def test_what_waits_is_written_to_make_room_for_a_batch(self, form: Any) -> None:
        model = Model(form, 1, (4, 4), False, False)
        model.do("connect", 0)
        model.do("add", 0)
        assert model.do("batch", 0, [b"1", b"2", b"3"]) is True
        assert model.do("batch", 0, [b"4", b"5"]) is False  # it was tried, in vain
        model.do("drain", 0, 3)
        assert model.do("batch", 0, [b"4", b"5"]) is True
        assert model.do("take", 0, ALL, ALL) == [b"4", b"5"]

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


class Bytes(bytes):
    """Not exactly bytes."""


class List(list[Any]):
    """Not exactly a list."""


class Text(str):
    """Not exactly a string."""

    __slots__ = ()


class Call:
    """One socket's short ways, of all kinds, and slow ones that only say that they were taken."""

    def __init__(self, form: Any, left: int, hwm: int) -> None:
        self.model = Model(form, 3, (hwm, hwm), False, False)
        self.told = self.model.told
        self.told.on_room = self.lose
        self.told.on_flush = self.give_up
        self.losing = self.giving_up = self.failing = False
        self.budget = form.Budget(left)
        self.senders: deque[Any] = deque()
        self.receivers: deque[Any] = deque()
        self.peers = {b"%d" % pipe.number: pipe for pipe in self.model.pipes}
        for name, pipe in self.peers.items():
            pipe.routing_id = name
        self.tree = form.PrefixTree()  # who wants what is published
        self.wanted = form.PrefixTree()  # what is to be received
        send = (self.senders, self.budget, self.slow_send)
        self.sending = {
            "plain": form.SendPath(self.model.balancer, *send),
            "multipart": form.MultipartSendPath(self.model.balancer, *send),
            "routed": form.RoutedSendPath(self.peers, *send),
            "publish": form.PublishPath(self.tree, *send, False),
            "publish multipart": form.PublishPath(self.tree, *send, True),
        }
        self.head: list[Any] = []
        self.to_come: list[tuple[int, Any, str]] = []
        self.late: deque[Any] = deque()
        self.lost: dict[Any, bytes] = {}
        receive = (
            *(self.model.fair, self.head, self.receivers, self.budget, self.slow_recv),
            self.refill,
        )
        ready = (*receive, self.look)
        self.receiving = {
            "plain": form.ReceivePath(*receive),
            "multipart": form.MultipartReceivePath(*receive),
            "plain, looking": form.ReceivePath(*ready),
            "many": form.BatchReceivePath(*receive),
            "many, looking": form.BatchReceivePath(*ready),
            "filtered": form.FilteredReceivePath(*receive, covers=self.covers),
            "filtered multipart": form.FilteredMultipartReceivePath(*receive, covers=self.covers),
            "routed": form.RoutedReceivePath(*receive, late=self.late, lost=self.lost),
        }

    # What they call

    def refill(self) -> None:
        self.told.log.append("refill")
        if self.to_come:
            number, message, also = self.to_come.pop()
            self.do_deliver(number, [message])
            if also == "closed":
                self.do_open(True, False)
            elif also == "waited for":
                self.receivers.append(0)
            elif also == "taken":
                self.head.append(b"taken")

    def look(self) -> bool:
        came = bool(self.to_come)
        self.refill()
        return came

    def covers(self, topic: bytes) -> bool:
        if self.failing:
            raise ZeroDivisionError("covers")
        found: bool = self.wanted.covers(topic)
        return found

    def lose(self, pipe: Any) -> None:
        """A connection ends as there is room again: its name is no longer its own."""
        if self.losing:
            self.lost[pipe] = pipe.routing_id
            pipe.routing_id = b"ended"

    def give_up(self, pipe: Any) -> None:
        """A connection proves broken as it is written: it has no subscriptions any more."""
        if self.giving_up:
            for topic in list(self.tree):
                self.tree.discard(topic, pipe, ALL)

    async def slow_send(self, data: Any) -> Any:
        self.told.log.append(("slow send", data))

    async def slow_recv(self, *most: int) -> Any:
        self.told.log.append(("slow recv", self.head[:], *most))
        self.head.clear()
        return b"slow"

    # What is done to them

    def do(self, name: str, *args: Any) -> Any:
        return outcome(lambda: getattr(self, f"do_{name}")(*args))

    def do_send(self, way: str, data: Any) -> Any:
        data = own(data)
        result = finish(self.sending[way].call(data))
        if type(data) is list:
            data.append(b"changed afterwards")
        return result

    def do_recv(self, way: str) -> Any:
        return finish(self.receiving[way])

    def do_forget(self, way: str, data: Any) -> None:
        self.sending[way].call(data)  # never awaited: it has done nothing

    def do_twice(self, way: str, data: Any) -> Any:
        call = self.sending[way].call(own(data))
        finish(call)
        return outcome(lambda: finish(call))

    def do_open(self, sending: bool, receiving: bool) -> None:
        for path in self.sending.values():
            path.is_open = sending
        for path in self.receiving.values():
            path.is_open = receiving

    def do_budget(self, left: int) -> None:
        self.budget.left = left

    def do_wait(self, senders: int, receivers: int) -> None:
        self.senders.clear()
        self.senders.extend(range(senders))
        self.receivers.clear()
        self.receivers.extend(range(receivers))

    def do_pipe(self, name: str, *args: Any) -> Any:
        return self.model.do(name, *args)

    def do_deliver(self, number: int, some: list[Any]) -> Any:
        return self.model.do("deliver", number, some)

    def do_flood(self, number: int, count: int) -> Any:
        return self.model.do("deliver", number, [b"unwanted"] * count)

    def do_come(self, number: int, message: Any, also: str) -> None:
        self.to_come.append((number, message, also))

    def do_take(self, number: int) -> Any:
        taken = self.model.do("take", number, ALL, ALL)
        self.model.do("written", number, len(taken))
        return taken

    def do_subscribe(self, number: int, topic: bytes) -> Any:
        return self.tree.add(topic, self.model.pipes[number])

    def do_unsubscribe(self, number: int, topic: bytes) -> Any:
        return self.tree.discard(topic, self.model.pipes[number])

    def do_want(self, topic: bytes, wanted: bool) -> Any:
        return (self.wanted.add if wanted else self.wanted.discard)(topic, "we")

    def do_late(self, message: Any) -> None:
        self.late.append(own(message))

    def do_switch(self, name: str, value: bool) -> None:
        if name == "inverted":
            self.receiving["filtered"].inverted = value
            self.receiving["filtered multipart"].inverted = value
        elif name == "is_plain":
            self.sending["publish"].is_plain = value
            self.sending["publish multipart"].is_plain = value
        else:
            setattr(self, name, value)

    def seen(self) -> Any:
        paths = [*self.sending.values(), *self.receiving.values()]
        return (
            self.model.seen(),
            self.budget.left,
            self.head,
            list(self.late),
            [(pipe.number, name) for pipe, name in self.lost.items()],
            list(self.tree),
            [path.is_open for path in paths],
            [getattr(path, "is_plain", getattr(path, "inverted", None)) for path in paths],
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


topics = st.text("ab", max_size=2).map(str.encode)
addressed = st.lists(small, min_size=1, max_size=3).flatmap(
    lambda rest: st.sampled_from([b"0", b"1", b"2", b"nobody"]).map(lambda name: [name, *rest])
)
no_messages = st.sampled_from(
    [
        *(bytearray(b"a"), "text", None, (b"0", b"a"), [], [b"0"], [b"0", None], [["0"], b"a"]),
        *([b"0", bytearray(b"a")], Bytes(b"a"), List([b"0", b"a"]), [Bytes(b"0"), b"a"]),
    ]
)
any_data = st.one_of(any_message, addressed, no_messages)
out_ways = st.sampled_from(["plain", "multipart", "routed", "publish", "publish multipart"])
in_ways = st.sampled_from(
    [
        *("plain", "multipart", "filtered", "filtered multipart", "routed"),
        *("plain, looking", "many", "many, looking"),
    ]
)
numbers = st.integers(0, 2)
any_in = st.lists(st.one_of(any_message, topics, st.just(b"unwanted")), max_size=5)

paths = st.one_of(
    *[st.tuples(st.just("send"), out_ways, any_data) for _ in range(4)],
    *[st.tuples(st.just("recv"), in_ways) for _ in range(4)],
    st.tuples(st.just("twice"), out_ways, any_data),
    st.tuples(st.just("come"), numbers, any_message, st.sampled_from(["", "", "closed"])),
    st.tuples(st.just("come"), numbers, any_message, st.sampled_from(["waited for", "taken"])),
    st.tuples(st.just("forget"), out_ways, any_message),
    st.tuples(st.just("open"), st.booleans(), st.booleans()),
    st.tuples(st.just("open"), st.just(True), st.just(True)),
    st.tuples(st.just("budget"), st.integers(-1, 40)),
    st.tuples(st.just("wait"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.just(0), st.just(0)),
    st.tuples(st.just("deliver"), numbers, any_in),
    st.tuples(st.just("deliver"), numbers, any_in),
    st.tuples(st.just("flood"), numbers, st.sampled_from([7, 8, 20, 255, 256, 257, 600])),
    st.tuples(st.just("take"), numbers),
    st.tuples(st.just("subscribe"), numbers, topics),
    st.tuples(st.just("subscribe"), numbers, topics),
    st.tuples(st.just("unsubscribe"), numbers, topics),
    st.tuples(st.just("want"), topics, st.booleans()),
    st.tuples(st.just("late"), addressed),
    st.tuples(
        st.just("switch"),
        st.sampled_from(["inverted", "is_plain", "losing", "giving_up", "failing"]),
        st.booleans(),
    ),
    # What else happens to their pipes.
    st.tuples(
        st.just("pipe"),
        st.sampled_from(["connect", "hold", "release", "add", "remove", "fair_remove"]),
        numbers,
    ),
    st.tuples(
        st.just("pipe"), st.just("disconnect"), numbers, st.sampled_from(["put back", "lost"])
    ),
    st.tuples(st.just("pipe"), st.just("inlet"), numbers, st.sampled_from(["none", "fair"])),
    st.tuples(st.just("pipe"), st.just("outlet"), numbers, st.booleans()),
    st.tuples(st.just("pipe"), st.just("supply"), numbers, any_in),
    st.tuples(st.just("pipe"), st.just("drain"), numbers, st.integers(0, 3)),
    st.tuples(
        *(st.just("pipe"), st.just("set"), numbers),
        *(st.sampled_from(["closing", "gone", "shares"]), st.booleans()),
    ),
)


class TestPaths:
    @settings(max_examples=600)
    @given(
        st.integers(0, 40),
        st.sampled_from([0, 1, 2, 5]),
        st.booleans(),
        st.lists(paths, min_size=20, max_size=60),
    )
    def test_any_calls(self, left: int, hwm: int, connected: bool, steps: list[Any]) -> None:
        plain, compiled = (Call(form, left, hwm) for form in FORMS)
        before = [("pipe", "connect", number) for number in range(3)] if connected else []
        for name, *args in [*before, ("open", True, True), *steps]:
            assert compiled.do(name, *args) == plain.do(name, *args)
            assert compiled.seen() == plain.seen()

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    def test_calls_have_a_coroutines_methods(self, form: Any) -> None:
        calls = Call(form, 1, 2)
        sent = [path.call(b"a") for path in calls.sending.values()]
        for each in (*sent, *calls.receiving.values()):
            for name in ("send", "throw"):
                with pytest.raises(TypeError, match="to be awaited"):
                    getattr(each, name)(None)
            assert each.close() is None

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    def test_what_a_socket_inherits(self, form: Any) -> None:
        class Socket(form.ShortWays):  # type: ignore[misc]
            def __init__(self) -> None:
                calls = Call(form, 1, 2)
                self._send_path = calls.sending["plain"]
                self._send_multipart_path = calls.sending["multipart"]
                self._receive_path = calls.receiving["plain"]
                self._receive_multipart_path = calls.receiving["multipart"]
                self._receive_many_path = calls.receiving["many"]
                self._calls = calls
                self._own = 1

            def _set_public(self, name: str, value: Any) -> None:
                asked.append(name)
                self._set_plainly(name, value)

        asked: list[str] = []
        socket = Socket()
        assert (socket._own, asked) == (1, [])
        socket.public = 2
        socket.öffentlich = 3
        assert (socket.public, asked) == (2, ["public", "öffentlich"])
        assert socket.short_recv() is socket._receive_path
        assert socket.short_recv_multipart() is socket._receive_multipart_path
        assert socket.short_recv_many() is socket._receive_many_path
        assert finish(socket.short_recv_many(7)) == b"slow"
        assert socket._calls.told.log == [("slow recv", [], 7)]
        assert (
            type(socket.short_send(b"a")) is type(socket.short_send_multipart([])) is form.SendCall
        )
        del socket._own, socket.public
        assert not hasattr(socket, "_own")
        assert not hasattr(socket, "public")

    @pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])
    @pytest.mark.parametrize("name", ["", Text("_a"), Text("a"), 5, None, b"_b"])
    def test_odd_names_of_attributes(self, form: Any, name: Any) -> None:
        class Socket(form.ShortWays):  # type: ignore[misc]
            def _set_public(self, name: str, value: Any) -> None:
                self._set_plainly(name, value)

        socket = Socket()
        if isinstance(name, str):
            setattr(socket, name, 1)
            assert getattr(socket, name) == 1
        else:
            with pytest.raises(TypeError, match="attribute name must be string"):
                Socket.__setattr__(socket, name, 1)

    def test_what_is_no_message_is_read_as_none(self) -> None:
        """A transport from outside may deliver anything: compiled, that must not go unchecked."""
        for way in ("multipart", "routed"):
            calls = Call(core, 10, 0)
            calls.do_open(True, True)
            calls.model.pipes[0].deliver([(b"a", b"b")])
            with pytest.raises(TypeError):
                calls.do_recv(way)
