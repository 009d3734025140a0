"""A source's way to its gateway, from the first question until `close`."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from intake_futu_short.crew import Crew
from intake_futu_short.errors import (
    ConfigError,
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    RateLimitError,
    ReplyError,
)
from intake_futu_short.gateway import SharedSample
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.opend.pool import GatewayPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.progress import Progress
    from intake_futu_short.security import Security

__all__ = ["Opening"]

# A gateway's limit lets so many out at once; each waits in a thread.
AT_ONCE = 32

_NO_ANSWER = (GatewayTimeoutError, GatewayDisconnectedError)

_log = logging.getLogger(__name__)


class Opening:
    """Asks one gateway or several; safe to use from several threads. Making one asks nothing.

    Parameters
    ----------
    gateways : sequence of GatewayURL
        One, or several that share the work.
    tickers : int
        How many will be asked for.
    num : int
        Rows a page.
    timeout : float
        Seconds to wait for each answer.
    progress : Progress
        Where pages and waits are counted.

    Attributes
    ----------
    origin : str
        Who answers, for messages.
    """

    def __init__(
        self,
        gateways: Sequence[GatewayURL],
        *,
        tickers: int,
        num: int,
        timeout: float,
        progress: Progress,
    ) -> None:
        self.origin = " or ".join(map(str, gateways))
        self._num = num
        self._progress = progress
        self._tickers = tickers
        self._at_once = AT_ONCE * len(gateways)
        self._resources = ExitStack()
        self._is_answered = False
        self._is_closed = False
        self._is_stopped = False
        if gateways[0].is_sample:
            sample = SharedSample(gateways[0].rsa_key)
            self._resources.callback(sample.close)
            gateways = [replace(GatewayURL.parse(sample.url), limit=None)]
        self._gateways = gateways
        self._timeout = timeout
        self._client = self._make_client()

    def fetch(self, security: Security, next_key: str | None) -> DailyShortVolume.S2C:
        """Ask for one page of a ticker; errors as of `GatewayClient.daily_short_volume`."""
        if self._is_closed or self._is_stopped:
            raise GatewayDisconnectedError(f"{security}: closed here while it was read")
        try:
            answer = self._client.daily_short_volume(security, next_key, self._num)
        except ReplyError:
            self._is_answered = True
            raise
        self._is_answered = True
        rows = len(answer.us_items) + len(answer.hk_items)
        _log.debug("%s: %d rows, next_key %r", security, rows, answer.next_key)
        self._progress.page(rows)
        return answer

    def together(self, jobs: Sequence[Callable[[], object]]) -> dict[int, Exception]:
        """Do jobs, one a ticker, at the same time; errors by number, as `Crew.run` gives them.

        An interruption (Ctrl-C) ends their requests. What they have fetched stays with them, and
        they can be done again.
        """
        done_before = self._tickers - len(jobs)
        crew = Crew(
            self._at_once,
            concerns_all=self.concerns_all,
            stop=self._stop,
            tick=lambda done: self._progress.show(done_before + done),
        )
        try:
            return crew.run(jobs)
        finally:
            self._is_stopped = False

    def concerns_all(self, error: Exception) -> bool:
        """Whether an error of one ticker tells of the gateway or this program, hence of all."""
        # Nothing has been answered at all: that is no matter of one ticker.
        is_mute = not self._is_answered and isinstance(error, _NO_ANSWER)
        is_general = isinstance(error, (GatewayUnreachableError, RateLimitError, ConfigError))
        is_ours = not isinstance(error, FutuShortError)
        return self._is_closed or is_mute or is_general or is_ours

    def close(self) -> None:
        """End the requests under way, and let go of the gateways. For good."""
        self._is_closed = True
        self._client.close()
        self._resources.close()

    def after_fork(self) -> None:
        """Begin anew in a child: threads of the parent may have held locks of what it has."""
        self._progress.after_fork()
        self._client = self._make_client()
        self._is_stopped = False

    def _make_client(self) -> GatewayClient | GatewayPool:
        on_wait = self._progress.waiting
        if len(self._gateways) == 1:
            return GatewayClient(self._gateways[0], timeout=self._timeout, on_wait=on_wait)
        return GatewayPool(self._gateways, timeout=self._timeout, on_wait=on_wait)

    def _stop(self) -> None:
        self._is_stopped = True
        self._client.close()
