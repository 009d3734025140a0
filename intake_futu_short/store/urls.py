"""Checks the URLs of stores, and hides the secrets in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import fsspec
from fsspec.implementations.cached import CachingFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem
from fsspec.utils import get_protocol

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "hide_secrets",
    "is_safe",
    "local_path",
    "masked",
    "refuse_masked",
    "refuse_user_of_no_scheme",
    "shown",
]

# A name with a password extends to the last @, since a password may contain an @ or a slash. A name
# alone ends before the first slash.
_USER = re.compile(r"(?<=://)(?:[^:/@]*:.*@|[^/@]*@)")
_QUERY = re.compile(r"[?#].+")
# A user and a password before a host, without a scheme or with one slash in place of two: it looks
# like a path.
_USER_OF_NO_SCHEME = re.compile(r"(?:\w{2,}:/)?[^/\\:]+(?<!\A.):(?![:/\\]).+@[^/\\]")
# A local path below a home directory.
_HOME = re.compile(r"(?:(?:file|local):(?://)?)?(~[^/\\]*)")
_HIDDEN = "***"
# Values of options up to this length are not hidden: they are no secrets, and occur within words.
_SHORT = 3


def shown(url: str) -> str:
    """URL for messages, without passwords, query and fragment."""
    if "://" not in url:
        return url
    links = _links(url)
    # A password with :: breaks the URL into false links, and a ? or # before an @ belongs to a
    # password.
    is_torn = any("@" in link and "://" not in link for link in links)
    users = [user[0] for user in map(_USER.search, links) if user]
    if is_torn or any(_QUERY.search(user) for user in users):
        return f"{url.partition('://')[0]}://{_HIDDEN}"
    return "::".join(
        _USER.sub(f"{_HIDDEN}@", _QUERY.sub(lambda query: f"{query[0][0]}{_HIDDEN}", link))
        for link in links
    )


def masked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with asterisks for the secrets in URLs and options, so that they can be written.

    `refuse_masked` raises an error when such arguments are used again.
    """
    found = dict(arguments)
    for name in {"store", "watchlist"} & found.keys():
        # The options of a rank are known, and none is a secret.
        if not found[name].strip().lower().startswith("rank:"):
            found[name] = shown(found[name])
    if "storage_options" in found:
        found["storage_options"] = _masked(found["storage_options"])
    return found


