"""A source's way to its gateway, from the first question until `close`."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from intake_futu_short.crew import Crew
from intake_futu_short.errors import GatewayDisconnectedError, GatewayError, ReplyError
from intake_futu_short.gateway import SharedSample
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.panel import concerns_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.progress import Progress
    from intake_futu_short.security import Security

__all__ = ["Opening"]

# A gateway's limit lets so many out at once; each waits in a thread.
AT_ONCE = 32

_log = logging.getLogger(__name__)


class Opening:
    """Asks one gateway or several; safe to use from several threads. Making one asks nothing.

    Parameters
    ----------
    gateways : sequence of GatewayURL
        One, or several that share the work.
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
        self, gateways: Sequence[GatewayURL], *, num: int, timeout: float, progress: Progress
    ) -> None:
        self.origin = " or ".join(map(str, gateways))
        self._num = num
        self._progress = progress
        self._crew = Crew(
            AT_ONCE * len(gateways),
            concerns_all=self._concerns_all,
            stop=self._stop,
            tick=progress.show,
        )
        self._resources = ExitStack()
        self._answers = 0
        self._is_closed = False
        self._is_stopped = False
        self._url = gateways[0]
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: GatewayClient | None = None

    def fetch(self, security: Security, next_key: str | None) -> DailyShortVolume.S2C:
        """Ask for one page of a ticker; errors as of `GatewayClient.daily_short_volume`."""
        if self._is_closed or self._is_stopped:
            raise GatewayDisconnectedError(f"{security}: closed here while it was read")
        try:
            answer = self._connect().daily_short_volume(security, next_key, self._num)
        except ReplyError:
            self._answers += 1
            raise
        self._answers += 1
        rows = len(answer.us_items) + len(answer.hk_items)
        _log.debug("%s: %d rows, next_key %r", security, rows, answer.next_key)
        self._progress.page(rows)
        return answer

    def together(self, jobs: Sequence[Callable[[], object]]) -> dict[int, Exception]:
        """Do jobs that ask by `fetch` at the same time; errors by number, as `Crew.run`.

        An interruption (Ctrl-C) ends their requests. What they have fetched stays with them, and
        they can be done again.
        """
        try:
            return self._crew.run(jobs)
        finally:
            self._is_stopped = False

    def close(self) -> None:
        """End the requests under way, and let go of the gateways. For good."""
        with self._lock:
            self._is_closed = True
        self._resources.close()

    def _stop(self) -> None:
        self._is_stopped = True
        if self._client is not None:
            self._client.close()

    def _connect(self) -> GatewayClient:
        # Not before something is asked: what a store alone can answer starts no sample.
        with self._lock:
            if self._is_closed:
                raise GatewayDisconnectedError("closed here while it was read")
            if self._client is None:
                url = self._url
                if url.is_sample:
                    sample = SharedSample(url.rsa_key)
                    self._resources.callback(sample.close)
                    url = replace(GatewayURL.parse(sample.url), limit=None)
                self._client = GatewayClient(
                    url, timeout=self._timeout, on_wait=self._progress.waiting
                )
                self._resources.callback(self._client.close)
            return self._client

    def _concerns_all(self, error: Exception) -> bool:
        # Nothing has been answered at all: that is no matter of one ticker.
        is_mute = not self._answers and isinstance(error, GatewayError)
        return is_mute or concerns_all(error)
