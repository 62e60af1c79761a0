"""Credentials while they are in use: defaults, rotation, revocation, and the end of certificates."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.stores import Bench
from support.telling import Telling

from heliogram.domain import ids
from heliogram.domain.apps import (
    Credential,
    CredentialCheck,
    CredentialForm,
    CredentialState,
    CredentialType,
    DefaultCredential,
)
from heliogram.domain.errors import Code, Conflict
from heliogram.ports import Place, Window

pytestmark = pytest.mark.anyio

APN, SANDBOX = CredentialType.APN, CredentialType.APN_SANDBOX
DAY = 86_400


async def keep(
    bench: Bench, app: str = "shop", kind: CredentialType = APN, *, key: str = "ABCDE12345", default: bool = False
) -> Credential:
    """A credential, a second later than the one before."""
    bench.clock.advance(1)
    made = bench.credential(app, kind, is_default=default)
    made = msgspec.structs.replace(made, public={**made.public, "keyId": key})
    return await bench.store.create_credential(bench.account, made, b"sealed")


async def certificate(bench: Bench, *, days: float, fingerprint: str = "f1") -> Credential:
    """A certificate that ends in so many days."""
    public = {
        "bundleId": "com.example.shop",
        "fingerprint": fingerprint,
        "notAfter": bench.clock.ms + int(days * DAY * 1000),
    }
    made = msgspec.structs.replace(bench.credential(), form=CredentialForm.CERTIFICATE, public=public)
    return await bench.store.create_credential(bench.account, made, b"sealed")


async def read(bench: Bench, credential: Credential) -> Credential:
    found = await bench.store.get_credential(bench.account, credential.id)
    assert found is not None
    return found


async def defaults(bench: Bench, app: str = "shop") -> tuple[DefaultCredential, ...]:
    found = await bench.store.get_app(bench.account, app)
    assert found is not None
    return found.default_credentials


async def test_another_app_becomes_the_default(bench: Bench) -> None:
    """There is exactly one default app; an unknown name changes nothing."""
    await keep(bench, "shop")
    await keep(bench, "bank")
    assert await bench.store.make_default_app(bench.account, "bank", bench.clock.ms)
    assert not await bench.store.make_default_app(bench.account, "nobody", bench.clock.ms)
    listed = await bench.store.list_apps(bench.account, Window())
    assert [(app.name, app.is_default) for app in listed.items] == [("bank", True), ("shop", False)]


async def test_another_credential_becomes_the_default_of_its_type(bench: Bench) -> None:
    """In place of the one before, and of no other type."""
    first, sandbox, second = await keep(bench), await keep(bench, kind=SANDBOX), await keep(bench)
    made = await bench.store.make_default_credential(bench.account, second.id, bench.clock.ms)
    assert made is not None
    assert made.is_default
    assert await defaults(bench) == (DefaultCredential(APN, second.id), DefaultCredential(SANDBOX, sandbox.id))
    assert not (await read(bench, first)).is_default
    assert await bench.store.make_default_credential(bench.account, bench.ids.new(), bench.clock.ms) is None


async def test_rotating_keeps_the_id_and_counts_the_revision(bench: Bench) -> None:
    """New content and a new sealed secret, everything else as it was."""
    made = await keep(bench)
    bench.clock.advance(5)
    public = {**made.public, "keyId": "NEWKEY1234"}
    done = await bench.store.rotate_credential(bench.account, made.id, public=public, sealed=b"new", at=bench.clock.ms)
    expected = msgspec.structs.replace(made, public=public, revision=2, updated=bench.clock.ms)
    assert done == expected
    assert await bench.store.sealed_credential(bench.account, made.id) == (expected, b"new")
    unknown = bench.ids.new()
    assert await bench.store.rotate_credential(bench.account, unknown, public={}, sealed=b"", at=0) is None


async def test_reconnecting_counts_the_epoch(bench: Bench) -> None:
    """And the states, by which connections follow, show it."""
    made = await keep(bench)
    done = await bench.store.reconnect_credential(bench.account, made.id, bench.clock.ms)
    assert done is not None
    assert (done.revision, done.epoch) == (1, 2)
    assert await bench.store.credential_states(bench.account) == {made.id: CredentialState(1, 2, None)}
    assert await bench.store.reconnect_credential(bench.account, bench.ids.new(), bench.clock.ms) is None


async def test_what_the_provider_said_last_is_kept_with_the_content_it_is_about(bench: Bench) -> None:
    """The latest check is shown; rotating forgets it, and what is said of older content tells nothing."""
    made = await keep(bench)
    bad = CredentialCheck(at=1, ok=False, reason="InvalidProviderToken", message="No.")
    good = CredentialCheck(at=2, ok=True, reason="BadDeviceToken", message="Yes.")
    for check in (bad, good):
        await bench.store.note_check(bench.account, made.id, 1, check)
    assert (await read(bench, made)).last_check == good
    assert (await bench.store.sealed_credential(bench.account, made.id) or (made, b""))[0].last_check == good
    await bench.store.rotate_credential(bench.account, made.id, public=made.public, sealed=b"new", at=bench.clock.ms)
    assert (await read(bench, made)).last_check is None
    await bench.store.note_check(bench.account, made.id, 1, bad)
    assert (await read(bench, made)).last_check is None


async def test_revoking_ends_every_credential_with_the_same_key(bench: Bench) -> None:
    """A key that is in wrong hands is so in every app; the other keys stay, and another account's."""
    first = await keep(bench, "shop")
    others = [await keep(bench, "shop", SANDBOX), await keep(bench, "bank")]
    stays = await keep(bench, "shop", key="OTHERKEY12")
    ended = await bench.store.revoke_credential(bench.account, first.id, bench.clock.ms)
    assert ended is not None
    assert [each.id for each in ended] == [first.id, *(each.id for each in others)]
    for each in ended:
        assert (each.revoked, each.is_default) == (bench.clock.ms, False)
        assert await read(bench, each) == each
    assert (await read(bench, stays)).revoked is None
    assert await defaults(bench) == (DefaultCredential(APN, stays.id),)
    assert await defaults(bench, "bank") == ()


