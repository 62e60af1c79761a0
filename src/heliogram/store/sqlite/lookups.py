"""What a send needs to know, in one job: to a send to one, each hop to another thread and back costs more than what is
read there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from ...domain.apps import App, CredentialType, Environment
from ...domain.lookups import Known, Wanted
from . import statements
from .apps import app_of, get
from .base import Base
from .refused import refused_of
from .registrations import environments_of, reached_of

_registrations, _users = statements.load("registrations"), statements.load("users")

Array = Callable[[Sequence[Any]], Any]
_ENVIRONMENT = {CredentialType.APN: Environment.PRODUCTION, CredentialType.APN_SANDBOX: Environment.SANDBOX}


class Lookups(Base):
    """`ports.LookupStore`."""

    async def look_up(self, account: bytes, wanted: Wanted) -> Known:
        """All of what is wanted, as it stood at one moment."""
        now, at = self._now(), self._clock.monotonic()
        known = await self._read(lambda c: known_of(c, account, wanted, self._array, now))
        known.at = at
        return known


def known_of(connection: apsw.Connection, account: bytes, wanted: Wanted, array: Array, now: int) -> Known:
    """What is wanted, in one transaction."""
    known = Known()
    if wanted.credential is None:
        known.app = app_of(connection, account, wanted.app_name)
        app_name = wanted.app_name if known.app is None else known.app.name
    else:
        known.credential, app_name = get(connection, account, wanted.credential), wanted.app_name
    users = wanted.users
    if wanted.names:
        known.named = _named(connection, account, wanted.names, array)
        users = users.union(known.named.values())
    where = {"account": account, "app": app_name}
    if users:
        kinds = {"kind": wanted.kind.value, "activity": wanted.activity_id}
        of_users = {**where, **kinds, "users": array(sorted(users))}
        known.devices = reached_of(connection.execute(_registrations.devices_of_users, of_users))
        if wanted.missing and len(known.devices) < len(users):  # who has a device is there
            others = users.difference(known.devices)
            rows: Any = connection.execute(_users.missing_users, {**where, "users": array(sorted(others))}).fetchall()
            known.missing = frozenset([missing for (missing,) in rows])
    if wanted.tokens:
        tokens = sorted(wanted.tokens)
        if known.credential is None:  # one that is named decides by itself
            known.environments = environments_of(connection, where, tokens, array, _assumed(known.app))
        if wanted.refused:
            known.refused = refused_of(connection, {**where, "tokens": array(tokens)}, wanted.kind, now)
    return known


def _assumed(app: App | None) -> Environment | None:
    """The environment that all of an app's tokens are sent to unless they are known to be no part of it. None for an
    app that has credentials for both: there, a token that is known to be of one is not tried in the other."""
    types = {each.type for each in app.default_credentials if each.type in _ENVIRONMENT} if app else set()
    return _ENVIRONMENT[types.pop()] if len(types) == 1 else None


def _named(connection: apsw.Connection, account: bytes, names: frozenset[str], array: Array) -> dict[str, bytes]:
    """The users with these external ids."""
    wanted = sorted(name for name in names if "\0" not in name)  # nobody is called so, and no array takes it
    if not wanted:
        return {}
    rows: Any = connection.execute(_users.named_users, {"account": account, "names": array(wanted)}).fetchall()
    return dict(rows)
