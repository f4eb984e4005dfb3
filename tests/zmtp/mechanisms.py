"""A toy mechanism that uses the whole seam: two steps, roles, a verdict, and wrapped traffic."""

from __future__ import annotations

from hypersocket import _errors
from hypersocket._reasons import Reason
from hypersocket.zmtp import HandshakeContext, Mechanism, Progress


def named(name: bytes, data: bytes = b"") -> bytes:
    return bytes((len(name),)) + name + data


class Xor(Mechanism):
    """Hides each octet behind 0x55. HELLO, WELCOME, then INITIATE and READY with metadata.

    With ``ask``, the server waits for a verdict on INITIATE; :attr:`verdict` has it.
    """

    name = "XOR"
    has_roles = True
    transparent = False
    overhead = 5

    def __init__(self, *, ask: bool = False, verdict: bool = True) -> None:
        self.ask = ask
        self.verdict = verdict
        self.context: HandshakeContext | None = None

    def start(self, context: HandshakeContext) -> list[bytes]:
        self.context = context
        if context.as_server == context.peer_as_server:
            raise _errors.HandshakeError("both play the same part", Reason.BAD_GREETING)
        return [] if context.as_server else [named(b"HELLO")]

    def receive(self, name: bytes, data: bytes) -> list[bytes]:
        assert self.context is not None
        metadata = self._mask(self.context.metadata)
        match name, self.context.as_server:
            case b"HELLO", True:
                return [named(b"WELCOME")]
            case b"WELCOME", False:
                return [named(b"INITIATE", metadata)]
            case b"INITIATE", True:
                self.peer_metadata = self._mask(data)
                if self.ask:
                    self.progress = Progress.PENDING
                    return []
                return self.resume()
            case b"READY", False:
                self.peer_metadata = self._mask(data)
                self.progress = Progress.DONE
                return []
        raise _errors.HandshakeError(f"unexpected {name!r}", Reason.UNEXPECTED_COMMAND)

    def resume(self) -> list[bytes]:
        assert self.context is not None
        self.progress = Progress.DONE
        if not self.verdict:
            raise _errors.HandshakeError("not on the list", Reason.REFUSED_BY_PEER)
        return [named(b"READY", self._mask(self.context.metadata))]

    def wrap(self, flags: int, body: bytes) -> bytes:
        return named(b"MSG", self._mask(bytes((flags,)) + body))

    def unwrap(self, body: bytes) -> tuple[int, bytes]:
        if body[:4] != b"\x03MSG" or len(body) < 5:
            raise _errors.ProtocolError("not wrapped", Reason.BAD_COMMAND)
        clear = self._mask(body[4:])
        return clear[0], clear[1:]

    @staticmethod
    def _mask(data: bytes) -> bytes:
        return bytes(octet ^ 0x55 for octet in data)
