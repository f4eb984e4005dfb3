"""Topics, the other way: what ØMQ publishers publish goes to a topic exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from ....amqp import Outcome, Publication, Result
from .._policy import Guard
from .._spec import RouteSpec
from .._tasks import together
from ..messages._metadata import MetadataError
from ..messages._packing import Packer
from ._out import Out
from ._route import Shared
from ._taking import Message
from ._topics import check_topics


class TopicPacker(Packer):
    """Publications whose routing key is the topic, which is the first frame.

    The frame of metadata, if there is one, is the second: a topic has to be the first frame.
    """

    def __init__(self, route: Out, shared: Shared, guard: Guard) -> None:
        super().__init__(route.spec, shared.name, shared.protocol, guard)
        self._separator = check_topics(route)

    def pack(self, message: Message) -> Publication:
        """The publication for a message.

        Raises:
            Unfit: it cannot be published.
        """
        topic, *frames = message if isinstance(message, list) else [message]
        said, target = None, self.target
        try:
            target = replace(target, routing_key=self._separator.routing_key(topic))
            if self._map.frames and frames:
                said = self._map.read(frames.pop(0))
            if not frames:
                raise ValueError("it has no frames but its topic and metadata")
        except (ValueError, MetadataError) as error:
            whole = message if isinstance(message, list) else [message]
            raise self._unfit("malformed", str(error), whole, None, target) from None
        publication = self._joined(frames, said, target)
        self._check(publication, said)
        return publication


class TopicsOut(Out):
    """From ØMQ publishers, by an XSUB, to a topic exchange or an address.

    What nobody is bound for is no failure, as it is none to a PUB: it is counted as returned,
    where the broker tells.
    """

    kind = "topics"  # type: ignore[assignment]  # an Out by what it does, and no other

    def __init__(self, spec: RouteSpec, shared: Shared) -> None:
        super().__init__(replace(spec, key_frame=0, routing_key="", mandatory=False), shared)
        self._packer = TopicPacker(self, shared, self.guard)
        self._prefixes = [prefix.encode() for prefix in spec.subscribe]

    async def attend(self) -> None:
        """Subscribe at the publishers."""
        await together(super().attend, self._subscribe)

    async def _subscribe(self) -> None:
        for prefix in self._prefixes:
            await self.socket.send(b"\1" + prefix)
        await trio.sleep_forever()

    def _on_settled(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        if outcome.result is Result.RETURNED:
            self.counters.returned += len(publications)
            for one in publications:
                self._pending.pop(one, None)
            self.changed()
        else:
            super()._on_settled(publications, outcome)
