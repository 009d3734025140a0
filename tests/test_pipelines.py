"""The namespace of Intake 2's readers answers as ``df.shortvol`` does, and catalogs keep it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import intake
import pandas as pd
import pytest
from intake.readers.entry import Catalog
from intake.readers.namespaces import get_namespaces

from intake_futu_short import FutuShort, sample
from intake_futu_short.accessor import ShortVolumeAccessor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compat


def reader(kind: str = "pandas", code: str = "US.AAPL") -> Any:
    return FutuShort("sample://", code).to_reader(kind)


def test_every_method_is_a_step() -> None:
    names = dir(reader().short_volume)
    assert names == sorted(name for name in dir(ShortVolumeAccessor) if not name.startswith("_"))
    assert {"short_ratio", "days_to_cover", "with_metrics", "check", "plot", "market"} <= {*names}
    assert "n" in inspect.signature(reader().short_volume.short_ratio_mean).parameters
    with pytest.raises(AttributeError):
        _ = reader().short_volume.short_ration


def test_steps_answer_as_the_frame_does() -> None:
    frame = sample.frame("US.AAPL")
    space = reader().short_volume
    pd.testing.assert_series_equal(space.short_ratio().read(), frame.shortvol.short_ratio())
    mean = frame.shortvol.short_ratio_mean(5, min_periods=2)
    pd.testing.assert_series_equal(space.short_ratio_mean(5, min_periods=2).read(), mean)
    pd.testing.assert_series_equal(space.short_ratio_mean(n=5, min_periods=2).read(), mean)
    table = frame.shortvol.metrics(windows=(5, 7))
    pd.testing.assert_frame_equal(space.metrics((5, 7)).read(), table)
    assert space.market.read() == "US"


def test_frames_and_series_go_on() -> None:
    metrics = reader().head(9).short_volume.with_metrics([5]).short_volume.by_date()
    assert metrics.output_instance == "pandas:DataFrame"
    assert len(metrics.tail(2).read()) == 2
    ratio = reader().short_volume.short_ratio()
    assert ratio.output_instance == "pandas:Series"
    assert len(ratio.head(3).read()) == 3


def test_other_arguments_than_the_methods_are_refused_when_the_step_is_made() -> None:
    with pytest.raises(TypeError, match="argument"):
        reader().short_volume.short_ratio_mean(m=5)
    with pytest.raises(TypeError, match="argument"):
        reader().short_volume.short_ratio(5)


def test_readers_of_the_package_know_it_by_the_name_of_the_accessor() -> None:
    assert len(reader().shortvol.short_ratio_mean(5).read()) == 29


def test_lazy_frames_have_it_too() -> None:
    ratio = reader("dask").short_volume.short_ratio()
    assert ratio.output_instance == "dask.dataframe:Series"
    assert len(ratio.read().compute()) == 29


def test_readers_of_others_frames_have_it() -> None:
    assert "short_volume" in get_namespaces(reader().head(3))
    series = reader().short_volume.short_ratio()
    assert "short_volume" not in get_namespaces(series)


def test_a_catalog_with_a_pipeline_is_read_in_another_process(tmp_path: Path) -> None:
    catalog = Catalog()
    catalog["ratio"] = reader().head(20).short_volume.short_ratio_mean(5)
    catalog["table"] = reader().short_volume.with_metrics((5, 7))
    catalog["market"] = reader().short_volume.market
    catalog["lazy"] = reader("dask").short_volume.short_ratio()
    path = str(tmp_path / "catalog.yaml")
    catalog.to_yaml_file(path)
    code = (
        "import sys, intake\n"
        "catalog = intake.open_catalog(sys.argv[1])\n"
        "assert 'intake_futu_short' not in sys.modules\n"
        "print(repr(catalog['ratio'].read().iloc[0].item()))\n"
        "print(len(catalog['table'].read().columns), catalog['market'].read())\n"
        "print(len(catalog['lazy'].read().compute()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    frame = sample.frame("US.AAPL")
    columns = len(frame.shortvol.with_metrics((5, 7)).columns)
    mean = frame.head(20).shortvol.short_ratio_mean(5).iloc[0].item()
    assert (result.stdout.split(), result.stderr) == ([repr(mean), str(columns), "US", "29"], "")
    again = intake.from_yaml_file(path)
    assert again["ratio"] == catalog["ratio"]
    assert again["ratio"](n=10).read().iloc[0] == pytest.approx(
        frame.head(20).shortvol.short_ratio_mean(10).iloc[0]
    )
