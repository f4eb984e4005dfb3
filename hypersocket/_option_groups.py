"""Every option, grouped by the sockets that have it.

Names are pyzmq's, in lower case; durations are seconds. Where libzmq has no such option, the
declaration says so by ``libzmq="none"``.
"""

from __future__ import annotations

from ._options import (
    HasOptions,
    Option,
    at_least,
    finite_seconds,
    flag,
    flag_or_none,
    heartbeat_ttl_seconds,
    message_or_none,
    name_or_none,
    routing_id_bytes,
    seconds,
    seconds_or_none,
    whole_or_none,
)
from .zmtp.limits import (
    DEFAULT_MAX_COMMAND_SIZE,
    DEFAULT_MAX_FRAMES,
    DEFAULT_MAX_MESSAGE_SIZE,
    DEFAULT_MAX_METADATA_SIZE,
    DEFAULT_MAX_TOPIC_SIZE,
)


class SocketOptions(HasOptions):
    """Options that every socket has."""

    linger = Option(
        5.0,
        seconds,
        unit="seconds",
        doc="How long leaving the `async with` block may wait for what was sent to be written.",
        applies="at once",
        libzmq="infinite",
        why="A program must not hang at its end because a peer is gone; what is dropped is "
        "counted and logged.",
    )
    maxmsgsize = Option(
        DEFAULT_MAX_MESSAGE_SIZE,
        at_least(0),
        unit="bytes, 0 for no limit",
        doc="The largest message that is accepted from a peer, all frames together; a larger "
        "one ends its connection before anything of it is stored.",
        libzmq="no limit",
        why="Memory stays bounded whatever a peer sends. Over inproc nothing is checked: what is "
        "sent there is in this memory already.",
    )
    max_frames = Option(
        DEFAULT_MAX_FRAMES,
        at_least(1),
        unit="frames",
        doc="The most frames that are accepted in one message.",
        libzmq="none (no limit)",
        why="An endless multipart message must not fill the memory.",
    )
    max_command_size = Option(
        DEFAULT_MAX_COMMAND_SIZE,
        at_least(512),
        unit="bytes",
        doc="The largest protocol command that is accepted, subscriptions apart.",
        libzmq="none",
        why="Commands are small; a large one is an attack or an error.",
    )
    max_metadata_size = Option(
        DEFAULT_MAX_METADATA_SIZE,
        at_least(512),
        unit="bytes",
        doc="The most metadata that is accepted in a handshake.",
        libzmq="none",
        why="A peer that has not shaken hands yet is owed little memory.",
    )
    reconnect_ivl = Option(
        0.1,
        seconds,
        unit="seconds, infinite for never",
        doc="The pause before the first reconnection. Later pauses double, each shortened by a "
        "random part of up to a half, so that many clients do not return in step.",
        applies="at once",
    )
    reconnect_ivl_max = Option(
        5.0,
        finite_seconds,
        unit="seconds, 0 for no growth",
        doc="What the pause between reconnections may grow to.",
        applies="at once",
        libzmq="0 (no growth)",
        why="A peer that is long away should not be called ten times a second.",
    )
    connect_timeout = Option(
        0.0,
        seconds,
        unit="seconds, 0 for the system's own",
        doc="How long one attempt to connect may take.",
    )
    busy_poll = Option(
        100e-6,
        seconds,
        unit="seconds, 0 for never",
        doc="How long a task that is about to wait may look for what comes instead, here and for "
        "other sockets that are waited for. It is done only with one connection, and where it has "
        "paid lately; with the compiled core, over tcp and ipc.",
        libzmq="none (0; SO_BUSY_POLL of the system is another matter)",
        why="An answer from nearby comes sooner than a sleeping task is woken.",
    )
    handshake_ivl = Option(
        30.0,
        seconds,
        unit="seconds, 0 for no limit",
        doc="How long a handshake may take before its connection is closed.",
    )
    max_handshakes = Option(
        512,
        at_least(1),
        unit="connections",
        doc="How many accepted connections of one endpoint may be in their handshake at once. "
        "When there are more, the one that has been silent longest is closed.",
        libzmq="none (no limit)",
        why="Silent connections must not use up memory and descriptors.",
    )
    heartbeat_ivl = Option(
        0.0,
        seconds,
        unit="seconds, 0 for off",
        doc="How often to send a PING to a peer that speaks ZMTP 3.1.",
    )
    heartbeat_timeout = Option(
        None,
        seconds_or_none,
        unit="seconds, None for `heartbeat_ivl`",
        doc="How long a peer may be silent after a PING before its connection is closed.",
    )
    heartbeat_ttl = Option(
        0.0,
        heartbeat_ttl_seconds,
        unit="seconds, 0 for none",
        doc="How long the peer should wait for traffic of ours before it closes the connection; "
        "it is told with each PING, in tenths of a second.",
    )
    backlog = Option(
        1024,
        at_least(1, 2**31 - 1),
        unit="connections",
        doc="How many connections the system may hold that were not yet accepted.",
        libzmq="100",
        why="Bursts of connections are the normal case after a restart.",
    )
    ipv6 = Option(
        False,
        flag,
        unit="flag",
        doc="Whether binding to `*` listens on IPv6 as well as on IPv4. IPv6 addresses, and "
        "names that have some, work either way.",
    )
    tos = Option(
        0,
        at_least(0, 255),
        unit="octet",
        doc="The type-of-service octet (DSCP and ECN) of outgoing TCP packets.",
    )
    tcp_keepalive = Option(
        None,
        flag_or_none,
        unit="flag, None for the system's own",
        doc="Whether TCP itself probes idle connections.",
    )
    tcp_keepalive_idle = Option(
        None,
        whole_or_none(1),
        unit="seconds, None for the system's own",
        doc="How long a connection is idle before TCP probes it.",
    )
    tcp_keepalive_intvl = Option(
        None,
        whole_or_none(1),
        unit="seconds, None for the system's own",
        doc="How long between two probes of TCP.",
    )
    tcp_keepalive_cnt = Option(
        None,
        whole_or_none(1),
        unit="probes, None for the system's own",
        doc="How many probes may go unanswered.",
    )
    tcp_maxrt = Option(
        0.0,
        finite_seconds,
        unit="seconds, 0 for the system's own",
        doc="How long sent data may stay unacknowledged before TCP gives the connection up.",
    )
    sndbuf = Option(
        None,
        whole_or_none(1),
        unit="bytes, None for the system's own",
        doc="The size of the system's send buffer for each connection.",
    )
    rcvbuf = Option(
        None,
        whole_or_none(1),
        unit="bytes, None for the system's own",
        doc="The size of the system's receive buffer for each connection.",
    )
    bindtodevice = Option(
        None,
        name_or_none,
        unit="interface name",
        doc="The one network interface that TCP sockets may use (Linux).",
    )
    ipc_mode = Option(
        None,
        whole_or_none(0, 0o777),
        unit="permission bits, None for the umask's",
        doc="The permissions of the socket file that an `ipc` endpoint binds.",
        libzmq="none",
        why="The umask decides unless this does, and it is not made for the purpose.",
    )


