"""The gateway's calls, each as one description: what is asked for, and what an answer holds. Pure.

Code that walks, stores or frames rows takes a `Table` or a `Ticker` from here and knows no call by
name. A new call is a new description.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.address import Limit
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intake_futu_short.security import Market, Security

__all__ = [
    "AGGREGATE_NAMES",
    "CALLS",
    "PUBLISHED",
    "SERIES",
    "SHORT_INTEREST",
    "SHORT_SELLING_RANK",
    "SHORT_VOLUME",
    "Call",
    "Column",
    "Question",
    "Reply",
    "Table",
    "Ticker",
    "series",
]

Kind = Literal["timestamp", "day", "count", "price", "number", "text"]


# Name of the column that frames of reports add to the columns sent. It is computed.
PUBLISHED = "published"

# The documentation of the calls with pages says "Maximum 30 requests per 30 seconds".
_OF_PAGES = Limit(30, 30.0)
# The rank's limit, from the official client's list of limits.
_OF_RANK = Limit(60, 30.0)


@dataclass(frozen=True)
class Column:
    """A column of rows, or a value beside them; the message field has the same name.

    Attributes
    ----------
    name : str
        As in the gateway's documentation.
    kind : {"timestamp", "day", "count", "price", "number", "text"}
        Unix seconds of market-local midnight; a day as ``YYYY-MM-DD``; a count of shares; a price,
        which dividends and splits change afterwards; any other amount, or a percentage; a name.
    """

    name: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """The rows and values that a call returns for securities of one market.

    Attributes
    ----------
    call_name : str
        `Call.name` of the call.
    market : Market
        The market of the securities.
    field : str
        Field of the answer that holds the rows.
    columns : tuple of Column
        In the order of the documentation.
    attrs : tuple of Column
        Values that an answer has beside its rows. They go into a frame's ``attrs``.
    are_reports : bool
        Whether the rows are reports. A report has an as-of date and is published some days later.
        Frames of reports have a last column ``published``, which is estimated and not sent.
    """

    call_name: str
    market: Market
    field: str
    columns: tuple[Column, ...]
    attrs: tuple[Column, ...] = ()
    are_reports: bool = False

    @cached_property
    def column_names(self) -> list[str]:
        """Names of the columns that the gateway sends, in order."""
        return [column.name for column in self.columns]

    @cached_property
    def frame_names(self) -> list[str]:
        """Names of the columns that a frame has, in order."""
        return [*self.column_names, *([PUBLISHED] if self.are_reports else [])]

    @cached_property
    def price_names(self) -> list[str]:
        """Names of the columns that hold prices, in order."""
        return [column.name for column in self.columns if column.kind == "price"]

    @cached_property
    def attr_names(self) -> list[str]:
        """Names of the values beside the rows, in order."""
        return [attr.name for attr in self.attrs]

    def __hash__(self) -> int:
        return hash((self.call_name, self.market.name))


@dataclass(frozen=True, repr=False)
class Call:
    """One call of the gateway.

    A call in `SERIES` returns a security's rows page by page; `request` builds the body for one.

    Attributes
    ----------
    name : str
        Its name in the package, and the name of its directory in a store.
    title : str
        Its name in messages.
    proto_id : int
        Its number in the header of a frame.
    message_name : str
        Name of the generated message that holds its ``Request`` and ``Response``.
    tables : mapping of str to Table
        By the name of the market.
    limit : Limit
        How often the gateway allows it.
    max_rows : int
        The largest page.
    window_rows : int or None
        A whole history of fewer rows than this begins on the security's first day. None where the
        number of rows proves nothing.
    """

    name: str
    title: str
    proto_id: int
    message_name: str
    tables: Mapping[str, Table] = field(hash=False)
    limit: Limit = _OF_PAGES
    max_rows: int = 50
    window_rows: int | None = None

    def __repr__(self) -> str:
        # Columns and all would bury a `History`, and a signature with a call as its default.
        return f"<Call {self.proto_id}, {self.title}>"

    @cached_property
    def messages(self) -> Any:
        """The generated message that holds ``Request`` and ``Response``."""
        # Protobuf is slow to load, and the metrics need only the columns.
        from intake_futu_short.opend import messages_pb2  # noqa: PLC0415 - slow to load

        return getattr(messages_pb2, self.message_name)

    def table(self, market: Market) -> Table:
        """What the call gives for a market."""
        return self.tables[market.name]

    def request(self, security: Security, next_key: str | None, num: int | None) -> bytes:
        """Body of a request for one page.

        Parameters
        ----------
        security : Security
            Whose rows.
        next_key : str or None
            Cursor that came with the page before; None asks for the newest page.
        num : int or None
            Rows per page; None leaves it to the gateway (10).
        """
        request = self.messages.Request()
        request.c2s.security.market = security.market.number
        request.c2s.security.code = security.symbol
        if next_key is not None:
            request.c2s.next_key = next_key
        if num is not None:
            request.c2s.num = num
        body: bytes = request.SerializeToString()
        return body

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        # A pickle holds the name alone, since message classes cannot be pickled.
        return _call, (self.name,)


@dataclass(frozen=True)
class Ticker:
    """A security and a call: together they name the rows that one walk reads.

    Attributes
    ----------
    security : Security
        Whose rows.
    call : Call
        Which rows.
    """

    security: Security
    call: Call

    @property
    def code(self) -> str:
        """The security's code, such as ``"HK.00700"``."""
        return self.security.code

    @property
    def market(self) -> Market:
        """The security's market."""
        return self.security.market

    @property
    def table(self) -> Table:
        """Columns of the rows."""
        return self.call.table(self.security.market)

    def __str__(self) -> str:
        return self.code

    def question(
        self, next_key: str | None, num: int | None = None, issuer: object = None
    ) -> Question:
        """Ask for one page.

        Parameters
        ----------
        next_key : str or None
            Cursor that came with the page before; None asks for the newest page.
        num : int or None
            Rows per page; None leaves it to the gateway (10).
        issuer : object
            As in `Question`.
        """
        page = "newest page" if next_key is None else f"page after {described(next_key)}"
        body = self.call.request(self.security, next_key, num)
        return Question(self.call, body, f"{self.security} ({page})", issuer)


