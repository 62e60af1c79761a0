"""Credentials as they are uploaded, and answers as the delivery room understands them."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.tls import key_pem

from heliogram.delivery.providers.apns import ApnsProvider
from heliogram.domain.apps import CredentialForm, CredentialType, ParsedCredential
from heliogram.domain.errors import Code, Invalid

P8 = key_pem(ec.generate_private_key(ec.SECP256R1())).decode()
CONTENT = {"signingKey": P8, "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "bundleId": "com.example.app"}


def parse(**changes: object) -> ParsedCredential:
    return ApnsProvider().parse_credential(CredentialType.APN, {**CONTENT, **changes})


def problems(**changes: object) -> dict[str, tuple[str, Code]]:
    with pytest.raises(Invalid) as caught:
        parse(**changes)
    return {problem.path: (problem.message, problem.code) for problem in caught.value.problems}


@pytest.mark.parametrize("form", [P8, base64.b64encode(P8.encode()).decode(), P8.replace("\n", "\r\n"), f"\n {P8} \n"])
def test_a_signing_key_is_taken_as_text_or_base64(form: str) -> None:
    """The `.p8` as the portal gives it, or base64 of it, whatever happened to its line ends."""
    parsed = parse(signingKey=form)
    assert parsed.form is CredentialForm.TOKEN
    assert parsed.public == {"keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "bundleId": "com.example.app"}


def test_what_may_be_shown_never_holds_the_key() -> None:
    """The secret stands apart, and no repr shows it."""
    parsed = parse()
    body = P8.splitlines()[1]
    assert body in parsed.secret.decode()
    assert body not in repr(parsed)
    assert body not in str(parsed.public)


def test_all_bad_fields_are_named_at_once() -> None:
    """One answer for one request: key id, team id, bundle id and key."""
    found = problems(keyId="abc", teamId="DEF123GHI", bundleId="not a bundle", signingKey="nonsense")
    assert {path: code for path, (_, code) in found.items()} == {
        "$.content.keyId": Code.INVALID_KEY_ID,
        "$.content.teamId": Code.INVALID_TEAM_ID,
        "$.content.bundleId": Code.INVALID_VALUE,
        "$.content.signingKey": Code.INVALID_SIGNING_KEY,
    }


@pytest.mark.parametrize("ident", ["ABC123DEF", "ABC123DEFGH", "abc123defg", "ABC-23DEFG", "ÄBC123DEFG", ""])
def test_apples_ids_have_exactly_ten_capitals_and_digits(ident: str) -> None:
    """One character fewer or more, lower case or anything else is refused at once."""
    assert problems(keyId=ident)["$.content.keyId"][1] is Code.INVALID_KEY_ID


def test_a_key_on_another_curve_is_refused_without_quoting_it() -> None:
    """ES256 needs P-256 (TOK-2)."""
    other = key_pem(ec.generate_private_key(ec.SECP384R1())).decode()
    message, code = problems(signingKey=other)["$.content.signingKey"]
    assert code is Code.INVALID_SIGNING_KEY
    assert other.splitlines()[1] not in message


def test_a_certificate_without_its_key_names_the_key_field() -> None:
    """The path is that of the field to mend."""
    provider = ApnsProvider()
    with pytest.raises(Invalid) as caught:
        provider.parse_credential(CredentialType.APN, {"certificate": "", "privateKey": P8})
    assert caught.value.problems[0].path == "$.content.certificate"


def test_the_payload_limit_is_that_of_the_push_type() -> None:
    """SIZE-1: 4,096 bytes, 5,120 for VoIP."""
    assert (ApnsProvider().payload_limit("alert"), ApnsProvider().payload_limit("voip")) == (4096, 5120)
