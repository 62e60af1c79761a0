"""Credentials: create, get, list, make the default, delete. What is secret goes in and never comes out."""

from __future__ import annotations

from typing import Any

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import Credential
from ..domain.errors import Code, FieldProblem, Invalid
from ..ports import Standing
from ..rest import Call, Result, endpoint, not_found
from .answers import ResourceAccepted, account_of, listing, moment, path_id, resource_accepted, window_of
from .audit import audit_event
from .credential_schemas import (
    CreateCredential,
    CredentialOut,
    CredentialPage,
    CredentialQuery,
    DefaultFlag,
    FailingOut,
    app_name_problem,
    shown,
)
from .credential_uploads import provider_of, read_upload, seal
from .state import ApiState

WHAT = "Credential"


async def _made(call: Call[ApiState], ident: bytes) -> Result | None:
    """The answer for a credential that an earlier try has made."""
    made = await call.state.store.get_credential(account_of(call), ident)
    return None if made is None else resource_accepted(call, "Credentials", ids.encode(ids.CREDENTIAL, ident))


@endpoint(
    "POST",
    "/PushNotifications/Credentials",
    summary="Create a credential",
    tag="Credentials",
    body=CreateCredential,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404, 409),
    response_headers={"Location": "The credential's address."},
    recover=_made,
)
async def create_credential(call: Call[ApiState]) -> Result:
    """Keeps a credential, sealed. The first of a type in an app becomes the default of that type.

    An account has at most 10 apps, an app at most 10 credentials. Three forms for APNs: a .p8 signing key, a
    certificate with its private key, or both in a .p12 file. FCM is not supported yet and is refused with a code of
    its own.
    """
    state, account = call.state, account_of(call)
    body: CreateCredential = call.body
    parsed = await read_upload(state, account, body.credential_type, body.content, app_name_problem(body.app_name))
    app_name = body.app_name or await _default_app_name(state, account)
    now, ident = state.now(), state.ids.new()
    credential = Credential(
        account_id=account,
        id=ident,
        app_name=app_name,
        type=body.credential_type,
        form=parsed.form,
        public=parsed.public,
        is_default=bool(body.is_default),
        created=now,
        updated=now,
    )
    text = ids.encode(ids.CREDENTIAL, ident)
    kind = body.credential_type.value
    event = audit_event(call, "credential.created", text, appName=app_name, credentialType=kind)
    sealed = seal(state, account, ident, parsed.secret)
    await state.store.create_credential(account, credential, sealed, audit=event)
    return resource_accepted(call, "Credentials", text)


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
    standings = await call.state.health.standings(account_of(call), [each.id for each in listed.items])
    items = [await _shown(call.state, each, standings.get(each.id)) for each in listed.items]
    return listing("credentials", items, listed, query, cursor)


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
    """A credential without its secret. `failing` says that APNs refuses it, and how many recipients wait for it, on
    whichever node."""
    credential = await credential_in_path(call)
    standings = await call.state.health.standings(account_of(call), [credential.id])
    return await _shown(call.state, credential, standings.get(credential.id))


@endpoint(
    "PATCH",
    "/PushNotifications/Credentials/{credentialId}",
    summary="Make a credential the default",
    tag="Credentials",
    body=DefaultFlag,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404, 409),
)
async def update_credential(call: Call[ApiState]) -> Result:
    """With `isDefault: true` its app sends with it whenever a send of its type names no other; the one before is the
    default no more. A revoked credential is refused."""
    credential = await credential_in_path(call)
    text = call.path["credentialId"]
    if call.body.is_default:
        event = audit_event(call, "credential.made_default", text, appName=credential.app_name)
        made = await call.state.store.make_default_credential(
            account_of(call), credential.id, call.state.now(), audit=event
        )
        if made is None:
            raise not_found(WHAT, text)
    elif credential.is_default:
        message = f"this is the {credential.type.value} default of its app: make another credential the default instead"
        raise Invalid([FieldProblem("$.isDefault", message)])
    return resource_accepted(call, "Credentials", text)


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
    """Removes a credential and closes its connections. With an app's last credential go the app and its device
    registrations: nobody sees them or sends to them from then on. Of an app with many devices they are removed in the
    minutes after, in which an app of that name cannot be made anew (409). Webhooks are told once of the app
    (`com.heliogram.app.deleted`), and not of each device."""
    credential = await credential_in_path(call)
    text = call.path["credentialId"]
    event = audit_event(call, "credential.deleted", text, appName=credential.app_name)
    if not await call.state.store.delete_credential(account_of(call), credential.id, call.state.now(), audit=event):
        raise not_found(WHAT, text)
    provider = provider_of(call.state, credential.type)
    if provider is not None:
        provider.end(credential.id)
    return resource_accepted(call, "Credentials", text)


async def credential_in_path(call: Call[ApiState]) -> Credential:
    """The credential that the path names. Raises a 404."""
    ident = path_id(call, "credentialId", ids.CREDENTIAL, WHAT)
    credential = await call.state.store.get_credential(account_of(call), ident)
    if credential is None:
        raise not_found(WHAT, call.path["credentialId"])
    return credential


async def _shown(state: ApiState, credential: Credential, standing: Standing | None) -> CredentialOut:
    failing, answer = (None, None) if standing is None else (standing.failing, standing.answer)
    if failing is None or credential.revoked is not None:
        return shown(credential, state.now(), None, answer)
    waiting = await state.store.count_held(credential.account_id, credential.id)
    out = FailingOut(
        reason=failing.reason, since=moment(failing.since), probe_at=moment(failing.probe_at), waiting=waiting
    )
    return shown(credential, state.now(), out, answer)


async def _default_app_name(state: ApiState, account: bytes) -> str:
    app = await state.store.default_app(account)
    if app is None:
        message = "required for the first credential: it names the app to make"
        raise Invalid([FieldProblem("$.appName", message, Code.MISSING_FIELD)])
    return app.name
