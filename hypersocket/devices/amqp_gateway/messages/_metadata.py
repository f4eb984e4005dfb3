"""What is said of a message beside its body: a frame of JSON or msgpack in ØMQ, properties in AMQP.

The frame is one table with the names of :class:`~hypersocket.amqp.Properties`; what is not said is
not in it. On the way in there are ``exchange``, ``routing_key``, ``address``, ``redelivered`` and
``delivery_count`` too, so far as the protocol tells them; on the way out these are taken and not
sent, so that a frame which came in can go out as it is. ``ttl`` and ``timestamp`` are seconds.
What JSON cannot say is in :mod:`._values`.

On the way in everything is taken as it came. On the way out it has to be what the broker takes:
see :mod:`._strict`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ....amqp import Properties
from .._client import Delivery, ProtocolName
from .._errors import GatewayError
from .._spec import Metadata, RouteSpec
from . import _hops, _multipart
from ._strict import Checker, MetadataError
from ._values import Tagger, is_table, untag

__all__ = ["MetadataError", "PropertyMap", "Said"]

MAX_FRAME = 65_536
"""Bytes of a metadata frame on the way out at most: it has to fit into one frame of AMQP."""

ORIGIN = ("exchange", "routing_key", "address", "redelivered", "delivery_count")

REMEMBERED = 256
"""Properties that are kept, for messages whose frames have the same lengths."""


class Format(Protocol):
    """JSON or msgpack."""

    def dumps(self, table: Mapping[str, Any], *, careful: bool) -> bytes:
        """Write; careful where there may be text that is none."""
        ...

    def loads(self, frame: bytes) -> Any:
        """Read.

        Raises:
            ValueError: it cannot be read.
            RecursionError: it is nested too deeply.
        """
        ...


class Json:
    """RFC 8259, in UTF-8."""

    def dumps(self, table: Mapping[str, Any], *, careful: bool) -> bytes:
        """Write."""
        tagged = {key: Tagger(json=True, careful=careful).tag(one) for key, one in table.items()}
        text = json.dumps(tagged, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()

    def loads(self, frame: bytes) -> Any:
        """Read."""
        return json.loads(frame.decode(), parse_constant=_no_constant)


class Msgpack:
    """The format of msgpack.org; needs the extra ``amqp``."""

    def __init__(self) -> None:
        try:
            import msgpack  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "msgpack":
                raise
            raise ImportError(
                "metadata in msgpack needs msgpack: pip install 'hypersocket[amqp]'",
                name="msgpack",
            ) from None
        self._module: Any = msgpack

    def dumps(self, table: Mapping[str, Any], *, careful: bool) -> bytes:
        """Write."""
        tagged = {key: Tagger(json=False, careful=careful).tag(one) for key, one in table.items()}
        packed: bytes = self._module.packb(tagged, use_bin_type=True)
        return packed

    def loads(self, frame: bytes) -> Any:
        """Read."""
        try:
            return self._module.unpackb(frame, raw=False, strict_map_key=False, timestamp=3)
        except (self._module.UnpackException, TypeError, OverflowError) as error:
            raise ValueError(str(error) or type(error).__name__) from error


def format_of(metadata: Metadata) -> Format | None:
    """The format by its name; None for ``"none"``.

    Raises:
        ImportError: it needs an extra that is not installed.
    """
    if metadata == "none":
        return None
    return Json() if metadata == "json" else Msgpack()


@dataclass(frozen=True, slots=True)
class Said:
    """What a metadata frame says.

    Attributes:
        properties: for the broker.
        origin: where the message had come from, which is not sent: see the module.
    """

    properties: Properties
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])


class PropertyMap:
    """The mapping of one route, both ways.

    Args:
        spec: the route: its metadata, fixed properties and durability.
        gateway: our own name, for the hop header.
        protocol: the broker's.

    Attributes:
        plain: the properties of a message of one frame of which nothing is said. Always the same
            object, so that a client may encode it once.
        frames: whether there are metadata frames.

    Raises:
        GatewayError: the fixed properties cannot be sent.
        ImportError: the format needs an extra that is not installed.
    """

    def __init__(self, spec: RouteSpec, gateway: str, protocol: ProtocolName) -> None:
        try:
            _hops.check_name(gateway)
            self._checker = Checker(protocol)
            self._fixed = self._checker.properties(spec.properties)
        except ValueError as error:
            raise GatewayError(f"route {spec.name}: properties: {error}") from error
        self._gateway = gateway
        self._durable = spec.durable
        self._adds_hop = spec.hop_header
        self._format = format_of(spec.metadata)
        self.frames = self._format is not None
        self._said_always = {
            name: value
            for name in self._checker.names
            if name not in {"headers", "annotations"}
            and (value := getattr(self._fixed, name)) is not None
        }
        self.plain = self._merged(Properties(), None)
        self._by_lengths: dict[str, Properties] = {}

    # Out

    def read(self, frame: bytes) -> Said:
        """Read a metadata frame of a message that goes out. An empty frame says nothing.

        Raises:
            MetadataError: it cannot be read, or sent.
        """
        if not frame:
            return _NOTHING_SAID
        if len(frame) > MAX_FRAME:
            raise MetadataError(f"metadata: {len(frame)} bytes, over {MAX_FRAME}")
        assert self._format is not None
        try:
            table = self._format.loads(frame)
        except (ValueError, RecursionError) as error:
            name = type(self._format).__name__
            raise MetadataError(f"metadata: this is no {name}: {error}") from error
        if not is_table(table):
            raise MetadataError("metadata: must be a table, { ... }")
        try:
            plain = _untagged(table)
            origin = {name: plain.pop(name) for name in ORIGIN if name in plain}
            return Said(self._checker.properties(plain), origin)
        except MetadataError as error:
            raise MetadataError(f"metadata: {error}") from None

    def properties(self, said: Said | None, lengths: str | None) -> Properties:
        """The properties of a message that goes out.

        Fixed properties go before what a frame says; headers are merged, one by one.

        Args:
            said: what its metadata frame says, if it has one.
            lengths: the text of the header for its frames, if it has several.
        """
        if said is not None and said.properties is not _NOTHING_SAID.properties:
            return self._merged(said.properties, lengths)
        if lengths is None:
            return self.plain
        found = self._by_lengths.get(lengths)
        if found is None:
            if len(self._by_lengths) >= REMEMBERED:
                self._by_lengths.clear()
            found = self._by_lengths[lengths] = self._merged(Properties(), lengths)
        return found

    def _merged(self, said: Properties, lengths: str | None) -> Properties:
        headers = {**said.headers, **self._fixed.headers}
        via = said.headers.get(_hops.HEADER)
        if self._adds_hop:
            via = _hops.extended(said.headers, self._gateway)
        for name in (_hops.HEADER, _multipart.HEADER):
            headers.pop(name, None)
        if via is not None:
            headers[_hops.HEADER] = via
        if lengths is not None:
            headers[_multipart.HEADER] = lengths
        changes: dict[str, Any] = {**self._said_always, "headers": headers}
        if self._fixed.annotations:
            changes["annotations"] = {**said.annotations, **self._fixed.annotations}
        if said.durable is None and self._fixed.durable is None:
            changes["durable"] = self._durable
        return replace(said, **changes)

    # In

    def frame(self, delivery: Delivery) -> bytes:
        """The metadata frame of a message that came in. Never raises for what is in a message."""
        assert self._format is not None
        table = said_of(delivery)
        try:
            return self._format.dumps(table, careful=False)
        except UnicodeEncodeError:
            return self._format.dumps(table, careful=True)


_NOTHING_SAID = Said(Properties())


def said_of(delivery: Delivery) -> dict[str, Any]:
    """All that is said of a delivery, by the names of a metadata frame; without what is not."""
    properties, target = delivery.properties, delivery.target
    table: dict[str, Any] = {}
    for name in Properties.__dataclass_fields__:
        value = getattr(properties, name)
        if value is not None and value != {}:
            table[name] = value
    if _multipart.HEADER in properties.headers:
        # It is about the body as it was, and the frames say it now.
        headers = {k: v for k, v in properties.headers.items() if k != _multipart.HEADER}
        table["headers"] = headers
        if not headers:
            del table["headers"]
    if target.address:
        table["address"] = target.address
    else:
        table["exchange"] = target.exchange
    if target.routing_key or not target.address:
        table["routing_key"] = target.routing_key
    table["redelivered"] = delivery.redelivered
    if delivery.delivery_count is not None:
        table["delivery_count"] = delivery.delivery_count
    return table


def _untagged(table: Mapping[Any, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(key, str):
            raise MetadataError(f"the keys of a table must be text, not {key!r}")
        try:
            if key in {"headers", "annotations"} and is_table(value):
                plain[key] = _untagged_table(key, value)
            else:
                plain[key] = untag(value)
        except MetadataError:
            raise
        except ValueError as error:
            raise MetadataError(f"{key}: {error}") from None
    return plain


def _untagged_table(name: str, value: Mapping[Any, Any]) -> Any:
    # Of a table that is not tagged as a whole, each entry is read by itself, to name it if wrong.
    if len(value) == 1 and next(iter(value)) in {"table", "map"}:
        return untag(value)
    found: dict[Any, Any] = {}
    for key, one in value.items():
        try:
            found[key] = untag(one, 1)
        except ValueError as error:
            raise MetadataError(f"{name}.{key}: {error}") from None
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f'{text} is no number of JSON; write {{"float": ...}}')
