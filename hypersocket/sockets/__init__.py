"""The eleven socket types, one module for each pattern.

A socket sees its peers as pipes and knows nothing of transports. Who gets the next message, and
what state allows it, is decided here, by parts that the types compose: a fair queue, a load
balancer, a tree of subscriptions.
"""

from ._socket import Socket
from .dealer_router import Dealer, Router
from .pair import Pair
from .pipeline import Pull, Push
from .publish_subscribe import Pub, Sub, XPub, XSub
from .request_reply import Rep, Req

__all__ = [
    "Dealer",
    "Pair",
    "Pub",
    "Pull",
    "Push",
    "Rep",
    "Req",
    "Router",
    "Socket",
    "Sub",
    "XPub",
    "XSub",
]
