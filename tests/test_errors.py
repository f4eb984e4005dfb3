"""The tree of errors, and which call raises which."""

from __future__ import annotations

import errno
import pickle

import pytest
import trio

import hypersocket as hs
from hypersocket import _errors

OURS = [
    error
    for error in vars(_errors).values()
    if isinstance(error, type) and issubclass(error, Exception)
]


@pytest.mark.parametrize("error", OURS, ids=lambda error: error.__name__)
def test_all_are_public_and_of_one_family(error: type[Exception]) -> None:
    assert getattr(hs, error.__name__) is error
    assert error.__name__ in hs.__all__
    assert issubclass(error, hs.HypersocketError)
    assert error.__doc__
    assert str(error("what was wrong")) == "what was wrong"


def test_they_are_what_python_calls_the_same() -> None:
    assert issubclass(hs.EndpointError, ValueError)
    assert issubclass(hs.AddressInUse, OSError)
    assert issubclass(hs.MessageTooLarge, hs.ProtocolError)
    assert issubclass(hs.HandshakeError, hs.ProtocolError)
    assert hs.AddressInUse("x").errno == errno.EADDRINUSE
    assert hs.MessageTooLarge("x").reason is hs.Reason.MESSAGE_TOO_LARGE
    assert hs.ProtocolError("x", hs.Reason.BAD_COMMAND).reason is hs.Reason.BAD_COMMAND


@pytest.mark.parametrize("error", OURS, ids=lambda error: error.__name__)
def test_they_survive_a_copy(error: type[Exception]) -> None:
    again = pickle.loads(pickle.dumps(error("what was wrong")))
    assert type(again) is error
    assert str(again) == "what was wrong"


def test_reasons_are_text_and_differ() -> None:
    for vocabulary in (hs.Reason, hs.DropReason):
        values = [str(reason) for reason in vocabulary]
        assert len(set(values)) == len(values)
        assert all(value == value.lower() for value in values)


async def test_address_in_use() -> None:
    async with hs.Pull() as pull:
        for endpoint in ("inproc://x", "tcp://127.0.0.1:*"):
            where = await pull.bind(endpoint)
            async with hs.Pull() as other:
                with pytest.raises(hs.AddressInUse) as caught:
                    await other.bind(where)
                assert isinstance(caught.value, OSError)
                assert where.rpartition("/")[2] in str(caught.value)


async def test_a_message_over_the_bound_ends_its_connection_and_no_other() -> None:
    pull = hs.Pull(bind="tcp://127.0.0.1:*", maxmsgsize=1000)
    async with pull, pull.monitor() as events:
        where = pull.endpoints[0]
        async with hs.Push(connect=where) as good, hs.Push(reconnect_ivl=1000) as bad:
            await good.wait_connected()
            await bad.connect(where)
            await bad.send(bytes(1000))
            assert await pull.recv() == bytes(1000)
            await bad.send_multipart([bytes(500), bytes(501)])
            async for event in events:
                if isinstance(event, hs.events.Disconnected):
                    assert event.reason is hs.Reason.MESSAGE_TOO_LARGE
                    assert "1000" in event.detail
                    break
            await good.send(b"still here")
            with trio.fail_after(10):
                assert await pull.recv() == b"still here"
            bad.linger = 0