class SendOptions(HasOptions):
    """Options of sockets that send."""

    sndhwm = Option(
        1000,
        at_least(0),
        unit="messages, 0 for no limit",
        doc="The high-water mark of outgoing messages for each peer: how many may wait to be "
        "written.",
    )
    immediate = Option(
        False,
        flag,
        unit="flag",
        doc="Whether messages are queued only for connections that are complete. Otherwise an "
        "endpoint takes messages from the moment of `connect`.",
        applies="at once",
    )


class ReceiveOptions(HasOptions):
    """Options of sockets that receive."""

    rcvhwm = Option(
        1000,
        at_least(0),
        unit="messages, 0 for no limit",
        doc="The high-water mark of incoming messages for each peer: how many may wait to be "
        "received before its connection is no longer read.",
    )


class ConflateOptions(HasOptions):
    """Options of sockets that can keep the last message only."""

    conflate = Option(
        False,
        flag,
        unit="flag",
        doc="Whether only the newest message is kept in each queue. Multipart messages are kept "
        "or replaced whole.",
        libzmq="off (and multipart messages break)",
        why="Half a message is never what is wanted.",
    )


class RoutingIdOptions(HasOptions):
    """Options of sockets that a ROUTER can address."""

    routing_id = Option(
        b"",
        routing_id_bytes,
        unit="at most 255 bytes",
        doc="The routing id that a ROUTER at the other side knows this socket by; empty lets it "
        "choose one.",
    )
    probe_router = Option(
        False,
        flag,
        unit="flag",
        doc="Whether an empty message is sent to each new peer, so that a ROUTER learns of it.",
    )


