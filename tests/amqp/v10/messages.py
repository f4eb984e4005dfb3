"""Messages as Qpid Proton writes them: for the tests, and for the fuzzer's seeds."""

from __future__ import annotations

from typing import Any

import proton


def rich_message() -> Any:
    """One that has all sections, and every property."""
    return proton.Message(
        body=b"body",
        inferred=True,
        durable=True,
        priority=9,
        ttl=2.5,
        first_acquirer=True,
        delivery_count=3,
        id=proton.ulong(2**63),
        correlation_id=b"\xff\x00",
        user_id=b"me",
        address="to",
        subject="sub",
        reply_to="back",
        content_type=proton.symbol("a/b"),
        content_encoding=proton.symbol("br"),
        creation_time=12.5,
        group_id="g",
        properties={"k": proton.uint(3)},
        annotations={proton.symbol("x-opt-a"): proton.symbol("b")},
        instructions={proton.symbol("x-opt-hop"): 1},
    )
