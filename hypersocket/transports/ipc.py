"""ipc: ZMTP over Unix domain sockets, by a path or by an abstract name.

Taking a path that a dead process left behind is where such transports go wrong: two processes see
that nobody listens, and one removes the other's new socket. Here

- binding itself never removes anything, so of two that start at once the kernel lets one have a
  free path;
- whether a path is abandoned is asked with a datagram socket. The kernel refuses to connect it
  with "wrong type" when any process holds a stream socket of that path, listening or not, and with
  "refused" when none does. So a socket between bind and listen counts as held, and a server does
  not see the question;
- the question and the removal are one step, under a lock on the directory that ends with the
  process. It leaves no lock file, and can be held by others for an instant only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Generator

import trio
from trio.socket import SocketType

from .._errors import AddressInUse, EndpointError
from .._option_groups import SocketOptions
from ._sockopts import apply_buffers
from ._stream import StreamListener, StreamTransport

if sys.platform != "win32":
    import fcntl

WILDCARD = "*"

_ON_LINUX = sys.platform == "linux"

MAX_PATH = 107 if _ON_LINUX else 103
"""The most bytes in a path or an abstract name: ``sun_path``, less the NUL at its end or start."""

_TRIES = 100
_PAUSE = 0.01  # seconds between two: together as long as one may wait for others' removals

_NOT_FOUND = {errno.ENOENT, errno.ENOTDIR}


class IpcTransport(StreamTransport):
    """Serves ``ipc://``."""

    scheme = "ipc"

    def check(self, address: str, *, binding: bool) -> None:
        """Raise :class:`hypersocket.EndpointError` where ``address`` can never work."""
        if not hasattr(socket, "AF_UNIX"):
            raise EndpointError("this system has no Unix domain sockets; use tcp://127.0.0.1:port")
        if address == WILDCARD:
            if not binding:
                raise EndpointError("cannot connect to '*': name the path that was bound")
            return
        _encoded(address)

    async def listen(self, address: str, options: SocketOptions) -> StreamListener:
        """Listen on a path, an abstract name, or for ``*`` on a new path of its own.

        Looks at files without giving way to other tasks: each look is one system call on a
        directory entry. Cancelled, it leaves nothing behind.

        Raises:
            EndpointError: the path cannot be bound on this machine.
            AddressInUse: somebody has it, or what is left of it cannot be removed.
            OSError: the system is short of something, such as descriptors.
        """
        self.check(address, binding=True)
        if address == WILDCARD:
            return await _listen_anywhere(options)
        return await _listen(address, options, directory=None)

    async def dial(self, address: str, options: SocketOptions) -> tuple[trio.SocketStream, str]:
        """Connect. The peer is told as the process that listens, where the system knows.

        Cancelled, it leaves nothing open.

        Raises:
            OSError: nobody is there now, or nobody has time: ``FileNotFoundError``,
                ``ConnectionRefusedError``, ``BlockingIOError`` and others.
        """
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            apply_buffers(sock, options)
            try:
                await sock.connect(_encoded(address))
                # A full backlog lets a non-blocking connect fail with EAGAIN, which for other
                # families means "under way"; the socket then looks ready, but has no peer.
                sock.getpeername()
            except OSError as error:
                number = errno.EAGAIN if error.errno == errno.ENOTCONN else error.errno or 0
                full = number == errno.EAGAIN
                text = "its backlog is full" if full else os.strerror(number)
                raise OSError(number, f"{address}: {text}") from None
            return trio.SocketStream(sock), _peer(sock, address)
        except BaseException:
            sock.close()
            raise


class IpcListener(StreamListener):
    """Accepts connections, and removes its path when it is closed.

    Args:
        listener: has the socket that listens, which is owned from now on.
        address: as the user wrote it.
        options: read again for each connection.
        file: the path that was bound.
    """

    def __init__(
        self, listener: trio.SocketListener, address: str, options: SocketOptions, file: _File
    ) -> None:
        self._listener = listener
        self._options = options
        self._file = file
        self.address = address

    async def accept(self) -> tuple[trio.SocketStream, str]:
        """Wait for a connection; returns it with the peer's process and user, where known.

        Cancelled, it loses none.

        Raises:
            OSError: the system could not accept one now, or refuses an option.
            trio.ClosedResourceError: the listener was closed.
        """
        stream = await self._listener.accept()
        try:
            apply_buffers(stream.socket, self._options)
            return stream, _peer(stream.socket, self.address)
        except BaseException:
            stream.socket.close()
            raise

    def close(self) -> None:
        """Stop listening, and remove the path if it is still ours; a second call does nothing."""
        self._file.remove()  # first: as long as the socket is open, nobody takes the path for dead
        self._listener.socket.close()


