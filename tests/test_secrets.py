"""Keys, passwords and tokens where they belong and where they do not: none is ever shown."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import traceback
import warnings
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import fsspec
import intake
import numpy as np
import pytest
import yaml
from command_line import futu_short
from keys import as_pkcs8, rsa_pem

from intake_futu_short import (
    ConfigError,
    FutuShort,
    FutuShortError,
    FutuShortSource,
    FutuShortStore,
    OpenQuoteContext,
    catalog_path,
    sync,
)
from intake_futu_short.cli.doctor import examine
from intake_futu_short.described import described, described_path, is_like_key
from intake_futu_short.gateway import Gateway
from intake_futu_short.opend.dial import read_key
from intake_futu_short.ticker_catalog import FutuShortCatalog

if TYPE_CHECKING:
    from collections.abc import Callable

PEM = rsa_pem(1024).decode()
PKCS8 = as_pkcs8(PEM.encode()).decode()
LINES = PEM.splitlines()
BODY = "".join(LINES[1:-1])
PASSWORD = "-".join(["hunter2", "TOPSECRET"])


class _Path(os.PathLike[Any]):
    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


KEYS: dict[str, Any] = {
    "text": PEM,
    "pkcs8": PKCS8,
    "bytes": PEM.encode(),
    "bytearray": bytearray(PEM.encode()),
    "memoryview": memoryview(PEM.encode()),
    "lines": LINES,
    "tuple": tuple(LINES),
    "set": frozenset(LINES),
    "mapping": {"key": PEM},
    "one in a list": [PEM],
    "a line": "".join(LINES),
    "body": BODY,
    "body and blanks": " ".join(LINES[1:-1]),
    "body and newlines as text": r"\n".join(LINES[1:-1]),
    "body and carriage returns": "\r".join(LINES[1:-1]),
    "body quoted": quote(BODY),
    "body in quotes": f'"{BODY}"',
    "body as bytes": BODY.encode(),
    "first line": LINES[1],
    "newlines as text": PEM.replace("\n", r"\n"),
    "quoted": quote(PEM),
    "json": json.dumps(PEM),
    "numpy": np.str_(PEM),
    "path": Path(PEM),
    "path of bytes": _Path(PEM.encode()),
    "path of text": _Path(PEM),
}


def leaks(text: str) -> list[str]:
    """Pieces of the key in a text, however it is written there."""
    plain = re.sub(r"\\+[nr]|%[0-9A-F]{2}|[\s\\'\",]", "", text)
    lines = [*LINES[1:-1], *PKCS8.splitlines()[1:-1]]
    pieces = {line[i : i + 12] for line in lines for i in range(0, len(line) - 12, 4)}
    return sorted(piece for piece in pieces if piece in plain)


def told(action: Callable[[], object], log: pytest.LogCaptureFixture) -> str:
    """All that an action says: result, error, traceback with causes, log and warnings."""
    log.clear()
    with log.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            said = str(action())
        except (FutuShortError, OSError, ImportError) as error:
            said = f"{error} {error!r} {''.join(traceback.format_exception(error))}"
    own = [r.getMessage() for r in log.records if r.name.startswith("intake_futu_short")]
    return " ".join([said, *own, *(str(each.message) for each in warned)])


def read(**arguments: Any) -> object:
    source = FutuShortSource(
        **{"code": "US.SAMPLE", "gateway": "sample://", "timeout": 2, **arguments}
    )
    said = repr(source) + source._repr_html_() + source.yaml()
    with source:
        source.read()
    return said


def read_with(name: str, value: Any) -> object:
    return read(**{"start": "2026-01-02", name: value})


def asked(value: Any = "US.SAMPLE", **arguments: Any) -> object:
    with OpenQuoteContext(**arguments) as context:
        return context.get_daily_short_volume(value)[:2]


def asked_on(next_key: Any) -> object:
    with Gateway({}) as gateway, OpenQuoteContext(port=gateway.port) as context:
        return context.get_daily_short_volume("US.SAMPLE", next_key)[1]


def served(**arguments: Any) -> None:
    with Gateway({}, **arguments):
        pass


def served_with(name: str, value: Any) -> None:
    served(**{name: value})


def examined(**arguments: Any) -> object:
    return list(examine(**arguments))


def catalogued(**arguments: Any) -> object:
    catalog = FutuShortCatalog(**arguments)
    said = [repr(catalog), catalog.yaml(), catalog.serialize()]
    for name in catalog:
        entry = catalog._entries[name]
        said += [str(entry.describe()), repr(entry), repr(catalog[name]), catalog[name].yaml()]
    return said


def in_environment(value: Any) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUTU_OPEND", value if isinstance(value, str) else str(value))
        return read(gateway=None)


def from_data(url: Any, **arguments: Any) -> object:
    data = FutuShort(url, "US.SAMPLE", **arguments)
    reader = data.to_reader("pandas")
    return f"{data!r} {reader!r} {reader.read()}"


PLACES: dict[str, Callable[[Any], object]] = {
    "source rsa_key": lambda v: read(rsa_key=v),
    "source gateway": lambda v: read(gateway=v),
    "source gateways": lambda v: read(gateway=[v]),
    "two keys": lambda v: read(gateway="opend://127.0.0.1:1?rsa_key=/x", rsa_key=v),
    "$FUTU_OPEND": in_environment,
    "source code": lambda v: read(code=v),
    "source codes": lambda v: read(code=[v, "US.SAMPLE"]),
    "source store": lambda v: read(store=v),
    "source storage_options": lambda v: read(store="memory://x", storage_options=v),
    **{
        f"source {name}": partial(read_with, name)
        for name in (
            "start",
            "end",
            "warmup",
            "num",
            "timeout",
            "refresh",
            "max_pages",
            "errors",
            "metadata",
        )
    },
    "rank": lambda v: intake.open_futu_short_rank(v, gateway="sample://"),
    "rank plates": lambda v: intake.open_futu_short_rank(plates=v, gateway="sample://"),
    "data url": from_data,
    "data rsa_key": lambda v: from_data("sample://", rsa_key=v),
    "context rsa_key": lambda v: asked(rsa_key=v),
    "context host": lambda v: asked(host=v),
    "context port": lambda v: asked(port=v),
    "context is_encrypt": lambda v: asked(is_encrypt=v),
    "context is_encrypt and key": lambda v: asked(is_encrypt=False, rsa_key=v),
    "context code": lambda v: asked(v, port=1),
    "context next_key": asked_on,
    "gateway histories": Gateway,
    "gateway history": lambda v: Gateway({v if isinstance(v, str) else "x": v}),
    **{
        f"gateway {name}": partial(served_with, name)
        for name in ("rsa_key", "host", "port", "limit", "latency_s")
    },
    "gateway host for all": lambda v: served(host=v, allow_remote=True),
    "doctor gateway": lambda v: examined(gateway=v),
    "doctor rsa_key": lambda v: examined(gateway="sample://", rsa_key=v),
    "doctor code": lambda v: examined(gateway="sample://", code=v),
    "sync rsa_key": lambda v: sync(["US.A"], store="memory://x", gateway="sample://", rsa_key=v),
    "sync gateway": lambda v: sync(["US.A"], store="memory://x", gateway=v),
    "sync codes": lambda v: sync([v], store="memory://x", gateway="sample://"),
    "catalog rsa_key": lambda v: catalogued(codes=["US.A"], gateway="sample://", rsa_key=v),
    "catalog gateway": lambda v: catalogued(codes=["US.A"], gateway=v),
    "catalog codes": lambda v: catalogued(codes=[v]),
    "catalog watchlist": lambda v: catalogued(watchlist=v),
    "store": lambda v: FutuShortStore(v).read(),
    "store market": lambda v: FutuShortStore("memory://x").read(market=v),
    "store codes": lambda v: FutuShortStore("memory://x").read([v]),
    "store as_of": lambda v: FutuShortStore("memory://x").read(["US.A"], as_of=v),
    "store columns": lambda v: FutuShortStore("memory://x").read(["US.A"], columns=[v]),
    "store columns as a text": lambda v: FutuShortStore("memory://x").read(["US.A"], columns=v),
    "key file": lambda v: read_key(v if isinstance(v, str) else BODY),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_key_in_any_place_is_not_shown(place: str, caplog: pytest.LogCaptureFixture) -> None:
    # Metadata are the caller's own, and yaml() is to hold them.
    forms = {k: v for k, v in KEYS.items() if (place, k) != ("source metadata", "mapping")}
    for form, key in forms.items():
        said = told(partial(PLACES[place], key), caplog)
        assert (form, leaks(said)) == (form, [])


OPTIONS = (
    "rsakey",
    "rsa-key",
    "RSA_KEY",
    "key",
    "limit",
    "cipher",
    "password",
    "rsa_key&limit=x&a",
)
AROUND = [
    *(f"opend://127.0.0.1:1?{option}={{}}" for option in OPTIONS),
    "opend://127.0.0.1:1?rsa_key={}&limits=3/3", "opend://127.0.0.1:1?limits=3/3&rsa_key={}",
    "opend://{}:1", "opend://{}", "opend://h:{}", "opend://h:1/{}", "opend://h:1#{}", "{}://h:1",
    "h:1?rsa_key={}", "opend://u:{}@h:1", "opend://{}@h", "sample://?rsa_key={}", "http://h:1?a={}",
    "opend://[{}", "opend://[{}]:1", "{}", "u:{}",
]  # fmt: skip
URL_PLACES = ("source gateway", "$FUTU_OPEND", "doctor gateway", "sync gateway", "data url")


@pytest.mark.parametrize("place", URL_PLACES)
def test_a_key_in_a_gateways_url_is_not_shown(place: str, caplog: pytest.LogCaptureFixture) -> None:
    keys = [PEM, quote(PEM), quote_plus(PEM), BODY, quote(BODY), "".join(LINES), LINES[1]]
    for url in [form.format(key) for form in AROUND for key in keys]:
        assert (url, leaks(told(partial(PLACES[place], url), caplog))) == (url, [])


@pytest.mark.parametrize(
    "command",
    [
        ["{}"], ["--{}"], ["doctor", "{}"], ["doctor", "--code={}"], ["doctor", "--record", "x/{}"],
        ["doctor", "--{}"], ["rank", "{}"], ["rank", "--by", "{}"], ["rank", "--top={}"],
        ["read", "{}"], ["read", "US.AAPL", "--start", "{}"], ["read", "US.AAPL", "--last", "{}"],
        ["read", "US.AAPL", "--columns", "{}"], ["read", "--watchlist", "{}"],
        ["plot", "US.AAPL", "-o", "{}"], ["serve", "--store", "kept", "--port", "{}"],
        ["sync", "US.AAPL", "--store", "kept", "--{}"], ["info", "{}", "--store", "kept"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_key_on_a_command_line_is_not_repeated(command: list[str], tmp_path: Path) -> None:
    for key in (PEM, BODY, LINES[2]):
        words = [word.format(key) for word in command]
        done = futu_short(*words, cwd=tmp_path, env={"FUTU_OPEND": "sample://"})
        assert done.returncode in {1, 2}
        assert "Error: " in done.stderr
        assert leaks(done.stdout + done.stderr) == []


@pytest.mark.parametrize("place", URL_PLACES)
@pytest.mark.parametrize(
    "url",
    [
        "opend://u:{}@h:1", "opend://u:{}@h", "u:{}@h:1", "opend://{}@h", "opend://u:a@{}@h",
        "opend://u:{}/x@h:1", "opend://h:1?password={}", "opend://h:1?token={}", "opend://h:1/{}",
        "opend://h:1#{}", "http://h:1?sig={}", "opend://h:{}", "opend://h:1?pw=a&{}",
        "opend://h:1?{}", "u:{}",
    ],
)  # fmt: skip
def test_a_password_in_a_gateways_url_is_not_shown(
    place: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert PASSWORD not in told(lambda: PLACES[place](url.format(PASSWORD)), caplog)


def test_a_key_as_a_host_is_not_shown_in_small_letters(caplog: pytest.LogCaptureFixture) -> None:
    letters = re.sub("[^A-Za-z0-9]", "", BODY)[:48]
    said = told(lambda: FutuShortSource("US.A", gateway=f"opend://{letters}:1"), caplog)
    assert "ConfigError" in said
    assert letters.lower() not in said.lower()


def test_what_is_mistyped_in_a_url_is_still_named() -> None:
    for url, named in {
        "127.0.0.1:11111": "'127.0.0.1:11111' has no scheme",
        "http://nas:11111/x": "'http://nas:11111/***' has the unknown scheme 'http'",
        "opend://nas:abc": "'opend://nas:***' has no port",
        "opend://nas:1?limits=3/3": "'opend://nas:1?***' has an unknown option: 'limits'",
        "opend://nas:1?limit=3/3&limit=off": "twice: 'limit'",
        "opend://nas:1?limit=fast": "not 'fast'",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(named)):
            FutuShortSource("US.A", gateway=url)


@pytest.mark.parametrize(
    "value",
    ["2026-13-45", "US.AAPL", "fast", -1, 0.5, None, True, (0, 1.0), np.float64(2), np.bool_(True),
     "a sentence of some length, with 24 and more letters", "x" * 60],
)  # fmt: skip
def test_a_short_harmless_value_is_shown(value: object) -> None:
    assert described(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000, "-\n" * 10_000, [[1] * 10_000] * 10, {"a": "x" * 10_000}, b"x" * 10_000,
     10**10_000, Fraction(1, 10**10_000), Decimal("1" * 10_000),
     "x" * 61, object(), type("x" * 10_000, (), {})(), np.array(1), np.zeros(9_999)],
    ids=lambda value: type(value).__name__[:20],
)  # fmt: skip
def test_of_other_values_type_and_length_are_told(value: object) -> None:
    assert len(described(value)) < 60
    assert described(value).split()[0] in {type(value).__name__, "object"}
    for name in ("num", "start", "timeout", "code", "gateway", "refresh"):
        arguments: dict[str, Any] = {"code": "US.A", name: value}
        with pytest.raises(ConfigError) as caught:
            FutuShortSource(**arguments)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "path",
    ["key.pem", "~/keys/futu.pem", "/home/Me/.ssh/OpenD-2026-01-02-and-other-words/key2",
     "/Users/Alice2/Documents/Keys/FutuOpenD/PrivateKey", r"C:\Users\Me\new\keys\futu2.pem",
     "Users/Alice2/ShortVolumeHistory2026/Key",
     "Short2026-history_of_US_and_HK_daily_volumes_1x" * 2,
     "data/Project2024/ShortVolume/HistoricalReports/HongKongMarket2024/Parquet",
     "/var/lib/jenkins/workspace/Team2024/Nightly20240101/artifacts/KeyOfOpenD",
     "/home/alice/projects/futu/shortvolume/keys/production/opend/privatekey",
     "keys for OpenD/of the year 2026/the private one.pem"],
)  # fmt: skip
def test_paths_are_paths(path: str) -> None:
    assert not is_like_key(path)
    with pytest.raises(ConfigError, match=re.escape(f"{path!r}: No such file")):
        read_key(path)
    assert FutuShortSource("US.A", store=path).yaml()


def test_a_key_is_told_from_a_path() -> None:
    for key in (BODY, LINES[1], PEM, "x" * 300, "a/" * 3000):
        with pytest.raises(ConfigError, match=r"not the key itself.* of length"):
            FutuShortSource("US.A", rsa_key=key)
    assert described_path("key.pem") == "'key.pem'"
    assert described_path(f"/{LINES[1]}") == "str of length 65"


def test_a_key_where_no_message_expects_one_is_not_shown() -> None:
    frame = FutuShortSource("US.AAPL", gateway="sample://").read()
    catalog = FutuShortCatalog(codes=["US.AAPL"], gateway="sample://")
    keys: list[Any] = [PEM, PEM.encode(), PEM.splitlines(), tuple(PEM.splitlines()), LINES[1]]
    uses: list[Callable[[Any], object]] = [
        frame.shortvol.resample,
        catalog.__getitem__,
        catalog_path,
        lambda key: FutuShortSource("US.A", store="x", storage_options={str(key): 1}),
    ]
    for key in keys:
        for use in uses:
            with pytest.raises((ConfigError, KeyError)) as caught:
                use(key)
            assert LINES[1] not in "".join(traceback.format_exception(caught.value))


# -- stores -----------------------------------------------------------------------------------


class _Telling(fsspec.AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system that quotes its URL and its options in its errors."""

    protocol = "telling"

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError(f"{args} with {self.storage_options}") from KeyError(
            str(self.storage_options)
        )

    ls = info = _open = open = cat_file = cat = pipe_file = _refuse

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        return {}


