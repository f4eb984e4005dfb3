"""Checks of a transport: endpoints, from binding to closing."""

from __future__ import annotations

import os

import trio

from .. import _events as events
from .. import sockets as s
from .._errors import AddressInUse, EndpointError
from ..transports import resolve
from ._asserting import all_tasks, cancelled_after, expect, next_of, raises, same, until, within
from ._transport_scene import SOON, Checks, MakeEndpoint, free_endpoint, push_pull, receive

ENDPOINT_CHECKS = Checks()


@ENDPOINT_CHECKS
async def bind_resolves_the_endpoint(make_endpoint: MakeEndpoint) -> None:
    """``bind`` returns an endpoint without wildcards, which can be connected to."""
    wanted = make_endpoint()
    async with s.Pull() as pull, s.Push() as push:
        endpoint = await pull.bind(wanted)
        expect(isinstance(endpoint, str), "bind returns the endpoint as text")
        same(
            endpoint.partition("://")[0],
            wanted.partition("://")[0],
            "the endpoint that bind returns has the scheme that was asked for",
        )
        same(pull.endpoints, (endpoint,), "`endpoints` is what bind returned")
        resolve(endpoint, binding=False)  # raises, where it cannot be connected to
        await push.connect(endpoint)
        await push.send(b"through it")
        got = await receive(pull, 1, "the resolved endpoint leads to the socket that was bound")
        same(got, [[b"through it"]], "a message arrives as it was sent")


@ENDPOINT_CHECKS
async def endpoints_given_to_the_constructor(make_endpoint: MakeEndpoint) -> None:
    """``bind=`` and ``connect=`` take effect on entry."""
    async with (
        s.Pull(bind=make_endpoint()) as pull,
        s.Push(connect=pull.endpoints) as push,
    ):
        await push.send(b"hello")
        same(await receive(pull, 1, "bind= and connect="), [[b"hello"]], "bind= and connect=")


@ENDPOINT_CHECKS
async def connect_before_bind(make_endpoint: MakeEndpoint) -> None:
    """``connect`` does not need a listener; messages wait for it."""
    endpoint = await free_endpoint(make_endpoint)
    async with s.Push(**SOON) as push:
        with within("connect starts connecting and returns, whether anybody listens or not"):
            await push.connect(endpoint)
        await push.send(b"early")
        async with s.Pull(bind=endpoint) as pull:
            got = await receive(pull, 1, "what was sent before the listener came reaches it")
            same(got, [[b"early"]], "what was sent before the listener came reaches it")


@ENDPOINT_CHECKS
async def an_endpoint_in_use_is_refused(make_endpoint: MakeEndpoint) -> None:
    """Binding twice raises AddressInUse, and does no harm to the first."""
    async with push_pull(make_endpoint) as (push, pull), s.Pull() as second:
        for socket in (second, pull):
            with raises(AddressInUse, "an endpoint can be bound once"):
                await socket.bind(pull.endpoints[0])
        same(second.endpoints, (), "a bind that failed leaves no endpoint")
        await push.send(b"still here")
        same(await receive(pull, 1, "the first goes on"), [[b"still here"]], "the first goes on")


@ENDPOINT_CHECKS
async def rebind_after_unbind(make_endpoint: MakeEndpoint) -> None:
    """An endpoint is free as soon as ``unbind`` returns."""
    async with push_pull(make_endpoint, push=SOON) as (push, pull), s.Pull() as second:
        endpoint = pull.endpoints[0]
        await pull.unbind(endpoint)
        same(pull.endpoints, (), "unbind takes the endpoint out of `endpoints`")
        same(await second.bind(endpoint), endpoint, "an endpoint that was unbound is free")
        await second.wait_connected()
        await push.send(b"x")
        await receive(second, 1, "who was connected finds the new listener")


@ENDPOINT_CHECKS
async def rebind_after_close(make_endpoint: MakeEndpoint) -> None:
    """An endpoint is free as soon as its socket is closed, by leaving or by ``aclose``."""
    endpoint = await free_endpoint(make_endpoint)
    for _ in range(3):
        async with s.Pull() as pull, s.Push() as push:
            same(await pull.bind(endpoint), endpoint, "an endpoint is free after a close")
            await push.connect(endpoint)
            await push.wait_connected()
            await pull.aclose()
            async with s.Pull() as other:
                same(await other.bind(endpoint), endpoint, "an endpoint is free after aclose")


@ENDPOINT_CHECKS
async def an_endpoint_that_was_not_bound(make_endpoint: MakeEndpoint) -> None:
    """``unbind`` and ``disconnect`` of an endpoint that is not there raise ValueError."""
    async with push_pull(make_endpoint) as (push, pull):
        endpoint = pull.endpoints[0]
        with raises(ValueError, "unbind wants an endpoint that is bound"):
            await push.unbind(endpoint)
        with raises(ValueError, "disconnect wants an endpoint that is connected to"):
            await pull.disconnect(endpoint)


@ENDPOINT_CHECKS
async def a_bad_address_is_refused(make_endpoint: MakeEndpoint) -> None:
    """An empty address is an EndpointError that quotes the endpoint, wherever it is given."""
    scheme = make_endpoint().partition("://")[0]
    bad = f"{scheme}://"
    with raises(EndpointError, "check() refuses an empty address for `bind=`"):
        s.Pull(bind=bad)
    with raises(EndpointError, "check() refuses an empty address for `connect=`"):
        s.Push(connect=bad)
    async with s.Pull() as pull:
        for call in (pull.bind, pull.connect):
            try:
                await call(bad)
            except EndpointError as error:
                expect(bad in str(error), "the text of an EndpointError quotes the endpoint")
            else:
                raise AssertionError("bind and connect refuse an empty address at once")


