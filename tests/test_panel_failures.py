"""Panels some of whose tickers fail, and gateways that fail all of them."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from panel_scene import CODES, expected, histories, pages_asked, panel, rows_of
from second_gateway import Exchange, SecondGateway, frame, obliging, refusal_body

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    PanelError,
    PanelWarning,
    QuoteRightError,
    UnknownSecurityError,
)
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def gateway() -> Iterator[SecondGateway]:
    with SecondGateway(histories()) as server:
        yield server


def test_one_unknown_ticker_leaves_the_others_read(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.A", "US.NOPE", "US.B"]) as src:
        with pytest.raises(
            PanelError, match=r"1 of 3 tickers failed: US\.NOPE\. .*Unknown"
        ) as caught:
            src.read()
        assert list(caught.value.failures) == ["US.NOPE"]
        assert isinstance(caught.value.failures["US.NOPE"], UnknownSecurityError)
        assert isinstance(caught.value.__cause__, UnknownSecurityError)
        partial = caught.value.partial
        assert partial is not None
        assert rows_of(partial) == expected(["US.A", "US.B"])
        assert partial.attrs == {"market": "US", "failed": ["US.NOPE"]}
        copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - pickled in this line
        assert list(copy.failures) == ["US.NOPE"]
        # Nothing is asked for twice but what is missing.
        gateway.histories["US.NOPE"] = gateway.histories["US.A"]
        assert len(src.read()) == 7 + 7 + 5
    assert pages_asked(gateway) == {"US.A": 2, "US.NOPE": 3, "US.B": 2}


def test_errors_warn_gives_the_rest_and_names_what_is_left_out(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.A", "US.NOPE", "US.B"], errors="warn") as src:
        with pytest.warns(PanelWarning, match=r"1 of 3 tickers failed: US\.NOPE") as warned:
            frame = src.read()
        assert [w.filename for w in warned] == [__file__]
        assert rows_of(frame) == expected(["US.A", "US.B"])
        assert frame.attrs == {"market": "US", "failed": ["US.NOPE"]}
        assert src.npartitions == 3
        assert src.metadata["failed"] == ["US.NOPE"]
        pd.testing.assert_frame_equal(src.read(), frame)  # said once
        assert src.to_dask().npartitions == 3
    assert pages_asked(gateway)["US.NOPE"] == 1


def test_errors_warn_without_failures_says_that_there_are_none(gateway: SecondGateway) -> None:
    with panel(gateway, errors="warn") as src:
        assert src.read().attrs == {"market": "US", "failed": []}


def test_errors_warn_skips_a_failed_ticker_in_chunks_too(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.NOPE", "US.A"], errors="warn") as src:
        with pytest.warns(PanelWarning, match="US.NOPE"):
            chunks = list(src.read_chunked())
        assert [row for chunk in chunks for row in rows_of(chunk)] == expected(["US.A"])
        assert rows_of(src.read_partition(0)) == expected(["US.A"])[:5]


def test_when_all_fail_there_is_an_empty_frame_or_an_error_that_names_some(
    gateway: SecondGateway,
) -> None:
    codes = [f"US.NOPE{i}" for i in range(7)]
    with panel(gateway, codes) as src:
        with pytest.raises(PanelError, match=r"7 of 7 .*NOPE4 and 2 more\.") as caught:
            src.read()
        assert caught.value.partial is not None
        assert len(caught.value.partial) == 0
        assert list(caught.value.failures) == codes
    with panel(gateway, codes, errors="warn") as src, pytest.warns(PanelWarning):
        frame = src.read()
    assert list(frame.columns) == list(src.dtype)
    assert frame.attrs["failed"] == codes


def test_a_ticker_that_fails_after_its_first_partition_was_given_cannot_be_left_out() -> None:
    def no_right_at_last(exchange: Exchange) -> None:
        query = exchange.query
        if query and query.code == "US.C" and query.next_key == "10":
            exchange.send(refusal(exchange, "No permission"))
        else:
            obliging(exchange)

    with SecondGateway(histories(), no_right_at_last) as gateway:
        with panel(gateway, ["US.C", "US.A"], errors="warn") as src:
            src.read_partition(0)
            with pytest.raises(PanelError) as caught:
                src.read()
            assert isinstance(caught.value.failures["US.C"], QuoteRightError)
            with pytest.raises(PanelError):
                list(src.read_chunked())
        with panel(gateway, ["US.C", "US.A"], errors="warn") as src, pytest.warns(PanelWarning):
            # Never a short history as if it were whole.
            assert rows_of(src.read()) == expected(["US.A"])


def refusal(exchange: Exchange, words: str) -> bytes:
    return frame(exchange.proto_id, exchange.serial, refusal_body(words))


@pytest.mark.parametrize("errors", ["raise", "warn"])
def test_a_gateway_that_is_down_is_one_error_of_its_own(errors: str) -> None:
    codes = [f"US.T{i}" for i in range(2000)]
    with (
        FutuShortSource(codes, gateway="opend://127.0.0.1:1", errors=errors) as src,
        pytest.raises(GatewayUnreachableError, match=r"opend://127\.0\.0\.1:1"),
    ):
        src.read()


def test_a_gateway_that_answers_nothing_is_one_error_of_its_own() -> None:
    with SecondGateway(histories(), lambda _: None) as gateway:
        codes = [f"US.T{i}" for i in range(500)]
        with panel(gateway, codes, timeout=0.2) as src, pytest.raises(GatewayTimeoutError):
            src.read()


def test_a_ticker_at_which_the_gateway_hangs_up_fails_alone(gateway: SecondGateway) -> None:
    def hang_up_at_b(exchange: Exchange) -> None:
        if exchange.query and exchange.query.code == "US.B":
            exchange.close()
        else:
            obliging(exchange)

    with panel(gateway) as src:
        src.read_partition(0)
        gateway.script = hang_up_at_b
        with pytest.raises(PanelError) as caught:
            src.read()
        assert isinstance(caught.value.failures["US.B"], GatewayDisconnectedError)
        gateway.script = obliging
        assert rows_of(src.read()) == expected()


def test_a_connection_that_ends_under_many_requests_is_one_warning(
    gateway: SecondGateway, caplog: pytest.LogCaptureFixture
) -> None:
    def hang_up_at_the_third(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number > 3:
            obliging(exchange)
        elif exchange.number == 3:
            exchange.close()

    caplog.set_level(logging.INFO, "intake_futu_short")
    gateway.script = hang_up_at_the_third
    with panel(gateway) as src:
        assert rows_of(src.read()) == expected()
    said = [record for record in caplog.records if "asked for again" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING", "INFO", "INFO"]
    assert {record.getMessage().split(" ")[0] for record in said} == set(CODES)


def test_a_single_code_raises_its_error_whatever_errors_says(gateway: SecondGateway) -> None:
    with panel(gateway, "US.NOPE", errors="warn") as src, pytest.raises(UnknownSecurityError):
        src.read()
