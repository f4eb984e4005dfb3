"""Checks of socket types: what is common to all, from options to closing."""

from __future__ import annotations

import inspect
import math
from typing import Any

import trio
import trio.testing

from .. import sockets as s
from .._errors import EndpointError
from .._options import options_of
from ..transports import registered
from ._asserting import expect, raises, same, within
from ._socket_scene import (
    SocketChecks,
    SocketType,
    calls_of,
    can_receive,
    can_send,
    talk,
)
from ._transport_scene import MakeEndpoint

COMMON_CHECKS = SocketChecks()


@COMMON_CHECKS
async def options(cls: SocketType, _peer_cls: SocketType, _make: MakeEndpoint) -> None:
    """Options are keyword arguments and attributes; a wrong one is refused by name."""
    make: Any = cls
    for name, option in options_of(cls).items():
        socket = make(**{name: option.default})
        same(getattr(socket, name), option.default, f"{name} is what it was set to")
        setattr(socket, name, option.default)
        _expect_type_error(name, make, {name: object()}, "refuses a value of the wrong type")
        with raises(TypeError, f"{name} refuses a value of the wrong type as an attribute too"):
            setattr(socket, name, object())
        same(getattr(socket, name), option.default, f"{name} is what it was before")
    for unknown in ("no_such_option", "ROUTING_ID", "rcvtimeo"):
        _expect_type_error(unknown, make, {unknown: 1}, "is no option")
    with raises(ValueError, "a duration is not below zero"):
        cls(linger=-1)
    with raises(ValueError, "a duration is a number"):
        cls(linger=math.nan)


def _expect_type_error(name: str, make: Any, given: dict[str, Any], why: str) -> None:
    try:
        make(**given)
    except TypeError as error:
        expect(name in str(error), f"{name} {why}; the TypeError names it: {error}")
    else:
        raise AssertionError(f"{name} {why}: a TypeError")


@COMMON_CHECKS
async def calls_fit_the_type(cls: SocketType, _peer_cls: SocketType, _make: MakeEndpoint) -> None:
    """A type has the calls that it can do, in all their forms, and no others."""
    for able, first, second in (
        (can_send(cls), "send", ("send_multipart", "send_nowait", "send_multipart_nowait")),
        (can_receive(cls), "recv", ("recv_multipart", "recv_nowait", "recv_multipart_nowait")),
    ):
        for name in second:
            same(hasattr(cls, name), able, f"{cls.__name__} has {name} where it has {first}")
    expect(can_send(cls) or can_receive(cls), "a socket type sends or receives")
    expect(issubclass(cls, trio.abc.AsyncResource), "a socket is a trio.abc.AsyncResource")
    expect(cls.socket_type.isupper(), "socket_type is ZMTP's name, in capitals")
    expect(inspect.getdoc(cls) is not None, "a socket type says what it is for")


@COMMON_CHECKS
async def endpoints_are_checked_at_once(
    cls: SocketType, _peer_cls: SocketType, _make: MakeEndpoint
) -> None:
    """An endpoint that cannot be understood is refused by the constructor."""
    make: Any = cls
    for bad in ("nonsense", "nonsense://x", "://", ""):
        for where in ("bind", "connect"):
            try:
                make(**{where: bad})
            except EndpointError as error:
                expect(repr(bad) in str(error), "an EndpointError quotes the endpoint")
            else:
                raise AssertionError(f"{where}={bad!r} is an EndpointError")
    try:
        cls(bind="nonsense://x")
    except EndpointError as error:
        expect(all(one in str(error) for one in registered()), "it says which schemes there are")
    with raises(TypeError, "an endpoint is text"):
        make(bind=[b"tcp://127.0.0.1:*"])


@COMMON_CHECKS
async def use_outside_the_block(
    cls: SocketType, _peer_cls: SocketType, _make: MakeEndpoint
) -> None:
    """A socket that was not opened raises RuntimeError, and says how to open it."""
    for name, call in calls_of(cls, cls()).items():
        try:
            result = call()
            if inspect.isawaitable(result):
                with within(f"{name} of a socket that is not open raises at once"):
                    await result
        except RuntimeError as error:
            expect("async with" in str(error), f"{name} says how a socket is opened: {error}")
        else:
            raise AssertionError(f"{name} outside of `async with` is a RuntimeError")


