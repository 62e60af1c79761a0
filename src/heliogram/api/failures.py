"""Why a notification failed and what to do about it, for `GET /PushNotifications/Operations/{operationId}/Errors`.

The reasons are APNs' own words (docs/reference/apns-rules.md, section 5); the cures are for whoever calls this API.
"""

from __future__ import annotations

from typing import NamedTuple

from ..domain.apps import ProviderName
from ..domain.errors import Code
from ..domain.notifications import DeliveryRecord, Notification, Outcome
from ..domain.render import RENDER_FAILED, TOO_LARGE

_CURES = {
    "BadDeviceToken": "The token is malformed or of the other environment. It gets nothing until the app registers it"
    " anew; register it with its `environment`.",
    "DeviceTokenNotForTopic": "The token is of another app than the credential's bundle id. It gets nothing until the"
    " app registers it anew under the right app.",
    "Unregistered": "The token is no longer active for the app and was taken out; it returns when the app registers.",
    "ExpiredToken": "The token has expired and was taken out; it comes back when the app registers.",
    "TopicDisallowed": "The credential may not send for this bundle id: check the key's topics and the bundle id.",
    "InvalidProviderToken": "Check the key id, the team id and whether the key was revoked; upload the key anew.",
    "ExpiredProviderToken": "The provider token was too old for APNs: check the clock of the server.",
    "PayloadTooLarge": "The content with this recipient's variables is over the limit: shorten it.",
    "InvalidPushType": "The push type does not go with the topic: check `pushType` and the credential's bundle id.",
    "BadTopic": "The topic is no bundle id: check the credential's, or `apn.headers`.",
    "ChannelNotRegistered": "The channel is gone, or lives in the other environment: list the app's channels.",
    "BadExpirationDate": "The channel stores no message: broadcast to it without ttl and expiresAt.",
    "FeatureNotEnabled": "Switch the Broadcast capability on for the app in Apple's developer portal.",
    "TopicMismatch": "The credential does not cover the app's bundle id: check its topics.",
    "BadCollapseId": "The collapse id has more than 64 bytes.",
    "TooManyRequests": "Too many pushes to this device: send it fewer.",
}
RULES = {
    "BadDeviceToken": "LIFE-4",
    "BadEnvironmentKeyIdInToken": "TOK-17",
    "BadEnvironmentKeyInToken": "TOK-17",
    "BadExpirationDate": "REQ-2",
    "DeviceTokenNotForTopic": "LIFE-3",
    "ExpiredProviderToken": "TOK-8",
    "ExpiredToken": "ERR-2",
    "FeatureNotEnabled": "BC-1",
    "InternalServerError": "ERR-3",
    "InvalidProviderToken": "TOK-19",
    "InvalidPushType": "REQ-5",
    "MissingProviderToken": "TOK-21",
    "ServiceUnavailable": "ERR-3",
    "Shutdown": "ERR-3",
    "TooManyProviderTokenUpdates": "TOK-9",
    "TooManyRequests": "LIFE-13",
    "TopicDisallowed": "TOK-14",
    "UnrelatedKeyIdInToken": "TOK-16",
    "Unregistered": "ERR-1",
}
"""By APNs' word: the rule in docs/reference/apns-rules.md that tells most about it."""
_SIZE_CURE = "Nothing was sent: shorten the content, or this recipient's variables, and send again."
_RENDER_CURE = (
    "Nothing was sent: mend the template or this recipient's variables, try with validateOnly, and send again."
)
_EXPIRED_CURE = "Nothing was sent: give it a longer ttl or a later expiresAt, and send again."
_CREDENTIAL_CURE = "Nothing was sent: upload a credential for this environment, or name one in `from`, and send again."
_REVOKED_CURE = "Nothing was sent: its credential was revoked. Upload a new one, and send again."
_CERTIFICATE_CURE = "Nothing was sent: renew the certificate in Apple's portal, rotate the credential, and send again."
_MASTER_KEY_CURE = (
    "Nothing was sent: the server has not the master key that the credential was sealed with; see its log."
)
_REFUSED_CURE = (
    "Nothing was sent: APNs refused this device token before. It gets pushes again once the app registers it; one"
    " that was never registered is tried again after a day."
)
_UNREACHABLE_CURE = "Nothing was sent: APNs could not be reached for as long as it might be tried. Send it again."
_PREFIXES = {
    TOO_LARGE: (Code.NOT_SENT, _SIZE_CURE),
    RENDER_FAILED: (Code.TEMPLATE_FAILED, _RENDER_CURE),
    "Expired": (Code.NOT_SENT, _EXPIRED_CURE),
    "CredentialRevoked": (Code.NOT_SENT, _REVOKED_CURE),
    "NoCredential": (Code.NOT_SENT, _CREDENTIAL_CURE),
    "CertificateExpired": (Code.NOT_SENT, _CERTIFICATE_CURE),
    "CredentialNotOpened": (Code.NOT_SENT, _MASTER_KEY_CURE),
    "RefusedBefore": (Code.NOT_SENT, _REFUSED_CURE),
    "Unreachable": (Code.NOT_SENT, _UNREACHABLE_CURE),
    "the app ": (Code.NOT_SENT, _CREDENTIAL_CURE),
}
"""By how the reason of a push begins that was not even tried: its code and cure. `delivery` makes the reasons."""

