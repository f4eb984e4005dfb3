"""Qpid Proton's C engine, and what of it is used here.

The functions are those of Proton's documented C interface; the binding's own classes are left out,
since each of them keeps a Python object, a dictionary and a reference count for every delivery.
"""

from __future__ import annotations

import importlib
from typing import Any

try:
    _binding: Any = importlib.import_module("cproton")
except ImportError as _error:
    raise ImportError(
        "AMQP 1.0 needs Qpid Proton's engine: pip install 'hypersocket[amqp10]'"
    ) from _error

ffi: Any = _binding.ffi
lib: Any = _binding.lib
constants: Any = _binding
"""The ``PN_...`` numbers."""


def text(pointer: Any) -> str | None:
    """A C string of the peer's. What is not UTF-8 is shown with backslashes."""
    if pointer == ffi.NULL:
        return None
    value: bytes = ffi.string(pointer)
    return value.decode(errors="backslashreplace")


def chars(value: str | None) -> Any:
    """A str for a ``const char *``, which the engine copies."""
    return ffi.NULL if value is None else value.encode()


def encoded(data: Any) -> bytes:
    """A ``pn_data_t`` as the bytes of AMQP 1.0, empty if there is nothing in it."""
    size = lib.pn_data_encoded_size(data)
    if size <= 0:
        return b""
    buffer = bytearray(size)
    done = lib.pn_data_encode(data, ffi.from_buffer(buffer), size)
    return bytes(buffer[:done]) if done > 0 else b""


def fill(data: Any, value: bytes) -> None:
    """Put a value, encoded, into an empty ``pn_data_t``."""
    lib.pn_data_decode(data, ffi.from_buffer(value), len(value))
