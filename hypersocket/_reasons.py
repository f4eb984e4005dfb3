"""Why something ended or was lost: the closed vocabulary of events, statistics and errors."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a connection ended, or was never made.

    Monitor events and :class:`hypersocket.ProtocolError` carry one, so that a program can act on
    the cause without reading a message meant for people.
    """

    # The peer's bytes
    BAD_GREETING = "bad greeting"
    VERSION_TOO_OLD = "protocol version too old"
    MECHANISM_MISMATCH = "security mechanism mismatch"
    BAD_FRAME = "malformed frame"
    BAD_COMMAND = "malformed command"
    UNEXPECTED_COMMAND = "unexpected command"
    BAD_METADATA = "malformed metadata"
    INCOMPATIBLE_TYPE = "socket types do not match"
    BAD_ROUTING_ID = "invalid routing id"
    DUPLICATE_ROUTING_ID = "routing id already in use"
    REFUSED_BY_PEER = "refused by peer"
    # The peer's bytes, against our bounds
    MESSAGE_TOO_LARGE = "message too large"
    TOO_MANY_FRAMES = "too many frames"
    COMMAND_TOO_LARGE = "command too large"
    METADATA_TOO_LARGE = "metadata too large"
    TOPIC_TOO_LONG = "topic too long"
    TOO_MANY_SUBSCRIPTIONS = "too many subscriptions"
    # Time
    HANDSHAKE_TIMEOUT = "handshake timed out"
    HEARTBEAT_TIMEOUT = "heartbeat timed out"
    CONNECT_TIMEOUT = "connect timed out"
    # The other side, or the network
    CLOSED_BY_PEER = "closed by peer"
    CONNECTION_LOST = "connection lost"
    CONNECTION_REFUSED = "connection refused"
    UNREACHABLE = "unreachable"
    NAME_NOT_RESOLVED = "name not resolved"
    # Our side
    BUSY = "already has its one peer"
    TOO_MANY_HANDSHAKES = "too many handshakes at once"
    REQUEST_ABANDONED = "request abandoned"
    CLOSED_BY_US = "closed by us"
    INTERNAL_ERROR = "internal error"


class DropReason(StrEnum):
    """Why a message was dropped: the keys of :attr:`hypersocket.SocketStats.drops`."""

    HIGH_WATER_MARK = "high-water mark"
    PEER_GONE = "peer gone"
    LINGER = "linger expired"
    UNROUTABLE = "unroutable"
    MALFORMED = "malformed"
    STALE_REPLY = "stale reply"
    REQUEST_ABANDONED = "request abandoned"
    CONFLATED = "conflated"
    NOT_EXPECTED = "not expected by this socket type"
