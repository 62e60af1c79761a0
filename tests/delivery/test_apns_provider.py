"""Credentials as they are uploaded, and answers as the delivery room understands them."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.tls import key_pem

from heliogram import apns
from heliogram.delivery.providers.apns import ApnsProvider
from heliogram.delivery.providers.apns import provider as provider_module
from heliogram.delivery.providers.apns.results import result_of
from heliogram.domain.apps import Credential, CredentialForm, CredentialType, OpenedCredential, ParsedCredential
from heliogram.domain.errors import Code, Invalid
from heliogram.domain.notifications import Outcome
from heliogram.ports import Push, Retry

P8 = key_pem(ec.generate_private_key(ec.SECP256R1())).decode()
CONTENT = {"signingKey": P8, "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "bundleId": "com.example.app"}


def parse(**changes: object) -> ParsedCredential:
    return ApnsProvider().parse_credential(CredentialType.APN, {**CONTENT, **changes})


def opened(ident: bytes) -> OpenedCredential:
    """A credential as the delivery room has it."""
    parsed = parse()
    credential = Credential(
        account_id=b"a" * 16,
        id=ident,
        app_name="shop",
        type=CredentialType.APN,
        form=parsed.form,
        public=parsed.public,
        is_default=True,
        created=0,
        updated=0,
    )
    return OpenedCredential(credential=credential, secret=parsed.secret)


def problems(**changes: object) -> dict[str, tuple[str, Code]]:
    with pytest.raises(Invalid) as caught:
        parse(**changes)
    return {problem.path: (problem.message, problem.code) for problem in caught.value.problems}


@pytest.mark.parametrize(
    "form",
    [
        P8,
        base64.b64encode(P8.encode()).decode(),
        base64.b64encode(P8.encode()).decode().rstrip("="),
        base64.encodebytes(P8.encode()).decode(),
        base64.b64encode(P8.replace("\n", "").encode()).decode(),
        P8.replace("\n", "\r\n"),
        P8.replace("\n", "\\n"),
        P8.replace("\n", ""),
        f"\n {P8} \n",
    ],
)
def test_a_signing_key_is_taken_as_text_or_base64(form: str) -> None:
    """The `.p8` as the portal gives it, or base64 of it, whatever happened to its line breaks."""
    parsed = parse(signingKey=form)
    assert parsed.form is CredentialForm.TOKEN
    assert parsed.public == {"keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "bundleId": "com.example.app"}


def test_an_encrypted_signing_key_is_refused_with_the_cure() -> None:
    """Nobody asks for its password: decrypt it first."""
    key = ec.generate_private_key(ec.SECP256R1())
    sealed = serialization.BestAvailableEncryption(b"geheim")
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed).decode()
    message, code = problems(signingKey=text)["$.content.signingKey"]
    assert code is Code.INVALID_SIGNING_KEY
    assert "encrypted; decrypt it first" in message


def test_topics_alone_make_it_a_topic_key() -> None:
    """TOK-11: a scope is implied; without either it may be a key of before there were scopes."""
    assert parse(topics=["com.example.app"]).public["keyScope"] == "topic"
    assert "keyScope" not in parse().public
    assert parse(keyScope="team").public["keyScope"] == "team"


def test_tok_11_a_related_key_is_for_topic_keys_and_another_one() -> None:
    """TOK-11: at most one related key, of a topic-specific key alone, and not itself."""
    related = {"relatedCredentialId": "x", "relatedKeyId": "OTHERKEY12"}
    assert parse(topics=["com.example.app"], **related).public["relatedKeyId"] == "OTHERKEY12"
    for changes in (related, {**related, "topics": ["com.example.app"], "relatedKeyId": "ABC123DEFG"}):
        assert list(problems(**changes)) == ["$.content.relatedCredentialId"]


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
    """SIZE-1: 4,096 bytes, 5,120 for VoIP and for broadcasts."""
    limits = [ApnsProvider().payload_limit(each) for each in ("alert", "voip", "liveactivity", "broadcast")]
    assert limits == [4096, 5120, 4096, 5120]


@pytest.mark.anyio
async def test_ended_credentials_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest ended is forgotten first: by then nobody holds it open."""
    monkeypatch.setattr(provider_module, "MAX_ENDED", 2)
    provider = ApnsProvider()
    made = [opened(bytes([number]) * 16) for number in range(3)]
    for each in made:
        provider.end(each.credential.id)
    push = Push(
        tag=1, token=b"\0" * 32, apns_id="0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b", payload=b"{}", topic="not a topic"
    )
    reasons = []
    for each in made:
        async for results in provider.send(each, [push]):
            reasons += [result.reason.partition(":")[0] for result in results]
    assert reasons == ["topic", "CredentialRevoked", "CredentialRevoked"]
    await provider.close()


