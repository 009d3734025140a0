"""The page of a screen: what is in it, and what Chromium makes of it."""

from __future__ import annotations

import datetime as dt
import re
import struct
import subprocess
from collections import Counter
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from browser import chromium
from frames import us
from gateway_peer import PATIENCE_S

from intake_futu_short import sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.report import screen_html
from intake_futu_short.screen_columns import described
from intake_futu_short.security import HK

if TYPE_CHECKING:
    from pathlib import Path

MADE = dt.datetime(2026, 6, 19, 9, 30, tzinfo=dt.timezone(dt.timedelta(hours=8)))
ODD = 'US.<X>&"'
VOID = {"meta", "path", "circle", "br"}


def panel(market: str = "US", rows: int = 100) -> pd.DataFrame:
    """Five tickers: the sample, three made of it, and one that lags behind."""
    whole = sample.frame(f"{market}.SAMPLE")
    days = whole[["timestamp", "timestamp_str"]]
    parts = []
    for i, code in enumerate([f"{market}.SAMPLE", "B", "C", ODD, "LAG"]):
        part = whole.iloc[i * rows : (i + 1) * rows].copy()
        behind = 2 if code == "LAG" else 0
        for name in days:
            part[name] = days[name].iloc[behind : behind + rows].to_numpy()
        parts.append(part.assign(code=code if "." in code else f"{market}.{code}"))
    return pd.concat(parts, ignore_index=True)


class Page(HTMLParser):
    """What a page says, and whether its tags are closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))

    def values(self, name: str) -> list[str | None]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def rows_of(text: str) -> list[str]:
    """Codes in the order of the table's rows."""
    codes = re.findall(r'<th scope="row" class="ticker" data-value="([^"]*)"', text)
    return [code.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for code in codes]


def test_the_page_says_what_it_is_of() -> None:
    page = Page(screen_html(panel(), store="s3://name:secret@bucket/short", made=MADE))
    for words in (
        "Short volume screen, United States",
        "sorted by z-score, 20 sessions (short_ratio_zscore_20), highest first",
        "As of (newest session)2026-06-18",
        "Tickers shown5 of 5",
        "Page made2026-06-19 01:30 UTC",
        "US.SAMPLE synthetic".replace(" ", ""),
        "2 sessions behind",
        "2026-06-16",
        "not short interest",
        "those of Nasdaq and NYSE only",
        "published by FINRA twice a month",
        "mean ± 1 standard deviation of the 20 sessions before",
        "Short ratio, last 60 sessions",
    ):
        assert words in page.text
    assert "secret" not in page.text
    assert "bucket/short" in page.text
    assert page.text.count("synthetic") == page.text.count("Synthetic") == 1
    # A line, a band and a dot a ticker, and those of the legend.
    assert (page.tags["svg"], page.tags["path"], page.tags["circle"]) == (7, 12, 6)