@COMMON_CHECKS
async def opened_once(cls: SocketType, _peer_cls: SocketType, make: MakeEndpoint) -> None:
    """A socket is opened once, also when opening failed."""
    async with cls() as socket:
        with raises(RuntimeError, "a socket that is open cannot be opened"):
            async with socket:
                pass
    with raises(RuntimeError, "a socket that was closed cannot be opened"):
        async with socket:
            pass
    async with cls(bind=make()) as first:
        second = cls(bind=first.endpoints)
        with raises(OSError, "opening raises what binding raised, by itself"):
            async with second:
                pass
        for call in (second.aclose, first.aclose, first.aclose):
            with within("aclose may be called again"):
                await call()


@COMMON_CHECKS
async def closed(cls: SocketType, peer_cls: SocketType, make: MakeEndpoint) -> None:
    """Every call on a closed socket raises ClosedResourceError, however it was closed."""
    for leave in (False, True):
        async with talk(cls, peer_cls, make) as scene:
            if not leave:
                await scene.socket.aclose()
                await _check_closed(cls, scene.socket)
        await _check_closed(cls, scene.socket)
        same(scene.socket.endpoints, (), "a closed socket has no endpoints")
        scene.socket.stats()
        expect("closed" in repr(scene.socket), "repr tells a closed socket")


async def _check_closed(cls: SocketType, socket: s.Socket) -> None:
    for name, call in calls_of(cls, socket).items():
        with raises(trio.ClosedResourceError, f"{name} of a closed socket"):
            result = call()
            if inspect.isawaitable(result):
                with within(f"{name} of a closed socket raises at once"):
                    await result
    if can_receive(cls):
        receiver: Any = socket
        async for _ in receiver:
            raise AssertionError("iteration over a closed socket ends")
        async for _ in receiver.multipart():
            raise AssertionError("iteration over a closed socket ends")


@COMMON_CHECKS
async def closing_wakes_those_who_wait(
    cls: SocketType, _peer_cls: SocketType, _make: MakeEndpoint
) -> None:
    """``aclose`` lets every call that waits raise ClosedResourceError."""
    async with cls() as socket, trio.open_nursery() as nursery:
        woken: list[str] = []

        async def wait(name: str, call: Any) -> None:
            with raises(trio.ClosedResourceError, f"{name} that waits when the socket closes"):
                await call()
            woken.append(name)

        waiting = ["wait_connected"]
        if can_receive(cls) and cls.socket_type != "REQ":  # which has to send first
            waiting += [
                name for name in ("recv", "recv_multipart", "recv_many") if hasattr(cls, name)
            ]
        if hasattr(cls, "wait_subscribed"):
            waiting.append("wait_subscribed")
        if _send_waits(socket):
            waiting += [
                name for name in ("send", "send_multipart", "send_many") if hasattr(cls, name)
            ]
        calls = calls_of(cls, socket)
        for name in waiting:
            nursery.start_soon(wait, name, calls[name])
        await trio.testing.wait_all_tasks_blocked()
        same(woken, [], "calls without a peer wait")
        with within("closing wakes those who wait"):
            await socket.aclose()
            while len(woken) < len(waiting):
                await trio.lowlevel.checkpoint()


def _send_waits(socket: Any) -> bool:
    try:
        socket.send_nowait(b"x")
    except trio.WouldBlock:
        return True
    except Exception:  # noqa: BLE001  # it is refused for another reason
        return False
    else:
        return False


@COMMON_CHECKS
async def what_the_body_raises(cls: SocketType, peer_cls: SocketType, make: MakeEndpoint) -> None:
    """An exception leaves ``async with`` as itself, also from within a cancelled scope."""
    for cancelled in (False, True):
        error = LookupError("of the body")
        caught: BaseException | None = None
        with trio.CancelScope() as scope:
            try:
                async with talk(cls, peer_cls, make):
                    if cancelled:
                        scope.cancel()
                    raise error
            except BaseException as raised:  # noqa: BLE001  # which it is, is what is checked
                caught = raised
        expect(caught is error, f"what the body raises leaves as itself, not as {caught!r}")


@COMMON_CHECKS
async def shielded_cleanup(cls: SocketType, peer_cls: SocketType, make: MakeEndpoint) -> None:
    """A body that is shielded from a cancellation still has a socket that works."""
    with trio.CancelScope() as outer:
        async with talk(cls, peer_cls, make) as scene:
            outer.cancel()
            with trio.CancelScope(shield=True), within("the connection stands in a shielded body"):
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
                await scene.socket.wait_connected()
                await scene.peer.wait_connected()
                if can_send(cls):
                    await scene.turn_to_send()
                    await scene.socket.send_multipart(scene.outgoing(b"x"))
                    if can_receive(peer_cls):
                        await scene.peer.recv_multipart()