@ENDPOINT_CHECKS
async def several_endpoints_of_one_socket(make_endpoint: MakeEndpoint) -> None:
    """A socket may be bound several times, and connect several times."""
    async with (
        s.Pull(bind=make_endpoint()) as one,
        s.Pull(bind=make_endpoint()) as other,
        s.Push(connect=[*one.endpoints, *other.endpoints]) as push,
    ):
        for number in range(4):
            await push.send(b"%d" % number)
        got = await receive(one, 2, "PUSH takes turns") + await receive(
            other, 2, "PUSH takes turns"
        )
        same(sorted(got), [[b"0"], [b"1"], [b"2"], [b"3"]], "each message reaches one peer")


@ENDPOINT_CHECKS
async def unbind_keeps_what_was_received(make_endpoint: MakeEndpoint) -> None:
    """After ``unbind`` messages that had arrived can still be received."""
    async with push_pull(make_endpoint) as (push, pull):
        for number in range(3):
            await push.send(b"%d" % number)
        await until(lambda: pull.stats().queued_in == 3, "messages arrive without being asked for")
        await pull.unbind(pull.endpoints[0])
        same(pull.stats().peers, (), "unbind ends the connections that came by the endpoint")
        got = await receive(pull, 3, "received messages outlive their connection")
        same(got, [[b"0"], [b"1"], [b"2"]], "received messages outlive their connection")


@ENDPOINT_CHECKS
async def disconnect_keeps_what_was_received(make_endpoint: MakeEndpoint) -> None:
    """After ``disconnect`` messages that had arrived can still be received."""
    async with s.Push(bind=make_endpoint()) as push, s.Pull(connect=push.endpoints) as pull:
        for number in range(3):
            await push.send(b"%d" % number)
        await until(lambda: pull.stats().queued_in == 3, "messages arrive without being asked for")
        await pull.disconnect(push.endpoints[0])
        same(pull.stats().peers, (), "disconnect ends the connection")
        got = await receive(pull, 3, "received messages outlive their connection")
        same(got, [[b"0"], [b"1"], [b"2"]], "received messages outlive their connection")


@ENDPOINT_CHECKS
async def a_cancelled_bind_leaves_nothing(make_endpoint: MakeEndpoint) -> None:
    """``bind``, cancelled at any checkpoint, has not bound; the endpoint is free."""
    endpoint = await free_endpoint(make_endpoint)
    for steps in range(100):
        async with s.Pull() as pull:
            with cancelled_after(steps) as scope:
                await pull.bind(endpoint)
            if not scope.cancelled_caught:
                expect(steps > 0, "bind is a checkpoint")
                return
            same(pull.endpoints, (), f"a bind cancelled after {steps} steps has not bound")
            async with s.Pull() as other:
                same(await other.bind(endpoint), endpoint, "a cancelled bind frees the endpoint")


@ENDPOINT_CHECKS
async def a_cancelled_connect_leaves_nothing(make_endpoint: MakeEndpoint) -> None:
    """``connect``, cancelled at any checkpoint, has not started; nobody is called."""
    async with s.Pull(bind=make_endpoint()) as pull, pull.monitor() as happened:
        for steps in range(100):
            async with s.Push() as push:
                with cancelled_after(steps) as scope:
                    await push.connect(pull.endpoints[0])
                if not scope.cancelled_caught:
                    expect(steps > 0, "connect is a checkpoint")
                    break
                same(push.stats().peers, (), f"connect cancelled after {steps} steps: no pipe")
                with raises(ValueError, "a connect that was cancelled cannot be disconnected"):
                    await push.disconnect(pull.endpoints[0])
        async with s.Push(connect=pull.endpoints):
            await next_of(happened, events.HandshakeSucceeded, "only real connections are told")


@ENDPOINT_CHECKS
async def nothing_outlives_the_socket(make_endpoint: MakeEndpoint) -> None:
    """No task and no descriptor is left when a socket has closed, in whatever state it was."""
    endpoint = await free_endpoint(make_endpoint)
    await _use(endpoint)  # what is made once for all is made now
    tasks, descriptors = all_tasks(), _descriptors()
    await _use(endpoint)
    same(list(all_tasks() - tasks), [], "every task ends before its socket has closed")
    same(_descriptors(), descriptors, "every descriptor is closed before its socket has closed")


async def _use(endpoint: str) -> None:
    async with s.Push(connect=endpoint, linger=0.0, **SOON) as push:
        async with s.Pull(bind=endpoint) as pull:
            await push.send(b"x")
            await receive(pull, 1, "messages pass")
        await push.send(b"waits for the next listener")
        async with s.Pull(bind=endpoint) as pull:
            await push.wait_connected()
            await pull.aclose()
    async with s.Pull(bind=endpoint) as pull:
        with trio.CancelScope() as scope:
            async with s.Push(connect=endpoint) as push:
                await push.wait_connected()
                scope.cancel()
                await trio.lowlevel.checkpoint()


def _descriptors() -> int:
    for directory in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(directory):
            return len(os.listdir(directory))
    return 0
