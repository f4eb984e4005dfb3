"""The plots: throughput against message size, latency distribution, cost against peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .report import Report
from .statistics import median_of_quantiles
from .svg import Axis, Curve, Plot


def draw_all(report: Report) -> dict[str, str]:
    """Every plot that there are figures for, by the name of its file."""
    plots = {
        "throughput": _throughput(report),
        "bandwidth": _bandwidth(report),
        "latency": _latency(report),
        "fan-out": _against_peers(report, "fan_out", "PUB to many SUB", "subscribers", "delivery"),
        "fan-in": _against_peers(report, "fan_in", "ROUTER serving many REQ", "clients", "reply"),
        "subscriptions": _subscriptions(report),
    }
    return {name: plot.svg() for name, plot in plots.items() if plot.curves}


def _throughput(report: Report) -> Plot:
    return Plot(
        title="PUSH to PULL over tcp, one call a message",
        sentence="Messages a second against the size of a message; both scales are logarithmic.",
        x=Axis("size of a message", log=True, tick=_size),
        y=Axis("messages a second", log=True, tick=_count),
        curves=_curves(report, "thr/tcp", lambda value, _: value),
    )


def _bandwidth(report: Report) -> Plot:
    return Plot(
        title="PUSH to PULL over tcp, one call a message",
        sentence="Megabytes a second against the size of a message.",
        x=Axis("size of a message", log=True, tick=_size),
        y=Axis("MB a second", tick=_count),
        curves=_curves(report, "thr/tcp", lambda value, size: value * size / 1e6),
    )


def _latency(report: Report) -> Plot:
    curves: list[Curve] = []
    for peer in report.peers:
        outcome = report.outcome("lat/tcp", peer.name)
        rounds = [m.more["quantiles"] for m in outcome.rounds if m] if outcome else []
        if rounds:
            quantiles = median_of_quantiles(rounds)
            part = [100 * n / (len(quantiles) - 1) for n in range(len(quantiles))]
            # The ends are a few round trips, and say little; the table has the 99th percentile.
            points = list(zip(quantiles, part, strict=True))[1:-2]
            curves.append(Curve(peer.title, peer.name, points, dots=False))
    return Plot(
        title="REQ/REP round trip over tcp",
        sentence="How many of the round trips took at most so long.",
        x=Axis("microseconds", log=True, tick=_count),
        y=Axis("% of round trips", tick=_count),
        curves=curves,
    )


def _against_peers(report: Report, family: str, title: str, peers: str, what: str) -> Plot:
    return Plot(
        title=f"{title}, tcp, 64 B",
        sentence=f"Microseconds for each {what} against the number of {peers}.",
        x=Axis(f"number of {peers}", log=True, tick=_count),
        y=Axis(f"microseconds for each {what}", log=True, tick=_count),
        curves=_curves(report, family, lambda value, _: 1e6 / value),
    )


def _subscriptions(report: Report) -> Plot:
    return Plot(
        title="One publish against many subscriptions",
        sentence="Microseconds for each publish against the number of subscriptions.",
        x=Axis("number of subscriptions", log=True, tick=_count),
        y=Axis("microseconds for each publish", log=True, tick=_count),
        curves=_curves(report, "subscriptions", lambda value, _: value),
    )


def _curves(
    report: Report, family: str, convert: Callable[[float, float], float]
) -> Sequence[Curve]:
    """A curve for each peer over the cases ``family/NUMBER``."""
    xs = {
        case.name: int(case.name.rpartition("/")[2])
        for case in report.cases
        if case.name.startswith(family + "/") and case.name.rpartition("/")[2].isdecimal()
        if case.name.rpartition("/")[0] == family
    }
    if len(xs) < 2:
        return []
    curves: list[Curve] = []
    for peer in report.peers:
        points = [
            (float(x), convert(summary.median, x))
            for name, x in xs.items()
            if (summary := report.summary(name, peer.name))
        ]
        if points:
            curves.append(Curve(peer.title, peer.name, sorted(points)))
    return curves


def _size(value: float) -> str:
    for unit, shift in (("MiB", 20), ("KiB", 10)):
        if value >= 1 << shift:
            return f"{value / (1 << shift):g} {unit}"
    return f"{value:g} B"


def _count(value: float) -> str:
    for unit, power in (("M", 1e6), ("k", 1e3)):
        if value >= power:
            return f"{value / power:g} {unit}"
    return f"{value:g}"
