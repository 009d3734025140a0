from __future__ import annotations

import traceback

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
        ("list.csv", "code\tname\nUS.AAPL\tApple, Inc.\nHK.00700\t\n"),
        ("list.csv", '"name" ; "code"\n"Apple; Inc" ; US.AAPL\nx ; HK.00700\n'),
        ("list.csv", "code|name\nUS.AAPL|Apple\nHK.00700|\n"),
        ("list.tsv", "code\tname\nUS.AAPL\tApple\nHK.00700\t\n"),
        ("list.csv", 'code,name\rUS.AAPL,"Apple\nInc"\rHK.00700,"a\r\nb"\r'),
        ("list.csv", "sep=;\r\ncode;name\r\nUS.AAPL;Apple\r\nHK.00700;\r\n"),
        ("list.csv", '\ufeff"sep=\t"\ncode\tname\nUS.AAPL\tApple\nHK.00700\t\n'),
        ("list.csv", "SEP=,\ncode,\nUS.AAPL,\nHK.00700,\n"),
        ("list.csv", "\n# ours, since 2024\r\n\rcode,name\nUS.AAPL,\n# more\nHK.00700,x\n"),
        ("list.csv#part", "code\nUS.AAPL\nHK.00700\n"),
        ("my#list.csv", "code\nUS.AAPL\nHK.00700\n"),
        ("zip://codes.csv::list.zip", "code\nUS.AAPL\nHK.00700\n"),
        ("zip://codes.yaml::https://h.example/list.zip?sig=1", "- US.AAPL\n- HK.00700\n"),
        ("zip://codes.json::list.zip", '["US.AAPL", "HK.00700"]'),
        ("zip://codes::list.csv.zip", "US.AAPL\nHK.00700\n"),
        ("filecache::zip://codes.csv::list.zip", "code\nUS.AAPL\nHK.00700\n"),
        ("simplecache::list.csv", "code\nUS.AAPL\nHK.00700\n"),
        ("-", "code,name\nUS.AAPL,Apple\nHK.00700,Tencent\n"),
        ("list.txt", "# mine\nname;Code\nApple;US.AAPL\nTencent;HK.00700\n"),
        ("list", '"name"\t"code"\nApple\tUS.AAPL\nTencent\tHK.00700\n'),
        ("list", "code\nUS.AAPL\nHK.00700\n"),
    ],
)
def test_codes_are_read_once_each_in_their_order(name: str, text: str) -> None:
    assert watchlist.parse(text, name) == ["US.AAPL", "HK.00700"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("list.txt", "US.AAPL\n00700.HK\n", "line 2: .*'HK.00700'"),
        ("list.txt", "US.AAPL, HK.00700\n", "line 1"),
        ("list.txt", "# nothing\n", "holds no codes; expected one code per line"),
        ("list.txt", "", "holds no codes"),
        ("list.csv", "code\nUS.AAPL\nAAPL\n", "line 3: .*prefix is missing"),
        ("list.csv", "name,code\nApple,\n", "line 2"),
        ("list.csv", "ticker\nUS.AAPL\n", r"no column 'code', only \['ticker'\]"),
        ("list.csv", "", r"no column 'code', only \[\]"),
        ("list.csv", "sep=;\n\nname;code\nx;US.AAPL\nx;AAPL\n", "line 5: "),
        ("list.csv", "code,Code\nUS.AAPL,US.MSFT\n", "2 columns 'code'"),
        ("list.csv", 'code,name\nUS.AAPL,"Apple\nUS.MSFT,x\n', "line 4: a quote is not closed"),
        ("list.txt", "US.AAPL,\n", r"line 1: .*mean 'US.AAPL'\?$"),
        ("list.txt", "HKEX:700,NASDAQ:AAPL\n", "a list.* In a watchlist each has a line"),
        ("list.txt", "Tencent HK.00700\n", r"mean 'HK.00700'\?.* A name stands behind a #"),
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


# What Python's splitlines(), and partly YAML, ends a line at.
NO_ENDS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("char", NO_ENDS, ids=ascii)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "na{0}me,code\nApple{0}Inc,US.AAPL\nTencent,HK.00700\n"),
        ("list.csv", 'code,name\nUS.AAPL,"Apple{0}US.MSFT"\nHK.00700,\n'),
        ("list", "US.AAPL # Apple{0}US.MSFT\nHK.00700\n"),
        ("list.yaml", "- US.AAPL # Apple{0}- US.MSFT\n- HK.00700\n"),
        ("list.json", '["US.AAPL",\n"HK.00700"]'),
    ],
)
def test_lines_end_at_cr_and_lf_only(name: str, text: str, char: str) -> None:
    assert watchlist.parse(text.format(char), name) == ["US.AAPL", "HK.00700"]


@pytest.mark.parametrize("char", NO_ENDS, ids=ascii)
def test_what_ends_no_line_parts_no_codes(char: str) -> None:
    with pytest.raises(ConfigError, match="line 1: "):
        watchlist.parse(f"US.AAPL{char}HK.00700\n", "list")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"], ids=ascii)
