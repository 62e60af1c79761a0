"""The client against a running service and the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.remote import Remote, remote
from support.stack import BUNDLE

from heliogram.client import (
    AsyncHeliogram,
    Content,
    CredentialContent,
    CredentialType,
    Heliogram,
    HeliogramError,
    NotificationStatus,
    OperationStatus,
    OperationTimeout,
    Recipient,
    Scope,
    Unreachable,
)

anyio = pytest.mark.anyio


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        made.credential("app")
        yield made


@pytest.fixture
def heliogram(there: Remote) -> Heliogram:
    return there.client


def test_a_send_arrives_and_its_outcome_is_read_back(there: Remote, heliogram: Heliogram) -> None:
    """From send to the phone and back to the outcome, all typed."""
    phone, token = there.phone("app", "ann")
    to = Recipient.for_external_id("ann", {"name": "Ann"})
    accepted = heliogram.notifications.send(to, Content(title="Hi {{ name }}", body="There"), app="app", ttl=60)
    done = heliogram.operations.wait(accepted.operation_id, timeout=60)
    assert (done.status, done.stats.sent) == (OperationStatus.COMPLETED, 1)
    (shown,) = phone.shown()
    assert (shown["title"], shown["body"]) == ("Hi Ann", "There")
    (found,) = heliogram.notifications.list(operation_id=accepted.operation_id, include="deliveries")
    assert found.status is NotificationStatus.SENT
    assert isinstance(found.deliveries, list)
    assert found.deliveries[0].token == token
    whole = heliogram.notifications.get(found.id)
    assert isinstance(whole.content, Content)
    assert whole.content.title == "Hi {{ name }}"
    assert whole.created_at.tzinfo is not None


@anyio
async def test_the_same_with_await(there: Remote) -> None:
    """The async client has the same methods, and walks lists with `async for`."""
    phone, token = there.phone("app", "bob")
    async with AsyncHeliogram(there.url, there.key) as heliogram:
        accepted = await heliogram.notifications.send(Recipient.for_token(token), "There", app="app")
        done = await heliogram.operations.wait(accepted.operation_id, timeout=60)
        assert done.stats.sent == 1
        assert phone.bodies() == ["There"]
        apps = [app.name async for app in heliogram.apps.list()]
        assert "app" in apps
        with pytest.raises(HeliogramError) as caught:
            await heliogram.apps.get("nothing")
        assert caught.value.status == 404


def test_lists_walk_over_all_pages(heliogram: Heliogram) -> None:
    """Entries of every page in one go, or page by page."""
    for number in range(5):
        heliogram.registrations.create("app", f"{number:02d}" * 32, external_id=f"many-{number}")
    names = [user.external_id for user in heliogram.users.list(page_size=2)]
    assert [f"many-{number}" for number in (4, 3, 2, 1, 0)] == [name for name in names if name and "many" in name]
    sizes = [len(page) for page in heliogram.users.list(page_size=2).pages()]
    assert sum(sizes) == len(names)
    assert max(sizes) == 2


def test_refusals_name_the_field_and_the_cure(heliogram: Heliogram) -> None:
    """Status, the service's code and each field that is wrong."""
    with pytest.raises(HeliogramError) as caught:
        heliogram.notifications.send(Recipient.for_token("xyz"), "There", app="app")
    error = caught.value
    assert (error.status, error.code) == (400, 70012)
    assert error.errors[0].context == "$.to[0].token"
    assert "hexadecimal" in error.errors[0].message


def test_a_send_with_the_same_key_is_one_send(heliogram: Heliogram) -> None:
    """The idempotency key of the caller goes before one that is made."""
    send = heliogram.notifications.send
    first = send(Recipient.for_token("ab" * 32), "x", app="app", idempotency_key="once")
    assert send(Recipient.for_token("ab" * 32), "x", app="app", idempotency_key="once") == first
    assert send(Recipient.for_token("ab" * 32), "x", app="app") != first


def test_what_is_scheduled_can_be_waited_for_and_canceled(heliogram: Heliogram) -> None:
    """A datetime schedules; `wait` gives up when it is told to; canceling ends it."""
    later = datetime.now(UTC) + timedelta(days=1)
    accepted = heliogram.notifications.send(Recipient.for_token("ab" * 32), "x", app="app", send_at=later)
    with pytest.raises(OperationTimeout, match="is SCHEDULED after 0 s"):
        heliogram.operations.wait(accepted.operation_id, timeout=0)
    heliogram.operations.cancel(accepted.operation_id)
    assert heliogram.operations.wait(accepted.operation_id).status is OperationStatus.CANCELED
    assert heliogram.notifications.validate(Recipient.for_token("ab" * 32), "x", app="app").valid


def test_credentials_keys_and_webhooks_are_managed(there: Remote, heliogram: Heliogram) -> None:
    """What administrators do, once around; secrets are in the answers and not in their representations."""
    content = there.content()
    assert content.signing_key is not None
    assert content.signing_key not in repr(content)
    made = heliogram.credentials.create(CredentialType.APN, content, app="other")
    assert heliogram.credentials.get(made.resource_id).content["bundleId"] == BUNDLE
    assert heliogram.credentials.check(made.resource_id).ok
    heliogram.credentials.delete(made.resource_id)
    key = heliogram.api_keys.create([Scope.READ], name="reader")
    assert key.secret not in repr(key)
    with Heliogram(there.url, f"{key.id}:{key.secret}") as reader:
        assert [*reader.apps.list(is_default=True)]
        with pytest.raises(HeliogramError, match="403"):
            reader.apps.make_default("app")
    heliogram.api_keys.revoke(key.id)
    webhook = heliogram.webhooks.create("https://example.com/hook", ["notification.*"])
    heliogram.webhooks.update(webhook.id, state="paused")
    assert [each.state for each in heliogram.webhooks.list()] == ["paused"]
    heliogram.webhooks.delete(webhook.id)
    assert heliogram.account.get().counts.webhooks == 0
    assert any(event.action == "webhook.deleted" for event in heliogram.audit.list(start_date="2020-01-01"))
    assert heliogram.health.ready().status == "ready"
    assert {lane.lane for lane in heliogram.activity.get().lanes} == {"tx", "bulk"}


def test_nobody_there_and_a_wrong_key_are_told_apart(there: Remote) -> None:
    """`Unreachable` when there was no answer, 401 with the service's word otherwise."""
    with Heliogram("http://127.0.0.1:1", there.key, retries=0) as nobody, pytest.raises(Unreachable) as lost:
        nobody.account.get()
    assert (lost.value.status, lost.value.title) == (0, "no answer from http://127.0.0.1:1")
    with Heliogram(there.url, "comms_api_key_x.wrong") as wrong, pytest.raises(HeliogramError) as refused:
        wrong.account.get()
    assert (refused.value.status, refused.value.code) == (401, 20003)
    with pytest.raises(HeliogramError) as refused:
        there.client.credentials.create(CredentialType.APN, CredentialContent(signing_key="x"), app="app")
    assert refused.value.status == 400
