"""Pictures of topologies: complete, legible, the same each time, and current in the repository."""

from __future__ import annotations

import importlib
import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from hypersocket.devices import topology
from hypersocket.devices.topology import Topology
from hypersocket.devices.topology._cards import Card
from hypersocket.devices.topology._picture import Picture, picture_of
from hypersocket.devices.topology._svg import COLOUR, DASH, OF_KIND

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "topologies"
FILES = sorted(path for path in FOLDER.glob("*.toml") if ".addresses" not in path.name)
TWENTY = Path(__file__).parent / "twenty.toml"

CIRCLE = """\
[devices.a]
kind = "streamer"
frontend.bind = "inproc://a"
backend.connect = "b.frontend"
[devices.b]
kind = "streamer"
frontend.bind = "inproc://b"
backend.connect = "a.frontend"
"""


@pytest.fixture(params=[*FILES, TWENTY], ids=lambda path: path.stem)
def loaded(request: pytest.FixtureRequest) -> Topology:
    return topology.load(request.param)


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_everything_is_shown(loaded: Topology) -> None:
    shown = texts(topology.graph(loaded))
    assert loaded.title in shown
    for name, device in loaded.devices.items():
        assert shown.count(name) == 1
        assert device.kind in shown
        for spec in device.sockets().values():
            for endpoint in spec.bind:
                assert endpoint[:15] in "".join(shown)
    for name, program in loaded.sockets.items():
        assert (program.program or name) in shown
        assert f"× {program.count}" in shown or program.count == 1
    for part in loaded.parts:
        assert shown.count(part) == 1


def test_there_is_a_wire_for_every_link(loaded: Topology) -> None:
    assert len(picture_of(loaded).cables) == len(topology.links_of(loaded))


def test_the_same_picture_each_time(loaded: Topology) -> None:
    assert topology.graph(loaded) == topology.graph(loaded)


def edges(picture: Picture, card: Card) -> tuple[float, float]:
    return card.box.y - card.box.height / 2, card.box.y + card.box.height / 2


def test_no_box_lies_over_another_nor_over_a_wire(loaded: Topology) -> None:
    """Wires bend between the layers; within one, each has a place like a box."""
    for layer in picture_of(loaded).layout.layers:
        for above, below in pairwise(sorted(layer, key=lambda box: box.y)):
            assert above.y + above.height / 2 < below.y - below.height / 2


def test_parts_lie_apart(loaded: Topology) -> None:
    picture = picture_of(loaded)
    for one, other in combinations(picture.parts, 2):
        first, second = (
            [card for card in picture.cards if card.part == part] for part in (one, other)
        )
        if picture.in_columns:
            places = [{card.box.layer for card in cards} for cards in (first, second)]
            assert max(places[0]) < min(places[1]) or max(places[1]) < min(places[0])
        else:
            tops = [min(edges(picture, card)[0] for card in cards) for cards in (first, second)]
            ends = [max(edges(picture, card)[1] for card in cards) for cards in (first, second)]
            assert ends[0] < tops[1] or ends[1] < tops[0]


def test_messages_run_from_left_to_right_but_in_a_circle(loaded: Topology) -> None:
    for cable in picture_of(loaded).cables:
        assert cable.source.box.layer < cable.target.box.layer


def test_a_circle_is_drawn_too() -> None:
    picture = picture_of(topology.loads(CIRCLE))
    assert sorted(cable.wire.reversed for cable in picture.cables) == [False, True]
    assert len(re.findall("<polygon", topology.graph(topology.loads(CIRCLE)))) == 6


def test_texts_fit_their_boxes(loaded: Topology) -> None:
    """By the widths of the widest of the usual fonts."""
    for card in picture_of(loaded).cards:
        for row in card.rows:
            for endpoint in row.endpoints:
                shown = min(len(endpoint), 34)
                assert len(row.title) * 8.4 + shown * 6.63 + 20 < card.box.width


def test_patterns_and_transports_are_told_apart_without_colour() -> None:
    assert len(set(COLOUR.values())) == len(COLOUR)
    assert len({DASH[name] for name in ("tcp", "ipc", "inproc", "epgm")}) == 4
    svg = topology.graph(topology.load(TWENTY))
    for name in ("tcp", "ipc", "inproc"):
        assert name in texts(svg)
        assert f'stroke-dasharray="{DASH[name]}"' in svg or name == "tcp"
    for pattern in ("request and reply", "publish and subscribe", "pipeline", "pair"):
        assert pattern in texts(svg)
    for kind in OF_KIND.keys() - {"gateway"}:
        assert kind in texts(svg)


GATEWAY = """
[gateways.bridge.broker]
url = ["amqps://anna:geheim@rabbit.example", "amqps://anna:geheim@other.example"]
[gateways.bridge.routes.orders]
kind = "out"
socket = "tcp://10.0.0.1:5555"
queue = "orders"
[gateways.bridge.routes.prices]
kind = "topics"
socket = "tcp://10.0.0.1:5556"
exchange = "market"
[sockets.shop]
type = "PUSH"
connect = "bridge.orders"
"""


def test_a_gateway_is_drawn_with_what_it_uses_of_its_broker() -> None:
    loaded = topology.loads(GATEWAY)
    shown = texts(topology.graph(loaded))
    assert {"gateway", "bridge", "PULL", "XPUB"} <= set(shown) | {
        word for text in shown for word in text.split()
    }
    assert {"rabbit.example:5671 and 1 more", "AMQP 0-9-1", "orders", "market"} <= set(shown)
    assert {"broker", "amqps"} <= set(shown)
    assert not any("geheim" in text for text in shown)
    wires = {
        (cable.source.name, cable.target.name, cable.pattern) for cable in picture_of(loaded).cables
    }
    broker = "rabbit.example:5671 and 1 more"
    assert wires == {
        ("shop", "bridge", "pipeline"),
        ("bridge", broker, "pipeline"),
        (broker, "bridge", "publish-subscribe"),
    }


def test_the_legend_has_what_is_used_alone() -> None:
    shown = texts(topology.graph(topology.loads(CIRCLE)))
    assert {"pipeline", "inproc", "streamer"} <= set(shown)
    assert not {"pair", "tcp", "queue", "address outside this file"} & set(shown)


def test_what_is_written_is_escaped() -> None:
    text = CIRCLE.replace('kind = "streamer"', 'kind = "streamer"\nlabel = "<b> & \'c\'"', 1)
    svg = topology.graph(topology.loads("title = '<&>'\n" + text))
    assert "<&>" in texts(svg)
    assert "<b> & 'c'" in texts(svg)


def test_an_empty_topology_is_a_picture_too() -> None:
    assert texts(topology.graph(topology.loads("title = 'Nothing yet'"))) == ["Nothing yet"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_pictures_beside_the_examples_are_current(path: Path) -> None:
    picture = path.with_suffix(".svg").read_text(encoding="utf-8")
    assert picture == topology.graph(topology.load(path)), "python docs/_topologies.py"


def test_every_topology_is_in_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    text = (ROOT / "docs/guide/topologies.md").read_text(encoding="utf-8")
    for path in FILES:
        assert f"../pictures/topologies/{path.stem}.svg" in text
        assert f"../../examples/topologies/{path.name}" in text
    for path in FOLDER.glob("*.py"):
        assert f"topologies/{path.name}" in text
    reference = importlib.import_module("_topologies").render()
    for key in ("kind", "frontend", "restart_ivl_max", "count", "include"):
        assert f"| `{key}` |" in reference
