"""How long a gateway is waited for, how often it is asked, and the pauses in between."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenacity import wait_exponential, wait_random

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity.wait import WaitBaseT

__all__ = ["RetryPolicy"]


@dataclass(frozen=True)
class RetryPolicy:
    """The bounds within which a session tries again.

    Attributes
    ----------
    asks : int
        How often a page is asked for in all, each time with its own slot of the limit.
    reconnect_s : float
        How long a connection that was lost is sought. The first one is not: a gateway that was
        never there is an error at once.
    silence_s : float
        A connection on which nothing came for so long, heartbeats being answered, is given up.
    pause : callable
        Seconds between two tries, from tenacity's state of them.
    sleep : callable
        How a pause is made.
    wall_clock : callable
        Seconds of a clock that goes on while the machine sleeps, which its monotonic one may not.
    """

    asks: int = 3
    reconnect_s: float = 30.0
    silence_s: float = 33.0  # the official client's figure
    # The random part keeps processes that lost the same gateway from coming back together.
    pause: WaitBaseT = wait_exponential(multiplier=0.25, max=4.0) + wait_random(0.0, 0.25)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    wall_clock: Callable[[], float] = time.time
