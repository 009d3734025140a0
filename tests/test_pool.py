"""Several gateways as one, against real ones."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from second_gateway import Exchange, History, SecondGateway, make_rows, obliging

from intake_futu_short.errors import (
    ConfigError,
    GatewayDisconnectedError,
    GatewayUnreachableError,
    ReplyError,
    UnknownSecurityError,
)
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.opend import client as client_module
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.pool import GatewayPool
from intake_futu_short.opend.retry_policy import RetryPolicy
from intake_futu_short.opend.session import Sessions
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AAPL = Security.parse("US.AAPL")
PATIENCE_S = 30.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that was lost is sought for a moment only."""
    sessions = Sessions(client_module._connect, RetryPolicy(asks=1, reconnect_s=0.05))
    monkeypatch.setattr(client_module, "_sessions", sessions)


@pytest.fixture
def nobody() -> Iterator[str]:
    """URL of a port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"opend://127.0.0.1:{sock.getsockname()[1]}"


def codes(number: int) -> list[str]:
    return [f"US.T{i}" for i in range(number)]


def serving(number: int) -> dict[str, History]:
    return {code: History("US", make_rows("US", 3, seed=i)) for i, code in enumerate(codes(number))}


def pool_of(*gateways: SecondGateway | str) -> GatewayPool:
    urls = [gateway if isinstance(gateway, str) else gateway.url for gateway in gateways]
    return GatewayPool([GatewayURL.parse(f"{url}?limit=off") for url in urls])


def warnings_in(log: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [r.getMessage() for r in log.records if words in r.getMessage()]


# -- sharing the work ---------------------------------------------------------------------------


def test_each_gateway_is_used_to_its_own_limit_and_none_refuses() -> None:
    aapl = sample_histories()["US.AAPL"]
    served = dict.fromkeys(codes(20), aapl)
    with Gateway(served, limit=(5, 0.5)) as one, Gateway(served, limit=(5, 0.5)) as two:
        urls = [f"{gateway.url}?limit=5/0.5" for gateway in (one, two)]
        with FutuShortSource(codes(20), gateway=urls) as src:
            frame = src.read()
        assert frame["code"].unique().tolist() == codes(20)
        assert len(frame) == 20 * 29
        assert len(one.requests) + len(two.requests) == 20
        assert min(len(one.requests), len(two.requests)) >= 5


def test_work_goes_where_there_is_a_free_slot() -> None:
    with SecondGateway(serving(12)) as used_up, SecondGateway(serving(12)) as free:
        limited = f"{used_up.url}?limit=2/600"
        with FutuShortSource(codes(2), gateway=limited) as first:
            first.read()
            with FutuShortSource(codes(12), gateway=[limited, free.url]) as src:
                assert len(src.read()) == 36  # and not after ten minutes
    assert len(used_up.queries) == 2
    assert len(free.queries) == 12


def test_when_no_gateway_has_a_slot_one_waits_and_is_told_so() -> None:
    told: list[float] = []
    with SecondGateway(serving(1)) as one, SecondGateway(serving(1)) as two:
        urls = [GatewayURL.parse(f"{gateway.url}?limit=1/0.3") for gateway in (one, two)]
        with closing(GatewayPool(urls, on_wait=told.append)) as pool:
            begin = time.monotonic()
            for _ in range(3):
                pool.daily_short_volume(Security.parse("US.T0"))
            assert time.monotonic() - begin >= 0.3
    assert 0 < told[0] <= 0.3
    assert len(one.queries) + len(two.queries) == 3


def test_a_gateway_that_is_left_alone_waits_for_its_own_limit(nobody: str) -> None:
    told: list[float] = []
    with SecondGateway(serving(1)) as gateway:
        urls = [GatewayURL.parse(url) for url in (nobody, f"{gateway.url}?limit=1/0.3")]
        with closing(GatewayPool(urls, on_wait=told.append)) as pool:
            for _ in range(2):
                pool.daily_short_volume(Security.parse("US.T0"))
    assert 0 < told[0] <= 0.3


def test_a_walk_stays_with_the_gateway_that_gave_its_cursor() -> None:
    known = {code: History("US", make_rows("US", 40, seed=i)) for i, code in enumerate(codes(6))}
    with SecondGateway(known) as one, SecondGateway(known, cursor="timestamp") as two:
        with FutuShortSource(codes(6), gateway=[one.url, two.url], num=5) as src:
            assert len(src.read()) == 240
        asked = [{query.code for query in gateway.queries} for gateway in (one, two)]
    assert asked[0] | asked[1] == set(codes(6))
    assert asked[0] & asked[1] == set()
    assert all(asked)


# -- losing some --------------------------------------------------------------------------------


def test_a_dead_gateway_is_left_out_with_one_warning(
    nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        SecondGateway(serving(20)) as alive,
        FutuShortSource(codes(20), gateway=[nobody, alive.url]) as src,
    ):
        assert len(src.read()) == 60
    (warning,) = warnings_in(caplog, "is left out")
    assert warning.startswith(nobody)
    assert len(alive.queries) == 20


def test_when_all_are_dead_the_error_names_all_and_the_next_read_tries_them_again(
    nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    with SecondGateway(serving(3)) as gateway:
        url = gateway.url
    with FutuShortSource(codes(3), gateway=[nobody, url]) as src:
        with pytest.raises(GatewayUnreachableError) as caught:
            src.read()
        assert nobody in str(caught.value)
        assert url in str(caught.value)
        with Gateway({"US.T0": sample_histories()["US.AAPL"]}, port=int(url[-5:])) as again:
            assert again.url == url
            assert len(src.read_partition(0)) == 29
    with closing(pool_of(nobody, url)) as pool:
        with pytest.raises(GatewayUnreachableError):
            pool.daily_short_volume(AAPL)
        with Gateway(sample_histories(), port=int(url[-5:])):
            assert len(pool.daily_short_volume(AAPL).us_items) == 10


def walk_with_a_death_in_it(
    dying: SecondGateway, heir: SecondGateway, pages_before: int
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """The whole, and the partitions that were given before the first gateway died."""
    with FutuShortSource("US.AAPL", gateway=[dying.url, heir.url], num=5) as src:
        with dying:
            early = [src.read_partition(i) for i in range(pages_before)]
        frame = src.read()
        for i, part in enumerate(early):
            pd.testing.assert_frame_equal(src.read_partition(i), part)
    return frame, early


@pytest.mark.usefixtures("impatient")
def test_another_gateway_that_takes_the_cursor_goes_on_with_the_walk() -> None:
    known = {"US.AAPL": History("US", make_rows("US", 33))}
    with SecondGateway(known) as heir:
        frame, _ = walk_with_a_death_in_it(SecondGateway(known), heir, 2)
        assert [query.next_key for query in heir.queries] == ["10", "15", "20", "25", "30"]
    assert days_of(frame) == days(known["US.AAPL"].rows)


class Stranger(SecondGateway):
    """Speaks of its own cursors only."""

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        if next_key is not None and not next_key.startswith("0000"):
            next_key = "unknown"  # which is refused
        return super().page(code, next_key, num)

    def _next_key(self, begin: int, rows: Sequence[object]) -> str:
        return f"0000{begin + len(rows)}"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("pages_before", [1, 2, 13])  # 13: more than may bring nothing new
def test_where_the_cursor_is_refused_the_walk_begins_anew_and_nothing_given_changes(
    pages_before: int,
) -> None:
    # A trading day newer than the walk has come meanwhile; its rows have moved by one.
    rows = make_rows("US", 81)
    with Stranger({"US.AAPL": History("US", rows)}) as heir:
        dying = SecondGateway({"US.AAPL": History("US", rows[1:])})
        frame, early = walk_with_a_death_in_it(dying, heir, pages_before)
        assert [query.next_key for query in heir.queries[:3]] == [
            str(5 * pages_before), None, "00005",
        ]  # fmt: skip
    assert days_of(frame) == days(rows[1:])  # complete as of the first page, none twice
    assert [len(part) for part in early] == [5] * pages_before


@pytest.mark.usefixtures("impatient")
def test_a_walk_begun_anew_keeps_the_aggregates_of_its_newest_page() -> None:
    rows = make_rows("HK", 12)
    with Stranger({"HK.1": History("HK", rows, {"aggregatedShort": 2})}) as heir:
        dying = SecondGateway({"HK.1": History("HK", rows, {"aggregatedShort": 1})})
        with FutuShortSource("HK.1", gateway=[dying.url, heir.url], num=5) as src:
            with dying:
                src.read_partition(0)
            assert src.read().attrs["aggregated_short"] == 1
            assert len(src.read()) == 12


def test_a_cursor_of_nobody_known_is_shown_to_all_and_then_refused() -> None:
    known = dict.fromkeys(["US.AAPL", "US.MSFT"], History("US", make_rows("US", 33)))
    with SecondGateway(known) as one, Stranger(known) as two, closing(pool_of(one, two)) as pool:
        with pytest.raises(ReplyError, match="invalid nextKey") as caught:
            pool.daily_short_volume(AAPL, "nobody's", 50)
        assert type(caught.value) is ReplyError
        assert len(one.queries) == len(two.queries) == 1
        # One that a gateway does know may have been kept from an earlier run.
        assert len(pool.daily_short_volume(AAPL, "000030", 50).us_items) == 3


@pytest.mark.usefixtures("impatient")
def test_a_request_that_a_gateway_drops_is_shown_to_another_and_nobody_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hang_up(exchange: Exchange) -> None:
        if exchange.query and exchange.query.code == "US.MSFT":
            exchange.close()
        else:
            obliging(exchange)

    known = dict.fromkeys(["US.AAPL", "US.MSFT"], History("US", make_rows("US", 33)))
    with SecondGateway(known, hang_up) as one, SecondGateway(known) as two:
        with closing(pool_of(one, two)) as pool:
            pool.daily_short_volume(AAPL)
            assert len(pool.daily_short_volume(Security.parse("US.MSFT"), None, 5).us_items) == 5
            pool.daily_short_volume(AAPL)
            two.script = hang_up
            with pytest.raises(GatewayDisconnectedError):
                pool.daily_short_volume(Security.parse("US.MSFT"), None, 5)
        assert [query.code for query in one.queries] == ["US.AAPL", "US.MSFT", "US.AAPL", "US.MSFT"]
    assert warnings_in(caplog, "left out") == []


def test_a_gateway_whose_answers_are_damaged_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def damage(exchange: Exchange) -> None:
        answer = exchange.answer
        exchange.send(answer if exchange.query is None else answer[:-1] + b"?")

    with (
        SecondGateway(serving(6), damage) as broken,
        SecondGateway(serving(6)) as sound,
        FutuShortSource(codes(6), gateway=[broken.url, sound.url]) as src,
    ):
        assert len(src.read()) == 18
    (warning,) = warnings_in(caplog, "is left out")
    assert warning.startswith(broken.url)
    assert "SHA-1" in warning


def test_a_no_of_one_gateway_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    known = {"US.AAPL": History("US", make_rows("US", 33))}
    with SecondGateway(known) as one, SecondGateway(known) as two:
        with closing(pool_of(one, two)) as pool:
            with pytest.raises(UnknownSecurityError):
                pool.daily_short_volume(Security.parse("US.NOPE"))
            key = pool.daily_short_volume(AAPL, None, 5).next_key
            assert len(pool.daily_short_volume(AAPL, key, 5).us_items) == 5
        assert len(one.queries) + len(two.queries) == 3
    assert warnings_in(caplog, "left out") == []


def test_close_in_another_thread_ends_every_wait(nothing_left_behind: None) -> None:
    def mute(exchange: Exchange) -> None:
        if exchange.query is None:
            obliging(exchange)

    errors: list[GatewayDisconnectedError] = []
    with SecondGateway(serving(4), mute) as one, SecondGateway(serving(4), mute) as two:
        urls = [GatewayURL.parse(f"{gateway.url}?limit=1/600") for gateway in (one, two)]
        pool = GatewayPool(urls)

        def ask(code: str) -> None:
            try:
                pool.daily_short_volume(Security.parse(code))
            except GatewayDisconnectedError as error:
                errors.append(error)

        threads = [threading.Thread(target=ask, args=(code,)) for code in codes(4)]
        for thread in threads:
            thread.start()
        one.wait_until(lambda: len(one.queries) == 1)
        two.wait_until(lambda: len(two.queries) == 1)
        pool.close()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert len(errors) == 4
        assert all("closed here" in str(error) for error in errors)


def test_the_key_of_an_argument_is_every_gateways() -> None:
    with pytest.raises(ConfigError, match=r"rsa_key is 'a\.pem', but .* names 'b\.pem'"):
        FutuShortSource("US.A", gateway=["opend://a", "opend://b?rsa_key=b.pem"], rsa_key="a.pem")


def days(rows: Sequence[object]) -> list[object]:
    return [row["timestampStr"] for row in rows if isinstance(row, dict)]


def days_of(frame: pd.DataFrame) -> list[object]:
    return list(frame["timestamp_str"])


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="intake_futu_short")
