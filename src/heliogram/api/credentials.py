"""Credentials: create, get, list, delete. What is secret goes in and never comes out."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import APP_NAME, Credential, CredentialType, ParsedCredential, ProviderName
from ..domain.errors import Code, FieldProblem, Invalid, NotFound
from ..rest import Call, Pagination, Result, endpoint, not_found
from .answers import (
    DatedQuery,
    ResourceAccepted,
    account_of,
    listing,
    moment,
    path_id,
    resource_accepted,
    window_of,
)
from .state import ApiState

MAX_SECRET = 65_536
MAX_TOPICS = 400
APP_NAME_SCHEMA: dict[str, Any] = {"pattern": "^[a-z0-9_]+$", "minLength": 1, "maxLength": 64}
AppName = Annotated[str, msgspec.Meta(description="The app's name is its id.", extra_json_schema=APP_NAME_SCHEMA)]
Secret = Annotated[str, msgspec.Meta(max_length=MAX_SECRET)]

_KEY_FIELDS = ("signingKey", "keyId", "teamId", "bundleId")
_KEY_OPTIONS = ("keyScope", "topics", "relatedCredentialId")
_CERTIFICATE_FIELDS = ("certificate", "privateKey")


class CredentialContent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Either a signing key (`signingKey`: the .p8 text or its base64) with its ids, or a certificate and its private
    key (each base64 of the PEM text, or the PEM itself)."""

    __openapi__: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": list(_KEY_FIELDS)}, {"required": list(_CERTIFICATE_FIELDS)}]
    }

    signing_key: Secret | None = None
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

    def __repr__(self) -> str:
        return f"CredentialContent({', '.join(sorted(given(self)))})"


class CreateCredential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A new credential. An unknown `appName` makes the app; without it the default app is meant."""

    credential_type: CredentialType
    content: CredentialContent
    app_name: AppName | None = None
    is_default: bool = False


class CredentialOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A credential. `content` holds what is not secret: `form` (token or certificate), key id, team id, bundle id,
    topics, and `notAfter`, the end of a certificate's life."""

    id: str
    credential_type: CredentialType
    is_default: bool
    app_name: str
    content: dict[str, Any]
    created_at: str
    updated_at: str


class CredentialPage(msgspec.Struct, frozen=True):
    """A page of credentials, newest first."""

    credentials: list[CredentialOut]
    pagination: Pagination


class CredentialQuery(DatedQuery, kw_only=True):
    """Filters of the list of credentials."""

    app_name: str | None = None
    credential_type: CredentialType | None = None
    is_default: bool | None = None


def given(content: CredentialContent) -> dict[str, Any]:
    """The fields of an uploaded credential that are there, by their names in the API."""
    return {name: value for name, value in msgspec.to_builtins(content).items() if value is not None}


def app_name_problem(name: str | None) -> list[FieldProblem]:
    """What is wrong with `$.appName`."""
    if name is None or APP_NAME.fullmatch(name):
        return []
    return [FieldProblem("$.appName", "expected 1 to 64 characters of a-z, 0-9 and _")]


@endpoint(
    "POST",
    "/PushNotifications/Credentials",
    summary="Create a credential",
    tag="Credentials",
    body=CreateCredential,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404,),
    response_headers={"Location": "The credential's address."},
)
async def create_credential(call: Call[ApiState]) -> Result:
    """Keeps a credential, sealed. The first of a type in an app becomes the default of that type.

    An account has at most 10 apps, an app at most 10 credentials. Two forms for APNs: a .p8 signing key, or a
    certificate with its private key. FCM is not supported yet and is refused with a code of its own.
    """
    state, account = call.state, account_of(call)
    body: CreateCredential = call.body
    parsed = _parse(state, body)
    app_name = body.app_name or await _default_app_name(state, account)
    await _check_related(state, account, body.content.related_credential_id)
    now, ident = state.now(), state.ids.new()
    sealed = state.sealer.seal(parsed.secret, table="credential", column="sealed", row=ident, account=account)
    credential = Credential(
        account_id=account,
        id=ident,
        app_name=app_name,
        type=body.credential_type,
        form=parsed.form,
        public=parsed.public,
        is_default=body.is_default,
        created=now,
        updated=now,
    )
    await state.store.create_credential(account, credential, sealed)
    return resource_accepted(call, "Credentials", ids.encode(ids.CREDENTIAL, ident))


