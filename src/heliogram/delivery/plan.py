"""What is still to be sent of a chunk: recipients to devices to credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from heliogram import _accel

from ..domain.apps import Environment, ProviderName
from ..domain.devices import Reached
from ..domain.notifications import DeliveryRecord, Outcome, Recipient, SendSpec, has_ended, latest
from ..ports import PushResult
from .choices import Credentials, plain_choices

BAD_DEVICE_TOKEN = "BadDeviceToken"  # noqa: S105 - APNs' word for a token of the other environment, or of none (LIFE-4)


class Place(NamedTuple):
    """A device as far as sending goes, and whose it is."""

    sequence: int
    slot: int
    token: bytes
    provider: ProviderName
    environment: Environment | None


class Target(msgspec.Struct, gc=False):
    """One device to try for one recipient: the tag of a push, and the seed of its record.

    `unsure`: nobody knows the token's environment, and there is a credential for both. `other` is then the credential
    and environment to try if this one is not the token's; None once that has been tried.
    """

    sequence: int
    slot: int
    token: bytes
    provider: ProviderName
    environment: Environment | None
    credential: bytes
    of: int = 1
    attempt: int = 1
    unknowns: int = 0
    unsure: bool = False
    other: tuple[bytes, Environment] | None = None


_ACCEPTED, _APN = Outcome.ACCEPTED, ProviderName.APN  # named once: to ask the enumeration takes a seventh of a µs
_targets = _accel.twin(
    "targets", Target, Recipient, Reached, Target(0, 0, b"", ProviderName.APN, None, b""), ProviderName.APN
)


def elsewhere(target: Target, result: PushResult) -> Target | None:
    """The same device in the other environment, when the answer says that the token is not of the one it was tried in
    and nobody knows better (LIFE-4): its next attempt, to be made at once. Otherwise None."""
    if target.other is None or result.outcome is not Outcome.REJECTED or result.reason != BAD_DEVICE_TOKEN:
        return None
    credential, environment = target.other
    attempt = target.attempt + 1
    return msgspec.structs.replace(target, credential=credential, environment=environment, attempt=attempt, other=None)


def by_credential(targets: Sequence[Target]) -> dict[bytes, list[Target]]:
    """Targets by recipient, and by credential, the one of the first recipient first."""
    ordered = sorted(targets, key=attrgetter("sequence"))
    groups: dict[bytes, list[Target]] = {target.credential: [] for target in ordered}
    for target in ordered:
        groups[target.credential].append(target)
    return groups


class Progress:
    """What earlier attempts left of a chunk: the latest record of each device, by recipient."""

    def __init__(self, records: Iterable[DeliveryRecord]) -> None:
        self.by_sequence: dict[int, list[DeliveryRecord]] = {}
        self._unknowns: dict[tuple[int, int], int] = {}
        self._misplaced: dict[tuple[int, int], tuple[bytes, Environment | None]] = {}
        self._unended: set[int] = set()
        for record in records:
            self.add(record)
        for sequence, known in self.by_sequence.items():
            self.by_sequence[sequence] = latest(known)

    def __repr__(self) -> str:
        return f"Progress(recipients={len(self.by_sequence)})"

    def add(self, record: DeliveryRecord) -> None:
        """Takes a record in, in place of an older one of the same device."""
        sequence = record.sequence
        known = self.by_sequence.get(sequence)
        if known is None:
            self.by_sequence[sequence] = [record]
        else:
            known[:] = [r for r in known if r.slot != record.slot]
            known.append(record)
        if record.outcome is _ACCEPTED:
            return  # nothing comes after that
        if not record.final:
            self._unended.add(sequence)
        if record.outcome is Outcome.UNKNOWN:
            place = (sequence, record.slot)
            self._unknowns[place] = self._unknowns.get(place, 0) + 1
        if record.reason == BAD_DEVICE_TOKEN and not record.final:
            self._misplaced[sequence, record.slot] = record.token, record.environment

    def accept(self, records: Sequence[DeliveryRecord]) -> None:
        """Takes in records that are all `ACCEPTED`. Kept are those of recipients that something else is known of; of
        the others nothing is asked in this attempt, but by those who count, and they go by the records."""
        known = self.by_sequence
        if known:
            for record in records:
                if record.sequence in known:
                    self.add(record)

    def ended(self, sequence: int) -> bool:
        """Whether nothing is left to do for a recipient."""
        return has_ended(self.by_sequence.get(sequence, []))

    def device(self, sequence: int, slot: int) -> DeliveryRecord | None:
        """The latest record of one device of a recipient."""
        known = self.by_sequence.get(sequence)
        return None if known is None else next((r for r in known if r.slot == slot), None)

    def unknowns(self, sequence: int, slot: int) -> int:
        """How often a device's push ended without an answer."""
        return self._unknowns.get((sequence, slot), 0)

    def misplaced(self, sequence: int, slot: int, token: bytes) -> Environment | None:
        """The environment that a token turned out not to be of, if it was to be tried in the other one after that."""
        known, environment = self._misplaced.get((sequence, slot), (b"", None))
        return environment if known == token else None

    def next_retry(self, held_until: int | None = None, *, now: int = 0) -> int | None:
        """When the first device waits to be tried again (ms), None when none does. Those that wait for a credential do
        so until `held_until`. A clock that was set back to `now` makes no wait longer."""
        return min(
            (
                held_until if r.held and held_until is not None else r.due(now) if now else r.retry_at or r.at
                for sequence in self._unended
                for r in self.by_sequence[sequence]
                if not r.final
            ),
            default=None,
        )


