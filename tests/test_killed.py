"""Readers killed by SIGKILL at random moments: nothing is lost, and the next read is whole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from model_gateway import ModelGateway

from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store import FutuShortStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SECURITY = Security.parse("US.A")
TICKER = Ticker(SECURITY, SHORT_VOLUME)
PATIENCE_S = 30.0
PRICES = ["close_price", "last_close_price"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


class Nursery:
    """Starts readers, and sees to their end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, arguments: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def kill(self, child: int) -> bool:
        """Whether it was still alive."""
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.wait(child)
        return True

    def wait(self, child: int) -> None:
        """Wait until it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.kill(child, 0)
                time.sleep(0.001)
            pytest.fail("the process is still there")


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    errors = tmp_path_factory.mktemp("nursery") / "errors"
    script = Path(__file__).with_name("mortal_reader.py")
    with (
        errors.open("w") as log,
        subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        ) as process,
    ):  # fmt: skip
        yield Nursery(process)
        assert process.stdin is not None
        process.stdin.close()
    assert errors.read_text() == ""


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
    pd.testing.assert_frame_equal(kept.rows[::-1].reset_index(drop=True), model.frame())
