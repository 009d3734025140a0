"""The call as its documentation has it: ``OpenQuoteContext.get_daily_short_volume``.

For code written against the official client: only the import changes.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pandas as pd

from intake_futu_short import arguments
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.errors import ConfigError, FutuShortError
from intake_futu_short.opend.address import DEFAULT_PORT, GatewayURL
from intake_futu_short.pages import END
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.security import HK, US, Security

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from os import PathLike
    from types import TracebackType

    from typing_extensions import Self

    from intake_futu_short.calls import Question, Reply, Table

__all__ = ["RET_ERROR", "RET_OK", "OpenQuoteContext"]

RET_OK = 0
RET_ERROR = -1


class OpenQuoteContext:
    """Asks a gateway page by page, with the official client's signature and return values.

    Unlike the official client, making one does no I/O and never hangs: a gateway that is down is
    an error message of the first call, within seconds.

    Parameters
    ----------
    host : str
        Where OpenD listens.
    port : int
        Its API port.
    is_encrypt : bool, optional
        As in the official client. Not needed: a connection is encrypted when there is a key.
    is_async_connect : bool
        As in the official client. Makes no difference: a connection is made when it is needed.
    rsa_key : str or path, optional
        File with the RSA private key that OpenD is set to; the connection is then encrypted.

    Raises
    ------
    ConfigError
        When host, port or rsa_key cannot be, or is_encrypt contradicts rsa_key.
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
            raise ConfigError(
                f"is_encrypt={is_encrypt!r} contradicts rsa_key={path!r}: with rsa_key=PATH a "
                "connection is encrypted, and without it plain"
            )
        url = GatewayURL.of(host, port).with_rsa_key(path)
        self._gateways = open_gateways([url], arguments.DEFAULT_TIMEOUT_S)
        self._locks: dict[int, threading.RLock] = {}  # by process

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
        """Let the connection go. A later call makes a new one."""
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
            Rows a page, 1 to 50; None leaves it to the gateway (10).

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
        try:
            security = Security.parse(code)
            rows = None if num is None else arguments.rows_a_page(num)
            _check_key(next_key)
            s2c = self._ask(Ticker(security, SHORT_VOLUME).question(next_key, rows))
        except FutuShortError as error:
            return RET_ERROR, str(error), None
        us, hk = (SHORT_VOLUME.table(market) for market in (US, HK))
        attrs: dict[str, Any] = {"next_key": s2c.next_key if s2c.HasField("next_key") else END}
        us_df = _official_frame(s2c.us_items, us)
        us_df.attrs.update(attrs)
        hk_df = _official_frame(s2c.hk_items, hk)
        for name in hk.attr_names:
            attrs[name] = getattr(s2c, name) if s2c.HasField(name) else None
        hk_df.attrs.update(attrs)
        return RET_OK, us_df, hk_df

    def _ask(self, question: Question) -> Any:
        """Content of the answer to one question."""
        with self._alone():
            results, failures = read({"": _answer(question)}, self._gateways)
        for error in failures.values():
            raise error
        return results[""]

    def _alone(self) -> threading.RLock:
        """Lock of the connection; a forked child, whose parent may hold it, has its own."""
        return self._locks.setdefault(os.getpid(), threading.RLock())


def _answer(question: Question) -> Generator[Question, Reply, Any]:
    reply = yield question
    if reply.error is not None:
        raise reply.error
    return reply.answer


def _check_key(next_key: object) -> None:
    # Any text can be a cursor, but for half a pair of surrogates, which UTF-8 cannot hold.
    is_text = isinstance(next_key, str) and not any("\ud800" <= c <= "\udfff" for c in next_key)
    if next_key is not None and not is_text:
        raise ConfigError(f"next_key must be that of the page before, not {next_key!r}")


def _official_frame(items: Sequence[Any], table: Table) -> pd.DataFrame:
    """Frame with the dtypes that the official client gives.

    They depend on what came: whole numbers are int64, float64 as soon as one is missing, and a
    column that is missing everywhere holds None.
    """
    rows = [{field.name: value for field, value in item.ListFields()} for item in items]
    frame = pd.DataFrame(rows, columns=table.column_names) if not rows else pd.DataFrame(rows)
    for name in table.column_names:
        if name not in frame.columns:
            frame[name] = None
    return frame[table.column_names]