class Plan:
    """Pushes to make now, and records that need none: unaddressable recipients and devices without a credential."""

    def __init__(self, spec: SendSpec, credentials: Credentials, *, now: int) -> None:
        self._spec = spec
        self._credentials = credentials
        self._now = now
        self._choices: dict[Environment | None, tuple[bytes, Environment] | None] = {}
        self._others: dict[Environment, tuple[bytes, Environment] | None] = {}
        self._plain_choices = plain_choices(credentials)
        self.targets: list[Target] = []
        self.records: list[DeliveryRecord] = []

    def __repr__(self) -> str:
        return f"Plan(targets={len(self.targets)}, records={len(self.records)})"

    def take(
        self,
        recipients: list[tuple[int, Recipient]],
        part: range,
        devices: Mapping[bytes, Sequence[Reached]],
        environments: Mapping[bytes, Environment],
        progress: Progress,
    ) -> None:
        """Plans the part of the recipients, each with its sequence. `devices` are those of users, `environments` those
        of tokens; whoever is not among them has none that is known."""
        at, stop = part.start, part.stop
        named = self._credentials.named is not None
        plain = type(devices) is dict and type(environments) is dict and not progress.by_sequence
        while at < stop:
            if _targets is not None and plain:
                tokens = {} if named else environments
                at = _targets(recipients, at, stop, devices, tokens, self._plain_choices, self.targets)
                if at >= stop:
                    break
            sequence, recipient = recipients[at]
            at += 1
            if recipient.user:
                self.user(sequence, devices.get(recipient.user, ()), progress)
            elif recipient.channel:
                self.channel(sequence, recipient, progress)
            else:
                self.direct(sequence, recipient, environments.get(recipient.token), progress)

    def direct(self, sequence: int, recipient: Recipient, environment: Environment | None, progress: Progress) -> None:
        """Plans a recipient that is a token."""
        known = None if self._credentials.named is not None else environment
        if recipient.provider is _APN and not progress.by_sequence:
            choice = self._choose(known)
            if choice is not None:
                self._push(
                    Target(sequence, 0, recipient.token, recipient.provider, choice[1], choice[0]), known, progress
                )
                return
        place = Place(sequence, 0, recipient.token, recipient.provider, environment)
        self._device(place, 1, progress, known)

    def channel(self, sequence: int, recipient: Recipient, progress: Progress) -> None:
        """Plans a broadcast: a channel lives in one environment, which the send names (BC-2)."""
        token = recipient.channel.encode()  # what the record is told by, as others by their device token
        place = Place(sequence, 0, token, recipient.provider, self._spec.environment)
        self._device(place, 1, progress, self._spec.environment)

    def user(self, sequence: int, devices: Sequence[Reached], progress: Progress) -> None:
        """Plans a recipient that is a user: every device with a provider and a credential for it."""
        known = progress.by_sequence.get(sequence)
        if known:
            self._user_again(sequence, devices, progress, known)
            return
        targets, of, left = self.targets, len(devices), 0
        for device in devices:
            environment = device.environment
            choice = self._choices[environment] if environment in self._choices else self._choose(environment)
            if choice is None or device.provider is not _APN:
                left += 1
                continue
            target = Target(sequence, device.slot, device.token, device.provider, choice[1], choice[0], of)
            targets.append(target)
            if environment is None:
                self._look_elsewhere(target, choice[1], progress)
        if left == of:
            self.records.append(_nowhere(sequence, self._now))
        elif left:
            for target in targets[left - of :]:
                target.of = of - left

    def _user_again(
        self, sequence: int, devices: Sequence[Reached], progress: Progress, known: list[DeliveryRecord]
    ) -> None:
        usable = {device.slot: device for device in devices if self._usable(device)}
        of = len(usable.keys() | {record.slot for record in known})
        planned = len(self.targets)
        for device in usable.values():
            place = Place(sequence, device.slot, device.token, device.provider, device.environment)
            self._device(place, of, progress, device.environment)
        self._settle(sequence, known, usable, of, planned < len(self.targets))

    def _settle(
        self, sequence: int, known: list[DeliveryRecord], usable: Mapping[int, Reached], of: int, more: bool
    ) -> None:
        """Ends what waited for a device that is gone, and says so when nothing else is left to do."""
        gone = [record for record in known if not record.final and record.slot not in usable]
        waiting = any(not record.final and record.slot in usable for record in known)
        if not gone and not more and not waiting:
            gone = known[-1:]  # a device that was counted left before it was tried: count anew
        for record in gone:
            self.records.append(msgspec.structs.replace(record, final=True, retry_at=None, at=self._now, of=of))

    def _usable(self, device: Reached) -> bool:
        return device.provider is ProviderName.APN and self._choose(device.environment) is not None

    def _choose(self, environment: Environment | None) -> tuple[bytes, Environment] | None:
        """As `Credentials.choose`, which is asked once."""
        try:
            return self._choices[environment]
        except KeyError:
            choice = self._choices[environment] = self._credentials.choose(environment)
            return choice

    def _device(self, place: Place, of: int, progress: Progress, known: Environment | None) -> None:
        """Plans one device, whose environment is taken to be `known`."""
        sequence, slot, token, provider, _ = place
        earlier = progress.device(sequence, slot)
        if earlier is not None and (earlier.final or (not earlier.held and earlier.waits(self._now))):
            return
        if provider is not ProviderName.APN:
            self.records.append(_refused(place, "FCM is not supported yet", self._now))
            return
        choice = self._choose(known)
        if choice is None:
            reason = f"the app {self._spec.app_name!r} has no APNs credential for this token's environment"
            if self._spec.apn is not None and self._credentials.named is None:
                reason = "the credential that the send named is gone"
            self.records.append(_refused(place, reason, self._now))
            return
        target = Target(sequence, slot, token, provider, choice[1], choice[0], of)
        if earlier is not None:
            target.attempt, target.unknowns = earlier.attempt + 1, progress.unknowns(sequence, slot)
        self._push(target, known, progress)

    def _push(self, target: Target, known: Environment | None, progress: Progress) -> None:
        if known is None and target.environment is not None:
            self._look_elsewhere(target, target.environment, progress)
        self.targets.append(target)

    def _look_elsewhere(self, target: Target, chosen: Environment, progress: Progress) -> None:
        """For a token of unknown environment: the one to try after this, or in its place if this was tried already."""
        if chosen not in self._others:
            self._others[chosen] = self._credentials.other(chosen)
        other = self._others[chosen]
        if other is None:
            return
        target.other, target.unsure = other, True
        refused = progress.misplaced(target.sequence, target.slot, target.token)
        if refused is chosen:
            target.credential, target.environment = target.other
        if refused is not None:
            target.other = None


def _nowhere(sequence: int, now: int) -> DeliveryRecord:
    return DeliveryRecord(sequence=sequence, slot=0, outcome=Outcome.UNADDRESSABLE, final=True, at=now)


def _refused(place: Place, reason: str, now: int) -> DeliveryRecord:
    return DeliveryRecord(
        sequence=place.sequence,
        slot=place.slot,
        outcome=Outcome.NOT_SENT,
        final=True,
        at=now,
        token=place.token,
        provider=place.provider,
        environment=place.environment,
        reason=reason,
    )
