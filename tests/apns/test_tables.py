"""Device tokens, reasons, endpoints, deadlines: the small parts."""

from __future__ import annotations

import random

import pytest
from support.manual_clock import ManualClock

from heliogram.apns import (
    REASONS,
    Endpoint,
    Environment,
    InvalidDeviceToken,
    OnConnection,
    OnCredential,
    OnToken,
    Outcome,
    Reason,
    Rejected,
    Retry,
    normalize_device_token,
)
from heliogram.apns.deadlines import Deadlines
from heliogram.apns.job import DONE, Job, Template


@pytest.mark.parametrize("digits", [16, 18, 64, 160, 398, 400])
def test_device_token_lengths(digits: int) -> None:
    """Any even number of hex digits from 16 to 400 is a token (REQ-7)."""
    assert normalize_device_token("a" * digits) == "a" * digits


@pytest.mark.parametrize(
    "token", ["", "a" * 14, "a" * 15, "a" * 17, "a" * 401, "a" * 402, "g" * 64, "\u0660" * 64, None, b"ab"]
)
def test_bad_device_tokens(token: str) -> None:
    """Too short, too long, odd, or not hex."""
    with pytest.raises(InvalidDeviceToken, match="even number of hex digits from 16 to 400"):
        normalize_device_token(token)


def test_device_token_is_normalised() -> None:
    """Upper case, angle brackets and spaces of an NSData description go (REQ-6)."""
    assert normalize_device_token("<ABCDEF01 23456789>") == "abcdef0123456789"


@pytest.mark.parametrize(
    ("name", "status", "retry", "token", "credential", "connection"),
    [
        ("BadDeviceToken", 400, Retry.NEVER, OnToken.QUARANTINE, OnCredential.PROVEN, OnConnection.KEEP),
        ("DeviceTokenNotForTopic", 400, Retry.NEVER, OnToken.QUARANTINE, OnCredential.PROVEN, OnConnection.KEEP),
        ("Unregistered", 410, Retry.NEVER, OnToken.REMOVE, OnCredential.PROVEN, OnConnection.KEEP),
        ("ExpiredToken", 410, Retry.NEVER, OnToken.REMOVE, OnCredential.PROVEN, OnConnection.KEEP),
        ("InvalidProviderToken", 403, Retry.AFTER_FIX, OnToken.KEEP, OnCredential.STOP, OnConnection.KEEP),
        ("ExpiredProviderToken", 403, Retry.NEW_CONNECTION, OnToken.KEEP, OnCredential.REFRESH, OnConnection.REPLACE),
        ("InternalServerError", 500, Retry.BACK_OFF, OnToken.KEEP, OnCredential.SILENT, OnConnection.REPLACE),
        ("ServiceUnavailable", 503, Retry.BACK_OFF, OnToken.KEEP, OnCredential.SILENT, OnConnection.KEEP),
        ("TooManyRequests", 429, Retry.DELAYED, OnToken.KEEP, OnCredential.PROVEN, OnConnection.KEEP),
        ("FromTheFuture", 410, Retry.NEVER, OnToken.REMOVE, OnCredential.PROVEN, OnConnection.KEEP),
        ("FromTheFuture", 599, Retry.BACK_OFF, OnToken.KEEP, OnCredential.SILENT, OnConnection.KEEP),
        ("FromTheFuture", 403, Retry.AFTER_FIX, OnToken.KEEP, OnCredential.STOP, OnConnection.KEEP),
        ("", 418, Retry.AFTER_FIX, OnToken.KEEP, OnCredential.SILENT, OnConnection.KEEP),
    ],
)
def test_reasons(
    name: str, status: int, retry: Retry, token: OnToken, credential: OnCredential, connection: OnConnection
) -> None:
    """The table of section 5; what is not in it is judged by its status (ERR-5)."""
    row = Rejected("ab", "id", status, name).policy
    assert (row.name, row.retry, row.token) == (name, retry, token)
    assert (row.credential, row.connection) == (credential, connection)


def test_only_410_ever_removes_a_token() -> None:
    """403, 429 and 5xx never touch a token, and nothing but 410 removes one."""
    for row in REASONS.values():
        assert (row.token is OnToken.REMOVE) == (410 in row.statuses)
        if row.token is OnToken.QUARANTINE:
            assert row.statuses == (400,)


