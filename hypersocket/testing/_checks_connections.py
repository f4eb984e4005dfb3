"""Checks of a transport: connections, their ends, and what is told of them."""

from __future__ import annotations

from typing import Any

import trio

from .. import _events as events
from .. import sockets as s
from .._reasons import Reason
from ._asserting import expect, next_of, same, until, within
from ._transport_scene import SOON, Checks, MakeEndpoint, free_endpoint, push_pull, receive

CONNECTION_CHECKS = Checks()


@CONNECTION_CHECKS
async def events_in_order(make_endpoint: MakeEndpoint) -> None:
    """Both monitors tell the life of a connection in its order."""
    async with (
        s.Pull() as pull,
        s.Push() as push,
        pull.monitor() as at_pull,
        push.monitor() as at_push,
    ):
        endpoint = await pull.bind(make_endpoint())
        await push.connect(endpoint)
        await push.wait_connected()
        await pull.wait_connected()
        await push.disconnect(endpoint)
        await until(lambda: not pull.stats().peers, "a peer that left is no peer any more")
        await pull.unbind(endpoint)
        await push.aclose()
        await pull.aclose()
        told_pull, told_push = await _all(at_pull), await _all(at_push)
    kinds = [
        events.Accepted,
        events.HandshakeSucceeded,
        events.Disconnected,
        events.Closed,
    ]
    _check_kinds(told_pull, [events.Listening, *kinds], "the side that was bound")
    _check_kinds(told_push, [events.Connected, *kinds[1:]], "the side that connected")
    for told, peer in ((told_pull, "PUSH"), (told_push, "PULL")):
        for event in told:
            same(event.endpoint, endpoint, f"{type(event).__name__} names the endpoint")
        for kind in (events.HandshakeSucceeded, events.Disconnected):
            [event] = [one for one in told if isinstance(one, kind)]
            same(event.socket_type, peer, f"{kind.__name__} tells the peer's type")
        times = [event.time for event in told]
        same(times, sorted(times), "events are told in the order of their times")
    ends = [event.reason for event in told_push if isinstance(event, events.Disconnected)]
    same(ends, [Reason.CLOSED_BY_US], "who disconnects is told so")
    ends = [event.reason for event in told_pull if isinstance(event, events.Disconnected)]
    same(ends, [Reason.CLOSED_BY_PEER], "who was disconnected is told so")


async def _all(monitor: events.Monitor) -> list[Any]:
    with within("the events end when the socket has closed"):
        return [event async for event in monitor]


def _check_kinds(told: list[Any], wanted: list[type], who: str) -> None:
    found = [type(event).__name__ for event in told]
    same(found, [kind.__name__ for kind in wanted], f"the events of {who}")


@CONNECTION_CHECKS
async def a_failed_bind_is_told(make_endpoint: MakeEndpoint) -> None:
    """A bind that failed is an event too."""
    async with (
        s.Pull(bind=make_endpoint()) as first,
        s.Pull() as second,
        second.monitor() as happened,
    ):
        error = ""
        try:
            await second.bind(first.endpoints[0])
        except OSError as raised:
            error = str(raised)
        event = await next_of(happened, events.BindFailed, "a bind that failed is told")
        same(event.error, error, "BindFailed says what the call raised")


@CONNECTION_CHECKS
async def a_peer_that_closes_is_told(make_endpoint: MakeEndpoint) -> None:
    """When a peer closes, the other side is told, with the reason, whichever was bound."""
    async with s.Pull(bind=make_endpoint()) as pull, pull.monitor() as happened:
        async with s.Push(connect=pull.endpoints) as push:
            await push.wait_connected()
            await pull.wait_connected()
        event = await next_of(happened, events.Disconnected, "the side that was bound is told")
        same(event.reason, Reason.CLOSED_BY_PEER, "a peer that left in good order closed")
        same(pull.stats().disconnects, 1, "disconnects are counted")
    endpoint = await free_endpoint(make_endpoint)
    async with s.Push(connect=endpoint, **SOON) as push, push.monitor() as happened:
        async with s.Pull(bind=endpoint):
            await push.wait_connected()
        event = await next_of(happened, events.Disconnected, "the side that connected is told")
        same(event.reason, Reason.CLOSED_BY_PEER, "a listener that left in good order closed")


