"""Apps and credentials."""

from __future__ import annotations

from typing import Protocol

from ..domain.accounts import AuditEvent
from ..domain.apps import App, Credential, CredentialType
from .basics import Listed, Window

MOST_USERS = 10_000
"""So far the users of an app are counted."""


class OneAppStore(Protocol):
    """One app, and one credential: what whoever sends looks up."""

    async def get_credential(self, account: bytes, credential_id: bytes) -> Credential | None:
        """A credential without its secret."""

    async def sealed_credential(self, account: bytes, credential_id: bytes) -> tuple[Credential, bytes] | None:
        """A credential and its sealed secret."""

    async def get_app(self, account: bytes, name: str) -> App | None:
        """An app."""


class AppStore(OneAppStore, Protocol):
    """Apps and credentials. An `audit` event is kept in the same transaction as the change, and only if there was
    one."""

    async def create_credential(
        self, account: bytes, credential: Credential, sealed: bytes, *, audit: AuditEvent | None = None
    ) -> Credential:
        """Keeps a credential, and makes its app if this is the first. The first of a type becomes the default of it;
        `is_default` makes it so. Raises `LimitReached` at 10 apps an account or 10 credentials an app."""

    async def list_credentials(
        self,
        account: bytes,
        window: Window,
        *,
        app_name: str | None = None,
        type: CredentialType | None = None,  # noqa: A002 - the name callers know
        is_default: bool | None = None,
    ) -> Listed[Credential]:
        """Credentials, newest first."""

    async def delete_credential(
        self, account: bytes, credential_id: bytes, at: int, *, audit: AuditEvent | None = None
    ) -> bool:
        """Removes it; with an app's last credential go the app and its device registrations. These may be millions:
        none of them is seen or sent to any more, and they go in slices (`RetentionStore.remove_leaving_apps`); until
        then an app of that name cannot be made anew (`Conflict`, `APP_LEAVING`). When a default goes, the oldest
        credential left of its type becomes the default. When the default app goes, the oldest app left does."""

    async def count_users(self, account: bytes, name: str) -> int:
        """How many users have devices in an app, at most `MOST_USERS`; none where there is no such app."""

    async def default_app(self, account: bytes) -> App | None:
        """The account's default app, None while it has none."""

    async def list_apps(self, account: bytes, window: Window, *, is_default: bool | None = None) -> Listed[App]:
        """Apps, newest first."""
