"""OpenMetrics of sockets, devices and gateways, for Prometheus and whatever reads the same."""

from __future__ import annotations

import errno
import gzip
import importlib
import math
import re
import socket as stdlib_socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import trio

from .._errors import AddressInUse, EndpointError
from .._reasons import DropReason
from .._stats import SocketStats
from ._kinds import KINDS, Kind, kind_of
from ._ledger import PeerLedger
from ._measures import PEER, SOCKET, Measure
from ._sources import DeviceStatsLike, GatewayStatsLike, Source

if TYPE_CHECKING:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

    from ._http import Request, Response

Sources: TypeAlias = Iterable[Source] | Callable[[], Iterable[Source]]
"""What is told of: fixed, or asked for at each scrape."""

PREFIX = "hypersocket"

REST = 9
"""For how many times as long as looking took, nothing is looked at again."""

STATES = ("running", "paused", "stopping", "stopped")


@dataclass(frozen=True, slots=True)
class MetricsServer:
    """The handle of a running server, which ``nursery.start`` returns.

    Attributes:
        urls: where the metrics are.
    """

    urls: tuple[str, ...]


async def serve_metrics(
    address: str,
    sources: Sources,
    *,
    max_peers: int = 100,
    task_status: trio.TaskStatus[MetricsServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve OpenMetrics over HTTP until cancelled, at ``/metrics``.

    Needs the extra ``metrics``. Encoding is done in a worker thread, and holds no socket back.

    Args:
        address: ``host:port``, such as ``127.0.0.1:9100``; ``*`` for every interface, and for a
            port of the system's choice.
        sources: what to tell of. A callable is asked at each scrape.
        max_peers: how many labels for peers each socket may ever have. Peers that connected to
            us share the label of their host; those above the bound share ``(others)``.

    Raises:
        ModuleNotFoundError: the extra is not installed.
        EndpointError: ``address`` cannot be understood, or is not of this machine.
        AddressInUse: somebody else has it.
        ValueError: two sources have the same name.
    """
    for needed in ("prometheus_client", "h11"):
        try:
            importlib.import_module(needed)
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                f"metrics need {needed}: pip install 'hypersocket[metrics]'", name=needed
            ) from None
    from ._http import serve_http

    exporter = Exporter(sources, max_peers)
    listeners = await _listen(address)
    task_status.started(MetricsServer(tuple(_url(listener) for listener in listeners)))
    await serve_http(listeners, exporter.respond)


# The address


def parse_address(address: str) -> tuple[str | None, int]:
    """The host, None for every interface, and the port, 0 for one of the system's choice.

    Raises:
        EndpointError: it is not ``HOST:PORT``.
    """
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+)):(\d{1,5}|\*)", address)
    if found is None or (found[3] != "*" and int(found[3]) > 65535):
        raise EndpointError(f"metrics at {address!r}: expected HOST:PORT, such as 127.0.0.1:9100")
    host: str | None = found[1] or found[2]
    return None if host == "*" else host, 0 if found[3] == "*" else int(found[3])


async def _listen(address: str) -> Sequence[trio.SocketListener]:
    host, port = parse_address(address)
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except stdlib_socket.gaierror as error:
        raise EndpointError(f"metrics at {address}: {error.strerror}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"metrics at {address}: the address is in use") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise EndpointError(
                f"metrics at {address}: this machine does not have that address"
            ) from None
        raise OSError(error.errno, f"metrics at {address}: {error.strerror}") from None


def _url(listener: trio.SocketListener) -> str:
    host, port, *_ = cast("tuple[Any, ...]", listener.socket.getsockname())
    return f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"


# What is told


@dataclass(frozen=True, slots=True)
class _Socket:
    labels: tuple[str, ...]  # device, socket, type
    stats: SocketStats
    peers: dict[str, tuple[dict[str, int], dict[str, int]]]


@dataclass(frozen=True, slots=True)
class _Device:
    labels: tuple[str, ...]  # device, kind
    stats: DeviceStatsLike | GatewayStatsLike


class Exporter:
    """Answers requests with the metrics of sources."""

    def __init__(self, sources: Sources, max_peers: int) -> None:
        if max_peers < 0:
            raise ValueError(f"max_peers={max_peers}: expected a number of labels, 0 or more")
        self._sources: Callable[[], Iterable[Source]]
        if callable(sources):
            self._sources = sources
        else:
            fixed = tuple(sources)
            names = [source.name for source in fixed]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"two sources have the name {min(twice)!r}")
            self._sources = lambda: fixed
        self._max_peers = max_peers
        self._ledgers: dict[tuple[str, str], PeerLedger] = {}
        self._encoding = trio.CapacityLimiter(1)
        self._turn = trio.Lock()
        self._begun = 0  # how often everything was looked at
        self._rest_until = -math.inf
        self._latest: tuple[_Socket | _Device, ...] = ()

    async def respond(self, request: Request) -> Response:
        """Answer one request."""
        from ._http import Response, plain

        if request.path == "/":
            return plain(200, "hypersocket: the metrics are at /metrics")
        if request.path != "/metrics":
            return plain(404, "the metrics are at /metrics")
        accept = request.headers.get("accept", "")
        zipped = _accepts_gzip(request.headers.get("accept-encoding", ""))
        # The counters are read here, where they change; what takes time is done elsewhere. One
        # at a time, as several at once would be no sooner done.
        body, content_type = await trio.to_thread.run_sync(
            _encode, await self._gathered(), accept, zipped, limiter=self._encoding
        )
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(200, body, headers)

    async def _gathered(self) -> tuple[_Socket | _Device, ...]:
        """Snapshots that are no older than the call.

        Those who wait at the same time share them, and between two there is a rest: however many
        ask, and for however many peers, the sockets' own work is held up little.
        """
        begun = self._begun
        async with self._turn:
            if self._begun == begun:
                await trio.sleep_until(self._rest_until)
                self._begun += 1
                before = time.perf_counter()
                self._latest = tuple(self.gather())
                took = time.perf_counter() - before
                self._rest_until = trio.current_time() + took * REST
            return self._latest

    def gather(self) -> Iterator[_Socket | _Device]:
        """Snapshots of everything."""
        ledgers, self._ledgers = self._ledgers, {}
        names: set[str] = set()
        for source in self._sources():
            name = _distinct(source.name, names)
            if source.device is not None:
                yield _Device((name, source.kind), source.device.stats())
            for socket_name, socket in source.sockets.items():
                stats = socket.stats()
                key = name, socket_name
                ledger = self._ledgers[key] = ledgers.get(key) or PeerLedger(self._max_peers)
                peers = ledger.take(stats.peers, socket.endpoints)
                yield _Socket((name, socket_name, socket.socket_type), stats, peers)


def _distinct(name: str, taken: set[str]) -> str:
    # The same series twice would make the whole answer invalid. While something is replaced by
    # its like, both may be there for a moment.
    number, distinct = 1, name
    while distinct in taken:
        number += 1
        distinct = f"{name}#{number}"
    taken.add(distinct)
    return distinct


def _accepts_gzip(header: str) -> bool:
    for one in header.split(","):
        coding, _, quality = one.replace(" ", "").lower().partition(";")
        if coding == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", quality)
    return False


# How it is written


class _Collector:
    """What prometheus_client asks for metrics."""

    def __init__(self, gathered: Sequence[_Socket | _Device]) -> None:
        self._sockets = [one for one in gathered if isinstance(one, _Socket)]
        self._devices = [one for one in gathered if isinstance(one, _Device)]

    def collect(self) -> Iterator[Metric]:
        """Every metric, whether there is a sample of it or not."""
        states = _family("gauges", "devices", "devices", _STATES_DOC, "device", "kind", "state")
        for device in self._devices:
            for state in STATES:
                states.add_metric([*device.labels, state], int(device.stats.state == state))
        yield states
        for kind in KINDS:
            yield from self._of_kind(kind)
        yield from self._of_sockets()
        yield from self._of_peers()

    def _of_kind(self, kind: Kind[Any, Any]) -> Iterator[Metric]:
        devices = [device for device in self._devices if kind_of(device.stats) is kind]
        for measure in kind.measures:
            family = _measured(kind.what, measure, "device", "kind")
            for device in devices:
                family.add_metric(device.labels, measure.read(device.stats))
            yield family
        for measure in kind.part_measures:
            family = _measured(kind.part, measure, "device", kind.part, "kind")
            for device in devices:
                for name, part in kind.parts(device.stats).items():
                    labels = (device.labels[0], name, *kind.part_labels(part))
                    family.add_metric(labels, measure.read(part))
            yield family

    def _of_sockets(self) -> Iterator[Metric]:
        for measure in SOCKET:
            if measure.name == "messages_dropped":
                yield self._dropped(measure)
                continue
            family = _measured("socket", measure, "device", "socket", "type")
            for socket in self._sockets:
                family.add_metric(socket.labels, measure.read(socket.stats))
            yield family

    def _dropped(self, measure: Measure[SocketStats]) -> Metric:
        # Reasons that have not occurred are told too: a series that begins at 1 shows no growth.
        family = _measured("socket", measure, "device", "socket", "type", "reason")
        for socket in self._sockets:
            for reason in DropReason:
                family.add_metric([*socket.labels, reason.value], socket.stats.drops.get(reason, 0))
        return family

    def _of_peers(self) -> Iterator[Metric]:
        for measure in PEER:
            family = _measured("peer", measure, "device", "socket", "type", "peer")
            for socket in self._sockets:
                for peer, (counters, gauges) in socket.peers.items():
                    values = counters if measure.sort == "counters" else gauges
                    family.add_metric([*socket.labels, peer], values.get(measure.name, 0))
            yield family


_STATES_DOC = "Whether the device is in a state: 1 for the one that it is in, 0 for the others."


def _measured(
    what: str, measure: Measure[Any], *labels: str
) -> CounterMetricFamily | GaugeMetricFamily:
    name = f"{what}_{measure.metric}"
    return _family(measure.sort, name, measure.unit, measure.doc, *labels)


def _family(
    sort: str, name: str, unit: str, doc: str, *labels: str
) -> CounterMetricFamily | GaugeMetricFamily:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    if sort == "counters":
        return CounterMetricFamily(f"{PREFIX}_{name}", doc, labels=labels, unit=unit)
    return GaugeMetricFamily(f"{PREFIX}_{name}", doc, labels=labels, unit=unit)


def _encode(gathered: Sequence[_Socket | _Device], accept: str, zipped: bool) -> tuple[bytes, str]:
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(cast("Any", _Collector(gathered)))
    try:
        encoder, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # of a version that is no number
        encoder, content_type = choose_encoder("")
    body = encoder(cast("Any", registry))
    # Level 1: most of what can be gained, for a quarter of the time.
    return (gzip.compress(body, 1) if zipped else body), content_type
