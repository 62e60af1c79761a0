"""What deliveries are made with: the same for all that one worker does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import msgspec
import structlog

from ..domain import ids
from ..domain.apps import OpenedCredential
from ..lines import named
from ..ports import Clock, LeasedChunk, NoTap, Providers, SendingStore, Tap, WorkQueue
from .breaker import Breakers
from .policy import RetryPolicy
from .rendering import Rendering
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


async def opened_for(chunk: LeasedChunk, tools: Tools, credential_id: bytes) -> tuple[OpenedCredential | None, str]:
    """A credential for a chunk, and what is wrong with it that needs no asking."""
    try:
        opened = await tools.open_credential(chunk.account_id, credential_id)
    except ValueError as error:  # sealed with a master key that is not there: it may come back before the deadline
        shown = ids.encode(ids.CREDENTIAL, credential_id)
        log.error("credential.not_opened", credential=shown, **named(chunk), error=str(error))
        return None, NOT_OPENED
    ends = None if opened is None else opened.credential.public.get("notAfter")
    return opened, EXPIRED if ends is not None and int(tools.clock.time() * 1000) > ends else ""
