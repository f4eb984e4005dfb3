"""A connection that is given up, since nobody may be at its other end."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from hypersocket.amqp import Result

from .peers import publication
from .test_link import scene


async def test_it_ends_at_once_and_everybody_on_it_is_told(autojump_clock: MockClock) -> None:
    async with scene() as it:
        sender = await it.sender()
        await sender.send([publication()])
        await it.hear()
        before = trio.current_time()
        it.client.abandon("its neighbour was lost")
        assert it.client.lost is not None
        assert "its neighbour was lost" in str(it.client.lost)
        assert it.client.lost.temporary
        assert [one.result for one in it.outcomes.values()] == [Result.UNKNOWN]
        it.client.abandon("again")
        assert "again" not in str(it.client.lost)
        await sender.aclose()
        await it.link.close()
        it.link.stop()
        assert await it.far.receive_some() == b""
        assert trio.current_time() == before
