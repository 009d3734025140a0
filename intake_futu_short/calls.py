"""The gateway's calls, each as one description: what is asked for, and what an answer holds. Pure.

Code that walks, stores or frames rows takes a `Table` or a `Ticker` from here and knows no call by
name. A new call is a new description.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from intake_futu_short.opend.address import Limit
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intake_futu_short.security import Market, Security

__all__ = [
    "AGGREGATE_NAMES",
    "CALLS",
    "SHORT_VOLUME",
    "Call",
    "Column",
    "Question",
    "Reply",
    "Table",
    "Ticker",
]

Kind = Literal["timestamp", "day", "count", "price", "number"]


# "Maximum 30 requests per 30 seconds", the documentation of the calls with pages.
_OF_PAGES = Limit(30, 30.0)


@dataclass(frozen=True)
class Column:
    """A column of rows, or a value beside them; the message field has the same name.

    Attributes
    ----------
    name : str
        As in the gateway's documentation.
    kind : {"timestamp", "day", "count", "price", "number"}
        Unix seconds of market-local midnight; a day as ``YYYY-MM-DD``; a count of shares; a price,
        which dividends and splits change afterwards; any other amount, or a percentage.
    """

    name: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """What a call gives for the securities of one market.

    Attributes
    ----------
    call_name : str
        `Call.name` of the call.
    market : Market
        Whose rows.
    field : str
        Field of the answer that holds the rows.
    columns : tuple of Column
        In the order of the documentation.
    attrs : tuple of Column
        What the answer says beside the rows. These values go into a frame's ``attrs``.
    """

    call_name: str
    market: Market
    field: str
    columns: tuple[Column, ...]
    attrs: tuple[Column, ...] = ()

    @cached_property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

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


@dataclass(frozen=True)
class Call:
    """One call of the gateway, whose answers are pages of a security's rows.

    Attributes
    ----------
    name : str
        How the package names it, and the directory of a store that keeps its rows.
    title : str
        How people name it, for messages.
    proto_id : int
        Its number in the header of a frame.
    message_name : str
        Name of the generated message that holds its ``Request`` and ``Response``.
    tables : mapping of str to Table
        By the name of the market.
    limit : Limit
        How often the gateway lets it be asked.
    max_rows : int
        The largest page.
    """

    name: str
    title: str
    proto_id: int
    message_name: str
    tables: Mapping[str, Table] = field(hash=False)
    limit: Limit = _OF_PAGES
    max_rows: int = 50

    @cached_property
    def messages(self) -> Any:
        """The generated message that holds ``Request`` and ``Response``."""
        # The metrics need the columns alone, and protobuf takes a while to load.
        from intake_futu_short.opend import messages_pb2  # noqa: PLC0415 - as said

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
            Rows a page; None leaves it to the gateway (10).
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
        # A pickle names the call; message classes and tables stay where they are.
        return _call, (self.name,)


@dataclass(frozen=True)
class Ticker:
    """What one walk is about: the rows that a call gives for a security.

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
            Rows a page; None leaves it to the gateway (10).
        issuer : object
            As in `Question`.
        """
        page = "newest page" if next_key is None else f"page after {next_key!r}"
        body = self.call.request(self.security, next_key, num)
        return Question(self.call, body, f"{self.security} ({page})", issuer)


@dataclass(frozen=True)
class Question:
    """One request, as a walk hands it to whoever asks the gateway.

    Attributes
    ----------
    call : Call
        What is asked.
    body : bytes
        Of the request.
    text : str
        The same in words, for messages.
    issuer : object
        `Reply.issuer` of the answer that the cursor came with. The question goes to that gateway
        as long as it is there. None lets it go to any.
    """

    call: Call
    body: bytes
    text: str
    issuer: object = None


@dataclass(frozen=True)
class Reply:
    """What came of a question.

    Attributes
    ----------
    answer : message or None
        Content of the answer (its ``s2c``), unless there is an error.
    error : Exception or None
        Why there is no answer.
    issuer : object
        Equal for all answers that came over one connection, and for no others.
    """

    answer: Any = None
    error: Exception | None = None
    issuer: object = None


def _call(name: str) -> Call:
    return CALLS[name]


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
)

CALLS = {call.name: call for call in (SHORT_VOLUME,)}
AGGREGATE_NAMES = tuple(SHORT_VOLUME.table(HK).attr_names)
