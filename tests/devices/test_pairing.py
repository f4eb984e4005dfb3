"""Which sockets make a device, and what is said where they do not."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import trio

import hypersocket as hs
from hypersocket import devices
from tests.interop.peers import OURS

TYPES = [*OURS]

FIT = {
    # frontend, backend: to the backend, to the frontend
    ("ROUTER", "DEALER"): (True, True),
    ("ROUTER", "ROUTER"): (True, True),
    ("ROUTER", "PAIR"): (True, True),
    ("ROUTER", "PUSH"): (True, False),
    ("ROUTER", "PUB"): (True, False),
    ("DEALER", "DEALER"): (True, True),
    ("DEALER", "PAIR"): (True, True),
    ("DEALER", "XPUB"): (True, True),
    ("DEALER", "XSUB"): (True, True),
    ("DEALER", "PUSH"): (True, False),
    ("DEALER", "PUB"): (True, False),
    ("PAIR", "PAIR"): (True, True),
    ("PAIR", "XPUB"): (True, True),
    ("PAIR", "XSUB"): (True, True),
    ("PAIR", "PUSH"): (True, False),
    ("PAIR", "PUB"): (True, False),
    ("XSUB", "XPUB"): (True, True),
    ("PULL", "PUSH"): (True, False),
    ("PULL", "PUB"): (True, False),
    ("SUB", "PUB"): (True, False),
    ("SUB", "PUSH"): (True, False),
}


@pytest.mark.parametrize(("front", "back"), [*product(TYPES, TYPES)])
def test_every_pairing_fits_or_says_why_not(front: str, back: str) -> None:
    if (front, back) in FIT:
        assert devices.check_pairing(front, back) == devices.Ways(*FIT[front, back])
    elif (back, front) in FIT:
        assert devices.check_pairing(front, back) == devices.Ways(*reversed(FIT[back, front]))
    else:
        with pytest.raises(devices.PairingError) as caught:
            devices.check_pairing(front, back)
        text = str(caught.value)
        assert front in text
        assert back in text
        assert "what fits" in text or "in its place" in text


@pytest.mark.parametrize(
    ("front", "back", "why"),
    [
        ("REQ", "REQ", "use a DEALER in its place"),
        ("REP", "DEALER", "use a ROUTER in its place"),
        ("PUSH", "PUSH", "both only send"),
        ("PUB", "PUB", "both only send"),
        ("PULL", "SUB", "both only receive"),
        ("XSUB", "XSUB", "no side that publishes"),
        ("XPUB", "XPUB", "no side that gets what is published"),
        ("XSUB", "PUB", "no subscriptions come by a PUB"),
        ("SUB", "XPUB", "which a SUB cannot hand on"),
        ("PULL", "DEALER", "what a DEALER receives from its peers has nowhere to go"),
        ("XSUB", "ROUTER", "messages with a topic"),
        ("STREAM", "DEALER", "'STREAM' is no socket type"),
    ],
)
def test_why(front: str, back: str, why: str) -> None:
    with pytest.raises(devices.PairingError, match=why):
        devices.check_pairing(front, back)


@pytest.mark.parametrize(
    ("kind", "front", "back", "why"),
    [
        ("queue", "DEALER", "ROUTER", "a queue has a ROUTER frontend .* swapped"),
        ("streamer", "PULL", "PUB", "a PULL frontend and a PUSH backend, not PULL and PUB"),
        ("forwarder", "SUB", "PUB", "an XSUB frontend and an XPUB backend"),
        ("relay", "PULL", "PUSH", "'relay' is no device"),
    ],
)
def test_devices_with_a_name_have_their_own_types(
    kind: str, front: str, back: str, why: str
) -> None:
    with pytest.raises(devices.PairingError, match=why):
        devices.check_pairing(front, back, kind)


async def test_what_does_not_fit_is_an_error_at_once() -> None:
    async with hs.Push() as one, hs.Push() as two, hs.Pull() as three, hs.Sub() as four:
        cases: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
            ((one, two), {}, devices.PairingError, "both only send"),
            ((three, three), {}, devices.PairingError, "frontend and backend are the same"),
            ((three, one), {"capture": one}, devices.PairingError, "backend and capture are"),
            ((three, one), {"capture": four}, devices.PairingError, "capture: a SUB cannot"),
            ((three, one), {"control": four}, devices.PairingError, "but a REP or PAIR"),
            ((three, "tcp://*:1"), {}, TypeError, "backend: expected an open socket"),
            ((three, hs.Push()), {}, RuntimeError, "not open"),
        ]
        for sockets, more, error, why in cases:
            with pytest.raises(error, match=why):
                await devices.proxy(*sockets, **more)
        closed = hs.Push()
        async with closed:
            pass
        with pytest.raises(trio.ClosedResourceError):
            await devices.streamer(three, closed)


async def test_balancing_needs_its_own_backend() -> None:
    addressed = devices.AddressedDealer()
    async with hs.Router() as front, hs.Dealer() as back, addressed:
        cases: list[tuple[hs.Socket, dict[str, Any], type[Exception], str]] = [
            (back, {"balance": "least-outstanding"}, devices.PairingError, "AddressedDealer"),
            (addressed, {}, devices.PairingError, "use a Dealer"),
            (back, {"balance": "fair"}, ValueError, "balance='fair': expected 'round-robin'"),
            (back, {"max_outstanding": 3}, ValueError, "goes with balance="),
            (
                addressed,
                {"balance": "least-outstanding", "max_outstanding": 0},
                ValueError,
                "max_outstanding=0: expected at least 1",
            ),
            (
                addressed,
                {"balance": "least-outstanding", "max_outstanding": "3"},
                TypeError,
                "expected a number",
            ),
        ]
        for backend, more, error, why in cases:
            with pytest.raises(error, match=why):
                await devices.queue(front, backend, **more)


def test_the_types_of_each_device() -> None:
    assert devices.socket_types("streamer") == (hs.Pull, hs.Push)
    assert devices.socket_types("queue", "least-outstanding")[1] is devices.AddressedDealer
    with pytest.raises(devices.PairingError, match="no socket types of its own"):
        devices.socket_types("proxy")
