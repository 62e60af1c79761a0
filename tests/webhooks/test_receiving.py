"""The receiver's side: `heliogram.webhooks.verify`."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest

from heliogram.webhooks import InvalidSignature, verify
from heliogram.webhooks.receiving import TOLERANCE_S
from heliogram.webhooks.signing import OVERLAP_MS, Secrets, new_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""The example that the Standard Webhooks specification and its libraries share."""
NOW = 1614265330.0


def test_the_specifications_own_example_is_taken() -> None:
    """Its signature fits, and the message's id comes back."""
    assert verify(SECRET, HEADERS, BODY, NOW) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_headers_are_found_in_any_case_and_the_body_may_be_text() -> None:
    """As frameworks hand them over."""
    headers = {name.title(): value for name, value in HEADERS.items()}
    assert verify(SECRET.removeprefix("whsec_"), headers, BODY.decode(), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_another"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-signature": "v1,AAAA9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "v1,\u00e9"},
    ],
)
def test_a_changed_header_is_refused(changes: dict[str, str]) -> None:
    """Id and time are signed with the body; only version 1 counts."""
    with pytest.raises(InvalidSignature, match="no signature"):
        verify(SECRET, {**HEADERS, **changes}, BODY, NOW)


def test_a_changed_body_is_refused() -> None:
    """To the last byte."""
    with pytest.raises(InvalidSignature, match="no signature"):
        verify(SECRET, HEADERS, BODY + b" ", NOW)


def test_another_secret_is_refused() -> None:
    """And neither of them is in the message."""
    other = new_secret()
    with pytest.raises(InvalidSignature) as caught:
        verify(other, HEADERS, BODY, NOW)
    assert other not in str(caught.value)


@pytest.mark.parametrize("missing", sorted(HEADERS))
def test_a_missing_header_is_named(missing: str) -> None:
    """All three are needed."""
    with pytest.raises(InvalidSignature, match=f"no {missing}"):
        verify(SECRET, {name: value for name, value in HEADERS.items() if name != missing}, BODY, NOW)


@pytest.mark.parametrize("away", [-TOLERANCE_S, TOLERANCE_S])
def test_five_minutes_of_age_are_tolerated_and_no_more(away: int) -> None:
    """Both ways: clocks differ."""
    assert verify(SECRET, HEADERS, BODY, NOW + away)
    with pytest.raises(InvalidSignature, match="300 s away"):
        verify(SECRET, HEADERS, BODY, NOW + away + (1 if away > 0 else -1))


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1.5", "\u0663", "9" * 13])
def test_a_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    """Before anything is computed with it."""
    with pytest.raises(InvalidSignature):
        verify(SECRET, {**HEADERS, "webhook-timestamp": timestamp}, BODY, NOW)


def test_the_systems_clock_is_the_default() -> None:
    """The example is long past."""
    with pytest.raises(InvalidSignature, match="300 s away"):
        verify(SECRET, HEADERS, BODY)


@pytest.mark.parametrize("place", [0, 1])
def test_one_of_several_signatures_is_enough(place: int) -> None:
    """As during a rotation."""
    signatures = ["v1," + base64.b64encode(b"x" * 32).decode()] * 2
    signatures[place] = HEADERS["webhook-signature"]
    assert verify(SECRET, {**HEADERS, "webhook-signature": " ".join(signatures)}, BODY, NOW)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!!", "whsec_" + base64.b64encode(b"x" * 23).decode()])
def test_a_secret_that_is_none_is_said(secret: str) -> None:
    """A mistake of the receiver's own, not of the request."""
    with pytest.raises(ValueError, match="a webhook's secret"):
        verify(secret, HEADERS, BODY, NOW)


def test_what_we_sign_verifies() -> None:
    """Sender and receiver agree."""
    held = Secrets(new_secret())
    headers = held.headers("msg_x", int(NOW * 1000), BODY)
    assert verify(held.current, headers, BODY, NOW) == "msg_x"
    assert held.current not in repr(held)


def test_three_secrets_sign_at_most() -> None:
    """The new one and the last two, each to the end of its own time; a third rotation within a day ends the oldest."""
    first, second, third, fourth = (new_secret() for _ in range(4))
    held = Secrets(first).rotated(0, second).rotated(10, third)
    assert held == Secrets(third, second, 10 + OVERLAP_MS, first, OVERLAP_MS)
    assert len(held.headers("msg_x", 10, BODY)["webhook-signature"].split(" ")) == 3
    assert held.rotated(20, fourth) == Secrets(fourth, third, 20 + OVERLAP_MS, second, 10 + OVERLAP_MS)
    assert held.rotated(10 + OVERLAP_MS, fourth) == Secrets(fourth, third, 10 + 2 * OVERLAP_MS)
    assert not [secret for secret in (first, second, third) if secret in repr(held)]


def test_it_needs_the_standard_library_alone() -> None:
    """A receiver installs the base distribution, and imports nothing heavy."""
    code = (
        "import sys; import heliogram.webhooks;"
        "print([n for n in ('msgspec', 'structlog', 'httptools', 'asyncio', 'apsw') if n in sys.modules])"
    )
    out: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
