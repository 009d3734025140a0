"""Gateway URLs: ``opend://HOST:PORT[?OPTIONS]`` and ``sample://``. Pure.

Options are joined by ``&`` and percent-encoded where they must be: ``rsa_key=PATH``,
``cipher=AES_CBC`` (or another `Algorithm`), ``limit=N/SECONDS`` or ``limit=off``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from intake_futu_short.described import (
    described,
    described_path,
    is_like_key,
    is_like_secret,
    kind,
)
from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.cipher import Algorithm
from intake_futu_short.wording import argument

__all__ = [
    "DEFAULT_PORT",
    "DEFAULT_URL",
    "ENVIRONMENT_VARIABLE",
    "SAMPLE_URL",
    "GatewayURL",
    "Limit",
    "key_path",
]

DEFAULT_PORT = 11111
DEFAULT_URL = f"opend://127.0.0.1:{DEFAULT_PORT}"
SAMPLE_URL = "sample://"
ENVIRONMENT_VARIABLE = "FUTU_OPEND"

_LIMIT_FORM = re.compile(r"(\d{1,6})/(\d{1,6}(?:\.\d{1,6})?)")
# The part of a URL after its scheme that may be shown: a host, and a numeric port.
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.]*\]?|[\w.-]{0,60})(?::\d{0,6}(?![^/?#]))?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}")
_HOST = re.compile(r"[\w.:%-]{1,253}")
# A label this long may be a secret: hosts' labels are shorter, or in small letters.
_LONG_LABEL = 40
_OPTION_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,19}")
_OPTIONS = "rsa_key=PATH, cipher=AES_CBC, limit=N/SECONDS and limit=off"
_ACCEPTED = f"'opend://HOST:PORT' (OpenD, such as {DEFAULT_URL!r}) or {SAMPLE_URL!r} (examples)"


@dataclass(frozen=True)
class Limit:
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds:g}"

    @classmethod
    def parse(cls, text: str) -> Limit | Literal["off"]:
        """Read ``"N/SECONDS"`` or ``"off"``.

        Raises
        ------
        ConfigError
            For anything else.
        """
        if text == "off":
            return "off"
        match = _LIMIT_FORM.fullmatch(text)
        if match is None or int(match[1]) == 0 or float(match[2]) == 0:
            raise ConfigError(
                f"limit must be 'N/SECONDS' (30/30: 30 requests in any 30 seconds) or 'off', "
                f"not {described(text)}"
            )
        return cls(int(match[1]), float(match[2]))


@dataclass(frozen=True)
class GatewayURL:
    """Where a gateway listens.

    Attributes
    ----------
    host : str
        Host name or address; ``""`` for the sample.
    port : int
        TCP port; 0 for the sample, which takes a free one when it starts.
    limit : Limit, "off" or None
        Replaces the limit of every call; ``"off"`` means that there is none. None leaves each call
        its own.
    rsa_key : str or None
        Path of the RSA key; None leaves the connection unencrypted.
    algorithm : Algorithm
        The cipher to ask for when there is a key.
    """

    host: str
    port: int
    limit: Limit | Literal["off"] | None = None
    rsa_key: str | None = None
    algorithm: Algorithm = Algorithm.AES_CBC

    @property
    def is_sample(self) -> bool:
        """Whether the gateway is the sample in this package."""
        return not self.host

    def __str__(self) -> str:
        if self.is_sample:
            return SAMPLE_URL
        host = f"[{self.host}]" if ":" in self.host else self.host
        options = []
        if self.rsa_key is not None:
            options.append(f"rsa_key={quote(self.rsa_key, safe='/~:')}")
        if self.algorithm is not Algorithm.AES_CBC:
            options.append(f"cipher={self.algorithm.name}")
        if self.limit is not None:
            options.append(f"limit={self.limit}")
        query = "?" + "&".join(options) if options else ""
        return f"opend://{host}:{self.port}{query}"

    def limit_of(self, own: Limit) -> Limit | None:
        """Limit for a call whose own limit is `own`; None when there is none."""
        if self.limit == "off":
            return None
        return self.limit or own

    def with_rsa_key(self, path: str | None) -> GatewayURL:
        """Add the key that an argument names; None leaves the URL as it is.

        Raises
        ------
        ConfigError
            When the URL names another key.
        """
        if path is None:
            return self
        if self.rsa_key not in {None, path}:
            raise ConfigError(
                f"{argument('rsa_key')} is {described_path(path)}, but the gateway's URL names "
                f"{described_path(self.rsa_key or '')}: one of them"
            )
        return replace(self, rsa_key=path)

    @classmethod
    def of(cls, host: object, port: object) -> GatewayURL:
        """Check a host and a port that were given separately.

        Raises
        ------
        ConfigError
            When either is impossible.
        """
        if not isinstance(host, str) or not _HOST.fullmatch(host) or _is_no_host(host):
            raise ConfigError(f"host must be a host name or an address, not {described(host)}")
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            raise ConfigError(f"port must be a whole number from 1 to 65535, not {described(port)}")
        return cls(host, port)

    @classmethod
    def parse(cls, url: object) -> GatewayURL:
        """Read a gateway URL.

        Raises
        ------
        ConfigError
            For anything but the accepted forms. The message repeats only the host, the port and the
            names of options, because a mistyped URL may hold a password or a key.
        """
        if not isinstance(url, str):
            raise ConfigError(f"gateway must be a URL, not {described(url)}: {_ACCEPTED}")
        if url.lower().rstrip("/") == SAMPLE_URL.rstrip("/"):
            return cls("", 0, "off")
        if "@" in url:
            raise ConfigError(f"a gateway URL takes no user or password: expected {_ACCEPTED}")
        if "://" not in url:
            raise ConfigError(f"gateway {_shown(url)} has no scheme: expected {_ACCEPTED}")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # its text may quote the URL
            raise ConfigError(
                f"gateway {_shown(url)} has no port from 1 to 65535, or its brackets do not match: "
                f"expected {_ACCEPTED}"
            ) from None
        if parts.scheme != "opend":
            raise ConfigError(
                f"gateway {_shown(url)} has the unknown scheme {described(parts.scheme)}: expected "
                f"{_ACCEPTED}"
            )
        if parts.fragment or parts.path not in {"", "/"}:
            raise ConfigError(f"gateway {_shown(url)} has more than a host and a port: {_ACCEPTED}")
        if not host:
            raise ConfigError(f"gateway {_shown(url)} names no host: expected {_ACCEPTED}")
        # urlsplit has put the host in small letters, in which a key no longer looks like one.
        as_given = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
        if _is_no_host(as_given):
            cls.of(as_given, DEFAULT_PORT)
        address = cls.of(host, DEFAULT_PORT if port is None else port)
        return replace(address, **_options(url, parts.query))


def key_path(value: object) -> str:
    """Check the path of an RSA key.

    Raises
    ------
    ConfigError
        When it is no path. The message does not repeat a key given in its place.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(
            f"{argument('rsa_key')} must be the path of a file, not {described(value)}"
        )
    if is_like_key(value):
        raise ConfigError(
            f"{argument('rsa_key')} must be the path of the file with the key, not the key itself, "
            f"which a catalog would print ({described(value)} was given)"
        )
    return str(value)  # a string of another class, such as numpy's, is no plain YAML value


