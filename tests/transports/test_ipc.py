"""The ipc transport: paths, abstract names, and who may have them."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hypersocket._errors import AddressInUse, EndpointError
from hypersocket._option_groups import SocketOptions
from hypersocket.transports import ipc
from hypersocket.transports._stream import StreamListener
from hypersocket.transports.ipc import MAX_PATH, IpcTransport

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="no Unix domain sockets on this system"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has this")
transport = IpcTransport()


class Options(SocketOptions):
    def __init__(self, **options: object) -> None:
        self._option_values = {}
        self._set_options(options)


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not tmp_path, whose paths are longer than a socket's may be on some systems.
    with tempfile.TemporaryDirectory(prefix="hs-") as name:
        yield Path(name)


@asynccontextmanager
async def listening(address: str, **options: object) -> AsyncIterator[StreamListener]:
    listener = await transport.listen(address, Options(**options))
    try:
        yield listener
    finally:
        listener.close()


async def talk(listener: StreamListener, address: str) -> None:
    ours, _ = await transport.dial(address, Options())
    theirs, _ = await listener.accept()
    async with ours, theirs:
        await ours.send_all(b"ping")
        assert await theirs.receive_some() == b"ping"


def abandon(path: Path) -> None:
    """Leave a socket as a process does that was killed."""
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(str(path))
        sock.listen()


# Addresses


async def test_path(directory: Path) -> None:
    path = directory / "here"
    async with listening(str(path)) as listener:
        assert listener.address == str(path)
        await talk(listener, str(path))
    assert not path.exists()


async def test_relative_path(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    async with listening("here") as listener:
        assert listener.address == "here"
        await talk(listener, "here")
        monkeypatch.chdir("/")
    assert not (directory / "here").exists()


@linux
async def test_abstract_name(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    name = f"@{directory}"
    async with listening(name, ipc_mode=0o600) as listener:
        assert listener.address == name
        await talk(listener, name)
        with pytest.raises(AddressInUse, match=name):
            await transport.listen(name, Options())
    assert not os.listdir(directory)
    with pytest.raises(ConnectionRefusedError):
        await transport.dial(name, Options())


async def test_wildcard_is_a_place_of_its_own() -> None:
    async with listening("*") as first, listening("*") as second:
        assert first.address != second.address
        made = Path(first.address).parent
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        await talk(first, first.address)
        await talk(second, second.address)
    assert not made.exists()


async def test_wildcard_that_fails_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOBUFS, "full")

    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", refuse)  # after the path was made
        with pytest.raises(OSError, match="full"):
            await transport.listen("*", Options(ipc_mode=0o600))
    with monkeypatch.context() as patch:
        patch.setattr(ipc, "apply_buffers", refuse)  # before
        with pytest.raises(OSError, match="full"):
            await transport.listen("*", Options())
    with trio.CancelScope() as scope:
        scope.cancel()
        await transport.listen("*", Options())
    assert not os.listdir(directory)


async def test_longest_path(directory: Path) -> None:
    room = MAX_PATH - len(os.fsencode(directory)) - 1
    path = str(directory / ("x" * room))
    async with listening(path) as listener:
        await talk(listener, path)
    with pytest.raises(EndpointError, match=f"{MAX_PATH + 1} bytes, and .* takes {MAX_PATH}"):
        transport.check(path + "x", binding=True)


@linux
async def test_longest_abstract_name() -> None:
    name = "@" + "x" * MAX_PATH
    async with listening(name) as listener:
        await talk(listener, name)
    with pytest.raises(EndpointError, match=f"takes {MAX_PATH}"):
        transport.check(name + "x", binding=True)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "path is missing"),
        ("a\0b", "NUL"),
        ("@", "abstract name"),
        ("é" * 60, "120 bytes"),
        ("\ud800", "cannot be written"),
    ],
    ids=range(5),
)
@pytest.mark.parametrize("binding", [True, False], ids=["bind", "connect"])
def test_what_can_never_work(address: str, why: str, binding: bool) -> None:
    with pytest.raises(EndpointError, match=why):
        transport.check(address, binding=binding)


def test_nobody_connects_to_the_wildcard() -> None:
    transport.check("*", binding=True)
    with pytest.raises(EndpointError, match="cannot connect to"):
        transport.check("*", binding=False)


@given(st.text(), st.booleans())
def test_any_text_is_an_address_or_an_endpoint_error(text: str, binding: bool) -> None:
    with suppress(EndpointError):
        transport.check(text, binding=binding)


def test_abstract_names_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipc, "_ON_LINUX", False)
    with pytest.raises(EndpointError, match="Linux's alone"):
        transport.check("@name", binding=True)


async def test_a_system_without_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(EndpointError, match="no Unix domain sockets"):
        transport.check("/tmp/x", binding=False)
    with pytest.raises(EndpointError, match="no Unix domain sockets"):
        await transport.listen("/tmp/x", Options())


# Who has a path


async def test_missing_directory(directory: Path) -> None:
    with pytest.raises(EndpointError, match=f"no directory '{directory}/nowhere'"):
        await transport.listen(f"{directory}/nowhere/x", Options())
    (directory / "file").touch()
    with pytest.raises(EndpointError, match=f"no directory '{directory}/file'"):
        await transport.listen(f"{directory}/file/x", Options())


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("y")])
async def test_what_is_not_a_socket_stays(make: Callable[[Path], None], directory: Path) -> None:
    path = directory / "x"
    make(path)
    with pytest.raises(EndpointError, match="is not a socket"):
        await transport.listen(str(path), Options())
    assert os.listdir(directory) == ["x"]


async def test_path_in_use(directory: Path) -> None:
    path = str(directory / "x")
    async with listening(path) as listener:
        with pytest.raises(AddressInUse, match=f"ipc://{path} is in use"):
            await transport.listen(path, Options())
        await talk(listener, path)  # which also shows that the question was no connection


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "dgram"])
async def test_path_of_a_socket_that_does_not_listen_yet(kind: int, directory: Path) -> None:
    path = directory / "x"
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))
        with pytest.raises(AddressInUse, match="in use"):
            await transport.listen(str(path), Options())
    assert path.is_socket()


async def test_path_that_a_dead_process_left(directory: Path) -> None:
    path = directory / "x"
    abandon(path)
    async with listening(str(path)) as listener:
        await talk(listener, str(path))


async def test_relative_path_that_a_dead_process_left(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory)
    abandon(directory / "x")
    async with listening("x") as listener:
        await talk(listener, "x")


async def test_a_path_that_goes_while_it_is_looked_at(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = directory / "x"
    abandon(path)

    is_held = ipc._is_held

    def gone(at: bytes) -> bool:
        os.unlink(at)
        return is_held(at)

    monkeypatch.setattr(ipc, "_is_held", gone)
    async with listening(str(path)) as listener:
        await talk(listener, str(path))


async def test_others_that_remove_are_waited_for(directory: Path, autojump_clock: object) -> None:
    path = directory / "x"
    abandon(path)
    with ipc._locked(os.fsencode(directory)):
        async with listening(str(directory / "y")):
            pass  # a free path needs no lock
        with pytest.raises(AddressInUse, match="keeps the directory locked"):
            await transport.listen(str(path), Options())
    async with trio.open_nursery() as nursery:
        with ipc._locked(os.fsencode(directory)):
            nursery.start_soon(_listen_and_close, str(path))
            await trio.sleep(ipc._PAUSE * 2.5)
            assert path.is_socket()
    assert not path.exists()


async def _listen_and_close(path: str) -> None:
    async with listening(path):
        pass


@pytest.mark.parametrize("step", ["open", "unlink"])
async def test_what_is_left_but_cannot_be_removed(
    step: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = directory / "x"
    abandon(path)

    def refuse(*args: object) -> None:
        raise PermissionError(errno.EPERM, "not allowed")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse)
        with pytest.raises(AddressInUse, match="cannot be looked at or removed"):
            await transport.listen(str(path), Options())
    assert path.is_socket()


async def test_a_socket_that_may_not_be_asked_counts_as_held(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = directory / "x"
    abandon(path)

    def refuse(*args: object) -> None:
        raise PermissionError(errno.EACCES, "not allowed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(AddressInUse, match="in use"):
        await transport.listen(str(path), Options())


@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere"
)
async def test_directory_that_may_not_be_written(directory: Path) -> None:
    os.chmod(directory, 0o500)
    with pytest.raises(EndpointError, match="not allowed"):
        await transport.listen(str(directory / "x"), Options())


RIVAL = """
import os, sys, trio
from hypersocket._errors import AddressInUse
from hypersocket._option_groups import SocketOptions
from hypersocket.transports.ipc import IpcTransport

