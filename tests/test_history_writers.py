"""A refresh beside other writers of the same ticker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import fsspec
import pandas as pd
import pytest
from model_gateway import ModelGateway, as_read
from refreshed_ticker import HOUR_S, NOON, RefreshedTicker, first_days

from intake_futu_short.errors import (
    StoreError,
)
from intake_futu_short.store import FutuShortStore
from intake_futu_short.store import files as store_files
from intake_futu_short.store import paths as store_paths

if TYPE_CHECKING:
    from intake_futu_short.kept import Kept


def published_by_others(ticker: RefreshedTicker, kept: Kept, url: str) -> None:
    """As another process publishes it, which no lock of this one keeps out."""
    file = f"{url}/{store_paths.file_path(ticker.security)}"
    fsspec.filesystem("memory").pipe(file, store_files.encode(ticker.security, kept))


@pytest.mark.parametrize("times", [1, 2])
def test_another_writers_old_prices_do_not_mix_with_ours(times: int) -> None:
    url = f"memory://overtaken{times}"
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh()
    old = replace(ticker.kept, checked_s=NOON - HOUR_S)
    store = FutuShortStore(url)
    ticker.store = store  # type: ignore[assignment]  # the real one from here on
    gateway = ticker.gateway
    gateway.adjust(back=0)

    def meddle() -> None:
        if len(gateway.asked) in range(2, 2 * times + 1, 2):
            published_by_others(ticker, old, url)

    gateway.before_answer = meddle
    ticker.refresh()
    kept = store.load(ticker.security)
    assert kept is not None
    pd.testing.assert_frame_equal(as_read(kept), gateway.frame())
    assert (kept.is_complete, kept.staged) == (True, None)


def test_another_writer_who_does_not_let_up_is_an_error() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("auto", first_days(100))
    old = replace(ticker.kept, checked_s=NOON - HOUR_S)
    store = FutuShortStore("memory://meddled")
    ticker.store = store  # type: ignore[assignment]  # the real one from here on
    ticker.gateway.adjust(back=0)
    ticker.gateway.before_answer = lambda: published_by_others(ticker, old, "memory://meddled")
    with pytest.raises(StoreError, match="let one process at a time"):
        ticker.refresh()
    assert store.load(ticker.security) is not None


def test_a_writer_who_makes_progress_is_waited_for_and_one_who_hangs_is_not() -> None:
    ticker = RefreshedTicker(ModelGateway(330))
    other = RefreshedTicker(ModelGateway(330))
    other.store = ticker.store
    waits = 0

    def hold() -> None:
        """Another writer comes on by two pages while the store's policy ends, three times."""
        nonlocal waits
        waits += 1
        ticker.store.before_lock = lambda: None
        if waits <= 3:
            other.refresh("auto", first_days(100 * waits))
            ticker.store.before_lock = hold
            raise StoreError("held for ten minutes")

    ticker.store.before_lock = hold
    assert ticker.refresh("auto").requests == 2  # the newest page, and the last one
    assert waits == 4
    ticker.assert_fresh()

    def hang() -> None:
        raise StoreError("held for ten minutes")

    ticker.store.before_lock = hang
    with pytest.raises(StoreError, match="held for ten minutes"):
        ticker.refresh()
