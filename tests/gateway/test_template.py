"""Templates of routing keys: what they ask of a message, and what is wrong with one."""

from __future__ import annotations

import pytest

from hypersocket.amqp import Properties
from hypersocket.devices.amqp_gateway.messages._template import Template, TemplateError

FRAMES = [b"oslo", "blå".encode(), b"\xff"]
SAID = Properties(
    headers={"country": "no", "parcels": 3, "express": True, "raw": b"x", "blob": b"\xff", "a": {}},
    type="order",
    ttl=1.5,
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", ""),
        ("orders.new", "orders.new"),
        ("a{{b}}c", "a{b}c"),
        ("orders.{frame[0]}", "orders.oslo"),
        ("{frame[0]}.{frame[1]}", "oslo.blå"),
        ("{header[country]}.{header[parcels]}.{header[express]}.{header[raw]}", "no.3.true.x"),
        ("{property[type]}.{property[ttl]}", "order.1.5"),
        ("{{{frame[0]}}}", "{oslo}"),
    ],
)
def test_a_message_fills_the_places(text: str, key: str) -> None:
    assert Template(text).render(FRAMES, SAID) == key


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{frame[3]}", "there is no frame 3: the message has 3"),
        ("{frame[2]}", "frame 2 is not UTF-8 text"),
        ("{header[town]}", "the message has no header 'town'"),
        ("{header[blob]}", "the header 'blob' is not UTF-8 text"),
        ("{header[a]}", "the header 'a' is not one value, but several"),
        ("{property[app_id]}", "the message has no property 'app_id'"),
    ],
)
def test_what_a_message_does_not_have(text: str, error: str) -> None:
    template = Template(text)
    with pytest.raises(TemplateError) as caught:
        template.render(FRAMES, SAID)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a.{", "a '{' stands alone"),
        ("a.}", "a '}' stands alone"),
        ("{}", "{} is no place for a value"),
        ("{frame}", "{frame} is no place for a value"),
        ("{frame[one]}", "{frame[one]}: expected the number of a frame, from 0"),
        ("{frame[-1]}", "{frame[-1]}: expected the number of a frame, from 0"),
        ("{property[headers]}", "{property[headers]}: expected one of content_type,"),
    ],
)
def test_what_is_no_template(text: str, error: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text)
    assert str(caught.value).startswith(error)


def test_what_does_not_depend_on_the_message_is_known() -> None:
    assert Template("a{{b").fixed == "a{b"
    assert Template("{frame[0]}").fixed is None
    assert not Template("{frame[0]}").needs_metadata
    assert Template("{property[type]}").needs_metadata
