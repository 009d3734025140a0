"""Gateways that do not know each other's cursors, one of which dies: all rows or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from second_gateway import Exchange, SecondGateway, obliging, official
from second_rows import History, make_rows

from intake_futu_short.errors import PaginationError
from intake_futu_short.opend import ask as ask_module
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from second_gateway import Script
    from second_rows import Row

ROWS = make_rows("US", 1500)
DAYS = [str(row["timestampStr"]) for row in ROWS]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor is not kept long for the gateway that died."""
    monkeypatch.setattr(ask_module, "WAIT_FOR_ISSUER_S", 0.1)


class Jealous(SecondGateway):
    """Answers another gateway's cursors as if they were the end: an empty page, and "-1"."""

    def __init__(self, name: str, rows: Sequence[Row] = ROWS) -> None:
        super().__init__({"US.A": History("US", rows)})
        self.name = name

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        if next_key is not None:
            if not next_key.startswith(self.name):
                response = official("Qot_GetDailyShortVolume_pb2").Response(retType=0, retMsg="")
                response.s2c.nextKey = "-1"
                return bytes(response.SerializeToString())
            next_key = next_key.removeprefix(self.name)
        return super().page(code, next_key, num)

    def _next_key(self, begin: int, rows: Sequence[Row]) -> str:
        return self.name + super()._next_key(begin, rows)


class Death:
    """A script of two gateways: whichever is asked first dies at its so-many-th page."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.victim: int | None = None
        self.is_dead = False

    def of(self, number: int) -> Death._One:
        return Death._One(self, number)

    class _One:
        def __init__(self, death: Death, number: int) -> None:
            self.death = death
            self.number = number

        def __call__(self, exchange: Exchange) -> None:
            death = self.death
            if exchange.query is not None and death.victim is None:
                death.victim = self.number
            if death.victim == self.number:
                death.is_dead |= exchange.query is not None and exchange.number == death.page
                if death.is_dead:
                    exchange.close()
                    return
            obliging(exchange)


@pytest.mark.parametrize("with_store", [False, True])
@pytest.mark.parametrize("page", [1, 2, 3, 15, 31])
def test_when_one_of_two_dies_all_rows_come_or_an_error(
    page: int, with_store: bool, tmp_path: Path
) -> None:
    death = Death(page)
    with Jealous("a") as first, Jealous("b") as second:
        first.script, second.script = death.of(1), death.of(2)
        src = FutuShortSource(
            "US.A", gateway=[f"{each.url}?limit=off" for each in (first, second)],
            store=tmp_path / "store" if with_store else None,
        )  # fmt: skip
        with src:
            if with_store or page < 3:  # the newest page is known to both
                assert src.read()["timestamp_str"].tolist() == DAYS
            else:
                with pytest.raises(PaginationError, match=r"^US\.A from .*leads nowhere any more"):
                    src.read()
                src.close()
                assert src.read()["timestamp_str"].tolist() == DAYS
    assert death.is_dead


@pytest.mark.parametrize("with_store", [False, True])
def test_rows_that_came_with_the_page_asked_again_are_not_forgotten(
    with_store: bool, tmp_path: Path
) -> None:
    # The second gateway does not have the newest day yet, so that its pages begin a day later.
    with Jealous("a") as first, Jealous("b", ROWS[1:]) as second:

        def dies_at_its_second_page(exchange: Exchange) -> None:
            if len(first.queries) > 1:
                exchange.close()
            else:
                obliging(exchange)

        def waits_for_the_first(exchange: Exchange) -> None:
            first.wait_until(lambda: bool(first.queries))
            obliging(exchange)

        first.script, second.script = dies_at_its_second_page, waits_for_the_first
        with FutuShortSource(
            "US.A", gateway=[f"{each.url}?limit=off" for each in (first, second)],
            store=tmp_path / "store" if with_store else None,
        ) as src:  # fmt: skip
            assert src.read()["timestamp_str"].tolist() == DAYS
        assert second.queries


def hanging_up_at(number: int) -> Script:
    def script(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == number:
            exchange.close()
        else:
            obliging(exchange)

    return script


@pytest.mark.parametrize("with_store", [False, True])
@pytest.mark.parametrize("page", [2, 15, 30, 31])
def test_a_reconnect_to_a_gateway_that_knows_its_cursors_loses_nothing(
    page: int, with_store: bool, tmp_path: Path
) -> None:
    known = {"US.A": History("US", ROWS)}
    with (
        SecondGateway(known, hanging_up_at(page)) as gateway,
        FutuShortSource(
            "US.A", gateway=f"{gateway.url}?limit=off",
            store=tmp_path / "store" if with_store else None,
        ) as src,
    ):  # fmt: skip
        frame = src.read()
    assert frame["timestamp_str"].tolist() == DAYS
    assert frame.attrs["next_key"] == "-1"
    # The empty page behind a whole one is believed once the page before came again.
    assert len(gateway.queries) == 31 + 1 + (2 if page == 31 else 0)