_BY_STATUS = {
    403: "APNs refused the credential: check it and its environment.",
    410: "The token is dead and was taken out; it comes back when the app registers.",
    413: _CURES["PayloadTooLarge"],
    429: "Too many pushes to this device: send it fewer.",
}

_CURE_OF_CODE = {
    Code.NO_DEVICE: "The user has no usable device in the sending app: let the app register its token. If it did, the"
    " sending app lacks a credential for the token's environment, or the push is for another kind of token.",
    Code.PROVIDER_NOT_SUPPORTED: "Nothing can be sent to this provider yet.",
    Code.NOT_SENT: "It never reached the provider; sending again is safe once the reason is gone.",
    Code.OUTCOME_UNKNOWN: "It may have reached the device: sending again may show it twice.",
    Code.REFUSED_BY_PROVIDER: "The request was refused as it was: the reason says what to change.",
}

_SERVER_TROUBLE = "The provider had trouble until the notification expired: send it again later."


class Failure(NamedTuple):
    """The code of a failure, the provider's word (or the cause of no answer), and what to do."""

    code: Code
    reason: str
    cure: str

    @property
    def rule(self) -> str | None:
        """Where apns-rules.md tells more, if it does."""
        return RULES.get(self.reason)

    @classmethod
    def of(cls, code: Code, reason: str) -> Failure:
        """The failure of a push that was not tried."""
        for prefix, (known, cure) in _PREFIXES.items():
            if reason.startswith(prefix):
                return cls(known, reason, cure)
        return cls(code, reason, _CURES.get(reason, _CURE_OF_CODE[code]))


def failure_of(notification: Notification) -> Failure:
    """Why a failed notification failed, told by the last device that was tried."""
    tried = [record for record in notification.deliveries if record.outcome is not Outcome.UNADDRESSABLE]
    if not tried:
        return Failure(Code.NO_DEVICE, "Unaddressable", _CURE_OF_CODE[Code.NO_DEVICE])
    record = max(tried, key=lambda each: each.at)
    code, reason = _code(record), record.reason or record.outcome.name
    if code is Code.OUTCOME_UNKNOWN:  # whatever its reason begins with: it may have been sent
        return Failure(code, reason, _CURE_OF_CODE[code])
    if code is not Code.REFUSED_BY_PROVIDER:
        return Failure.of(code, reason)
    by_status = _BY_STATUS.get(record.status, _SERVER_TROUBLE if record.status >= 500 else _CURE_OF_CODE[code])
    return Failure(code, reason, _CURES.get(record.reason, by_status))


def _code(record: DeliveryRecord) -> Code:
    if record.outcome is Outcome.REJECTED:
        return Code.REFUSED_BY_PROVIDER
    if record.outcome is Outcome.UNKNOWN:
        return Code.OUTCOME_UNKNOWN
    return Code.NOT_SENT if record.provider is ProviderName.APN else Code.PROVIDER_NOT_SUPPORTED
