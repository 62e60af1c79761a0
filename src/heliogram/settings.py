"""What a running service is told: typed, checked once, with messages that name the option."""

from __future__ import annotations

import enum
import ipaddress
import ssl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from .domain.backlog import DEFAULT_QUEUED, LEAST_QUEUED, MAX_QUEUED, QueueBounds
from .domain.shards import DEFAULT_SHARDS, MAX_SHARDS, Sharding
from .forwarded import Network

MAX_DRAIN_SECONDS = 3600
MAX_RETENTION_DAYS = 365
MAX_SENDERS = 64
MAX_STORE_CONNECTIONS = 200
STORE_CONNECTIONS = 16
LEASE_SECONDS = 60
LEAST_LEASE_SECONDS = 5
MAX_LEASE_SECONDS = 600
STORE_SCHEMES = ("postgresql", "postgres")
QUEUE_SCHEMES = ("nats", "tls")
PROXY_SCHEMES = ("http", "socks5", "socks5h")
MAX_PROXIES = 64


class SettingsError(ValueError):
    """A setting is wrong; the message names it and says what to do."""


class Role(enum.StrEnum):
    """What a node does."""

    API = "api"
    """Serves the REST API."""
    WORKER = "worker"
    """Sends."""
    DISPATCHER = "dispatcher"
    """Hands out work where there is a broker, tells webhooks, and removes what is over. Several may run: they take
    turns."""


ALL_ROLES = frozenset(Role)


