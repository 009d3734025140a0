"""The calls as their documentation has them. That their frames equal the official client's is
tested against the official client itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from second_gateway import SHORT_SELLING_RANK, SecondGateway
from second_rank import make_ranked
from second_rows import DAILY_SHORT_VOLUME, SHORT_INTEREST, History, make_rows

from intake_futu_short import RET_ERROR, RET_OK, ConfigError, OpenQuoteContext
from intake_futu_short.calls import SHORT_INTEREST as INTEREST_CALL
from intake_futu_short.gateway import Gateway, sample_histories

if TYPE_CHECKING:
    from collections.abc import Iterator

# The example of the documentation, but for its import and its port.
EXAMPLE = """
quote_ctx = OpenQuoteContext(host='127.0.0.1', port=PORT)

ret, us_df, hk_df = quote_ctx.get_daily_short_volume("HK.00700")
if ret == RET_OK:
    print(hk_df)
else:
    print('error:', hk_df)
quote_ctx.close()
"""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample_histories()) as server:
        yield server


def test_the_documented_example_prints_the_documented_rows(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"OpenQuoteContext": OpenQuoteContext, "RET_OK": RET_OK, "PORT": gateway.port}
    exec(EXAMPLE, names)  # noqa: S102 - the text above
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["0", "1778169600", "2026-05-08", "...", "477.4", "11.36"]
    assert printed[-1] == "[10 rows x 10 columns]"


def test_both_frames_come_and_the_other_markets_is_empty(gateway: Gateway) -> None:
    with OpenQuoteContext(gateway.host, gateway.port) as context:
        ret, us_df, hk_df = context.get_daily_short_volume("US.AAPL")
        assert ret == RET_OK == 0
        assert isinstance(us_df, pd.DataFrame)
        assert isinstance(hk_df, pd.DataFrame)
        assert us_df.shape == (10, 10)  # the gateway's own page size
        assert hk_df.shape == (0, 10)
        assert list(hk_df.columns)[2] == "shares_traded"
        assert us_df["volume"].dtype == "int64"
        assert set(us_df.attrs) == {"next_key"}
        assert hk_df.attrs["aggregated_short"] is None


def test_paging_by_hand_gives_every_row_once(gateway: Gateway) -> None:
    days: list[str] = []
    with OpenQuoteContext(gateway.host, gateway.port) as context:
        next_key = None
        while next_key != "-1":
            _, us_df, _ = context.get_daily_short_volume("US.AAPL", next_key=next_key, num=7)
            assert isinstance(us_df, pd.DataFrame)
            next_key = us_df.attrs["next_key"]
            days += us_df["timestamp_str"].tolist()
    assert len(days) == len(set(days)) == 29
    assert (days[0], days[-1]) == ("2024-10-11", "2024-09-03")


class AnyText(SecondGateway):
    """A gateway whose cursors begin with text that nobody could print or type."""

    MARK = "\x00\n\u200b\ue000 \U0001f600"

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        return super().page(code, next_key and next_key.removeprefix(self.MARK), num)

    def _next_key(self, *args: Any) -> str:
        return self.MARK + super()._next_key(*args)


def test_any_text_can_be_a_cursor() -> None:
    with (
        AnyText({"HK.00700": History("HK", make_rows("HK", 12))}) as server,
        OpenQuoteContext("127.0.0.1", server.port) as context,
    ):
        _, _, newest = context.get_daily_short_volume("HK.00700")
        assert newest is not None
        assert newest.attrs["next_key"] == AnyText.MARK + "10"
        ret, _, older = context.get_daily_short_volume("HK.00700", newest.attrs["next_key"])
    assert ret == RET_OK
    assert older is not None
    assert len(older) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("HK00700",), "Did you mean 'HK.00700'?"),
        ((700,), "code must be a string"),
        (("US.NOPE",), "Unknown stock. NOPE"),
        (("US.AAPL", None, 51), "num must be a whole number, 1 to 50"),
        (("US.AAPL", "no cursor"), "invalid nextKey"),
        (("US.AAPL", 123), "next_key must be that of the page before, not 123"),
        (("US.AAPL", "\ud800"), "next_key must be"),
    ],
)
def test_what_goes_wrong_is_a_message_and_no_exception(
    gateway: Gateway, arguments: tuple[object, ...], says: str
) -> None:
    with OpenQuoteContext(gateway.host, gateway.port) as context:
        ret, message, nothing = context.get_daily_short_volume(*arguments)  # type: ignore[arg-type]  # that is the test
    assert ret == RET_ERROR == -1
    assert isinstance(message, str)
    assert says in message
    assert nothing is None


def test_a_gateway_that_is_down_is_a_message_and_comes_back(gateway: Gateway) -> None:
    port = gateway.port
    gateway.close()
    with OpenQuoteContext("127.0.0.1", port) as context:
        ret, message, _ = context.get_daily_short_volume("HK.00700")
        assert ret == RET_ERROR
        assert "no gateway answers at opend://127.0.0.1" in str(message)
        with Gateway(sample_histories(), port=port):
            assert context.get_daily_short_volume("HK.00700")[0] == RET_OK


def test_the_official_clients_further_arguments_are_taken(gateway: Gateway) -> None:
    with OpenQuoteContext(gateway.host, gateway.port, False, is_async_connect=True) as context:
        assert context.get_daily_short_volume("HK.00700")[0] == RET_OK
    with pytest.raises(ConfigError, match="contradicts rsa_key"):
        OpenQuoteContext(is_encrypt=True)


def test_hosts_and_ports_that_cannot_be_are_refused_at_once() -> None:
    for host, port in (("", 11111), ("a b", 11111), ("127.0.0.1", 0), ("127.0.0.1", True)):
        with pytest.raises(ConfigError):
            OpenQuoteContext(host, port)


def test_the_three_calls_have_three_limits() -> None:
    with (
        SecondGateway(
            {"US.T": History("US", make_rows("US", 3))},
            short_interest={"US.T": make_rows("US", 3, call=SHORT_INTEREST)},
            rank={"US": make_ranked("US", 3)},
            limits={
                DAILY_SHORT_VOLUME: (30, 30.0),
                SHORT_INTEREST: (30, 30.0),
                SHORT_SELLING_RANK: (60, 30.0),
            },
        ) as server,
        OpenQuoteContext(port=server.port) as context,
    ):
        for _ in range(30):
            assert context.get_daily_short_volume("US.T")[0] == RET_OK
            assert context.get_short_interest("US.T")[0] == RET_OK
        for _ in range(60):
            assert context.get_short_selling_rank()[0] == RET_OK
    assert len(server.queries) == len(server.rank_queries) == 60
    # None of them waited for a window of 30 s to pass.
    assert server.rank_queries[-1].arrived - server.queries[0].arrived < 30.0


def test_documented_short_interest_of_our_own_gateway() -> None:
    rows = sample_histories(INTEREST_CALL)
    with (
        Gateway({}, short_interest=rows) as server,
        OpenQuoteContext(port=server.port) as context,
    ):
        ret, us_df, hk_df = context.get_short_interest("HK.00700", num=3)
        assert ret == RET_OK
        assert isinstance(us_df, pd.DataFrame)
        assert hk_df is not None
        older = context.get_short_interest("HK.00700", hk_df.attrs["next_key"], 50)[2]
    assert us_df.empty
    assert older is not None
    assert hk_df["timestamp_str"].tolist() == ["2026-04-30", "2026-04-24", "2026-04-17"]
    assert hk_df["aggregated_short"].tolist()[0] == 51480638
    assert older.attrs["next_key"] == "-1"
    assert len(hk_df) + len(older) == 10


def test_the_empty_cursor_is_none_for_short_interest_only() -> None:
    with (
        SecondGateway(
            {"US.T": History("US", make_rows("US", 3))},
            short_interest={"US.T": make_rows("US", 3, call=SHORT_INTEREST)},
        ) as server,
        OpenQuoteContext(port=server.port) as context,
    ):
        assert context.get_short_interest("US.T", "")[0] == RET_OK
        context.get_daily_short_volume("US.T", "")
    assert [query.next_key for query in server.queries] == [None, ""]
