"""Apps and their credentials."""

from __future__ import annotations

import enum
import re
from typing import Any

import msgspec

WARN_DAYS = (30, 7, 1)
"""So many days before a certificate's end its account is told."""
MAX_APP_NAME = 64
APP_NAME = re.compile(rf"^[a-z0-9_]{{1,{MAX_APP_NAME}}}$")


class ProviderName(enum.StrEnum):
    """Who carries a notification to the device."""

    APN = "APN"
    FCM = "FCM"


class Environment(enum.StrEnum):
    """Which of Apple's two worlds a device token lives in (LIFE-4)."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"


class CredentialType(enum.StrEnum):
    """The sandbox is a property of the credential."""

    APN = "APN"
    APN_SANDBOX = "APN_SANDBOX"
    FCM = "FCM"

    @property
    def provider(self) -> ProviderName:
        """The provider this credential speaks to."""
        return ProviderName.FCM if self is CredentialType.FCM else ProviderName.APN

    @property
    def environment(self) -> Environment | None:
        """The APNs environment, None for FCM."""
        return {
            CredentialType.APN: Environment.PRODUCTION,
            CredentialType.APN_SANDBOX: Environment.SANDBOX,
        }.get(self)


class CredentialForm(enum.StrEnum):
    """How the credential proves who we are."""

    TOKEN = "token"  # noqa: S105 - a name, not a secret: a .p8 signing key that mints provider tokens
    CERTIFICATE = "certificate"


class CredentialCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said of a credential when it was asked, at `at` (ms). `reason` is its word, empty when it gave
    none; `message` says in words what is wrong, and what to do."""

    at: int
    ok: bool
    reason: str
    message: str


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential without its secret. `public` holds what may be shown: key id, team id, bundle id, expiry.

    `revision` counts its rotations, `epoch` its reconnects; since `revoked` (ms) it sends nothing. `last_check` is what
    the provider said of its content when it was last asked.
    """

    account_id: bytes
    id: bytes
    app_name: str
    type: CredentialType
    form: CredentialForm
    public: dict[str, Any]
    is_default: bool
    created: int
    updated: int
    revision: int = 1
    epoch: int = 1
    revoked: int | None = None
    last_check: CredentialCheck | None = None


class CredentialState(msgspec.Struct, frozen=True):
    """What the connections of a credential must follow; see `Credential`."""

    revision: int
    epoch: int
    revoked: int | None = None


def key_of(credential: Credential) -> str | None:
    """What its secret is known by: the team and the id of a signing key, the fingerprint of a certificate."""
    public = credential.public
    if credential.form is CredentialForm.CERTIFICATE:
        return public.get("fingerprint")
    return f"{public.get('teamId')}/{public.get('keyId')}"


class ParsedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider made of an uploaded credential: what may be shown, and what must be sealed."""

    form: CredentialForm
    public: dict[str, Any]
    secret: bytes

    def __repr__(self) -> str:
        return f"ParsedCredential(form={self.form}, public={self.public}, secret=…)"


class OpenedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential with its secret opened, for the moment of sending. Its repr hides the secret."""

    credential: Credential
    secret: bytes

    def __repr__(self) -> str:
        return f"OpenedCredential({self.credential!r}, secret=…)"


class DefaultCredential(msgspec.Struct, frozen=True):
    """The credential an app uses for one type when a send names none."""

    type: CredentialType
    id: bytes


class App(msgspec.Struct, frozen=True, kw_only=True):
    """An app is born with its first credential and dies with its last."""

    account_id: bytes
    name: str
    is_default: bool
    default_credentials: tuple[DefaultCredential, ...]
    created: int
    updated: int