@CONNECTION_CHECKS
async def reconnection(make_endpoint: MakeEndpoint) -> None:
    """When the listener comes back it is found, and gets what was sent meanwhile, in order."""
    endpoint = await free_endpoint(make_endpoint)
    async with s.Push(connect=endpoint, **SOON) as push, push.monitor() as happened:
        for turn in range(3):
            for number in range(3):
                await push.send(b"%d %d" % (turn, number))
            async with s.Pull(bind=endpoint) as pull:
                got = await receive(pull, 3, "what was sent while nobody listened arrives later")
                wanted = [[b"%d %d" % (turn, number)] for number in range(3)]
                same(got, wanted, "what was sent while nobody listened arrives later")
            await next_of(happened, events.Disconnected, "the end of a connection is told")
        same(push.stats().connects, 3, "each connection is counted")
        same(push.stats().dropped, 0, "nothing was dropped")


@CONNECTION_CHECKS
async def subscriptions_are_told_again(make_endpoint: MakeEndpoint) -> None:
    """A publisher that comes back is told what is subscribed to then."""
    endpoint = await free_endpoint(make_endpoint)
    async with s.Sub(connect=endpoint, subscribe=["a", "b"], **SOON) as sub:
        for turn in range(2):
            async with s.Pub(bind=endpoint) as pub:
                wanted = b"c" if turn else b"a"
                with within("each new publisher is told all subscriptions"):
                    await pub.wait_subscribed(wanted)
                    await pub.wait_subscribed(b"b")
                for text in (b"a", b"b", b"c"):
                    await pub.send(text)
                got = await receive(sub, 2, "subscriptions take effect")
                same(got, sorted([[wanted], [b"b"]]), "subscriptions take effect, and only they")
            await until(
                lambda: not any(peer.connected for peer in sub.stats().peers),
                "a publisher that left is not connected",
            )
            if not turn:
                sub.unsubscribe("a")
                sub.subscribe("c")


@CONNECTION_CHECKS
async def subscriptions_reach_a_connected_publisher(make_endpoint: MakeEndpoint) -> None:
    """Subscribing and cancelling take effect on connections that stand."""
    async with s.XPub(bind=make_endpoint()) as xpub, s.Sub(connect=xpub.endpoints) as sub:
        await sub.wait_connected()
        sub.subscribe("topic")
        got = await receive(xpub, 1, "a subscription is told")
        same(got, [[b"\1topic"]], "a subscription is told")
        sub.unsubscribe("topic")
        got = await receive(xpub, 1, "a cancellation is told")
        same(got, [[b"\0topic"]], "a cancellation is told")


@CONNECTION_CHECKS
async def identity_is_told_again(make_endpoint: MakeEndpoint) -> None:
    """A ROUTER that comes back knows its peers by the same routing ids."""
    endpoint = await free_endpoint(make_endpoint)
    async with s.Dealer(connect=endpoint, routing_id=b"me", **SOON) as dealer:
        for _ in range(2):
            async with s.Router(bind=endpoint, router_mandatory=True) as router:
                await router.wait_connected()
                await router.send_multipart([b"me", b"hello"])
                got = await receive(dealer, 1, "the routing id is told in each handshake")
                same(got, [[b"hello"]], "the routing id is told in each handshake")
            await until(
                lambda: not any(peer.connected for peer in dealer.stats().peers),
                "a ROUTER that left is not connected",
            )


