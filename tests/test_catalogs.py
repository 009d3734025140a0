from __future__ import annotations

import json
from pathlib import Path

import intake
import pytest
from rank_gateway import RankGateway, codes_of, make_rank

import intake_futu_short
from intake_futu_short.errors import ConfigError, PanelWarning
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.gateway_source import GatewaySource

pytestmark = pytest.mark.compat


@pytest.mark.parametrize("catalog_name", ["sample", "opend"])
def test_each_catalog_has_an_entry_a_market_whose_code_can_be_another(catalog_name: str) -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path(catalog_name))
    prefix = "sample_" if catalog_name == "sample" else ""
    entries = ["us", "hk", "panel", "rank", "hk_interest", "us_interest"]
    assert list(catalog) == [prefix + entry for entry in entries]
    for name, code in (("us", "US.AAPL"), ("hk", "HK.00700")):
        entry = catalog[prefix + name]
        assert f"code: {code}" in entry.yaml()
        assert "code: US.SAMPLE" in entry(code="US.SAMPLE", start="2026-01-02").yaml()


def test_both_catalogs_open_together_and_say_nothing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intake warns of each text that is a parameter's default, and that would be an error here."""
    monkeypatch.setenv("FUTU_OPEND", "sample://")
    directory = Path(intake_futu_short.catalog_path("sample")).parent
    for place in (f"{directory}/*.yaml", sorted(map(str, directory.glob("*.yaml")))):
        catalog = intake.open_catalog(place)
        assert len(set(catalog)) == len(list(catalog)) == 12
        for entry in catalog:
            with catalog[entry] as source:
                assert isinstance(source, GatewaySource)
        with catalog.hk(start="2026-05-06", num=3) as live, catalog.sample_hk as sample:
            assert len(live.read()) == 3 < len(sample.read())
    assert capfd.readouterr() == ("", "")


def test_the_samples_entries_read_what_they_name() -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path("sample"))
    with catalog.sample_us as us, catalog.sample_hk(code="HK.SAMPLE", num=40) as hk:
        assert len(us.read()) == 29
        assert hk.read().attrs["code"] == "HK.SAMPLE"
        assert hk.npartitions == 38


@pytest.mark.parametrize(("name", "entry"), [("sample", "sample_rank"), ("opend", "rank")])
def test_the_rank_takes_the_arguments_of_its_source(name: str, entry: str) -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path(name))
    rows = make_rank(4, market="HK")
    with (
        RankGateway(rows) as gateway,
        catalog[entry](market="HK", rows=3, gateway=gateway.url) as source,
    ):
        assert source.read()["code"].tolist() == codes_of(rows, "HK")[:3]


def test_a_panels_codes_are_a_parameter_whose_list_comes_through() -> None:
    catalog = intake.open_catalog(intake_futu_short.catalog_path("sample"))
    panel = catalog.sample_panel
    with panel as us, catalog.sample_panel(codes=["HK.SAMPLE", "HK.00700"]) as hk:
        assert us.read()["code"].value_counts().to_dict() == {"US.AAPL": 29, "US.SAMPLE": 1500}
        assert hk.read()["code"].unique().tolist() == ["HK.SAMPLE", "HK.00700"]
    assert "- US.SAMPLE\n" in panel(code=["US.SAMPLE", "US.AAPL"]).yaml()  # as its driver says it


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
    assert "gateway" not in catalog.us.yaml()  # which means the usual one
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


# Intake says so of the text "today", as of each that is a parameter's default.
@pytest.mark.filterwarnings("ignore:Shell command not executed:UserWarning")
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
