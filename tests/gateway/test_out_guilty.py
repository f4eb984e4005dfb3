"""Out: a message for which the broker ends a channel or connection ends nothing but itself."""

from __future__ import annotations

import pytest

import hypersocket as hs
from hypersocket.amqp import Binding, Exchange, Queue
from hypersocket.devices.amqp_gateway._spec import DeadLetters, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from . import worlds10
from .worlds import amqp, at, depth, gateway, running, until, where

DEAD = DeadLetters(exchange="", routing_key="dead")
REASON, TEXT = "x-hypersocket-reason", "x-hypersocket-reason-text"

Q = Queue(name="q", durable=False)
GRAVE = Queue(name="dead", durable=False)


def out(**changes: object) -> RouteSpec:
    given: dict[str, object] = {"key_frame": 0, "dead_letters": DEAD, **changes}
    return RouteSpec(name="out", kind="out", socket=at("PULL"), **given)  # type: ignore[arg-type]


def bound(exchange: str, key: str = "#") -> tuple[Queue, Queue, Binding]:
    return Q, GRAVE, Binding(queue="q", exchange=exchange, routing_key=key)


async def test_a_topic_that_the_broker_forbids_does_not_hold_back_the_others(
    rabbitmq: RabbitMQ,
) -> None:
    await rabbitmq.ctl(
        *("set_topic_permissions", "-p", rabbitmq.vhost, "guest", "amq.topic", "^ok\\.", ".*")
    )
    made = gateway(rabbitmq, out(exchange="amq.topic"), declare=bound("amq.topic"))
    async with amqp(rabbitmq) as peer, running(made) as gw:
        async with hs.Push(connect=where(gw, "out")) as push:
            for number in range(40):
                key = b"not.ok" if number in {0, 17, 18} else b"ok.%d" % number
                await push.send_multipart([key, b"%d" % number])
            dead = await peer.take("dead", 3)
            await until(lambda: gw.stats().routes[0].confirmed == 37)
        result = await gw.stop()
        # Some may be there twice: what the broker had taken, and not confirmed when it ended the
        # channel for another.
        ready, _ = await depth(rabbitmq, "q")
        bodies = await peer.bodies("q", ready)
    assert [one.body for one in dead] == [b"0", b"17", b"18"]
    assert {one.properties.headers[REASON] for one in dead} == {"rejected"}
    assert "access to topic 'not.ok'" in dead[0].properties.headers[TEXT]
    assert {int(body) for body in bodies} == {*range(40)} - {0, 17, 18}
    [stats] = result.stats.routes
    assert len(bodies) - 37 <= stats.retried
    assert (stats.rejected, stats.dead_lettered, stats.confirmed, stats.pending) == (3, 3, 37, 0)
    assert result.stats.reconnects == 0


