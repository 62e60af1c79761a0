"""What a sender and the serving process say to each other, as MessagePack.

A sender calls, and each call with a number gets one answer of that number. Recipients, results and what is sent travel
packed, as the store keeps them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..delivery.providers.apns import ApnsEndpoints
from ..delivery.refusal import Refusal
from ..domain.apps import Credential, Environment, ProviderName
from ..domain.devices import TokenKind
from ..domain.history import TokenRefusal
from ..domain.operations import Counts, Lane
from ..observe.engine import Sample
from ..observe.tally import Digest
from ..ports import LastAnswer, Lease
from ..ports.work import InHand

# ---- from a sender


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done for a sender. `number` is of this call alone."""

    number: int = 0


class Claim(Call, frozen=True, tag=True):
    """`LeaseStore.claim`; answered by a list of `PackedLease`."""

    lane: Lane
    shard: int
    limit: int
    now: int
    until: int
    hand: InHand | None = None


class Extend(Call, frozen=True, tag=True):
    """`LeaseStore.extend`."""

    lease: Lease
    until: int


class Append(Call, frozen=True, tag=True):
    """`LeaseStore.append_records`, the records packed, the latest of `at`."""

    lease: Lease
    packed: bytes
    counts: Counts
    at: int


class Finish(Call, frozen=True, tag=True):
    """`LeaseStore.finish`."""

    lease: Lease
    at: int


class Release(Call, frozen=True, tag=True):
    """`LeaseStore.release`."""

    lease: Lease
    due: int
    at: int
    held: bytes | None = None


class LetGo(Call, frozen=True, tag=True):
    """`LeaseStore.let_go_held`; the other processes hear of it, unless it is to `most` chunks alone."""

    account: bytes
    credential_id: bytes
    most: int | None = None


class Learn(Call, frozen=True, tag=True):
    """`DeviceStore.learn_environments`."""

    account: bytes
    app_name: str
    learned: list[tuple[bytes, Environment]]


class Remove(Call, frozen=True, tag=True):
    """`DeviceStore.remove_device`."""

    account: bytes
    app_name: str
    provider: ProviderName
    token: bytes
    dead_since: int | None
    environment: Environment | None
    reason: str
    kind: TokenKind | None
    remember: bytes | None
    refusal: TokenRefusal | None


class Quarantine(Call, frozen=True, tag=True):
    """`DeviceStore.quarantine_device`."""

    account: bytes
    app_name: str
    provider: ProviderName
    token: bytes
    reason: str
    at: int
    environment: Environment | None
    kind: TokenKind | None
    remember: bytes | None
    refusal: TokenRefusal | None


class Heard(Call, frozen=True, tag=True):
    """`AnswerStore.tell_answers`: account, credential and answer of each."""

    answers: list[tuple[bytes, bytes, LastAnswer]]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The sender works."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Told both ways: a credential is refused."""

    refusal: Refusal


class Alarm(msgspec.Struct, frozen=True, tag=True):
    """A credential is refused, and its account should know."""

    credential: Credential
    reason: str


class Saw(msgspec.Struct, frozen=True, tag=True):
    """Outcomes that are on disk, added up."""

    digest: Digest


class Measured(msgspec.Struct, frozen=True, tag=True):
    """How the sender's engine is, and what it has counted since the sender began."""

    samples: list[Sample]


Told = Ready | Refused | Alarm | Saw | Measured
FromSender = Claim | Extend | Append | Finish | Release | LetGo | Learn | Remove | Quarantine | Heard | Told

# ---- to a sender


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first message. `keys` are the master keys: its repr hides them. `parent` is the serving process's id."""

    database: str
    keys: list[bytes]
    endpoints: ApnsEndpoints
    slots: dict[Lane, int]
    parent: int
    refusals: list[Refusal]
    log_level: str
    log_format: str = "auto"

    def __repr__(self) -> str:
        return f"Begin(database={self.database!r}, keys={len(self.keys)}, slots={self.slots})"


class Answer(msgspec.Struct, frozen=True, tag=True):
    """What a call returned."""

    number: int
    value: msgspec.Raw


class Fault(msgspec.Struct, frozen=True, tag=True):
    """What a call raised: the name of a `StoreError`, or none, and its message."""

    number: int
    kind: str
    message: str


class Wake(msgspec.Struct, frozen=True, tag=True):
    """`WorkQueue.wake`."""

    lane: Lane


class Canceled(msgspec.Struct, frozen=True, tag=True):
    """`WorkQueue.canceled`."""

    operation_id: bytes


class Mended(msgspec.Struct, frozen=True, tag=True):
    """A credential works again, or is another now."""

    account: bytes
    credential_id: bytes


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Take nothing more, let what is under way end for so many seconds, and exit."""

    seconds: float


ToSender = Begin | Answer | Fault | Wake | Canceled | Mended | Refused | Drain

encode = msgspec.msgpack.Encoder().encode
decode_from_sender = msgspec.msgpack.Decoder(FromSender).decode
"""Raises `ValueError` for what no sender says."""
decode_to_sender = msgspec.msgpack.Decoder(ToSender).decode
"""Raises `ValueError` for what nobody says to a sender."""


def answer(number: int, value: Any) -> bytes:
    """An answer as bytes."""
    return encode(Answer(number, msgspec.Raw(encode(value))))
