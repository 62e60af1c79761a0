"""Credentials and the apps they make."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from support.service import Service, signing_key, token_content

from heliogram.domain import ids

pytestmark = pytest.mark.anyio


def new_credential(**changes: Any) -> dict[str, Any]:
    """A body that is accepted, but for the changes (None removes)."""
    body = {"credentialType": "APN", "appName": "shop", "content": token_content(), **changes}
    return {name: value for name, value in body.items() if value is not None}


async def test_creating_answers_a_pointer_to_the_credential(service: Service) -> None:
    """202 with resourceId, resourceLocation and the Location header; the resource is there."""
    answer = await service.post("/Credentials", new_credential())
    assert answer.status_code == 202
    body = answer.json()
    assert re.fullmatch(r"comms_credential_[0-7][0-9a-hjkmnp-tv-z]{25}", body["resourceId"])
    location = f"http://heliogram.test/v1/PushNotifications/Credentials/{body['resourceId']}"
    assert body == {"resourceId": body["resourceId"], "resourceLocation": location}
    assert answer.headers["location"] == location
    assert (await service.client.get(location)).status_code == 200


async def test_a_credential_is_shown_without_its_secret(service: Service) -> None:
    """TW-52: Key id, team id and bundle id come back, the key does not."""
    ident = await service.app_named("shop")
    answer = await service.get(f"/Credentials/{ident}")
    assert answer.json() == {
        "id": ident,
        "credentialType": "APN",
        "isDefault": True,
        "appName": "shop",
        "content": {
            "form": "token",
            "keyId": "ABCDE12345",
            "teamId": "TEAM123456",
            "bundleId": "com.example.shop",
        },
        "revision": 1,
        "expiresAt": None,
        "expiresInDays": None,
        "revokedAt": None,
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00Z",
        "failing": None,
        "lastAnswer": None,
        "lastSuccessAt": None,
        "lastCheck": None,
    }


@pytest.mark.parametrize("form", ["text", "base64"])
async def test_the_signing_key_is_taken_as_text_or_base64(service: Service, form: str) -> None:
    """A .p8 file may be pasted or encoded."""
    pem = signing_key()
    sent = pem if form == "text" else base64.b64encode(pem.encode()).decode()
    answer = await service.post("/Credentials", new_credential(content=token_content(signingKey=sent)))
    assert answer.status_code == 202


async def test_the_secret_is_sealed_for_its_own_place(service: Service) -> None:
    """What the store holds is not the key, and opens for this row and account only."""
    pem = signing_key()
    answer = await service.post("/Credentials", new_credential(content=token_content(signingKey=pem)))
    ident = ids.decode(ids.CREDENTIAL, answer.json()["resourceId"])
    found = await service.store.sealed_credential(service.account, ident)
    assert found is not None
    assert pem.splitlines()[1].encode() not in found[1]
    sealer = service.state.sealer
    opened = sealer.open(found[1], table="credential", column="sealed", row=ident, account=service.account)
    assert opened.decode().strip() == pem.strip()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"credentialType": None}, [("$.credentialType", 70004)]),
        ({"credentialType": "VOIP"}, [("$.credentialType", 70003)]),
        ({"content": {}}, [("$.content", 70004)]),
        ({"content": token_content(certificate="x")}, [("$.content", 70003)]),
        ({"content": token_content(signingKey=None)}, [("$.content.signingKey", 70004)]),
        ({"content": {"certificate": "x"}}, [("$.content.privateKey", 70004)]),
        ({"content": token_content(keyId="abcde12345")}, [("$.content.keyId", 70031)]),
        ({"content": token_content(keyId="ABCDE1234")}, [("$.content.keyId", 70031)]),
        ({"content": token_content(teamId="TEAM1234567")}, [("$.content.teamId", 70032)]),
        ({"content": token_content(bundleId="not a bundle id")}, [("$.content.bundleId", 70003)]),
        ({"content": token_content(signingKey="not a key")}, [("$.content.signingKey", 70030)]),
        ({"content": token_content(keyScope="world")}, [("$.content.keyScope", 70003)]),
        ({"content": token_content(topics=["a"] * 401)}, [("$.content.topics", 70003)]),
        ({"content": token_content(relatedCredentialId="x")}, [("$.content.relatedCredentialId", 70003)]),
        ({"content": token_content(secret="x")}, [("$.content.secret", 70005)]),
        ({"content": {"certificate": "x", "privateKey": "y"}}, [("$.content.certificate", 70033)]),
        ({"appName": "Shop"}, [("$.appName", 70003)]),
        ({"appName": ""}, [("$.appName", 70003)]),
        ({"appName": "a\n"}, [("$.appName", 70003)]),
        ({"appName": "a" * 65}, [("$.appName", 70003)]),
        ({"colour": "red"}, [("$.colour", 70005)]),
        (
            {"appName": "A", "content": token_content(keyId="x", teamId="y")},
            [("$.appName", 70003), ("$.content.keyId", 70031), ("$.content.teamId", 70032)],
        ),
    ],
)
async def test_a_bad_credential_is_refused_by_field(
    service: Service, changes: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    """Every wrong field is named at once, and nothing is kept."""
    answer = await service.post("/Credentials", new_credential(**changes))
    assert answer.status_code == 400
    assert [(each["context"], each["code"]) for each in answer.json()["errors"]] == expected
    assert (await service.get("/Credentials")).json()["credentials"] == []


async def test_a_refusal_never_quotes_the_key(service: Service) -> None:
    """A key with one wrong letter is not echoed."""
    pem = signing_key()
    broken = pem.replace("BEGIN PRIVATE", "BEGIN PUBLIC")
    answer = await service.post("/Credentials", new_credential(content=token_content(signingKey=broken)))
    assert answer.status_code == 400
    assert pem.splitlines()[1] not in answer.text


async def test_a_signing_key_is_never_read_from_the_servers_disk(service: Service, tmp_path: Path) -> None:
    """A path is no key, and the answer does not tell whether there is such a file: it would be a way to look around."""
    file = tmp_path / "AuthKey.p8"
    file.write_text(signing_key())
    answers = [
        await service.post("/Credentials", new_credential(content=token_content(signingKey=str(path))))
        for path in (file, tmp_path / "missing", tmp_path)
    ]
    assert [answer.status_code for answer in answers] == [400] * 3
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["errors"][0]["context"] == "$.content.signingKey"


async def test_fcm_is_refused_with_its_own_code(service: Service) -> None:
    """OWN-24: Until it is built, nobody believes it works."""
    body = {"credentialType": "FCM", "appName": "shop", "content": {"privateKey": "e30="}}
    answer = await service.post("/Credentials", body)
    assert (answer.status_code, answer.json()["code"]) == (400, 70050)


async def test_without_an_app_name_the_default_app_is_meant(service: Service) -> None:
    """The first credential must name its app; later ones may leave it out."""
    refused = await service.post("/Credentials", new_credential(appName=None))
    assert [(each["context"], each["code"]) for each in refused.json()["errors"]] == [("$.appName", 70004)]
    await service.app_named("shop")
    answer = await service.post("/Credentials", new_credential(appName=None, credentialType="APN_SANDBOX"))
    credential = (await service.get(f"/Credentials/{answer.json()['resourceId']}")).json()
    assert (credential["appName"], credential["isDefault"]) == ("shop", True)


async def test_a_related_credential_must_exist(service: Service) -> None:
    """A reference to nothing is a 404 that names the field."""
    nobody = ids.encode(ids.CREDENTIAL, service.state.ids.new())
    body = new_credential(content=token_content(relatedCredentialId=nobody))
    answer = await service.post("/Credentials", body)
    assert (answer.status_code, answer.json()["code"]) == (404, 70021)
    assert answer.json()["errors"][0]["context"] == "$.content.relatedCredentialId"
    known = await service.app_named(content=token_content(keyScope="topic", topics=["com.example.shop"]))
    content = token_content(keyId="OTHERKEY12", topics=["com.example.shop"], relatedCredentialId=known)
    answer = await service.post("/Credentials", new_credential(content=content))
    assert answer.status_code == 202, answer.text
    shown = (await service.get(f"/Credentials/{answer.json()['resourceId']}")).json()["content"]
    assert (shown["relatedCredentialId"], shown["relatedKeyId"]) == (known, "ABCDE12345")


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"keyScope": "topic"}, "$.content.topics"),
        ({"keyScope": "topic", "topics": []}, "$.content.topics"),
        ({"keyScope": "team", "topics": ["com.example.shop"]}, "$.content.topics"),
        ({"topics": ["com.example.other"]}, "$.content.topics"),
        ({"topics": ["not a topic"]}, "$.content.topics"),
    ],
)
async def test_a_scope_and_its_topics_must_go_together(service: Service, content: dict[str, Any], path: str) -> None:
    """OWN-23: A topic key lists topics, its bundle id among them; a team key lists none (TOK-11, TOK-15)."""
    answer = await service.post("/Credentials", new_credential(content=token_content(**content)))
    assert answer.status_code == 400
    assert [each["context"] for each in answer.json()["errors"]] == [path]


async def test_a_key_takes_400_topics_and_not_one_more(service: Service) -> None:
    """What Apple's portal allows (TOK-11)."""
    topics = ["com.example.shop", *(f"com.example.app{number}" for number in range(399))]
    answer = await service.post("/Credentials", new_credential(content=token_content(topics=topics)))
    assert answer.status_code == 202, answer.text
    answer = await service.post("/Credentials", new_credential(content=token_content(topics=[*topics, "one.more"])))
    assert [each["context"] for each in answer.json()["errors"]] == ["$.content.topics"]


