from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intake_futu_short import (
    RET_ERROR,
    FutuShortCatalog,
    FutuShortSource,
    OpenQuoteContext,
    sync,
)
from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import HK, US, Security

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("code", "market", "symbol"),
    [
        ("US.AAPL", US, "AAPL"),
        ("HK.00700", HK, "00700"),
        ("US.BRK.B", US, "BRK.B"),
        ("US..DJI", US, ".DJI"),
        ("US.BC/PA", US, "BC/PA"),
        ("US..SPX", US, ".SPX"),
        ("US.BRK-B", US, "BRK-B"),
        ("US.JPM_C", US, "JPM_C"),
        ("US.BAC$L", US, "BAC$L"),
        ("US.AAPL240119C150000", US, "AAPL240119C150000"),
        ("HK.800000", HK, "800000"),
        ("HK.BK1910", HK, "BK1910"),
    ],
)
def test_a_code_is_split_at_its_first_dot(code: str, market: object, symbol: str) -> None:
    security = Security.parse(code)
    assert (security.market, security.symbol) == (market, symbol)
    assert security.code == str(security) == code


@pytest.mark.parametrize("code", ["US.{{x}}", "US.\ud800", "HK\x00", "HK:[1]"])
def test_no_code_is_suggested_that_would_be_refused_too(code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Security.parse(code)
    assert "Did you mean" not in str(caught.value)
    str(caught.value).encode()  # it can be printed


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("HK00700", "Did you mean 'HK.00700'?"),
        ("us.aapl", "Did you mean 'US.AAPL'?"),
        (" HK.00700", "Did you mean 'HK.00700'?"),
        ("", "such as 'US.AAPL'"),
        ("US.", "The symbol after 'US.' is missing"),
        ("US:AAPL", "Did you mean 'US.AAPL'?"),
        ("00700.HK", "Did you mean 'HK.00700'?"),
        ("US. aapl", "Did you mean 'US.AAPL'?"),
        ("AAPL", "The market prefix is missing. Did you mean 'US.AAPL'?"),
        ("00700", "The market prefix is missing. Did you mean 'HK.00700'?"),
        ("700", "Did you mean 'HK.00700'?"),
        ("NASDAQ:AAPL", "Did you mean 'US.AAPL'?"),
        ("HKEX:700", "Did you mean 'HK.00700'?"),
        ("NYSE:BRK.B", "Did you mean 'US.BRK.B'?"),
        ("BATS:CBOE", "Did you mean 'US.CBOE'?"),
        ("BRK.B", "The market prefix is missing. Did you mean 'US.BRK.B'?"),
        ("US.BRK B", "Did you mean 'US.BRK.B'?"),
        ('"US.AAPL"', "Did you mean 'US.AAPL'?"),
        ('="HK.00700"', "Did you mean 'HK.00700'?"),
        ("'HK.00700", "Did you mean 'HK.00700'?"),
        ("- US.AAPL", "Did you mean 'US.AAPL'?"),
        ("US.AAPL,", "Did you mean 'US.AAPL'?"),
        ("US.AAPL\u200b", "Did you mean 'US.AAPL'?"),
        ("\ufeffUS.AAPL", "Did you mean 'US.AAPL'?"),
        ("US.AAPL\u3001US.MSFT", "Several codes are a list"),
        ("\u817e\u8baf HK.00700", "Did you mean 'HK.00700'?"),
        ("HK.\u817e\u8baf", "'HK.\u817e\u8baf' is not a code"),
        ("HK.700", "Did you mean 'HK.00700'?"),
        ("HK.0700", "Did you mean 'HK.00700'?"),
        ("HK. 700", "Did you mean 'HK.00700'?"),
        ("HK .00700", "Did you mean 'HK.00700'?"),
        ("HK700", "Did you mean 'HK.00700'?"),
        ("HK:0700", "Did you mean 'HK.00700'?"),
        ("0700.HK", "Did you mean 'HK.00700'?"),
        ("9988.hk", "Did you mean 'HK.09988'?"),
        ("HK.00700.", "Did you mean 'HK.00700'?"),
        ("HK.\uff10\uff10\uff17\uff10\uff10", "Did you mean 'HK.00700'?"),
        ("HK\uff0e00700", "Did you mean 'HK.00700'?"),
        ("HK.\u0660\u0660\u0667\u0660\u0660", "Did you mean 'HK.00700'?"),
        ("US.aapl", "Did you mean 'US.AAPL'?"),
        ("US.Brk.b", "Did you mean 'US.BRK.B'?"),
        ("HK.00700 Tencent", "Did you mean 'HK.00700'?"),
        ("HK.00700\tTencent", "Did you mean 'HK.00700'?"),
        ("HK.00700\u00a0Tencent", "Did you mean 'HK.00700'?"),
        ("HK.00700\u3000\u817e\u8baf", "Did you mean 'HK.00700'?"),
        ("HK.700 Tencent", "Did you mean 'HK.00700'?"),
        ("0700.HK Tencent", "Did you mean 'HK.00700'?"),
        ("HK.00700;Tencent", "Did you mean 'HK.00700'?"),
        ("HK.00700|Tencent", "Did you mean 'HK.00700'?"),
        ("HK.00700(Tencent)", "Did you mean 'HK.00700'?"),
        ("0700.HK(Tencent)", "Did you mean 'HK.00700'?"),
        ("HK.00700\uff1a\u817e\u8baf", "Did you mean 'HK.00700'?"),
        ("HK.00700\u817e\u8baf", "Did you mean 'HK.00700'?"),
        ("US.AAPL;US.MSFT", "Several codes are a list"),
        ("HK 00700", "Did you mean 'HK.00700'?"),
        ("US AAPL", "Did you mean 'US.AAPL'?"),
        ("1. US.AAPL", "Did you mean 'US.AAPL'?"),
        ("\u2022 US.AAPL", "Did you mean 'US.AAPL'?"),
        ("HK", "The symbol after 'HK.' is missing"),
        ("US.AAPL Apple Inc.", "Did you mean 'US.AAPL'?"),
        ("HK.00700 US.AAPL", "Several codes are a list"),
        ("SH.600000", "markets US and HK only"),
        ("US.AA PL", "such as 'US.AAPL'"),
        ("US.{{env(HOME)}}", "such as 'US.AAPL'"),
        ("US.AAPL,US.MSFT", "Several codes are a list: ['US.AAPL', 'US.MSFT']"),
        (700, "700 (int)"),
        (None, "None (NoneType)"),
        (b"HK.00700", "bytes"),
    ],
)
def test_what_is_no_code_is_refused_with_the_accepted_form(code: object, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Security.parse(code)
    assert says in str(caught.value)
    assert "'HK.00700'" in str(caught.value)


@pytest.mark.parametrize(
    "code", ["US.A" * 20_000, "[" * 100_000, ["US.A"] * 20_000, [[[[[["x"]]]]]]]
)
def test_no_message_is_as_long_as_what_was_passed(code: object) -> None:
    with pytest.raises(ConfigError) as caught:
        Security.parse([code] if isinstance(code, str) and "." in code else code)
    assert len(str(caught.value)) < 1000


def test_what_a_store_or_a_gateway_has_is_split_however_it_is_spelled() -> None:
    assert Security.known("US.BACpL").code == "US.BACpL"
    assert Security.known("HK.700").symbol == "700"
    for code in ("us.AAPL", "SH.600000", "US.{x}", "US."):
        with pytest.raises(ConfigError):
            Security.known(code)


@pytest.mark.parametrize("code", ["HK.700", "0700.HK", "US.aapl", "HK.00700 Tencent"])
def test_no_request_is_made_for_what_is_no_code(code: str, tmp_path: Path) -> None:
    nowhere = "opend://127.0.0.1:9"
    with pytest.raises(ConfigError):
        FutuShortSource(code, gateway=nowhere)
    with pytest.raises(ConfigError):
        FutuShortSource([code], gateway=nowhere)
    with pytest.raises(ConfigError):
        FutuShortCatalog(codes=[code], gateway=nowhere)
    with pytest.raises(ConfigError):
        sync([code], tmp_path, nowhere)
    with OpenQuoteContext(port=9) as context:
        ret, words, _ = context.get_daily_short_volume(code)
    assert ret == RET_ERROR
    assert "Did you mean" in str(words)


@pytest.mark.parametrize(
    ("market", "day", "timestamp"),
    [
        # Rows of the gateway: the US ones real, in summer and winter time, the HK one documented.
        (US, "2026-06-18", 1781755200),
        (US, "2024-12-16", 1734325200),
        (HK, "2026-05-08", 1778169600),
    ],
)
def test_trading_days_begin_at_midnight_of_the_market(
    market: object, day: str, timestamp: int
) -> None:
    assert isinstance(market, type(US))
    assert market.midnight(day) == timestamp
    assert market.day(timestamp) == day
    assert market.day(timestamp + 86_399) == day
    assert market.day(timestamp - 1) < day


def test_columns_are_those_of_the_documentation() -> None:
    assert SHORT_VOLUME.table(US).column_names == [
        "timestamp", "timestamp_str", "total_shares_short", "nasdaq_shares_short",
        "nyse_shares_short", "short_percent", "volume", "close_price", "last_close_price",
        "daily_trade_avg_ratio",
    ]  # fmt: skip
    assert SHORT_VOLUME.table(HK).column_names == [
        "timestamp", "timestamp_str", "shares_traded", "turnover", "short_sell_shares_traded",
        "short_sell_turnover", "open_price", "close_price", "last_close_price",
        "daily_trade_avg_ratio",
    ]  # fmt: skip
