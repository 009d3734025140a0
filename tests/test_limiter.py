from __future__ import annotations

import pytest

from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.limiter import DEFAULT_LIMIT, Limit, Slots


def test_the_default_is_the_documented_limit() -> None:
    assert str(DEFAULT_LIMIT) == "30/30"


@pytest.mark.parametrize(
    ("text", "limit"), [("30/30", Limit(30, 30.0)), ("3/0.5", Limit(3, 0.5)), ("off", None)]
)
def test_a_limit_is_read_from_its_text(text: str, limit: Limit | None) -> None:
    assert Limit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "30", "0/30", "30/0", "-1/30", "30/x", "on", "1e9/1"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="N/SECONDS"):
        Limit.parse(text)


@pytest.mark.parametrize(
    ("other", "both"),
    [
        (None, Limit(30, 30.0)),
        (Limit(10, 30.0), Limit(10, 30.0)),
        (Limit(60, 30.0), Limit(30, 30.0)),
        (Limit(30, 60.0), Limit(30, 60.0)),
        # Neither implies the other: what keeps both is stricter than each.
        (Limit(20, 5.0), Limit(20, 30.0)),
    ],
)
def test_of_two_limits_both_are_kept(other: Limit | None, both: Limit) -> None:
    assert Limit(30, 30.0).tightened(other) == both
    if other is not None:
        assert other.tightened(Limit(30, 30.0)) == both


TWO = Limit(2, 30.0)


def test_a_slot_is_free_one_window_after_its_answer() -> None:
    slots = Slots()
    for mark in (1, 2):
        assert slots.wait(TWO, 100.0) == 0.0
        slots.take(mark, deadline=112.0)
    slots.end(1, 101.0)
    assert slots.wait(TWO, 102.0) == 29.0
    slots.end(2, 110.0)
    assert slots.wait(TWO, 130.9) == pytest.approx(0.1)
    assert slots.wait(TWO, 131.0) == 0.0
    slots.take(3, deadline=143.0)
    assert slots.wait(TWO, 131.0) == 9.0


def test_what_is_in_flight_can_be_free_a_window_from_now_at_the_earliest() -> None:
    slots = Slots()
    slots.take(1, deadline=112.0)
    slots.take(2, deadline=112.0)
    assert slots.wait(TWO, 105.0) == 30.0


def test_an_unanswered_slot_is_free_one_window_after_its_deadline() -> None:
    slots = Slots()
    slots.take(1, deadline=112.0)
    slots.take(2, deadline=113.0)
    assert slots.wait(TWO, 141.0) == 1.0
    assert slots.wait(TWO, 142.0) == 0.0


def test_a_slot_given_back_is_free_at_once() -> None:
    slots = Slots()
    slots.take(1, deadline=112.0)
    slots.take(2, deadline=112.0)
    slots.give_back(2)
    assert slots.wait(TWO, 100.0) == 0.0


def test_an_answer_counts_also_when_its_slot_was_forgotten() -> None:
    slots = Slots()
    slots.end(1, 100.0)
    slots.end(2, 101.0)
    assert slots.wait(TWO, 102.0) == 28.0


def test_closed_for_a_window_nothing_is_free() -> None:
    slots = Slots()
    slots.close(100.0)
    slots.close(90.0)
    assert slots.wait(TWO, 101.0) == 29.0
    assert slots.wait(TWO, 130.0) == 0.0


def test_a_stricter_limit_counts_what_was_asked_under_the_laxer_one() -> None:
    slots = Slots()
    for mark in range(4):
        slots.take(mark, deadline=100.0 + mark)
    assert slots.wait(Limit(5, 30.0), 110.0) == 0.0
    # Three of the four must no longer count before a second one is free.
    assert slots.wait(TWO, 110.0) == 22.0


def test_the_limit_that_another_user_named_holds_as_long_as_its_requests_may_count() -> None:
    slots = Slots()
    assert slots.heed(Limit(30, 30.0), 100.0, timeout=12.0) == Limit(30, 30.0)
    assert slots.heed(Limit(10, 60.0), 101.0, timeout=12.0) == Limit(10, 60.0)
    assert slots.heed(Limit(30, 30.0), 172.9, timeout=12.0) == Limit(10, 60.0)
    assert slots.heed(Limit(30, 30.0), 173.0, timeout=12.0) == Limit(30, 30.0)


def test_whenever_requests_arrive_no_window_holds_more_than_the_limit() -> None:
    limit, slots = Limit(3, 10.0), Slots()
    now, sent, answered = 0.0, [], []
    for mark, latency in enumerate((0.0, 4.0, 1.0, 0.5, 9.0, 2.0, 0.0, 0.0, 3.0, 1.0, 7.0)):
        while wait := slots.wait(limit, now):
            now += wait
        slots.take(mark, now + 12.0)
        sent.append(now)
        now += latency
        answered.append(now)
        slots.end(mark, now)
    # The gateway sees a request at any time from its sending to its answer. The tightest case
    # for four in a row: the first arrives as late, the fourth as early as can be.
    for i in range(len(sent) - limit.requests):
        assert sent[i + limit.requests] - answered[i] >= limit.seconds