@dataclass(frozen=True)
class Question:
    """One request of a walk, to be sent to a gateway.

    Attributes
    ----------
    call : Call
        What is asked.
    body : bytes
        Body of the request.
    text : str
        The request in words, for messages.
    issuer : object
        `Reply.issuer` of the answer that the cursor came with. The question goes to that gateway
        while it can be reached. None means any gateway.
    """

    call: Call
    body: bytes
    text: str
    issuer: object = None


@dataclass(frozen=True)
class Reply:
    """The answer to a question, or the error in its place.

    Attributes
    ----------
    answer : message or None
        Content of the answer (its ``s2c``), unless there is an error.
    error : Exception or None
        Why there is no answer.
    issuer : object
        Equal for all answers of one connection, and different between connections.
    """

    answer: Any = None
    error: Exception | None = None
    issuer: object = None


def _call(name: str) -> Call:
    return CALLS[name]


def series(what: object) -> Call:
    """Call of a series that a store keeps, by its name.

    Raises
    ------
    ConfigError
        When there is none of that name.
    """
    if not isinstance(what, str) or what not in SERIES:
        raise ConfigError(f"what must be one of {', '.join(SERIES)}, not {described(what)}")
    return SERIES[what]


_SHORT_VOLUME = "short_volume"

SHORT_VOLUME = Call(
    name=_SHORT_VOLUME,
    title="daily short volume",
    proto_id=3248,
    message_name="DailyShortVolume",
    tables={
        US.name: Table(
            _SHORT_VOLUME,
            US,
            "us_items",
            (
                Column("timestamp", "timestamp"),
                Column("timestamp_str", "day"),
                Column("total_shares_short", "count"),
                Column("nasdaq_shares_short", "count"),
                Column("nyse_shares_short", "count"),
                Column("short_percent", "number"),
                Column("volume", "count"),
                Column("close_price", "price"),
                Column("last_close_price", "price"),
                Column("daily_trade_avg_ratio", "number"),
            ),
        ),
        HK.name: Table(
            _SHORT_VOLUME,
            HK,
            "hk_items",
            (
                Column("timestamp", "timestamp"),
                Column("timestamp_str", "day"),
                Column("shares_traded", "count"),
                Column("turnover", "number"),
                Column("short_sell_shares_traded", "count"),
                Column("short_sell_turnover", "number"),
                Column("open_price", "price"),
                Column("close_price", "price"),
                Column("last_close_price", "price"),
                Column("daily_trade_avg_ratio", "number"),
            ),
            # The reported open short position of the security: shares, percent, as-of day.
            (
                Column("aggregated_short", "count"),
                Column("aggregated_short_ratio", "number"),
                Column("new_time_str", "day"),
            ),
        ),
    },
    # The gateway keeps about the last 1,500 sessions.
    window_rows=1_450,
)

