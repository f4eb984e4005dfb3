"""From ``[broker]`` to where the broker is: URLs, secrets, TLS, and what is declared."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from ....amqp import Binding, Declaration, Exchange, Queue
from ..._files._problems import NOTHING, Key
from ..._files._reader import why
from ..._files._variables import Report
from .._client import BrokerAddress, ProtocolName
from .._spec import BrokerSpec
from ..messages._strict import Checker, MetadataError
from ._broker_model import BrokerTable, SecretTable, TlsTable

PORTS = {"amqp": 5672, "amqps": 5671}

GUEST = "guest"
"""Who brokers let in from their own machine, and the password; 0-9-1 clients know it."""

_SHAPE = "expected amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"

Sasl: TypeAlias = Literal["PLAIN", "EXTERNAL", "ANONYMOUS"]


@dataclass
class Context:
    """What checks need beside the tables.

    Attributes:
        take: takes mistakes.
        warn: takes what is unwise.
        left_out: keys that the tables lack because they were wrong.
        environ: the environment.
        folder: what paths are relative to; None where there is none.
        key: what stands before every key.
        seen: what was read from elsewhere, for :attr:`GatewayConfig.identity`.
        mistakes: how many were reported.
    """

    take: Report
    warn: Report
    left_out: AbstractSet[Key]
    environ: Mapping[str, str] = field(repr=False)
    folder: Path | None = None
    key: Key = ()
    seen: list[object] = field(default_factory=list[object], repr=False)
    mistakes: int = 0

    def report(self, key: Key, value: object, text: str) -> None:
        """Take a mistake."""
        self.mistakes += 1
        self.take(key, value, text)

    def lost_from(self, key: Key) -> bool:
        """Whether something was left out of a table, or the whole table."""
        return self.were_wrong(key) or any(one[: len(key)] == key for one in self.left_out)

    def were_wrong(self, *keys: Key) -> bool:
        """Whether one of these was left out, so that its lack is no mistake of its own."""
        return any(key[:length] in self.left_out for key in keys for length in range(len(key) + 1))

    def read(self, key: Key, name: str) -> bytes | None:
        """A file that is named at a key; None where it cannot be read, which is reported."""
        path = Path(name)
        if not path.is_absolute():
            if self.folder is None:
                text = "this text is from no folder: give the path in full"
                self.report(key, name, text)
                return None
            path = self.folder / path
        try:
            found = path.read_bytes()
        except (OSError, ValueError) as error:
            self.report(key, name, f"cannot read it: {why(error)}")
            return None
        self.seen.append((str(path), found))
        return found

    def path(self, name: str) -> str:
        """A file as the system can open it."""
        return str((self.folder or Path()) / name)


class BrokerChecker:
    """Makes the :class:`BrokerSpec`.

    Args:
        table: ``[broker]``.
        context: takes mistakes.
        name: the gateway's, by which brokers know it.
    """

    def __init__(self, table: BrokerTable, context: Context, name: str) -> None:
        self._table = table
        self._context = context
        self._key: Key = (*context.key, "broker")
        self._name = name
        self._protocol: ProtocolName = table.protocol

    def broker(self) -> BrokerSpec:
        """The broker; to be thrown away where something was reported."""
        table = self._table
        if not table.url and not self._context.were_wrong((*self._key, "url")):
            self._context.report((*self._key, "url"), NOTHING, f"this is missing: {_SHAPE}")
        if table.reconnect_ivl_max < table.reconnect_ivl:
            text = f"expected at least reconnect_ivl, which is {table.reconnect_ivl:g}"
            self._context.report((*self._key, "reconnect_ivl_max"), table.reconnect_ivl_max, text)
        password = None if table.password is None else self._secret(table.password)
        context = self._tls_context()
        addresses = [
            self._address((*self._key, "url", index), url, password, context)
            for index, url in enumerate(table.url)
        ]
        return BrokerSpec(
            protocol=self._protocol,
            addresses=tuple(one for one in addresses if one is not None),
            reconnect_ivl=table.reconnect_ivl,
            reconnect_ivl_max=table.reconnect_ivl_max,
            declare=self._declarations(),
        )

    # Secrets

    def _secret(self, table: SecretTable) -> str | None:
        """The password; None where there is none, which is reported."""
        key: Key = (*self._key, "password")
        given = [name for name in ("env", "file", "text") if getattr(table, name) is not None]
        if len(given) != 1:
            text = 'expected one of { env = "NAME" }, { file = "PATH" } and the text itself'
            self._context.report(key, NOTHING, text)
            return None
        if table.env is not None:
            found = self._context.environ.get(table.env)
            if found is None:
                text = f"the environment variable {table.env} is not set"
                self._context.report((*key, "env"), table.env, text)
            self._context.seen.append(found)
            return found
        if table.text is not None:
            return table.text
        assert table.file is not None
        raw = self._context.read((*key, "file"), table.file)
        if raw is None:
            return None
        try:
            text = raw.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            self._context.report((*key, "file"), table.file, "cannot read it: it is not UTF-8 text")
            return None
        if not text:
            self._context.report((*key, "file"), table.file, "there is no password in it")
        return text

    # TLS

    def _tls_context(self) -> ssl.SSLContext | None:
        table, key = self._table.tls or TlsTable.model_validate({}), (*self._key, "tls")
        if not any(url.startswith("amqps:") for url in self._table.url):
            if self._table.tls is not None and self._table.url:
                text = "it counts for amqps:// alone, and no url has that scheme"
                self._context.report(key, NOTHING, text)
            return None
        context = ssl.create_default_context()
        if table.ca is not None and self._context.read((*key, "ca"), table.ca) is not None:
            try:
                context = ssl.create_default_context(cafile=self._context.path(table.ca))
            except (ssl.SSLError, OSError) as error:
                self._context.report((*key, "ca"), table.ca, _tls_words(error))
        self._add_own_certificate(context, table, key)
        if not table.verify:
            text = "whoever is on the way can pretend to be the broker, and read the password"
            self._context.warn((*key, "verify"), False, text)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _add_own_certificate(self, context: ssl.SSLContext, table: TlsTable, key: Key) -> None:
        if table.cert is None:
            if table.key is not None:
                text = "a key without a certificate: give cert, too"
                self._context.report((*key, "key"), table.key, text)
            return
        if self._context.read((*key, "cert"), table.cert) is None:
            return
        own_key = table.key
        if own_key is not None and self._context.read((*key, "key"), own_key) is None:
            return
        try:
            context.load_cert_chain(
                self._context.path(table.cert),
                None if own_key is None else self._context.path(own_key),
                password=lambda: b"",  # or the user would be asked for one at the terminal
            )
        except (ssl.SSLError, OSError, ValueError) as error:
            where, value = ("key", own_key) if own_key is not None else ("cert", table.cert)
            self._context.report((*key, where), value, _tls_words(error))

    # URLs

    def _address(
        self, key: Key, url: str, password: str | None, tls: ssl.SSLContext | None
    ) -> BrokerAddress | None:
        try:
            parts = urlsplit(url)
            port = parts.port
            host = parts.hostname
        except ValueError as error:
            # Its text may hold a part of the URL, and so of the password.
            what = (
                "the port is no number from 1 to 65535"
                if "port" in str(error).lower()
                else "this is no URL"
            )
            self._context.report(key, url, f"{what}: {_SHAPE}")
            return None
        objection = _objection(parts, host)
        if objection:
            self._context.report(key, url, f"{objection}: {_SHAPE}")
            return None
        assert host is not None
        user = unquote(parts.username or "") or self._table.username or ""
        secret = unquote(parts.password) if parts.password is not None else password
        sasl = self._sasl(key, parts, user, secret)
        if sasl == "PLAIN" and not user:
            user = secret = GUEST
        if sasl == "PLAIN" and parts.scheme == "amqp" and not _is_near(host):
            text = "the password goes over the network for all to read: use amqps://"
            self._context.warn(key, url, text)
        table = self._table
        return BrokerAddress(
            host=host,
            port=port or PORTS[parts.scheme],
            tls=tls if parts.scheme == "amqps" else None,
            server_name=(table.tls.server_name or "") if table.tls is not None else "",
            vhost=self._vhost(parts.path),
            username=user,
            password=secret or "",
            sasl=sasl,
            heartbeat=table.heartbeat,
            connect_timeout=table.connect_timeout,
            container_id=self._name,
        )

    def _vhost(self, path: str) -> str | None:
        if path in {"", "/"}:
            return "/" if self._protocol == "0-9-1" else None
        return unquote(path.removeprefix("/"))

    def _sasl(self, key: Key, parts: SplitResult, user: str, secret: str | None) -> Sasl:
        has_certificate = (
            parts.scheme == "amqps" and self._table.tls is not None and bool(self._table.tls.cert)
        )
        chosen = self._table.sasl
        if chosen is None:
            if user or secret is not None:
                chosen = "PLAIN"
            elif has_certificate:
                chosen = "EXTERNAL"
            else:
                chosen = "PLAIN" if self._protocol == "0-9-1" else "ANONYMOUS"
        if chosen == "EXTERNAL" and not has_certificate:
            text = "it is by a certificate of one's own: give tls.cert, and an amqps:// url"
            self._context.report((*self._key, "sasl"), chosen, text)
        if chosen != "PLAIN":
            return chosen
        lacks = secret is None and self._table.password is None
        if user and lacks and not self._context.were_wrong((*self._key, "password")):
            text = f'there is no password for {user!r}: give password = {{ env = "NAME" }}'
            self._context.report(key, NOTHING, text)
        elif not user and secret is not None:
            text = "this is missing: there is a password, but whose is it?"
            self._context.report((*self._key, "username"), NOTHING, text)
        elif not user and self._protocol == "1.0":
            text = "it is by username and password, and there are none"
            self._context.report((*self._key, "sasl"), chosen, text)
        return chosen

    # Declarations

    def _declarations(self) -> tuple[Declaration, ...]:
        table = self._table
        for what in ("exchanges", "queues", "bindings"):
            if getattr(table, what) and self._protocol == "1.0":
                text = "AMQP 1.0 cannot declare anything: make it at the broker"
                self._context.report((*self._key, what), NOTHING, text)
                return ()
        self._check_names("exchanges", [one.name for one in table.exchanges])
        self._check_names("queues", [one.name for one in table.queues])
        for index, exchange in enumerate(table.exchanges):
            if exchange.name.startswith("amq.") and not exchange.passive:
                text = "names with amq. are the broker's own: give passive = true, or another name"
                self._context.report((*self._key, "exchanges", index, "name"), exchange.name, text)
        arguments = {
            "exchanges": [one.arguments for one in table.exchanges],
            "queues": [one.arguments for one in table.queues],
            "bindings": [one.arguments for one in table.bindings],
        }
        for what, each in arguments.items():
            for index, given in enumerate(each):
                check_arguments(self._context.report, (*self._key, what, index, "arguments"), given)
        return (
            *(Exchange(**one.model_dump()) for one in table.exchanges),
            *(Queue(**one.model_dump()) for one in table.queues),
            *(Binding(**one.model_dump()) for one in table.bindings),
        )

    def _check_names(self, what: str, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                key = (*self._key, what, index, "name")
                self._context.report(key, name, f"it stands among the {what} already")


def check_arguments(report: Report, key: Key, arguments: Mapping[str, Any]) -> None:
    """Report what 0-9-1 cannot have in a table."""
    for name, value in arguments.items():
        try:
            Checker("0-9-1").properties({"headers": {name: value}})
        except MetadataError as error:
            text = str(error).partition(": ")[2]
            report((*key, name), value, text.replace("be a header", "stand here"))


def _objection(parts: SplitResult, host: str | None) -> str:
    """What is wrong with a URL that has the shape of one; without a word of it."""
    if parts.scheme not in PORTS:
        return "the scheme is unknown"
    if not host:
        return "there is no host"
    try:
        host.encode("idna")
    except UnicodeError:
        return "the host is no name: a part of it is empty, too long, or not allowed"
    if parts.port == 0:
        return "the port is no number from 1 to 65535"
    if parts.query or parts.fragment:
        return "nothing may stand after a ? or # (there are keys of [broker] for that)"
    for part in (parts.username, parts.password, parts.path):
        try:
            unquote(part or "", errors="strict")
        except UnicodeDecodeError:
            return "what is percent-encoded is not UTF-8"
    if "/" in parts.path.removeprefix("/"):
        return "a / in the virtual host is written %2F"
    return ""


def _is_near(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return f"it cannot be used: {reason}"
    return f"it cannot be used: {error}"
