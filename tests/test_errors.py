from __future__ import annotations

import copy
import pickle

import pandas as pd
import pytest

from intake_futu_short import errors
from intake_futu_short.errors import (
    FutuShortError,
    PanelError,
    QuoteRightError,
    RateLimitError,
    ReplyError,
    UnknownSecurityError,
)

# The tree, by hand: name → its parents.
TREE: dict[str, tuple[str, ...]] = {
    "FutuShortError": ("Exception",),
    "ConfigError": ("FutuShortError", "ValueError"),
    "GatewayError": ("FutuShortError",),
    "GatewayUnreachableError": ("GatewayError", "ConnectionError"),
    "GatewayDisconnectedError": ("GatewayError", "ConnectionError"),
    "GatewayTimeoutError": ("GatewayError", "TimeoutError"),
    "ProtocolError": ("GatewayError",),
    "ReplyError": ("GatewayError",),
    "RateLimitError": ("ReplyError",),
    "UnknownSecurityError": ("ReplyError", "LookupError"),
    "QuoteRightError": ("ReplyError", "PermissionError"),
    "PaginationError": ("FutuShortError",),
    "PanelError": ("FutuShortError",),
    "StoreError": ("FutuShortError", "OSError"),
    "CorruptStoreError": ("StoreError",),
    "NotShortVolumeError": ("FutuShortError", "AttributeError"),
}
REPLIES = [ReplyError, RateLimitError, UnknownSecurityError, QuoteRightError]
PLAIN = [
    name
    for name in TREE
    if name != "PanelError" and name not in {kind.__name__ for kind in REPLIES}
]


def kind_of(name: str) -> type[FutuShortError]:
    kind: type[FutuShortError] = getattr(errors, name)
    assert issubclass(kind, FutuShortError)
    return kind


def test_the_tree_is_as_promised_and_drawn() -> None:
    assert sorted(errors.__all__) == sorted(
        [*TREE, "PanelWarning", "PositionWarning", "RankWarning", "UnusablePackageWarning"]
    )
    for name, parents in TREE.items():
        assert tuple(parent.__name__ for parent in kind_of(name).__bases__) == parents
        builtin = f" ({parents[1]})" if len(parents) > 1 else ""
        assert f"{name}{builtin}\n" in str(errors.__doc__)


@pytest.mark.parametrize("name", PLAIN)
def test_an_error_survives_pickling_and_copying(name: str) -> None:
    error = kind_of(name)("what was asked, what came back, what to do")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert type(twin) is type(error)
        assert str(twin) == "what was asked, what came back, what to do"


@pytest.mark.parametrize("kind", REPLIES)
def test_a_reply_s_words_and_numbers_survive(kind: type[ReplyError]) -> None:
    error = kind("all of it", ret_type=-1, err_code=7, message="未知股票 BBKCF")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert type(twin) is kind
        assert str(twin) == "all of it"
        assert (twin.ret_type, twin.err_code, twin.message) == (-1, 7, "未知股票 BBKCF")


def test_a_panel_s_failures_and_rows_survive() -> None:
    failed = UnknownSecurityError("no", ret_type=-1, err_code=0, message="Unknown stock. SQ")
    error = PanelError("1 of 2 failed", {"US.SQ": failed}, pd.DataFrame({"volume": [1]}))
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert str(twin) == "1 of 2 failed"
        assert type(twin.failures["US.SQ"]) is UnknownSecurityError
        assert twin.failures["US.SQ"].message == "Unknown stock. SQ"
        assert twin.partial is not None
        assert twin.partial["volume"].tolist() == [1]
    assert PanelError("all failed", {"US.SQ": failed}).partial is None


def test_a_message_about_many_names_a_few_and_the_first_error() -> None:
    few: dict[str, Exception] = {"US.SQ": FutuShortError("it is not there. Does it exist?")}
    assert PanelError.summary(few, 3) == (
        "1 of 3 tickers failed: US.SQ. The first error: it is not there. Does it exist?"
    )
    many: dict[str, Exception] = {f"US.A{i}": FutuShortError("no.") for i in range(12_700)}
    assert PanelError.summary(many, 12_700) == (
        "12700 of 12700 tickers failed: US.A0, US.A1, US.A2, US.A3, US.A4 and 12695 more. "
        "The first error: no."
    )
