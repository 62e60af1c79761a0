"""Who may do what."""

from __future__ import annotations

import base64

import pytest
from support.service import Service, basic

from heliogram.api import ENDPOINTS
from heliogram.api.auth import key_of
from heliogram.domain import ids
from heliogram.domain.accounts import Scope
from heliogram.rest import Endpoint

pytestmark = pytest.mark.anyio

PUSHES = "/v1/PushNotifications"
KEYED = [each for each in ENDPOINTS if not each.public]


def a_path(endpoint: Endpoint) -> str:
    """The endpoint's path with something in place of each parameter."""
    path = endpoint.path
    for name in endpoint.path_params:
        path = path.replace("{" + name + "}", "x")
    return path


@pytest.mark.parametrize("prefix", ["/v1", "/preview"])
@pytest.mark.parametrize("endpoint", KEYED, ids=lambda each: each.operation_id)
async def test_without_a_key_every_endpoint_answers_401(service: Service, endpoint: Endpoint, prefix: str) -> None:
    """No key, no answer, and the realm tells how to give one."""
    async with service.client_of({}) as stranger:
        answer = await stranger.request(endpoint.method, prefix + a_path(endpoint), content=b"{")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="heliogram"'
    assert answer.json()["code"] == 20003


async def test_an_unknown_path_looks_like_a_known_one_to_a_stranger(service: Service) -> None:
    """Without a key nobody learns which paths exist."""
    async with service.client_of({}) as stranger:
        known = await stranger.get("/v1/PushNotifications")
        unknown = await stranger.get("/v1/Nothing")
    assert unknown.status_code == 401
    assert unknown.content == known.content
    own = "x-request-id"  # each request's own
    assert {name: text for name, text in unknown.headers.items() if name != own} == {
        name: text for name, text in known.headers.items() if name != own
    }


async def test_what_is_public_needs_no_key(service: Service) -> None:
    """Health says that the server answers, the documents hold no secrets."""
    async with service.client_of({}) as stranger:
        health = await stranger.get("/health")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        assert (await stranger.get("/openapi.json")).status_code == 200
        assert (await stranger.get("/docs")).status_code == 200


@pytest.mark.parametrize("wrong", ["secret", "key", "both", "empty", "scheme", "nonsense", "no colon"])
async def test_a_wrong_key_is_refused_alike(service: Service, wrong: str) -> None:
    """Whatever is wrong with a key, the answer is the same."""
    key_id, secret = service.key
    nobody = ids.encode(ids.API_KEY, service.state.ids.new())
    header = {
        "secret": basic(key_id, secret[:-1]),
        "key": basic(nobody, secret),
        "both": basic("admin", "admin"),
        "empty": basic("", ""),
        "scheme": {"Authorization": f"Digest {key_id}"},
        "nonsense": {"Authorization": "Basic !!!"},
        "no colon": {"Authorization": "Basic " + base64.b64encode(key_id.encode()).decode()},
    }[wrong]
    async with service.client_of({}) as stranger:
        expected = await stranger.get("/v1/PushNotifications/Apps")
    async with service.client_of(header) as client:
        answer = await client.get("/v1/PushNotifications/Apps")
    assert answer.status_code == 401
    assert answer.content == expected.content


async def test_a_bearer_key_works_too(service: Service) -> None:
    """The same pair with a dot between."""
    async with service.client_of({"Authorization": "Bearer " + ".".join(service.key)}) as client:
        assert (await client.get("/v1/PushNotifications/Apps")).status_code == 200


async def test_a_revoked_key_ends_within_a_second(service: Service) -> None:
    """A second after a revocation the key opens nothing."""
    key_id, secret = await service.new_key()
    async with service.client_of(basic(key_id, secret)) as client:
        assert (await client.get("/v1/PushNotifications/Apps")).status_code == 200
        await service.store.revoke_api_key(service.account, ids.decode(ids.API_KEY, key_id), service.clock.ms)
        service.clock.advance(1)
        assert (await client.get("/v1/PushNotifications/Apps")).status_code == 401


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ADMIN])
async def test_a_key_does_what_its_scope_allows_and_nothing_else(service: Service, scope: Scope) -> None:
    """OWN-1, OWN-2: Every endpoint asks for its declared scope."""
    key = await service.new_key(scope)
    async with service.client_of(basic(*key)) as client:
        for endpoint in KEYED:
            answer = await client.request(endpoint.method, "/v1" + a_path(endpoint), content=b"{}")
            assert (answer.status_code == 403) == (endpoint.scope != scope), endpoint
            if answer.status_code == 403:
                assert answer.json()["code"] == 20403
                assert f"'{endpoint.scope}'" in answer.json()["detail"]


async def test_what_stands_at_the_edge_registers_and_does_no_more(service: Service) -> None:
    """OWN-2: With `register` alone devices come, change their tokens and go, and users are made and named once; none is
    named anew or deleted, which takes `users`."""
    await service.app_named()
    edge = service.client_of(basic(*await service.new_key(Scope.REGISTER)))
    keeper = service.client_of(basic(*await service.new_key(Scope.USERS)))
    device = {"appName": "shop", "provider": "APN", "installationId": "one", "externalId": "ann"}
    made = [
        await edge.post(f"{PUSHES}/DeviceRegistrations", json={**device, "token": each * 32}) for each in ("aa", "bb")
    ]
    (where,) = {answer.json()["resourceLocation"] for answer in made}
    found = (await service.client.get(where)).json()
    assert [each["token"] for each in found["devices"]] == ["bb" * 32]
    minted = await edge.post(f"{PUSHES}/RegistrationTokens", json={"appName": "shop", "externalId": "ann"})
    assert minted.json()["userId"] == found["userId"]
    user = f"{PUSHES}/Users/{found['userId']}"
    for method, body in (("PATCH", {"externalId": "bob"}), ("PATCH", {"externalId": None}), ("DELETE", None)):
        refused = await edge.request(method, user, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, 20403)
        assert "'users'" in refused.json()["detail"]
    assert (await service.client.get(user)).json()["externalId"] == "ann"
    assert (await edge.delete(f"{where}/devices/{'bb' * 32}")).status_code == 202
    assert (await keeper.patch(user, json={"externalId": "bob"})).status_code == 202
    assert (await keeper.delete(user)).status_code == 202


async def test_with_a_key_one_learns_what_does_not_exist(service: Service) -> None:
    """With a key an unknown path is a 404 and a wrong method a 405."""
    assert (await service.client.get("/v1/Nothing")).status_code == 404
    answer = await service.client.patch("/v1/PushNotifications/Operations")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("", None),
        ("Basic", None),
        ("Bearer a", None),
        ("Bearer a.b.c", ("a", "b.c")),
        ("basic YTpiOmM=", ("a", "b:c")),
        ("Basic /w==", None),
        ("Basic " + "YTpi" * 300, None),
    ],
)
def test_the_header_is_read_strictly(header: str, key: tuple[str, str] | None) -> None:
    """Anything that is no pair of key id and secret is no key."""
    assert key_of(header) == key
