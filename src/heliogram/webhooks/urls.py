"""A webhook's address: read strictly, so that no two programs can read it differently."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from ..domain.webhooks import MAX_URL
from . import addresses

_URL = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_HOST = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)
_PORTS = {"https": 443, "http": 80}


class BadUrl(ValueError):
    """An address that cannot be used; the message says why and what to do."""


class UrlRules(msgspec.Struct, frozen=True, kw_only=True):
    """What an address may be beyond https to a public host."""

    allow_http: bool = False
    allow_private: bool = False


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A read address: where to connect, and what to ask for."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"


def read(url: str, rules: UrlRules) -> Target:
    """The target of an address. Raises `BadUrl`."""
    if len(url) > MAX_URL:
        raise BadUrl(f"at most {MAX_URL} characters, this one has {len(url)}")
    if not _URL.fullmatch(url):
        raise BadUrl("only the characters of a URL: percent-encode the others, and write the host in punycode")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"not a URL: {error}") from None
    if parts.scheme not in _PORTS or (parts.scheme == "http" and not rules.allow_http):
        raise BadUrl("expected an address that begins with https://" + (" (or http://)" if rules.allow_http else ""))
    if "@" in parts.netloc:
        raise BadUrl("no user name or password in it: the requests are signed instead")
    if "#" in url:
        raise BadUrl("no fragment (#…) in it")
    if port == 0:
        raise BadUrl("port 0 cannot be reached")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = _host(parts.hostname or "", rules)
    if "[" in parts.netloc and ":" not in host:
        raise BadUrl("only an IPv6 address stands in brackets")
    return Target(secure=parts.scheme == "https", host=host, port=port or _PORTS[parts.scheme], path=path)


def _host(host: str, rules: UrlRules) -> str:
    try:
        address = addresses.parse(host)
    except ValueError:
        return _name(host, rules)
    if (why := addresses.refusal(address, allow_private=rules.allow_private)) is not None:
        raise BadUrl(f"{host} is not a public address ({why})")
    return host


def _name(host: str, rules: UrlRules) -> str:
    if not _HOST.fullmatch(host):
        raise BadUrl("it needs a host such as hooks.example.com")
    last = host.rstrip(".").rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):
        raise BadUrl(f"{host} is a number in disguise: write an address as four numbers with dots")
    if last == "localhost" and not rules.allow_private:
        raise BadUrl(f"{host} is not a public host (loopback)")
    return host