class ReqOptions(HasOptions):
    """Options of REQ."""

    req_relaxed = Option(
        True,
        flag,
        unit="flag",
        doc="Whether a request may be sent while the last one is unanswered, which abandons "
        "that one: its late reply is never seen.",
        applies="at once",
        libzmq="off",
        why="A REQ whose wait was cancelled or timed out would otherwise be of no more use.",
    )
    req_correlate = Option(
        False,
        flag,
        unit="flag",
        doc="Whether each request carries an id in a frame of its own, by which its reply is "
        "known. Lets `request` have many outstanding at once.",
        applies="at once",
    )


class RouterOptions(HasOptions):
    """Options of ROUTER."""

    router_mandatory = Option(
        False,
        flag,
        unit="flag",
        doc="Whether a message to an unknown routing id raises `HostUnreachable`, and one to a "
        "full peer waits, instead of being dropped.",
        applies="at once",
    )
    router_handover = Option(
        False,
        flag,
        unit="flag",
        doc="Whether a new peer takes over a routing id that is in use, whose old connection is "
        "then closed. Otherwise the new peer is refused.",
        applies="at once",
    )
    connect_routing_id = Option(
        b"",
        routing_id_bytes,
        unit="at most 255 bytes",
        doc="The routing id for the peer of the next `connect`, whatever it announces; used once. "
        "Messages to it are queued from then on, before the peer is there.",
        applies="new connections",
    )


class PublisherOptions(HasOptions):
    """Options of PUB and XPUB."""

    xpub_nodrop = Option(
        False,
        flag,
        unit="flag",
        doc="Whether sending waits for a subscriber that is full, instead of dropping the "
        "message for it.",
        applies="at once",
    )
    invert_matching = Option(
        False,
        flag,
        unit="flag",
        doc="Whether messages go to those peers whose subscriptions do not match. The other "
        "side must set it too.",
        applies="at once",
    )
    max_topic_size = Option(
        DEFAULT_MAX_TOPIC_SIZE,
        at_least(1),
        unit="bytes",
        doc="The longest topic that a peer may subscribe to.",
        libzmq="none (no limit)",
        why="Topics are kept for as long as the peer stays.",
    )
    max_subscriptions = Option(
        2**20,
        at_least(1),
        unit="subscriptions",
        doc="How many subscriptions one peer may hold.",
        libzmq="none (no limit)",
        why="A peer must not fill the memory with topics.",
    )
    max_subscription_bytes = Option(
        256 * 1024 * 1024,
        at_least(1),
        unit="bytes",
        doc="How long the topics that one peer subscribes to may be, all together.",
        libzmq="none (no limit)",
        why="Many long topics must not fill the memory either.",
    )


class XPubOptions(HasOptions):
    """Options of XPUB."""

    xpub_verbose = Option(
        False,
        flag,
        unit="flag",
        doc="Whether every subscription is received, not only the first of each topic.",
        applies="at once",
    )
    xpub_verboser = Option(
        False,
        flag,
        unit="flag",
        doc="Whether every subscription and every cancellation is received, not only the first "
        "and the last of each topic.",
        applies="at once",
    )
    xpub_manual = Option(
        False,
        flag,
        unit="flag",
        doc="Whether subscriptions take effect only by `subscribe` and `unsubscribe`, for the "
        "peer whose subscription was received last.",
        applies="at once",
    )
    xpub_welcome_msg = Option(
        None,
        message_or_none,
        unit="bytes, None for none",
        doc="A message that is sent to each peer as soon as it is there, whatever it has "
        "subscribed to.",
    )


class SubscriberOptions(HasOptions):
    """Options of SUB."""

    invert_matching = Option(
        False,
        flag,
        unit="flag",
        doc="Whether messages are received that match no subscription. The other side must set "
        "it too.",
        applies="at once",
    )
