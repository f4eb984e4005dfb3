"""Either side is killed, and comes back at the same place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from .peers import Theirs, ours, until_heard, wildcard
from .processes import Child, child

Survivor = Any

OPTIONS: dict[str, dict[str, Any]] = {
    "ours": {"reconnect_ivl": 0.02, "reconnect_ivl_max": 0.1},
    "theirs": {"reconnect_ivl": 20},
}


async def place(one: Any, endpoint: str | None, where: str) -> str:
    """Bind to ``where``, or connect to ``endpoint`` if it is given; returns the endpoint."""
    if endpoint is None:
        bound = one.bind(where)
        return str(bound if isinstance(bound, str) else await bound)
    connecting = one.connect(endpoint)
    if connecting is not None:
        await connecting
    return endpoint


async def pushed(survivor: Survivor, victim: Child) -> None:
    """The survivor pulls."""
    await victim.begin("send", [b"pushed"])
    assert await survivor.recv_multipart() == [b"pushed"]
    assert await victim.read() is None


async def pulled(survivor: Survivor, victim: Child) -> None:
    """The survivor pushes; a message or more may go down with the victim."""
    await until_heard(survivor.send, lambda: victim.call("recv"))


async def published(survivor: Survivor, victim: Child) -> None:
    """The survivor subscribes: it tells so again by itself."""
    await until_heard(lambda data: victim.call("send", [data]), survivor.recv_multipart, b"topic ")


async def subscribed(survivor: Survivor, victim: Child) -> None:
    """The survivor publishes."""
    await victim.call("subscribe", b"topic ")
    await until_heard(survivor.send, lambda: victim.call("recv"), b"topic ")


async def routed(survivor: Survivor, victim: Child) -> None:
    """The survivor is a DEALER that has told its routing id, the victim a ROUTER."""
    await survivor.send(b"to the router")
    assert await victim.call("recv") == [b"survivor", b"to the router"]
    await victim.begin("send", [b"survivor", b"to the dealer"])
    assert await survivor.recv_multipart() == [b"to the dealer"]
    assert await victim.read() is None


async def dealt(survivor: Survivor, victim: Child) -> None:
    """The survivor is a ROUTER, the victim a DEALER."""
    await victim.begin("send", [b"to the router"])
    assert await survivor.recv_multipart() == [b"victim", b"to the router"]
    assert await victim.read() is None
    await survivor.send_multipart([b"victim", b"to the dealer"])
    assert await victim.call("recv") == [b"to the dealer"]


Talk = Callable[[Survivor, Child], Awaitable[None]]

# The survivor's type and options, the victim's, and what they do.
TALKS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], Talk]] = {
    "PULL survives": ("PULL", {}, "PUSH", {}, pushed),
    "PUSH survives": ("PUSH", {"immediate": 1}, "PULL", {}, pulled),
    "SUB survives": ("SUB", {"subscribe": b"topic "}, "PUB", {}, published),
    "PUB survives": ("PUB", {}, "SUB", {}, subscribed),
    "DEALER survives": (
        "DEALER",
        {"routing_id": b"survivor", "immediate": 1},
        "ROUTER",
        {},
        routed,
    ),
    "ROUTER survives": (
        "ROUTER",
        {"router_handover": 1},
        "DEALER",
        {"routing_id": b"victim"},
        dealt,
    ),
}


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["survivor binds", "victim binds"])
@pytest.mark.parametrize("killed", ["theirs", "ours"])
@pytest.mark.parametrize("talk", list(TALKS))
async def test_killed_and_back(
    talk: str, killed: str, binder: str, transport: str, tmp_path: Path
) -> None:
    survivor_type, survivor_options, victim_type, victim_options, exchange = TALKS[talk]
    options = {**OPTIONS[killed], **victim_options}
    where = wildcard(transport, tmp_path)
    opened = (
        ours(survivor_type, **survivor_options)
        if killed == "theirs"
        else Theirs(survivor_type, **OPTIONS["theirs"], **survivor_options)
    )
    async with opened as survivor:
        endpoint: str | None = None
        if binder == "survivor binds":
            endpoint = await place(survivor, None, where)
        async with child(killed, victim_type, **options) as victim:
            if endpoint is None:
                endpoint = str(await victim.call("bind", where))
                await place(survivor, endpoint, where)
            else:
                await victim.call("connect", endpoint)
            await exchange(survivor, victim)
            await victim.kill()
        async with child(killed, victim_type, **options) as victim:
            await victim.call("bind" if binder == "victim binds" else "connect", endpoint)
            await exchange(survivor, victim)
