"""The control API on the developer portal, over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
from support.control import ControlCaller, control_client
from support.sim_client import KEY_ID, TEAM, TOPIC, World

from heliogram.apns import Certificate
from heliogram.simulator.control import portal
from heliogram.simulator.control.portal_schemas import CertificateIn, CertificateOut, IssuedOut

pytestmark = pytest.mark.anyio

OTHER = "TEAMOTHER1"
APP = {"bundleId": TOPIC, "teamId": TEAM, "push": True, "broadcast": True}


class Control(ControlCaller):
    """A world with its control API."""

    def __init__(self, world: World, http: httpx2.AsyncClient) -> None:
        super().__init__(http)
        self.world = world

    async def refusal(self, method: str, path: str, body: Any = None, status: int = 400) -> tuple[str, str]:
        """Where the error is, and what it says."""
        problem = await self.call(method, path, body, status)
        errors = problem.get("errors")
        return (errors[0].get("pointer", ""), errors[0]["detail"]) if errors else ("", problem["detail"])

    async def teams(self) -> None:
        for team_id in (TEAM, OTHER):
            await self.call("POST", "/portal/teams", {"name": f"Team {team_id}", "id": team_id}, 201)


@pytest.fixture
async def control(world: World) -> AsyncIterator[Control]:
    async with control_client(world.simulator) as http:
        yield Control(world, http)


def test_endpoints() -> None:
    """The control API on the portal, whole."""
    assert sorted(f"{each.method} {each.path}" for each in portal.ENDPOINTS) == [
        "DELETE /portal/apps/{bundleId}",
        "DELETE /portal/certificates/{serial}",
        "DELETE /portal/teams/{teamId}",
        "GET /portal",
        "GET /portal/certificates",
        "PATCH /portal",
        "PATCH /portal/apps/{bundleId}",
        "PATCH /portal/keys/{keyId}",
        "POST /portal/apps",
        "POST /portal/certificates",
        "POST /portal/teams",
    ]


async def test_at_a_glance(control: Control) -> None:
    """Teams, App IDs, keys and certificates in one answer, without any secret."""
    await control.teams()
    assert await control.call("POST", "/portal/apps", {"bundleId": TOPIC, "teamId": TEAM}, 201) == APP
    made = await control.call("POST", "/portal/certificates", {"bundleId": TOPIC, "keyType": "ec"}, 201)
    seen = await control.call("GET", "/portal")
    assert seen["strict"] is False
    assert seen["teams"][0] == {"id": TEAM, "name": f"Team {TEAM}"}
    assert seen["apps"] == [APP]
    assert [key["keyId"] for key in seen["keys"]] == [KEY_ID]
    assert seen["certificates"] == [made["certificate"]]
    assert seen["certificates"] == (await control.call("GET", "/portal/certificates"))["certificates"]
    assert "PRIVATE" not in str(seen)


async def test_strict(control: Control) -> None:
    """A strict portal refuses what is not declared; it can be made so at any time."""
    assert (await control.call("PATCH", "/portal", {"strict": True}))["strict"] is True
    assert (await control.world.push()).reason == "TopicDisallowed"
    await control.call("PATCH", "/portal", {"strict": False})
    assert (await control.world.push()).status == 200


async def test_transfer_and_capabilities(control: Control) -> None:
    """TOK-14: an app changes its team and loses push over the API, and new connections notice."""
    await control.teams()
    await control.call("POST", "/portal/apps", APP, 201)
    assert (await control.world.push()).status == 200
    changed = await control.call("PATCH", f"/portal/apps/{TOPIC}", {"teamId": OTHER})
    assert changed == {**APP, "teamId": OTHER}
    assert (await control.world.push()).reason == "TopicDisallowed"
    await control.call("PATCH", f"/portal/apps/{TOPIC}", {"teamId": TEAM, "push": False})
    assert (await control.world.push()).reason == "TopicDisallowed"
    await control.call("DELETE", f"/portal/apps/{TOPIC}", status=204)
    assert (await control.world.push()).status == 200
    await control.call("DELETE", f"/portal/teams/{TEAM}", status=204)


async def test_errors(control: Control) -> None:
    """What cannot be is told with the field and the way out."""
    missing, there = "/portal/apps/com.example.none", f"/portal/apps/{TOPIC}"
    where, why = await control.refusal("POST", "/portal/apps", APP)
    assert where.endswith("teamId")
    assert "POST /portal/teams" in why
    await control.teams()
    await control.call("POST", "/portal/apps", APP, 201)
    assert "PATCH it" in (await control.refusal("POST", "/portal/apps", APP, 409))[1]
    assert "at least one of" in (await control.refusal("PATCH", there, {}))[1]
    assert "POST /portal/apps" in (await control.refusal("PATCH", missing, {"push": True}, 404))[1]
    assert "remove or transfer" in (await control.refusal("DELETE", f"/portal/teams/{TEAM}", status=409))[1]
    assert "choose another id" in (await control.refusal("POST", "/portal/teams", {"name": "x", "id": TEAM}, 409))[1]
    await control.refusal("DELETE", missing, status=404)
    await control.refusal("DELETE", "/portal/teams/NOSUCHTEAM", status=404)
    await control.refusal("DELETE", "/portal/certificates/abc", status=404)
    await control.refusal("DELETE", "/keys/NOSUCHKEY1", status=404)
    await control.refusal("PATCH", "/portal/keys/NOSUCHKEY1", {"relatedKeyId": None}, 404)


async def test_change_a_key(control: Control) -> None:
    """TOK-11: topics and related key of a topic-specific key; what is left out stays, null ends the relation."""
    order = {"teamId": TEAM, "environment": "sandbox", "topics": [TOPIC]}
    first, second = [(await control.call("POST", "/portal/keys", order, 201))["keyId"] for _ in range(2)]
    path = f"/portal/keys/{second}"
    changed = await control.call("PATCH", path, {"topics": ["com.x"], "relatedKeyId": first})
    assert (changed["topics"], changed["relatedKeyId"]) == (["com.x"], first)
    assert (await control.call("PATCH", path, {"topics": ["com.y"]}))["relatedKeyId"] == first
    assert (await control.call("PATCH", path, {"relatedKeyId": None}))["topics"] == ["com.y"]
    assert (await control.refusal("PATCH", path, {"topics": []}))[0].endswith("topics")
    assert (await control.refusal("PATCH", path, {"relatedKeyId": second}))[0].endswith("relatedKeyId")
    assert (await control.refusal("PATCH", path, {"environment": "production"}))[0].endswith("environment")


async def test_revoke_a_key(control: Control) -> None:
    """TOK-19: over the API a key is gone at once."""
    assert (await control.world.push()).status == 200
    await control.call("DELETE", f"/keys/{KEY_ID}", status=204)
    assert (await control.world.push()).reason == "InvalidProviderToken"


async def test_certificate(control: Control) -> None:
    """CERT-1: PEM and PKCS#12 of one certificate, by default with an RSA key as Apple's have; then it is revoked."""
    order = {"bundleId": TOPIC, "environment": "production", "teamId": TEAM, "days": 30, "password": "secret"}
    made = await control.call("POST", "/portal/certificates", order, 201)
    about = made["certificate"]
    assert about["topics"] == [TOPIC]
    assert about["environments"] == ["production"]
    assert (about["issued"], about["teamId"], about["revokedAt"]) == (True, TEAM, None)
    pair = Certificate.from_pem(made["pem"], made["privateKey"])
    packed = Certificate.from_pkcs12(base64.b64decode(made["p12"]), "secret")
    assert pair.topics == packed.topics == (TOPIC,)
    assert pair.not_after == packed.not_after
    key, _, _ = load_key_and_certificates(base64.b64decode(made["p12"]), b"secret")
    assert getattr(key, "key_size", None) == 2048
    await control.call("DELETE", f"/portal/certificates/{about['serial']}", status=204)
    [listed] = (await control.call("GET", "/portal/certificates"))["certificates"]
    assert listed["revokedAt"] is not None


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({}, "bundleId"),
        ({"bundleId": "nodots"}, "bundleId"),
        ({"bundleId": TOPIC, "kind": "pass"}, "bundleId"),
        ({"bundleId": TOPIC, "kind": "gold"}, "kind"),
        ({"bundleId": "pass.com.x", "kind": "pass", "environment": "sandbox"}, "environment"),
        ({"bundleId": TOPIC, "days": 0}, "days"),
        ({"bundleId": TOPIC, "days": 3651}, "days"),
        ({"bundleId": TOPIC, "teamId": "short"}, "teamId"),
        ({"bundleId": TOPIC, "keyType": "dsa"}, "keyType"),
        ({"bundleId": TOPIC, "password": ""}, "password"),
    ],
)
async def test_orders_that_cannot_be(control: Control, order: dict[str, Any], field: str) -> None:
    """The answer names the field."""
    assert (await control.refusal("POST", "/portal/certificates", order))[0].endswith(field)


async def test_secrets_are_in_no_repr(world: World) -> None:
    """Neither the password of an order nor the private key of its answer."""
    order = CertificateIn(bundle_id=TOPIC, key_type="ec", password="hush")
    made = world.simulator.portal.issue_certificate(order.build())
    known = world.simulator.portal.certificates.get(made.contents.serial)
    answer = IssuedOut.of(made, known, order.password)
    assert answer.certificate == CertificateOut.of(known)
    assert "hush" not in repr(order)
    assert "PRIVATE" not in repr(answer)
