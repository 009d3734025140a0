"""``OpenQuoteContext``: the calls with the signatures of the official client.

Code that was written for the official client only has to change its import.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pandas as pd

from intake_futu_short import arguments, repr_table
from intake_futu_short.calls import (
    SHORT_INTEREST,
    SHORT_SELLING_RANK,
    SHORT_VOLUME,
    Question,
    Ticker,
)
from intake_futu_short.described import described, described_path
from intake_futu_short.errors import ConfigError, FutuShortError
from intake_futu_short.official_names import rank_request, whole_code
from intake_futu_short.opend.address import DEFAULT_PORT, GatewayURL
from intake_futu_short.pages import END
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.security import HK, US, Security

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from os import PathLike
    from types import TracebackType

    from typing_extensions import Self

    from intake_futu_short.calls import Call, Reply, Table

__all__ = ["RET_ERROR", "RET_OK", "OpenQuoteContext"]

RET_OK = 0
RET_ERROR = -1

_SECURITY = "security"
_RANKED = [_SECURITY, *SHORT_SELLING_RANK.table(US).column_names]
# The official client writes this for a missing value in a row of the rank.
_ABSENT = "N/A"


class OpenQuoteContext:
    """Asks a gateway page by page, with the official client's signatures and return values.

    Unlike in the official client, making a context does no I/O and never hangs. If the gateway is
    down, the first call returns an error message within seconds.

    Parameters
    ----------
    host : str
        Host on which OpenD listens.
    port : int
        API port of OpenD.
    is_encrypt : bool, optional
        As in the official client. You need not give it: the connection is encrypted if there is an
        `rsa_key`.
    is_async_connect : bool
        As in the official client. It makes no difference: the context connects when it has to.
    rsa_key : str or path, optional
        File with the RSA private key that OpenD is set to. The connection is then encrypted.

    Raises
    ------
    ConfigError
        When host, port or rsa_key cannot work, or is_encrypt contradicts rsa_key.

    Examples
    --------
    >>> from intake_futu_short import RET_OK, OpenQuoteContext
    >>> from intake_futu_short.gateway import sample_gateway
    >>> with sample_gateway() as gateway:  # in place of OpenD
    ...     ctx = OpenQuoteContext("127.0.0.1", gateway.port)
    ...     ret, us, hk = ctx.get_daily_short_volume("US.AAPL", num=2)
    ...     ctx.close()
    >>> ret == RET_OK
    True
    >>> us[["timestamp_str", "volume"]]
      timestamp_str    volume
    0    2024-10-11  31759188
    1    2024-10-10  28183544
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        is_encrypt: bool | None = None,
        is_async_connect: bool = False,
        *,
        rsa_key: str | PathLike[str] | None = None,
    ) -> None:
        del is_async_connect
        path = arguments.rsa_key(rsa_key)
        if is_encrypt is not None and bool(is_encrypt) != (path is not None):
            named = None if path is None else described_path(path)
            raise ConfigError(
                f"is_encrypt={described(is_encrypt)} contradicts rsa_key={named}: with "
                "rsa_key=PATH a connection is encrypted, and without it plain"
            )
        url = GatewayURL.of(host, port).with_rsa_key(path)
        self._gateways = open_gateways([url], arguments.DEFAULT_TIMEOUT_S)
        self._locks: dict[int, threading.RLock] = {}  # by process

    def __repr__(self) -> str:
        return repr_table.as_text(*self._shown())

    def _repr_html_(self) -> str:
        return repr_table.as_html(*self._shown())

    def _shown(self) -> tuple[str, dict[str, str]]:
        title = f"{type(self).__name__}: asks a gateway page by page"
        if not hasattr(self, "_locks"):
            return title, {"state": repr_table.REFUSED}
        return title, {"gateway": self._gateways.origin}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. A later call makes a new one."""
        if hasattr(self, "_locks"):  # __init__ has succeeded
            self._gateways.stop()
            with self._alone():
                self._gateways.close()

    def get_daily_short_volume(
        self, code: str, next_key: str | None = None, num: int | None = None
    ) -> tuple[int, pd.DataFrame | str, pd.DataFrame | None]:
        """Get one page of daily short volume.

        The gateway's limit is kept: after 30 calls within 30 seconds the next one waits.

        Parameters
        ----------
        code : str
            Such as ``"HK.00700"`` or ``"US.AAPL"``.
        next_key : str, optional
            ``attrs["next_key"]`` of the page before; None for the newest page.
        num : int, optional
            Rows per page, 1 to 50; None leaves it to the gateway (10).

        Returns
        -------
        ret : int
            `RET_OK` (0) or `RET_ERROR` (-1).
        us_df : pandas.DataFrame or str
            US rows, newest first, empty for an HK code; what went wrong when ret is not RET_OK.
            ``attrs["next_key"]`` is ``"-1"`` on the last page.
        hk_df : pandas.DataFrame or None
            HK rows, empty for a US code; None when ret is not RET_OK. ``attrs`` also holds
            ``aggregated_short`` (shares), ``aggregated_short_ratio`` (percent) and
            ``new_time_str``, None where the gateway sent none.
        """
        return self._page(SHORT_VOLUME, code, next_key, num)

    def get_short_interest(
        self, code: str, next_key: str | None = None, num: int | None = None
    ) -> tuple[int, pd.DataFrame | str, pd.DataFrame | None]:
        """Get one page of short interest: reported open short positions.

        The gateway's limit is kept: after 30 calls within 30 seconds the next one waits.

        Parameters
        ----------
        code : str
            Such as ``"HK.00700"`` or ``"US.AAPL"``.
        next_key : str, optional
            ``attrs["next_key"]`` of the page before; None or ``""`` for the newest page.
        num : int, optional
            Rows per page, 1 to 50; None leaves it to the gateway (10).

        Returns
        -------
        ret : int
            `RET_OK` (0) or `RET_ERROR` (-1).
        us_df : pandas.DataFrame or str
            US rows, newest first, empty for an HK code; what went wrong when ret is not RET_OK.
            ``attrs["next_key"]`` is ``"-1"`` on the last page.
        hk_df : pandas.DataFrame or None
            HK rows, with the same attrs, empty for a US code; None when ret is not RET_OK.
        """
        # As in the official client, an empty cursor of this call is none.
        return self._page(SHORT_INTEREST, code, None if next_key == "" else next_key, num)

    def get_short_selling_rank(  # noqa: PLR0917 - the official client's signature
        self,
        market: str | None = None,
        sort_field: str | None = None,
        sort_dir: str | None = None,
        count: int | None = 10,
        offset: int | None = None,
        plate_list: Iterable[str] | None = None,
    ) -> tuple[int, tuple[int, pd.DataFrame] | str]:
        """Get securities of a market in the order of their newest day's short selling.

        The gateway's limit is kept: after 60 calls within 30 seconds the next one waits.

        Parameters
        ----------
        market : {"US", "HK"}, optional
            None leaves it to the gateway (US).
        sort_field : str, optional
            A name of ``ShortSellingSortField`` such as ``"SHORT_RATIO"``; None leaves it to the
            gateway (``"SHORT_NUMBER_CHANGE"``).
        sort_dir : {"DESCENDING", "ASCENDING"}, optional
            None leaves it to the gateway (descending).
        count : int, optional
            Rows, 1 to 35; None leaves it to the gateway (10).
        offset : int, optional
            Number of rows to skip; None skips none.
        plate_list : iterable of str, optional
            List only the securities of these plates of the market, such as ``"US.BK2024"``. None or
            empty lists all.

        Returns
        -------
        ret : int
            `RET_OK` (0) or `RET_ERROR` (-1).
        data : (int, pandas.DataFrame) or str
            The number of securities (0 if the gateway does not give it) and the rows. The first
            column, ``security``, holds codes. A value that the gateway left out is ``"N/A"``. When
            ret is not RET_OK, a text that says what went wrong.
        """
        try:
            body = rank_request(
                market=market,
                sort_field=sort_field,
                sort_dir=sort_dir,
                count=count,
                offset=offset,
                plate_list=plate_list,
            )
            question = Question(
                SHORT_SELLING_RANK, body, f"short-selling rank of {market or US.name}"
            )
            s2c = self._ask(question)
        except FutuShortError as error:
            return RET_ERROR, str(error)
        rows = [_official_row(item) for item in s2c.items]
        return RET_OK, (s2c.all_count, pd.DataFrame(rows, columns=_RANKED))

    def _page(
        self, call: Call, code: object, next_key: str | None, num: object
    ) -> tuple[int, pd.DataFrame | str, pd.DataFrame | None]:
        """Ask for one page of a call, and return its frames as the official client does."""
        try:
            security = Security.parse(code)
            rows = None if num is None else arguments.rows_a_page(num)
            _check_key(next_key)
            s2c = self._ask(Ticker(security, call).question(next_key, rows))
        except FutuShortError as error:
            return RET_ERROR, str(error), None
        us_df, hk_df = (_official_frame(s2c, call.table(market)) for market in (US, HK))
        return RET_OK, us_df, hk_df

    def _ask(self, question: Question) -> Any:
        """Ask one question, and return the content of the answer."""
        with self._alone():
            results, failures = read({"": _answer(question)}, self._gateways)
        for error in failures.values():
            raise error
        return results[""]

    def _alone(self) -> threading.RLock:
        """Lock of the connection. A forked child has its own: its parent may hold this one."""
        return self._locks.setdefault(os.getpid(), threading.RLock())


def _answer(question: Question) -> Generator[Question, Reply, Any]:
    reply = yield question
    if reply.error is not None:
        raise reply.error
    return reply.answer


def _check_key(next_key: object) -> None:
    # Any text can be a cursor, except a lone surrogate, which UTF-8 cannot encode.
    is_text = isinstance(next_key, str) and not any("\ud800" <= c <= "\udfff" for c in next_key)
    if next_key is not None and not is_text:
        raise ConfigError(f"next_key must be that of the page before, not {described(next_key)}")


def _official_frame(s2c: Any, table: Table) -> pd.DataFrame:
    """Frame with the dtypes and attributes that the official client gives.

    The dtypes depend on the values. Whole numbers are int64, but float64 if one of them is missing.
    A column without any value holds None.
    """
    items = getattr(s2c, table.field)
    rows = [{field.name: value for field, value in item.ListFields()} for item in items]
    frame = pd.DataFrame(rows, columns=table.column_names) if not rows else pd.DataFrame(rows)
    for name in table.column_names:
        if name not in frame.columns:
            frame[name] = None
    frame = frame[table.column_names]
    frame.attrs["next_key"] = s2c.next_key if s2c.HasField("next_key") else END
    for name in table.attr_names:
        frame.attrs[name] = getattr(s2c, name) if s2c.HasField(name) else None
    return frame


def _official_row(item: Any) -> dict[str, Any]:
    """Row of the rank, with every column."""
    row: dict[str, Any] = dict.fromkeys(_RANKED, _ABSENT)
    row.update((field.name, value) for field, value in item.ListFields())
    row[_SECURITY] = whole_code(item.security.market, item.security.code)
    return row
