"""Which two sockets make a device, and which ways messages flow between them."""

from __future__ import annotations

from .._errors import HypersocketError


class PairingError(HypersocketError, ValueError):
    """These two sockets cannot make that device; the text says why, and what would fit."""


def check_pairing(frontend: str, backend: str, kind: str = "proxy") -> None:
    """Check two socket types by their ZMTP names, such as ``"ROUTER"``.

    Raises:
        PairingError: they do not fit.
    """
    raise NotImplementedError
