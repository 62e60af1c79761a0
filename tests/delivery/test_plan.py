"""What is still to be sent of a chunk."""

from __future__ import annotations

from msgspec.structs import replace

from heliogram.delivery.choices import Credentials
from heliogram.delivery.plan import Plan, Progress
from heliogram.domain.apps import CredentialType, Environment, ProviderName
from heliogram.domain.devices import Device
from heliogram.domain.notifications import Content, DeliveryRecord, Outcome, Recipient, SendSpec

NOW = 1_800_000_000_000
PROD, SANDBOX = b"p" * 16, b"s" * 16
BOTH = Credentials({CredentialType.APN: PROD, CredentialType.APN_SANDBOX: SANDBOX})
SPEC = SendSpec(app_name="demo", content=Content(body="Hi"))


def device(slot: int, environment: Environment | None = None, provider: ProviderName = ProviderName.APN) -> Device:
    return Device(slot=slot, token=bytes([slot]) * 32, provider=provider, environment=environment)


def record(
    slot: int,
    outcome: Outcome = Outcome.ACCEPTED,
    *,
    final: bool = True,
    retry_at: int | None = None,
    attempt: int = 1,
    of: int = 1,
) -> DeliveryRecord:
    return DeliveryRecord(
        sequence=0, slot=slot, outcome=outcome, final=final, at=NOW - 9, retry_at=retry_at, attempt=attempt, of=of
    )


def plan(*records: DeliveryRecord, credentials: Credentials = BOTH) -> tuple[Plan, Progress]:
    return Plan(SPEC, credentials, now=NOW), Progress(records)


def test_every_device_of_a_user_gets_its_own_push() -> None:
    """One notification, a delivery for each of its devices, each through the credential of its environment."""
    made, progress = plan()
    made.user(0, [device(1, Environment.PRODUCTION), device(2, Environment.SANDBOX)], progress)
    assert [(t.slot, t.credential, t.of) for t in made.targets] == [(1, PROD, 2), (2, SANDBOX, 2)]
    assert made.records == []


def test_a_token_of_unknown_environment_goes_to_production_first() -> None:
    """Without knowledge the app's APN default serves, then APN_SANDBOX."""
    made, progress = plan()
    made.user(0, [device(1)], progress)
    assert made.targets[0].credential == PROD
    made, progress = plan(credentials=Credentials({CredentialType.APN_SANDBOX: SANDBOX}))
    made.user(0, [device(1)], progress)
    assert (made.targets[0].credential, made.targets[0].environment) == (SANDBOX, Environment.SANDBOX)


def test_a_user_without_a_device_is_unaddressable() -> None:
    """TW-46: Nothing was tried, and the record says so."""
    made, progress = plan()
    made.user(0, [], progress)
    assert [(r.outcome, r.final) for r in made.records] == [(Outcome.UNADDRESSABLE, True)]


def test_a_user_with_only_fcm_devices_is_unaddressable() -> None:
    """FCM devices are stored and not sent to yet."""
    made, progress = plan()
    made.user(0, [device(1, provider=ProviderName.FCM)], progress)
    assert made.records[0].outcome is Outcome.UNADDRESSABLE


def test_only_devices_that_can_be_sent_to_are_counted() -> None:
    """A user's devices without a provider or a credential for them do not keep it from ending."""
    made, progress = plan(credentials=Credentials({CredentialType.APN: PROD}))
    made.user(0, [device(1, Environment.PRODUCTION)], progress)
    devices = [device(1, Environment.SANDBOX), device(2, Environment.PRODUCTION), device(3), device(4)]
    devices[2] = device(3, provider=ProviderName.FCM)
    made.user(1, devices, progress)
    assert [(t.sequence, t.slot, t.of) for t in made.targets] == [(0, 1, 1), (1, 2, 2), (1, 4, 2)]
    assert made.records == []


def test_what_was_accepted_takes_the_place_of_what_was_to_be_tried_again() -> None:
    """Of recipients that nothing else is known of, nothing is kept."""
    _, progress = plan(record(1, Outcome.REJECTED, final=False, retry_at=NOW))
    progress.accept([record(1, attempt=2), replace(record(1), sequence=7)])
    assert progress.ended(0)
    assert progress.next_retry() is None
    assert list(progress.by_sequence) == [0]


