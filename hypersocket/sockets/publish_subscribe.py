"""The publish-subscribe pattern (RFC 29): PUB, SUB, XPUB, XSUB."""

from ._publisher import Pub, XPub
from ._subscriber import Sub, XSub

__all__ = ["Pub", "Sub", "XPub", "XSub"]
