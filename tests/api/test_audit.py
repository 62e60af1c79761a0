"""That no change of keys, credentials, apps and webhooks goes unrecorded, whatever happens in between."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import httpx2
import pytest
from support.service import Service, token_content
from support.stores import in_the_file

from heliogram.api.application import ENDPOINTS
from heliogram.domain.accounts import Scope

pytestmark = pytest.mark.anyio

UPLOAD = {"credentialType": "APN", "appName": "shop", "content": token_content()}
SECOND = "/v1/PushNotifications/Credentials/{second}"
HOOK = "/v1/Webhooks/{hook}"


class Change(NamedTuple):
    """A request that changes something, and what the log says of it."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    action: str


CHANGES: Mapping[str, Change] = {
    "createCredential": Change("POST", "/v1/PushNotifications/Credentials", UPLOAD, "credential.created"),
    "updateCredential": Change("PATCH", SECOND, {"isDefault": True}, "credential.made_default"),
    "deleteCredential": Change("DELETE", SECOND, None, "credential.deleted"),
    "rotateCredential": Change("POST", SECOND + "/rotate", {"content": token_content()}, "credential.rotated"),
    "revokeCredential": Change("POST", SECOND + "/revoke", None, "credential.revoked"),
    "reconnectCredential": Change("POST", SECOND + "/reconnect", None, "credential.reconnected"),
    "updateApp": Change("PATCH", "/v1/PushNotifications/Apps/bank", {"isDefault": True}, "app.made_default"),
    "createApiKey": Change("POST", "/v1/ApiKeys", {"scopes": ["read"]}, "apiKey.created"),
    "rotateApiKey": Change("POST", "/v1/ApiKeys/{key}/rotate", {}, "apiKey.rotated"),
    "revokeApiKey": Change("DELETE", "/v1/ApiKeys/{key}", None, "apiKey.revoked"),
    "createWebhook": Change("POST", "/v1/Webhooks", {"url": "https://x.example/", "types": ["*"]}, "webhook.created"),
    "updateWebhook": Change("PATCH", HOOK, {"description": "other"}, "webhook.updated"),
    "deleteWebhook": Change("DELETE", HOOK, None, "webhook.deleted"),
    "rotateWebhookSecret": Change("POST", HOOK + "/rotateSecret", None, "webhook.secretRotated"),
    "redeliverDeadLetters": Change("POST", HOOK + "/DeadLetters/redeliver", {}, "webhook.redelivered"),
}
CHANGING_NOTHING = {"checkCredential", "testWebhook"}
"""They ask APNs and the receiver; what they learn changes nothing that works."""
DEAD_LETTER = """INSERT INTO webhook_batch (account_id, webhook_id, id, body, events, attempts, error, created, updated)
SELECT account_id, id, id, CAST('[]' AS BLOB), 1, 9, 'no answer', created, created FROM webhook"""
TABLES = ("app", "credential", "webhook", "webhook_batch", "api_key", "audit")


def test_every_change_of_what_is_administered_is_looked_at() -> None:
    """A new endpoint for keys, credentials, apps or webhooks that writes is in the table here."""
    writing = {
        each.operation_id
        for each in ENDPOINTS
        if each.method != "GET" and each.scope in (Scope.ADMIN, Scope.CREDENTIALS)
    }
    assert writing == CHANGES.keys() | CHANGING_NOTHING


async def things(service: Service) -> dict[str, str]:
    """Two apps, one of them with two credentials of different keys, a key and a webhook."""
    await service.app_named("shop")
    second = await service.app_named("shop", content=token_content(keyId="OTHERKEY12"))
    await service.app_named("bank", content=token_content(keyId="THIRDKEY12"))
    hook = await service.client.post("/v1/Webhooks", json={"url": "https://x.example/", "types": ["*"]})
    key = await service.client.post("/v1/ApiKeys", json={"scopes": ["read"]})
    return {"second": second, "hook": hook.json()["id"], "key": key.json()["id"]}


async def ask(service: Service, change: Change, made: dict[str, str]) -> httpx2.Response:
    return await service.client.request(change.method, change.path.format(**made), json=change.body)


def rows(path: Path) -> dict[str, list[Any]]:
    """All that can be changed, as it is in the database."""
    with closing(apsw.Connection(str(path))) as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608 - ours


def execute(path: Path, sql: str) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(sql)


@in_the_file
@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_is_made_with_its_record_or_not_at_all(service: Service, tmp_path: Path, name: str) -> None:
    """Where the record cannot be written nothing has changed; where it can, there is exactly one."""
    path, change = tmp_path / "heliogram.db", CHANGES[name]
    made = await things(service)
    execute(path, DEAD_LETTER)
    service.clock.advance(1)
    before = rows(path)
    execute(path, "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no record'); END")
    answer = await ask(service, change, made)
    assert answer.status_code >= 400, answer.text
    assert rows(path) == before
    execute(path, "DROP TRIGGER refuse")
    answer = await ask(service, change, made)
    assert answer.status_code < 300, answer.text
    after = rows(path)
    known = {row[1] for row in before["audit"]}
    assert [row[4] for row in after["audit"] if row[1] not in known] == [change.action]


async def test_what_changes_nothing_is_not_recorded(service: Service) -> None:
    """What is so already: the default made the default, the revoked revoked, the gone deleted."""
    made = await things(service)
    again = ("updateCredential", "updateApp", "revokeCredential", "revokeApiKey", "deleteWebhook", "deleteCredential")
    for name in again:
        assert (await ask(service, CHANGES[name], made)).status_code == 202, name
        for _ in range(2):
            await ask(service, CHANGES[name], made)
    events = (await service.client.get("/v1/AuditEvents")).json()["auditEvents"]
    for name in again:
        assert [each["action"] for each in events].count(CHANGES[name].action) == 1, name


async def test_the_log_is_searched_by_who_did_what_to_what(service: Service) -> None:
    """By actor and subject, whose filters a page token keeps."""
    made = await things(service)
    other = await service.tenant()

    async def found(**wanted: Any) -> list[tuple[str, str]]:
        answer = await service.client.get("/v1/AuditEvents", params=wanted)
        assert answer.status_code == 200, answer.text
        return [(each["action"], each["subject"]) for each in answer.json()["auditEvents"]]

    assert await found(subject=made["key"]) == [("apiKey.created", made["key"])]
    assert await found(subject=made["key"], actor="cli") == []
    actor = service.key[0]
    assert len(await found(actor=actor)) == 5
    assert len(await found(actor=actor, action="credential.created")) == 3
    page = await service.client.get("/v1/AuditEvents", params={"actor": actor, "pageSize": 2})
    assert len(await found(pageToken=page.json()["pagination"]["next"])) == 3
    assert (await other.client.get("/v1/AuditEvents", params={"actor": actor})).json()["auditEvents"] == []