@pytest.mark.parametrize("changes", [{"teamId": "OTHERTEAM1"}, {"credentialType": "APN_SANDBOX"}])
async def test_related_keys_share_team_and_environment(service: Service, changes: dict[str, str]) -> None:
    """At most one related key, in the same environment (TOK-11)."""
    first = token_content(topics=["com.example.shop"])
    known = await service.app_named(content=first)
    content = {**first, "keyId": "OTHERKEY12", "relatedCredentialId": known}
    body = new_credential(content=content)
    (body["content"] if "teamId" in changes else body).update(changes)
    answer = await service.post("/Credentials", body)
    assert answer.status_code == 400
    assert [each["context"] for each in answer.json()["errors"]] == ["$.content.relatedCredentialId"]


async def test_an_app_takes_ten_credentials_and_an_account_ten_apps(service: Service) -> None:
    """TW-49, TW-57: The eleventh of either is refused with its own code."""
    for _ in range(10):
        await service.app_named("app0")
    eleventh = await service.post("/Credentials", new_credential(appName="app0"))
    assert (eleventh.status_code, eleventh.json()["code"]) == (400, 70041)
    for number in range(1, 10):
        await service.app_named(f"app{number}")
    refused = await service.post("/Credentials", new_credential(appName="app10"))
    assert (refused.status_code, refused.json()["code"]) == (400, 70040)