class _File:
    """The path that a socket was bound to, and the directory that was made for it, if any."""

    def __init__(self, path: bytes, directory: str | None) -> None:
        self._path: bytes | None = None
        self._identity = (0, 0)
        self._directory = directory
        if not path.startswith(b"\0"):
            self._path = os.path.abspath(path)  # the working directory may change
            self._identity = _identity(self._path)

    def remove(self) -> None:
        """Remove the path, unless another file has come to its place, and the directory.

        While our socket is open, its inode's number is given to no other file.
        """
        path, directory = self._path, self._directory
        self._path = self._directory = None
        with contextlib.suppress(OSError):  # removed by others, or no longer allowed
            if path is not None and _identity(path) == self._identity:
                os.unlink(path)
        with contextlib.suppress(OSError):
            if directory is not None:
                os.rmdir(directory)


def _identity(path: bytes) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _encoded(address: str) -> bytes:
    """What the system takes for an address: a path, or NUL and an abstract name.

    Raises:
        EndpointError: it can be understood in no way; the text says what would be right.
    """
    if not address:
        raise EndpointError("the path is missing: expected ipc:///path, ipc://@name or ipc://*")
    if "\0" in address:
        raise EndpointError("there is a NUL in the path")
    try:
        encoded = os.fsencode(address)
    except UnicodeEncodeError as error:
        raise EndpointError(f"the path cannot be written for this system: {error}") from None
    if address.startswith("@"):
        if not _ON_LINUX:
            raise EndpointError("abstract names, with '@', are Linux's alone; use a path")
        encoded = b"\0" + encoded[1:]
        if len(encoded) == 1:
            raise EndpointError("the abstract name after '@' is missing")
    length = len(encoded.removeprefix(b"\0"))
    if length > MAX_PATH:
        raise EndpointError(f"the path has {length} bytes, and this system takes {MAX_PATH}")
    return encoded


# Listening


async def _listen_anywhere(options: SocketOptions) -> StreamListener:
    directory = tempfile.mkdtemp(prefix="hypersocket-")  # for this user alone: mode 0700
    try:
        return await _listen(os.path.join(directory, "socket"), options, directory=directory)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # it went with the file
            os.rmdir(directory)
        raise


async def _listen(address: str, options: SocketOptions, *, directory: str | None) -> IpcListener:
    path = _encoded(address)
    # Not trio's yet: nothing may be cancelled between bind, which makes a file, and _File.
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file: _File | None = None
    try:
        apply_buffers(sock, options)
        await _bind(sock, path, address)
        file = _File(path, directory)
        if options.ipc_mode is not None and not path.startswith(b"\0"):
            os.chmod(path, options.ipc_mode)  # nobody can connect before it listens
        sock.listen(options.backlog)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        return IpcListener(listener, address, options, file)
    except BaseException:
        if file is not None:
            file.remove()
        sock.close()
        raise


async def _bind(sock: socket.socket, path: bytes, address: str) -> None:
    for _ in range(_TRIES):
        await trio.lowlevel.checkpoint()
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _why_not_bound(error, path, address) from error
        else:
            return
        if path.startswith(b"\0"):
            raise AddressInUse(f"ipc://{address} is in use by another socket")
        if not _remove_abandoned(path, address):
            await trio.sleep(_PAUSE)
    raise AddressInUse(f"ipc://{address}: another process keeps the directory locked")


def _remove_abandoned(path: bytes, address: str) -> bool:
    """Remove a socket that no process has any more. False if it is to be tried again later.

    Raises:
        EndpointError: what is there is no socket.
        AddressInUse: somebody has it, or it cannot be removed.
    """
    try:
        with _locked(os.path.dirname(path) or b"."):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise EndpointError(f"{address} exists, and is not a socket")
            if _is_held(path):
                raise AddressInUse(f"ipc://{address} is in use by another socket")
            os.unlink(path)
    except BlockingIOError:
        return False  # another process is removing something in this directory
    except FileNotFoundError:
        return True  # its owner has just removed it
    except AddressInUse:
        raise
    except OSError as error:
        raise AddressInUse(
            f"ipc://{address} is taken by a socket that cannot be looked at or removed: "
            f"{os.strerror(error.errno or 0)}"
        ) from error
    return True


@contextlib.contextmanager
def _locked(directory: bytes) -> Generator[None]:
    """Have the directory's lock, or raise ``BlockingIOError``."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_held(path: bytes) -> bool:
    """Whether any process has a socket of that path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as question:
        try:
            question.connect(path)
        except ConnectionRefusedError:
            return False
        except FileNotFoundError:
            raise
        except OSError:
            return True  # of the wrong type; or it cannot be asked, and is none of our business
    return True


def _why_not_bound(error: OSError, path: bytes, address: str) -> Exception:
    if error.errno in _NOT_FOUND:
        directory = os.fsdecode(os.path.dirname(path))
        return EndpointError(f"{address}: there is no directory {directory!r}")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return EndpointError(f"{address}: not allowed to make a socket there: {error.strerror}")
    return error


# Peers


def _peer(sock: SocketType, address: str) -> str:
    """Who is at the other side, for logs: a socket's own name is empty in most clients."""
    if not hasattr(socket, "SO_PEERCRED"):
        return address
    credentials = struct.Struct("3i")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    pid, uid, _ = credentials.unpack(raw)
    return f"pid {pid} uid {uid}"
