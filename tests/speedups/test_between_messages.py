"""Whether a wire is between two messages, wherever a stream is cut off."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hypersocket._speedups import encode_messages

from .test_wire import CUT_ALL, Rig, both

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="wires are not used there")


def wire_form(message: Any) -> bytes:
    out: list[Any] = []
    encode_messages([message], out)
    return b"".join(out)


BODY = bytes(300)
MESSAGES = [wire_form(each) for each in (b"short", [b"first", b"", b"last"], BODY, [b"1", BODY])]
LONG = wire_form(bytes(20_000))


@both
def test_at_the_ends_of_messages_and_nowhere_else(form: Any) -> None:
    stream = b"".join(MESSAGES)
    ends = {sum(map(len, MESSAGES[:count])) for count in range(len(MESSAGES) + 1)}
    rig = Rig(form)
    assert rig.wire.between_messages
    for place in range(1, len(stream) + 1):
        rig.far.send(stream[place - 1 : place])
        assert rig.wire.read() == CUT_ALL
        assert rig.wire.between_messages == (place in ends)
    rig.close()


@both
@pytest.mark.parametrize("came", [1, 5, 9, 10, 10_000, len(LONG) - 1])
def test_a_long_body_under_way(form: Any, came: int) -> None:
    rig = Rig(form)
    for data, whole in ((LONG[:came], False), (LONG[came:], True)):
        rig.far.send(data)
        assert rig.wire.read() == CUT_ALL
        assert rig.wire.between_messages == whole
    rig.close()


@both
def test_what_there_is_no_room_for(form: Any) -> None:
    rig = Rig(form, hwms=(0, 1))
    rig.far.send(wire_form(b"1") + wire_form(b"2"))
    rig.wire.read()
    assert not rig.wire.between_messages
    assert rig.take() == [b"1"]
    rig.wire.read()
    assert rig.wire.between_messages
    rig.close()
