"""The core: framing, queues and turns, the short way through a socket, subscription matching.

It knows nothing of sockets, transports or trio. Each of its modules is plain Python, and may be
compiled too, by Cython from the same file: ``framing.py`` becomes ``_framing``, and so on. Either
all of them are in use in their compiled form or none; ``HYPERSOCKET_PURE=1`` in the environment
asks for none. ``FORM`` says which it is, and :data:`hypersocket.speedups` says it to users.
"""

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

MODULES = ("framing", "paths", "prefix_tree", "queues", "serving", "turns", "wire")
"""What is compiled, where it is compiled."""


def _can_be_compiled() -> bool:
    if os.environ.get("HYPERSOCKET_PURE") == "1":
        return False
    return all(find_spec(f"{__name__}._{module}") is not None for module in MODULES)


FORM = "compiled" if _can_be_compiled() else "pure"

SHORT_WAYS = not sys.flags.dev_mode
"""Whether sockets take the short way. Under ``python -X dev`` each call is a coroutine, so that
Python itself warns of one that is never awaited."""

if TYPE_CHECKING or FORM == "pure":
    from .framing import (
        COMMAND,
        LARGE,
        MORE,
        FrameDecoder,
        encode_command,
        encode_messages,
        frame_header,
    )
    from .paths import (
        AT_ONCE,
        PASSED_OVER,
        PIECE,
        BatchReceivePath,
        Budget,
        FilteredMultipartReceivePath,
        FilteredReceivePath,
        MultipartReceivePath,
        MultipartSendPath,
        PublishPath,
        ReceivePath,
        RoutedReceivePath,
        RoutedSendPath,
        SendCall,
        SendPath,
        ShortWays,
        cost_of,
    )
    from .prefix_tree import PrefixSet, PrefixTree
    from .queues import PipeQueues, size_of, size_of_singles
    from .serving import MOST_LOOKED_AT, Channels, flush_dirty, look
    from .turns import FairQueue, LoadBalancer
    from .wire import COMMAND_CAME, ENDED, Wire, forget_shared
else:
    from ._framing import (
        COMMAND,
        LARGE,
        MORE,
        FrameDecoder,
        encode_command,
        encode_messages,
        frame_header,
    )
    from ._paths import (
        AT_ONCE,
        PASSED_OVER,
        PIECE,
        BatchReceivePath,
        Budget,
        FilteredMultipartReceivePath,
        FilteredReceivePath,
        MultipartReceivePath,
        MultipartSendPath,
        PublishPath,
        ReceivePath,
        RoutedReceivePath,
        RoutedSendPath,
        SendCall,
        SendPath,
        ShortWays,
        cost_of,
    )
    from ._prefix_tree import PrefixSet, PrefixTree
    from ._queues import PipeQueues, size_of, size_of_singles
    from ._serving import MOST_LOOKED_AT, Channels, flush_dirty, look
    from ._turns import FairQueue, LoadBalancer
    from ._wire import COMMAND_CAME, ENDED, Wire, forget_shared

__all__ = [
    "AT_ONCE",
    "COMMAND",
    "COMMAND_CAME",
    "ENDED",
    "FORM",
    "LARGE",
    "MODULES",
    "MORE",
    "MOST_LOOKED_AT",
    "PASSED_OVER",
    "PIECE",
    "SHORT_WAYS",
    "BatchReceivePath",
    "Budget",
    "Channels",
    "FairQueue",
    "FilteredMultipartReceivePath",
    "FilteredReceivePath",
    "FrameDecoder",
    "LoadBalancer",
    "MultipartReceivePath",
    "MultipartSendPath",
    "PipeQueues",
    "PrefixSet",
    "PrefixTree",
    "PublishPath",
    "ReceivePath",
    "RoutedReceivePath",
    "RoutedSendPath",
    "SendCall",
    "SendPath",
    "ShortWays",
    "Wire",
    "cost_of",
    "encode_command",
    "encode_messages",
    "flush_dirty",
    "forget_shared",
    "frame_header",
    "look",
    "size_of",
    "size_of_singles",
]
