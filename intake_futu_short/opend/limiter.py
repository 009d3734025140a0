"""The gateway's limit, kept by construction: N requests in any so many seconds. Pure.

The gateway counts arrivals, which happen some time between sending and answer. So a slot is
taken when a request is sent and is free again one window after its *answer*: whenever in between
the request arrived, no window holds more than N.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

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

    def tightened(self, other: Limit | None) -> Limit:
        """Fewest requests and longest window of the two: whoever keeps it keeps both."""
        if other is None:
            return self
        return Limit(min(self.requests, other.requests), max(self.seconds, other.seconds))


# "Maximum 30 requests per 30 seconds", the call's documentation.
DEFAULT_LIMIT = Limit(30, 30.0)


@dataclass
class Slots:
    """What counts against the limit of one gateway.

    Times are seconds of one clock that only goes forwards.

    Attributes
    ----------
    ends : dict of int to float
        Of each slot, by the mark of who took it, when it ended: at its answer or when it was given
        up. While its request is in flight, that is its deadline.
    closed_at : float
        No slot is free until one window after it.
    fewest, fewest_until : int, float
        The fewest requests that a user named, and until when that holds for the others.
    longest_s, longest_until : float
        The longest window that a user named, likewise.
    """

    ends: dict[int, float] = field(default_factory=dict)
    closed_at: float = -math.inf
    fewest: int = 0
    fewest_until: float = -math.inf
    longest_s: float = 0.0
    longest_until: float = -math.inf

    def heed(self, own: Limit, now: float, timeout: float) -> Limit:
        """Name a limit, and get what holds: the strictest of all that were named lately.

        A name holds as long as a request of its user may count. Naming it before a slot is free
        keeps users of a laxer limit from taking every slot that becomes free.
        """
        if now >= self.fewest_until or own.requests < self.fewest:
            self.fewest, self.fewest_until = own.requests, now
        if now >= self.longest_until or own.seconds > self.longest_s:
            self.longest_s, self.longest_until = own.seconds, now
        until = now + timeout + self.longest_s
        if own.requests == self.fewest:
            self.fewest_until = max(self.fewest_until, until)
        if own.seconds == self.longest_s:
            self.longest_until = max(self.longest_until, until)
        return Limit(self.fewest, self.longest_s)

    def wait(self, limit: Limit, now: float) -> float:
        """Seconds until a slot can be free, 0 when one is; what no longer counts is forgotten."""
        self.ends = {mark: end for mark, end in self.ends.items() if end + limit.seconds > now}
        wait = self.closed_at + limit.seconds - now
        too_many = len(self.ends) - limit.requests
        if too_many >= 0:
            # What is in flight may be answered at any time from now, and is free a window later.
            ends = sorted(min(end, now) for end in self.ends.values())
            wait = max(wait, ends[too_many] + limit.seconds - now)
        return max(wait, 0.0)

    def take(self, mark: int, deadline: float) -> None:
        """Use a slot for a request that is about to be sent, and given up at its deadline."""
        self.ends[mark] = deadline

    def end(self, mark: int, now: float) -> None:
        """Start the slot's window: its answer came, or was given up."""
        # It counts also when it was forgotten: the request did go out.
        self.ends[mark] = now

    def give_back(self, mark: int) -> None:
        """Free a slot whose request was never sent."""
        self.ends.pop(mark, None)

    def close(self, now: float) -> None:
        """Let one window pass: what was asked is not known, or the gateway says too much was."""
        self.closed_at = max(self.closed_at, now)