@pytest.mark.parametrize("name", ["list", "list.csv"])
def test_lines_are_counted_by_their_ends(name: str, end: str) -> None:
    with pytest.raises(ConfigError, match="line 3: "):
        watchlist.parse(f"code{end}US.AAPL{end}AAPL{end}"[4 * (name == "list") :], name)


@pytest.mark.parametrize("suffix", ["txt", "csv", "yaml", "json"])
@pytest.mark.parametrize(
    ("encoding", "words", "says"),
    [
        ("utf-16", "\u817e\u8baf", "in UTF-16: save it as UTF-8"),
        ("utf-16-le", "\u817e\u8baf", "in UTF-16"),
        ("utf-16-be", "Tencent", "in UTF-16"),
        ("utf-32", "\u817e\u8baf", "in UTF-32"),
        ("utf-32-le", "Tencent", "in UTF-32"),
        ("gbk", "\u817e\u8baf\u63a7\u80a1", "in GBK"),
        ("big5", "\u9a30\u8a0a\u63a7\u80a1", "Big5"),
        ("cp1252", "Soci\u00e9t\u00e9", "in Windows-1252"),
    ],
)
def test_another_encoding_is_named(encoding: str, words: str, says: str, suffix: str) -> None:
    text = {
        "csv": f"code,name\nHK.00700,{words}\n",
        "json": f'["HK.00700", "{words}"]',
        "yaml": f"- HK.00700 # {words}\n",
        "txt": f"HK.00700 # {words}\n",
    }[suffix]
    with pytest.raises(ConfigError, match=f"list.{suffix} is not text in UTF-8.*{says}"):
        watchlist.decoded(text.encode(encoding), f"list.{suffix}")


def test_a_mark_before_the_text_is_no_part_of_it() -> None:
    assert watchlist.decoded("US.AAPL".encode("utf-8-sig"), "list") == "US.AAPL"
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        watchlist.decoded(b"US.AAPL\x00", "list")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("list.json", "[" * n + "]" * n) for n in (900, 100_000)],
        ("list.json", "[" * 100_000),
        ("list.json", '{"a":' * 100_000),
        *[("list.yaml", "[" * n + "]" * n) for n in (50, 3000)],
        ("list.yaml", "{a: " * 3000),
        ("list.yaml", "- " * 3000 + "x"),
        ("list.yaml", "? " * 3000),
        ("list.yaml", "- &a [x, x]\n- &b [*a, *a]\n- &c [*b, *b]\n"),
        ("list.yaml", "&a [*a]"),
    ],
)
def test_what_is_nested_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        watchlist.parse(text, name)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list", "HK.00700 Tencent\n"),
        ("list", "HK.00700\tTencent\n"),
        ("list.csv", "code\nHK.00700 Tencent\n"),
        ("list.yaml", "- HK.00700 Tencent\n"),
        ("list.json", '["HK.00700 Tencent"]'),
    ],
)
def test_a_name_beside_a_code_gets_a_hint(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"mean 'HK.00700'\?.* A name stands behind a #"):
        watchlist.parse(text, name)


PRIVATE = "bXk3Jq0mQvTnWk3JxS8dY1uRr5fGh2LpOaXc"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list", f"{PRIVATE}\n"),
        ("list.csv", f"{PRIVATE}\n"),
        ("list.csv", f"KEY={PRIVATE},x\n1,2\n"),
        ("list.csv", f"code\n{PRIVATE}\n"),
        ("list.yaml", f"{PRIVATE}: [a\n"),
        ("list.yaml", f"- *{PRIVATE}\n"),
        ("list.yaml", f"- !{PRIVATE} x\n"),
        ("list.yaml", f"- {PRIVATE}\n"),
        ("list.json", f"{PRIVATE}\n"),
        ("list.json", f'["{PRIVATE}"]'),
    ],
)
def test_what_is_no_watchlist_is_not_shown(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        watchlist.parse(text, name)
    assert PRIVATE[-16:] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("begins", "named"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00", "Excel workbook or a zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel workbook or a zip file"),
        (b"\x1f\x8b\x08\x00", "a file of gzip: unpack it first"),
    ],
)
def test_a_file_that_is_no_text_is_named(begins: bytes, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        watchlist.decoded(begins + b"\xe3\xe3", "list.csv")


def test_columns_that_are_named_are_read_whatever_the_file_is_called() -> None:
    assert watchlist.parse("name\tcode\nApple\tUS.AAPL\n", "-") == ["US.AAPL"]
    assert watchlist.parse("# code, of mine\nUS.AAPL\n", "list.txt") == ["US.AAPL"]


def test_a_csv_without_names_of_columns_says_so() -> None:
    with pytest.raises(ConfigError, match=r"only \['US\.AAPL'.*first line has to name the columns"):
        watchlist.parse("US.AAPL,Apple\n", "list.csv")


def test_a_csv_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="line 2: field larger than"):
        watchlist.parse("code\n" + "x" * 200_000 + "\n", "list.csv")
