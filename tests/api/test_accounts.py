"""An account reads itself."""

from __future__ import annotations

import pytest
from support.service import Service, basic, token_content

from heliogram.domain.accounts import AccountLimits, Scope

pytestmark = pytest.mark.anyio


async def test_an_account_reads_its_limits_and_counts(service: Service) -> None:
    """What it may have and what it has."""
    await service.app_named("shop")
    await service.app_named("shop", "APN_SANDBOX")
    await service.app_named("news")
    answer = await service.client.get("/v1/Account")
    assert answer.status_code == 200
    body = answer.json()
    assert body["name"] == "default"
    assert body["limits"] == {
        "apps": 10,
        "credentialsPerApp": 10,
        "apiKeys": 100,
        "requestsPerSecond": None,
        "burst": None,
        "weight": 1,
        "queuedRecipients": 2_500_000,
    }
    assert body["counts"] == {"apps": 2, "credentials": 3, "apiKeys": 1, "webhooks": 0, "queuedRecipients": 0}


async def test_a_limit_of_requests_is_shown_with_its_burst(service: Service) -> None:
    """A burst that was not set is a second's worth."""
    await service.store.limit_account(service.account, AccountLimits(apps=2, requests_per_second=50))
    limits = (await service.client.get("/v1/Account")).json()["limits"]
    assert (limits["apps"], limits["requestsPerSecond"], limits["burst"]) == (2, 50, 50)


async def test_the_limit_of_apps_is_the_accounts(service: Service) -> None:
    """One past it is refused with the code and what to do."""
    await service.store.limit_account(service.account, AccountLimits(apps=1))
    await service.app_named("shop")
    body = {"credentialType": "APN", "appName": "news", "content": token_content()}
    refused = await service.post("/Credentials", body)
    assert (refused.status_code, refused.json()["code"]) == (400, 70040)
    assert "its 1 apps" in refused.json()["detail"]


async def test_only_an_admin_reads_the_account(service: Service) -> None:
    """Like all that is about keys and people."""
    key = await service.new_key(Scope.READ)
    async with service.client_of(basic(*key)) as client:
        for path in ("/v1/Account", "/v1/ApiKeys", "/v1/AuditEvents"):
            assert (await client.get(path)).status_code == 403
