"""What becomes of credentials in use: rotated, revoked, reconnected, checked."""

from __future__ import annotations

from ..domain import ids
from ..domain.accounts import AuditEvent, Scope
from ..domain.apps import Credential, CredentialForm, Environment, OpenedCredential, ParsedCredential
from ..domain.apps import CredentialCheck as Checked
from ..domain.errors import Code, Conflict, FieldProblem, Invalid
from ..rest import Call, Result, endpoint, not_found
from .answers import ResourceAccepted, account_of, moment, resource_accepted
from .audit import audit_event
from .credential_schemas import CredentialCheck, RotateCredential
from .credential_uploads import open_credential, provider_of, read_upload, seal
from .credentials import WHAT, credential_in_path
from .state import ApiState


@endpoint(
    "POST",
    "/PushNotifications/Credentials/{credentialId}/rotate",
    summary="Rotate a credential",
    tag="Credentials",
    body=RotateCredential,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404, 409),
    basis="ours",
)
async def rotate_credential(call: Call[ApiState]) -> Result:
    """New content under the same id: what is open on the old connections finishes, new ones open with the new.

    The form stays: a key of the same team and bundle id, or a certificate of the same topic. Another key of a team goes
    into use when the team's last change is 20 minutes old, for APNs refuses faster changes; until then the old one
    goes on. The same content again changes nothing. Leave the old key valid at Apple for half an hour; when it is in
    wrong hands, revoke instead.
    """
    state, account, body = call.state, account_of(call), call.body
    old = await _opened(call)
    credential = old.credential
    _refuse_revoked(credential)
    parsed = await read_upload(state, account, credential.type, body.content)
    public = _successor(credential, parsed)
    if (public, parsed.secret) != (credential.public, old.secret):
        sealed = seal(state, account, credential.id, parsed.secret)

        def event(rotated: Credential) -> AuditEvent:
            return audit_event(call, "credential.rotated", call.path["credentialId"], revision=rotated.revision)

        rotated = await state.store.rotate_credential(
            account, credential.id, public=public, sealed=sealed, at=state.now(), audit=event
        )
        if rotated is None:
            raise not_found(WHAT, call.path["credentialId"])
        provider = provider_of(state, credential.type)
        if provider is not None:
            provider.follow(OpenedCredential(credential=rotated, secret=parsed.secret))
    return resource_accepted(call, "Credentials", call.path["credentialId"])


@endpoint(
    "POST",
    "/PushNotifications/Credentials/{credentialId}/revoke",
    summary="Revoke a credential's key",
    tag="Credentials",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404,),
    basis="ours",
)
async def revoke_credential(call: Call[ApiState]) -> Result:
    """For a key in wrong hands: closes every connection that was opened with it at once, in every process within 5
    seconds, and nothing leaves with it again.

    It ends the key: every credential of the account that holds the same key (team and key id) or certificate is revoked
    with this one. They stay listed with `revokedAt`, are defaults no more, and their app's oldest good credential of
    the type takes over, for sends that wait, too. What named the credential itself is not sent. Revoking again changes
    nothing. At Apple the key is revoked in the developer portal.
    """
    state, account = call.state, account_of(call)
    credential = await credential_in_path(call)

    def event(each: Credential) -> AuditEvent:
        text = ids.encode(ids.CREDENTIAL, each.id)
        return audit_event(call, "credential.revoked", text, because=call.path["credentialId"], appName=each.app_name)

    ended = await state.store.revoke_credential(account, credential.id, state.now(), audit=event)
    if ended is None:
        raise not_found(WHAT, call.path["credentialId"])
    for each in ended:
        provider = provider_of(state, each.type)
        if provider is not None:
            provider.end(each.id)
    return resource_accepted(call, "Credentials", call.path["credentialId"])


@endpoint(
    "POST",
    "/PushNotifications/Credentials/{credentialId}/reconnect",
    summary="Open a credential's connections anew",
    tag="Credentials",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404, 409),
    basis="ours",
)
async def reconnect_credential(call: Call[ApiState]) -> Result:
    """After a change in Apple's portal: APNs binds a connection to the team's apps as they are at its first push, so a
    new bundle id or an app from another team needs a new one. What is open on the old ones finishes."""
    state, account = call.state, account_of(call)
    credential = (await _opened(call)).credential
    _refuse_revoked(credential)
    event = audit_event(call, "credential.reconnected", call.path["credentialId"])
    if await state.store.reconnect_credential(account, credential.id, state.now(), audit=event) is None:
        raise not_found(WHAT, call.path["credentialId"])
    provider = provider_of(state, credential.type)
    if provider is not None:
        provider.follow(await _opened(call))
    return resource_accepted(call, "Credentials", call.path["credentialId"])


@endpoint(
    "POST",
    "/PushNotifications/Credentials/{credentialId}/check",
    summary="Check a credential against APNs",
    tag="Credentials",
    returns=CredentialCheck,
    scope=Scope.CREDENTIALS,
    errors=(404, 409),
    basis="ours",
)
async def check_credential(call: Call[ApiState]) -> CredentialCheck:
    """Proves a credential without a device, within 10 seconds: sends to a random token, which no device has, on a
    connection of its own. APNs looks at the credential first, so `BadDeviceToken` says that it works. What it said
    stays with the credential as `lastCheck`."""
    opened = await _opened(call)
    _refuse_revoked(opened.credential)
    provider = provider_of(call.state, opened.credential.type)
    if provider is None:
        message = f"{opened.credential.type.value} is not supported yet, so there is nothing to check"
        raise Conflict(message, Code.PROVIDER_NOT_SUPPORTED)
    found = await provider.check(opened)
    now, credential = call.state.now(), opened.credential
    told = Checked(at=now, ok=found.ok, reason=found.reason, message=found.message)
    await call.state.store.note_check(account_of(call), credential.id, credential.revision, told)
    return CredentialCheck(
        ok=found.ok,
        checked_at=moment(now),
        environment=credential.type.environment or Environment.PRODUCTION,
        reason=found.reason or None,
        message=found.message,
    )


async def _opened(call: Call[ApiState]) -> OpenedCredential:
    credential = await credential_in_path(call)
    opened = await open_credential(call.state, account_of(call), credential.id)
    if opened is None:
        raise not_found(WHAT, call.path["credentialId"])
    return opened


def _refuse_revoked(credential: Credential) -> None:
    if credential.revoked is not None:
        raise Conflict("this credential was revoked: upload a new one", Code.CREDENTIAL_REVOKED)


def _successor(credential: Credential, parsed: ParsedCredential) -> dict[str, object]:
    """What is shown of the credential with its new content. Raises `Invalid` when it is not its successor."""
    old, new = credential.public, parsed.public
    if parsed.form is not credential.form:
        kept = "a signing key" if credential.form is CredentialForm.TOKEN else "a certificate"
        message = f"this credential is {kept} and stays one: create another credential for the other form"
        raise Invalid([FieldProblem("$.content", message)])
    if credential.form is CredentialForm.CERTIFICATE:
        if old["bundleId"] not in new["topics"]:
            message = f"this certificate is for {', '.join(new['topics'])}, the credential is for {old['bundleId']}"
            raise Invalid([FieldProblem("$.content.certificate", message, Code.INVALID_CERTIFICATE)])
        return {**new, "bundleId": old["bundleId"]}
    problems = [
        FieldProblem(f"$.content.{name}", f"must stay {old[name]}: create another credential for {new[name]}")
        for name in ("teamId", "bundleId")
        if new[name] != old[name]
    ]
    if problems:
        raise Invalid(problems)
    return new
