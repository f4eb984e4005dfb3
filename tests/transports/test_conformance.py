"""Every transport does what the contract says."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from hypersocket.testing import TRANSPORT_CHECKS, MemoryTransport, check_transport

_numbers = count(1)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


ENDPOINTS: dict[str, str] = {
    "tcp": "tcp://127.0.0.1:*",
    "ipc": "ipc://{directory}/{number}",
    "inproc": "inproc://{number}",
    "memory": "memory://{number}",
}
if _has_ipv6():
    ENDPOINTS["tcp6"] = "tcp://[::1]:*"
if socket.__dict__.get("SO_PEERCRED") is not None:  # Linux, which alone has abstract names
    ENDPOINTS["abstract"] = "ipc://@{directory}/{number}"


@pytest.fixture(params=ENDPOINTS)
def make_endpoint(
    request: pytest.FixtureRequest, memory: MemoryTransport, tmp_path: Path
) -> Callable[[], str]:
    form = ENDPOINTS[request.param]
    return lambda: form.format(directory=tmp_path, number=next(_numbers))


@pytest.mark.parametrize("check", TRANSPORT_CHECKS.values(), ids=TRANSPORT_CHECKS)
async def test_transport(check: Callable, make_endpoint: Callable[[], str]) -> None:
    await check(make_endpoint)


async def test_a_failure_names_its_check(
    memory: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.refusing = True
    everything = [*TRANSPORT_CHECKS]
    name = "linger_ends"
    everything.remove(name)
    await check_transport(lambda: "memory://*", leave_out=everything)
    monkeypatch.setattr(memory, "check", lambda address, binding: None)
    with pytest.raises(AssertionError, match=r"^a_bad_address_is_refused: check\(\) refuses"):
        await check_transport(
            lambda: "memory://*", leave_out=set(TRANSPORT_CHECKS) - {"a_bad_address_is_refused"}
        )


async def test_checks_left_out_must_exist() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        await check_transport(lambda: "memory://*", leave_out=["nonsense"])
