"""A kit for testing transports, socket types, and programs that use sockets.

It needs no test framework: a check is an async function that raises ``AssertionError`` with a
text that says what the contract wants.
"""

from ._memory import MemoryConnection, MemoryTransport
from ._memory_stream import MemoryStream
from ._socket import SOCKET_CHECKS, check_socket_type
from ._transport import TRANSPORT_CHECKS, check_transport

__all__ = [
    "SOCKET_CHECKS",
    "TRANSPORT_CHECKS",
    "MemoryConnection",
    "MemoryStream",
    "MemoryTransport",
    "check_socket_type",
    "check_transport",
]
