"""What a field may say."""

from __future__ import annotations

from .structs import Open


class ActivityEvent(Open):
    """What a push does to a Live Activity."""

    END = "end"
    START = "start"
    UPDATE = "update"


class CredentialType(Open):
    """The sandbox is a property of the credential."""

    APN = "APN"
    APN_SANDBOX = "APN_SANDBOX"
    FCM = "FCM"


class DeviceEvent(Open):
    """What may happen to a device."""

    DELETED = "DELETED"
    DISPLACED = "DISPLACED"
    ENVIRONMENT_LEARNED = "ENVIRONMENT_LEARNED"
    MOVED_AWAY = "MOVED_AWAY"
    MOVED_HERE = "MOVED_HERE"
    QUARANTINED = "QUARANTINED"
    REFUSED = "REFUSED"
    REGISTERED = "REGISTERED"
    REMOVED = "REMOVED"
    REVIVED = "REVIVED"
    TOKEN_CHANGED = "TOKEN_CHANGED"  # noqa: S105 - a name, no secret


class DeviceState(Open):
    """A quarantined token is kept, with the reason, and never sent to until it is registered anew."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"


class Environment(Open):
    """Which of Apple's two worlds a device token lives in (LIFE-4)."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"


class InterruptionLevel(Open):
    """How much a notification may disturb."""

    ACTIVE = "active"
    CRITICAL = "critical"
    PASSIVE = "passive"
    TIME_SENSITIVE = "time-sensitive"


class NotificationStatus(Open):
    """Where one notification stands."""

    CANCELED = "CANCELED"
    FAILED = "FAILED"
    QUEUED = "QUEUED"
    SCHEDULED = "SCHEDULED"
    SENT = "SENT"


class OperationStatus(Open):
    """Where an operation stands."""

    CANCELED = "CANCELED"
    COMPLETED = "COMPLETED"
    PROCESSING = "PROCESSING"
    SCHEDULED = "SCHEDULED"


class Priority(Open):
    """HIGH is delivered at once, LOW when it suits the device's battery."""

    HIGH = "HIGH"
    LOW = "LOW"


class Provider(Open):
    """Who carries a notification to the device."""

    APN = "APN"
    FCM = "FCM"


class PushType(Open):
    """What a push is for: the value of `apns-push-type`."""

    ALERT = "alert"
    BACKGROUND = "background"
    COMPLICATION = "complication"
    CONTROLS = "controls"
    FILEPROVIDER = "fileprovider"
    LIVEACTIVITY = "liveactivity"
    LOCATION = "location"
    MDM = "mdm"
    PUSHTOTALK = "pushtotalk"
    VOIP = "voip"
    WIDGETS = "widgets"


class Scope(Open):
    """What an API key may do."""

    ADMIN = "admin"
    CREDENTIALS = "credentials"
    READ = "read"
    REGISTER = "register"
    SEND = "send"
    USERS = "users"


class StoragePolicy(Open):
    """What APNs keeps for devices that are away. Fixed when the channel is made (BC-3)."""

    MOST_RECENT_MESSAGE_STORED = "MOST_RECENT_MESSAGE_STORED"
    NO_MESSAGE_STORED = "NO_MESSAGE_STORED"


class TokenKind(Open):
    """Each kind has tokens of its own (LIFE-3); a push goes to the kind that its push type is for."""

    ALERT = "alert"
    COMPLICATION = "complication"
    CONTROLS = "controls"
    FILE_PROVIDER = "fileProvider"
    LIVE_ACTIVITY_START = "liveActivityStart"
    LIVE_ACTIVITY_UPDATE = "liveActivityUpdate"
    LOCATION = "location"
    PUSH_TO_TALK = "pushToTalk"
    VOIP = "voip"
    WIDGETS = "widgets"


class WebhookState(Open):
    """Whether a webhook is told anything."""

    ACTIVE = "active"
    DISABLED = "disabled"
    PAUSED = "paused"


class Outcome(Open):
    """What became of the last attempt at one device. ACCEPTED: the provider took it, which is not delivery."""

    ACCEPTED = "ACCEPTED"
    CANCELED = "CANCELED"
    NOT_SENT = "NOT_SENT"
    REJECTED = "REJECTED"
    UNADDRESSABLE = "UNADDRESSABLE"
    UNKNOWN = "UNKNOWN"


class KeyScope(Open):
    """What a signing key may send for: every topic of its team, or those that were named."""

    TEAM = "team"
    TOPIC = "topic"


class Lane(Open):
    """`tx`: sends to at most 100 recipients. `bulk`: all larger ones."""

    TX = "tx"
    BULK = "bulk"


class SeenAs(Open):
    """How an attempt ended for good. `sent`: the provider accepted it, which is not delivery."""

    SENT = "sent"
    FAILED = "failed"
    UNADDRESSABLE = "unaddressable"