def with_position(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows beside a reported open position that is known at the newest."""
    frame.attrs["aggregates"] = (
        '{"HK.B": {"aggregated_short": 9000000, "aggregated_short_ratio": 0.5, '
        '"new_time_str": "2026-05-29"}}'
    )
    return frame


def test_of_hong_kong_it_says_who_publishes_what() -> None:
    frame = with_position(panel("HK"))
    page = Page(screen_html(frame, made=MADE))
    assert "HKEX publishes the short-selling turnover of each day" in page.text
    assert "Open positions are published by the SFC" in page.text
    assert "FINRA" not in page.text
    assert "Turnover ratio" in page.text
    assert "HKD" in page.text
    # Columns that hold nothing are left out.
    assert "Days to cover" not in Page(screen_html(panel("HK"), made=MADE)).text
    assert "Days to cover, 20 sessions" in page.text


@pytest.mark.parametrize("has_days_in_index", [False, True])
def test_the_heading_counts_the_sessions_there_are(*, has_days_in_index: bool) -> None:
    frame = panel(rows=25)
    if has_days_in_index:
        frame.index = pd.DatetimeIndex(frame["timestamp_str"])
        frame = frame.drop(columns=["timestamp", "timestamp_str"])
    assert "Short ratio, last 27 sessions" in Page(screen_html(frame, made=MADE)).text


@pytest.mark.parametrize("name", ["days_to_cover", "short_volume_surge", "short_ratio_mean"])
def test_columns_of_two_windows_are_told_apart(name: str) -> None:
    few, many = (described(f"{name}_{n}", HK) for n in (5, 20))
    assert "5 sessions" in few.label
    assert few.label != many.label
    assert few.short != many.short


def test_the_page_loads_nothing() -> None:
    text = screen_html(panel(), store="/data/short", made=MADE)
    page = Page(text)
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert not {"link", "img", "iframe", "object", "embed", "use", "image"} & set(page.tags)
    assert page.values("src") == []
    assert page.values("href") == ["#about"]
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in (
        page.values("content")
    )
    assert "width=device-width, initial-scale=1" in page.values("content")


def test_codes_and_errors_are_text() -> None:
    text = screen_html(
        panel(), made=MADE, older={"US.<i>": "2026-01-02"}, failures={"US.<b>": "<script>1"}
    )
    page = Page(text)
    assert ODD in page.text
    assert "<X>" not in text
    assert "US.<i>, newest stored session 2026-01-02" in page.text
    assert "US.<b>: <script>1" in page.text
    assert page.tags["script"] == 1
    assert "1 ticker left out" in page.text
    assert "1 ticker could not be read" in page.text


def test_the_rows_are_in_order_without_the_script() -> None:
    frame = panel()
    expected = frame.shortvol.latest(by="short_ratio")["code"].tolist()
    text = screen_html(frame, "short_ratio", made=MADE)
    # A quote ends an attribute.
    assert [code.replace("&#34;", '"') for code in rows_of(text)] == expected
    assert "button" not in Page(text).tags
    assert (
        'data-kind="number" aria-sort="descending"><span class="label">Short ratio</span>' in text
    )
    reverse = screen_html(frame, "short_ratio", 2, ascending=True, made=MADE)
    assert [code.replace("&#34;", '"') for code in rows_of(reverse)] == expected[::-1][:2]
    assert 'aria-sort="ascending"' in reverse
    assert "Tickers shown2 of 5" in Page(reverse).text


@pytest.mark.parametrize(
    "by", ["code", "date", "timestamp_str", "sessions_behind", "short_value", "short_ratio_mean_3"]
)
def test_it_can_be_sorted_by_anything(by: str) -> None:
    text = screen_html(panel(), by, made=MADE)
    assert Page(text).values("aria-sort") == ["descending"]
    # As many cells as headings, in each of five rows.
    assert text.count("<td") + 5 == 5 * text.count('<th scope="col"')


# The ten documented rows end on the day on which the newest report was known.
@pytest.mark.filterwarnings("ignore:.*reported open positions are NaN everywhere")
def test_one_ticker_and_none() -> None:
    page = Page(screen_html(sample.frame("HK.00700"), "short_ratio", made=MADE))
    assert "HK.00700" in page.text
    assert "no ratio in these sessions" in page.text
    assert (page.tags["svg"], page.tags["circle"]) == (2, 1)
    page = Page(screen_html(panel().iloc[:0], made=MADE))
    assert "no rows" in page.text
    assert "Tickers shown0 of 0" in page.text
    page = Page(screen_html(us([1, 2], [10, 10]), "short_ratio", made=MADE))
    assert "unknown" in page.text
    assert "ynthetic" not in page.text


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="no column 'zscore'"):
        screen_html(panel(), "zscore")
    with pytest.raises(NotShortVolumeError):
        screen_html(pd.DataFrame({"a": [1]}))


def run_chromium(page: Path, width: int, *arguments: str) -> str:
    """Open a page, as large as it is, and give what the browser prints."""
    browser = chromium()
    if browser is None:
        pytest.skip("no Chromium is installed")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--hide-scrollbars", "--enable-logging=stderr",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900",
        *arguments, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=4 * PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    # What the page itself complains of.
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


def with_script(text: str, script: str) -> str:
    return text.replace("</body>", f"<script>{script}</script></body>")


CLICK = """
for (const label of document.querySelectorAll("thead .label")) {
  if (label.textContent !== %r) continue;
  for (let n = 0; n < %d; n++) {
    label.closest("button").focus();
    document.activeElement.click();
  }
}
"""


@pytest.mark.parametrize(
    ("label", "clicks", "order"),
    [("Short ratio", 1, "descending"), ("Short ratio", 2, "ascending"), ("Ticker", 1, "ascending")],
)
def test_in_chromium_a_heading_sorts(tmp_path: Path, label: str, clicks: int, order: str) -> None:
    frame = panel()
    by = "code" if label == "Ticker" else "short_ratio"
    expected = frame.shortvol.latest(by=by, ascending=order == "ascending")["code"].tolist()
    page = tmp_path / "screen.html"
    page.write_text(with_script(screen_html(frame, made=MADE), CLICK % (label, clicks)), "utf-8")
    dom = run_chromium(page, 1200, "--dump-dom")
    assert [code.replace("&quot;", '"') for code in rows_of(dom)] == expected
    assert re.findall(
        '<th [^>]*aria-sort="([a-z]+)"><button type="button"><[^>]*>([^<]*)', dom
    ) == [(order, label)]


def test_in_chromium_missing_values_stay_last(tmp_path: Path) -> None:
    page = tmp_path / "screen.html"
    frame = pd.concat(
        [us([3], [10], code="US.A"), us([1], [0], code="US.NONE"), us([2], [10], code="US.C")]
    )
    text = screen_html(frame, "short_ratio", made=MADE)
    assert rows_of(text) == ["US.A", "US.C", "US.NONE"]
    page.write_text(with_script(text, CLICK % ("Short ratio", 1)), "utf-8")
    assert rows_of(run_chromium(page, 1200, "--dump-dom")) == ["US.C", "US.A", "US.NONE"]


MEASURE = """
const box = document.querySelector(".scroll");
const dot = document.querySelector(".drawn .dot").getBoundingClientRect();
parent.postMessage([
  innerWidth, document.documentElement.scrollWidth,
  box.clientWidth < box.scrollWidth ? "scrolls" : "fits",
  document.querySelector(".hint").hidden ? "untold" : "told",
  dot.right <= innerWidth ? "dot" : "no dot",
].join(" "), "*");
"""
# A window of the browser is never as narrow as a telephone; a frame in it is.
FRAME = """<!DOCTYPE html><html><body>
<script>onmessage = (event) => { document.body.dataset.measured = event.data; };</script>
<iframe src="screen.html" style="width: %dpx; height: 800px; border: 0"></iframe></body></html>
"""


@pytest.mark.parametrize("market", ["US", "HK"])
@pytest.mark.parametrize(
    ("width", "expected"), [(1200, "fits untold dot"), (400, "scrolls told dot")]
)
def test_in_chromium_nothing_overflows(
    tmp_path: Path, market: str, width: int, expected: str
) -> None:
    frame = with_position(panel(market)) if market == "HK" else panel(market)
    text = screen_html(frame, store="s3://bucket/" + "long-name/" * 20, made=MADE)
    (tmp_path / "screen.html").write_text(with_script(text, MEASURE), "utf-8")
    page = tmp_path / "frame.html"
    page.write_text(FRAME % width, "utf-8")
    dom = run_chromium(page, 1300, "--virtual-time-budget=5000", "--dump-dom")
    # On a phone the table alone scrolls, and the newest ratio is seen before it does.
    assert f'data-measured="{width} {width} {expected}"' in dom


@pytest.mark.parametrize("width", [1200, 400])
def test_in_chromium_it_can_be_pictured(tmp_path: Path, width: int) -> None:
    page, picture = tmp_path / "screen.html", tmp_path / "screen.png"
    page.write_text(screen_html(panel(), made=MADE), "utf-8")
    run_chromium(page, width, f"--screenshot={picture}")
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (width, 900)
    # White paper alone would be a tenth of this.
    assert len(content) > 20_000
