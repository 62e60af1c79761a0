"""Credentials while they are in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..domain.accounts import AuditEvent
from ..domain.apps import Credential, CredentialCheck, CredentialState


class CredentialStates(Protocol):
    """What whoever sends follows of credentials."""

    async def credential_states(self, account: bytes) -> dict[bytes, CredentialState]:
        """What the connections of all the account's credentials must follow, by credential."""


class CredentialStore(CredentialStates, Protocol):
    """Defaults, rotation, revocation, and the end of certificates. A credential that is not there is None.

    A revoked credential stays, is no default, and takes no change any more: those raise `Conflict`. An `audit` event is
    kept in the same transaction as the change, and only if there was one; where it tells what only the change knows, it
    is made there, for each credential that was changed.
    """

    async def make_default_app(self, account: bytes, name: str, at: int, *, audit: AuditEvent | None = None) -> bool:
        """Makes an app the account's default, in place of the one before; False when there is none of that name."""

    async def make_default_credential(
        self, account: bytes, credential_id: bytes, at: int, *, audit: AuditEvent | None = None
    ) -> Credential | None:
        """Makes it the default of its app and type, in place of the one before."""

    async def rotate_credential(
        self,
        account: bytes,
        credential_id: bytes,
        *,
        public: dict[str, Any],
        sealed: bytes,
        at: int,
        audit: Callable[[Credential], AuditEvent] | None = None,
    ) -> Credential | None:
        """New content under the same id; counts the revision up."""

    async def reconnect_credential(
        self, account: bytes, credential_id: bytes, at: int, *, audit: AuditEvent | None = None
    ) -> Credential | None:
        """Its connections are to be opened anew: counts the epoch up."""

    async def note_check(self, account: bytes, credential_id: bytes, revision: int, check: CredentialCheck) -> None:
        """Keeps what the provider said of this content of the credential, until it is asked again or the credential is
        rotated; nothing when it was rotated meanwhile, or is gone."""

    async def revoke_credential(
        self,
        account: bytes,
        credential_id: bytes,
        at: int,
        *,
        audit: Callable[[Credential], AuditEvent] | None = None,
    ) -> list[Credential] | None:
        """Ends it, and every other credential of the account with the same key; the ones that were ended. The oldest
        good credential of the type takes over as default."""

    async def warn_of_ending_credentials(self, now: int) -> list[tuple[Credential, int]]:
        """For maintenance, over all accounts: good certificates that end within 30, 7 or 1 days, with that number.
        Each is told once for each number, as an event `com.heliogram.credential.expiring`."""

    async def tell_of_failing_credential(self, account: bytes, credential_id: bytes, *, reason: str, at: int) -> bool:
        """Tells webhooks that the provider refuses a credential, as an event `com.heliogram.credential.failing`; False
        when none wants to know."""
