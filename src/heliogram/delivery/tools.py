"""What deliveries are made with: the same for all that one worker does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import msgspec
import structlog

from ..domain import ids
from ..domain.apps import OpenedCredential, ProviderName
from ..lines import named
from ..ports import Clock, LeasedChunk, NoTap, Providers, SendingStore, Tap, WorkQueue
from .breaker import Breakers, Gate
from .policy import Deadline, RetryPolicy
from .rendering import Rendering, Terms
from .resting import Resting
from .stalling import Stall
from .standing import Heard

log = structlog.get_logger(__name__)

Around = Callable[[LeasedChunk], AbstractContextManager[object]]
OpenCredential = Callable[[bytes, bytes], Awaitable[OpenedCredential | None]]
NOT_OPENED = "CredentialNotOpened: the credential cannot be opened: see the server's log"
EXPIRED = "CertificateExpired: the certificate is past its end"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`collapse_by_id`: an alert gets its notification's id as collapse id, so that an unavoidable duplicate replaces
    itself on the phone."""

    collapse_by_id: bool = True
    policy: RetryPolicy = RetryPolicy()


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk needs to be delivered."""

    store: SendingStore
    queue: WorkQueue
    providers: Providers
    clock: Clock
    open_credential: OpenCredential
    settings: Settings = Settings()
    rendering: Rendering = msgspec.field(default_factory=Rendering)
    breakers: Breakers = msgspec.field(default_factory=Breakers)
    heard: Heard = msgspec.field(default_factory=Heard)
    resting: Resting = msgspec.field(default_factory=Resting)
    stall: Stall = msgspec.field(default_factory=Stall)
    tap: Tap = msgspec.field(default_factory=NoTap)
    around: Around = nullcontext
    """Goes around each attempt at a chunk."""


_APN = ProviderName.APN  # named once: to ask the enumeration takes a seventh of a µs


def gate_of(chunk: LeasedChunk, tools: Tools, credential_id: bytes) -> Gate:
    """What a chunk's pushes by a credential pass through. A topic that the caller named is the caller's own trouble."""
    spec = chunk.spec
    topic = tools.providers[_APN].topic_key(spec.measured_as) if spec.topic is None else None
    return tools.breakers.gate(chunk.account_id, credential_id, topic, chunk.id)


def terms_of(chunk: LeasedChunk, tools: Tools, deadline: Deadline, now: int) -> Terms:
    """What holds for all pushes of a chunk that are written now (ms)."""
    return Terms(
        limit=tools.providers[_APN].payload_limit(chunk.spec.measured_as),
        now=now,
        deadline=deadline.first,
        collapse_by_id=tools.settings.collapse_by_id,
    )


def is_past(opened: OpenedCredential, now: int) -> bool:
    """Whether a certificate's time is over at a moment (ms)."""
    ends = opened.credential.public.get("notAfter")
    return ends is not None and now > ends


async def opened_for(chunk: LeasedChunk, tools: Tools, credential_id: bytes) -> tuple[OpenedCredential | None, str]:
    """A credential for a chunk, and what is wrong with it that needs no asking."""
    try:
        opened = await tools.open_credential(chunk.account_id, credential_id)
    except ValueError as error:  # sealed with a master key that is not there: it may come back before the deadline
        shown = ids.encode(ids.CREDENTIAL, credential_id)
        log.error("credential.not_opened", credential=shown, **named(chunk), error=str(error))
        return None, NOT_OPENED
    past = opened is not None and is_past(opened, int(tools.clock.time() * 1000))
    return opened, EXPIRED if past else ""