fsspec.register_implementation("telling", _Telling, clobber=True)

STORES = [
    f"{protocol}://{rest}"
    for protocol in ("memory", "telling", "ftp", "nosuch")
    for rest in (
        "me:{}@127.0.0.1:1/x", "me:ab@{}@127.0.0.1:1/x", "me:ab/{}@127.0.0.1:1/x",
        "me:ab?{}#z@127.0.0.1:1/x", "me:ab::{}@127.0.0.1:1/x", "{}@127.0.0.1:1/x",
        "127.0.0.1:1/x?sig={}", "127.0.0.1:1/x?a=1&password={}&b=2", "127.0.0.1:1/x#token={}",
        "127.0.0.1:1/x#{}", "127.0.0.1:1/x?mail=a@b&sig={}",
    )
]  # fmt: skip
STORES += [
    "dir::memory://me:{}@h/x",
    "dir::telling://h/x?sig={}::memory://u:{}@h/y",
    "me:{}@h/x",
    "ftp:/u:{}@h/x",
]
STORE_PLACES: dict[str, Callable[..., object]] = {
    "source": lambda url, **k: read(store=url, **k),
    "source alone": lambda url, **k: read(store=url, refresh="never", **k),
    "panel": lambda url, **k: read(code=["US.SAMPLE", "US.AAPL"], store=url, errors="warn", **k),
    "sync": lambda url, **k: sync(["US.AAPL"], store=url, gateway="sample://", errors="warn", **k),
    "store": lambda url, **k: FutuShortStore(url, *k.values()).read(),
    "ticker": lambda url, **k: FutuShortStore(url, *k.values()).read("US.AAPL"),
    "repr": lambda url, **k: repr(FutuShortStore(url, *k.values())),
    "dask": lambda url, **k: FutuShortStore(url, *k.values()).to_dask(),
    "catalog": lambda url, **k: catalogued(
        codes=["US.AAPL", "US.A"], gateway="sample://", store=url, **k
    ),
    "data": lambda url, **k: from_data("sample://", store=url, **k),
    "data repr": lambda url, **k: repr(FutuShort("sample://", "US.AAPL", store=url, **k)),
    "watchlist": lambda url, **k: catalogued(watchlist=f"{url}/codes.csv", **k),
    "yaml of a watchlist": lambda url, **k: FutuShortCatalog(watchlist=url, **k).yaml(),
}


