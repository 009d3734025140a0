"""The one loop: asks gateways in the caller's own thread, many questions at once.

It sends questions as the limit allows, listens, sends heartbeats, repeats questions that a fault
left unanswered, and gives up in time. Only its one `select` waits, for a tick at most, so that
Ctrl-C and `Gateways.stop` always come through.
"""

from __future__ import annotations

import copy
import logging
import os
import selectors
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from intake_futu_short.calls import Reply
from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayUnreachableError,
    RateLimitError,
    ReplyError,
)
from intake_futu_short.opend.line import PATIENCE, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from intake_futu_short.calls import Question
    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.line import Patience

__all__ = ["Asked", "Gateways", "Work"]

TICK_S = 0.25
# If the gateway that issued a cursor was lost, the cursor waits this long for it to come back.
# After that, another gateway is asked.
WAIT_FOR_ISSUER_S = 1.5

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Asked:
    """A question that `Gateways` has taken and not answered yet.

    Attributes
    ----------
    question : Question
        What is asked.
    owner : object
        Who gets the answer.
    """

    question: Question
    owner: Any
    tries: dict[Line, int] = field(default_factory=dict)
    refusals: int = 0
    failed: tuple[Line, GatewayError] | None = None  # the last failure
    not_before: float = 0.0  # on the loop's clock


class Work(Protocol):
    """The source of questions, which also takes the replies."""

    @property
    def is_done(self) -> bool:
        """Whether nothing more has to be asked or waited for."""

    def waiting(self) -> Iterator[Asked | None]:
        """Questions that wait to be sent, the most urgent first.

        The loop takes no more questions than it can send, so work need begin only when its question
        is taken. None lets the loop do other things before it takes the next question.
        """

    def sent(self, asked: Asked) -> None:
        """Note that a question is in flight."""

    def unsent(self, asked: Asked) -> None:
        """Note that a question has to be sent again."""

    def answered(self, asked: Asked, reply: Reply) -> None:
        """Take a reply."""

    def tick(self, wait_s: float) -> None:
        """Show the progress.

        Parameters
        ----------
        wait_s : float
            Seconds until the gateways' limit allows the next question; 0 if it allows one now.
        """


class Gateways:
    """One or more gateways that share the work. The constructor connects to none.

    One thread at a time uses it; any thread may call `stop`.

    Parameters
    ----------
    urls : sequence of GatewayURL
        Where they listen.
    timeout : float
        Seconds to wait for each answer; a connection gets the same, 5 seconds at most.
    serve : callable, optional
        Starts the gateway behind ``sample://``. Takes the URL, and returns the URL at which the
        gateway listens and a function that stops it.
    patience : Patience, optional
        The bounds of trying again.
    clock : callable
        Seconds that never go back.

    Attributes
    ----------
    origin : str
        The gateways, for messages.
    lines : sequence of Line
        Each gateway.
    patience : Patience
        The bounds of trying again.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        urls: Sequence[GatewayURL],
        *,
        timeout: float = 12.0,
        serve: Callable[[GatewayURL], tuple[GatewayURL, Callable[[], None]]] | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = " or ".join(map(str, urls))
        self.patience = patience or PATIENCE
        self.clock = clock
        self.lines = [Line(url, timeout, serve, self.patience, clock) for url in urls]
        self._is_stopped = self._is_running = self._is_closed_within = False
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self.lines)

    def stop(self) -> None:
        """End a run in another thread, which then raises GatewayDisconnectedError.

        Later runs raise it too, until `close`.
        """
        self._is_stopped = True

    def close(self) -> None:
        """Close every connection; the next run connects anew. Within a run, this ends the run."""
        self._leave_to_parent()
        self._is_stopped = False
        self._is_closed_within = self._is_running
        if not self._is_running:
            self._close_lines()

    def _close_lines(self) -> None:
        for line in self.lines:
            line.close()

    def run(self, work: Work) -> None:
        """Ask and listen until the work is done. Connections stay open; an error closes them.

        Raises
        ------
        GatewayDisconnectedError
            When it was stopped.
        RuntimeError
            When this was called during a run.
        Exception
            What `work` raises. If a gateway cannot be reached, `work` learns this as it learns any
            other error: in the reply to a question.
        """
        self._leave_to_parent()
        self.check()
        if self._is_running:
            raise RuntimeError("what is called during a read cannot read from the same source")
        try:
            self._is_running = True
            with selectors.DefaultSelector() as selector:
                _Run(self, work, selector).run()
        except BaseException:
            self._leave_to_parent()
            self._close_lines()
            raise
        finally:
            self._is_running = self._is_closed_within = False
            for line in self.lines:
                line.rest(self.clock())

    def check(self) -> None:
        """Raise when it was stopped."""
        if self._is_stopped or self._is_closed_within:
            raise GatewayDisconnectedError("closed here while it was read")

    def _leave_to_parent(self) -> None:
        """In a forked child, forget the sockets and slots, because they belong to the parent."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._is_stopped = self._is_running = self._is_closed_within = False
            for line in self.lines:
                line.leave_to_parent()


