"""Why a notification failed and what to do about it, for `GET /PushNotifications/Operations/{operationId}/Errors`.

The reasons are APNs' own words (docs/reference/apns-rules.md, section 5); the cures are for whoever calls this API.
"""

from __future__ import annotations

from typing import NamedTuple

from ..domain.apps import ProviderName
from ..domain.errors import Code
from ..domain.notifications import DeliveryRecord, Notification, Outcome

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
}

_BY_STATUS = {
    403: "APNs refused the credential: check it and its environment.",
    410: "The token is dead and was taken out; it comes back when the app registers.",
    413: _CURES["PayloadTooLarge"],
    429: "Too many pushes to this device: send it fewer.",
}

_CURE_OF_CODE = {
    Code.NO_DEVICE: "The user has no usable device in the sending app: let the app register its token.",
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


def failure_of(notification: Notification) -> Failure:
    """Why a failed notification failed, told by the last device that was tried."""
    tried = [record for record in notification.deliveries if record.outcome is not Outcome.UNADDRESSABLE]
    if not tried:
        return Failure(Code.NO_DEVICE, "Unaddressable", _CURE_OF_CODE[Code.NO_DEVICE])
    record = max(tried, key=lambda each: each.at)
    code = _code(record)
    return Failure(code, record.reason or record.outcome.name, _cure(record, code))


def _code(record: DeliveryRecord) -> Code:
    if record.outcome is Outcome.REJECTED:
        return Code.REFUSED_BY_PROVIDER
    if record.outcome is Outcome.UNKNOWN:
        return Code.OUTCOME_UNKNOWN
    return Code.NOT_SENT if record.provider is ProviderName.APN else Code.PROVIDER_NOT_SUPPORTED


def _cure(record: DeliveryRecord, code: Code) -> str:
    if code is not Code.REFUSED_BY_PROVIDER:
        return _CURE_OF_CODE[code]
    by_status = _BY_STATUS.get(record.status, _SERVER_TROUBLE if record.status >= 500 else _CURE_OF_CODE[code])
    return _CURES.get(record.reason, by_status)