def refuse_masked(name: str, value: object) -> None:
    """Refuse a value that `masked` has written.

    Raises
    ------
    ConfigError
        When it has asterisks in place of a secret.
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            refuse_masked(f"{name}[{described(key)}]", each)
    elif isinstance(value, list):
        for each in value:
            refuse_masked(name, each)
    elif isinstance(value, str) and (value == _HIDDEN or ("://" in value and _HIDDEN in value)):
        raise ConfigError(
            f"{name} has *** in the place of a secret, which yaml() does not write: give the value "
            "itself, or leave it to the environment or to the configuration of fsspec "
            "(~/.config/fsspec)"
        )


def refuse_user_of_no_scheme(name: str, url: str) -> None:
    """Refuse a user and a password without a scheme, which would be taken for a path.

    Raises
    ------
    ConfigError
        The message repeats neither of them.
    """
    if "://" not in url and _USER_OF_NO_SCHEME.match(url):
        raise ConfigError(
            f"{name} has a user and a password, and no scheme: expected a URL such as "
            "'ftp://USER:PASSWORD@HOST/PATH', or a path"
        )


def hide_secrets(text: str, url: str, options: Mapping[str, Any] | None = None) -> str:
    """Replace the secrets of a URL and the values of options in a text by asterisks."""
    secrets = {*_secrets_in(url), *_values(options)}
    secrets |= {form for secret in secrets for form in (unquote(secret), repr(secret)[1:-1])}
    # The longest first, because one secret may be a part of another.
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def is_safe(
    errors: Iterable[BaseException], url: str, options: Mapping[str, Any] | None = None
) -> bool:
    """Whether none of the errors quotes a secret in its traceback."""
    said = [text for error in errors for text in (repr(error), str(error))]
    return said == [hide_secrets(text, url, options) for text in said]


def _secrets_in(url: str) -> Iterator[str]:
    if "://" not in url:
        return
    for link in {url, *_links(url)}:
        user = _USER.search(link)
        query = _QUERY.search(link)
        found = user[0][:-1] if user else ""
        yield from (found, found.partition(":")[2], query[0][1:] if query else "")
        # A file system may quote only a part of a password.
        yield from (part for part in re.split("[:@/?#]", found) if len(part) > _SHORT)
        for value in re.split("[?&#]", query[0] if query else ""):
            yield value.partition("=")[2] if "=" in value else value


def _values(options: object) -> Iterator[str]:
    """Values of options at any depth. A URL among them gives only its secrets."""
    if isinstance(options, Mapping):
        options = list(options.values())
    if isinstance(options, (list, tuple, set, frozenset)):
        for option in options:
            yield from _values(option)
    elif isinstance(options, bytes):
        yield from _values(options.decode("utf-8", "replace"))
    elif isinstance(options, str) and "://" in options:
        yield from _secrets_in(options)
    elif isinstance(options, (str, int, float)) and not isinstance(options, bool):
        yield from [str(options)] if len(str(options)) > _SHORT else []


def _masked(option: Any) -> Any:
    if isinstance(option, Mapping):
        return {name: _masked(each) for name, each in option.items()}
    if isinstance(option, list):
        return [_masked(each) for each in option]
    if isinstance(option, str) and "://" in option:
        return shown(option)
    return option if option is None or isinstance(option, bool) else _HIDDEN


def local_path(url: str, options: Mapping[str, Any]) -> str | None:
    """Absolute path of a store on a local disk; None for a store elsewhere.

    Raises
    ------
    ConfigError
        When no store can be at this URL, or a package for its protocol is not installed.
    """
    links = _links(url)
    classes = [_class(_protocol(link, links), url) for link in links]
    classes += [_class(name, url) for name in _named_in(options)]
    classes += [type(fs) for fs in options.values() if isinstance(fs, AbstractFileSystem)]
    if any(issubclass(each, CachingFileSystem) for each in classes):
        raise ConfigError(
            f"store {shown(url)!r}: a file system that answers from its own cache cannot be a "
            "store, since reads would miss what others have saved. Leave the cache out: name "
            f"the store itself, such as {shown(links[-1]) if len(links) > 1 else 's3://bucket/x'!r}"
        )
    if len(links) > 1 or not issubclass(classes[0], LocalFileSystem):
        return None
    home = _HOME.match(url)
    if home and os.path.expanduser(home[1]) == home[1]:
        raise ConfigError(
            f"store {shown(url)!r}: there is no home directory {home[1]!r}. Write the path out; "
            f"a directory that is named so is './{home[1]}'"
        )
    # Absolute, because a worker may have another working directory.
    return str(classes[0]._strip_protocol(url))


def _links(url: str) -> list[str]:
    return url.split("::")


def _protocol(link: str, links: list[str]) -> str:
    # In a chain, a link of small letters is a protocol, and any other is a path or a URL.
    return link if len(links) > 1 and link.isalpha() and link.islower() else get_protocol(link)


def _class(protocol: str, url: str) -> type[Any]:
    if protocol in {"http", "https"}:
        raise ConfigError(
            f"store {shown(url)!r}: a web server does not list its files, so it cannot be a store. "
            "Name the directory or the bucket behind it, or copy the files to a local disk"
        )
    try:
        found: type[Any] = fsspec.get_filesystem_class(protocol)
    except Exception as error:
        # A protocol's package may be broken, and raise any error when it is imported.
        if protocol in fsspec.available_protocols():
            raise ConfigError(f"store {shown(url)!r}: {hide_secrets(str(error), url)}") from error
        raise ConfigError(
            f"store {shown(url)!r}: fsspec knows no protocol {described(protocol)}. Accepted are a "
            "local path and the URLs of fsspec's file systems, such as 's3://bucket/short'"
        ) from error
    return found


def _named_in(options: Mapping[str, Any]) -> Iterator[str]:
    """Protocols of further file systems that are named in options."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _named_in({str(key): each for key, each in value.items()})
        elif name in {"target_protocol", "remote_protocol"} and isinstance(value, str):
            yield value
