"""From a ØMQ message to a publication."""

from __future__ import annotations

from ....amqp import Properties, Publication, Target
from .._client import ProtocolName
from .._errors import GatewayError
from .._policy import Guard
from .._spec import RouteSpec
from . import _hops, _multipart
from ._metadata import MetadataError, PropertyMap, Said
from ._multipart import Message
from ._template import Template, TemplateError


class Unfit(Exception):
    """A message that cannot be published; what could be made of it goes to the dead letters.

    Attributes:
        reason: for counting.
        publication: what would have been published, as far as that is known.
    """

    def __init__(self, reason: str, text: str, publication: Publication) -> None:
        super().__init__(text)
        self.reason = reason
        self.publication = publication


class Packer:
    """Makes publications as a route says.

    Args:
        spec: the route.
        gateway: our name in the hop header.
        protocol: the broker's.
        guard: the route's policy.

    Attributes:
        target: where everything goes; without its routing key, if that depends on the message.
        own_key: whether it does.

    Raises:
        GatewayError: the route cannot work.
        ImportError: it needs an extra that is not installed.
    """

    def __init__(self, spec: RouteSpec, gateway: str, protocol: ProtocolName, guard: Guard) -> None:
        self._spec = spec
        self._gateway = gateway
        self._guard = guard
        try:
            self._template = Template(spec.routing_key)
        except TemplateError as error:
            raise GatewayError(f"route {spec.name}: routing_key: {error}") from None
        self._map = PropertyMap(spec, gateway, protocol)
        if self._template.needs_metadata and not self._map.frames:
            raise GatewayError(
                f"route {spec.name}: routing_key {spec.routing_key!r} is filled from metadata, "
                "which the route does not take: set metadata to 'json' or 'msgpack'"
            )
        self.own_key = spec.key_frame is not None or self._template.fixed is None
        key = "" if self.own_key else self._template.fixed or ""
        if spec.queue and not (spec.exchange or spec.address):
            key = key or spec.queue  # the default exchange routes to the queue of that name
        self.target = Target(spec.exchange, key, spec.address)
        objection = guard.copies(self.target, self._map.plain.headers)
        if objection:
            raise GatewayError(f"route {spec.name}: properties: {objection}")
        # One test for each message that nothing has to be looked at of.
        self._plain = not (self._map.frames or self.own_key)
        self._most = spec.policy.max_message_size

    def pack(self, message: Message) -> Publication:
        """The publication for a message.

        Raises:
            Unfit: it cannot be published.
        """
        if (
            self._plain
            and type(message) is bytes
            and (self._most is None or len(message) <= self._most)
        ):
            return Publication(self.target, message, self._map.plain)
        return self._pack(message if isinstance(message, list) else [message])

    def _pack(self, frames: list[bytes]) -> Publication:
        said: Said | None = None
        target = self.target
        if self._map.frames:
            try:
                said = self._map.read(frames[0])
            except MetadataError as error:
                raise self._unfit("malformed", str(error), frames, None, target) from None
            if len(frames) == 1:
                text = "it has a frame of metadata, and no other"
                raise self._unfit("malformed", text, frames, None, target)
            frames = frames[1:]
        if self.own_key:
            try:
                key, frames = self._key(frames, said)
            except ValueError as error:
                raise self._unfit("malformed", str(error), frames, said, target) from None
            target = Target(target.exchange, key, target.address)
        publication = self._joined(frames, said, target)
        self._check(publication, said)
        return publication

    def _check(self, publication: Publication, said: Said | None) -> None:
        if said is not None:
            most = self._spec.max_hops
            looped = _hops.looped(said.properties.headers, self._gateway, most)
            if looped:
                raise Unfit("looped", looped, publication)
        target = publication.target
        objection = self._guard.target(target) or (
            self._guard.copies(target, publication.properties.headers)
        )
        if objection:
            raise Unfit("policy", objection, publication)
        objection = self._guard.size(len(publication.body))
        if objection:
            raise Unfit("oversize", objection, publication)

    def _key(self, frames: list[bytes], said: Said | None) -> tuple[str, list[bytes]]:
        number = self._spec.key_frame
        if number is None:
            properties = _NOTHING if said is None else said.properties
            key = self._template.render(frames, properties)
            rest = frames
        else:
            if number >= len(frames):
                raise ValueError(f"its routing key is to be frame {number}, of {len(frames)}")
            rest = [*frames[:number], *frames[number + 1 :]]
            if not rest:
                raise ValueError("it has a frame for its routing key, and no other")
            try:
                key = frames[number].decode()
            except UnicodeDecodeError:
                raise ValueError(f"its routing key, frame {number}, is not UTF-8 text") from None
        if len(key.encode()) > MAX_KEY:
            raise ValueError(f"its routing key has {len(key.encode())} bytes, over {MAX_KEY}")
        return key, rest

    def _joined(self, frames: list[bytes], said: Said | None, target: Target) -> Publication:
        try:
            body, lengths = _multipart.join(frames)
        except ValueError as error:
            whole = Publication(target, b"".join(frames), self._map.plain)
            raise Unfit("malformed", str(error), whole) from None
        return Publication(target, body, self._map.properties(said, lengths))

    def _unfit(
        self, reason: str, text: str, frames: list[bytes], said: Said | None, target: Target
    ) -> Unfit:
        return Unfit(reason, text, self._joined(frames, said, target))


MAX_KEY = 255
"""Bytes of a routing key: a short string, AMQP 0-9-1 section 4.2.5.3."""

_NOTHING = Properties()
