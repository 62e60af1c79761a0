"""A credential proved against APNs, without a device."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.live import BUNDLE, TEAM, Live, living
from support.service import basic

from heliogram import apns
from heliogram.delivery.providers.apns.checking import judge
from heliogram.simulator.clientcerts import CertificateOrder

pytestmark = pytest.mark.anyio


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path) as live:
        yield live


async def check(live: Live, ident: str) -> dict[str, object]:
    return await live.post(f"/Credentials/{ident}/check", expect=200)


async def test_bad_device_token_proves_a_credential(live: Live) -> None:
    """OWN-25: APNs looks at the credential before the token (9.1): one push to a token that no device has."""
    _, known = live.phone()
    ident = await live.credential()
    assert await check(live, ident) == {
        "ok": True,
        "checkedAt": "2027-01-15T08:00:00Z",
        "environment": "production",
        "reason": "BadDeviceToken",
        "message": "APNs accepts the credential for this bundle id.",
    }
    (request,) = live.simulator.requests()
    assert known not in request.path
    assert (request.listener, request.topic) == ("production", BUNDLE)


async def test_the_last_check_stays_with_the_credential(live: Live) -> None:
    """Null before the first, then what was said, in the list as well."""
    ident = await live.credential(keyId="WRONGKEY12")
    assert (await live.get(f"/Credentials/{ident}"))["lastCheck"] is None
    said = await check(live, ident)
    del said["environment"]
    assert (await live.get(f"/Credentials/{ident}"))["lastCheck"] == said
    assert [each["lastCheck"] for each in (await live.get("/Credentials"))["credentials"]] == [said]


async def test_every_check_asks_another_token(live: Live) -> None:
    """Random ones of 64 digits."""
    ident = await live.credential()
    for _ in range(2):
        await check(live, ident)
    paths = {request.path for request in live.simulator.requests()}
    assert {len(path) for path in paths} == {len("/3/device/") + 64}
    assert len(paths) == 2


async def test_a_sandbox_credential_is_checked_in_the_sandbox(live: Live) -> None:
    """Where it is used."""
    ident = await live.credential(type_="APN_SANDBOX")
    assert (await check(live, ident))["environment"] == "sandbox"
    assert live.simulator.requests()[0].listener == "sandbox"


async def test_a_topic_key_is_checked_with_a_topic_it_covers(live: Live) -> None:
    """A key for VoIP alone is not asked to send an alert (TOK-11)."""
    ident = await live.credential(topics=[f"{BUNDLE}.voip"])
    assert (await check(live, ident))["ok"] is True
    assert live.simulator.requests()[0].topic == f"{BUNDLE}.voip"


async def test_a_wrong_key_id_is_said_in_words(live: Live) -> None:
    """A well-formed wrong one shows here (14)."""
    ident = await live.credential(keyId="WRONGKEY12")
    found = await check(live, ident)
    assert (found["ok"], found["reason"]) == (False, "InvalidProviderToken")
    assert "key id or team id" in str(found["message"])


async def test_a_revoked_key_is_said_in_words(live: Live) -> None:
    """APNs has no other word for it (TOK-19)."""
    content = live.key()
    ident = await live.service.app_named("shop", content=content)
    live.simulator.revoke_key(content["keyId"])
    found = await check(live, ident)
    assert found["reason"] == "InvalidProviderToken"
    assert "revoked in the developer portal" in str(found["message"])


async def test_a_bundle_id_that_is_not_covered_is_said_in_words(live: Live) -> None:
    """The key is good, the bundle id is not among its topics (TOK-18)."""
    made = live.simulator.issue_key(TEAM, topics=["com.example.other"])
    content = {"signingKey": made.p8, "keyId": made.key_id, "teamId": TEAM, "bundleId": BUNDLE}
    found = await check(live, await live.service.app_named("shop", content=content))
    assert (found["ok"], found["reason"]) == (False, "TopicDisallowed")
    assert "does not cover the bundle id" in str(found["message"])


async def test_a_key_for_the_other_environment_is_said_in_words(live: Live) -> None:
    """It says as what to upload it (TOK-17)."""
    made = live.simulator.issue_key(TEAM, environment="sandbox")
    content = {"signingKey": made.p8, "keyId": made.key_id, "teamId": TEAM, "bundleId": BUNDLE}
    found = await check(live, await live.service.app_named("shop", content=content))
    assert (found["ok"], found["reason"]) == (False, "BadEnvironmentKeyInToken")


async def test_a_certificate_is_checked_too(live: Live) -> None:
    """On a connection that presents it."""
    made = live.simulator.portal.issue_certificate(CertificateOrder(bundle_id=BUNDLE, rsa=False))
    content = {"certificate": made.pem.decode(), "privateKey": made.key_pem.decode()}
    ident = await live.service.app_named("shop", content=content)
    assert (await check(live, ident))["reason"] == "BadDeviceToken"


async def test_no_connection_is_said_in_words(live: Live) -> None:
    """No answer is no proof, and the cause is told."""
    ident = await live.credential()
    await live.simulator.stop()
    found = await check(live, ident)
    assert (found["ok"], found["reason"]) == (False, None)
    assert str(found["message"]).startswith("Nothing could be sent: cannot use 127.0.0.1:")


async def test_a_silent_apns_is_waited_for_ten_seconds_and_no_longer(live: Live) -> None:
    """The time is bounded."""
    ident = await live.credential()
    live.simulator.faults.add(kind="silence")
    task = asyncio.create_task(check(live, ident))
    await live.until(live.simulator.requests)
    live.clock.advance(9.9)
    await asyncio.sleep(0)
    assert not task.done()
    live.clock.advance(0.2)
    found = await task
    assert found["ok"] is False
    assert "gave no answer" in str(found["message"])


async def test_who_asks_while_it_is_checked_gets_the_same_answer(live: Live) -> None:
    """Connections that come and go look like an attack (CONN-25)."""
    ident = await live.credential()
    first, second = await asyncio.gather(check(live, ident), check(live, ident))
    assert first == second
    assert len(live.simulator.requests()) == 1


async def test_an_expired_certificate_is_said_in_words(live: Live) -> None:
    """Nothing is sent, and no connection opened (CERT-12); what is left of its life is shown, below zero."""
    made = live.simulator.portal.issue_certificate(CertificateOrder(bundle_id=BUNDLE, rsa=False))
    content = {"certificate": made.pem.decode(), "privateKey": made.key_pem.decode()}
    ident = await live.service.app_named("shop", content=content)
    live.clock.advance(3 * 366 * 86_400)
    live.service.client.headers.update(basic(*await live.service.new_key()))
    found = await check(live, ident)
    assert (found["ok"], found["reason"]) == (False, None)
    assert "certificate: expired on" in str(found["message"])
    assert (await live.get(f"/Credentials/{ident}"))["expiresInDays"] < 0
    assert live.simulator.requests() == []


@pytest.mark.parametrize(
    ("outcome", "ok", "words"),
    [
        (apns.Accepted("", ""), True, "accepts"),
        (apns.Rejected("", "", 400, "DeviceTokenNotForTopic"), True, "accepts"),
        (apns.Rejected("", "", 403, "ExpiredProviderToken"), False, "clock"),
        (apns.Rejected("", "", 403, "BadCertificate"), False, "revoked"),
        (apns.Rejected("", "", 403, "Forbidden"), False, "agreements"),
        (apns.Rejected("", "", 429, "TooManyProviderTokenUpdates"), False, "half an hour"),
        (apns.Rejected("", "", 500, "InternalServerError"), False, "check again later"),
        (apns.Rejected("", "", 400, "SomethingNew"), False, "SomethingNew"),
        (apns.NotSent("", "", "GOAWAY: BadCertificateEnvironment"), False, "other environment"),
        (apns.Unknown("", "", "lost"), False, "no answer (lost)"),
    ],
)
def test_every_answer_has_words(outcome: apns.Outcome, ok: bool, words: str) -> None:
    """What is wrong, and what to do."""
    found = judge(outcome)
    assert found.ok is ok
    assert words in found.message
