"""Credentials and apps in use: defaults, rotation, revocation, reconnection."""

from __future__ import annotations

from typing import Any

import pytest
from api.test_certificates import PRODUCTION, new_credential, push_certificate
from support.service import TOKEN, Service, token_content

pytestmark = pytest.mark.anyio


async def patch(service: Service, path: str, body: Any, status: int = 202) -> dict[str, Any]:
    """`PATCH`, answered as expected; the body of the answer."""
    answer = await service.client.patch(f"/v1/PushNotifications{path}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(service: Service, ident: str) -> dict[str, Any]:
    found: dict[str, Any] = (await service.get(f"/Credentials/{ident}")).json()
    return found


async def actions(service: Service) -> list[tuple[str, str]]:
    """What the audit log says of credentials and apps; within one moment in no order."""
    events = (await service.client.get("/v1/AuditEvents")).json()["auditEvents"]
    return [(each["action"], each["subject"]) for each in events if "key" not in each["action"]]


# ---- defaults


async def test_another_app_is_made_the_default(service: Service) -> None:
    """TW-50: A pointer whose resource id is the app's name; there is exactly one default."""
    await service.app_named("shop")
    await service.app_named("bank")
    for _ in range(2):  # once more changes nothing
        body = await patch(service, "/Apps/bank", {"isDefault": True})
        location = "http://heliogram.test/v1/PushNotifications/Apps/bank"
        assert body == {"resourceId": "bank", "resourceLocation": location}
    apps = (await service.get("/Apps")).json()["apps"]
    assert {each["name"]: each["isDefault"] for each in apps} == {"shop": False, "bank": True}
    assert [action for action, _ in await actions(service)].count("app.made_default") == 1


async def test_the_default_is_not_taken_away_without_another(service: Service) -> None:
    """OWN-26: `false` on the default is a 400 with the cure; on any other app or credential it changes nothing."""
    first, second = await service.app_named("shop"), await service.app_named("shop")
    await service.app_named("bank")
    for path in ("/Apps/shop", f"/Credentials/{first}"):
        problem = await patch(service, path, {"isDefault": False}, 400)
        assert problem["errors"][0]["context"] == "$.isDefault"
        assert "the default instead" in problem["detail"]
    await patch(service, "/Apps/bank", {"isDefault": False})
    await patch(service, f"/Credentials/{second}", {"isDefault": False})
    assert (await service.get("/Apps/shop")).json()["defaultCredentials"][0]["id"] == first


async def test_another_credential_is_made_the_default(service: Service) -> None:
    """TW-58: Of its app and type alone."""
    await service.app_named("shop")
    sandbox, second = await service.app_named("shop", "APN_SANDBOX"), await service.app_named("shop")
    body = await patch(service, f"/Credentials/{second}", {"isDefault": True})
    assert body["resourceId"] == second
    assert (await service.get("/Apps/shop")).json()["defaultCredentials"] == [
        {"credentialType": "APN", "id": second},
        {"credentialType": "APN_SANDBOX", "id": sandbox},
    ]
    assert ("credential.made_default", second) in await actions(service)


@pytest.mark.parametrize("body", [{}, {"isDefault": "yes"}, {"isDefault": True, "name": "x"}])
async def test_only_is_default_can_be_changed(service: Service, body: dict[str, Any]) -> None:
    """It is required, a Boolean, and all there is."""
    ident = await service.app_named("shop")
    for path in ("/Apps/shop", f"/Credentials/{ident}"):
        await patch(service, path, body, 400)


async def test_what_is_not_there_is_a_404(service: Service) -> None:
    """For every call that names an app or a credential."""
    nobody = "comms_credential_00000000000000000000000000"
    await patch(service, "/Apps/nobody", {"isDefault": True}, 404)
    await patch(service, f"/Credentials/{nobody}", {"isDefault": True}, 404)
    for action, body in (("rotate", {"content": token_content()}), ("revoke", {}), ("reconnect", {}), ("check", {})):
        assert (await service.post(f"/Credentials/{nobody}/{action}", body)).status_code == 404, action


async def test_the_oldest_app_left_becomes_the_default(service: Service) -> None:
    """OWN-22: When the default app dies with its last credential."""
    first = await service.app_named("shop")
    for name in ("bank", "club"):
        service.clock.advance(60)
        await service.app_named(name)
    await service.delete(f"/Credentials/{first}")
    default = (await service.get("/Apps", isDefault=True)).json()["apps"]
    assert [each["name"] for each in default] == ["bank"]


async def test_apps_are_filtered_by_date(service: Service) -> None:
    """TW-51: `startDate` is inclusive, `endDate` exclusive."""
    for name in ("shop", "bank", "club"):
        await service.app_named(name)
        service.clock.advance(60)

    async def names(**params: str) -> list[str]:
        return [each["name"] for each in (await service.get("/Apps", **params)).json()["apps"]]

    assert await names(startDate="2027-01-15T08:01:00Z") == ["club", "bank"]
    assert await names(startDate="2027-01-15T08:01:00Z", endDate="2027-01-15T08:02:00Z") == ["bank"]
    assert await names(endDate="2027-01-15") == ["club", "bank", "shop"]


async def test_devices_go_with_their_app_and_users_stay(service: Service) -> None:
    """TW-59: The cascade of an app's last credential: another app's registrations are not touched."""
    ident = await service.app_named("shop")
    await service.app_named("bank")
    await service.user(TOKEN, "shop")
    user = await service.user("cd" * 32, "bank")
    await service.delete(f"/Credentials/{ident}")
    assert (await service.get("/DeviceRegistrations", userId=user)).json()["deviceRegistrations"]


# ---- rotation


async def test_rotating_keeps_id_app_and_place(service: Service) -> None:
    """OWN-25: Only the content is new; the revision counts."""
    ident = await service.app_named("shop")
    before = await shown(service, ident)
    service.clock.advance(60)
    answer = await service.post(f"/Credentials/{ident}/rotate", {"content": token_content(keyId="NEWKEY1234")})
    assert (answer.status_code, answer.json()["resourceId"]) == (202, ident)
    after = await shown(service, ident)
    content = {**before["content"], "keyId": "NEWKEY1234"}
    assert after == {**before, "content": content, "revision": 2, "updatedAt": "2027-01-15T08:01:00Z"}
    assert ("credential.rotated", ident) in await actions(service)


async def test_rotating_to_the_same_content_changes_nothing(service: Service) -> None:
    """So that a call whose answer got lost may be repeated."""
    content = token_content()
    ident = await service.app_named("shop", content=content)
    before = await shown(service, ident)
    assert (await service.post(f"/Credentials/{ident}/rotate", {"content": content})).status_code == 202
    assert await shown(service, ident) == before


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"teamId": "OTHERTEAM1"}, ["$.content.teamId"]),
        ({"teamId": "OTHERTEAM1", "bundleId": "com.example.other"}, ["$.content.teamId", "$.content.bundleId"]),
        ({"signingKey": "x"}, ["$.content.signingKey"]),
        ({"signingKey": None, "keyId": None, "teamId": None, "bundleId": None}, ["$.content"]),
    ],
)
async def test_a_successor_has_the_same_team_and_bundle_id(
    service: Service, changes: dict[str, Any], paths: list[str]
) -> None:
    """Everything else would be another credential."""
    ident = await service.app_named("shop")
    answer = await service.post(f"/Credentials/{ident}/rotate", {"content": token_content(**changes)})
    assert answer.status_code == 400
    assert [each["context"] for each in answer.json()["errors"]] == paths
    assert (await shown(service, ident))["revision"] == 1


