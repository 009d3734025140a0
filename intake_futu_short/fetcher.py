"""A source's way to its gateway, from the first question until `close`."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from intake_futu_short import arguments
from intake_futu_short.errors import (
    ConfigError,
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    RateLimitError,
    ReplyError,
)
from intake_futu_short.gateway.shared_sample import SharedSample
from intake_futu_short.jobs import run_jobs
from intake_futu_short.opend.address import DEFAULT_URL, ENVIRONMENT_VARIABLE, GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.opend.pool import GatewayPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.progress import Progress
    from intake_futu_short.security import Security

__all__ = ["Fetcher", "gateway_urls"]

# A gateway's limit lets so many out at once; each waits in a thread.
AT_ONCE = 32

_NO_ANSWER = (GatewayTimeoutError, GatewayDisconnectedError)

_log = logging.getLogger(__name__)


class Fetcher:
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
        self._gateways = gateways
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: GatewayClient | GatewayPool | None = None

    def fetch(self, security: Security, next_key: str | None) -> DailyShortVolume.S2C:
        """Ask for one page of a ticker; errors as of `GatewayClient.daily_short_volume`."""
        if self._is_closed or self._is_stopped:
            raise GatewayDisconnectedError(f"{security}: closed here while it was read")
        try:
            answer = self._connect().daily_short_volume(security, next_key, self._num)
        except ReplyError:
            self._is_answered = True
            raise
        self._is_answered = True
        rows = len(answer.us_items) + len(answer.hk_items)
        _log.debug("%s: %d rows, next_key %r", security, rows, answer.next_key)
        self._progress.page(rows)
        return answer

    def together(self, jobs: Sequence[Callable[[], object]]) -> dict[int, Exception]:
        """Do jobs, one a ticker, at the same time; errors by number, as `run_jobs` gives them.

        An interruption (Ctrl-C) ends their requests. What they have fetched stays with them, and
        they can be done again.
        """
        done_before = self._tickers - len(jobs)
        try:
            return run_jobs(
                jobs,
                self._at_once,
                concerns_all=self.concerns_all,
                stop=self._stop,
                tick=lambda done: self._progress.show(done_before + done),
            )
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
        with self._lock:
            self._is_closed = True
        self._resources.close()

    def after_fork(self) -> None:
        """Begin anew in a child: threads of the parent may have held locks of what it has."""
        self._progress.after_fork()
        self._lock = threading.Lock()
        # What these held is the parent's.
        self._resources = ExitStack()
        self._client = None
        self._is_stopped = False

    def _stop(self) -> None:
        self._is_stopped = True
        if self._client is not None:
            self._client.close()

    def _connect(self) -> GatewayClient | GatewayPool:
        # Not before something is asked: what a store alone can answer starts no sample.
        with self._lock:
            if self._is_closed:
                raise GatewayDisconnectedError("closed here while it was read")
            if self._client is None:
                self._client = self._make_client()
                self._resources.callback(self._client.close)
            return self._client

    def _make_client(self) -> GatewayClient | GatewayPool:
        timeout, on_wait = self._timeout, self._progress.waiting
        if len(self._gateways) > 1:
            return GatewayPool(self._gateways, timeout=timeout, on_wait=on_wait)
        url = self._gateways[0]
        return GatewayClient(
            self._of_sample(url) if url.is_sample else url, timeout=timeout, on_wait=on_wait
        )

    def _of_sample(self, url: GatewayURL) -> GatewayURL:
        sample = SharedSample(url.rsa_key)
        self._resources.callback(sample.close)
        return sample.address


def gateway_urls(given: str | list[str] | None) -> list[GatewayURL]:
    """The gateways meant, once the environment and the default have had their say."""
    if given is None:
        try:
            given = arguments.gateways(os.environ.get(ENVIRONMENT_VARIABLE))
        except ConfigError as error:
            raise ConfigError(f"${ENVIRONMENT_VARIABLE}: {error}") from error
    given = given or DEFAULT_URL
    return [GatewayURL.parse(url) for url in ([given] if isinstance(given, str) else given)]
