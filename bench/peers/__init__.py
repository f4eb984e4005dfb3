"""The peers, in the order of the table. A new one is a file here, and a line below."""

from __future__ import annotations

from ..contract import Peer
from .bare import Bare
from .bare_amqp import BareAmqp
from .libzmq import Libzmq
from .ours import Ours
from .pika import Pika
from .proton import Proton
from .pynng import Pynng
from .pyomq import Pyomq
from .pyzmq import Pyzmq
from .relay import Relay
from .shovel import Shovel
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
    Shovel(),
    Pika(),
    Proton(),
    BareAmqp(),
    Relay(),
)

BY_NAME: dict[str, Peer] = {peer.name: peer for peer in ALL}