@endpoint(
    "GET",
    "/PushNotifications/Credentials",
    summary="List credentials",
    tag="Credentials",
    query=CredentialQuery,
    returns=CredentialPage,
    scope=Scope.READ,
)
async def list_credentials(call: Call[ApiState]) -> dict[str, Any]:
    """Credentials of the account, newest first, without their secrets."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_credentials(
        account_of(call),
        window,
        app_name=query.app_name,
        type=query.credential_type,
        is_default=query.is_default,
    )
    return listing("credentials", [_out(each) for each in listed.items], listed, query, cursor)


@endpoint(
    "GET",
    "/PushNotifications/Credentials/{credentialId}",
    summary="Get a credential",
    tag="Credentials",
    returns=CredentialOut,
    scope=Scope.READ,
    errors=(404,),
)
async def get_credential(call: Call[ApiState]) -> CredentialOut:
    """A credential without its secret."""
    ident = path_id(call, "credentialId", ids.CREDENTIAL, "Credential")
    credential = await call.state.store.get_credential(account_of(call), ident)
    if credential is None:
        raise not_found("Credential", call.path["credentialId"])
    return _out(credential)


@endpoint(
    "DELETE",
    "/PushNotifications/Credentials/{credentialId}",
    summary="Delete a credential",
    tag="Credentials",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404,),
)
async def delete_credential(call: Call[ApiState]) -> Result:
    """Removes a credential. With an app's last credential go the app and its device registrations."""
    ident = path_id(call, "credentialId", ids.CREDENTIAL, "Credential")
    if not await call.state.store.delete_credential(account_of(call), ident, call.state.now()):
        raise not_found("Credential", call.path["credentialId"])
    return resource_accepted(call, "Credentials", call.path["credentialId"])


def _parse(state: ApiState, body: CreateCredential) -> ParsedCredential:
    """The credential as its provider reads it. Raises `Invalid` with everything that is wrong."""
    problems = app_name_problem(body.app_name)
    provider = state.providers.get(body.credential_type.provider)
    if provider is None or body.credential_type.provider is ProviderName.FCM:
        message = f"{body.credential_type.value} is not supported yet: use APN or APN_SANDBOX"
        raise Invalid([FieldProblem("$.credentialType", message, Code.PROVIDER_NOT_SUPPORTED), *problems])
    content = given(body.content)
    wrong_form = _form_problems(content)
    if not wrong_form:
        try:
            parsed = provider.parse_credential(body.credential_type, content)
        except Invalid as error:
            wrong_form = list(error.problems)
    if problems or wrong_form:
        raise Invalid([*problems, *wrong_form])
    return parsed


def _form_problems(content: dict[str, Any]) -> list[FieldProblem]:
    """What keeps the content from being exactly one of the two forms."""
    key = [name for name in (*_KEY_FIELDS, *_KEY_OPTIONS) if name in content]
    certificate = [name for name in _CERTIFICATE_FIELDS if name in content]
    if bool(key) == bool(certificate):
        message = f"give either {', '.join(_KEY_FIELDS)} or {' and '.join(_CERTIFICATE_FIELDS)}"
        return [FieldProblem("$.content", message, Code.INVALID_VALUE if key else Code.MISSING_FIELD)]
    wanted = _KEY_FIELDS if key else _CERTIFICATE_FIELDS
    return [
        FieldProblem(f"$.content.{name}", f"this form of credential needs {name}", Code.MISSING_FIELD)
        for name in wanted
        if not content.get(name)
    ]


async def _default_app_name(state: ApiState, account: bytes) -> str:
    app = await state.store.default_app(account)
    if app is None:
        message = "required for the first credential: it names the app to make"
        raise Invalid([FieldProblem("$.appName", message, Code.MISSING_FIELD)])
    return app.name


async def _check_related(state: ApiState, account: bytes, text: str | None) -> None:
    if text is None:
        return
    path = "$.content.relatedCredentialId"
    try:
        ident = ids.decode(ids.CREDENTIAL, text)
    except ids.InvalidId as error:
        raise Invalid([FieldProblem(path, f"not a credential id: {error}")]) from None
    if await state.store.get_credential(account, ident) is None:
        raise NotFound("credential", text, path=path, code=Code.UNKNOWN_CREDENTIAL)


def _out(credential: Credential) -> CredentialOut:
    return CredentialOut(
        id=ids.encode(ids.CREDENTIAL, credential.id),
        credential_type=credential.type,
        is_default=credential.is_default,
        app_name=credential.app_name,
        content=_shown(credential),
        created_at=moment(credential.created),
        updated_at=moment(credential.updated),
    )


def _shown(credential: Credential) -> dict[str, Any]:
    """What is not secret, times as the API writes them."""
    content = {"form": credential.form.value, **credential.public}
    if "notAfter" in content:
        content["notAfter"] = moment(content["notAfter"])
    return content