@pytest.mark.parametrize("place", STORE_PLACES)
def test_secrets_in_the_url_of_a_store_are_not_shown(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    for form in STORES:
        url = form.replace("{}", PASSWORD)
        said = told(partial(STORE_PLACES[place], url), caplog)
        assert (form, PASSWORD in said) == (form, False)


@pytest.mark.parametrize("place", STORE_PLACES)
def test_what_storage_options_say_is_not_shown(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {
        "secret": PASSWORD,
        "client": {"keys": [PASSWORD], "url": f"http://me:{PASSWORD}@h"},
        "quoted": f"'{PASSWORD}\\",
        "pin": 20261126,
    }
    said = told(lambda: STORE_PLACES[place]("telling://h/x", storage_options=options), caplog)
    assert PASSWORD not in said
    assert "20261126" not in said


@pytest.mark.parametrize(
    "watchlist",
    ["rank://US?sort={}", "rank://US?password={}", "rank://me:{}@US", "rank://US/{}",
     "rank://US#{}"],
)  # fmt: skip
def test_secrets_in_the_url_of_a_rank_are_not_shown(
    watchlist: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = watchlist.format("hunter2" * 10)
    said = told(lambda: catalogued(watchlist=url, gateway="sample://"), caplog)
    assert "hunter2" not in said


STORE = f"memory://me:{PASSWORD}@h/x"


@pytest.mark.parametrize(
    "arguments",
    [{"store": STORE}, {"store": "memory://x", "storage_options": {"token": PASSWORD}},
     {"store": f"memory://h/x?sig={PASSWORD}"},
     {"store": "memory://x", "storage_options": {"client": {"keys": [PASSWORD]}}}],
)  # fmt: skip
def test_yaml_that_lacks_a_secret_says_so_when_it_is_read(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    source = FutuShortSource("US.AAPL", gateway="sample://", **arguments)
    catalog = FutuShortCatalog(["US.AAPL"], gateway="sample://", **arguments)
    for name, text in {"futu_short": source.yaml(), "futu_short_catalog": catalog.yaml()}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"\*\*\* in the place of a secret.*environment"):
            intake.open_catalog(str(path))[name]()


def test_a_watchlist_without_its_secret_is_refused() -> None:
    catalog = FutuShortCatalog(watchlist=f"memory://me:{PASSWORD}@h/x.csv")
    args = yaml.safe_load(catalog.yaml())["sources"]["futu_short_catalog"]["args"]
    with pytest.raises(ConfigError, match="watchlist has"):
        FutuShortCatalog(**args)


def test_yaml_without_secrets_is_whole(tmp_path: Path) -> None:
    options = {"anon": True, "client_kwargs": {"endpoint_url": "http://127.0.0.1:9000"}}
    source = FutuShortSource("US.AAPL", store=str(tmp_path), storage_options=options)
    args = yaml.safe_load(source.yaml())["sources"]["futu_short"]["args"]
    assert FutuShortSource(**args) == source


def test_pickles_and_comparisons_know_the_secrets() -> None:
    one = FutuShortSource("US.AAPL", store=STORE, storage_options={"token": PASSWORD})
    twin = pickle.loads(pickle.dumps(one))  # noqa: S301 - pickled here
    assert twin == one
    assert twin._captured_init_kwargs["store"] == STORE
    assert one() == one
    assert one != FutuShortSource("US.AAPL", store=STORE, storage_options={"token": "x"})
    data = FutuShort("sample://", "US.AAPL", store=STORE)
    assert vars(data)["store"] == STORE
    assert data.to_entry().to_data() == data
    catalog = FutuShortCatalog(["US.AAPL"], store=STORE)
    assert catalog["US.AAPL"]._captured_init_kwargs["store"] == STORE
    assert pickle.loads(pickle.dumps(catalog))["US.AAPL"] == catalog["US.AAPL"]  # noqa: S301 - pickled here