async def test_a_certificate_is_followed_by_one_of_the_same_topic(service: Service) -> None:
    """Renewed each year (CERT-12); a key or another app's certificate is refused."""
    old, new = push_certificate(PRODUCTION), push_certificate(PRODUCTION)
    other = push_certificate(PRODUCTION, topic="com.example.other")
    ident = (await service.post("/Credentials", new_credential(old))).json()["resourceId"]
    before = (await shown(service, ident))["content"]["fingerprint"]
    for content, path in (
        (new_credential(other)["content"], "$.content.certificate"),
        (token_content(), "$.content"),
    ):
        answer = await service.post(f"/Credentials/{ident}/rotate", {"content": content})
        assert [each["context"] for each in answer.json()["errors"]] == [path]
    answer = await service.post(f"/Credentials/{ident}/rotate", {"content": new_credential(new)["content"]})
    assert answer.status_code == 202
    after = await shown(service, ident)
    assert (after["revision"], after["content"]["fingerprint"] == before) == (2, False)


# ---- revocation and reconnection


async def test_revoking_ends_every_credential_with_the_key(service: Service) -> None:
    """OWN-25: They stay listed, are no default, and a send that names one is refused with its own code."""
    content = token_content()
    first = await service.app_named("shop", content=content)
    same = await service.app_named("shop", "APN_SANDBOX", content=content)
    other = await service.app_named("shop", content=token_content(keyId="OTHERKEY12"))
    service.clock.advance(60)
    assert (await service.post(f"/Credentials/{first}/revoke", {})).status_code == 202
    for ident in (first, same):
        found = await shown(service, ident)
        assert (found["revokedAt"], found["isDefault"]) == ("2027-01-15T08:01:00Z", False)
    app = (await service.get("/Apps/shop")).json()
    assert app["defaultCredentials"] == [{"credentialType": "APN", "id": other}]
    send = {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "x"}, "from": {"apn": first}}
    refused = await service.post("", send)
    assert (refused.status_code, refused.json()["code"]) == (409, 70090)
    recorded = [subject for action, subject in await actions(service) if action == "credential.revoked"]
    assert sorted(recorded) == sorted((first, same))


