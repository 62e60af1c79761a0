"""Keys and certificates: whether they can be read, and what APNs says of them, by the service's own check."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from ..backing import open_place
from ..datadir import DATABASE, StartError
from ..delivery.credentials import CredentialOpener
from ..delivery.providers.apns import ApnsProvider
from ..delivery.providers.apns.checking import check as ask_apns
from ..domain import ids
from ..domain.apps import Credential, OpenedCredential, ProviderName
from ..domain.errors import Unavailable
from ..ports import Store, Window
from ..security import AesGcmSealer, MasterKeyError, load_master_key
from ..service import endpoints_of
from ..settings import ServeSettings
from ..store.errors import StoreError
from .finding import Finding, State, failed, ok, warning

if TYPE_CHECKING:
    from .. import apns

MOST = 20
"""Credentials that are looked at; APNs takes many connections that come and go for an attack (CONN-25)."""
CHECK_SECONDS = 10.0
"""A check has so long at least, as the service gives it."""


async def of_key(
    key: apns.SigningKey | apns.Certificate,
    topic: str | None,
    environment: str,
    settings: ServeSettings,
    *,
    ask: bool,
    seconds: float,
) -> AsyncIterator[Finding]:
    """A key or certificate that was named: it was read already, which is half of it."""
    from .. import apns

    if not ask:
        yield ok("key", "it can be read; with its ids and --topic, and not --offline, APNs is asked")
        return
    yield ok("key", f"it can be read: {key!r}")
    check = f"key against APNs ({environment})"
    endpoints = endpoints_of(settings)
    client = apns.Client(
        key,
        topic=topic,
        environment=environment,
        endpoint=endpoints.production if environment == "production" else endpoints.sandbox,
        cafile=endpoints.cafile,
        proxy=endpoints.proxy,
        max_connections=1,
        connect_attempts=1,
    )
    try:
        result = await ask_apns(client, "alert", max(seconds, CHECK_SECONDS))
    finally:
        await client.close()
    yield Finding(
        check, State.OK if result.ok else State.FAILED, result.message, "" if result.ok else _cure(result.reason)
    )


async def of_store(settings: ServeSettings, *, ask: bool, seconds: float) -> AsyncIterator[Finding]:
    """The credentials that a service has: whether they open, and whether APNs takes them."""
    if settings.store is None and not (settings.data / DATABASE).exists():
        return
    try:
        ring = load_master_key(settings.data, file=settings.master_key, make=False)
    except MasterKeyError:
        return  # told already
    try:
        async with contextlib.aclosing(_found(settings, AesGcmSealer(ring), seconds if ask else None)) as found:
            async for finding in found:
                yield finding
    except (StartError, StoreError, Unavailable) as error:
        yield failed("credentials", str(error), "see what is said of the database")


async def _found(settings: ServeSettings, sealer: AesGcmSealer, seconds: float | None) -> AsyncGenerator[Finding, None]:
    async with open_place(settings.data, settings.store, make=False) as (store, clock):
        opener = CredentialOpener(store, sealer, clock)
        provider = ApnsProvider(endpoints_of(settings))
        try:
            credentials = await _listed(store)
            if not credentials:
                cure = "upload one: POST /v1/PushNotifications/Credentials, see docs/howto/credentials.md"
                yield warning("credentials", "there is none yet: nothing can be sent", cure)
            for credential in credentials[:MOST]:
                yield await _one(credential, opener, provider, seconds)
            if len(credentials) > MOST:
                yield ok("credentials", f"{len(credentials) - MOST} more were not looked at")
        finally:
            await provider.close()


async def _listed(store: Store) -> list[Credential]:
    found: list[Credential] = []
    for account in await store.list_accounts():
        if account.disabled is None:
            listed = await store.list_credentials(account.id, Window(limit=MOST + 1))
            found += [each for each in listed.items if each.revoked is None]
    return found


async def _one(
    credential: Credential, opener: CredentialOpener, provider: ApnsProvider, seconds: float | None
) -> Finding:
    check = f"credential {ids.encode(ids.CREDENTIAL, credential.id)}"
    what = f"{credential.type} of {credential.app_name}"
    try:
        opened = await opener(credential.account_id, credential.id)
    except ValueError as error:
        return failed(check, f"{what}: it does not open: {error}", "give the master key that it was stored with")
    if opened is None or credential.type.provider is not ProviderName.APN:
        return ok(check, f"{what}: nothing to ask for it")
    if seconds is None:
        return ok(check, f"{what}: it opens")
    return await _asked(check, what, opened, provider, max(seconds, CHECK_SECONDS))


async def _asked(check: str, what: str, opened: OpenedCredential, provider: ApnsProvider, seconds: float) -> Finding:
    result = await provider.check(opened, seconds=seconds)
    if result.ok:
        return ok(check, f"{what}: {result.message}")
    return failed(check, f"{what}: {result.message}", _cure(result.reason))


def _cure(reason: str) -> str:
    if not reason:
        return "look at the lines about the network above"
    return f"docs/howto/credentials.md; what {reason} means: docs/reference/retry-policy.md"
