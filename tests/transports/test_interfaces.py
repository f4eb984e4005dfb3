"""The addresses of interfaces, on those that every machine has."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest

from hypersocket.transports import _interfaces
from hypersocket.transports._interfaces import interface_addresses

names = [name for _, name in socket.if_nameindex()]
loopback = next((name for name in names if name in {"lo", "lo0"}), "")


@pytest.mark.skipif(not loopback, reason="no loopback interface by the usual names")
def test_the_loopback_interface_has_the_loopback_address_first() -> None:
    addresses = interface_addresses(loopback)
    assert addresses
    assert addresses[0] == IPv4Address("127.0.0.1")


@pytest.mark.parametrize("name", ["no-such-if", "", "a" * 300, "a\0b", "127.0.0.1", "é"])
def test_a_name_that_no_interface_has(name: str) -> None:
    assert interface_addresses(name) is None


def test_every_interface_can_be_asked() -> None:
    for name in names:
        addresses = interface_addresses(name)
        assert addresses is not None
        for address in addresses:
            if isinstance(address, IPv6Address) and address.is_link_local:
                assert address.scope_id == name


def test_order_and_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    name = names[0]
    found = ["fe80:7::1", "2001:db8::1", "192.0.2.1"]  # BSD kernels put the zone's number there
    parsed = [IPv4Address(a) if "." in a else IPv6Address(a) for a in found]
    monkeypatch.setattr(
        _interfaces, "_all_addresses", lambda: [*((name, a) for a in parsed), ("other", parsed[2])]
    )
    addresses = interface_addresses(name)
    assert addresses is not None
    assert [str(a) for a in addresses] == ["192.0.2.1", "2001:db8::1", f"fe80::1%{name}"]