async def test_revoking_again_changes_nothing(bench: Bench) -> None:
    """It is idempotent; one that is not there is None."""
    made = await keep(bench)
    await bench.store.revoke_credential(bench.account, made.id, bench.clock.ms)
    first = await read(bench, made)
    bench.clock.advance(60)
    assert await bench.store.revoke_credential(bench.account, made.id, bench.clock.ms) == []
    assert await read(bench, made) == first
    assert await bench.store.revoke_credential(bench.account, bench.ids.new(), bench.clock.ms) is None


async def test_certificates_are_told_apart_by_their_fingerprint(bench: Bench) -> None:
    """The same certificate uploaded twice is revoked as one."""
    one, same, other = [await certificate(bench, days=90, fingerprint=each) for each in ("f1", "f1", "f2")]
    ended = await bench.store.revoke_credential(bench.account, one.id, bench.clock.ms)
    assert ended is not None
    assert {each.id for each in ended} == {one.id, same.id}
    assert (await read(bench, other)).is_default


async def test_a_revoked_credential_takes_no_change(bench: Bench) -> None:
    """No rotation, no reconnect, no default: its end is the end."""
    made = await keep(bench)
    await bench.store.revoke_credential(bench.account, made.id, bench.clock.ms)
    calls: list[Any] = [
        bench.store.rotate_credential(bench.account, made.id, public={}, sealed=b"", at=bench.clock.ms),
        bench.store.reconnect_credential(bench.account, made.id, bench.clock.ms),
        bench.store.make_default_credential(bench.account, made.id, bench.clock.ms),
    ]
    for call in calls:
        with pytest.raises(Conflict) as caught:
            await call
        assert caught.value.code is Code.CREDENTIAL_REVOKED


async def test_a_revoked_credential_never_becomes_the_default_again(bench: Bench) -> None:
    """Neither when a default goes nor when a new one comes: then the new one is the default."""
    first, second = await keep(bench), await keep(bench, key="OTHERKEY12")
    await bench.store.revoke_credential(bench.account, first.id, bench.clock.ms)
    assert await defaults(bench) == (DefaultCredential(APN, second.id),)
    await bench.store.delete_credential(bench.account, second.id, bench.clock.ms)
    assert await defaults(bench) == ()
    third = await keep(bench, key="THIRDKEY12")
    assert third.is_default


async def test_the_end_of_a_certificate_is_told_once_for_each_of_30_7_and_1_days(bench: Bench) -> None:
    """At the day and not before it; nothing is told twice."""
    made = await certificate(bench, days=31)
    told: list[tuple[float, int]] = []
    for half in range(64):
        for credential, days in await bench.store.warn_of_ending_credentials(bench.clock.ms):
            assert credential.id == made.id
            told.append((31 - half / 2, days))
        bench.clock.advance(DAY / 2)
    assert told == [(29.5, 30), (6.5, 7), (0.5, 1)]


async def test_only_the_nearest_end_is_told_of_a_certificate_that_comes_late(bench: Bench) -> None:
    """Uploaded three days before its end it is told once, for 7; and again when it is rotated to one that ends too."""
    made = await certificate(bench, days=3)
    assert [days for _, days in await bench.store.warn_of_ending_credentials(bench.clock.ms)] == [7]
    assert await bench.store.warn_of_ending_credentials(bench.clock.ms) == []
    await bench.store.rotate_credential(
        bench.account, made.id, public={**made.public, "fingerprint": "f2"}, sealed=b"", at=bench.clock.ms
    )
    assert [days for _, days in await bench.store.warn_of_ending_credentials(bench.clock.ms)] == [7]


async def test_of_revoked_certificates_and_of_keys_no_end_is_told(bench: Bench) -> None:
    """Keys have none."""
    made = await certificate(bench, days=3)
    await keep(bench)
    await bench.store.revoke_credential(bench.account, made.id, bench.clock.ms)
    assert await bench.store.warn_of_ending_credentials(bench.clock.ms) == []


async def test_webhooks_are_told_of_certificates_that_end_and_credentials_that_fail(bench: Bench) -> None:
    """Each with the credential, its app and type, and how many days are left or what APNs said."""
    made = await certificate(bench, days=3)
    await Telling(bench).webhook("https://hook.example", "credential.*")
    await bench.store.warn_of_ending_credentials(bench.clock.ms)
    told = await bench.store.tell_of_failing_credential(
        bench.account, made.id, reason="BadCertificate", at=bench.clock.ms
    )
    assert told
    feed = await bench.store.webhook_feed(bench.account, Place(), events=True, results=False)
    who = {"credentialId": ids.encode(ids.CREDENTIAL, made.id), "appName": "shop", "credentialType": "APN"}
    assert [(event.type, event.data) for _, event in feed.events] == [
        ("com.heliogram.credential.expiring", {**who, "expiresInDays": 7}),
        ("com.heliogram.credential.failing", {**who, "reason": "BadCertificate"}),
    ]


async def test_nobody_is_told_of_a_credential_that_is_gone(bench: Bench) -> None:
    """It may have been deleted while the answer was under way."""
    await Telling(bench).webhook("https://hook.example", "credential.*")
    assert not await bench.store.tell_of_failing_credential(bench.account, bench.ids.new(), reason="x", at=0)
