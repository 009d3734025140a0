"""Each error and warning of the package, brought about by what a user may do or meet."""

from __future__ import annotations

import re
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

import intake
import pandas as pd
import pytest
from rank_gateway import RankGateway, make_rank
from second_gateway import Exchange, SecondGateway, frame, refusal_body, silent_after_the_handshake
from second_rows import History, make_rows

from intake_futu_short import errors, optional, sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SCENES", "told"]

AAPL = "US.AAPL"
HISTORIES = {AAPL: History("US", make_rows("US", 120))}


def told(name: str, folder: Path) -> str:
    """What the error or warning of that name says, with addresses and paths as on the page.

    Parameters
    ----------
    name : str
        Of a class in `intake_futu_short.errors`.
    folder : Path
        An empty directory for a store.
    """
    kind = getattr(errors, name)
    with ExitStack() as opened:
        if issubclass(kind, Warning):
            # Once for a ticker, once for a panel: the first is what a reader sees first.
            caught = opened.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
            SCENES[name](opened, folder)
            text = next(str(one.message) for one in caught if one.category is kind)
        else:
            with pytest.raises(kind) as raised:
                SCENES[name](opened, folder)
            assert type(raised.value) is kind
            text = str(raised.value)
    text = text.replace(str(folder), "/data/short").replace("?limit=30/0.05", "")
    return re.sub(r"(127\.0\.0\.1(?::|, port ))\d+", r"\g<1>11111", text)


def _read(gateway: str, code: object = AAPL, **arguments: object) -> pd.DataFrame:
    with intake.open_futu_short(code, gateway=gateway, **arguments) as source:
        found: pd.DataFrame = source.read()
        return found


def _second(opened: ExitStack, script: Callable[[Exchange], None]) -> str:
    return opened.enter_context(SecondGateway(HISTORIES, script)).url


def _refusing(words: str) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)
        else:
            exchange.send(frame(exchange.proto_id, exchange.serial, refusal_body(words)))

    return script


def _hanging_up(exchange: Exchange) -> None:
    if exchange.query is None:
        exchange.send(exchange.answer)
    else:
        exchange.close()


def _of_another_protocol(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 400 Bad Request\r\n\r\n".ljust(80))


def _looping() -> Callable[[Exchange], None]:
    """Answer every cursor with the first page."""
    pages: list[bytes] = []

    def script(exchange: Exchange) -> None:
        if exchange.query is None or exchange.query.next_key is None:
            pages.append(exchange.answer[44:])
        exchange.send(frame(exchange.proto_id, exchange.serial, pages[-1]))

    return script


def _unreachable(opened: ExitStack, folder: Path) -> None:
    with SecondGateway(HISTORIES) as gone:
        url = gone.url
    _read(url)


def _timeout(opened: ExitStack, folder: Path) -> None:
    _read(_second(opened, silent_after_the_handshake), timeout=0.1)


def _panel(opened: ExitStack, folder: Path) -> None:
    _read("sample://", [AAPL, "US.NOPE"])


def _warned_panel(opened: ExitStack, folder: Path) -> None:
    _read("sample://", [AAPL, "US.NOPE"], errors="warn")


def _never(opened: ExitStack, folder: Path) -> None:
    sync([AAPL], store=folder, gateway="sample://", start="2024-10-01", num=5)
    _read("sample://", store=str(folder), refresh="never", start="2024-09-01")


def _corrupt(opened: ExitStack, folder: Path) -> None:
    sync([AAPL], store=folder, gateway="sample://")
    (path,) = folder.rglob("history.parquet")
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    _read("sample://", store=str(folder), refresh="never")


def _not_short_volume(opened: ExitStack, folder: Path) -> None:
    pd.DataFrame({"price": [1.0]}).shortvol  # noqa: B018 - the access is what is refused


def _position(opened: ExitStack, folder: Path) -> None:
    interest = intake.open_futu_short_interest("US.SAMPLE", gateway="sample://").read()
    rows = _read("sample://", "US.SAMPLE", end="2021-06-30")
    rows.shortvol.days_to_cover(20, positions=interest[interest["timestamp_str"] > "2024-01-01"])


def _rank(opened: ExitStack, folder: Path) -> None:
    gateway = opened.enter_context(RankGateway(make_rank(50), all_count=9000))
    intake.open_futu_short_rank("US", gateway=gateway.url, rows=100).read()


def _unusable(opened: ExitStack, folder: Path) -> None:
    package = optional.Package("matplotlib", "plots need matplotlib", "matplotlib")
    with pytest.raises(ImportError), package:
        raise AttributeError("module 'numpy' has no attribute 'float'")


def _config(opened: ExitStack, folder: Path) -> None:
    intake.open_futu_short("us.aapl")


# Abstract ones, which nothing raises as such but what is below them, are described on the page.
SCENES: dict[str, Callable[[ExitStack, Path], object]] = {
    "ConfigError": _config,
    "GatewayUnreachableError": _unreachable,
    "GatewayDisconnectedError": lambda opened, _: _read(_second(opened, _hanging_up)),
    "GatewayTimeoutError": _timeout,
    "ProtocolError": lambda opened, _: _read(_second(opened, _of_another_protocol)),
    "ReplyError": lambda opened, _: _read(_second(opened, _refusing("NN_ProtoRet_SvrFailed"))),
    "RateLimitError": lambda opened, _: _read(
        _second(
            opened,
            _refusing(
                "Get daily short volume is too frequent, request failed, no more than 30 times "
                "every 30 seconds."
            ),
        )
        + "?limit=30/0.05"
    ),
    "UnknownSecurityError": lambda *_: _read("sample://", "US.NOPE"),
    "QuoteRightError": lambda opened, _: _read(
        _second(opened, _refusing("US OTC market quote is not available for AAPL"))
    ),
    "PaginationError": lambda opened, _: _read(_second(opened, _looping())),
    "PanelError": _panel,
    "StoreError": _never,
    "CorruptStoreError": _corrupt,
    "NotShortVolumeError": _not_short_volume,
    "PanelWarning": _warned_panel,
    "PositionWarning": _position,
    "RankWarning": _rank,
    "UnusablePackageWarning": _unusable,
}
