"""Cursors that a gateway forgets with the connection they came over, as one started again does."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from second_gateway import PATIENCE_S, Exchange, History, SecondGateway, make_rows

from intake_futu_short import FutuShortSource
from intake_futu_short.errors import ReplyError
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.opend.replies import CursorRefusedError
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

AAPL = Security.parse("US.AAPL")
ROWS = make_rows("US", 83)


class Forgetful(SecondGateway):
    """Takes the cursors of its newest connection only."""

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        life = f"{self.connections:04}"
        if next_key is not None:
            next_key = next_key[4:] if next_key.startswith(life) else "forgotten"
        return super().page(code, next_key, num)

    def _next_key(self, begin: int, rows: Sequence[object]) -> str:
        return f"{self.connections:04}{begin + len(rows)}"


def hanging_up_at(*numbers: int) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number in numbers:
            exchange.close()
        else:
            exchange.send(exchange.answer)

    return script


def forgetful(*hangs_up_at: int) -> Forgetful:
    return Forgetful({"US.AAPL": History("US", ROWS)}, hanging_up_at(*hangs_up_at))


def days(rows: Iterable[object]) -> list[object]:
    return [row["timestampStr"] for row in rows]  # type: ignore[index] # rows of both markets


@pytest.mark.parametrize("hangs_up_at", [(2,), (5,), (4, 12), (9,)])
@pytest.mark.parametrize("with_store", [False, True])
def test_a_walk_begins_anew_and_is_complete(
    hangs_up_at: tuple[int, ...], with_store: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = str(tmp_path) if with_store else None
    caplog.set_level(logging.INFO, "intake_futu_short")
    with (
        forgetful(*hangs_up_at) as gateway,
        FutuShortSource("US.AAPL", gateway=gateway.url, num=10, store=store) as src,
    ):
        frame = src.read()
    assert list(frame["timestamp_str"]) == days(ROWS)
    assert frame.attrs["next_key"] == "-1"
    said = [r.getMessage() for r in caplog.records if "begins anew" in r.getMessage()]
    assert len(said) == len(hangs_up_at)
    assert "US.AAPL" in said[0]
    assert "(invalid nextKey)" in said[0]


def test_pages_that_somebody_has_stay_as_they_are() -> None:
    with (
        forgetful(4) as gateway,
        FutuShortSource("US.AAPL", gateway=gateway.url, num=10) as src,
    ):
        parts = list(src.read_chunked())
    assert [len(part) for part in parts] == [10] * 8 + [3]
    assert [day for part in parts for day in part["timestamp_str"]] == days(ROWS)


def test_a_gateway_that_forgets_every_time_is_given_up_and_can_be_read_again() -> None:
    with (
        forgetful(2, 5, 8) as gateway,
        FutuShortSource("US.AAPL", gateway=gateway.url, num=10) as src,
    ):
        with pytest.raises(ReplyError, match=r"page after '00030*10'.*'invalid nextKey'"):
            src.read()
        assert [query.next_key for query in gateway.queries].count(None) == 3
        assert list(src.read()["timestamp_str"]) == days(ROWS)


def test_a_cursor_refused_on_its_own_connection_or_of_unknown_origin_is_refused_for_good() -> None:
    with (
        forgetful() as gateway,
        closing(GatewayClient(GatewayURL.parse(gateway.url), timeout=PATIENCE_S)) as client,
    ):
        for cursor in ("nobody's", client.daily_short_volume(AAPL, None, 10).next_key):
            gateway.histories["US.AAPL"] = History("US", ROWS)
            gateway.connections += cursor != "nobody's"  # forgets, while the connection stands
            with pytest.raises(ReplyError) as caught:
                client.daily_short_volume(AAPL, cursor, 10)
            assert type(caught.value) is ReplyError
            assert not isinstance(caught.value, CursorRefusedError)
