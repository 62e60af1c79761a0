"""Tokens whose environment nobody knows: tried once in the other one, and what APNs answered is remembered (LIFE-4)."""

from __future__ import annotations

import pytest
from delivery.conftest import Delivery
from delivery.test_chunk import rejecting
from support.apns_server import ApnsServer, Peer, accept_all, device, header
from support.stores import token_of

from heliogram.delivery.choices import Credentials
from heliogram.delivery.plan import BAD_DEVICE_TOKEN, Plan, Progress, elsewhere
from heliogram.domain.apps import CredentialType, Environment, ProviderName
from heliogram.domain.devices import Device
from heliogram.domain.notifications import Content, DeliveryRecord, Outcome, Recipient, SendSpec
from heliogram.domain.operations import OperationStatus
from heliogram.ports import PushResult
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000_000
PROD, SAND = b"p" * 16, b"s" * 16
PRODUCTION, SANDBOX = Environment.PRODUCTION, Environment.SANDBOX
BOTH = Credentials({CredentialType.APN: PROD, CredentialType.APN_SANDBOX: SAND})
SPEC = SendSpec(app_name="demo", content=Content(body="Hi"))
DEVICE = Device(slot=1, token=b"t" * 32, provider=ProviderName.APN)
WRONG = PushResult(tag=None, outcome=Outcome.REJECTED, status=400, reason=BAD_DEVICE_TOKEN)


def refused(environment: Environment, *, token: bytes = DEVICE.token, attempt: int = 1) -> DeliveryRecord:
    """A first answer after which the other environment was to be tried."""
    return DeliveryRecord(
        sequence=0,
        slot=1,
        outcome=Outcome.REJECTED,
        final=False,
        at=NOW,
        token=token,
        environment=environment,
        reason=BAD_DEVICE_TOKEN,
        attempt=attempt,
        retry_at=NOW,
    )


def planned(*records: DeliveryRecord, known: Device = DEVICE, credentials: Credentials = BOTH) -> Plan:
    """The plan for a user with this one device."""
    plan = Plan(SPEC, credentials, now=NOW)
    plan.user(0, [known], Progress(records))
    return plan


def test_an_unknown_environment_has_another_one_to_try() -> None:
    """The default comes first; a BadDeviceToken makes the next attempt in the other, and no third."""
    (target,) = planned().targets
    assert (target.environment, target.unsure, target.other) == (PRODUCTION, True, (SAND, SANDBOX))
    again = elsewhere(target, WRONG)
    assert again is not None
    assert (again.environment, again.credential, again.attempt, again.other) == (SANDBOX, SAND, 2, None)
    assert elsewhere(again, WRONG) is None


@pytest.mark.parametrize(
    "result",
    [
        PushResult(tag=None, outcome=Outcome.REJECTED, status=400, reason="DeviceTokenNotForTopic"),
        PushResult(tag=None, outcome=Outcome.REJECTED, status=410, reason="Unregistered"),
        PushResult(tag=None, outcome=Outcome.NOT_SENT, reason=BAD_DEVICE_TOKEN),
        PushResult(tag=None, outcome=Outcome.ACCEPTED, status=200),
    ],
)
def test_only_bad_device_token_speaks_of_the_environment(result: PushResult) -> None:
    """Every other answer is about something else."""
    assert elsewhere(planned().targets[0], result) is None


@pytest.mark.parametrize(
    ("known", "credentials"),
    [
        (Device(slot=1, token=b"t" * 32, provider=ProviderName.APN, environment=PRODUCTION), BOTH),
        (DEVICE, Credentials({CredentialType.APN: PROD})),
        (DEVICE, Credentials({}, PROD, CredentialType.APN)),
    ],
)
def test_what_is_known_or_named_is_not_tried_elsewhere(known: Device, credentials: Credentials) -> None:
    """The app's word, a credential named by the caller, or no other credential: one environment."""
    (target,) = planned(known=known, credentials=credentials).targets
    assert (target.unsure, target.other) == (False, None)


def test_a_crash_between_the_two_attempts_loses_nothing() -> None:
    """The record of the first says where the second goes, and later ones stay there."""
    (target,) = planned(refused(PRODUCTION)).targets
    assert (target.environment, target.attempt, target.other, target.unsure) == (SANDBOX, 2, None, True)
    busy = DeliveryRecord(
        sequence=0, slot=1, outcome=Outcome.REJECTED, final=False, at=NOW, token=DEVICE.token, environment=SANDBOX,
        status=503, reason="ServiceUnavailable", attempt=2, retry_at=NOW,
    )  # fmt: skip
    (target,) = planned(refused(PRODUCTION), busy).targets
    assert (target.environment, target.attempt, target.other) == (SANDBOX, 3, None)


def test_a_new_token_in_the_slot_starts_anew() -> None:
    """What was said of the installation's older token says nothing of the new one."""
    (target,) = planned(refused(PRODUCTION, token=b"o" * 32)).targets
    assert (target.environment, target.other) == (PRODUCTION, (SAND, SANDBOX))


async def both(delivery: Delivery) -> tuple[bytes, bytes]:
    """An app with a credential for each environment."""
    return await delivery.app(), await delivery.app(type=CredentialType.APN_SANDBOX)


async def states(delivery: Delivery, registration: bytes) -> list[tuple[str, str | None, Environment | None, bool]]:
    """State, reason, environment and whether it was learned, of each device."""
    found = await delivery.bench.store.get_registration(delivery.bench.account, registration)
    assert found is not None
    return [(d.state.value, d.state_reason, d.environment, d.environment_learned) for d in found.devices]


