"""Why notifications failed that were not even tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heliogram.api.failures import RULES, Failure
from heliogram.domain.errors import Code


@pytest.mark.parametrize(
    ("reason", "code", "word"),
    [
        ("PayloadTooLarge: 5000 bytes after rendering, the limit is 4096", Code.NOT_SENT, "shorten the content"),
        ("RenderFailed: divided_by: can't divide by 0", Code.TEMPLATE_FAILED, "mend the template"),
        ("Expired: its time was over before it could be sent", Code.NOT_SENT, "ttl"),
        ("CredentialRevoked", Code.NOT_SENT, "revoked"),
        ("NoCredential", Code.NOT_SENT, "upload a credential"),
        ("the app 'shop' has no APNs credential for this token's environment", Code.NOT_SENT, "upload a credential"),
        ("connection refused", Code.NOT_SENT, "once the reason is gone"),
    ],
)
def test_a_push_that_was_not_tried_has_its_cure(reason: str, code: Code, word: str) -> None:
    """Each cause that is known by its reason, and a word for the others."""
    failure = Failure.of(Code.NOT_SENT, reason)
    assert (failure.code, failure.reason) == (code, reason)
    assert word in failure.cure


def test_every_rule_that_is_named_stands_in_the_rule_book() -> None:
    """Whoever looks it up finds it, and for a reason that APNs is known to give."""
    book = (Path(__file__).parents[2] / "docs/reference/apns-rules.md").read_text()
    rules = {*re.findall(r"^- ([A-Z]+-[0-9]+):", book, re.MULTILINE)}
    assert {*RULES.values()} <= rules
    assert all(f"`{reason}`" in book for reason in RULES)
    assert Failure.of(Code.NOT_SENT, "BadDeviceToken").rule == "LIFE-4"
