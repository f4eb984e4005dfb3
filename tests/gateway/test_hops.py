"""The header that cuts loops."""

from __future__ import annotations

from typing import Any

import pytest

from hypersocket.devices.amqp_gateway.messages._hops import (
    HEADER,
    check_name,
    extended,
    looped,
    names,
)


def test_the_first_gateway_is_itself_in_the_header() -> None:
    assert looped({}, "a", 4) == ""
    assert extended({}, "a") == "a"
    assert extended({HEADER: "a"}, "b") == "a,b"


def test_what_came_through_us_is_cut() -> None:
    assert "come through b already: a,b" in looped({HEADER: "a,b"}, "b", 9)
    assert looped({HEADER: "a,bb"}, "b", 9) == ""


@pytest.mark.parametrize(("via", "cut"), [("a", False), ("a,b", False), ("a,b,c", True)])
def test_what_came_through_too_many_is_cut(via: str, cut: bool) -> None:
    assert ("max_hops = 3" in looped({HEADER: via}, "x", 3)) is cut


def test_no_hops_at_all() -> None:
    assert "max_hops" in looped({}, "a", 0)
    assert looped({}, "a", 1) == ""


@pytest.mark.parametrize("odd", [7, None, ["a"], {"a": 1}, "", ",,"])
def test_a_header_that_is_none(odd: Any) -> None:
    assert names({HEADER: odd}) == []
    assert looped({HEADER: odd}, "a", 1) == ""
    assert extended({HEADER: odd}, "a") == "a"


def test_bytes_are_text() -> None:
    assert names({HEADER: b"a,\xff"}) == ["a", "�"]


@pytest.mark.parametrize("name", ["", "a,b"])
def test_a_name_is_one_word(name: str) -> None:
    with pytest.raises(ValueError, match="gateway's name"):
        check_name(name)
    check_name("gw-1")
