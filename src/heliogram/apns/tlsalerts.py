"""TLS alerts by which a server says that it does not take our certificate (CERT-10)."""

from __future__ import annotations

import ssl

_ABOUT_OUR_CERTIFICATE = frozenset(
    (
        "access denied",
        "bad certificate",
        "certificate expired",
        "certificate required",
        "certificate revoked",
        "certificate unknown",
        "unknown ca",
        "unsupported certificate",
    )
)


def certificate_alert(error: BaseException | None) -> str | None:
    """The alert in words, when that is what ended the connection; None for any other error.

    Such an alert ends the handshake at the server (RFC 8446, 4.4.2.4 and 6.2; RFC 5246, 7.2.2), so
    nothing that was written has been processed. With TLS 1.3 the client learns of it after the
    handshake is over for itself.
    """
    if not isinstance(error, ssl.SSLError):
        return None
    # `reason` is OpenSSL's name of the error, like SSLV3_ALERT_CERTIFICATE_REVOKED or TLSV1_ALERT_UNKNOWN_CA.
    _, marker, name = (error.reason or "").partition("ALERT_")
    words = name.lower().replace("_", " ")
    if not marker or words not in _ABOUT_OUR_CERTIFICATE:
        return None
    return f"TLS alert of the server: {words}"
