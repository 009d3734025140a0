"""The Intake driver ``futu_short_rank``: the newest day of a market, sorted."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from intake_futu_short import arguments, schema
from intake_futu_short.calls import SHORT_SELLING_RANK
from intake_futu_short.described import described, kind
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway_source import GatewaySource
from intake_futu_short.rank_requests import SORTS
from intake_futu_short.ranking import RankedParts, Ranking
from intake_futu_short.security import MARKETS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from typing_extensions import Self

    from intake_futu_short.partitions import Job
    from intake_futu_short.progress import Display

__all__ = ["FutuShortRankSource", "is_rank"]

_URL = "rank://US?sort=short_ratio&descending=true&rows=200&plates=US.BK2024,US.BK2025"
_OPTIONS = ("sort", "descending", "rows", "plates")


def is_rank(url: str) -> bool:
    """Whether a watchlist is a rank, not a file."""
    return url.strip().lower().startswith("rank:")


class FutuShortRankSource(GatewaySource[RankedParts]):
    """Tickers of a market, sorted by their short selling on the market's newest day.

    Each request gets 35 rows, and partition *i* begins at row 35 · *i*. `rows` says how many rows
    there are in all. Making a source, entering ``with source:`` and reading an attribute do no
    I/O. `read_partition` asks for the rows of that partition alone. `discover`, `read` and
    `to_dask` ask for all rows, several requests at a time. The source keeps what it has read until
    `close`. The gateway answers this call 60 times in 30 seconds, and counts it apart from its
    other calls.

    It is not known whether the gateway lists the whole market. `rows` may be more than the gateway
    has; ``attrs["all_count"]`` is the number that it gives.

    The list can change between two requests. A ticker that comes twice stays where it came first,
    and a `RankWarning` says how many tickers did. A ticker that moves up, out of a part that is
    still to come into a part that was already read, is missing from the result. This cannot be
    detected.

    Parameters
    ----------
    market : {"US", "HK"}, default "US"
        Market of the tickers.
    sort : str, default "short_ratio"
        ``short_number_change``, ``short_ratio_change``, ``short_number``, ``short_ratio``,
        ``volume``, ``position_volume``, ``position_ratio``, ``days_to_cover``, or one of
        ``week_avg_`` and ``month_avg_`` with ``volume``, ``short_number`` or ``short_ratio``.
    descending : bool, default True
        Whether the highest come first.
    rows : int, default 100
        How many rows to read at most.
    plates : str or iterable of str, optional
        List only the tickers of these plates of the market, such as ``"US.BK2024"``.
    gateway, rsa_key, timeout, metadata
        As of ``intake.open_futu_short``.

    Attributes
    ----------
    dtype : dict of str to str
        Name of each column's dtype; known without I/O.
    npartitions : int or None
        Number of requests; None until an answer says how many there are. It gets smaller if the
        gateway gives fewer rows than it announced.
    shape : tuple of int or None
        Number of rows and columns; None until all rows have been read.

    Raises
    ------
    ConfigError
        For an argument that cannot work, before any I/O.

    Notes
    -----
    Columns are ``code`` and then the gateway's, in which values may be missing: ``name``,
    ``close_price``; ``change_ratio``, ``change_ratio_5d`` and ``change_ratio_10d`` (percent);
    ``volume``, ``short_number`` and ``short_number_change`` (shares); ``short_ratio`` (percent) and
    ``short_ratio_change``; ``short_position_volume`` (shares), ``short_position_ratio`` (percent),
    ``days_to_cover`` (days); and as daily means of a week and of a month
    ``week_avg_short_number``, ``week_avg_short_ratio``, ``month_avg_short_number`` and
    ``month_avg_short_ratio``. Shares are Int64, names text, all else float64.

    ``attrs`` hold ``market``, ``sort``, ``descending``, ``plates``, ``all_count`` (tickers that the
    gateway says there are; None when it does not say), ``asked`` (when it answered, ISO in UTC) and
    ``repeated`` (how many rows came twice and count once). The ``attrs`` of a partition belong to
    its own answer, the ``attrs`` of `read` to the first answer.

    Examples
    --------
    >>> import intake
    >>> src = intake.open_futu_short_rank("HK", gateway="sample://")
    >>> src.read()[["code", "short_ratio", "short_position_volume"]].round(2)
            code  short_ratio  short_position_volume
    0  HK.SAMPLE        11.02               17650300
    1   HK.00700          NaN               51480638
    """

    name = "futu_short_rank"
    call = SHORT_SELLING_RANK

    def __init__(  # noqa: PLR0917 - the public signature, in its documented order
        self,
        market: str = "US",
        sort: str = "short_ratio",
        descending: bool = True,
        rows: int = arguments.DEFAULT_ROWS,
        plates: str | Iterable[str] | None = None,
        gateway: str | Iterable[str] | None = None,
        rsa_key: str | os.PathLike[str] | None = None,
        timeout: float = arguments.DEFAULT_TIMEOUT_S,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        of = MARKETS[arguments.choice("market", market, MARKETS, "US")]
        self._ranking = Ranking(
            of,
            arguments.choice("sort", sort, SORTS, "short_ratio"),
            arguments.flag("descending", descending, default=True),
            arguments.rows(rows),
            tuple(arguments.plates(plates, of) or ()),
        )
        given: dict[str, Any] = {
            "market": self._ranking.market.name,
            "sort": self._ranking.sort,
            "descending": self._ranking.descending,
            "rows": self._ranking.rows,
            "plates": list(self._ranking.plates) or None,
            "gateway": arguments.gateways(gateway),
            "rsa_key": arguments.rsa_key(rsa_key),
            "timeout": arguments.seconds(timeout),
        }
        columns = schema.ranked([], [], self._ranking.table).dtypes
        super().__init__(given, metadata, {str(name): str(kind) for name, kind in columns.items()})

    @classmethod
    def of_url(cls, url: str, **asking: Any) -> Self:
        """Make the source that a watchlist's URL describes.

        Parameters
        ----------
        url : str
            Such as ``"rank://US?sort=short_ratio&descending=true&rows=200&plates=US.BK2024"``; all
            options are optional.
        **asking
            ``gateway``, ``rsa_key`` and ``timeout`` of whoever reads the watchlist.

        Raises
        ------
        ConfigError
            When the URL is not valid; the message says what is accepted.
        """
        options = _options(url)
        try:
            return cls(**options, **asking)
        except ConfigError as error:
            # All options are known ones, so a short URL shows no more than `error` does.
            shown = described(url)
            raise ConfigError(
                f"watchlist {shown if shown == repr(url) else _shown(url)}: {error}"
            ) from error

    def _new_partitions(self) -> RankedParts:
        return RankedParts(self._ranking, self._run, time.time)

    def _partition(self, number: int) -> pd.DataFrame | None:
        with self._alone():
            part = super()._partition(number)
            self.npartitions = self._open().number
            return part

    def _run(self, jobs: Mapping[str, Job]) -> dict[str, Exception]:
        display = self._display
        if display is None:
            return super()._run(jobs)
        # The display counts all requests of the read, those of earlier rounds too.
        self._display = _Further(display, self._open())
        try:
            return super()._run(jobs)
        finally:
            self._display = display

    def _name(self) -> str:
        return str(self._ranking)


class _Further:
    """Shows the progress of a read of several rounds, and counts the earlier rounds too."""

    def __init__(self, display: Display, before: RankedParts) -> None:
        self._display = display
        self._pages, self._rows = len(before.sizes), sum(before.sizes)

    def show(self, tickers: int, pages: int, rows: int, wait_s: float) -> None:
        self._display.show(tickers, self._pages + pages, self._rows + rows, wait_s)

    def close(self) -> None:
        self._display.close()


def _shown(url: str) -> str:
    """URL of a rank for people to read. It hides all but the market: the rest may be secret."""
    match = re.match(r"rank://\w{0,10}(?![^/?#])", url.strip(), re.IGNORECASE)
    if match is None:
        return f"({kind(url)})"
    rest = url.strip()[match.end() :]
    return repr(match[0] + (f"{rest[0]}***" if rest else ""))


def _options(url: str) -> dict[str, Any]:
    """Arguments that a watchlist names."""
    try:
        parts = urlsplit(url.strip())
        market = unquote(parts.netloc)
    except ValueError:  # its message may quote a secret
        market = ""
    if not market or "@" in market or parts.path.strip("/") or parts.fragment:
        raise ConfigError(f"watchlist {_shown(url)} must be a market and options, as in {_URL!r}")
    given: dict[str, Any] = {"market": market}
    for option in parts.query.split("&") if parts.query else []:
        name, _, value = option.partition("=")
        if name not in _OPTIONS or name in given:
            raise ConfigError(
                f"watchlist {_shown(url)} has {'twice' if name in given else 'an unknown option'}"
                f": {described(name)}. There are "
                f"{', '.join(_OPTIONS)}, as in {_URL!r}. The gateway is not part of the URL"
            )
        given[name] = unquote(value)
    if "," in given.get("plates", ""):
        given["plates"] = [plate.strip() for plate in given["plates"].split(",")]
    return given
