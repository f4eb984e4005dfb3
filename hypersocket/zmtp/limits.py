"""What a peer may cost us: the bounds of one connection, each with the reason for its default."""

from __future__ import annotations

from dataclasses import dataclass

# libzmq has no bound (ZMQ_MAXMSGSIZE is -1), gRPC has 4 MiB, WebSocket libraries 1 to 100 MiB.
# Large enough for what people really send in one piece, small enough that a few hostile peers do
# not take a machine's memory.
DEFAULT_MAX_MESSAGE_SIZE = 256 * 1024 * 1024

# libzmq has no bound. Routing envelopes need a handful, scientific data a few thousand; an empty
# frame costs the sender two bytes and the receiver eight and more, so a bound is due.
DEFAULT_MAX_FRAMES = 65_536

# CURVE's INITIATE with its metadata is the largest command that a real peer sends, some hundred
# bytes. 64 KiB is what HTTP servers allow for all headers together (h11 and httptools: 64 KiB).
DEFAULT_MAX_COMMAND_SIZE = 64 * 1024

# Three standard properties of at most 255 bytes, and room for an application's own. nginx and
# Node.js allow 8 to 32 KiB for what plays the same part in HTTP.
DEFAULT_MAX_METADATA_SIZE = 16 * 1024

# Topics are names, and are kept for as long as the peer stays, up to a million of them. AMQP's
# routing keys, which play the same part, stop at 255 bytes, MQTT's topics at 65,535.
DEFAULT_MAX_TOPIC_SIZE = 4 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is accepted from a peer. All are checked before anything is stored.

    Attributes:
        max_message_size: bytes, over all frames of one message.
        max_frames: frames in one message.
        max_command_size: bytes, the body of a command. SUBSCRIBE and CANCEL are bounded by
            ``max_topic_size`` instead.
        max_metadata_size: bytes, the properties that a peer sends in its handshake.
        max_topic_size: bytes, one topic of a subscription.
    """

    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    max_frames: int = DEFAULT_MAX_FRAMES
    max_command_size: int = DEFAULT_MAX_COMMAND_SIZE
    max_metadata_size: int = DEFAULT_MAX_METADATA_SIZE
    max_topic_size: int = DEFAULT_MAX_TOPIC_SIZE
