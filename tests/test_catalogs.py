from __future__ import annotations

import json
from typing import TYPE_CHECKING

import intake
import pytest
from rank_gateway import RankGateway, codes_of, make_rank

import intake_futu_short
from intake_futu_short.errors import ConfigError, PanelWarning
from intake_futu_short.gateway import Gateway, sample_histories

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["sample", "opend"])
def test_each_catalog_has_an_entry_a_market_with_the_code_as_a_parameter(name: str) -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path(name))
    assert sorted(catalog) == ["hk", "hk_interest", "panel", "rank", "us", "us_interest"]
    for entry, code in (("us", "US.AAPL"), ("hk", "HK.00700")):
        parameters = {p["name"]: p for p in catalog[entry].describe()["user_parameters"]}
        assert parameters["code"]["default"] == code
        assert all(p["description"] for p in parameters.values())


def test_the_samples_entries_read_what_they_name() -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path("sample"))
    with catalog.us as us, catalog.hk(code="HK.SAMPLE", num=40) as hk:
        assert len(us.read()) == 29
        assert hk.read().attrs["code"] == "HK.SAMPLE"
        assert hk.npartitions == 38


@pytest.mark.parametrize("name", ["sample", "opend"])
def test_the_rank_takes_the_arguments_of_its_source(name: str) -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path(name))
    rows = make_rank(4, market="HK")
    with (
        RankGateway(rows) as gateway,
        catalog.rank(market="HK", rows=3, gateway=gateway.url) as source,
    ):
        assert source.read()["code"].tolist() == codes_of(rows, "HK")[:3]


def test_a_panels_codes_are_a_parameter_whose_list_comes_through() -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path("sample"))
    with catalog.panel as us, catalog.panel(codes=["HK.SAMPLE", "HK.00700"]) as hk:
        assert us.read()["code"].value_counts().to_dict() == {"US.AAPL": 29, "US.SAMPLE": 1500}
        assert hk.read()["code"].unique().tolist() == ["HK.SAMPLE", "HK.00700"]


def test_a_live_panel_reads_from_one_gateway_or_several() -> None:
    with Gateway(sample_histories()) as one, Gateway(sample_histories()) as two:
        catalog = intake.open_catalog(intake_futu_short.catalog_path("opend"))
        codes = ["US.AAPL", "US.NOPE"]
        gateways = [one.url, two.url]
        with (
            catalog.panel(codes=codes, gateway=gateways, errors="warn") as src,
            pytest.warns(PanelWarning, match="NOPE"),
        ):
            assert src.read().attrs["failed"] == ["US.NOPE"]
        assert len(one.requests) + len(two.requests) == 2


def test_the_live_entries_take_their_gateway_from_a_parameter_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FUTU_OPEND", raising=False)
    catalog = intake.open_catalog(intake_futu_short.catalog_path("opend"))
    assert "gateway" not in catalog.us().yaml()  # which means the usual one
    assert "gateway: opend://10.1.2.3:11111" in catalog.us(gateway="opend://10.1.2.3").yaml()
    monkeypatch.setenv("FUTU_OPEND", "opend://[::1]:22222")
    assert "gateway: opend://[::1]:22222" in catalog.hk(code="HK.00005").yaml()


def test_the_live_entries_read_from_a_gateway() -> None:
    with Gateway(sample_histories()) as gateway:
        catalog = intake.open_catalog(intake_futu_short.catalog_path("opend"))
        with catalog.us(gateway=gateway.url, start="2024-10-01") as src:
            assert src.read()["timestamp_str"].tolist()[-1] == "2024-10-01"


def test_a_template_of_an_unset_variable_means_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FUTU_OPEND", raising=False)
    path = tmp_path / "mine.yaml"
    path.write_text(
        "sources:\n"
        "  mine:\n"
        "    driver: futu_short\n"
        "    args:\n"
        '      code: "HK.00700"\n'
        "      start: 2026-01-02\n"
        '      gateway: "{{ env(FUTU_OPEND) }}"\n'
    )
    source = intake.open_catalog(str(path)).mine
    assert "gateway" not in source.yaml().partition("metadata:")[0]
    assert "start: '2026-01-02'" in source.yaml()


def test_an_unknown_catalog_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'opend' and 'sample'"):
        intake_futu_short.catalog_path("missing")


def test_a_datetime_of_a_catalogs_parameter_is_its_day(tmp_path: Path) -> None:
    """Intake's parameters of this type know ``today``, which has a time of day."""
    parameter = {"description": "", "type": "datetime", "default": "today"}
    entry = {
        "driver": "futu_short", "description": "", "parameters": {"start": parameter},
        "args": {"code": "US.AAPL", "gateway": "sample://", "start": "{{ start }}"},
    }  # fmt: skip
    path = tmp_path / "catalog.yaml"
    path.write_text(json.dumps({"sources": {"aapl": entry}}))
    catalog = intake.open_catalog(str(path))
    with catalog.aapl(start="2024-10-10 09:30") as src:
        assert src.read()["timestamp_str"].tolist() == ["2024-10-11", "2024-10-10"]
    with catalog.aapl() as src:  # of today there are no rows
        assert len(src.read()) == 0
