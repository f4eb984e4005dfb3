"""The core: framing, queues and turns, subscription matching.

It knows nothing of sockets, transports or trio. ``FORM`` says which form of it is in use;
:data:`hypersocket.speedups` is the same for users.
"""

from .framing import FrameDecoder, encode_command, encode_messages, frame_header
from .prefix_tree import PrefixTree
from .queues import Budget, FairQueue, LoadBalancer, PipeQueues, ReceivePath, SendPath

FORM = "pure"

__all__ = [
    "FORM",
    "Budget",
    "FairQueue",
    "FrameDecoder",
    "LoadBalancer",
    "PipeQueues",
    "PrefixTree",
    "ReceivePath",
    "SendPath",
    "encode_command",
    "encode_messages",
    "frame_header",
]
