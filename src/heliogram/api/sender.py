"""Who sends: an app with its defaults, or credentials named one by one (push-api.md 4.3)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from ..domain import ids
from ..domain.apps import App, Credential, CredentialType, ProviderName
from ..domain.errors import Code, Conflict, FieldProblem
from ..ports import AppStore
from ..rest import FieldError
from .answers import NO_NUL
from .credential_schemas import APP_NAME_SCHEMA

_CREDENTIAL_ID = rf"^{ids.CREDENTIAL}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"


def _id(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description, extra_json_schema={"pattern": _CREDENTIAL_ID})


class SenderIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """`appName`, or a credential per provider: `apn` (an APN or APN_SANDBOX one), `fcm`."""

    __openapi__: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": ["appName"]}, {"anyOf": [{"required": ["apn"]}, {"required": ["fcm"]}]}]
    }

    app_name: (
        Annotated[
            str,
            msgspec.Meta(
                pattern=NO_NUL,
                description="This app's default credentials send.",
                extra_json_schema=APP_NAME_SCHEMA,
            ),
        ]
        | None
    ) = None
    apn: Annotated[str, _id("The id of an APN or APN_SANDBOX credential.")] | None = None
    fcm: Annotated[str, _id("The id of an FCM credential, of the same app.")] | None = None


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The app that sends, the credentials named for it, and the types of those or of the app's defaults. `revoked` is
    the field that names a revoked one."""

    app_name: str
    apn: bytes | None = None
    fcm: bytes | None = None
    types: frozenset[CredentialType] = frozenset()
    revoked: str | None = None

    def check_revoked(self) -> None:
        """Raises a 409 when one of the named credentials was revoked."""
        if self.revoked is not None:
            message = "this credential was revoked and sends nothing any more: name another one, or upload a new one"
            raise Conflict(message, Code.CREDENTIAL_REVOKED, path=f"$.from.{self.revoked}")


Choice = tuple[Sender | None, list[FieldProblem], list[FieldError]]


def is_app(wanted: SenderIn | None) -> bool:
    """Whether an app is to send, with its own credentials."""
    return wanted is None or (wanted.app_name is not None and wanted.apn is None and wanted.fcm is None)


async def choose_sender(store: AppStore, account: bytes, wanted: SenderIn | None) -> Choice:
    """The sender, or None with what is wrong (400) and what does not exist (404)."""
    if wanted is None:
        return sender_of(await store.default_app(account), None)
    named = {"apn": wanted.apn, "fcm": wanted.fcm}
    given = {field: text for field, text in named.items() if text is not None}
    if wanted.app_name is not None and given:
        return None, [FieldProblem("$.from", "give either appName or credentials (apn, fcm), not both")], []
    if wanted.app_name is not None:
        return sender_of(await store.get_app(account, wanted.app_name), wanted.app_name)
    if not given:
        message = "give appName or a credential (apn, fcm), or leave `from` out for the default app"
        return None, [FieldProblem("$.from", message, Code.MISSING_FIELD)], []
    return await _of_credentials(store, account, given)


def sender_of(app: App | None, name: str | None) -> Choice:
    """The app as the sender, None when there is none of that name, or no default app."""
    if app is not None:
        return Sender(app_name=app.name, types=frozenset(each.type for each in app.default_credentials)), [], []
    if name is None:
        message = "the account has no app to send from: create a credential first"
        return None, [FieldProblem("$.from", message, Code.NO_CREDENTIAL)], []
    return None, [], [FieldError("$.from.appName", f"There is no app {name[:64]!r} in this account.", Code.UNKNOWN_APP)]


async def _of_credentials(store: AppStore, account: bytes, given: dict[str, str]) -> Choice:
    problems: list[FieldProblem] = []
    unknown: list[FieldError] = []
    found: dict[str, Credential] = {}
    for field, text in given.items():
        path = f"$.from.{field}"
        try:
            credential = await store.get_credential(account, ids.decode(ids.CREDENTIAL, text))
        except ids.InvalidId as error:
            problems.append(FieldProblem(path, f"not a credential id: {error}"))
            continue
        if credential is None:
            message = f"There is no credential {text!r} in this account."
            unknown.append(FieldError(path, message, Code.UNKNOWN_CREDENTIAL))
            continue
        found[field] = credential
        if credential.type.provider is not (ProviderName.APN if field == "apn" else ProviderName.FCM):
            problems.append(FieldProblem(path, f"this is a credential of type {credential.type}: use the other field"))
    apps = {each.app_name for each in found.values()}
    if len(apps) > 1:
        problems.append(FieldProblem("$.from", f"the credentials belong to different apps: {', '.join(sorted(apps))}"))
    if problems or unknown:
        return None, problems, unknown
    apn, fcm = found.get("apn"), found.get("fcm")
    sender = Sender(
        app_name=apps.pop(),
        apn=apn.id if apn is not None else None,
        fcm=fcm.id if fcm is not None else None,
        types=frozenset(each.type for each in found.values()),
        revoked=next((field for field, each in found.items() if each.revoked is not None), None),
    )
    return sender, [], []
