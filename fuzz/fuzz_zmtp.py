"""Fuzz the ZMTP connection: whatever a peer sends makes events or a ``ProtocolError``.

The first octet of an input chooses our socket type, the second the size of the pieces in which
the rest arrives (0: all at once) and, by its highest bit, tight limits. The same bytes are also
fed whole: both ways must come to the same events and the same end, and what was decoded must
survive being encoded and decoded again.

Usage: ``python fuzz/fuzz_zmtp.py -atheris_runs=20000 fuzz/corpus/zmtp``
"""

from __future__ import annotations

import sys

from hypersocket import _errors
from hypersocket._reasons import Reason
from hypersocket.zmtp import COMPATIBLE, Connection, Event, Heartbeat, Limits, State

TYPES = tuple(COMPATIBLE)
TIGHT = Limits(
    max_message_size=300,
    max_frames=3,
    max_command_size=120,
    max_metadata_size=100,
    max_topic_size=20,
)


def play(
    socket_type: str, data: bytes, piece: int, limits: Limits, at_once: int
) -> tuple[list[Event], Reason | None, bytes, State]:
    """Feed ``data`` in pieces; return the events, why it failed, what was sent, and the state."""
    heartbeat = Heartbeat(interval=1.0, timeout=3.0, ttl=2.0)
    connection = Connection(
        socket_type, as_server=True, now=0.0, limits=limits, heartbeat=heartbeat
    )
    events: list[Event] = []
    sent = bytearray()
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)] if data else []
    try:
        for chunk in [*pieces, b""]:
            connection.receive(chunk, 0.5)
            while connection.has_pending_input:
                events += connection.next_events(at_once)
                sent += connection.data_to_send()
    except _errors.ProtocolError as error:
        assert connection.state is State.FAILED
        sent += connection.data_to_send()
        return events, error.reason, bytes(sent), connection.state
    assert connection.state is State.CLOSED
    return events, None, bytes(sent), connection.state


def again(messages: list[Event]) -> list[Event]:
    """Encode messages on one connection and decode them on another."""
    sender = Connection("PAIR", as_server=False, now=0.0)
    receiver = Connection("PAIR", as_server=True, now=0.0)
    for _ in range(2):
        to_receiver = sender.data_to_send()
        to_sender = receiver.data_to_send()
        receiver.receive(to_receiver, 0.0)
        sender.receive(to_sender, 0.0)
        sender.next_events()
        receiver.next_events()
    out: list[bytes] = []
    sender.encode([m for m in messages if isinstance(m, (bytes, list))], out)
    if out:
        receiver.receive(b"".join(out), 0.0)
    return receiver.next_events()


def test_one_input(data: bytes) -> None:
    """What the fuzzer calls with each input."""
    if len(data) < 2:
        return
    socket_type = TYPES[data[0] % len(TYPES)]
    limits = TIGHT if data[1] & 0x80 else Limits()
    peer_bytes = data[2:]
    whole = play(socket_type, peer_bytes, len(peer_bytes) or 1, limits, 1 << 30)
    parted = play(socket_type, peer_bytes, data[1] & 0x7F or 1, limits, 1)
    assert whole == parted
    messages = [event for event in whole[0] if isinstance(event, (bytes, list))]
    assert again(list(messages)) == messages


def main() -> None:
    """Run the fuzzer with the command line's arguments."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
