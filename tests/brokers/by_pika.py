"""pika's blocking client, where a test wants a program that is none of ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

PATIENCE = 60.0
"""Seconds that a broker may stand still; by itself, pika gives it 10."""


def parameters_of(url: str) -> pika.URLParameters:
    """How to connect to a broker that may stand still."""
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = PATIENCE
    return parameters


@contextmanager
def channel(url: str) -> Generator[BlockingChannel]:
    """A channel of a connection of its own."""
    with pika.BlockingConnection(parameters_of(url)) as connection:
        yield connection.channel()
