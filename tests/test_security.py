from __future__ import annotations

import pytest

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import HK, US, Security


@pytest.mark.parametrize(
    ("code", "market", "symbol"),
    [
        ("US.AAPL", US, "AAPL"),
        ("HK.00700", HK, "00700"),
        ("US.BRK.B", US, "BRK.B"),
        ("US..DJI", US, ".DJI"),
        ("US.BC/PA", US, "BC/PA"),
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
        ("AAPL", "The market prefix is missing"),
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
