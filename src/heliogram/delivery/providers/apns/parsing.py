"""Credentials as they are uploaded: a .p8 key, a certificate in PEM, or one in PKCS#12."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .... import apns
from ....apns import pem, pkcs12
from ....apns.entitlements import check_client
from ....domain.apps import CredentialForm, CredentialType, Environment, OpenedCredential, ParsedCredential
from ....domain.errors import Code, FieldProblem, Invalid

_BUNDLE_ID = re.compile(r"(?=.{1,200}$)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_FIELDS = {
    "signing key": ("signingKey", Code.INVALID_SIGNING_KEY),
    "topics": ("topics", Code.INVALID_VALUE),
    "related_key_id": ("relatedCredentialId", Code.INVALID_VALUE),
    "certificate": ("certificate", Code.INVALID_CERTIFICATE),
    "private_key": ("privateKey", Code.INVALID_CERTIFICATE),
    "password": ("password", Code.INVALID_CERTIFICATE),
}
"""Which field of the API, and which code, the engine's complaint about a parameter of its own stands for."""


class _Pair(msgspec.Struct):
    """A certificate and its key as they are sealed: PEM texts."""

    certificate: str
    private_key: str


def parse(type: CredentialType, content: Mapping[str, Any]) -> ParsedCredential:  # noqa: A002 - the port's name
    """Reads `{signingKey, keyId, teamId, bundleId, …}`, `{certificate, privateKey}` or `{pkcs12, password?}`."""
    if "signingKey" in content:
        return _parse_key(type, content)
    pair = _unpacked(content) if "pkcs12" in content else _given(content)
    return _parse_certificate(type, pair, "pkcs12" if "pkcs12" in content else None)


def identity_of(credential: OpenedCredential) -> apns.SigningKey | apns.Certificate:
    """The engine's key or certificate of an opened credential. Raises `ApnsError`."""
    public, type_ = credential.credential.public, credential.credential.type
    if credential.credential.form is CredentialForm.CERTIFICATE:
        pair = msgspec.json.decode(credential.secret, type=_Pair)
        return apns.Certificate.from_pem(pair.certificate, pair.private_key)
    return _signing_key(credential.secret, public, type_.environment)


def _signing_key(secret: bytes, public: Mapping[str, Any], environment: Environment | None) -> apns.SigningKey:
    """The key with what the portal restricts it to (TOK-11); without a scope it may be a legacy one, for all."""
    scoped = public.get("keyScope") is not None
    return apns.SigningKey.from_p8(
        secret,
        key_id=public["keyId"],
        team_id=public["teamId"],
        environment=environment if scoped else None,
        topics=public.get("topics"),
        related_key_id=public.get("relatedKeyId"),
    )


# ---- signing keys


def _parse_key(type_: CredentialType, content: Mapping[str, Any]) -> ParsedCredential:
    problems = []
    fields: dict[str, Any] = {}
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
        problems.append(_problem(error))
    problems += _scope_problems(content)
    if problems:
        raise Invalid(problems)
    public = fields | {"bundleId": bundle_id} | _scope(content)
    try:
        key = _signing_key(secret, public, type_.environment)
        check_client(key, apns.Environment(key.environment or "production"), bundle_id, 0)
    except apns.ApnsError as error:
        raise Invalid([_problem(error)]) from None
    return ParsedCredential(form=CredentialForm.TOKEN, public=public, secret=secret)


def _scope(content: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of the key's kind, complete: topics alone make it a topic-specific one."""
    told = {
        name: content[name]
        for name in ("keyScope", "topics", "relatedCredentialId", "relatedKeyId")
        if content.get(name)
    }
    return {"keyScope": "topic", **told} if "topics" in told else told


def _scope_problems(content: Mapping[str, Any]) -> list[FieldProblem]:
    scope, topics = content.get("keyScope"), content.get("topics")
    if scope == "topic" and not topics:
        message = "a key of scope topic is for listed topics: give the bundle ids chosen in the portal, 1 to 400"
        return [FieldProblem("$.content.topics", message, Code.MISSING_FIELD)]
    if scope == "team" and topics:
        message = "a key of scope team is for every topic: leave topics out, or give keyScope topic"
        return [FieldProblem("$.content.topics", message)]
    return []


def _is_apple_id(text: str) -> bool:
    return len(text) == 10 and text.isascii() and text.isalnum() and text == text.upper()


# ---- certificates


def _given(content: Mapping[str, Any]) -> _Pair:
    return _Pair(_text(content.get("certificate", "")), _text(content.get("privateKey", "")))


def _unpacked(content: Mapping[str, Any]) -> _Pair:
    """Certificate and key out of a PKCS#12 file."""
    try:
        data = base64.b64decode(_padded(str(content["pkcs12"])), validate=True)
    except (binascii.Error, ValueError):
        message = "expected the base64 of the .p12 file"
        raise Invalid([FieldProblem("$.content.pkcs12", message, Code.INVALID_CERTIFICATE)]) from None
    try:
        chain, key = pkcs12.load(data, content.get("password"))
    except apns.ApnsError as error:
        raise Invalid([_problem(error, "pkcs12")]) from None
    private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
    return _Pair(certificate.decode("ascii"), private_key.decode("ascii"))


def _parse_certificate(type_: CredentialType, pair: _Pair, field: str | None) -> ParsedCredential:
    try:
        parsed = apns.Certificate.from_pem(pair.certificate, pair.private_key)
    except apns.ApnsError as error:
        raise Invalid([_problem(error, field)]) from None
    wanted = type_.environment
    allowed = {environment.value for environment in parsed.environments}
    if wanted is not None and allowed and wanted.value not in allowed:
        message = f"this certificate is for {' and '.join(sorted(allowed))}, not for {wanted.value}: upload it as"
        other = CredentialType.APN_SANDBOX if type_ is CredentialType.APN else CredentialType.APN
        raise Invalid([FieldProblem("$.credentialType", f"{message} {other}", Code.INVALID_CERTIFICATE)])
    leaf = next(block for block in pem.blocks(pair.certificate) if block.label == "CERTIFICATE")
    public = {
        "bundleId": parsed.topics[0],
        "topics": list(parsed.topics),
        "notAfter": int(parsed.not_after.timestamp() * 1000),
        "fingerprint": hashlib.sha256(base64.b64decode(leaf.body)).hexdigest(),
    }
    return ParsedCredential(form=CredentialForm.CERTIFICATE, public=public, secret=msgspec.json.encode(pair))


# ---- texts


def _problem(error: apns.ApnsError, only: str | None = None) -> FieldProblem:
    """What the engine complains about, at the field of the API: it names its own parameter first. `only` is the field
    that holds all but the password."""
    which, _, message = str(error).partition(": ")
    field, code = _FIELDS.get(which, ("certificate", Code.INVALID_CERTIFICATE))
    if only is not None and field != "password":
        field = only
    return FieldProblem(f"$.content.{field}", message or which, code)


def _text(value: object) -> str:
    """The PEM text of a field: as it is, or out of its base64."""
    text = str(value).strip()
    if "-----BEGIN" in text:
        return text
    try:
        return base64.b64decode(_padded(text), validate=True).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        return text  # the parser says what is wrong with it


def _padded(text: str) -> str:
    """Base64 without white space and stray `\\n`, its padding complete."""
    packed = "".join(text.replace("\\r", "").replace("\\n", "").split()).rstrip("=")
    return packed + "=" * (-len(packed) % 4)