async def test_credentials_are_listed_newest_first_and_filtered(service: Service) -> None:
    """TW-60: By app, type, default and date."""
    made = []
    for name, type_ in (("shop", "APN"), ("shop", "APN"), ("shop", "APN_SANDBOX"), ("bank", "APN")):
        service.clock.advance(60)
        made.append(await service.app_named(name, type_))

    async def listed(**params: Any) -> list[int]:
        found = (await service.get("/Credentials", **params)).json()["credentials"]
        return [made.index(each["id"]) for each in found]

    assert await listed() == [3, 2, 1, 0]
    assert await listed(appName="shop") == [2, 1, 0]
    assert await listed(credentialType="APN_SANDBOX") == [2]
    assert await listed(isDefault="false") == [1]
    assert await listed(appName="shop", isDefault="true") == [2, 0]
    assert await listed(startDate="2027-01-15T08:02:00Z", endDate="2027-01-15T08:04:00Z") == [2, 1]
    assert await listed(startDate="2027-01-15", endDate="2027-01-15") == [3, 2, 1, 0]
    assert await listed(endDate="2027-01-14") == []
    assert await listed(startDate="2027-01-15T10:04:00+02:00") == [3]


async def test_pages_lead_through_all_credentials(service: Service) -> None:
    """`next` leads to the end, `self` repeats."""
    made = [await service.app_named("shop") for _ in range(5)]
    seen: list[str] = []
    params: dict[str, Any] = {"pageSize": 2}
    while True:
        body = (await service.get("/Credentials", **params)).json()
        again = (await service.get("/Credentials", pageSize=2, pageToken=body["pagination"]["self"])).json()
        assert again == body
        seen += [each["id"] for each in body["credentials"]]
        if body["pagination"]["next"] is None:
            break
        params = {"pageSize": 2, "pageToken": body["pagination"]["next"]}
    assert sorted(seen) == sorted(made)
    assert len(seen) == 5


@pytest.mark.parametrize(
    "params",
    [
        {"startDate": "yesterday"},
        {"startDate": "2027-02-30"},
        {"endDate": "2027-01-15T25:00:00Z"},
        {"startDate": "2027-01-16", "endDate": "2027-01-15"},
        {"isDefault": "perhaps"},
        {"credentialType": "apn"},
        {"pageToken": "eyJjIjoiISIsInEiOnt9fQ"},
        {"pageToken": "eyJjIjoiQUFBQSIsInEiOnt9fQ"},
        {"pageToken": "eyJjIjo1LCJxIjp7fX0"},
    ],
)
async def test_a_filter_that_cannot_be_is_a_400(service: Service, params: dict[str, str]) -> None:
    """Bad dates, words and tokens are refused by name, not ignored."""
    answer = await service.get("/Credentials", **params)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["context"] == f"query.{list(params)[-1]}"


async def test_deleting_the_last_credential_ends_the_app(service: Service) -> None:
    """TW-59: The answer points at what was deleted; the app and its registrations are gone."""
    ident = await service.app_named("shop")
    await service.user()
    answer = await service.delete(f"/Credentials/{ident}")
    assert answer.status_code == 202
    assert answer.json()["resourceId"] == ident
    assert (await service.get(f"/Credentials/{ident}")).status_code == 404
    assert (await service.get("/Apps/shop")).status_code == 404
    assert (await service.delete(f"/Credentials/{ident}")).status_code == 404


@pytest.mark.parametrize("ident", ["x", "comms_credential_x", "comms_operation_" + "0" * 26, "%00", "é"])
async def test_an_id_that_cannot_be_is_a_404(service: Service, ident: str) -> None:
    """There is no such resource, whatever the text."""
    assert (await service.get(f"/Credentials/{ident}")).status_code == 404
    assert (await service.delete(f"/Credentials/{ident}")).status_code == 404


async def test_an_app_shows_its_default_credentials(service: Service) -> None:
    """TW-50, TW-54, OWN-22: One per type; the first app is the default one."""
    production = await service.app_named("shop")
    sandbox = await service.app_named("shop", "APN_SANDBOX")
    await service.app_named("shop")
    answer = await service.get("/Apps/shop")
    assert answer.json() == {
        "name": "shop",
        "isDefault": True,
        "defaultCredentials": [
            {"credentialType": "APN", "id": production},
            {"credentialType": "APN_SANDBOX", "id": sandbox},
        ],
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00Z",
        "counts": {"credentials": 3, "users": 0},
    }
    await service.user()
    assert (await service.get("/Apps/shop")).json()["counts"]["users"] == 1
    assert "counts" not in (await service.get("/Apps")).json()["apps"][0]


async def test_is_default_makes_a_later_credential_the_default(service: Service) -> None:
    """TW-55: The caller may replace the default at once."""
    await service.app_named("shop")
    second = await service.app_named("shop", isDefault=True)
    app = (await service.get("/Apps/shop")).json()
    assert app["defaultCredentials"] == [{"credentialType": "APN", "id": second}]


async def test_apps_are_listed_and_filtered(service: Service) -> None:
    """TW-51: Newest first; `isDefault` narrows."""
    await service.app_named("shop")
    service.clock.advance(60)
    await service.app_named("bank")
    names = [each["name"] for each in (await service.get("/Apps")).json()["apps"]]
    assert names == ["bank", "shop"]
    default = (await service.get("/Apps", isDefault=True)).json()["apps"]
    assert [each["name"] for each in default] == ["shop"]
    assert (await service.get("/Apps/nobody")).json()["code"] == 20404


async def test_a_filter_longer_than_any_app_s_name_is_refused(service: Service) -> None:
    """64 characters find nothing, and their page token is taken; one more is a 400."""
    answer = await service.get("/Credentials", appName="a" * 64)
    token = answer.json()["pagination"]["self"]
    assert (await service.get("/Credentials", pageToken=token)).json() == answer.json()
    refused = await service.get("/Credentials", appName="a" * 65)
    assert refused.json()["errors"][0]["context"] == "query.appName"
