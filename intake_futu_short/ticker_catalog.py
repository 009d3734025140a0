"""The catalog driver: an entry a ticker and a panel a market, from codes or a watchlist."""

from __future__ import annotations

import copy
import errno
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import yaml
from intake.catalog.base import Catalog
from intake.catalog.local import LocalCatalogEntry

from intake_futu_short import __version__, watchlist
from intake_futu_short.arguments import any_codes
from intake_futu_short.arguments import metadata as plain_metadata
from intake_futu_short.arguments import storage_options as plain_options
from intake_futu_short.described import described, is_like_key
from intake_futu_short.errors import ConfigError
from intake_futu_short.rank_source import FutuShortRankSource, is_rank
from intake_futu_short.security import MARKETS, Security
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store.object_store import with_causes
from intake_futu_short.store.urls import (
    hide_secrets,
    is_safe,
    masked,
    refuse_masked,
    refuse_user_of_no_scheme,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

__all__ = ["ASKING", "FutuShortCatalog", "read_watchlist"]

# Arguments that say how a gateway is asked, for whatever.
ASKING = ("gateway", "rsa_key", "timeout")
# The watchlist that is no file.
STANDARD_INPUT = "-"


class FutuShortCatalog(Catalog):  # type: ignore[misc]  # Intake has no types
    """Tickers of a list, each as an entry, and all of a market as a panel.

    ``cat["HK.00700"]`` is a ticker and ``cat["HK"]`` the panel of all HK tickers; where Python
    wants a name, ``cat.HK_00700`` and ``cat.hk`` are the same.

    Parameters
    ----------
    codes : str or iterable of str, optional
        Such as ``["US.AAPL", "HK.00700"]``.
    watchlist : str, optional
        fsspec URL of a file with codes, instead: a code a line (``#`` begins a comment), or by its
        suffix CSV with a column ``code``, or a YAML or JSON list; ``-`` is standard input, a code a
        line. Or the market's short-selling rank, ``rank://US?sort=short_ratio&rows=200``, with the
        arguments `sort`, `descending`, `rows` and `plates` of ``intake.open_futu_short_rank``; the
        entries' gateway is asked for it. It is read when an entry is first wanted, and again by
        `reload`; standard input is read once.
    storage_options : dict, optional
        For the file system of the watchlist, and of ``store=`` when that is given.
    metadata : dict, optional
        Kept beside the entries.
    **arguments
        Any other argument of ``intake.open_futu_short``, handed on to every entry.

    Raises
    ------
    ConfigError
        For neither or both of `codes` and `watchlist`, for what is not a code (naming the line),
        and for an argument that cannot work.
    OSError
        When the watchlist cannot be read; only as soon as an entry is wanted.
    GatewayError
        When the rank cannot be asked for; likewise.
    """

    name: str = "futu_short_catalog"
    version: str = __version__

    def __init__(
        self,
        codes: str | Iterable[str] | None = None,
        watchlist: str | os.PathLike[str] | None = None,
        *,
        storage_options: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        listed, url = _codes(codes), _url(watchlist)
        if (listed is None) == (url is None):
            raise ConfigError(
                "a catalog takes either codes=[...] or watchlist=URL, "
                + ("not both" if url else "and neither was given")
            )
        options, notes = plain_options(storage_options), plain_metadata(metadata)
        refuse_masked("storage_options", options)
        if options and arguments.get("store"):
            arguments["storage_options"] = options
        # Arguments are checked now, whatever the list will hold, and kept as plain values.
        checked = FutuShortSource(code="US.AAPL", **arguments)
        plain = dict(checked._captured_init_kwargs)  # as plain values
        del plain["code"]
        self._arguments = {k: plain[k] for k in plain if k in arguments}
        self._asking = {k: plain[k] for k in ASKING if k in plain}
        if url is not None and is_rank(url):
            FutuShortRankSource.of_url(url, **self._asking)
            if plain.get("refresh") == "never":
                raise ConfigError(
                    f"watchlist {shown(url)!r} asks a gateway, and refresh='never' asks none: name "
                    "the codes, or a file with them"
                )
        self._watchlist = url
        self._watchlist_options = options or {}
        self._codes = listed

        super().__init__(name=type(self).name, metadata=copy.deepcopy(notes), ttl=None)
        # Intake prints, pickles, compares and copies sources by these.
        self._captured_init_args = ()
        given = {"codes": self._codes, "watchlist": url, **self._arguments}
        given["storage_options"] = options
        # Where a catalog lay is Intake's note for this process; it is of no use to others.
        given["metadata"] = {k: v for k, v in notes.items() if k != "catalog_dir"}
        self._captured_init_kwargs = {k: v for k, v in given.items() if v is not None}

    def reload(self) -> None:
        """Read the watchlist again, now."""
        self.force_reload()

    # -- names ------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):  # Intake's paths through catalogs of catalogs
            try:
                return super().__getitem__(key)
            except KeyError:  # whose words are the key
                raise KeyError(f"no entry {described(key)}") from None
        name = key if key in self._entries else self._entries.aliases().get(key)
        if name is None:
            raise KeyError(f"no entry {described(key)}: there are {', '.join(self._entries)}")
        return self._entries[name]()

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._entries.aliases()]

    def __enter__(self) -> Self:
        return self  # Intake would look for a schema, which catalogs have none of

    def _yaml(self) -> dict[str, Any]:
        written: dict[str, Any] = super()._yaml()
        source = written["sources"][self.name]
        source["args"] = masked(source["args"])
        return written

    def serialize(self) -> str:
        """Entries as YAML, as Intake saves them; secrets are left out, as by `yaml`."""
        written = yaml.safe_load(super().serialize())
        for entry in written["sources"].values():
            entry["args"] = masked(entry["args"])
        return str(yaml.dump(written, default_flow_style=False))

    # -- Intake's hooks ---------------------------------------------------------------------

    def _make_entries_container(self) -> _Entries:
        return _Entries(self._read_entries)

    def _load(self) -> None:
        self._entries.forget()

    def _close(self) -> None:
        if "_entries" in vars(self):  # it was made
            self._entries.close()

    # Intake's own reload the catalog whenever it is looked at.
    def _get_entries(self) -> _Entries:
        entries: _Entries = self._entries
        return entries

    def _get_entry(self, name: str) -> Any:
        return self._entries[name]()

    def _read_entries(self) -> dict[str, LocalCatalogEntry]:
        codes = self._codes
        if codes is None:
            assert self._watchlist is not None  # noqa: S101 - one of the two is there
            codes = read_watchlist(self._watchlist, self._watchlist_options, **self._asking)
            if self._watchlist == STANDARD_INPUT:
                self._codes = codes  # nothing comes from there a second time
        entries = {
            code: self._new_entry(code, f"Daily short volume of {code}", code) for code in codes
        }
        for market in MARKETS:
            members = [code for code in codes if Security.known(code).market.name == market]
            if members:
                what = f"Daily short volume of the {market} tickers of this catalog"
                entries[market] = self._new_entry(market, what, members)
        return entries

    def _new_entry(self, name: str, description: str, code: str | list[str]) -> LocalCatalogEntry:
        return _Entry(
            name=name,
            description=description,
            driver="futu_short",
            args={"code": code, **self._arguments},
            metadata=dict(self.metadata),
            getenv=False,
            getshell=False,
            catalog=self,
        )


class _Entry(LocalCatalogEntry):  # type: ignore[misc]  # Intake has no types
    """An entry whose arguments are values: what a watchlist holds is never run as a template."""

    def describe(self) -> dict[str, Any]:
        """Give what Intake prints of an entry, without secrets."""
        said: dict[str, Any] = super().describe()
        return {**said, "args": masked(said["args"])}

    def _create_open_args(self, changes: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        arguments = {"metadata": dict(self._metadata), **self._open_args, **changes}
        return FutuShortSource, arguments


class _Entries(MutableMapping[str, LocalCatalogEntry]):
    """Entries that are read when they are first looked at."""

    def __init__(self, read: Callable[[], dict[str, LocalCatalogEntry]]) -> None:
        self._read = read
        self._known: dict[str, LocalCatalogEntry] | None = None

    def forget(self) -> None:
        self._known = None

    def close(self) -> None:
        """Close the sources that were handed out; those with changed arguments are the caller's."""
        for entry in (self._known or {}).values():
            if entry._default_source is not None:
                entry._default_source.close()

    def aliases(self) -> dict[str, str]:
        """Names that Python takes as attributes → names of entries, where that is unambiguous."""
        plain = {name: re.sub(r"\W", "_", name) for name in self}
        plain.update({name: name.lower() for name in MARKETS if name in self})
        times = Counter(plain.values())
        return {
            alias: name
            for name, alias in plain.items()
            if times[alias] == 1 and alias not in self and alias.isidentifier()
        }

    def _entries(self) -> dict[str, LocalCatalogEntry]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def __getitem__(self, name: str) -> LocalCatalogEntry:
        return self._entries()[name]

    def __setitem__(self, name: str, entry: LocalCatalogEntry) -> None:
        self._entries()[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())


def _codes(given: object) -> list[str] | None:
    """Codes as they are given, by users and by templates of catalogs; None when left open."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    codes = any_codes(given)
    if not codes:
        raise ConfigError("codes is an empty list: a catalog needs one code at least")
    return codes


def _url(watchlist: object) -> str | None:
    if watchlist is None or (isinstance(watchlist, str) and not watchlist.strip()):
        return None
    path = os.fspath(watchlist) if isinstance(watchlist, os.PathLike) else watchlist
    if not isinstance(path, str) or ("://" not in path and is_like_key(path)):
        raise ConfigError(
            f"watchlist must be the URL or path of a file, not {described(watchlist)}"
        )
    refuse_user_of_no_scheme("watchlist", path)
    refuse_masked("watchlist", path)
    return path


def read_watchlist(
    url: str, storage_options: Mapping[str, Any] | None = None, **asking: Any
) -> list[str]:
    """Codes of the watchlist at an fsspec URL, of a rank, or of standard input (``-``).

    Parameters
    ----------
    url : str
        As a catalog takes it.
    storage_options : mapping, optional
        For the file system.
    **asking
        ``gateway``, ``rsa_key`` and ``timeout``, for a rank.

    Raises
    ------
    ConfigError
        For a line that holds no code, a URL that fsspec does not know, and a list without codes.
    OSError
        When the file cannot be read.
    GatewayError
        When the rank cannot be asked for.
    ImportError
        When the package of the URL's file system is not installed.
    """
    if is_rank(url):
        with FutuShortRankSource.of_url(url, **asking) as source:
            codes: list[str] = source.read()["code"].tolist()
        if not codes:
            raise ConfigError(
                f"watchlist {shown(url)} holds no codes: the gateway's rank is empty now"
            )
        return codes
    if url == STANDARD_INPUT:
        return watchlist.parse(_standard_input(), url)
    import fsspec  # noqa: PLC0415 - not everybody has a file

    try:
        with fsspec.open(url, "rb", **(storage_options or {})) as file:
            data: bytes = file.read()
    except Exception as error:  # noqa: BLE001 - whatever a file system has
        told = _unread(error, url, storage_options)
        raise told from told.__cause__
    return watchlist.parse(watchlist.decoded(data, shown(url)), shown(url))


def _unread(error: Exception, url: str, options: Mapping[str, Any] | None) -> Exception:
    """What is said of a watchlist that cannot be read: never what is secret in its URL."""
    reason = hide_secrets(str(error), url, options)
    told: Exception
    if isinstance(error, ValueError):  # fsspec knows no such protocol
        told = ConfigError(f"watchlist {shown(url)!r} cannot be opened: {reason}")
    elif isinstance(error, FileNotFoundError):  # some file systems say no more than the name
        told = FileNotFoundError(errno.ENOENT, "There is no such watchlist", shown(url))
    elif isinstance(error, (ImportError, OSError)):
        # Its kind, so that whoever expects that is answered, without a class of its own.
        kind = next(each for each in type(error).__mro__ if each.__module__ == "builtins")
        told = kind(f"watchlist {shown(url)!r} cannot be read: {reason}")
    else:  # some file systems have errors of their own kind
        told = OSError(f"watchlist {shown(url)!r} cannot be read: {reason}")
    # A traceback shows causes as they are.
    told.__cause__ = error if is_safe(with_causes(error), url, options) else None
    return told


def _standard_input() -> str:
    """Text of the watchlist ``-``."""
    try:
        given = getattr(sys.stdin, "buffer", sys.stdin)
        data: bytes | str = given.read()
    except (AttributeError, ValueError) as error:  # there is none; it is closed
        raise ConfigError(
            "watchlist '-' is standard input, which is closed: name a file, or pipe the codes in"
        ) from error
    # In a test or a notebook it may be something that holds text.
    return data if isinstance(data, str) else watchlist.decoded(data, "-")
