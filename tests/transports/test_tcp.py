"""The tcp transport: listening and dialling on real sockets."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from hypersocket._errors import AddressInUse, EndpointError
from hypersocket._option_groups import SocketOptions
from hypersocket.transports import tcp
from hypersocket.transports._stream import StreamListener
from hypersocket.transports.tcp import TcpTransport


class Options(SocketOptions):
    def __init__(self, **options: object) -> None:
        self._option_values = {}
        self._set_options(options)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")
linux = pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux")
transport = TcpTransport()


@asynccontextmanager
async def listening(address: str, **options: object) -> AsyncIterator[StreamListener]:
    listener = await transport.listen(address, Options(**options))
    try:
        yield listener
    finally:
        listener.close()


@asynccontextmanager
async def connection(
    bind: str = "127.0.0.1:*", connect: str = "{}", *, accepted: Any = None, **options: object
) -> AsyncIterator[tuple[trio.SocketStream, str, trio.SocketStream, str]]:
    """Both ends of a connection: ours, who we think the peer is, and the same of the peer."""
    async with listening(bind, **(options if accepted is None else accepted)) as listener:
        address = connect.format(listener.address)
        ours, peer = await transport.dial(address, Options(**options))
        async with ours:
            theirs, back = await listener.accept()
            assert isinstance(ours, trio.SocketStream)
            assert isinstance(theirs, trio.SocketStream)
            async with theirs:
                yield ours, peer, theirs, back


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


# Addresses


async def test_bytes_pass_and_both_sides_know_each_other() -> None:
    async with connection() as (ours, peer, theirs, back):
        await ours.send_all(b"ping")
        assert await theirs.receive_some() == b"ping"
        host, port = ours.socket.getsockname()
        assert back == f"{host}:{port}"
        host, port = theirs.socket.getsockname()
        assert peer == f"{host}:{port}"


async def test_wildcard_port_is_resolved() -> None:
    for port in ("*", "0"):
        async with listening(f"127.0.0.1:{port}") as listener:
            host, _, resolved = listener.address.partition(":")
            assert host == "127.0.0.1"
            assert int(resolved) > 0


async def test_wildcard_host_is_ipv4_alone() -> None:
    async with listening("*:*") as listener:
        assert listener.address.startswith("0.0.0.0:")


@needs_ipv6
async def test_wildcard_host_with_ipv6_serves_both() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no dual-stack sockets")
    async with listening("*:*", ipv6=True) as listener:
        host, _, port = listener.address.rpartition(":")
        assert host == "[::]"
        for target in (f"127.0.0.1:{port}", f"[::1]:{port}"):
            ours, _ = await transport.dial(target, Options())
            theirs, back = await listener.accept()
            async with ours, theirs:
                assert back.rpartition(":")[0] == target.rpartition(":")[0]


async def test_wildcard_host_without_dual_stack_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    async with listening("*:*", ipv6=True) as listener:
        assert listener.address.startswith("0.0.0.0:")


@needs_ipv6
async def test_ipv6() -> None:
    async with connection("[::1]:*") as (_, peer, _, back):
        assert peer.startswith("[::1]:")
        assert back.startswith("[::1]:")


@needs_ipv6
async def test_ipv6_any_serves_ipv6_alone_unless_asked() -> None:
    async with listening("[::]:*") as listener:
        port = listener.address.rpartition(":")[2]
        with pytest.raises(ConnectionRefusedError):
            await transport.dial(f"127.0.0.1:{port}", Options())


async def test_interface() -> None:
    names = {name for _, name in socket.if_nameindex()}
    name = next(iter(names & {"lo", "lo0"}), None)
    if name is None:
        pytest.skip("no loopback interface by the usual names")
    async with connection(f"{name}:*", f"{name}:*;{{}}") as (_, peer, _, back):
        assert peer.startswith("127.0.0.1:")
        assert back.startswith("127.0.0.1:")


@needs_ipv6
async def test_interface_with_ipv6_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "interface_addresses", lambda name: (IPv6Address("::1"),))
    async with listening("any0:*") as listener:
        assert listener.address.startswith("[::1]:")


async def test_interface_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def addresses(name: str) -> tuple[IPv4Address, ...] | None:
        return () if name == "any0" else None

    monkeypatch.setattr(tcp, "interface_addresses", addresses)
    with pytest.raises(EndpointError, match="'any0' has no address"):
        await transport.listen("any0:*", Options())
    with pytest.raises(OSError, match="'any0' has no address"):
        await transport.dial("any0:*;127.0.0.1:1", Options())


class Resolver(trio.abc.HostnameResolver):
    """Names without the network."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self._names = names

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0) -> Any:  # noqa: A002
        found = []
        for address in self._names.get(host.decode(), ()):
            found += socket.getaddrinfo(address, port, family, type, proto, flags)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    async def getnameinfo(self, sockaddr, flags) -> Any:
        raise NotImplementedError


