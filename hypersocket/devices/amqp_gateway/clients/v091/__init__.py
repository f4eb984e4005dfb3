"""AMQP 0-9-1 on trio: :func:`connect` is the gateway's ``Connect``. Needs the extra ``amqp``."""

from __future__ import annotations

from ._client import REPLY_TO
from ._connect import connect

__all__ = ["REPLY_TO", "connect"]
