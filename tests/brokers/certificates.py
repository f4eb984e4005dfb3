"""Certificates made when the tests run: an authority, a server's, and a client's."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


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


def make_certificates(directory: Path) -> Certificates:
    """Make them once in a directory; those that are there stay."""
    names = ("authority", "server", "server-key", "client", "client-key", "stranger")
    files = Certificates(*(directory / f"{name}.pem" for name in names))
    if files.stranger.exists():
        return files
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(files.authority))
    trustme.CA().cert_pem.write_to_path(str(files.stranger))
    server = authority.issue_cert("localhost", "127.0.0.1")
    client = authority.issue_cert("guest.example", common_name="guest")
    for leaf, chain, key in (
        (server, files.server_chain, files.server_key),
        (client, files.client_chain, files.client_key),
    ):
        key.touch(0o600)
        leaf.private_key_pem.write_to_path(str(key))
        for number, blob in enumerate(leaf.cert_chain_pems):
            blob.write_to_path(str(chain), append=bool(number))
    return files