async def test_names_are_resolved_and_ipv4_is_bound() -> None:
    trio.socket.set_custom_hostname_resolver(
        Resolver({"here.example": ["::1", "127.0.0.1"], "xn--bcher-kva.example": ["127.0.0.1"]})
    )
    async with connection("here.example:*", "bücher.example:*;{}") as (_, peer, _, _):
        assert peer.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["nowhere.example", "bücher.example", "\u2488com.example"])
async def test_names_that_do_not_resolve(name: str) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver({}))
    with pytest.raises(EndpointError, match=f"{name}.*no interface of that name"):
        await transport.listen(f"{name}:*", Options())
    with pytest.raises(socket.gaierror, match=name):
        await transport.dial(f"{name}:5555", Options())


@pytest.mark.parametrize(("address", "binding"), [("127.0.0.1", True), ("*:5555", False)])
def test_check(address: str, binding: bool) -> None:
    with pytest.raises(EndpointError):
        transport.check(address, binding=binding)
    transport.check("127.0.0.1:5555", binding=binding)


# Listening


async def test_address_in_use() -> None:
    async with listening("127.0.0.1:*") as listener:
        with pytest.raises(AddressInUse, match=f"tcp://{listener.address} is in use"):
            await transport.listen(listener.address, Options())


async def test_the_port_can_be_bound_again_at_once() -> None:
    async with connection() as (ours, peer, theirs, _):
        await theirs.aclose()  # first, so that the TIME_WAIT is on the port that was bound
        assert await ours.receive_some() == b""
    async with listening(peer) as listener:
        assert listener.address == peer


async def test_an_address_of_another_machine() -> None:
    with pytest.raises(EndpointError, match=r"192.0.2.77.*does not have that address"):
        await transport.listen("192.0.2.77:*", Options())


@pytest.mark.parametrize(
    ("number", "expected", "why"),
    [
        (errno.EACCES, EndpointError, "need privileges"),
        (errno.EAFNOSUPPORT, EndpointError, "kind of address"),
        (errno.EADDRINUSE, AddressInUse, "in use"),
        (errno.EMFILE, OSError, "of the system"),
    ],
)
async def test_why_listening_failed(number, expected, why, monkeypatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(number, "of the system")

    monkeypatch.setattr(tcp, "apply_buffers", refuse)
    with pytest.raises(expected, match=why):
        await transport.listen("127.0.0.1:80", Options())


async def test_a_closed_listener_accepts_no_more() -> None:
    async with listening("127.0.0.1:*") as listener, trio.open_nursery() as nursery:

        async def accept() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()

        nursery.start_soon(accept)
        await trio.testing.wait_all_tasks_blocked()
        listener.close()
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            await transport.dial(listener.address, Options())
    await accept()


async def test_close_frees_the_address_at_once() -> None:
    listener = await transport.listen("127.0.0.1:*", Options())
    listener.close()
    (await transport.listen(listener.address, Options())).close()


async def test_a_connection_that_is_gone_already_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = tcp._written
    answers = [OSError(errno.ENOTCONN, "gone")]

    def once_gone(address: Any) -> str:
        if answers:
            raise answers.pop()
        return written(address)

    async with listening("127.0.0.1:*") as listener:
        first, _ = await transport.dial(listener.address, Options())
        second, _ = await transport.dial(listener.address, Options())
        monkeypatch.setattr(tcp, "_written", once_gone)
        theirs, back = await listener.accept()
        async with first, second, theirs:
            assert back == written(second.socket.getsockname())
            assert await first.receive_some() == b""


async def test_a_refused_option_closes_what_was_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOBUFS, "full")

    async with listening("127.0.0.1:*") as listener:
        ours, _ = await transport.dial(listener.address, Options())
        monkeypatch.setattr(tcp, "apply_buffers", refuse)
        with pytest.raises(OSError, match="full"):
            await listener.accept()
        async with ours:
            assert await ours.receive_some() == b""


# Dialling


async def test_nobody_listens() -> None:
    with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.1:"):
        await transport.dial(f"127.0.0.1:{free_port()}", Options())


