"""The settings: each described once.

To add one: a field in `ServeSettings`, and a row here; then run `scripts/settings-reference`. The option, the
environment variable and the key in the file come by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..domain.backlog import LEAST_QUEUED, MAX_QUEUED
from ..domain.shards import MAX_SHARDS
from ..settings import (
    LEAST_LEASE_SECONDS,
    MAX_DRAIN_SECONDS,
    MAX_LEASE_SECONDS,
    MAX_RETENTION_DAYS,
    MAX_SENDERS,
    MAX_STORE_CONNECTIONS,
    PROXY_SCHEMES,
    QUEUE_SCHEMES,
    STORE_SCHEMES,
    ServeSettings,
)
from .kinds import Counts, Flag, HostPort, Kind, Number, OneOf, PathTo, ProxyUrl, Roles, UrlOf, UrlsOf, Whole
from .networks import Networks

PREFIX: Final = "HELIOGRAM_"
_FIELDS = {field.name: field for field in msgspec.structs.fields(ServeSettings)}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting, with the same name in three spellings: `--queue-shards`, `HELIOGRAM_QUEUE_SHARDS`, `queue_shards`.

    `field` is where `ServeSettings` has it, if under another name. A `secret` may be given by file, `NAME_file`, or as
    the systemd credential `heliogram-NAME`, and is never shown. `empty` says what no value means.
    """

    name: str
    kind: Kind
    meaning: str
    group: str
    field: str = ""
    unit: str = ""
    empty: str = ""
    secret: bool = False
    since: str = "0.1"
    older: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

    @property
    def credential(self) -> str:
        """Its name among systemd's credentials, of a secret."""
        return "heliogram-" + self.name.replace("_", "-")

    @property
    def target(self) -> str:
        """Its field of `ServeSettings`."""
        return self.field or self.name

    @property
    def default(self) -> Any:
        """Its value when nobody says anything."""
        field = _FIELDS[self.target]
        return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()

    @property
    def default_words(self) -> str:
        """The default for people; empty when there is none."""
        shown = self.kind.show(self.default)
        if isinstance(shown, bool):
            return str(shown).lower()
        return self.empty if shown in (None, [], {}) else str(shown)


PLACE, SHARED, HTTP, APNS, SENDING, KEEPING, WEBHOOKS = (
    "Where things are kept",
    "Several nodes",
    "The API",
    "Where APNs is",
    "Sending",
    "Keeping and logging",
    "Webhooks",
)