def parse_roles(text: str) -> frozenset[Role]:
    """Reads `api,worker,dispatcher`, any of them, or `all`. Raises `SettingsError`."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return ALL_ROLES
    try:
        roles = frozenset(map(Role, names))
    except ValueError:
        roles = frozenset()
    if not roles:
        raise SettingsError(f"--role: expected some of {', '.join(Role)} with commas between, or all; got {text!r}")
    return roles


class Url(msgspec.Struct, frozen=True):
    """The address of another service, which may hold a password: shown without it."""

    text: str

    @classmethod
    def parse(cls, text: str, *, option: str, schemes: tuple[str, ...]) -> Url:
        """Raises `SettingsError` naming the option."""
        try:
            parts = urlsplit(text)
            scheme, port = parts.scheme, parts.port
        except ValueError:
            scheme, port = "", None
        # After the host there is no @: it is the end of a password in which a / or # or ? stands, and which would be
        # taken for a host, and shown.
        if scheme not in schemes or port == 0 or "@" in f"{parts.path}{parts.query}{parts.fragment}":
            # What was given may hold a password: it is not repeated.
            raise SettingsError(
                f"{option}: expected an address that begins with {' or '.join(f'{s}://' for s in schemes)}, a port from"
                " 1 to 65535 if any, and in names and passwords %40 for @, %3A for :, %2F for /,"
                " %3F for ?, %23 for # and %25 for %"
            )
        return cls(text)

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __str__(self) -> str:
        parts = urlsplit(self.text)
        place = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{place}{parts.path}"


def parse_urls(text: str, *, option: str, schemes: tuple[str, ...]) -> tuple[Url, ...]:
    """Reads addresses with commas between. Raises `SettingsError` naming the option."""
    return tuple(Url.parse(each.strip(), option=option, schemes=schemes) for each in text.split(",") if each.strip())


def parse_networks(text: str, *, option: str) -> tuple[Network, ...]:
    """Reads addresses and networks with commas between. Raises `SettingsError` naming the option."""
    found = []
    for each in filter(None, map(str.strip, text.split(","))):
        try:
            network = ipaddress.ip_network(each)
        except ValueError as error:
            example = "10.0.0.7 or 10.0.0.0/24"
            raise SettingsError(f"{option}: expected addresses or networks such as {example}: {error}") from None
        if not network.prefixlen:
            raise SettingsError(f"{option}: {each} is everybody, whom nobody should believe: name the proxies")
        found.append(network)
    if len(found) > MAX_PROXIES:
        raise SettingsError(f"{option}: expected at most {MAX_PROXIES}, got {len(found)}: name networks")
    return tuple(found)


def parse_hot_teams(pairs: Iterable[str]) -> dict[str, int]:
    """Reads `TEAM=N` pairs. Raises `SettingsError`."""
    found = {}
    for pair in pairs:
        team, equals, count = pair.partition("=")
        if not equals or not team or not (count.isascii() and count.isdigit()):
            raise SettingsError(f"--hot-team: expected TEAM=N such as ABCDE12345=4, got {pair!r}")
        found[team] = int(count)
    return found


class Address(msgspec.Struct, frozen=True):
    """A host and a port to listen on or to connect to."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, option: str = "address") -> Address:
        """Reads `HOST:PORT`, `[IPv6]:PORT` or `:PORT` (loopback). Raises `SettingsError` naming the option."""
        host, colon, port = text.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise SettingsError(f"{option}: expected HOST:PORT such as 127.0.0.1:8080, got {text!r}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `heliogram serve` needs. `apns_*` point the engine at a simulator; None means Apple. Without `store`
    everything is kept in `data`, and this process does all of it."""

    data: Path = Path("data")
    store: Url | None = None
    store_connections: int = STORE_CONNECTIONS
    lease_seconds: int = LEASE_SECONDS
    queue: tuple[Url, ...] = ()
    queue_shards: int = DEFAULT_SHARDS
    hot_teams: Mapping[str, int] = {}
    roles: frozenset[Role] = ALL_ROLES
    listen: Address = Address("127.0.0.1", 8080)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    dashboard: bool = True
    apns_production: Address | None = None
    apns_sandbox: Address | None = None
    apns_manage_production: Address | None = None
    apns_manage_sandbox: Address | None = None
    apns_cacert: Path | None = None
    apns_proxy: Url | None = None
    master_key: Path | None = None
    metrics: Address | None = None
    log_level: str = "info"
    log_format: str = "auto"
    drain_seconds: float = 30.0
    senders: int = 0
    max_queued: int = DEFAULT_QUEUED
    max_queued_per_account: int | None = None
    retention_days: int = 7
    history_days: int = 90
    webhooks_allow_private: bool = False
    webhooks_allow_http: bool = False

    def check(self) -> None:
        """Raises `SettingsError` for the first thing that cannot work or should not be done unawares."""
        for problem in self.problems():
            raise SettingsError(problem)

    def problems(self) -> Iterator[str]:
        """Everything that cannot work or should not be done unawares: each with its option, and what to do."""
        if (self.tls_cert is None) != (self.tls_key is None):
            yield "--tls-cert and --tls-key go together: give both, or neither"
        missing = [(option, path) for option, path in self._files if path is not None and not path.is_file()]
        for option, path in missing:
            yield f"{option}: there is no file {path}"
        if not 0 <= self.drain_seconds <= MAX_DRAIN_SECONDS:  # a NaN is in no range
            yield f"--drain-seconds: expected 0 to {MAX_DRAIN_SECONDS}, got {self.drain_seconds}"
        if not 0 <= self.senders <= MAX_SENDERS:
            yield f"--senders: expected 0 to {MAX_SENDERS}, got {self.senders}"
        yield from self._bounds_problems()
        yield from self._cluster_problems()
        if not 1 <= self.retention_days <= MAX_RETENTION_DAYS:
            yield f"--retention-days: expected 1 to {MAX_RETENTION_DAYS}, got {self.retention_days}"
        if not 1 <= self.history_days <= MAX_RETENTION_DAYS:
            yield f"--history-days: expected 1 to {MAX_RETENTION_DAYS}, got {self.history_days}"
        if not missing:
            yield from self._content_problems()
        if self.trusted_proxies and not self.behind_proxy:
            yield "--trusted-proxies goes with --behind-proxy: without it nobody is believed"
        keys_travel = Role.API in self.roles and self.tls_cert is None and not self.behind_proxy
        if keys_travel and not self.listen.is_loopback:
            yield (
                f"--listen {self.listen} can be reached from other machines, and API keys would travel in the clear: "
                "give --tls-cert and --tls-key, or say --behind-proxy when a proxy in front speaks TLS"
            )

    @property
    def _files(self) -> tuple[tuple[str, Path | None], ...]:
        return ("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key), ("--apns-cacert", self.apns_cacert)

    @property
    def queue_bounds(self) -> QueueBounds:
        """How many recipients may wait. An account may fill half of the queue where nothing else is said."""
        return QueueBounds.of(self.max_queued, self.max_queued_per_account)

    @property
    def sharding(self) -> Sharding:
        """Which shard a team's sends go through: there is one without a broker."""
        return Sharding(count=self.queue_shards, hot=dict(self.hot_teams)) if self.queue else Sharding()

    def _bounds_problems(self) -> Iterator[str]:
        if not LEAST_QUEUED <= self.max_queued <= MAX_QUEUED:
            yield f"--max-queued: expected {LEAST_QUEUED} to {MAX_QUEUED}, got {self.max_queued}"
        own = self.max_queued_per_account
        if own is not None and not LEAST_QUEUED <= own <= self.max_queued:
            yield f"--max-queued-per-account: expected {LEAST_QUEUED} to {self.max_queued} (--max-queued), got {own}"

    def _cluster_problems(self) -> Iterator[str]:
        """One of several nodes, or alone on the embedded store."""
        for option, value, least, most in (
            ("--store-connections", self.store_connections, 2, MAX_STORE_CONNECTIONS),
            ("--lease-seconds", self.lease_seconds, LEAST_LEASE_SECONDS, MAX_LEASE_SECONDS),
            ("--queue-shards", self.queue_shards, 1, MAX_SHARDS),
        ):
            if not least <= value <= most:
                yield f"{option}: expected {least} to {most}, got {value}"
        try:
            _ = self.sharding
        except ValueError as error:
            yield f"--hot-team: {error}"
        if self.store is not None:
            if self.senders:
                yield "--senders goes with the embedded store: here, start further nodes with --role worker"
            return
        if self.lease_seconds != LEASE_SECONDS:
            yield "--lease-seconds goes with --store postgresql://…: the embedded store has one node"
        if self.queue:
            yield "--queue goes with --store postgresql://…: the embedded store is a queue of its own"
        if self.roles != ALL_ROLES:
            yield (
                "--role: the embedded store is for one process, which does all; give --store postgresql://… for several"
            )

    def _content_problems(self) -> Iterator[str]:
        """What would else be found out at the first connection."""
        if self.tls_cert is not None and self.tls_key is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key)
            except (ssl.SSLError, OSError) as error:
                yield f"--tls-cert, --tls-key: not a PEM certificate and its key ({error})"
        if self.apns_cacert is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.apns_cacert)
            except (ssl.SSLError, OSError) as error:
                yield f"--apns-cacert: not a PEM certificate ({error})"
