"""Partitions of tickers and panels, pure: what is run for each, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from walked import HOME, answer, cursor_of, run

from intake_futu_short.calls import SHORT_VOLUME, Question, Reply, Ticker
from intake_futu_short.errors import PanelError, ReplyError
from intake_futu_short.partitions import Panel, WalkedTicker
from intake_futu_short.security import Security
from intake_futu_short.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

DAYS = ["2026-06-18", "2026-06-17", "2026-06-16"]


def reply(question: Question) -> Reply:
    """A page a day; nothing is known of US.NOPE."""
    if question.text.startswith("US.NOPE"):
        error = ReplyError("no", ret_type=-1, err_code=0, message="no")
        return Reply(None, error, HOME)
    begin = int(cursor_of(question) or 0)
    key = str(begin + 1) if begin + 1 < len(DAYS) else "-1"
    return Reply(answer(DAYS[begin], key=key), None, HOME)


class Runs:
    """Runs generators; keeps which ones, and how many questions they had."""

    def __init__(self) -> None:
        self.of: list[list[str]] = []
        self.questions = 0

    def __call__(self, jobs: Mapping[str, Any]) -> dict[str, Exception]:
        self.of.append(list(jobs))
        outcomes = {code: self._run(job) for code, job in jobs.items()}
        return {code: error for code, error in outcomes.items() if error is not None}

    def _run(self, job: Any) -> ReplyError | None:
        try:
            run(job, self._reply)
        except ReplyError as error:
            return error
        return None

    def _reply(self, question: Question) -> Reply:
        self.questions += 1
        return reply(question)


def walked(code: str, runs: Runs) -> WalkedTicker:
    ticker = Ticker(Security.parse(code), SHORT_VOLUME)
    return WalkedTicker(Walk(ticker, num=1), ticker, runs)


def test_partitions_of_a_ticker_are_walked_as_far_as_they_are_called_for() -> None:
    runs = Runs()
    ticker = walked("US.A", runs)
    assert (ticker.sizes, ticker.is_finished) == ([], False)
    second = ticker.get(1)
    assert second is not None
    assert second["timestamp_str"].tolist() == ["2026-06-17"]
    assert second.attrs == {"code": "US.A", "market": "US", "next_key": "2"}
    assert (ticker.sizes, ticker.is_finished, runs.questions) == ([1, 1], False, 2)
    assert ticker.get(3) is None
    assert (ticker.sizes, ticker.is_finished, runs.questions) == ([1, 1, 1], True, 3)
    assert ticker.frame()["timestamp_str"].tolist() == DAYS
    assert ticker.frame().attrs == {"code": "US.A", "market": "US", "next_key": "-1"}
    assert runs.questions == 3


def test_an_error_of_one_ticker_is_raised_as_it_is() -> None:
    with pytest.raises(ReplyError):
        walked("US.NOPE", Runs()).load()


def test_what_is_beside_the_rows_asks_for_one_page_at_most() -> None:
    runs = Runs()
    ticker = walked("US.A", runs)
    nothing = {"aggregated_short": None, "aggregated_short_ratio": None, "new_time_str": None}
    assert ticker.aggregates() == nothing
    assert ticker.aggregates() == nothing
    assert runs.questions == 1


def test_a_partition_of_a_panel_runs_its_own_ticker_and_none_that_is_finished() -> None:
    runs = Runs()
    panel = Panel([walked(code, runs) for code in ("US.A", "US.B", "US.C")], runs, warns=False)
    fourth = panel.get(3)
    assert fourth is not None
    assert fourth["code"].tolist() == ["US.B"]
    assert runs.of == [["US.A"], ["US.B"]]
    assert panel.sizes == [1, 1, 1, 1]
    panel.load()
    runs.of.clear()
    parts = [panel.get(number) for number in range(10)]
    assert [None if part is None else part["code"].item() for part in parts] == [
        "US.A", "US.A", "US.A", "US.B", "US.B", "US.B", "US.C", "US.C", "US.C", None,
    ]  # fmt: skip
    assert runs.of == []
    assert len(panel.frame()) == 9
    assert runs.of == []
    assert panel.sizes == [1] * 9
    assert panel.is_finished


def test_a_panel_that_failed_asks_again_for_what_failed_alone() -> None:
    runs = Runs()
    panel = Panel([walked(code, runs) for code in ("US.A", "US.NOPE")], runs, warns=False)
    for questions in (4, 5):
        with pytest.raises(PanelError):
            panel.frame()
        assert runs.questions == questions
