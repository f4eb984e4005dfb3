"""The core: framing, queues and turns, the short way through a socket, subscription matching.

It knows nothing of sockets, transports or trio. Each of its modules is plain Python, and may be
compiled too, by Cython from the same file: ``framing.py`` becomes ``_framing``, and so on. Either
all of them are in use in their compiled form or none; ``HYPERSOCKET_PURE=1`` in the environment
asks for none. ``FORM`` says which it is, and :data:`hypersocket.speedups` says it to users.
"""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

MODULES = ("framing", "paths", "prefix_tree", "queues", "turns")
"""What is compiled, where it is compiled."""


def _can_be_compiled() -> bool:
    if os.environ.get("HYPERSOCKET_PURE") == "1":
        return False
    return all(find_spec(f"{__name__}._{module}") is not None for module in MODULES)


FORM = "compiled" if _can_be_compiled() else "pure"

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
    from .paths import Budget, ReceivePath, SendPath
    from .prefix_tree import PrefixTree
    from .queues import PipeQueues
    from .turns import FairQueue, LoadBalancer
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
    from ._paths import Budget, ReceivePath, SendPath
    from ._prefix_tree import PrefixTree
    from ._queues import PipeQueues
    from ._turns import FairQueue, LoadBalancer

__all__ = [
    "COMMAND",
    "FORM",
    "LARGE",
    "MODULES",
    "MORE",
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
