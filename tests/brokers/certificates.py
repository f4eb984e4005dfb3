"""Certificates made when the tests run: an authority, a server's, and a client's."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Certificates:
    """Files in PEM.

    Attributes:
        authority: who signed the others.
        server_chain: for localhost and 127.0.0.1.
        server_key: its key.
        client_chain: its common name is ``guest``, a user that every RabbitMQ has.
        client_key: its key.
        stranger: an authority that signed nothing here.
    """

    authority: Path
    server_chain: Path
    server_key: Path
    client_chain: Path
    client_key: Path
    stranger: Path

    def client_context(self, *, authenticate: bool = False) -> ssl.SSLContext:
        """Trusts the authority alone; shows the client's certificate if told to."""
        context = ssl.create_default_context(cafile=self.authority)
        if authenticate:
            context.load_cert_chain(self.client_chain, self.client_key)
        return context

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Where they are, or will be."""
        names = ("authority", "server", "server-key", "client", "client-key", "stranger")
        return cls(*(directory / f"{name}.pem" for name in names))

    def make(self) -> None:
        """Make them, if they are not there."""
        import trustme  # not wanted by a benchmark, which has no TLS

        if self.stranger.exists():
            return
        self.stranger.parent.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        server = authority.issue_cert("localhost", "127.0.0.1")
        client = authority.issue_cert("guest.example", common_name="guest")
        for leaf, chain, key in (
            (server, self.server_chain, self.server_key),
            (client, self.client_chain, self.client_key),
        ):
            key.touch(0o600)
            leaf.private_key_pem.write_to_path(str(key))
            for number, blob in enumerate(leaf.cert_chain_pems):
                blob.write_to_path(str(chain), append=bool(number))
        trustme.CA().cert_pem.write_to_path(str(self.stranger))
