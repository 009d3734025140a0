from __future__ import annotations

import pytest

from intake_futu_short import watchlist
from intake_futu_short.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list", "US.AAPL\nHK.00700\n"),
        ("list.txt", "\ufeff# ours\r\n\r\n  US.AAPL  # Apple\r\nHK.00700\r\nUS.AAPL\r\n"),
        ("s3://bucket/list.csv?versionId=1", "name,code\nApple,US.AAPL\n,\nTencent,HK.00700\n"),
        ("LIST.CSV", '"Code", "Name"\n"US.AAPL", "Apple, Inc."\nHK.00700\n\n'),
        ("list.yaml", "# ours\n- US.AAPL\n- HK.00700\n"),
        ("list.yml", "[US.AAPL, 'HK.00700']"),
        ("list.json", '["US.AAPL", "HK.00700"]'),
    ],
)
def test_codes_are_read_once_each_in_their_order(name: str, text: str) -> None:
    assert watchlist.parse(text, name) == ["US.AAPL", "HK.00700"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("list.txt", "US.AAPL\n00700.HK\n", "line 2: .*'HK.00700'"),
        ("list.txt", "US.AAPL, HK.00700\n", "line 1"),
        ("list.txt", "# nothing\n", "holds no codes; expected a code a line"),
        ("list.txt", "", "holds no codes"),
        ("list.csv", "code\nUS.AAPL\nAAPL\n", "line 3: .*prefix is missing"),
        ("list.csv", "name,code\nApple,\n", "line 2"),
        ("list.csv", "ticker\nUS.AAPL\n", r"no column 'code', only \['ticker'\]"),
        ("list.csv", "", r"no column 'code', only \[\]"),
        ("list.yaml", "- US.AAPL\n- 700\n", r"item 2: .*700 \(int\)"),
        ("list.yaml", "codes: [US.AAPL]\n", "no list of codes, but dict"),
        ("list.yaml", "- [US.AAPL\n", "not valid YAML"),
        ("list.json", '["US.AAPL",]', "not valid JSON"),
        ("list.json", "[]", "holds no codes"),
    ],
)
def test_what_holds_no_code_is_named(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        watchlist.parse(text, name)


def test_a_csv_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="line 2: field larger than"):
        watchlist.parse("code\n" + "x" * 200_000 + "\n", "list.csv")