@CONNECTION_CHECKS
async def types_that_do_not_match(make_endpoint: MakeEndpoint) -> None:
    """Socket types that may not talk are refused: both sides are told, and nothing passes."""
    async with s.Pull() as pull, s.Pub(reconnect_ivl=float("inf")) as pub:
        async with pull.monitor() as at_pull, pub.monitor() as at_pub:
            await pub.connect(await pull.bind(make_endpoint()))
            contract = "a handshake between types that may not talk fails on both sides"
            for happened in (at_pull, at_pub):
                failed = await next_of(happened, events.HandshakeFailed, contract)
                expect(
                    failed.reason
                    in (Reason.INCOMPATIBLE_TYPE, Reason.REFUSED_BY_PEER, Reason.CLOSED_BY_PEER),
                    f"{contract}, for the reason that the types do not match; not {failed.reason}",
                )
                expect(bool(failed.detail), "a handshake's failure is explained")
        for socket in (pull, pub):
            expect(socket.stats().handshake_failures >= 1, "handshake failures are counted")
            same(socket.stats().connects, 0, "a handshake that failed is no connection")
        expect(
            not any(peer.connected for peer in pull.stats().peers),
            "a peer whose handshake failed is no peer",
        )


@CONNECTION_CHECKS
async def a_refused_peer_harms_nobody(make_endpoint: MakeEndpoint) -> None:
    """A PAIR that has its peer refuses others, and goes on with the first."""
    async with s.Pair(bind=make_endpoint()) as pair, s.Pair(connect=pair.endpoints) as first:
        await pair.wait_connected()
        async with pair.monitor() as happened, s.Pair(connect=pair.endpoints, linger=0.0):
            failed = await next_of(happened, events.HandshakeFailed, "a PAIR has one peer")
            same(failed.reason, Reason.BUSY, "a PAIR has one peer")
        await first.send(b"still here")
        got = await receive(pair, 1, "the first peer goes on")
        same(got, [[b"still here"]], "the first peer goes on")


@CONNECTION_CHECKS
async def peers_are_told_apart(make_endpoint: MakeEndpoint) -> None:
    """``stats`` has each peer, with its type and its own counters."""
    async with push_pull(make_endpoint) as (push, pull):
        async with s.Push(connect=pull.endpoints) as other:
            await pull.wait_connected(2)
            for _ in range(2):
                await push.send(b"abc")
            await other.send(b"four")
            await receive(pull, 3, "messages arrive")
            stats = pull.stats()
            found = sorted((peer.messages_in, peer.bytes_in) for peer in stats.peers)
            same(found, [(1, 4), (2, 6)], "each peer has counters of its own")
            for peer in stats.peers:
                same(peer.endpoint, pull.endpoints[0], "a peer's endpoint is ours")
                same(peer.socket_type, "PUSH", "a peer's type is known")
                expect(peer.connected, "a peer that stands is connected")
        await until(lambda: len(pull.stats().peers) == 1, "a peer that left is no peer any more")
        same(pull.stats().messages_in, 3, "the totals include peers that are gone")


@CONNECTION_CHECKS
async def what_the_body_raises(make_endpoint: MakeEndpoint) -> None:
    """An exception leaves ``async with`` as itself, also out of a scope that was cancelled."""
    for cancelled in (False, True):
        error = LookupError("of the body")
        caught: BaseException | None = None
        with trio.CancelScope() as scope:
            try:
                async with push_pull(make_endpoint) as (push, _):
                    await push.send(b"x")
                    if cancelled:
                        scope.cancel()
                    raise error
            except BaseException as raised:  # noqa: BLE001  # which it is, is what is checked
                caught = raised
        how = " in a cancelled scope" if cancelled else ""
        expect(caught is error, f"what the body raises{how} leaves as itself, not as {caught!r}")


@CONNECTION_CHECKS
async def cancellation_leaves_at_once(make_endpoint: MakeEndpoint) -> None:
    """A block that is cancelled does not linger."""
    endpoint = await free_endpoint(make_endpoint)
    push = s.Push(connect=endpoint, linger=float("inf"))
    with (
        within("leaving a block that was cancelled waits for nothing"),
        trio.CancelScope() as scope,
    ):
        async with push:
            await push.send(b"to nobody")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    expect(scope.cancelled_caught, "the cancellation goes on to its scope")
    same(push.stats().dropped, 1, "what was not written is counted")