async def test_an_exchange_that_the_broker_forbids_holds_all_back_until_it_is_allowed(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    permit = ("set_permissions", "-p", rabbitmq.vhost, "guest", ".*")
    made = gateway(rabbitmq, out(exchange="amq.topic"), declare=bound("amq.topic"))
    async with amqp(rabbitmq) as peer, running(made) as gw:
        await rabbitmq.ctl(*permit, "^(q|dead)$", ".*")
        async with hs.Push(connect=where(gw, "out")) as push:
            for number in range(3):
                await push.send_multipart([b"k", b"%d" % number])
            await until(lambda: gw.stats().routes[0].retried >= 3)
            await until(lambda: "access to exchange 'amq.topic'" in gw.stats().routes[0].error)
            stats = gw.stats().routes[0]
            assert (stats.pending, stats.rejected, stats.dropped) == (3, 0, 0)
            await rabbitmq.ctl(*permit, ".*", ".*")
            assert await peer.bodies("q", 3) == [b"0", b"1", b"2"]
    assert "access to exchange 'amq.topic'" in caplog.text


# An exchange type whose code fails for one routing key, which ends the whole connection: 541.
CRASHING = r"""
Lines = ["-module(test_crashing).", "-behaviour(rabbit_exchange_type).", "-compile(export_all).",
  "description() -> [].", "serialise_events() -> false.",
  "route(_, Delivery) -> false = lists:member(<<\"poison\">>, element(3, element(5, Delivery))),"
  " [].",
  "info(_) -> [].", "info(_, _) -> [].", "validate(_) -> ok.", "validate_binding(_, _) -> ok.",
  "create(_, _) -> ok.", "delete(_, _, _) -> ok.", "policy_changed(_, _) -> ok.",
  "add_binding(_, _, _) -> ok.", "remove_bindings(_, _, _) -> ok.",
  "assert_args_equivalence(X, A) -> rabbit_exchange:assert_args_equivalence(X, A)."],
Form = fun(L) -> {ok, T, _} = erl_scan:string(L), {ok, F} = erl_parse:parse_form(T), F end,
{ok, M, B} = compile:forms([Form(L) || L <- Lines], [nowarn_export_all]),
{module, M} = code:load_binary(M, "test", B),
rabbit_registry:register(exchange, <<"x-crashing">>, M).
"""


async def test_a_message_for_which_the_connection_is_ended_ends_nothing_but_itself(
    rabbitmq: RabbitMQ,
) -> None:
    """Nor does another route pay for it, which is in the middle of sending."""
    await rabbitmq.ctl("eval", CRASHING)
    crashing = Exchange(name="x", type="x-crashing", durable=False)
    other = RouteSpec(name="other", kind="out", queue="q", socket=at("PULL"), dead_letters=DEAD)
    made = gateway(
        rabbitmq, out(exchange="x", mandatory=False), other, declare=[crashing, *bound("amq.topic")]
    )
    async with amqp(rabbitmq) as peer, running(made) as gw:
        async with (
            hs.Push(connect=where(gw, "out")) as push,
            hs.Push(connect=where(gw, "other")) as second,
        ):
            for number in range(20):
                key = b"poison" if number == 7 else b"k"
                await push.send_multipart([key, b"%d" % number])
                await second.send(b"%d" % number)
            [dead] = await peer.take("dead", 1)
            await until(lambda: gw.stats().routes[0].confirmed == 19)
            await until(lambda: gw.stats().routes[1].confirmed == 20)
        result = await gw.stop()
    assert (dead.body, dead.properties.headers[REASON]) == (b"7", "rejected")
    assert "541 INTERNAL_ERROR" in dead.properties.headers[TEXT]
    assert [one.rejected for one in result.stats.routes] == [1, 0]
    assert [one.dead_lettered for one in result.stats.routes] == [1, 0]


async def test_attempts_are_those_of_the_message_that_is_in_the_way(rabbitmq: RabbitMQ) -> None:
    await rabbitmq.ctl("eval", CRASHING)
    crashing = Exchange(name="x", type="x-crashing", durable=False)
    route = out(exchange="x", mandatory=False, retries=1)
    made = gateway(rabbitmq, route, declare=[crashing, GRAVE])
    async with (
        amqp(rabbitmq) as peer,
        running(made) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        for number in range(20):
            key = b"poison" if number == 7 else b"k"
            await push.send_multipart([key, b"%d" % number])
        [dead] = await peer.take("dead", 1)
        await until(lambda: gw.stats().routes[0].confirmed == 19)
    assert (dead.body, dead.properties.headers[REASON]) == (b"7", "unconfirmed")
    assert "541 INTERNAL_ERROR" in dead.properties.headers[TEXT]


async def test_a_dead_letter_that_the_broker_forbids_does_not_hold_back_the_others(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    await rabbitmq.ctl(
        *("set_topic_permissions", "-p", rabbitmq.vhost, "guest", "amq.topic", "^ok\\.", ".*")
    )
    route = out(exchange="amq.direct", dead_letters=DeadLetters(exchange="amq.topic"))
    made = gateway(rabbitmq, route, declare=bound("amq.topic"))
    found: set[bytes] = set()
    async with amqp(rabbitmq) as peer, running(made) as gw:
        async with hs.Push(connect=where(gw, "out")) as push:  # where nothing is bound
            for key in (b"ok.1", b"no.1", b"no.2", b"ok.2"):
                await push.send_multipart([key, key])
            while {b"ok.1", b"ok.2"} - found:  # the first one may come twice
                found |= {*await peer.bodies("q", 1)}
            await until(lambda: gw.stats().routes[0].dropped == 2)
        result = await gw.stop()
    assert found == {b"ok.1", b"ok.2"}
    [stats] = result.stats.routes
    assert (stats.returned, stats.dead_lettered) == (4, 2)
    assert stats.drops == {"returned, and refused as a dead letter": 2}
    assert "access to topic 'no.1'" in caplog.text


@pytest.mark.interop
@pytest.mark.parametrize("exchange", ["amq.topic", "x"])
async def test_a_message_for_which_a_session_is_ended_ends_nothing_but_itself(
    rabbitmq: RabbitMQ, exchange: str
) -> None:
    """AMQP 1.0, where RabbitMQ ends the session, also for what it cannot go on with."""
    await rabbitmq.ctl("eval", CRASHING)
    await rabbitmq.ctl(
        *("set_topic_permissions", "-p", rabbitmq.vhost, "guest", "amq.topic", "^ok\\.", ".*")
    )
    bad = b"bad" if exchange == "amq.topic" else b"poison"
    route = RouteSpec(
        name="out",
        kind="out",
        socket=at("PULL"),
        address=f"/exchange/{exchange}",
        key_frame=0,
        dead_letters=DeadLetters(address="/amq/queue/dead"),
    )
    async with amqp(rabbitmq) as peer:
        await peer.client.declare([Exchange(name="x", type="x-crashing", durable=False), GRAVE])
        async with (
            running(worlds10.gateway(rabbitmq, route)) as gw,
            hs.Push(connect=where(gw, "out")) as push,
        ):
            for number in range(10):
                key = bad if number == 3 else b"ok.1"
                await push.send_multipart([key, b"%d" % number])
            assert await peer.bodies("dead", 1) == [b"3"]
            await until(lambda: gw.stats().routes[0].confirmed == 9)
            [stats] = gw.stats().routes
    assert (stats.rejected, stats.dead_lettered, stats.pending) == (1, 1, 0)
    assert gw.stats().reconnects == 0