_SHORT_INTEREST = "short_interest"

SHORT_INTEREST = Call(
    name=_SHORT_INTEREST,
    title="short interest",
    proto_id=3249,
    message_name="ShortInterest",
    tables={
        US.name: Table(
            _SHORT_INTEREST,
            US,
            "us_items",
            (
                Column("timestamp", "timestamp"),
                Column("timestamp_str", "day"),
                Column("shares_short", "count"),
                Column("short_percent", "number"),
                Column("avg_daily_share_volume", "count"),
                Column("days_to_cover", "number"),
                Column("close_price", "price"),
                Column("last_close_price", "price"),
            ),
            are_reports=True,
        ),
        HK.name: Table(
            _SHORT_INTEREST,
            HK,
            "hk_items",
            (
                Column("timestamp", "timestamp"),
                Column("timestamp_str", "day"),
                Column("aggregated_short", "count"),
                Column("aggregated_short_ratio", "number"),
                Column("close_price", "price"),
                Column("last_close_price", "price"),
            ),
            are_reports=True,
        ),
    },
)

_SHORT_SELLING_RANK = "short_selling_rank"
_RANKED = (
    Column("name", "text"),
    Column("close_price", "price"),
    Column("change_ratio", "number"),
    Column("change_ratio_5d", "number"),
    Column("change_ratio_10d", "number"),
    Column("volume", "count"),
    Column("short_number", "count"),
    Column("short_number_change", "count"),
    Column("short_ratio", "number"),
    Column("short_ratio_change", "number"),
    Column("short_position_volume", "count"),
    Column("short_position_ratio", "number"),
    Column("days_to_cover", "number"),
    Column("week_avg_short_number", "count"),
    Column("week_avg_short_ratio", "number"),
    Column("month_avg_short_number", "count"),
    Column("month_avg_short_ratio", "number"),
)

# Rows are of securities, not of days: `intake_futu_short.ranking` asks for them.
SHORT_SELLING_RANK = Call(
    name=_SHORT_SELLING_RANK,
    title="short-selling rank",
    proto_id=3415,
    message_name="ShortSellingRank",
    tables={
        market.name: Table(_SHORT_SELLING_RANK, market, "items", _RANKED) for market in (US, HK)
    },
    limit=_OF_RANK,
    max_rows=35,
)

# What a store keeps, by name.
SERIES = {call.name: call for call in (SHORT_VOLUME, SHORT_INTEREST)}
CALLS = {**SERIES, SHORT_SELLING_RANK.name: SHORT_SELLING_RANK}
AGGREGATE_NAMES = tuple(SHORT_VOLUME.table(HK).attr_names)
