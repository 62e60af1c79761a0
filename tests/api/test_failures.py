"""Why notifications failed that were not even tried."""

from __future__ import annotations

import pytest

from heliogram.api.failures import Failure
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