async def test_revoking_again_changes_nothing(service: Service) -> None:
    """It may be repeated; the time stays."""
    ident = await service.app_named("shop")
    for _ in range(2):
        assert (await service.post(f"/Credentials/{ident}/revoke", {})).status_code == 202
        service.clock.advance(60)
    assert (await shown(service, ident))["revokedAt"] == "2027-01-15T08:00:00Z"


async def test_a_revoked_credential_takes_nothing_but_its_deletion(service: Service) -> None:
    """Rotate, reconnect, check and default are a 409 that says to upload a new one."""
    ident = await service.app_named("shop")
    await service.post(f"/Credentials/{ident}/revoke", {})
    for action, body in (("rotate", {"content": token_content()}), ("reconnect", {}), ("check", {})):
        answer = await service.post(f"/Credentials/{ident}/{action}", body)
        assert (answer.status_code, answer.json()["code"]) == (409, 70090), action
    await patch(service, f"/Credentials/{ident}", {"isDefault": True}, 409)
    assert (await service.delete(f"/Credentials/{ident}")).status_code == 202


async def test_reconnecting_answers_a_pointer_and_is_recorded(service: Service) -> None:
    """OWN-25: Without connections there is nothing else to see."""
    ident = await service.app_named("shop")
    answer = await service.post(f"/Credentials/{ident}/reconnect", {})
    assert (answer.status_code, answer.json()["resourceId"]) == (202, ident)
    assert set(await actions(service)) == {("credential.created", ident), ("credential.reconnected", ident)}


async def test_no_secret_is_in_any_answer_or_record(service: Service) -> None:
    """Neither what is shown nor what is recorded holds a line of the key."""
    content = token_content()
    ident = await service.app_named("shop", content=content)
    new = token_content(keyId="NEWKEY1234")
    await service.post(f"/Credentials/{ident}/rotate", {"content": new})
    seen = (await service.get(f"/Credentials/{ident}")).text + (await service.client.get("/v1/AuditEvents")).text
    for each in (content, new):
        assert each["signingKey"].splitlines()[1] not in seen
