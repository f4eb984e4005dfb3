"""Unconfirmed publications, and unsettled deliveries: what is said is what the broker hears."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from hypersocket.amqp import Publication
from hypersocket.amqp.v091 import ACCEPTED, REJECTED, RELEASED, ConfirmWindow, Message, Settlements
from hypersocket.amqp.v091._errors import Malformed

from .peers import publication, read


def window(count: int) -> tuple[ConfirmWindow, list[Publication]]:
    confirms = ConfirmWindow()
    publications = [publication(str(n).encode()) for n in range(1, count + 1)]
    confirms.add(publications)
    return confirms, publications


class TestConfirms:
    def test_one_by_one_in_any_order(self) -> None:
        confirms, published = window(4)
        for tag in (3, 1, 4, 2):
            assert confirms.settle(tag, False) == [published[tag - 1]]
        assert len(confirms) == 0

    def test_all_up_to_one(self) -> None:
        confirms, published = window(5)
        confirms.settle(2, False)
        assert confirms.settle(3, True) == [published[0], published[2]]
        assert confirms.settle(3, True) == []
        assert confirms.settle(0, True) == published[3:]

    def test_more_are_published_meanwhile(self) -> None:
        confirms, _ = window(2)
        confirms.settle(2, True)
        late = publication(b"late")
        confirms.add([late])
        assert confirms.settle(3, False) == [late]

    @pytest.mark.parametrize(
        ("tag", "multiple"), [(3, False), (3, True), (0, False), (2**63, True)]
    )
    def test_what_was_never_published(self, tag: int, multiple: bool) -> None:
        confirms, _ = window(2)
        with pytest.raises(Malformed, match="of 2 published"):
            confirms.settle(tag, multiple)

    def test_abandon_gives_what_is_left_in_order(self) -> None:
        confirms, published = window(4)
        confirms.settle(2, False)
        assert confirms.abandon() == [published[0], published[2], published[3]]
        assert confirms.abandon() == []
        assert confirms.settle(4, True) == []

    def test_a_returned_one_is_not_confirmed_as_well(self) -> None:
        confirms, published = window(3)
        assert confirms.returned("", "key", b"2", lambda _: True) is published[1]
        assert confirms.settle(3, True) == [published[0], published[2]]

    def test_returns_of_equal_messages_take_one_each(self) -> None:
        confirms = ConfirmWindow()
        published = [publication(b"same") for _ in range(3)]
        confirms.add(published)
        found = [confirms.returned("", "key", b"same", lambda _: True) for _ in range(4)]
        assert found == [*published, None]

    def test_properties_tell_equal_bodies_apart(self) -> None:
        confirms = ConfirmWindow()
        published = [publication(b"same") for _ in range(3)]
        confirms.add(published)
        assert (
            confirms.returned("", "key", b"same", lambda one: one is published[2]) is published[2]
        )
        # This broker keeps no order: found all the same.
        assert (
            confirms.returned("", "key", b"same", lambda one: one is published[0]) is published[0]
        )
        assert confirms.returned("", "key", b"same", lambda _: False) is published[1]

    @pytest.mark.parametrize(
        ("exchange", "key", "body"), [("x", "key", b"1"), ("", "x", b"1"), ("", "key", b"9")]
    )
    def test_no_such_message(self, exchange: str, key: str, body: bytes) -> None:
        confirms, _ = window(2)
        assert confirms.returned(exchange, key, body, lambda _: True) is None

    @given(st.data())
    def test_each_leaves_once_however_it_is_answered(self, data: st.DataObject) -> None:
        confirms = ConfirmWindow()
        published: list[Publication] = []
        left: dict[int, Publication] = {}
        for _ in range(data.draw(st.integers(1, 20))):
            more = [publication() for _ in range(data.draw(st.integers(0, 5)))]
            confirms.add(more)
            for one in more:
                published.append(one)
                left[len(published)] = one
            if not published:
                continue
            tag, multiple = data.draw(st.integers(1, len(published))), data.draw(st.booleans())
            answered = [n for n in left if n == tag or (multiple and n < tag)]
            assert confirms.settle(tag, multiple) == [left.pop(n) for n in answered]
            assert len(confirms) == len(left)
        assert confirms.abandon() == list(left.values())


def delivered(settlements: Settlements, tags: Any) -> list[Message]:
    messages = [Message(settlements, tag, False, b"\0\0", b"\0\0", b"") for tag in tags]
    settlements.add(messages)
    return messages


def said(settlements: Settlements) -> list[tuple[str, int, bool]]:
    """What is written: the verdict, the tag, and whether for all up to it."""
    heard: list[tuple[str, int, bool]] = []
    for one in read(settlements.write(1)):
        if isinstance(one, commands.Basic.Ack):
            heard.append(("accept", one.delivery_tag, one.multiple))
        else:
            verdict = "release" if one.requeue else "reject"
            heard.append((verdict, one.delivery_tag, getattr(one, "multiple", False)))
    return heard


class Broker:
    """What RabbitMQ does with what it hears, 406 included."""

    def __init__(self) -> None:
        self.unacked: list[int] = []
        self.heard: dict[int, str] = {}

    def hear(self, words: list[tuple[str, int, bool]]) -> None:
        for verdict, tag, multiple in words:
            assert tag in self.unacked, f"406 PRECONDITION_FAILED - unknown delivery tag {tag}"
            for one in [n for n in self.unacked if n == tag or (multiple and n < tag)]:
                self.unacked.remove(one)
                self.heard[one] = verdict


class TestSettlements:
    def test_the_oldest_run_is_one_frame(self) -> None:
        settlements = Settlements()
        messages = delivered(settlements, range(1, 101))
        settlements.settle(messages[:60], ACCEPTED)
        settlements.settle(messages[60:90], ACCEPTED)
        assert settlements.unsettled == 10
        assert [settlements.unwritten] == [True]
        assert said(settlements) == [("accept", 90, True)]
        assert [settlements.unwritten] == [False]
        assert said(settlements) == []

    def test_runs_of_each_verdict(self) -> None:
        settlements = Settlements()
        messages = delivered(settlements, range(1, 8))
        settlements.settle(messages[:2], ACCEPTED)
        settlements.settle(messages[2:4], REJECTED)
        settlements.settle(messages[4:6], RELEASED)
        settlements.settle(messages[6:], ACCEPTED)
        assert said(settlements) == [
            ("accept", 2, True),
            ("reject", 4, True),
            ("release", 6, True),
            ("accept", 7, True),
        ]
        assert settlements.unsettled == 0

    def test_beyond_a_gap_one_by_one(self) -> None:
        settlements = Settlements()
        messages = delivered(settlements, range(1, 6))
        settlements.settle([messages[2], messages[4]], ACCEPTED)
        settlements.settle([messages[3]], RELEASED)
        assert said(settlements) == [
            ("accept", 3, False),
            ("accept", 5, False),
            ("release", 4, False),
        ]
        settlements.settle(messages[:2], ACCEPTED)
        # Not for all up to 5: RabbitMQ closes the channel for a tag that it has heard of.
        assert said(settlements) == [("accept", 2, True)]

    def test_settled_twice(self) -> None:
        settlements = Settlements()
        first, second = delivered(settlements, (1, 2))
        settlements.settle([first], ACCEPTED)
        with pytest.raises(ValueError, match="settled before"):
            settlements.settle([second, first], REJECTED)
        with pytest.raises(ValueError, match="settled before"):
            settlements.settle([second, second], REJECTED)
        assert settlements.unsettled == 1
        settlements.settle([second], RELEASED)
        assert said(settlements) == [("accept", 1, True), ("release", 2, True)]

    def test_settled_elsewhere(self) -> None:
        here, there = Settlements(), Settlements()
        (mine,), (theirs,) = delivered(here, (1,)), delivered(there, (1,))
        with pytest.raises(ValueError, match="not delivered on this channel"):
            here.settle([mine, theirs], ACCEPTED)
        assert here.unsettled == 1
        assert said(here) == []

    @given(st.data())
    def test_the_broker_hears_each_verdict_once(self, data: st.DataObject) -> None:
        settlements, broker = Settlements(), Broker()
        verdicts = {ACCEPTED: "accept", REJECTED: "reject", RELEASED: "release"}
        expected: dict[int, str] = {}
        open_messages: list[Message] = []
        tag = 0
        for _ in range(data.draw(st.integers(1, 15))):
            fresh: list[int] = []
            for _ in range(data.draw(st.integers(0, 6))):
                tag += data.draw(st.sampled_from([1, 1, 1, 3]))
                fresh.append(tag)
            open_messages += delivered(settlements, fresh)
            broker.unacked += fresh
            chosen = data.draw(
                st.lists(st.sampled_from(open_messages), unique=True)
                if open_messages
                else st.just([])
            )
            verdict = data.draw(st.sampled_from(list(verdicts)))
            settlements.settle(chosen, verdict)
            for one in chosen:
                open_messages.remove(one)
                expected[one.tag] = verdicts[verdict]
            if data.draw(st.booleans()):
                broker.hear(said(settlements))
                assert broker.heard == expected
            assert settlements.unsettled == len(open_messages)
        broker.hear(said(settlements))
        assert broker.heard == expected
        assert broker.unacked == [one.tag for one in open_messages]
        settlements.settle(open_messages, ACCEPTED)
        broker.hear(said(settlements))
        assert settlements._verdicts == {}
