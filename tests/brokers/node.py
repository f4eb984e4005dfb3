"""A RabbitMQ node as processes: loopback only, ports and files of its own, nothing left behind.

Without trio and without pytest: benchmarks start one, too.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .certificates import Certificates
from .child import Child, environment, free_ports

# Debian's wrappers in /usr/sbin change to another user and to /var/lib/rabbitmq; these do not.
BIN = Path(os.environ.get("RABBITMQ_BIN", "/usr/lib/rabbitmq/bin"))

PLUGINS = ("rabbitmq_amqp1_0", "rabbitmq_auth_mechanism_ssl")

# One scheduler that sleeps when it has nothing to do: a broker must not take a core from the tests.
# Benchmarks give `erl_args=()`.
SMALL = (
    *("+S", "1:1", "+SDcpu", "1:1", "+SDio", "2", "+A", "4"),
    *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"),
)
LOOPBACK = ("-kernel", "inet_dist_use_interface", "{127,0,0,1}")

PATIENCE = 90.0  # seconds for a broker to start or stop before it counts as broken
PREFACE = b"AMQP\x00\x00\x09\x01"


class BrokerError(Exception):
    """The broker did not do what a test needs of it; the text has the end of its log."""


def missing() -> str | None:
    """Why there can be no node here; None if there can."""
    if not (BIN / "rabbitmq-server").exists():
        return f"RabbitMQ is not installed (Debian: rabbitmq-server; looked in {BIN})"
    if shutil.which("epmd") is None or shutil.which("erl") is None:
        return "Erlang's epmd and erl are not in PATH (Debian: erlang-base)"
    return None


class Node:
    """A node as processes: every call blocks the thread that makes it.

    Attributes:
        port: AMQP 0-9-1 and 1.0, plain.
        tls_port: the same in TLS; a client's certificate is looked at, if it shows one.
        certificates: that of the server, one for a client, and who signed them.
        pid: of the Erlang VM itself, while it runs.
        log: what the node wrote, over all its starts.
    """

    def __init__(
        self,
        directory: Path,
        *,
        plugins: Sequence[str] = PLUGINS,
        erl_args: Sequence[str] = SMALL,
        config: str = "",
        tls: bool = True,
    ) -> None:
        self.directory = directory
        self._tls = tls
        self._plugins = plugins
        self._erl_args = (*erl_args, *LOOPBACK)
        self._config = config
        self._broker: Child | None = None
        self._epmd: Child | None = None
        self._vhosts = itertools.count()
        self._spare: list[str] = []
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "home").mkdir(exist_ok=True)
        self.certificates = Certificates.of(directory / "tls")
        if tls:
            self.certificates.make()
        self.log = directory / "log" / "rabbit.log"
        self._output = directory / "output"
        self._choose_ports()

    @property
    def pid(self) -> int | None:
        return None if self._broker is None else self._broker.pid

    # --- start and end -----------------------------------------------------------------

    def start(self) -> None:
        """Start, and return when the broker answers."""
        if self._broker is not None:
            raise BrokerError("the broker is running already")
        for attempt in range(3):
            try:
                return self._start()
            except BrokerError:
                self.kill()
                # Another process took a port after it had been found free: only on a first start.
                if attempt == 2 or (self.directory / "mnesia").exists() or not self._port_taken():
                    raise
                self._end_epmd()
                self._choose_ports()
        return None

    def kill(self) -> None:
        """SIGKILL: the broker is gone when this returns. Files, ports and epmd stay."""
        if self._broker is not None:
            self._broker.kill()
            self._broker = None

    def stop(self) -> None:
        """SIGTERM: the broker closes connections and files first."""
        if self._broker is not None:
            self._broker.terminate(PATIENCE)
            self._broker = None

    def restart(self) -> None:
        """Start again on the same files and ports; ends it first (SIGTERM) if it runs."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End all processes, at once."""
        self.kill()
        self._end_epmd()

    def _start(self) -> None:
        if self._epmd is None or not self._epmd.running:
            self._end_epmd()
            self._epmd = Child(
                ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
                env=environment(),
                output=self.directory / "epmd-output",
                cwd=self.directory,
            )
        self._broker = Child(
            # ALLOW_INPUT makes the script exec the VM, so that the pid is the VM's own.
            [str(BIN / "rabbitmq-server"), "-noinput"],
            env=self._environment()
            | {
                "RABBITMQ_ALLOW_INPUT": "1",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(self._erl_args),
            },
            output=self._output,
            cwd=self.directory,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if not self._broker.running:
                raise BrokerError(f"RabbitMQ ended while it started\n{self.tail()}")
            if time.monotonic() > deadline:
                raise BrokerError(f"RabbitMQ did not start in {PATIENCE} s\n{self.tail()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether a connection is answered by Connection.Start: method 10.10 on channel 0."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.settimeout(2)
                connection.sendall(PREFACE)
                start = connection.recv(11, socket.MSG_WAITALL)
                return start[:3] == b"\x01\x00\x00" and start[7:] == b"\x00\x0a\x00\x0a"
        except OSError:
            return False

    def _port_taken(self) -> bool:
        return "eaddrinuse" in self.tail() or "already in use" in self.tail()

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd = None

    # --- what it is told ---------------------------------------------------------------

    def _choose_ports(self) -> None:
        ports = free_ports(5)
        self.port, self.tls_port, self._dist_port, self._epmd_port, self._ctl_port = ports
        self._write_files()

    def _write_files(self) -> None:
        lines = [
            f"listeners.tcp.default = 127.0.0.1:{self.port}",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = AMQPLAIN",
            "loopback_users = none",
            "disk_free_limit.absolute = 10MB",
            "log.console = false",
            f"log.file = {self.log.name}",
            "log.file.level = info",
        ]
        if self._tls:
            tls = self.certificates
            lines += [
                f"listeners.ssl.default = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {tls.authority}",
                f"ssl_options.certfile = {tls.server_chain}",
                f"ssl_options.keyfile = {tls.server_key}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = false",
            ]
        if "rabbitmq_auth_mechanism_ssl" in self._plugins:
            lines += ["auth_mechanisms.3 = EXTERNAL", "ssl_cert_login_from = common_name"]
        plugins = ", ".join(self._plugins)
        (self.directory / "rabbitmq.conf").write_text("\n".join([*lines, self._config, ""]))
        (self.directory / "enabled_plugins").write_text(f"[{plugins}].\n")
        (self.directory / "rabbitmq-env.conf").write_text("")
        cookie = self.directory / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(0o600)
            cookie.write_text(os.urandom(20).hex())
            cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        base = self.directory
        return environment() | {
            "HOME": str(base / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(base / "erl_crash.dump"),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CTL_DIST_PORT_MIN": str(self._ctl_port),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(self._ctl_port),
            "RABBITMQ_CTL_ERL_ARGS": " ".join(("+S 1:1 +sbwt none", *LOOPBACK)),
            "RABBITMQ_CONF_ENV_FILE": str(base / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(base / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(base / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(base / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(base / "mnesia"),
            "RABBITMQ_LOG_BASE": str(base / "log"),
            "RABBITMQ_PID_FILE": str(base / "pid"),
        }

    # --- what can be asked of it -------------------------------------------------------

    def ctl(self, *args: str) -> str:
        """``rabbitmqctl -q ARGS``; its output. One at a time: it has a single port."""
        done = subprocess.run(
            [str(BIN / "rabbitmqctl"), "-q", *args],
            env=self._environment(),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise BrokerError(f"rabbitmqctl {args[0]} failed:\n{done.stdout}")
        return done.stdout

    def fresh_vhost(self) -> str:
        """The name of a vhost that nobody has used; user guest may do everything in it."""
        if not self._spare:
            # rabbitmqctl takes half a second, and most of it to start: several with one call.
            self._spare = [f"v{next(self._vhosts)}" for _ in range(8)]
            names = ", ".join(f'<<"{name}">>' for name in self._spare)
            self.ctl(
                "eval",
                f'[begin rabbit_vhost:add(V, <<>>, [], <<"tests">>), '
                f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, V, '
                f'<<".*">>, <<".*">>, <<".*">>, <<"tests">>) end || V <- [{names}]], ok.',
            )
        return self._spare.pop(0)

    def tail(self, since: int = 0) -> str:
        """The end of its log and of its output; of the log, from that byte on."""
        parts: list[str] = []
        for path, start in ((self.log, since), (self._output, 0)):
            if path.exists():
                with path.open("rb") as file:
                    file.seek(max(start, path.stat().st_size - 16_384))
                    parts.append(f"--- {path.name}\n{file.read().decode(errors='replace')}")
        return "\n".join(parts)
