"""Management over messages: sockets and devices that tell how they are to whoever subscribes.

::

    import hypersocket as hs
    from hypersocket import management

    async with hs.Pull(bind="tcp://*:5555") as pull:
        async with management.monitor_feed("tcp://*:5556", name="orders", sockets={"in": pull}):
            async for order in pull:
                ...
"""

from ._feed import Feed, monitor_feed, publish_monitor
from ._metrics import MetricsServer, serve_metrics
from ._snapshot import DeviceView, Report, Snapshot, SocketView, View, parse_report
from ._sources import (
    DeviceLike,
    DeviceStatsLike,
    GatewayStatsLike,
    RouteStatsLike,
    SideStatsLike,
    Source,
    WorkerStatsLike,
)
from ._topics import FeedError, Topic, parse_topic, topic_prefix

__all__ = [
    "DeviceLike",
    "DeviceStatsLike",
    "DeviceView",
    "Feed",
    "FeedError",
    "GatewayStatsLike",
    "MetricsServer",
    "Report",
    "RouteStatsLike",
    "SideStatsLike",
    "Snapshot",
    "SocketView",
    "Source",
    "Topic",
    "View",
    "WorkerStatsLike",
    "monitor_feed",
    "parse_report",
    "parse_topic",
    "publish_monitor",
    "serve_metrics",
    "topic_prefix",
]
