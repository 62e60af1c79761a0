"""Accounts, API keys, and who is calling."""

from __future__ import annotations

import enum

import msgspec


class Scope(enum.StrEnum):
    """What an API key may do."""

    SEND = "send"
    REGISTER = "register"
    READ = "read"
    CREDENTIALS = "credentials"
    ADMIN = "admin"


ALL_SCOPES: tuple[Scope, ...] = tuple(Scope)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. Every row of every table belongs to one."""

    id: bytes
    name: str
    created: int


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret: only a keyed hash of the secret is kept."""

    account_id: bytes
    id: bytes
    name: str
    hash: bytes
    scopes: tuple[Scope, ...] = ALL_SCOPES
    created: int = 0
    revoked: int | None = None

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id.hex()}, name={self.name!r}, revoked={self.revoked})"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a request: the account and what the key may do there."""

    account_id: bytes
    key_id: bytes
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether this key allows it; `admin` allows all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes
