"""What a peer tells of itself, out of the engine's hands."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from . import _codec
from ._codec import is_list, is_map
from ._proton import encoded


def mapping(data: Any) -> Mapping[str, Any]:
    """A map, such as the properties of an open frame; empty if it is none."""
    value = _decoded(data)
    if not is_map(value):
        return MappingProxyType({})
    return MappingProxyType({str(key): item for key, item in value.items()})


def symbols(data: Any) -> frozenset[str]:
    """One symbol or several, such as capabilities."""
    value = _decoded(data)
    return frozenset(str(one) for one in (value if is_list(value) else [value]) if one)


def _decoded(data: Any) -> Any:
    raw = encoded(data)
    try:
        return _codec.decode(raw)[0] if raw else None
    except _codec.CodecError:
        return None
