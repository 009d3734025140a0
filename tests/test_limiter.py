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


def test_a_slot_is_free_one_window_after_its_answer() -> None:
    slots = Slots()
    slots.limit = Limit(2, 30.0)
    for _ in range(2):
        assert slots.wait(100.0) == 0.0
        slots.take()
    assert slots.wait(100.0) is None  # both in flight: only an answer can free one
    slots.answered(101.0)
    assert slots.wait(102.0) == 29.0
    slots.answered(110.0)
    assert slots.wait(130.9) == pytest.approx(0.1)
    assert slots.wait(131.0) == 0.0
    slots.take()
    assert slots.wait(131.0) == 9.0


def test_whenever_requests_arrive_no_window_holds_more_than_the_limit() -> None:
    limit, slots = Limit(3, 10.0), Slots()
    slots.limit = limit
    now, sent, answered = 0.0, [], []
    for latency in (0.0, 4.0, 1.0, 0.5, 9.0, 2.0, 0.0, 0.0, 3.0, 1.0, 7.0):
        while (wait := slots.wait(now)) != 0:
            assert wait is not None
            now += wait
        slots.take()
        sent.append(now)
        now += latency
        answered.append(now)
        slots.answered(now)
    # The gateway sees a request at any time from its sending to its answer. The tightest case
    # for four in a row: the first arrives as late, the fourth as early as can be.
    for i in range(len(sent) - limit.requests):
        assert sent[i + limit.requests] - answered[i] >= limit.seconds


def test_the_strictest_of_several_limits_holds() -> None:
    slots = Slots()
    slots.tighten(None)
    assert slots.limit is None
    assert slots.wait(0.0) == 0.0
    slots.tighten(Limit(30, 30.0))
    slots.tighten(Limit(10, 30.0))
    slots.tighten(Limit(60, 30.0))
    slots.tighten(None)
    assert slots.limit == Limit(10, 30.0)
