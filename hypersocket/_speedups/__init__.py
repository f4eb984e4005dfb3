"""The core: framing and subscription matching.

It knows nothing of sockets, transports or trio. ``FORM`` says which form of it is in use;
:data:`hypersocket.speedups` is the same for users.
"""

FORM = "pure"
