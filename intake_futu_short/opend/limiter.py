"""The gateway's limit, kept by construction: N requests in any so many seconds. Pure.

The gateway counts arrivals, which happen some time between sending and answer. So a slot is
taken when a request is sent and is free again one window after its *answer*: whenever in between
the request arrived, no window holds more than N.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from intake_futu_short.errors import ConfigError

__all__ = ["DEFAULT_LIMIT", "Limit", "Slots"]

_FORM = re.compile(r"(\d{1,6})/(\d{1,6}(?:\.\d{1,6})?)")


@dataclass(frozen=True)
class Limit:
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds:g}"

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @classmethod
    def parse(cls, text: str) -> Limit | None:
        """Read ``"N/SECONDS"``; ``"off"`` gives None.

        Raises
        ------
        ConfigError
            For anything else.
        """
        if text == "off":
            return None
        match = _FORM.fullmatch(text)
        if match is None or int(match[1]) == 0 or float(match[2]) == 0:
            raise ConfigError(
                f"limit must be 'N/SECONDS' (30/30: 30 requests in any 30 seconds) or 'off', "
                f"not {text!r}"
            )
        return cls(int(match[1]), float(match[2]))


# "Maximum 30 requests per 30 seconds", the call's documentation.
DEFAULT_LIMIT = Limit(30, 30.0)


class Slots:
    """Counts the requests to one gateway. Times are seconds of any clock that only goes forwards.

    Attributes
    ----------
    limit : Limit or None
        What holds now; None for no limit.
    """

    def __init__(self) -> None:
        self.limit: Limit | None = None
        self._in_flight = 0
        self._answered: deque[float] = deque()

    def tighten(self, limit: Limit | None) -> None:
        """Heed one more user's limit: of several the strictest holds."""
        if limit is not None and (self.limit is None or limit.rate < self.limit.rate):
            self.limit = limit

    def wait(self, now: float) -> float | None:
        """Seconds until a slot can be free: 0 when one is, None when it takes an answer first."""
        if self.limit is None:
            self._answered.clear()
            return 0.0
        while self._answered and self._answered[0] + self.limit.seconds <= now:
            self._answered.popleft()
        if self._in_flight + len(self._answered) < self.limit.requests:
            return 0.0
        if not self._answered:
            return None
        return self._answered[0] + self.limit.seconds - now

    def take(self) -> None:
        """Use a slot for a request that is about to be sent."""
        self._in_flight += 1

    def answered(self, now: float) -> None:
        """Start the slot's window: its answer came, or was given up."""
        self._in_flight -= 1
        self._answered.append(now)