def test_a_named_credential_decides_for_a_direct_token() -> None:
    """OWN-15: `from.apn` wins over what was learned of the token."""
    credentials = Credentials({}, SANDBOX, CredentialType.APN_SANDBOX)
    made, progress = plan(credentials=credentials)
    made.direct(0, Recipient(token=b"t" * 32), Environment.PRODUCTION, progress)
    assert (made.targets[0].credential, made.targets[0].environment) == (SANDBOX, Environment.SANDBOX)


def test_a_direct_token_goes_to_the_environment_it_is_known_for() -> None:
    """What was registered decides when the caller named no credential."""
    made, progress = plan()
    made.direct(0, Recipient(token=b"t" * 32), Environment.SANDBOX, progress)
    assert made.targets[0].credential == SANDBOX


def test_a_direct_token_without_a_credential_fails_with_the_reason() -> None:
    """The recipient is told what is missing."""
    made, progress = plan(credentials=Credentials({}))
    made.direct(0, Recipient(token=b"t" * 32), None, progress)
    assert made.records[0].outcome is Outcome.NOT_SENT
    assert "no APNs credential" in made.records[0].reason


def test_a_credential_that_was_named_and_is_gone_is_said_to_be_gone() -> None:
    """Nobody is to look for it among the app's defaults."""
    made = Plan(replace(SPEC, apn=PROD), Credentials({}), now=NOW)
    made.direct(0, Recipient(token=b"t" * 32), None, Progress([]))
    assert made.records[0].reason == "the credential that the send named is gone"


def test_a_device_that_has_an_outcome_is_not_sent_to_again() -> None:
    """After a crash only the devices without a final record are tried."""
    made, progress = plan(record(1, of=2))
    made.user(0, [device(1), device(2)], progress)
    assert [target.slot for target in made.targets] == [2]


def test_a_device_that_waits_is_left_alone_until_its_time() -> None:
    """A retry comes not before `retry_at`, and with the next attempt's number."""
    waiting = record(1, Outcome.NOT_SENT, final=False, retry_at=NOW + 1, attempt=2)
    made, progress = plan(waiting)
    made.user(0, [device(1)], progress)
    assert made.targets == []
    waiting.retry_at = NOW
    made, progress = plan(waiting)
    made.user(0, [device(1)], progress)
    assert made.targets[0].attempt == 3


def test_a_device_waits_no_longer_because_the_clock_was_set_back() -> None:
    """What was put off at a time yet to come is tried; and to be given back, it waits as long as it was to."""
    waiting = record(1, Outcome.NOT_SENT, final=False, retry_at=NOW + 3_630_000)
    waiting.at = NOW + 3_600_000
    made, progress = plan(waiting)
    made.user(0, [device(1)], progress)
    assert [target.slot for target in made.targets] == [1]
    assert progress.next_retry(now=NOW) == NOW + 30_000


def test_a_device_that_left_while_it_waited_ends() -> None:
    """A chunk must not wait for a device that is gone."""
    made, progress = plan(record(1, Outcome.UNKNOWN, final=False, retry_at=NOW - 1))
    made.user(0, [], progress)
    for ending in made.records:
        progress.add(ending)
    assert progress.ended(0)
    assert progress.next_retry() is None


def test_a_counted_device_that_left_before_it_was_tried_does_not_hold_the_recipient() -> None:
    """The count of devices is corrected when one of them was removed meanwhile."""
    made, progress = plan(record(1, of=2))
    assert not progress.ended(0)
    made.user(0, [device(1)], progress)
    for ending in made.records:
        progress.add(ending)
    assert progress.ended(0)


def test_the_chunk_comes_back_for_its_earliest_retry() -> None:
    """The next attempt is due when the first device may be tried again."""
    _, progress = plan(
        record(1, Outcome.NOT_SENT, final=False, retry_at=NOW + 9),
        record(2, Outcome.NOT_SENT, final=False, retry_at=NOW + 4),
    )
    assert progress.next_retry() == NOW + 4


def test_unknown_outcomes_are_counted_over_attempts() -> None:
    """The one retry of an unknown outcome is remembered across leases."""
    _, progress = plan(record(1, Outcome.UNKNOWN, final=False, attempt=1), record(1, Outcome.NOT_SENT, attempt=2))
    assert progress.unknowns(0, 1) == 1