def refusing_first(times: int) -> object:
    """Refuses the first pushes to each token as being of the other environment."""
    seen: dict[str, int] = {}

    def script(peer: Peer, request: Received) -> None:
        token = device(request)
        seen[token] = seen.get(token, 0) + 1
        if seen[token] <= times:
            peer.reject(request, 400, BAD_DEVICE_TOKEN)
        else:
            peer.accept(request)

    return script


async def test_the_other_environment_takes_it_and_is_remembered(delivery: Delivery, apns: ApnsServer) -> None:
    """One lease, two attempts with one apns-id, one delivery; the next send goes there at once."""
    _, sandbox = await both(delivery)
    made = await delivery.bench.device(token_of(1))
    apns.on_request = refusing_first(1)  # type: ignore[assignment] # a script
    operation = await delivery.bench.accept([Recipient(user=made.user_id)])
    assert await delivery.deliver() == 1
    done = await delivery.operation(operation)
    assert (done.status, done.stats.sent, done.stats.failed) == (OperationStatus.COMPLETED, 1, 0)
    first, second = apns.requests
    assert header(first, b"apns-id") == header(second, b"apns-id")
    (notification,) = await delivery.notifications(operation)
    (sent,) = notification.deliveries
    assert (sent.attempt, sent.environment, sent.credential) == (2, SANDBOX, sandbox)
    assert await states(delivery, made.registration_id) == [("active", None, SANDBOX, True)]
    await delivery.bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert len(apns.requests) == 3


async def test_the_first_environment_that_takes_it_is_remembered_too(delivery: Delivery, apns: ApnsServer) -> None:
    """An accepted push tells the environment; one rejection later is then no reason to look elsewhere."""
    await both(delivery)
    made = await delivery.bench.device(token_of(1))
    apns.on_request = accept_all
    await delivery.bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert await states(delivery, made.registration_id) == [("active", None, PRODUCTION, True)]
    apns.on_request = rejecting(400, BAD_DEVICE_TOKEN)
    await delivery.bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert len(apns.requests) == 2
    assert await states(delivery, made.registration_id) == [("quarantined", BAD_DEVICE_TOKEN, PRODUCTION, True)]


async def test_a_token_that_neither_takes_is_quarantined(delivery: Delivery, apns: ApnsServer) -> None:
    """Two answers, the second final; the environment stays unknown."""
    await both(delivery)
    made = await delivery.bench.device(token_of(1))
    apns.on_request = rejecting(400, BAD_DEVICE_TOKEN)
    operation = await delivery.bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert len(apns.requests) == 2
    assert (await delivery.operation(operation)).stats.failed == 1
    assert await states(delivery, made.registration_id) == [("quarantined", BAD_DEVICE_TOKEN, None, False)]


@pytest.mark.parametrize("environment", [PRODUCTION, SANDBOX])
async def test_what_the_app_said_is_not_doubted(delivery: Delivery, apns: ApnsServer, environment: Environment) -> None:
    """A known environment is never tried elsewhere."""
    await both(delivery)
    made = await delivery.bench.device(token_of(1), environment=environment)
    apns.on_request = rejecting(400, BAD_DEVICE_TOKEN)
    await delivery.bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert len(apns.requests) == 1
    assert await states(delivery, made.registration_id) == [("quarantined", BAD_DEVICE_TOKEN, environment, False)]


async def test_a_direct_token_is_tried_in_both(delivery: Delivery, apns: ApnsServer) -> None:
    """There is nothing to remember for a token nobody registered; a registered one learns from it."""
    await both(delivery)
    made = await delivery.bench.device(token_of(1))
    apns.on_request = refusing_first(1)  # type: ignore[assignment] # a script
    operation = await delivery.bench.accept([Recipient(token=token_of(1)), Recipient(token=token_of(2))])
    await delivery.deliver()
    assert (await delivery.operation(operation)).stats.sent == 2
    assert len(apns.requests) == 4
    assert await states(delivery, made.registration_id) == [("active", None, SANDBOX, True)]


async def test_trouble_in_the_other_environment_is_retried_there(delivery: Delivery, apns: ApnsServer) -> None:
    """503 after the change of environment waits as ever, and the retry does not go back."""
    await both(delivery)
    made = await delivery.bench.device(token_of(1))
    answers = iter([(400, BAD_DEVICE_TOKEN), (503, "ServiceUnavailable")])

    def script(peer: Peer, request: Received) -> None:
        status, reason = next(answers, (200, ""))
        if status == 200:
            peer.accept(request)
        else:
            peer.reject(request, status, reason)

    apns.on_request = script
    operation = await delivery.bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert (await delivery.operation(operation)).stats.queued == 1
    delivery.bench.clock.advance(60)
    await delivery.deliver()
    (notification,) = await delivery.notifications(operation)
    assert [(d.attempt, d.environment, d.outcome) for d in notification.deliveries] == [(3, SANDBOX, Outcome.ACCEPTED)]
    assert await states(delivery, made.registration_id) == [("active", None, SANDBOX, True)]


async def test_a_verdict_is_about_the_environment_it_was_given_in(delivery: Delivery, apns: ApnsServer) -> None:
    """The same token in both environments: the refusal in one leaves the other."""
    await both(delivery)
    made = await delivery.bench.device(token_of(1), environment=PRODUCTION)
    await delivery.bench.device(token_of(1), made.user_id, environment=SANDBOX)
    production: list[str] = []

    def script(peer: Peer, request: Received) -> None:
        production.append(header(request, b"apns-id").decode())
        if len(production) == 1:
            peer.reject(request, 400, BAD_DEVICE_TOKEN)
        else:
            peer.accept(request)

    apns.on_request = script
    await delivery.bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert [state for state, *_ in await states(delivery, made.registration_id)] == ["quarantined", "active"]
