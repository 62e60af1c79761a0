"""What an error may echo."""

from __future__ import annotations

import base64
import secrets

import pytest

from heliogram.rest import FieldError, invalid, not_found
from heliogram.rest.problem import mask, problem_body

PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\nAQQg\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "secret",
    [
        PEM,
        PEM.replace("\n", "\\n"),
        PEM[:60],
        "hgs_" + base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("="),
        "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQzEyMyJ9",
        base64.b64encode(secrets.token_bytes(200)).decode(),
    ],
)
def test_what_looks_like_a_secret_is_hidden(secret: str) -> None:
    """Wherever it stands in an error: in a message, in a path, in a 404's name."""
    assert mask(f"no key {secret!r} here").startswith("no key '[hidden]")
    for problem in (not_found("Key", secret), invalid([FieldError(f"$.{secret}", secret)])):
        body = problem_body(problem)
        texts = [body.detail, body.message, *(str(error) for error in body.errors)]
        assert not [text for text in texts if secret[-20:] in text]


@pytest.mark.parametrize(
    "text",
    [
        "comms_pushnotificationuser_01mcc5rm00f4sakmf8x12r0000",
        "/v1/PushNotifications/DeviceRegistrations/comms_device_registration_01mcc5rm00f4ga0s5928b70000",
        "ab" * 32,
        "AVzfFGGq-OsYuQB0UTA=",
        "bcfc6152-cacd-9af0-f6f2-7ff168fe6852",
        "liveActivityStartOrWhateverElseIsLong",
    ],
)
def test_what_helps_to_find_the_mistake_stays(text: str) -> None:
    """Ids, paths, device tokens, channels, words."""
    assert mask(text) == text


def test_a_long_secret_is_hidden_before_it_is_cut() -> None:
    """No beginning of it stays at the edge."""
    padding = "x " * 145
    secret = base64.b64encode(bytes(range(200))).decode()
    detail = not_found("Key", padding + secret).detail
    assert secret[:8] not in detail
    assert len(detail) <= 300
