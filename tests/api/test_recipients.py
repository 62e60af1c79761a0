"""Recipients: device tokens, users by id or by the caller's own name for them, with variables."""

from __future__ import annotations

from typing import Any

import pytest
from support.service import TOKEN, Service

from heliogram.domain import ids
from heliogram.domain.notifications import Recipient
from heliogram.domain.operations import Lane

pytestmark = pytest.mark.anyio

DIRECT = {"token": TOKEN, "provider": "APN"}


async def send(service: Service, to: list[dict[str, Any]], **more: Any) -> Any:
    return await service.post("", {"to": to, "content": {"body": "x"}, **more})


async def packed(service: Service, lane: Lane = Lane.TX) -> list[Recipient]:
    now = service.clock.ms
    leased = await service.store.claim(lane, 0, limit=100, now=now, until=now + 60_000, worker="w")
    return [each for chunk in sorted(leased, key=lambda chunk: chunk.first) for each in chunk.recipients]


async def test_a_user_may_be_told_by_external_id(service: Service) -> None:
    """OWN-12: The notification shows the user's id; all arms mix, and each may come twice."""
    await service.app_named()
    user = await service.user()
    await service.store.name_user(service.account, ids.decode(ids.USER, user), "ann@example.com", service.clock.ms)
    to = [{"externalId": "ann@example.com"}, DIRECT, {"userId": user}, {"externalId": "ann@example.com"}, DIRECT]
    assert (await send(service, to)).status_code == 202
    found = [each["to"] for each in (await service.get("")).json()["pushNotifications"]]
    assert found == [{"userId": user}, DIRECT, {"userId": user}, {"userId": user}, DIRECT]


async def test_unknown_external_ids_are_a_404_that_names_them(service: Service) -> None:
    """Beside unknown user ids, in the order of recipients, and nothing is sent."""
    await service.app_named()
    nobody = ids.encode(ids.USER, service.state.ids.new())
    answer = await send(service, [{"externalId": "bob"}, DIRECT, {"userId": nobody}, {"externalId": "bob"}])
    assert answer.status_code == 404
    assert [(each["context"], each["code"]) for each in answer.json()["errors"]] == [
        ("$.to[0].externalId", 70022),
        ("$.to[2].userId", 70022),
        ("$.to[3].externalId", 70022),
    ]
    assert "'bob'" in answer.json()["errors"][0]["message"]
    assert (await service.get("/Operations")).json()["operations"] == []


async def test_the_first_twenty_unknown_users_are_told(service: Service) -> None:
    """Of however many there are."""
    await service.app_named()
    answer = await send(service, [{"externalId": f"nobody-{n}"} for n in range(50)])
    assert [each["context"] for each in answer.json()["errors"]] == [f"$.to[{n}].externalId" for n in range(20)]


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({f"v{n}": n for n in range(100)}, 202),
        ({f"v{n}": n for n in range(101)}, 400),
        ({"n" * 128: 1}, 202),
        ({"n" * 129: 1}, 400),
        ({"t": "x" * 16_384}, 202),
        ({"t": "x" * 16_385}, 400),
        ({"l": [1] * 1_000}, 202),
        ({"l": [1] * 1_001}, 400),
        ({"l": [{"a": None, "b": "c"}, ["d", 1.5]], "o": {"p": [True], "q": {"r": -(2**63)}}}, 202),
        ({"l": [[[]]]}, 400),
        ({"o": {"p": {"q": {}}}}, 400),
        ({"n": 2**63}, 400),
        ({"o": {f"v{n}": n for n in range(101)}}, 400),
        (None, 202),
    ],
)
async def test_variables_are_bounded(service: Service, variables: dict[str, Any] | None, status: int) -> None:
    """Their number, names, texts, lists and depth, each at the edge and one past it; on users too."""
    await service.app_named()
    user = await service.user()
    for recipient in (DIRECT, {"userId": user}):
        answer = await send(service, [{**recipient, "variables": variables}])
        assert answer.status_code == status, answer.text
        if status == 400:
            assert answer.json()["errors"][0]["context"].startswith("$.to[0].variables")
    if status == 202:
        assert [each.variables for each in await packed(service)] == [variables, variables]


async def test_notifications_are_found_by_external_id(service: Service) -> None:
    """As by user id; a name that nobody has finds nothing, and both together are refused."""
    await service.app_named()
    user = await service.user()
    await service.store.name_user(service.account, ids.decode(ids.USER, user), "ann", service.clock.ms)
    await send(service, [DIRECT, {"userId": user}])
    (found,) = (await service.get("", externalId="ann")).json()["pushNotifications"]
    assert found["to"] == {"userId": user}
    assert (await service.get("", externalId="bob")).json()["pushNotifications"] == []
    both = await service.get("", externalId="ann", user=user)
    assert (both.status_code, both.json()["errors"][0]["context"]) == (400, "query.externalId")


async def test_a_revoked_credential_is_a_409(service: Service) -> None:
    """One that is named in `from`; the message says what to do. Other wrongs are told first."""
    credential = await service.app_named()
    await service.app_named("shop")
    revoked = await service.post(f"/Credentials/{credential}/revoke", {})
    assert revoked.status_code == 202, revoked.text
    answer = await send(service, [DIRECT], **{"from": {"apn": credential}})
    assert (answer.status_code, answer.json()["code"]) == (409, 70090)
    assert answer.json()["errors"][0]["context"] == "$.from.apn"
    worse = await send(service, [{"token": "zz", "provider": "APN"}], **{"from": {"apn": credential}})
    assert worse.status_code == 400


async def test_another_account_s_credential_is_unknown(service: Service) -> None:
    """Just like one that does not exist."""
    await service.app_named()
    foreign = ids.encode(ids.CREDENTIAL, service.state.ids.new())
    answer = await send(service, [DIRECT], **{"from": {"apn": foreign}})
    assert (answer.status_code, answer.json()["code"]) == (404, 70021)


async def test_an_unknown_sender_and_unknown_users_are_told_together(service: Service) -> None:
    """One 404 with all that does not exist."""
    await service.app_named()
    answer = await send(service, [{"externalId": "bob"}], **{"from": {"appName": "nope"}})
    assert answer.status_code == 404
    assert [each["context"] for each in answer.json()["errors"]] == ["$.from.appName", "$.to[0].externalId"]
