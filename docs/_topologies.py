"""Draws the topologies of the examples, and writes the reference of their files and gateways'.

python docs/_topologies.py            # draws those beside the examples anew
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from pydantic import BaseModel  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402

from hypersocket.devices import topology  # noqa: E402
from hypersocket.devices._files._keys import REQUIRED, SocketType  # noqa: E402
from hypersocket.devices.amqp_gateway.config._broker_model import SecretTable  # noqa: E402
from hypersocket.devices.amqp_gateway.config._model import TABLES as GATEWAY_TABLES  # noqa: E402
from hypersocket.devices.topology._model import TABLES  # noqa: E402

FILES = HERE.parent / "examples" / "topologies"


def topologies() -> list[Path]:
    """The topology files of the examples."""
    return sorted(path for path in FILES.glob("*.toml") if ".addresses" not in path.name)


def draw(directory: Path) -> list[Path]:
    """Draw every topology of the examples, unless its picture says the same already."""
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for path in topologies():
        picture = directory / f"{path.stem}.svg"
        _write(picture, topology.graph(topology.load(path)))
        written.append(picture)
    return written


def render(tables: tuple[type[BaseModel], ...] = TABLES) -> str:
    """The keys of each table: type, default and meaning."""
    lines: list[str] = []
    for model in tables:
        heading, *text = (model.__doc__ or "").strip().splitlines()
        title = _TITLES[model.__name__]
        lines += [f"## {title}", "", heading, *(line.strip() for line in text), ""]
        lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for name, field in model.model_fields.items():
            cells = (f"`{name}`", _type(field), _default(field), field.description or "")
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def write(pictures: Path, generated: Path) -> None:
    """Draw the pictures and write ``topology-file.md`` and ``gateway-file.md``."""
    draw(pictures / "topologies")
    generated.mkdir(parents=True, exist_ok=True)
    _write(generated / "topology-file.md", render())
    _write(generated / "gateway-file.md", render(GATEWAY_TABLES))


_TITLES = {
    "TopologyTable": "The file",
    "DeviceTable": "Devices",
    "SocketTable": "Sockets of a device",
    "PlainSocketTable": "Sockets of other programs",
    "GatewayMemberTable": "Gateways",
    "GatewayFileTable": "The file",
    "GatewayTable": "The gateway",
    "BrokerTable": "The broker",
    "SecretTable": "Passwords",
    "TlsTable": "TLS",
    "ExchangeTable": "Exchanges",
    "QueueTable": "Queues",
    "BindingTable": "Bindings",
    "RouteTable": "Routes",
    "RouteSocketTable": "Sockets",
    "PropertiesTable": "Properties",
    "DeadLettersTable": "Dead letters",
    "PolicyTable": "Policy",
}


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _type(field: FieldInfo) -> str:
    return " or ".join(dict.fromkeys(_types(field.annotation)))


def _types(annotation: Any) -> Iterator[str]:
    """What may stand in TOML for a field of a model."""
    origin = get_origin(annotation)
    if annotation == SocketType:
        yield "socket type"
    elif origin is Literal:
        yield from (f'`"{value}"`' for value in get_args(annotation))
    elif annotation == tuple[str, ...]:
        yield from ("text", "list of text")
    elif origin is dict:
        yield "table"
    elif origin is tuple:
        yield "list of tables"
    elif isinstance(annotation, type):
        named = {str: "text", int: "whole number", float: "number", bool: "true or false"}
        if issubclass(annotation, BaseModel):
            yield "table"
        elif annotation in named:
            yield named[annotation]
    elif hasattr(annotation, "__metadata__"):
        yield from _annotated_types(get_args(annotation)[0])
    else:
        for one in get_args(annotation):
            if one is not type(None):
                yield from _types(one)


def _annotated_types(inner: Any) -> Iterator[str]:
    if inner == tuple[str, ...]:
        yield from ("text", "list of text")
    elif inner is SecretTable:
        yield from ("text", "table")
    elif isinstance(inner, type) and issubclass(inner, BaseModel):
        yield from ("endpoint", "list of endpoints", "table")
    else:
        yield from _types(inner)


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.json_schema_extra == REQUIRED:
        return "required"
    value = field.default
    if value is None or value in ((), "") or value == {} or isinstance(value, BaseModel):
        return ""
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


if __name__ == "__main__":
    for drawn in draw(FILES):
        print(drawn)
