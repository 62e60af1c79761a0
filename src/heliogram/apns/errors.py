"""What may be raised: wrong configuration and wrong input, never the fate of a push (that is an outcome)."""

from __future__ import annotations

from typing import ClassVar


class ApnsError(Exception):
    """The base of every error of the engine. `code` is stable and safe to show."""

    code: ClassVar[str] = "apns_error"


class InvalidDeviceToken(ApnsError, ValueError):
    """A device token that is not an even number of hex digits between 16 and 400 (REQ-7)."""

    code = "invalid_device_token"


class InvalidNotification(ApnsError, ValueError):
    """A notification APNs would refuse. `field` is what is wrong, `fix` is what to do about it."""

    code = "invalid_notification"

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix


class PayloadTooLarge(InvalidNotification):
    """The encoded payload has more bytes than its push type may have (SIZE-1)."""

    code = "payload_too_large"

    def __init__(self, limit: int, actual: int) -> None:
        super().__init__(
            "payload", f"{actual} bytes, the limit is {limit}", "shorten the text or move data to your own server"
        )
        self.limit = limit
        self.actual = actual


class InvalidSigningKey(ApnsError, ValueError):
    """A `.p8` key, key id or team id that cannot sign provider tokens (TOK-2, TOK-7)."""

    code = "invalid_signing_key"


class InvalidCertificate(ApnsError, ValueError):
    """A certificate or its private key that cannot be used with APNs (CERT-1 to CERT-5)."""

    code = "invalid_certificate"


class InvalidCafile(ApnsError, ValueError):
    """A `cafile` that cannot be read or holds no certificate."""

    code = "invalid_cafile"


class InvalidChannelRequest(ApnsError, ValueError):
    """A bundle id, channel id, storage policy or request id APNs would refuse: `field`, and `fix`."""

    code = "invalid_channel_request"

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix
