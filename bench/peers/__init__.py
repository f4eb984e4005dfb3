"""The peers, in the order of the table. A new one is a file here, and a line below."""

from __future__ import annotations

from ..contract import Peer
from .bare import Bare
from .libzmq import Libzmq
from .ours import Ours
from .pynng import Pynng
from .pyomq import Pyomq
from .pyzmq import Pyzmq
from .zmq_asyncio import ZmqAsyncio

ALL: tuple[Peer, ...] = (
    Ours("pure"),
    Ours("compiled"),
    Pyzmq(),
    ZmqAsyncio(),
    Pyomq(),
    Pynng(),
    Libzmq(),
    Bare(),
)

BY_NAME: dict[str, Peer] = {peer.name: peer for peer in ALL}
