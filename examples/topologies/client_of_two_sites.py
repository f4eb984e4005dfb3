"""A client that asks at its own site, and at the other while its own does not answer.

When the own site has not answered in time, the same request goes to the other, and so do all the
next. Every now and then one request tries the own site first, so that the client returns when that
is back. A request may be done twice, once at each site: requests have to bear that.

python client_of_two_sites.py TOPOLOGY.toml OWN_SOCKET OTHER_SOCKET
"""

import trio
from programs import load_topology, say

import hypersocket as hs

PATIENCE = 1.0
"""Seconds to wait for the own site's answer."""

PAUSE = 3.0
"""Seconds before the own site is tried again."""


class TwoSites:
    """Asks the own site while it answers, otherwise the other."""

    def __init__(self, own: hs.Req, other: hs.Req) -> None:
        self._own = own
        self._other = other
        self._own_again_at = 0.0

    async def request(self, question: bytes) -> bytes:
        """The answer, from whoever gives one."""
        while True:
            if trio.current_time() >= self._own_again_at:
                with trio.move_on_after(PATIENCE):
                    return await self._own.request(question)
                self._own_again_at = trio.current_time() + PAUSE
            with trio.move_on_after(PATIENCE + PAUSE):
                return await self._other.request(question)


async def main() -> None:
    loaded, (own, other) = await load_topology()
    async with loaded.socket(own) as here, loaded.socket(other) as there:
        sites = TwoSites(here, there)
        number = 0
        while True:
            say((await sites.request(b"order %d" % number)).decode())
            number += 1
            await trio.sleep(0.05)


trio.run(main)
