"""Credentials as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ..domain import ids
from ..domain.apps import APP_NAME, MAX_APP_NAME, Credential, CredentialType, Environment
from ..domain.apps import CredentialCheck as Checked
from ..domain.errors import FieldProblem
from ..ports import LastAnswer
from ..rest import Pagination
from . import examples
from .answers import DatedQuery, moment

MAX_SECRET = 65_536
MAX_TOPICS = 400
MAX_PASSWORD = 1_024
DAY_MS = 86_400_000
APP_NAME_SCHEMA: dict[str, Any] = {"pattern": "^[a-z0-9_]+$", "minLength": 1, "maxLength": MAX_APP_NAME}
AppName = Annotated[str, msgspec.Meta(description="The app's name is its id.", extra_json_schema=APP_NAME_SCHEMA)]
Secret = Annotated[str, msgspec.Meta(max_length=MAX_SECRET)]

KEY_FIELDS = ("signingKey", "keyId", "teamId", "bundleId")
KEY_OPTIONS = ("keyScope", "topics", "relatedCredentialId")
CERTIFICATE_FIELDS = ("certificate", "privateKey")
PKCS12_FIELDS = ("pkcs12",)
PKCS12_OPTIONS = ("password",)


class CredentialContent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One of three forms: a signing key (`signingKey`: the .p8 text or its base64) with its ids, a certificate and its
    private key (each base64 of the PEM text, or the PEM itself), or both together in a .p12 file (`pkcs12`: base64 of
    it) with its `password`.

    `keyScope` is what was chosen in the portal when the key was made: `team` for every topic of the team in one
    environment, `topic` for the `topics` listed. Leave it out for a key from before keys had one.
    `relatedCredentialId` is the credential of a topic key's related key.
    """

    __openapi__: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": list(KEY_FIELDS)},
            {"required": list(CERTIFICATE_FIELDS)},
            {"required": list(PKCS12_FIELDS)},
        ]
    }

    signing_key: Annotated[Secret, msgspec.Meta(description="The .p8 file's text, or its base64.")] | None = None
    key_id: Annotated[str, msgspec.Meta(max_length=64, description="10 characters A-Z and 0-9.")] | None = None
    team_id: Annotated[str, msgspec.Meta(max_length=64, description="10 characters A-Z and 0-9.")] | None = None
    bundle_id: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    key_scope: Literal["team", "topic"] | None = None
    topics: (
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=255)]], msgspec.Meta(max_length=MAX_TOPICS)]
        | None
    ) = None
    related_credential_id: str | None = None
    certificate: Secret | None = None
    private_key: Secret | None = None
    pkcs12: Secret | None = None
    password: Annotated[str, msgspec.Meta(max_length=MAX_PASSWORD)] | None = None

    def __repr__(self) -> str:
        return f"CredentialContent({', '.join(sorted(given(self)))})"


class CreateCredential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A new credential. An unknown `appName` makes the app; without it the default app is meant."""

    __openapi__: ClassVar[dict[str, Any]] = {"examples": examples.CREATE_CREDENTIAL}

    credential_type: CredentialType
    content: CredentialContent
    app_name: AppName | None = None
    is_default: (
        Annotated[
            bool, msgspec.Meta(description="The app's default of its type. The first one is so whatever is said.")
        ]
        | None
    ) = False


class RotateCredential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """New content of the same form: a key of the same team and bundle id, or a certificate of the same topic."""

    content: CredentialContent


class DefaultFlag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """`true` makes it the default, in place of the one before. There is always one, so `false` is refused for the
    default itself, and changes nothing for any other."""

    is_default: bool


class FailingOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why notifications wait for a credential. `reason` is APNs' word, or begins with `CertificateExpired`,
    `CredentialNotOpened` or, when APNs cannot be reached with it, `Unreachable`. `waiting` counts the recipients of
    whom something waits. At `probeAt` or soon after one push is tried; when it is taken, or the credential is rotated,
    reconnected or replaced, all of them go on."""

    reason: str
    since: str
    probe_at: str
    waiting: int


class LastCheckOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What APNs said when the credential was last checked; its fields as those of the check itself."""

    ok: bool
    checked_at: str
    reason: str | None
    message: str


class LastAnswerOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """APNs' last answer to a push with the credential, of whichever node: its status and, unless it took the push, its
    reason."""

    at: str
    status: int
    reason: str | None


class CredentialOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A credential. `content` holds what is not secret: `form` (token or certificate), key id, team id, bundle id,
    key scope, topics, a certificate's fingerprint and `notAfter`.

    `revision` counts its contents. `expiresAt` is the end of a certificate's life, `expiresInDays` the whole days until
    then (negative afterwards); keys have none. Since `revokedAt` it sends nothing. `failing` is null unless APNs
    refuses it or cannot be reached with it. `lastCheck` is null as long as this content was never checked, `lastAnswer`
    and `lastSuccessAt` until something was sent with it; what came to another node is known within 15 seconds.
    """

    id: str
    credential_type: CredentialType
    is_default: bool
    app_name: str
    content: dict[str, Any]
    revision: int
    expires_at: str | None
    expires_in_days: int | None
    revoked_at: str | None
    created_at: str
    updated_at: str
    failing: FailingOut | None
    last_answer: LastAnswerOut | None
    last_success_at: str | None
    last_check: LastCheckOut | None


class CredentialPage(msgspec.Struct, frozen=True):
    """A page of credentials, newest first."""

    credentials: list[CredentialOut]
    pagination: Pagination


class CredentialQuery(DatedQuery, kw_only=True):
    """Filters of the list of credentials."""

    app_name: Annotated[str, msgspec.Meta(max_length=MAX_APP_NAME)] | None = None
    credential_type: CredentialType | None = None
    is_default: bool | None = None


class CredentialCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether APNs accepts a credential. `reason` is APNs' word, null when it gave none (`BadDeviceToken` is the usual
    one of a good credential); `message` says what is wrong and what to do."""

    ok: bool
    checked_at: str
    environment: Environment
    reason: str | None
    message: str


def app_name_problem(name: str | None) -> list[FieldProblem]:
    """What is wrong with `$.appName`."""
    if name is None or APP_NAME.fullmatch(name):
        return []
    return [FieldProblem("$.appName", "expected 1 to 64 characters of a-z, 0-9 and _")]


def given(content: CredentialContent) -> dict[str, Any]:
    """The fields of an uploaded credential that are there, by their names in the API."""
    return {name: value for name, value in msgspec.to_builtins(content).items() if value is not None}


def shown(
    credential: Credential, now: int, failing: FailingOut | None = None, answer: LastAnswer | None = None
) -> CredentialOut:
    """A credential as the API shows it; `now` in ms."""
    content = {"form": credential.form.value, **credential.public}
    ends: int | None = credential.public.get("notAfter")
    if ends is not None:
        content["notAfter"] = moment(ends)
    return CredentialOut(
        id=ids.encode(ids.CREDENTIAL, credential.id),
        credential_type=credential.type,
        is_default=credential.is_default,
        app_name=credential.app_name,
        content=content,
        revision=credential.revision,
        expires_at=None if ends is None else moment(ends),
        expires_in_days=None if ends is None else (ends - now) // DAY_MS,
        revoked_at=None if credential.revoked is None else moment(credential.revoked),
        created_at=moment(credential.created),
        updated_at=moment(credential.updated),
        failing=failing,
        last_answer=_last_answer(answer),
        last_success_at=None if answer is None or answer.succeeded is None else moment(answer.succeeded),
        last_check=_last_check(credential.last_check),
    )


def _last_check(check: Checked | None) -> LastCheckOut | None:
    if check is None:
        return None
    return LastCheckOut(ok=check.ok, checked_at=moment(check.at), reason=check.reason or None, message=check.message)


def _last_answer(answer: LastAnswer | None) -> LastAnswerOut | None:
    if answer is None:
        return None
    return LastAnswerOut(at=moment(answer.at), status=answer.status, reason=answer.reason or None)
