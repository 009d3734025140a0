"""Readers killed by SIGKILL at random moments: nothing is lost, and the next read is whole."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from model_gateway import ModelGateway
from nursery import Nursery, open_nursery

from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store import FutuShortStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECURITY = Security.parse("US.A")
TICKER = Ticker(SECURITY, SHORT_VOLUME)
PRICES = ["close_price", "last_close_price"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with open_nursery("mortal_reader.py", tmp_path_factory.mktemp("nursery")) as nursery:
        yield nursery


def check(store: FutuShortStore, model: ModelGateway, seen: set[str]) -> set[str]:
    """What is there can be read, has lost no day, and is of one adjustment of the model's."""
    kept = store.load(TICKER)
    if kept is None:
        assert not seen
        return seen
    days = kept.rows["timestamp_str"].tolist()
    assert set(days) >= seen
    truth = model.frame(model.all[::-1]).set_index("timestamp_str").loc[days]
    assert kept.rows["volume"].tolist() == truth["volume"].tolist()
    factors = (kept.rows[PRICES].to_numpy() / truth[PRICES].to_numpy()).ravel()
    # Prices are those of today times one number, which is 1 unless there was an adjustment since.
    factors = factors[np.isfinite(factors)]
    assert len(factors) == 0 or np.ptp(factors) < 1e-6
    return set(days)


# Each seed a store of its own.
@pytest.mark.parametrize(
    ("seed", "kills_at_least"),
    [(1, 3), *(pytest.param(seed, 10, marks=pytest.mark.slow) for seed in range(1, 6))],
)
def test_nothing_is_lost_by_a_kill_at_any_moment(
    tmp_path: Path, nursery: Nursery, seed: int, kills_at_least: int
) -> None:
    chance = random.Random(seed)
    model = ModelGateway(150, window=10_000, num=5, seed=seed)
    histories: dict[str, History] = {}
    store = FutuShortStore(tmp_path)
    seen: set[str] = set()
    with Gateway(histories, latency_s=0.002) as gateway:
        arguments = {
            "code": "US.A", "num": 5, "store": str(tmp_path), "gateway": f"{gateway.url}?limit=off",
        }  # fmt: skip
        kills = 0
        while kills < kills_at_least:
            histories["US.A"] = History(SECURITY, model.rows)
            refresh = chance.choice(["always", "always", "full"])
            writers = chance.choice([1, 2])
            children = [nursery.start({**arguments, "refresh": refresh}) for _ in range(writers)]
            asked = len(gateway.requests)
            # Some at the very beginning, most in mid-walk; those that were done lived.
            for child in children:
                time.sleep(chance.uniform(0, 0.15))
                kills += nursery.kill(child)
            seen = check(store, model, seen)
            assert len(gateway.requests) >= asked
            if chance.random() < 0.4:
                with FutuShortSource(**arguments, refresh="always") as source:  # type: ignore[arg-type]  # a dict of several types
                    frame = source.read()
                frame.attrs = {}
                pd.testing.assert_frame_equal(frame, model.frame())
                seen = check(store, model, seen)
                if chance.random() < 0.7:
                    model.adjust(back=0, factor=0.9)
                model.add(chance.choice([0, 1, 7]))
        histories["US.A"] = History(SECURITY, model.rows)
        with FutuShortSource(**arguments, refresh="always") as source:  # type: ignore[arg-type]  # the same
            frame = source.read()
    frame.attrs = {}
    pd.testing.assert_frame_equal(frame, model.frame())
    # What killed writers left behind was cleaned up.
    files = [file.name for file in tmp_path.rglob("*") if file.is_file()]
    assert sorted(name for name in files if not name.endswith(".lock")) == [
        name for name in files if name.endswith(".parquet")
    ]


def test_two_processes_fetch_a_history_once(tmp_path: Path, nursery: Nursery) -> None:
    model = ModelGateway(100, num=5)
    with Gateway({"US.A": History(SECURITY, model.rows)}, latency_s=0.002) as gateway:
        arguments = {
            "code": "US.A", "num": 5, "store": str(tmp_path), "gateway": f"{gateway.url}?limit=off",
        }  # fmt: skip
        for child in [nursery.start(arguments) for _ in range(3)]:
            nursery.wait(child)
        assert [request.next_key is None for request in gateway.requests] == [True] + [False] * 20
    kept = FutuShortStore(tmp_path).load(TICKER)
    assert kept is not None
    rows = kept.rows[::-1].reset_index(drop=True).drop(columns="first_seen")
    pd.testing.assert_frame_equal(rows, model.frame())
