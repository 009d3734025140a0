"""``futu-short doctor --record FILE``: asks a live gateway fixed questions, and writes the answers.

Each question is asked once, and counts against the limit like any other request. A refusal is an
answer here. `record_questions` has the questions, and `record_notes` turns answers into entries.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake_futu_short import __version__, arguments, calendars
from intake_futu_short.calls import SHORT_SELLING_RANK, Question
from intake_futu_short.cli import record_notes, record_questions
from intake_futu_short.errors import ConfigError, GatewayUnreachableError
from intake_futu_short.opend.ask import Asked
from intake_futu_short.opend.line import PATIENCE
from intake_futu_short.reading import gateway_urls, open_gateways
from intake_futu_short.security import HK, MARKETS, US, Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from intake_futu_short.calls import Reply
    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.ask import Gateways

__all__ = ["WHAT_NEXT", "make", "new_file"]

WHAT_NEXT = (
    "Read it: it holds market data, the gateway's texts, the shapes of its cursors and times, and "
    "should hold no account, host or key. Then share it in an issue of this project, if you like."
)
# After this many questions in a row without any answer, the rest is not asked.
MOST_UNANSWERED = 2
FORMAT = 1

# No retries: the record shows faults, and the number of requests stays as promised.
_PATIENCE = dataclasses.replace(PATIENCE, asks=1, refusals=1, reconnect_s=5.0)


def make(
    write: Callable[[str], None],
    say: Callable[[str], None],
    *,
    gateway: str | None,
    code: str,
    rsa_key: str | None,
    now: dt.datetime,
) -> None:
    """Ask every question and write the record.

    Parameters
    ----------
    write : callable
        Takes the content of the file.
    say : callable
        Takes lines for the user.
    gateway, rsa_key : str or None
        As those of a source.
    code : str
        The ticker to ask for, instead of the usual one of its market.
    now : datetime
        The moment, in any time zone.

    Raises
    ------
    ConfigError
        When an argument cannot work.
    GatewayError
        When no question was answered. Then nothing is written.
    """
    # The steps of doctor, which ran before, have refused several gateways.
    url = gateway_urls(arguments.gateways(gateway))[0].with_rsa_key(arguments.rsa_key(rsa_key))
    usual = [Security.parse(each) for each in (*record_questions.CODES, code)]
    of_market = {each.market.name: each for each in usual}
    items = record_questions.items(of_market[US.name], of_market[HK.name])
    say(f"\nAsks {len(items)} questions, a request each, within the gateway's limit.")
    asking = _Asking(url, items)
    notes = []
    for note in asking.notes():
        notes.append(note)
        took = f" ({note['ms']} ms)" if "ms" in note else ""
        say(f"{len(notes):>2}/{len(items)} {note['asked']}: {record_notes.summary(note)}{took}")
    if asking.error is not None and asking.answered == 0:
        raise asking.error
    record = {
        "record": FORMAT,
        "package": __version__,
        "asked_utc": f"{now.astimezone(dt.timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "server_version": asking.server_version,
        "calendar": _calendar(now),
        "requests": asking.requests,
        "answers": notes,
    }
    write(f"{_text(record)}\n")


@contextlib.contextmanager
def new_file(path: str, *, overwrites: bool = False) -> Iterator[Callable[[str], None]]:
    """Check that a file can be written, and return a function that writes all of it or nothing.

    Parameters
    ----------
    path : str
        The file.
    overwrites : bool
        Whether an existing file is replaced.

    Raises
    ------
    ConfigError
        When the file exists, or cannot be made.
    """
    file = Path(path).absolute()
    if file.is_dir():
        raise ConfigError(f"{path} is a directory: name a file to write the record to")
    if file.exists() and not overwrites:
        raise ConfigError(f"{path} is there already: name another file, or give --force")
    waiting = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        waiting.touch()
    except OSError as error:
        raise ConfigError(f"no record can be written to {path}: {error}") from error

    def write(content: str) -> None:
        waiting.write_text(content, encoding="ascii", newline="\n")
        waiting.replace(file)

    try:
        yield write
    finally:
        waiting.unlink(missing_ok=True)


# -- asking -----------------------------------------------------------------------------------


class _Asking:
    """Asks one question after the other.

    Attributes
    ----------
    requests : int
        Requests sent.
    answered : int
        Requests that the gateway answered, refusals included.
    error : Exception or None
        Of the last request without an answer.
    server_version : int or None
        As the gateway stated it.
    """

    def __init__(self, url: GatewayURL, items: Sequence[record_questions.Item]) -> None:
        self.requests = self.answered = 0
        self.error: Exception | None = None
        self.server_version: int | None = None
        self._url = url
        self._items = items
        self._secrets = [] if url.is_sample else [url.host, str(url.port), url.rsa_key or ""]

    def notes(self) -> Iterator[dict[str, Any]]:
        """The entry of each question, as soon as it is known."""
        gateways = open_gateways([self._url], arguments.DEFAULT_TIMEOUT_S, _PATIENCE)
        answers: list[Any] = []
        unanswered = 0
        try:
            for item in self._items:
                question = {"asked": item.title, "call": item.call.proto_id}
                body = None if unanswered >= MOST_UNANSWERED else item.body(answers)
                if body is None:
                    answers.append(None)
                    why = (
                        "the gateway stopped answering"
                        if unanswered >= MOST_UNANSWERED
                        else "needs a cursor that did not come"
                    )
                    yield question | {"came": "not asked", "text": why}
                    continue
                once = _Once(Question(item.call, body, item.title))
                # One run for each: a run counts a single call.
                gateways.run(once)
                note = self._taken(item, once, gateways)
                answers.append(once.reply.answer if note["came"] == "answer" else None)
                unanswered = unanswered + 1 if note["came"] == "nothing" else 0
                if isinstance(self.error, GatewayUnreachableError):
                    unanswered = MOST_UNANSWERED
                yield question | note
        finally:
            gateways.close()

    def _taken(
        self, item: record_questions.Item, once: _Once, gateways: Gateways
    ) -> dict[str, Any]:
        self.server_version = gateways.lines[0].server_version or self.server_version
        reply = once.reply
        took: dict[str, Any] = {}
        if once.took_s is not None:
            self.requests += 1
            took = {"ms": round(1000 * once.took_s)}
        if reply.error is not None:
            note = record_notes.error_note(reply.error, self._secrets)
            if note["came"] == "nothing":
                self.error = reply.error
            else:
                self.answered += 1
            return took | note
        self.answered += 1
        noted = (
            record_notes.rank_note if item.call is SHORT_SELLING_RANK else record_notes.page_note
        )
        return took | {"came": "answer"} | noted(reply.answer, item.call.table(item.market))


class _Once:
    """The work of `Gateways.run`: one question, and how long its answer took."""

    def __init__(self, question: Question) -> None:
        self._asked = Asked(question, self)
        self._is_waiting = True
        self._reply: Reply | None = None
        self._sent_s: float | None = None
        self.took_s: float | None = None

    @property
    def reply(self) -> Reply:
        assert self._reply is not None  # noqa: S101 - asked when it is done
        return self._reply

    @property
    def is_done(self) -> bool:
        return self._reply is not None

    def waiting(self) -> Iterator[Asked | None]:
        if self._is_waiting:
            yield self._asked

    def sent(self, _asked: Asked) -> None:
        self._is_waiting = False
        self._sent_s = time.monotonic()

    def unsent(self, _asked: Asked) -> None:
        self._is_waiting = True

    def answered(self, _asked: Asked, reply: Reply) -> None:
        self._is_waiting = False
        self._reply = reply
        if self._sent_s is not None:
            self.took_s = time.monotonic() - self._sent_s

    def tick(self, wait_s: float) -> None:
        pass


# -- the file ---------------------------------------------------------------------------------


def _calendar(now: dt.datetime) -> dict[str, Any]:
    """What the gateway could have at that moment, by our own rules."""
    return {
        market.name: {
            "newest_session": calendars.newest_session(market, now).isoformat(),
            "newest_report": calendars.newest_report(market, now).as_of.isoformat(),
        }
        for market in MARKETS.values()
    }


def _text(value: Any, indent: str = "") -> str:
    """JSON in ASCII, indented by two; innermost lists and objects take one line."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(part, (dict, list)) for part in parts):
        return json.dumps(value, allow_nan=False)
    inner = f"{indent}  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(name)}: {_text(v, inner)}" for name, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{inner}{_text(v, inner)}" for v in value) + f"\n{indent}]"
