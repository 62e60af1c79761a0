"""Uploaded credentials: read by their provider, sealed and opened."""

from __future__ import annotations

from typing import Any

from ..domain import ids
from ..domain.apps import Credential, CredentialForm, CredentialType, OpenedCredential, ParsedCredential, ProviderName
from ..domain.errors import Code, FieldProblem, Invalid, NotFound, Unavailable
from ..ports import Provider
from .credential_schemas import (
    CERTIFICATE_FIELDS,
    KEY_FIELDS,
    KEY_OPTIONS,
    PKCS12_FIELDS,
    PKCS12_OPTIONS,
    CredentialContent,
    given,
)
from .state import ApiState

_PLACE = {"table": "credential", "column": "sealed"}
_FORMS = ((KEY_FIELDS, KEY_OPTIONS), (CERTIFICATE_FIELDS, ()), (PKCS12_FIELDS, PKCS12_OPTIONS))


async def read_upload(
    state: ApiState,
    account: bytes,
    type_: CredentialType,
    content: CredentialContent,
    problems: list[FieldProblem] | None = None,
) -> ParsedCredential:
    """The credential as its provider reads it. Raises `Invalid` with everything that is wrong, `problems` first, and
    `NotFound` for a related credential that is not there."""
    problems = list(problems or [])
    provider = provider_of(state, type_)
    if provider is None:
        message = f"{type_.value} is not supported yet: use APN or APN_SANDBOX"
        raise Invalid([FieldProblem("$.credentialType", message, Code.PROVIDER_NOT_SUPPORTED), *problems])
    fields = given(content)
    wrong = _form_problems(fields)
    if not wrong:
        related = await _related(state, account, type_, content)
        if related is not None:
            fields["relatedKeyId"] = related.public["keyId"]
        try:
            parsed = provider.parse_credential(type_, fields)
        except Invalid as error:
            wrong = list(error.problems)
    if problems or wrong:
        raise Invalid([*problems, *wrong])
    return parsed


def provider_of(state: ApiState, type_: CredentialType) -> Provider | None:
    """Who takes credentials of this type; None when nobody does yet."""
    return None if type_.provider is ProviderName.FCM else state.providers.get(type_.provider)


def seal(state: ApiState, account: bytes, credential_id: bytes, secret: bytes) -> bytes:
    """The secret, sealed for its own place."""
    return state.sealer.seal(secret, row=credential_id, account=account, **_PLACE)


async def open_credential(state: ApiState, account: bytes, credential_id: bytes) -> OpenedCredential | None:
    """A credential with its secret, None when there is none. Raises `Unavailable` when the secret does not open."""
    found = await state.store.sealed_credential(account, credential_id)
    if found is None:
        return None
    credential, sealed = found
    try:
        secret = state.sealer.open(sealed, row=credential_id, account=account, **_PLACE)
    except ValueError as error:
        shown = ids.encode(ids.CREDENTIAL, credential_id)
        raise Unavailable(f"{shown} was sealed with a master key that is not there: {error}") from error
    return OpenedCredential(credential=credential, secret=secret)


def _form_problems(content: dict[str, Any]) -> list[FieldProblem]:
    """What keeps the content from being exactly one of the forms."""
    chosen = [(fields, options) for fields, options in _FORMS if any(name in content for name in (*fields, *options))]
    if len(chosen) != 1:
        forms = "; or ".join(" and ".join(fields) for fields, _ in _FORMS)
        message = f"give one of these: {forms}"
        return [FieldProblem("$.content", message, Code.INVALID_VALUE if chosen else Code.MISSING_FIELD)]
    return [
        FieldProblem(f"$.content.{name}", f"this form of credential needs {name}", Code.MISSING_FIELD)
        for name in chosen[0][0]
        if not content.get(name)
    ]


async def _related(
    state: ApiState, account: bytes, type_: CredentialType, content: CredentialContent
) -> Credential | None:
    """The related credential: a key of the same team in the same environment (TOK-11)."""
    text, path = content.related_credential_id, "$.content.relatedCredentialId"
    if text is None:
        return None
    try:
        ident = ids.decode(ids.CREDENTIAL, text)
    except ids.InvalidId as error:
        raise Invalid([FieldProblem(path, f"not a credential id: {error}")]) from None
    found = await state.store.get_credential(account, ident)
    if found is None:
        raise NotFound("credential", text, path=path, code=Code.UNKNOWN_CREDENTIAL)
    if found.form is not CredentialForm.TOKEN or found.type is not type_ or found.public["teamId"] != content.team_id:
        message = f"expected a signing key of type {type_.value} and team {content.team_id}: related keys share both"
        raise Invalid([FieldProblem(path, message)])
    return found