SETTINGS: Final = (
    Setting(
        name="data",
        kind=PathTo(directory=True),
        group=PLACE,
        meaning="The directory of the database and the master key (made with mode 0700).",
    ),
    Setting(
        name="store",
        kind=UrlOf(STORE_SCHEMES),
        group=PLACE,
        secret=True,
        empty="the database in data",
        meaning="postgresql://user@host/database, which several nodes share, in place of the database in --data. A"
        " password belongs in ~/.pgpass, the environment or a file: everybody on the machine can read command lines.",
    ),
    Setting(
        name="store_connections",
        kind=Whole(2, MAX_STORE_CONNECTIONS),
        group=PLACE,
        meaning="The most connections of this node to --store.",
    ),
    Setting(
        name="master_key_file",
        kind=PathTo(),
        group=PLACE,
        field="master_key",
        older=("--master-key",),
        empty="HELIOGRAM_MASTER_KEY, the systemd credential heliogram-master-key, or master.key in data",
        meaning="The file of the key that seals secrets, the same on all nodes. Without any, one is made in --data (not"
        " with --store).",
    ),
    Setting(
        name="role",
        kind=Roles(),
        group=SHARED,
        field="roles",
        meaning="What this node does, with --store: api, worker, dispatcher, several with commas between, or all.",
    ),
    Setting(
        name="lease_seconds",
        kind=Whole(LEAST_LEASE_SECONDS, MAX_LEASE_SECONDS),
        group=SHARED,
        unit="seconds",
        meaning="With --store: so long after a node died or was cut off the others take over what it had in hand. Give"
        " all nodes the same, and let their clocks differ by much less.",
    ),
    Setting(
        name="queue",
        kind=UrlsOf(QUEUE_SCHEMES),
        group=SHARED,
        secret=True,
        empty="the store hands out work itself",
        meaning="nats://host:4222, a NATS JetStream that hands out work, beside --store; several servers with commas"
        " between.",
    ),
    Setting(
        name="queue_shards",
        kind=Whole(1, MAX_SHARDS),
        group=SHARED,
        meaning="With --queue: into how many shards teams are divided. Give all nodes the same.",
    ),
    Setting(
        name="hot_team",
        kind=Counts(),
        group=SHARED,
        field="hot_teams",
        empty="none",
        meaning="With --queue: this team is too much for one worker, and gets N shards; may be given again.",
    ),
    Setting(
        name="listen",
        kind=HostPort(),
        group=HTTP,
        meaning="Where the REST API listens, or /health of a node without it. Beyond loopback: TLS or --behind-proxy.",
    ),
    Setting(
        name="tls_cert",
        kind=PathTo(),
        group=HTTP,
        empty="plain HTTP",
        meaning="Serve HTTPS with this certificate chain (PEM).",
    ),
    Setting(
        name="tls_key",
        kind=PathTo(),
        group=HTTP,
        empty="plain HTTP",
        meaning="The private key of --tls-cert (PEM).",
    ),
    Setting(
        name="behind_proxy",
        kind=Flag(),
        group=HTTP,
        meaning="A proxy in front speaks TLS: allow plain HTTP beyond loopback.",
    ),
    Setting(
        name="trusted_proxies",
        kind=Networks(),
        group=HTTP,
        empty="one proxy, on this machine or in a private network",
        meaning="With --behind-proxy: the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, addresses"
        " or networks with commas between. The rightmost address that is none of theirs is the caller's.",
    ),
    Setting(
        name="dashboard",
        kind=Flag(),
        group=HTTP,
        meaning="Serve the dashboard at /dashboard, beside the API; --no-dashboard leaves it out.",
    ),
    Setting(
        name="apns_production",
        kind=HostPort(),
        group=APNS,
        empty="Apple's",
        meaning="An APNs in place of Apple's, for production tokens.",
    ),
    Setting(
        name="apns_sandbox",
        kind=HostPort(),
        group=APNS,
        empty="Apple's",
        meaning="An APNs in place of Apple's, for sandbox tokens.",
    ),
    Setting(
        name="apns_manage_production",
        kind=HostPort(),
        group=APNS,
        empty="Apple's",
        meaning="Its channel management, production.",
    ),
    Setting(
        name="apns_manage_sandbox",
        kind=HostPort(),
        group=APNS,
        empty="Apple's",
        meaning="Its channel management, sandbox.",
    ),
    Setting(
        name="apns_cacert",
        kind=PathTo(),
        group=APNS,
        empty="this machine's",
        meaning="Trust this CA for the APNs above (the simulator's ca.pem).",
    ),
    Setting(
        name="apns_proxy",
        kind=ProxyUrl(schemes=PROXY_SCHEMES),
        group=APNS,
        secret=True,
        empty="none",
        meaning="http://user:password@host:port, a proxy that every connection to APNs goes through by CONNECT, or"
        " socks5://…. HTTPS_PROXY is not read.",
    ),
    Setting(
        name="senders",
        kind=Whole(0, MAX_SENDERS),
        group=SENDING,
        unit="processes",
        meaning="Processes beside this one that send to more than 100 recipients: one for each core to spare.",
    ),
    Setting(
        name="max_queued",
        kind=Whole(LEAST_QUEUED, MAX_QUEUED),
        group=SENDING,
        unit="recipients",
        meaning="The most recipients that may wait to be sent to; what is more is answered 429.",
    ),
    Setting(
        name="max_queued_per_account",
        kind=Whole(LEAST_QUEUED, MAX_QUEUED),
        group=SENDING,
        unit="recipients",
        empty="half of max_queued",
        meaning="The most of one account.",
    ),
    Setting(
        name="drain_seconds",
        kind=Number(0, MAX_DRAIN_SECONDS),
        group=SENDING,
        unit="seconds",
        meaning="How long SIGTERM waits for pushes that are under way.",
    ),
    Setting(
        name="retention_days",
        kind=Whole(1, MAX_RETENTION_DAYS),
        group=KEEPING,
        unit="days",
        meaning="How long operations, their notifications and results are kept after their end, and deleted users.",
    ),
    Setting(
        name="history_days",
        kind=Whole(1, MAX_RETENTION_DAYS),
        group=KEEPING,
        unit="days",
        meaning="How long it is kept what happened to devices: that a token died, moved, or was refused.",
    ),
    Setting(
        name="metrics",
        kind=HostPort(),
        group=KEEPING,
        empty="not served",
        meaning="Where /metrics listens, for Prometheus: no key is asked for, so give a private address.",
    ),
    Setting(
        name="log_level",
        kind=OneOf(("debug", "info", "warning", "error")),
        group=KEEPING,
        meaning="How much goes to standard error.",
    ),
    Setting(
        name="log_format",
        kind=OneOf(("auto", "json", "console")),
        group=KEEPING,
        meaning="Log lines as JSON, or for people to read; auto: JSON unless standard error is a terminal.",
    ),
    Setting(
        name="webhooks_allow_private",
        kind=Flag(),
        group=WEBHOOKS,
        meaning="Let webhooks go to loopback and private networks, never to link-local or metadata addresses.",
    ),
    Setting(
        name="webhooks_allow_http",
        kind=Flag(),
        group=WEBHOOKS,
        meaning="Let webhooks go to http:// addresses: anyone may read them.",
    ),
)

BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
MASTER_KEY: Final = PREFIX + "MASTER_KEY"
"""The one variable that is no setting: the master key itself. In a file it stands alone, see `master_key_file`."""
CONFIG: Final = PREFIX + "CONFIG"
"""Names the file."""
