"""Many tickers brought up to date together, over real sockets and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from model_gateway import ModelGateway

import intake_futu_short
from intake_futu_short import FutuShortStore, sync
from intake_futu_short.errors import (
    ConfigError,
    GatewayUnreachableError,
    PanelError,
    PanelWarning,
)
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from pathlib import Path


def served(**models: ModelGateway) -> dict[str, History]:
    codes = {name.replace("_", "."): model for name, model in models.items()}
    return {code: History(Security.parse(code), model.rows) for code, model in codes.items()}


def unlimited(gateway: Gateway) -> str:
    return f"{gateway.url}?limit=off"


def test_a_row_a_ticker_says_what_was_done(tmp_path: Path) -> None:
    us, hk = ModelGateway(120), ModelGateway(60, "HK")
    histories = served(US_A=us, HK_1=hk)
    with Gateway(histories) as gateway:
        first = sync(["HK.1", "US.A", "HK.1"], tmp_path, unlimited(gateway))
        assert first.drop(columns="error").to_dict("list") == {
            "code": ["HK.1", "US.A"], "rows": [60, 120], "new_rows": [60, 120],
            "requests": [2, 3], "revised": [0, 0], "complete": [True, True],
        }  # fmt: skip
        assert first["error"].isna().all()
        assert first[["rows", "new_rows", "requests", "revised"]].dtypes.eq("Int64").all()
        assert sync("US.A", tmp_path, unlimited(gateway))["requests"].tolist() == [0]
        us.revise(3, "volume", 3)
        us.add(2)
        histories.update(served(US_A=us))
        second = sync(["US.A"], FutuShortStore(tmp_path), unlimited(gateway), refresh="always")
        assert second[["rows", "new_rows", "requests", "revised"]].to_numpy().tolist() == [
            [122, 2, 1, 1]
        ]
        assert len(gateway.requests) == 6
    kept = FutuShortStore(tmp_path).load(Security.parse("US.A"))
    assert kept is not None
    pd.testing.assert_frame_equal(kept.rows[::-1].reset_index(drop=True), us.frame())


def test_start_ends_a_first_fill(tmp_path: Path) -> None:
    model = ModelGateway(400)
    with Gateway(served(US_A=model)) as gateway:
        done = sync("US.A", tmp_path, unlimited(gateway), start=model.rows[70]["timestamp_str"])
    assert done[["rows", "requests", "complete"]].to_numpy().tolist() == [[100, 2, False]]


def test_a_ticker_that_fails_takes_none_with_it(tmp_path: Path) -> None:
    codes = ["US.A", "US.NOPE", "US.B"]
    models = served(US_A=ModelGateway(60), US_B=ModelGateway(70))
    with Gateway(models) as gateway:
        with pytest.raises(PanelError, match=r"1 of 3 tickers failed: US\.NOPE\. .*Unknown") as got:
            sync(codes, tmp_path, unlimited(gateway), num=50)
        partial = got.value.partial
        assert partial is not None
        assert partial["rows"].fillna(-1).tolist() == [60, -1, 70]
        assert list(got.value.failures) == ["US.NOPE"]
        with pytest.warns(PanelWarning, match=r"US\.NOPE"):
            done = sync(codes, tmp_path, unlimited(gateway), errors="warn")
    assert done["error"].notna().tolist() == [False, True, False]
    assert done["requests"].fillna(-1).tolist() == [0, -1, 0]
    assert FutuShortStore(tmp_path).codes() == ["US.A", "US.B"]


def test_a_gateway_that_is_down_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnreachableError):
        sync(["US.A", "US.B"], tmp_path, "opend://127.0.0.1:9")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"codes": ["US.A", "AAPL"]}, "AAPL"),
        ({"store": ""}, "store must name where"),
        ({"store": 3}, "store must be a directory"),
        ({"refresh": "never"}, "there would be nothing to sync"),
        ({"refresh": "daily"}, "refresh must be one of"),
        ({"errors": "ignore"}, "errors must be"),
        ({"start": "soon"}, "start must be a trading day"),
        ({"gateway": "http://x"}, "opend"),
        ({"num": 51}, "num must be"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    tmp_path: Path, arguments: dict[str, Any], words: str
) -> None:
    given = {"codes": ["US.A"], "store": tmp_path, "gateway": "sample://", **arguments}
    with pytest.raises(ConfigError, match=words):
        sync(given.pop("codes"), given.pop("store"), **given)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_sync_is_an_empty_table(tmp_path: Path) -> None:
    done = intake_futu_short.sync([], tmp_path, "opend://127.0.0.1:9")
    assert len(done) == 0
    assert list(done.columns) == [
        "code",
        "rows",
        "new_rows",
        "requests",
        "revised",
        "complete",
        "error",
    ]
