"""Where APNs lives (CONN-1, CONN-3, CONN-4)."""

from __future__ import annotations

import enum

import msgspec


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One host and port to connect to."""

    host: str
    port: int = 443

    @property
    def authority(self) -> str:
        """The value of `:authority`: the port only when it is not 443."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """`host`, `host:port`, `[v6]` or `[v6]:port`. Raises `ValueError`."""
        if "://" in text or "/" in text:
            raise ValueError(f"endpoint: {text!r} is a URL; give host:port")
        if text.startswith("["):
            host, _, rest = text[1:].partition("]")
            port = rest.removeprefix(":")
        else:
            host, _, port = text.partition(":")
        if not host:
            raise ValueError(f"endpoint: {text!r} has no host; give host:port, an IPv6 address in brackets")
        if not host.isascii() or not host.isprintable() or " " in host:
            raise ValueError(f"endpoint: {text!r} is no host name; give it in ASCII, an international one as xn--…")
        if not port:
            return cls(host)
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"endpoint: {text!r} needs a port from 1 to 65535")
        return cls(host, int(port))


class Environment(enum.StrEnum):
    """The two worlds of APNs; a device token belongs to one of them (LIFE-4)."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"

    @property
    def endpoint(self) -> Endpoint:
        """Apple's host for device pushes, port 443."""
        return _ENDPOINTS[self]

    @property
    def channel_endpoint(self) -> Endpoint:
        """Apple's host for managing broadcast channels (CONN-3)."""
        return _CHANNEL_ENDPOINTS[self]

    @property
    def broadcast_endpoint(self) -> Endpoint:
        """Apple's host for sending broadcasts: the one of device pushes.

        Apple names a second one too, `api-broadcast.push.apple.com` or `api-broadcast.sandbox.push.apple.com`; both
        are in use (CONN-4, CONN-4a).
        """
        return _ENDPOINTS[self]


_ENDPOINTS = {
    Environment.PRODUCTION: Endpoint("api.push.apple.com"),
    Environment.SANDBOX: Endpoint("api.sandbox.push.apple.com"),
}

_CHANNEL_ENDPOINTS = {
    Environment.PRODUCTION: Endpoint("api-manage-broadcast.push.apple.com", 2196),
    Environment.SANDBOX: Endpoint("api-manage-broadcast.sandbox.push.apple.com", 2195),
}