SECTION_5 = (
    "BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic DeviceTokenNotForTopic "
    "DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed "
    "BadCertificate BadCertificateEnvironment ExpiredProviderToken Forbidden InvalidProviderToken "
    "MissingProviderToken UnrelatedKeyIdInToken BadEnvironmentKeyIdInToken BadEnvironmentKeyInToken BadPath "
    "MethodNotAllowed ExpiredToken Unregistered PayloadTooLarge TooManyProviderTokenUpdates TooManyRequests "
    "InternalServerError ServiceUnavailable Service Unavailable Shutdown"
)
SECTION_6_4 = (
    "FeatureNotEnabled MissingChannelId BadChannelId ChannelNotRegistered BadRequestParams BadRequestPayload "
    "MissingPushType CannotCreateChannelConfig MissingChannelQueueSize TopicMismatch"
)


def test_the_table_covers_the_rules() -> None:
    """Every reason is found under its own name, with a meaning and a status."""
    assert " ".join(REASONS) == SECTION_5 + " " + SECTION_6_4
    for name, row in REASONS.items():
        assert Reason.lookup(row.statuses[0], name) is row
        assert row.meaning


@pytest.mark.parametrize(
    ("text", "host", "port", "authority"),
    [
        ("api.push.apple.com", "api.push.apple.com", 443, "api.push.apple.com"),
        ("localhost:2197", "localhost", 2197, "localhost:2197"),
        ("[::1]:2197", "::1", 2197, "[::1]:2197"),
        ("[::1]", "::1", 443, "[::1]"),
    ],
)
def test_endpoints(text: str, host: str, port: int, authority: str) -> None:
    """Host and port, with 443 left out of the authority."""
    endpoint = Endpoint.parse(text)
    assert (endpoint.host, endpoint.port, endpoint.authority) == (host, port, authority)


@pytest.mark.parametrize(
    "text", ["", ":443", "host:0", "host:65536", "host:x", "https://host", "host/path", "bücher.de:1", "a b"]
)
def test_bad_endpoints(text: str) -> None:
    """What is not host:port is refused by name."""
    with pytest.raises(ValueError, match="endpoint"):
        Endpoint.parse(text)


def test_apples_hosts() -> None:
    """CONN-1, on port 443."""
    assert Environment.PRODUCTION.endpoint == Endpoint("api.push.apple.com", 443)
    assert Environment.SANDBOX.endpoint == Endpoint("api.sandbox.push.apple.com", 443)


def job(deadline: float) -> Job:
    def ignore(outcome: Outcome) -> None:
        pass

    return Job("ab", "id", Template("t", "alert", 10), b"/", (), b"", deadline, ignore)


def test_deadlines_fire_in_time_whatever_their_order() -> None:
    """Each push that is not done expires at its own deadline, once."""
    clock = ManualClock()
    start = clock.monotonic()
    expired: list[tuple[float, float]] = []

    def expire(one: Job) -> None:
        one.state = DONE
        expired.append((one.deadline, clock.monotonic()))

    deadlines = Deadlines(clock, expire)
    jobs = [job(start + 30 + i / 10) for i in range(100)]
    own = [job(start + random.Random(7).uniform(1, 50)) for _ in range(50)]
    deadlines.extend(jobs)
    for one in own:
        deadlines.insert(one)
    for one in jobs[::2]:
        one.state = DONE
    clock.advance(100)
    assert len(expired) == 100
    assert all(0 <= at - due < 0.01 for due, at in expired)
    assert len(deadlines) == 0
    assert clock.pending == 0


def test_deadlines_forget_what_is_done() -> None:
    """One push that is never answered does not hold on to all that come after it (T5)."""
    clock = ManualClock()
    deadlines = Deadlines(clock, lambda one: None)
    deadlines.extend([job(clock.monotonic() + 30)])
    for _ in range(100):
        batch = [job(clock.monotonic() + 30) for _ in range(1000)]
        deadlines.extend(batch)
        for one in batch:
            one.state = DONE
    assert len(deadlines) < 10_000
