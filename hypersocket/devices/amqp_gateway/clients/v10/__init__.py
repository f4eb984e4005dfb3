"""AMQP 1.0 on trio: :func:`connect` is the gateway's ``Connect``. Needs the extra ``amqp10``."""

from __future__ import annotations

from ._client import Client
from ._connect import connect

__all__ = ["Client", "connect"]