async def test_never_connected_to_itself() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError, match="itself"):
        await transport.dial(f"127.0.0.1:{port};127.0.0.1:{port}", Options())
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))  # it was left free, without TIME_WAIT


async def test_source_port() -> None:
    port = free_port()
    for _ in range(2):  # at once again, though the first leaves a TIME_WAIT
        async with connection(connect=f"127.0.0.1:{port};{{}}") as (ours, _, _, back):
            assert back == f"127.0.0.1:{port}"
            await ours.aclose()


@linux
async def test_source_address() -> None:
    async with connection(connect="127.0.0.9:*;{}") as (_, _, _, back):
        assert back.startswith("127.0.0.9:")


async def test_source_wildcard() -> None:
    async with connection(connect="*:*;{}") as (_, _, _, back):
        assert back.startswith("127.0.0.1:")


async def test_source_of_another_machine() -> None:
    with pytest.raises(OSError, match=r"source address 192\.0\.2\.77") as caught:
        await transport.dial("192.0.2.77:*;127.0.0.1:1", Options())
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_source_of_another_family() -> None:
    with pytest.raises(OSError, match="another family"):
        await transport.dial("[::1]:*;127.0.0.1:1", Options())


class Net:
    """Attempts to connect, as a script: seconds until each ends, and how."""

    def __init__(self, **script: tuple[float, int]) -> None:
        self._script = script
        self.log: list[tuple[str, float]] = []
        self.open: set[trio.socket.SocketType] = set()

    async def __call__(self, place: tcp._Place) -> trio.socket.SocketType:
        name = place.address[0]
        self.log.append((name, trio.current_time()))
        duration, number = self._script[name]
        await trio.sleep(duration)
        if number:
            raise OSError(number, name)
        sock = trio.socket.socket()
        self.open.add(sock)
        return sock

    def still_open(self) -> int:
        return sum(sock.fileno() != -1 for sock in self.open)


def places(*names: str) -> list[tcp._Place]:
    return [tcp._Place(socket.AF_INET, (name, 1)) for name in names]


async def test_race_goes_on_at_once_when_one_fails(autojump_clock: object) -> None:
    net = Net(a=(0.1, errno.ECONNREFUSED), b=(0, 0))
    begin = trio.current_time()
    sock = await tcp._race(net, places("a", "b"))
    sock.close()
    assert [(name, round(at - begin, 3)) for name, at in net.log] == [("a", 0), ("b", 0.1)]


async def test_race_tries_the_next_beside_a_silent_one(autojump_clock: object) -> None:
    net = Net(silent=(1000, 0), b=(0.5, 0), c=(1000, 0))
    begin = trio.current_time()
    sock = await tcp._race(net, places("silent", "b", "c"))
    assert trio.current_time() - begin == pytest.approx(0.75)
    assert [name for name, _ in net.log] == ["silent", "b", "c"]
    assert net.open == {sock}
    sock.close()


async def test_race_with_two_winners_keeps_one(autojump_clock: object) -> None:
    net = Net(a=(0.5, 0), b=(0.25, 0))
    sock = await tcp._race(net, places("a", "b"))
    assert net.still_open() == 1
    sock.close()


async def test_race_cancelled_leaves_nothing_open(autojump_clock: object) -> None:
    net = Net(a=(0.1, 0))
    with trio.CancelScope() as scope:

        async def cancelled_in_the_same_moment(place: tcp._Place) -> trio.socket.SocketType:
            sock = await net(place)
            scope.cancel()
            return sock

        await tcp._race(cancelled_in_the_same_moment, places("a"))
    assert scope.cancelled_caught
    assert net.open
    assert not net.still_open()


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (errno.ENETUNREACH, errno.ECONNREFUSED, errno.ECONNREFUSED),
        (errno.ECONNREFUSED, errno.ENETUNREACH, errno.ECONNREFUSED),
        (errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ETIMEDOUT),
        (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETUNREACH),
    ],
)
async def test_race_tells_the_peers_failure_before_our_own(
    first: int, second: int, told: int, autojump_clock: object
) -> None:
    net = Net(a=(0.1, first), b=(0, second))
    with pytest.raises(OSError, match=r"a|b") as caught:
        await tcp._race(net, places("a", "b"))
    assert caught.value.errno == told


def test_families_alternate() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    found = [tcp._Place(f, (str(i), 1)) for i, f in enumerate([six, six, six, four])]
    assert [place.address[0] for place in tcp._alternate(found)] == ["0", "3", "1", "2"]