class _Run:
    """One run of the loop."""

    def __init__(self, gateways: Gateways, work: Work, selector: selectors.BaseSelector) -> None:
        self._gateways = gateways
        self._lines = gateways.lines
        self._work = work
        self._selector = selector
        self._patience = gateways.patience
        self._clock = gateways.clock
        self._process = os.getpid()
        self._watched: dict[Line, tuple[Any, int]] = {}
        self._first: Asked | None = None  # the first question that waits, for messages
        self._logged: BaseException | None = None

    def run(self) -> None:
        for line in self._lines:
            line.wake(self._clock())
        while not self._work.is_done:
            self._check()
            wait_s = self._send(self._clock())
            self._work.tick(self._limited_s(self._clock()))
            ready, now = self._listen(wait_s)
            for line in self._lines:
                for asked, outcome in line.advance(now, ready.get(line, 0)):
                    self._take(line, asked, outcome, now)
            self._give_up(now)

    def _check(self) -> None:
        self._gateways.check()
        if self._process != os.getpid():
            raise GatewayDisconnectedError("forked while it was read; the parent reads on")

    # -- sending ------------------------------------------------------------------------------

    def _send(self, now: float) -> float:
        """Send what can be sent, and return the seconds until there may be more to send."""
        wait_s = TICK_S
        self._first = None
        free = [line for line in self._lines if line.is_free(now)]
        for asked in self._work.waiting():
            if asked is None:
                wait_s = 0.0
                break
            self._first = self._first or asked
            if asked.not_before > now:
                wait_s = min(wait_s, asked.not_before - now)
                continue
            self._offer(asked, free, now)
            if not free:
                break
        for line in self._lines:
            if self._first is not None:
                line.connect(self._clock())  # taking questions may have taken its time
            wait_s = min(wait_s, line.wait_s(now))
        return max(wait_s, 0.0)

    def _offer(self, asked: Asked, free: list[Line], now: float) -> None:
        """Send a question over the best free line, and remove lines that are no longer free."""
        if asked.failed is not None and not self._may_ask_again(asked, now):
            # The last gateway that this question could still try has been given up.
            self._give_up_on(asked, *asked.failed)
            return
        while (line := self._best(asked, free, now)) is not None:
            is_sent = line.send(asked, asked.question)
            if not line.is_free(now):
                free.remove(line)
            if is_sent:
                _log.debug("asked %s for %s", line.url, asked.question.text)
                asked.tries[line] = asked.tries.get(line, 0) + 1
                self._work.sent(asked)
                return

    def _best(self, asked: Asked, free: list[Line], now: float) -> Line | None:
        """Which of the free lines to ask now; None when the question has to wait for another."""
        if len(self._lines) > 1:
            home = next((x for x in self._lines if x.issued(asked.question.issuer)), None)
            if home is not None and self._waits_for(home, asked, now):
                return home if home in free else None
        able = [line for line in free if asked.tries.get(line, 0) < self._patience.asks]
        # Prefer the line that failed least often with this question, then the least busy one.
        return min(able, key=lambda x: (asked.tries.get(x, 0), x.in_flight), default=None)

    def _waits_for(self, home: Line, asked: Asked, now: float) -> bool:
        """Whether a cursor is kept for the gateway that issued it."""
        is_lost = home.lost_s is not None and now - home.lost_s >= WAIT_FOR_ISSUER_S
        is_tired = asked.tries.get(home, 0) >= self._patience.asks
        return home.is_trusted and not is_lost and not is_tired

    def _limited_s(self, now: float) -> float:
        """Seconds for which the limit alone keeps questions waiting."""
        if self._first is None or self._first.not_before > now:
            return 0.0
        waits = [line.limited_s(now) for line in self._lines if line.is_up]
        return min(waits) if waits else 0.0

    # -- listening ----------------------------------------------------------------------------

    def _listen(self, wait_s: float) -> tuple[dict[Line, int], float]:
        """Wait for events. Return them by line, and the moment up to which an answer is in time."""
        before = self._clock()
        ready = self._select(wait_s)
        now = self._clock()
        if now - before > wait_s + TICK_S:
            # After a suspended process resumes, `select` may report only the timeout, not events.
            ready = self._select(0.0)
        return ready, now

    def _select(self, wait_s: float) -> dict[Line, int]:
        wanted = {line: wants for line in self._lines if (wants := line.wants()) is not None}
        if wanted != self._watched:
            # Unregister before registering: a new socket may reuse the number of a closed one.
            for line, before in self._watched.items():
                if wanted.get(line) != before:
                    self._selector.unregister(before[0])
            for line, now in wanted.items():
                if self._watched.get(line) != now:
                    self._selector.register(*now, line)
            self._watched = wanted
        if not self._watched:  # Windows cannot select() without a socket
            if wait_s > 0:
                time.sleep(wait_s)
            return {}
        return {key.data: events for key, events in self._selector.select(wait_s)}

    def _take(self, line: Line, asked: Asked, outcome: Any, now: float) -> None:
        """Pass an answer on, or have the question asked again."""
        if not isinstance(outcome, GatewayError):
            _log.debug("%s answered for %s", line.url, asked.question.text)
            self._work.answered(asked, Reply(outcome, None, line.issuer))
            return
        asked.failed = line, outcome
        if isinstance(outcome, RateLimitError) and line.is_limited:
            asked.refusals += 1
            asked.tries[line] -= 1
            if asked.refusals < self._patience.refusals:
                self._work.unsent(asked)
                return
        elif not isinstance(outcome, ReplyError):
            if self._may_ask_again(asked, now):
                self._ask_again(asked, line, outcome, now)
            else:
                self._give_up_on(asked, line, outcome)
            return
        self._work.answered(asked, Reply(None, _named(outcome, asked, line.url), line.issuer))

    def _give_up_on(self, asked: Asked, line: Line, error: GatewayError) -> None:
        """Answer a question with its last error."""
        last = copy.copy(error)
        last.args = (f"asked {sum(asked.tries.values())} times, and at last: {error}",)
        last.__cause__ = error
        self._work.answered(asked, Reply(None, _named(last, asked, line.url), line.issuer))

    def _ask_again(self, asked: Asked, line: Line, error: GatewayError, now: float) -> None:
        tries = sum(asked.tries.values())
        pause_s = self._patience.pause_s(tries)
        asked.not_before = now + pause_s
        # All questions in flight on a lost connection share one error, which warns only once.
        level = logging.INFO if error is self._logged else logging.WARNING
        self._logged = error
        _log.log(
            level, "%s from %s is asked for again in %.1f s (time %d of %d): %s",
            asked.question.text, line.url, pause_s, tries + 1,
            self._patience.asks * len(self._lines), error,
        )  # fmt: skip
        self._work.unsent(asked)

    def _may_ask_again(self, asked: Asked, now: float) -> bool:
        left = [x for x in self._lines if not x.is_given_up(now) and not x.is_left_out]
        # If no gateway is left, `_give_up` answers every question with the same error.
        return not left or any(asked.tries.get(line, 0) < self._patience.asks for line in left)

    # -- giving up ----------------------------------------------------------------------------

    def _give_up(self, now: float) -> None:
        """Answer all questions with an error if no gateway is left; else leave out lost ones."""
        if all(line.is_well for line in self._lines):
            return  # the ordinary case
        if all(line.is_given_up(now) for line in self._lines):
            for asked in self._work.waiting():
                self._check()
                if asked is not None:
                    self._work.answered(asked, Reply(None, self._unreachable(asked)))
        for line in self._lines:
            others_go_on = any(other.is_well for other in self._lines if other is not line)
            for asked, error in line.leave_out(now) if others_go_on else ():
                self._take(line, asked, error, now)

    def _unreachable(self, asked: Asked) -> GatewayError:
        line = self._lines[-1]
        error = line.final_error
        if len(self._lines) == 1:
            return _named(error, asked, line.url)
        names = " and ".join(str(each.url) for each in self._lines)
        mine = GatewayUnreachableError(
            f"{asked.question.text}: none of {names} answers. The last: {error}"
        )
        mine.__cause__ = error
        return mine


def _named(error: GatewayError, asked: Asked, url: GatewayURL) -> GatewayError:
    """A copy of an error with its own traceback, whose text names the question and the gateway."""
    text, origin = asked.question.text, f"{asked.question.text} from {url}"
    own = copy.copy(error)
    if not str(error).startswith(origin):
        own.args = (f"{text if str(url) in str(error) else origin}: {error}",)
    own.__cause__ = error.__cause__
    return own
