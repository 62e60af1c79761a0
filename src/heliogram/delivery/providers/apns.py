"""Apple Push Notification service behind the Provider port: credentials in, one client per credential, answers out."""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ... import apns
from ...apns import reasons
from ...domain.apps import CredentialForm, CredentialType, Environment, OpenedCredential, ParsedCredential, ProviderName
from ...domain.errors import Code, FieldProblem, Invalid
from ...domain.notifications import Outcome
from ...ports import Clock, DeviceFate, Push, PushResult, Retry

MAX_CLIENTS = 256
_BUNDLE_ID = re.compile(r"(?=.{1,200}$)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

_RETRY = {
    reasons.Retry.NEVER: Retry.NEVER,
    reasons.Retry.AFTER_FIX: Retry.NEVER,
    reasons.Retry.NEW_CONNECTION: Retry.SOON,
    reasons.Retry.DELAYED: Retry.DEVICE,
    reasons.Retry.BACK_OFF: Retry.LATER,
}
_FATE = {
    reasons.OnToken.KEEP: DeviceFate.KEEP,
    reasons.OnToken.QUARANTINE: DeviceFate.QUARANTINE,
    reasons.OnToken.REMOVE: DeviceFate.REMOVE,
}


class ApnsEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where APNs is: `host:port` of each environment, None for Apple's own, and a CA file for a simulator's."""

    production: str | None = None
    sandbox: str | None = None
    cafile: str | None = None

    def of(self, environment: Environment) -> str | None:
        """The endpoint of an environment."""
        return self.production if environment is Environment.PRODUCTION else self.sandbox


class ApnsProvider:
    """Sends through `heliogram.apns`, keeping a client per credential; the least used leaves at 256."""

    name = ProviderName.APN

    def __init__(self, endpoints: ApnsEndpoints | None = None, *, clock: Clock | None = None) -> None:
        self._endpoints = endpoints or ApnsEndpoints()
        self._clock = clock
        self._clients: OrderedDict[bytes, apns.Client] = OrderedDict()
        self._leaving: list[apns.Client] = []

    def __repr__(self) -> str:
        return f"ApnsProvider(clients={len(self._clients)})"

    def parse_credential(self, type: CredentialType, content: Mapping[str, Any]) -> ParsedCredential:  # noqa: A002
        """Reads `{signingKey, keyId, teamId, bundleId, …}` or `{certificate, privateKey}`; see the port."""
        return _parse_key(content) if "signingKey" in content else _parse_certificate(type, content)

    def payload_limit(self, push_type: str) -> int:
        """The most bytes a payload of this push type may have (SIZE-1)."""
        return apns.payload_limit(push_type)

    async def send(self, credential: OpenedCredential, pushes: Sequence[Push]) -> AsyncGenerator[PushResult, None]:
        """Sends over the credential's own connections and yields one result per push as they come."""
        try:
            client = self._client(credential)
        except apns.ApnsError as error:
            for push in pushes:
                yield PushResult(tag=push.tag, outcome=Outcome.NOT_SENT, reason=str(error))
            return
        refused: list[PushResult] = []
        async for outcome in client.send_many(_engine_pushes(pushes, refused)):
            yield _result(outcome)
        for result in refused:
            yield result

    async def close(self) -> None:
        """Drains and closes every connection."""
        clients = [*self._clients.values(), *self._leaving]
        self._clients.clear()
        self._leaving.clear()
        for client in clients:
            await client.close()

    def _client(self, credential: OpenedCredential) -> apns.Client:
        ident = credential.credential.id
        client = self._clients.get(ident)
        if client is None:
            client = self._clients[ident] = self._open(credential)
            if len(self._clients) > MAX_CLIENTS:
                self._leaving.append(self._clients.popitem(last=False)[1])
        else:
            self._clients.move_to_end(ident)
        return client

    def _open(self, credential: OpenedCredential) -> apns.Client:
        public = credential.credential.public
        environment = credential.credential.type.environment or Environment.PRODUCTION
        identity: apns.SigningKey | apns.Certificate
        if credential.credential.form is CredentialForm.TOKEN:
            identity = apns.SigningKey.from_p8(credential.secret, key_id=public["keyId"], team_id=public["teamId"])
        else:
            pair = msgspec.json.decode(credential.secret, type=_CertificatePair)
            identity = apns.Certificate.from_pem(pair.certificate, pair.private_key)
        options: dict[str, Any] = {} if self._clock is None else {"clock": self._clock}
        return apns.Client(
            identity,
            topic=public["bundleId"],
            environment=apns.Environment(environment.value),
            endpoint=self._endpoints.of(environment),
            cafile=self._endpoints.cafile,
            **options,
        )


class _CertificatePair(msgspec.Struct):
    certificate: str
    private_key: str


def _engine_pushes(pushes: Sequence[Push], refused: list[PushResult]) -> Iterator[apns.Push]:
    """The engine's pushes; what it would refuse is put aside with the engine's own words."""
    for push in pushes:
        try:
            notification = apns.Notification(
                payload=push.payload,
                push_type=push.push_type,
                priority=push.priority,
                expiration=push.expiration,
                collapse_id=push.collapse_id,
            )
        except apns.ApnsError as error:
            refused.append(PushResult(tag=push.tag, outcome=Outcome.NOT_SENT, reason=str(error)))
            continue
        yield apns.Push(push.token.hex(), notification, apns_id=push.apns_id, tag=push.tag)


def _result(outcome: apns.Outcome) -> PushResult:
    wire_ms = outcome.wire_ms or 0
    match outcome:
        case apns.Accepted():
            return PushResult(
                tag=outcome.tag,
                outcome=Outcome.ACCEPTED,
                status=200,
                unique_id=outcome.unique_id or "",
                wire_ms=wire_ms,
            )
        case apns.Rejected():
            row = outcome.policy
            return PushResult(
                tag=outcome.tag,
                outcome=Outcome.REJECTED,
                status=outcome.status,
                reason=outcome.reason,
                timestamp=outcome.timestamp,
                wire_ms=wire_ms,
                retry_after=outcome.retry_after,
                retry=_RETRY[row.retry],
                device=_FATE[row.token],
            )
        case apns.NotSent():
            return PushResult(tag=outcome.tag, outcome=Outcome.NOT_SENT, reason=outcome.cause, retry=Retry.SOON)
        case apns.Unknown():
            return PushResult(
                tag=outcome.tag, outcome=Outcome.UNKNOWN, reason=outcome.cause, wire_ms=wire_ms, retry=Retry.ONCE
            )


def _parse_key(content: Mapping[str, Any]) -> ParsedCredential:
    problems = []
    fields = {}
    for name, code in (("keyId", Code.INVALID_KEY_ID), ("teamId", Code.INVALID_TEAM_ID)):
        fields[name] = str(content.get(name, ""))
        if not _is_apple_id(fields[name]):
            message = f"expected the 10 characters A-Z and 0-9 of Apple's {name[:-2]} id"
            problems.append(FieldProblem(f"$.content.{name}", message, code))
    bundle_id = str(content.get("bundleId", ""))
    if not _BUNDLE_ID.fullmatch(bundle_id):
        problems.append(FieldProblem("$.content.bundleId", "expected the app's bundle id, such as com.example.app"))
    secret = _text(content["signingKey"]).encode()  # bytes: a text may be the path of a file, which is not the caller's
    try:
        # The ids have their own messages above, so the key is tried with ids that are surely well formed.
        apns.SigningKey.from_p8(secret, key_id="A" * 10, team_id="A" * 10)
    except apns.ApnsError as error:
        problems.append(FieldProblem("$.content.signingKey", str(error), Code.INVALID_SIGNING_KEY))
    if problems:
        raise Invalid(problems)
    public: dict[str, Any] = {**fields, "bundleId": bundle_id}
    public |= {name: content[name] for name in ("keyScope", "topics", "relatedCredentialId") if content.get(name)}
    return ParsedCredential(form=CredentialForm.TOKEN, public=public, secret=secret)


def _parse_certificate(type: CredentialType, content: Mapping[str, Any]) -> ParsedCredential:  # noqa: A002
    certificate, private_key = _text(content.get("certificate", "")), _text(content.get("privateKey", ""))
    try:
        parsed = apns.Certificate.from_pem(certificate, private_key)
    except apns.ApnsError as error:
        which, _, message = str(error).partition(": ")  # the engine names its own parameter first
        field = "privateKey" if which == "private_key" else "certificate"
        raise Invalid([FieldProblem(f"$.content.{field}", message or which, Code.INVALID_CERTIFICATE)]) from None
    wanted = type.environment
    allowed = {environment.value for environment in parsed.environments}
    if wanted is not None and allowed and wanted.value not in allowed:
        message = f"this certificate is for {' and '.join(sorted(allowed))}, not for {wanted.value}: upload it as"
        other = CredentialType.APN_SANDBOX if type is CredentialType.APN else CredentialType.APN
        raise Invalid([FieldProblem("$.credentialType", f"{message} {other}", Code.INVALID_CERTIFICATE)])
    public = {
        "bundleId": parsed.topics[0],
        "topics": list(parsed.topics),
        "notAfter": int(parsed.not_after.timestamp() * 1000),
    }
    pair = _CertificatePair(certificate, private_key)
    return ParsedCredential(form=CredentialForm.CERTIFICATE, public=public, secret=msgspec.json.encode(pair))


def _is_apple_id(text: str) -> bool:
    return len(text) == 10 and text.isascii() and text.isalnum() and text == text.upper()


def _text(value: object) -> str:
    """The PEM text of a field: as it is, or out of its base64."""
    text = str(value).strip()
    if "-----BEGIN" in text:
        return text
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        return text  # the parser says what is wrong with it