@pytest.mark.anyio
async def test_a_push_that_cannot_be_is_refused_for_good() -> None:
    """What APNs would refuse anyway never leaves, and is not tried again."""
    provider = ApnsProvider()
    ident = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
    pushes = [
        Push(tag="large", token=b"\0" * 32, apns_id=ident, payload=b"x" * 4097),
        Push(tag="priority", token=b"\0" * 32, apns_id=ident, payload=b"{}", push_type="background", priority=10),
        Push(tag="start", token=b"", apns_id=ident, payload=b'{"aps":{"event":"start"}}', channel="YWJj"),
    ]
    results = [result async for some in provider.send(opened(b"i" * 16), pushes) for result in some]
    assert [(each.tag, each.outcome, each.retry) for each in results] == [
        (push.tag, Outcome.NOT_SENT, Retry.NEVER) for push in pushes
    ]
    await provider.close()


@pytest.mark.anyio
async def test_one_push_by_itself_is_refused_as_among_many() -> None:
    """`send_one` says what `send` says: of what APNs would refuse, of broadcasts, and of credentials that ended."""
    provider, credential = ApnsProvider(), opened(b"i" * 16)
    ident = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
    pushes = [
        Push(tag="large", token=b"\0" * 32, apns_id=ident, payload=b"x" * 4097),
        Push(tag="start", token=b"", apns_id=ident, payload=b'{"aps":{"event":"start"}}', channel="YWJj"),
        Push(tag="topic", token=b"\0" * 32, apns_id=ident, payload=b"{}", topic="not a topic"),
    ]
    for _ in range(2):
        for push in pushes:
            among = [result for some in [r async for r in provider.send(credential, [push])] for result in some]
            assert [await provider.send_one(credential, push)] == among
        provider.end(credential.credential.id)
    await provider.close()


@pytest.mark.parametrize(
    ("outcome", "retry"),
    [
        (apns.Rejected("", "", 403, "InvalidProviderToken"), Retry.CREDENTIAL),
        (apns.Rejected("", "", 403, "ExpiredProviderToken"), Retry.CREDENTIAL),
        (apns.Rejected("", "", 403, "UnrelatedKeyIdInToken"), Retry.SOON),
        (apns.Rejected("", "", 403, "NeverHeardOf"), Retry.CREDENTIAL),
        (apns.Rejected("", "", 400, "TopicDisallowed"), Retry.TOPIC),
        (apns.Rejected("", "", 429, "TooManyProviderTokenUpdates"), Retry.LATER),
        (apns.NotSent("", "", "cannot use x:443: GOAWAY with reason BadCertificate"), Retry.CREDENTIAL),
        (apns.NotSent("", "", "cannot use x:443: GOAWAY with reason Shutdown"), Retry.UNREACHABLE),
        (apns.NotSent("", "", "cannot use x:443: TLS alert of the server: unknown ca"), Retry.CREDENTIAL),
        (apns.NotSent("", "", "certificate: expired on 2026-01-01; renew it"), Retry.CREDENTIAL),
        (apns.NotSent("", "", "cannot use x:443: connection refused (3 attempts)"), Retry.UNREACHABLE),
        (apns.NotSent("", "", "not sent before the push's deadline: every stream was taken"), Retry.SOON),
        (apns.NotSent("", "", "not sent before the push's deadline: no connection to x:443"), Retry.UNREACHABLE),
        (apns.Rejected("", "", 403, "Forbidden"), Retry.FORBIDDEN),
    ],
)
def test_what_is_said_of_the_credential_is_told_from_the_rest(
    outcome: apns.Rejected | apns.NotSent, retry: Retry
) -> None:
    """Section 5: refused credentials wait for a person, whatever else comes and goes is tried again. The engine has
    tried an `ExpiredProviderToken` once more already (TOK-22)."""
    push = Push(tag=None, token=b"", apns_id="", payload=b"")
    assert result_of(push, outcome).retry is retry


def test_another_topic_than_its_own_is_the_callers_mistake() -> None:
    """`TopicDisallowed` for a topic that the send names ends it."""
    push = Push(tag=None, token=b"", apns_id="", payload=b"", topic="com.example.other")
    assert result_of(push, apns.Rejected("", "", 400, "TopicDisallowed")).retry is Retry.NEVER


def test_push_types_of_one_topic_have_one_key() -> None:
    """An alert and a background push fail together, a call does not."""
    keys = [ApnsProvider().topic_key(each) for each in ("alert", "background", "voip", "broadcast", "liveactivity")]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == keys[4] != keys[2]
