"""What each kind of violation is against, and the sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliogram.wire.server_sender import Note

BROKEN: dict[str, tuple[str, str]] = {
    "BadCollapseId": ("4.1", "apns-collapse-id is longer than 64 bytes; shorten it"),
    "BadEnvironmentKeyIdInToken": ("TOK-17", "the key is for the other environment; use one for this host"),
    "BadEnvironmentKeyInToken": ("TOK-17", "the key is for the other environment; use one for this host"),
    "BadExpirationDate": ("REQ-2", "apns-expiration is no whole number of seconds since 1970; send one, or 0"),
    "BadMessageId": ("REQ-1", "apns-id is no UUID in the form 8-4-4-4-12; send one, or leave it out"),
    "BadPath": ("CONN-1", "the path is not /3/device/<token>"),
    "BadPriority": ("TYPE-2", "apns-priority is not one that the push type takes: 10, 5 or 1, 5 for background"),
    "BadTopic": ("4.1", "apns-topic is no topic: letters, digits, hyphens and dots"),
    "DuplicateHeaders": ("REQ-4", "a header field comes twice; send each once"),
    "ExpiredProviderToken": ("TOK-8", "the provider token is more than an hour old; make a new one every 20 to 60 min"),
    "InvalidProviderToken": ("TOK-19", "the provider token is not one of a key that is known here, or is badly signed"),
    "InvalidPushType": ("REQ-5", "apns-push-type is unknown, or does not go with the suffix of the topic"),
    "MethodNotAllowed": ("4.1", "the method is not POST"),
    "MissingDeviceToken": ("4.1", "there is no device token in the path"),
    "MissingProviderToken": ("TOK-21", "neither certificate nor authorization: bearer <token>; send one"),
    "MissingTopic": ("4.1", "apns-topic is missing; name the app's bundle id"),
    "PayloadEmpty": ("SIZE-2", "the push has no payload"),
    "PayloadTooLarge": ("SIZE-1", "the payload is above 4096 bytes, 5120 for VoIP; cut it before sending"),
    "TooManyProviderTokenUpdates": ("TOK-9", "provider tokens change too often; keep one for 20 to 60 minutes"),
    "UnrelatedKeyIdInToken": ("TOK-16", "the key is not related to the connection's first one; open a new connection"),
}
"""Reason to rule and sentence, for what a client does wrong by itself."""

NEVER_AGAIN = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "ExpiredToken", "Unregistered"})
"""Reasons after which the same token is not to be pushed to again (section 5)."""

_KNOWN = frozenset(
    {b"apns-collapse-id", b"apns-expiration", b"apns-id", b"apns-priority", b"apns-push-type", b"apns-topic"}
)


def fields_at_fault(fields: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
    """Header fields that APNs does not know or that say what it does not take."""
    for name in fields:
        if name.startswith(b"apns-") and name not in _KNOWN:
            yield "4.1", f"{name[:100].decode('utf-8', 'replace')} is no header of a push; it has no effect"
    coding = fields.get(b"content-encoding", b"identity")
    if coding != b"identity":
        yield "CONN-32", f"content-encoding is {coding[:50].decode('utf-8', 'replace')}; send the payload uncompressed"


def of_the_wire(note: Note) -> tuple[str, str]:
    """Rule and sentence for what the HTTP/2 session has noticed."""
    if note.kind == "stream-limit":
        return "CONN-13", f"a stream above the limit of {note.detail} was refused; watch MAX_CONCURRENT_STREAMS"
    if note.kind == "too-long":
        return "CONN-13", f"the header fields are above the MAX_HEADER_LIST_SIZE of {note.detail}"
    if note.kind == "after-goaway":
        return "CONN-22", "a new stream on a connection that has said GOAWAY; open another connection"
    if note.kind == "priority":
        return "CONN-16", "a PRIORITY frame; APNs ignores them, do not send any"
    if "character it may not have" in note.detail:
        return "CONN-32", "a name of a header field is not in lower case, or has a forbidden character: malformed"
    return "RFC 9113 §8.1.1", f"a malformed request was reset: {note.detail}"