class Options(SocketOptions):
    _option_values = {}

async def main():
    for line in sys.stdin:  # a path for each round; the next tells that the round is over
        try:
            listener = await IpcTransport().listen(line.strip(), Options())
        except AddressInUse:
            print("lost", flush=True)
            sys.stdin.readline()
        else:
            print("won", flush=True)
            sys.stdin.readline()
            listener.close()

trio.run(main)
"""


def test_of_processes_that_start_at_once_one_has_the_path(directory: Path) -> None:
    path = directory / "x"
    root = Path(ipc.__file__).parents[2]
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RIVAL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
            text=True,
        )
        for _ in range(4)
    ]

    def tell_all(line: str) -> None:
        for rival in rivals:
            assert rival.stdin
            rival.stdin.write(line)
            rival.stdin.flush()

    try:
        for _ in range(50):
            abandon(path)
            tell_all(f"{path}\n")
            results = [rival.stdout.readline().strip() for rival in rivals if rival.stdout]
            assert sorted(results) == ["lost", "lost", "lost", "won"]
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))  # the winner still has it
            tell_all("over\n")
            while path.exists():  # the winner removes it, and ends the round for it
                assert all(rival.poll() is None for rival in rivals)
    finally:
        for rival in rivals:
            rival.communicate()


# Closing


async def test_close_leaves_what_others_have_put_there(directory: Path) -> None:
    path = directory / "x"
    async with listening(str(path)):
        path.unlink()
        later = await transport.listen(str(path), Options())
    await talk(later, str(path))
    path.unlink()
    path.touch()
    later.close()
    assert path.is_file()


async def test_close_when_all_is_gone_and_twice() -> None:
    listener = await transport.listen("*", Options())
    path = listener.address
    made = os.path.dirname(path)
    os.unlink(path)
    os.rmdir(made)
    listener.close()
    os.mkdir(made)
    os.mkfifo(path)
    listener.close()
    os.unlink(path)  # it stayed
    os.rmdir(made)


async def test_close_frees_the_path_at_once(directory: Path) -> None:
    path = directory / "x"
    listener = await transport.listen(str(path), Options())
    listener.close()
    assert not path.exists()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_a_listen_that_fails_late_leaves_no_path(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOBUFS, "full")

    monkeypatch.setattr(socket.socket, "listen", refuse)
    with pytest.raises(OSError, match="full"):
        await transport.listen(str(directory / "x"), Options())
    assert not os.listdir(directory)


# Dialling and accepting


async def test_nobody_there(directory: Path) -> None:
    path = directory / "x"
    with pytest.raises(FileNotFoundError, match=str(path)):
        await transport.dial(str(path), Options())
    abandon(path)
    with pytest.raises(ConnectionRefusedError, match=str(path)):
        await transport.dial(str(path), Options())


@linux
async def test_a_full_backlog_is_an_error_and_no_stream(directory: Path) -> None:
    path = str(directory / "x")
    async with listening(path, backlog=1), AsyncExitStack() as stack:

        async def fill() -> None:
            while True:
                stream, _ = await transport.dial(path, Options())
                await stack.enter_async_context(stream)

        with pytest.raises(BlockingIOError, match="backlog is full"):
            await fill()


async def test_both_know_the_others_process(directory: Path) -> None:
    path = str(directory / "x")
    async with listening(path) as listener:
        ours, peer = await transport.dial(path, Options())
        theirs, back = await listener.accept()
        async with ours, theirs:
            who = f"pid {os.getpid()} uid {os.getuid()}"
            assert peer == back == (who if hasattr(socket, "SO_PEERCRED") else path)


async def test_the_path_where_processes_are_not_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED", raising=False)
    path = str(directory / "x")
    async with listening(path) as listener:
        ours, peer = await transport.dial(path, Options())
        theirs, back = await listener.accept()
        async with ours, theirs:
            assert peer == back == path


async def test_a_refused_option_closes_what_was_accepted(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOBUFS, "full")

    path = str(directory / "x")
    async with listening(path) as listener:
        ours, _ = await transport.dial(path, Options())
        monkeypatch.setattr(ipc, "apply_buffers", refuse)
        with pytest.raises(OSError, match="full"):
            await listener.accept()
        async with ours:
            assert await ours.receive_some() == b""


# Options


@pytest.mark.parametrize("mode", [0o600, 0o666])
async def test_mode_is_set_before_anybody_can_connect(
    mode: int, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = directory / "x"
    seen = []
    listen = socket.socket.listen

    def look(self: socket.socket, backlog: int) -> None:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        listen(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", look)
    async with listening(str(path), ipc_mode=mode):
        assert seen == [mode]
        assert stat.S_IMODE(path.stat().st_mode) == mode


async def test_buffers(directory: Path) -> None:
    path = str(directory / "x")
    async with listening(path, sndbuf=9000, rcvbuf=8000) as listener:
        ours, _ = await transport.dial(path, Options(sndbuf=9000, rcvbuf=8000))
        theirs, _ = await listener.accept()
        async with ours, theirs:
            for end in (ours, theirs):
                assert isinstance(end, trio.SocketStream)
                # Linux doubles them, for its own bookkeeping.
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) in {9000, 18000}
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in {8000, 16000}