def _options(url: str, query: str) -> dict[str, Any]:
    """Attributes that the options of a URL set."""
    options: dict[str, Any] = {}
    for option in query.split("&") if query else []:
        name, _, encoded = option.partition("=")
        value = unquote(encoded)
        if name == "rsa_key" and name not in options:
            options[name] = key_path(value)
        elif name == "limit" and name not in options:
            options[name] = Limit.parse(value)
        elif name == "cipher" and "algorithm" not in options:
            options["algorithm"] = _algorithm(value)
        else:
            # If a password contains an ampersand, what follows is not a name.
            is_name = "=" in option and _OPTION_NAME.fullmatch(name)
            raise ConfigError(
                f"gateway {_shown(url)} has {'twice' if name in options else 'an unknown option'}"
                f"{f': {name!r}' if is_name else ''}. There are {_OPTIONS}"
            )
    return options


def _shown(url: str) -> str:
    """Scheme, host and port of a URL; asterisks stand for the rest, which may be a secret."""
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    place = _PLACE.match(rest)
    end = 0 if place is None else place.end()
    is_plain = rest[end : end + 1] in {"", ":", "/", "?", "#"} and (
        not mark or _SCHEME.fullmatch(scheme)
    )
    # A slash may be part of a key.
    if not is_plain or is_like_secret(re.split("[?#]", url, maxsplit=1)[0]):
        return f"({kind(url)})"
    return repr(scheme + mark + rest[: end + 1] + ("***" if rest[end:] else ""))


def _is_no_host(text: str) -> bool:
    return is_like_secret(text) and max(map(len, text.split("."))) >= _LONG_LABEL


def _algorithm(name: str) -> Algorithm:
    if name not in Algorithm.__members__:
        raise ConfigError(
            f"cipher must be one of {', '.join(Algorithm.__members__)}, not {described(name)}"
        )
    return Algorithm[name]
