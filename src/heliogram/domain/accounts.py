"""Accounts, API keys, who is calling, and what was changed by whom."""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any

import msgspec

MAX_ACCOUNTS = 1000
MAX_KEYS = 100
MAX_WEIGHT = 100
MAX_KEY_NAME = 256
MAX_GRACE_SECONDS = 30 * 86_400
DEFAULT_GRACE_SECONDS = 86_400
AUDIT_DAYS = 400
LAST_MOMENT = 253_402_300_799_000
"""The end of the year 9999, in ms: dates end there."""
ACCOUNT_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")


class Scope(enum.StrEnum):
    """What an API key may do. `register` is for what stands at the edge, between apps and the service: it makes users,
    but changes and deletes none, which is for `users`."""

    SEND = "send"
    REGISTER = "register"
    USERS = "users"
    READ = "read"
    CREDENTIALS = "credentials"
    ADMIN = "admin"


ALL_SCOPES: tuple[Scope, ...] = tuple(Scope)


class AccountLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What an account may have and how fast it may call. `requests_per_second` counts requests of all its keys to one
    process (None: unlimited), `burst` how many may come at once (None: one second's worth). `weight` is its share of
    the sending when several accounts have something to send: so many chunks in its turn."""

    apps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    credentials_per_app: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    requests_per_second: Annotated[float, msgspec.Meta(ge=0.01, le=100_000)] | None = None
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    weight: Annotated[int, msgspec.Meta(ge=1, le=MAX_WEIGHT)] = 1

    @property
    def at_once(self) -> float:
        """How many requests may come at once, at least one."""
        return float(self.burst or max(1.0, self.requests_per_second or 1.0))


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. Every row of every table belongs to one. While it is disabled (since, in ms) all its keys are refused;
    what it had accepted is still sent."""

    id: bytes
    name: str
    created: int
    limits: AccountLimits = AccountLimits()
    disabled: int | None = None


class AccountCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of its limits an account uses: what is cheap to count. `waiting` are recipients that were accepted and
    have not ended."""

    apps: int
    credentials: int
    api_keys: int
    webhooks: int
    waiting: int = 0


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret: only a keyed hash of the secret is kept. Times are in ms; `last_used` is right to
    the minute. `lifetime` is what it was made with; a rotation moves `expires` and leaves that."""

    account_id: bytes
    id: bytes
    name: str
    hash: bytes
    scopes: tuple[Scope, ...] = ALL_SCOPES
    created: int = 0
    revoked: int | None = None
    expires: int | None = None
    last_used: int | None = None
    lifetime: int | None = None

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id.hex()}, name={self.name!r}, revoked={self.revoked}, expires={self.expires})"

    def good_at(self, now: int) -> bool:
        """Whether it opens anything at a moment: neither revoked nor past its end."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def successor_expires(self, now: int) -> int | None:
        """When a key made in its place would end: it lives as long as this one was made to."""
        return None if self.lifetime is None else min(now + self.lifetime, LAST_MOMENT)

    def state_at(self, now: int) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "active" if self.good_at(now) else "expired"


class Caller(msgspec.Struct, frozen=True):
    """A key with the account it opens."""

    key: ApiKey
    account: Account


class RegistrationGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a registration token allows: to register and remove the devices of one user in one app, until `expires`
    (seconds since 1970). It ends with the API key that made it."""

    account_id: bytes
    key_id: bytes
    app_name: str
    user_id: bytes
    expires: int


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a request: the account, what the key may do there, and how fast. A caller with a registration token has
    no scope but its `registration`; `key_id` is then the key that made the token."""

    account_id: bytes
    key_id: bytes
    scopes: frozenset[Scope]
    registration: RegistrationGrant | None = None
    limits: AccountLimits = AccountLimits()

    def may(self, scope: Scope) -> bool:
        """Whether this key allows it; `admin` allows all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change of accounts, keys or credentials. `actor` is an API key's id or what else acted, such as `cli`;
    `action` such as `apiKey.created`; `subject` the id of what was changed; `detail` never has a secret."""

    id: bytes
    at: int
    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = {}