async def test_dial_cancelled_leaves_nothing_open() -> None:
    async with listening("127.0.0.1:*") as listener:
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.dial(listener.address, Options())
        assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 5), "127.0.0.1:5"),
        (("::1", 5, 0, 0), "[::1]:5"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1:5"),
        (("fe80::1", 5, 0, 2**31 - 1), f"[fe80::1%{2**31 - 1}]:5"),
    ],
)
def test_addresses_as_text(address: tuple, text: str) -> None:
    assert tcp._written(address) == text


def test_a_zone_is_written_by_its_name() -> None:
    index, name = socket.if_nameindex()[0]
    assert tcp._written(("fe80::1", 5, 0, index)) == f"[fe80::1%{name}]:5"


# Options


async def test_small_messages_do_not_wait() -> None:
    async with connection() as (ours, _, theirs, _):
        for end in (ours, theirs):
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_buffers() -> None:
    async with connection() as (ours, _, _, _):
        usual = ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    async with connection(sndbuf=9000, rcvbuf=8000) as (ours, _, theirs, _):
        for end in (ours, theirs):
            # Linux doubles them, for its own bookkeeping.
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) in {9000, 18000}
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in {8000, 16000}
    assert usual not in {8000, 16000}


async def test_keepalive() -> None:
    idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
    if idle is None:
        pytest.skip("this system cannot set it")
    async with connection(
        tcp_keepalive=True, tcp_keepalive_idle=70, tcp_keepalive_intvl=7, tcp_keepalive_cnt=4
    ) as (ours, _, theirs, _):
        for end in (ours, theirs):
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert end.getsockopt(socket.IPPROTO_TCP, idle) == 70
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 7
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4
    async with connection(tcp_keepalive=False) as (ours, _, theirs, _):
        for end in (ours, theirs):
            assert not end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_options_reach_new_connections_after_listen() -> None:
    options = Options()
    listener = await transport.listen("127.0.0.1:*", options)
    options.tcp_keepalive = True
    ours, _ = await transport.dial(listener.address, Options())
    theirs, _ = await listener.accept()
    listener.close()
    assert isinstance(theirs, trio.SocketStream)
    async with ours, theirs:
        assert theirs.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@linux
async def test_maxrt_is_told_in_milliseconds_rounded_up() -> None:
    for seconds, milliseconds in ((12.5, 12500), (0.0001, 1), (1e12, 2**31 - 1)):
        async with connection(tcp_maxrt=seconds) as (ours, _, theirs, _):
            for end in (ours, theirs):
                told = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert told == milliseconds


async def test_tos() -> None:
    async with connection(tos=0x28) as (ours, _, theirs, _):
        for end in (ours, theirs):
            assert end.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x28


@needs_ipv6
async def test_tos_of_ipv6() -> None:
    async with connection("[::1]:*", tos=0x28) as (ours, _, theirs, _):
        for end in (ours, theirs):
            assert end.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 0x28


@linux
async def test_device() -> None:
    try:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    except PermissionError:
        pytest.skip("this kernel asks for privileges to set it")
    async with connection(bindtodevice="lo") as (ours, _, theirs, _):
        for end in (ours, theirs):
            name = end.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
            assert name.rstrip(b"\0") == b"lo"


@linux
async def test_a_device_that_is_not_there() -> None:
    options = Options(bindtodevice="no-such-if")
    with pytest.raises(EndpointError, match="bindtodevice"):
        await transport.listen("127.0.0.1:*", options)
    with pytest.raises(OSError, match="bindtodevice"):
        await transport.dial("127.0.0.1:1", options)


@pytest.mark.parametrize(
    ("constant", "options"),
    [("TCP_USER_TIMEOUT", {"tcp_maxrt": 1.0}), ("SO_BINDTODEVICE", {"bindtodevice": "lo"})],
)
async def test_an_option_that_the_system_does_not_have(
    constant: str, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, constant, raising=False)
    (name,) = options
    why = f"{name}: this system has no {constant}"
    with pytest.raises(EndpointError, match=why):
        await transport.listen("127.0.0.1:*", Options(**options))
    host: Any = SimpleNamespace(options=Options(**options))
    with pytest.raises(EndpointError, match=why):
        await transport.connect("127.0.0.1:1", host)
    with pytest.raises(OSError, match=why) as caught:
        await transport.dial("127.0.0.1:1", Options(**options))
    assert caught.value.errno == errno.ENOPROTOOPT


async def test_too_few_descriptors_come_out_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening("127.0.0.1:*") as listener:

        async def accept(self: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(trio.SocketListener, "accept", accept)
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            await listener.accept()
