"""Whether the C library is one that learns how much freed memory it should keep."""

import os
import sys


def _may_learn() -> bool:
    if sys.maxsize < 1 << 32 or os.environ.get("HYPERSOCKET_KEEP_MEMORY") == "0":
        return False
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):  # Windows; macOS; musl, which has the name alone
        return False


KEEPS = _may_learn()
"""It is glibc, with its bounds for 64 bits, and ``HYPERSOCKET_KEEP_MEMORY=0`` is not set."""
