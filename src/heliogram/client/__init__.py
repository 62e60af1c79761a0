"""The typed client of Heliogram's REST API, sync and async. It needs msgspec and httpx2, and nothing else.

    from heliogram.client import Heliogram, Recipient

    with Heliogram("http://127.0.0.1:8080", "keyId.secret") as heliogram:
        heliogram.notifications.send(Recipient.for_external_id("user-42"), "Hello", app="shop")

Names are imported when they are used, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clients import AsyncHeliogram as AsyncHeliogram
    from .clients import Heliogram as Heliogram
    from .content import ApnHeaders as ApnHeaders
    from .content import ApnOverride as ApnOverride
    from .content import BroadcastRequest as BroadcastRequest
    from .content import Content as Content
    from .content import LiveActivity as LiveActivity
    from .content import Recipient as Recipient
    from .content import Schedule as Schedule
    from .content import Sender as Sender
    from .content import SendRequest as SendRequest
    from .content import Sound as Sound
    from .enums import ActivityEvent as ActivityEvent
    from .enums import CredentialType as CredentialType
    from .enums import DeviceEvent as DeviceEvent
    from .enums import DeviceState as DeviceState
    from .enums import Environment as Environment
    from .enums import InterruptionLevel as InterruptionLevel
    from .enums import KeyScope as KeyScope
    from .enums import Lane as Lane
    from .enums import NotificationStatus as NotificationStatus
    from .enums import OperationStatus as OperationStatus
    from .enums import Outcome as Outcome
    from .enums import Priority as Priority
    from .enums import Provider as Provider
    from .enums import PushType as PushType
    from .enums import Scope as Scope
    from .enums import SeenAs as SeenAs
    from .enums import StoragePolicy as StoragePolicy
    from .enums import TokenKind as TokenKind
    from .enums import WebhookState as WebhookState
    from .errors import FieldError as FieldError
    from .errors import HeliogramError as HeliogramError
    from .errors import OperationTimeout as OperationTimeout
    from .errors import Problem as Problem
    from .errors import Unreachable as Unreachable
    from .history import DeviceHistory as DeviceHistory
    from .history import DeviceHistoryPage as DeviceHistoryPage
    from .holdings import App as App
    from .holdings import AppCounts as AppCounts
    from .holdings import AppPage as AppPage
    from .holdings import Channel as Channel
    from .holdings import ChannelItem as ChannelItem
    from .holdings import ChannelPage as ChannelPage
    from .holdings import CreateChannel as CreateChannel
    from .holdings import CreateCredential as CreateCredential
    from .holdings import CreateRegistrationToken as CreateRegistrationToken
    from .holdings import Credential as Credential
    from .holdings import CredentialCheck as CredentialCheck
    from .holdings import CredentialContent as CredentialContent
    from .holdings import CredentialPage as CredentialPage
    from .holdings import DefaultCredential as DefaultCredential
    from .holdings import DefaultFlag as DefaultFlag
    from .holdings import Device as Device
    from .holdings import Failing as Failing
    from .holdings import LastAnswer as LastAnswer
    from .holdings import LastCheck as LastCheck
    from .holdings import RegisterDevice as RegisterDevice
    from .holdings import Registration as Registration
    from .holdings import RegistrationPage as RegistrationPage
    from .holdings import RegistrationToken as RegistrationToken
    from .holdings import Related as Related
    from .holdings import RotateCredential as RotateCredential
    from .holdings import UpdateUser as UpdateUser
    from .holdings import User as User
    from .holdings import UserPage as UserPage
    from .outcomes import Addressee as Addressee
    from .outcomes import Cause as Cause
    from .outcomes import Delivery as Delivery
    from .outcomes import Failure as Failure
    from .outcomes import FailurePage as FailurePage
    from .outcomes import Notification as Notification
    from .outcomes import NotificationPage as NotificationPage
    from .outcomes import Operation as Operation
    from .outcomes import OperationAccepted as OperationAccepted
    from .outcomes import OperationPage as OperationPage
    from .outcomes import Pagination as Pagination
    from .outcomes import Payload as Payload
    from .outcomes import PayloadSizes as PayloadSizes
    from .outcomes import ResourceAccepted as ResourceAccepted
    from .outcomes import Sample as Sample
    from .outcomes import SenderUsed as SenderUsed
    from .outcomes import Stats as Stats
    from .outcomes import Trial as Trial
    from .outcomes import TrialProblem as TrialProblem
    from .upkeep import Account as Account
    from .upkeep import Activity as Activity
    from .upkeep import ApiKey as ApiKey
    from .upkeep import ApiKeyMade as ApiKeyMade
    from .upkeep import ApiKeyPage as ApiKeyPage
    from .upkeep import AuditEvent as AuditEvent
    from .upkeep import AuditPage as AuditPage
    from .upkeep import Backlog as Backlog
    from .upkeep import Counts as Counts
    from .upkeep import CreateApiKey as CreateApiKey
    from .upkeep import CreateWebhook as CreateWebhook
    from .upkeep import DeadLetter as DeadLetter
    from .upkeep import DeadLetterPage as DeadLetterPage
    from .upkeep import Health as Health
    from .upkeep import LaneLoad as LaneLoad
    from .upkeep import Limits as Limits
    from .upkeep import Reason as Reason
    from .upkeep import Redeliver as Redeliver
    from .upkeep import Redelivered as Redelivered
    from .upkeep import RotateApiKey as RotateApiKey
    from .upkeep import Second as Second
    from .upkeep import SecretRotated as SecretRotated
    from .upkeep import SeenOutcome as SeenOutcome
    from .upkeep import SeenOutcomes as SeenOutcomes
    from .upkeep import UpdateWebhook as UpdateWebhook
    from .upkeep import Webhook as Webhook
    from .upkeep import WebhookError as WebhookError
    from .upkeep import WebhookMade as WebhookMade
    from .upkeep import WebhookPage as WebhookPage
    from .upkeep import WebhookTested as WebhookTested

_PLACES = {
    "Account": "upkeep",
    "Activity": "upkeep",
    "ActivityEvent": "enums",
    "Addressee": "outcomes",
    "ApiKey": "upkeep",
    "ApiKeyMade": "upkeep",
    "ApiKeyPage": "upkeep",
    "ApnHeaders": "content",
    "ApnOverride": "content",
    "App": "holdings",
    "AppCounts": "holdings",
    "AppPage": "holdings",
    "AsyncHeliogram": "clients",
    "AuditEvent": "upkeep",
    "AuditPage": "upkeep",
    "Backlog": "upkeep",
    "BroadcastRequest": "content",
    "Cause": "outcomes",
    "Channel": "holdings",
    "ChannelItem": "holdings",
    "ChannelPage": "holdings",
    "Content": "content",
    "Counts": "upkeep",
    "CreateApiKey": "upkeep",
    "CreateChannel": "holdings",
    "CreateCredential": "holdings",
    "CreateRegistrationToken": "holdings",
    "CreateWebhook": "upkeep",
    "Credential": "holdings",
    "CredentialCheck": "holdings",
    "CredentialContent": "holdings",
    "CredentialPage": "holdings",
    "CredentialType": "enums",
    "DeadLetter": "upkeep",
    "DeadLetterPage": "upkeep",
    "DefaultCredential": "holdings",
    "DefaultFlag": "holdings",
    "Delivery": "outcomes",
    "Device": "holdings",
    "DeviceEvent": "enums",
    "DeviceHistory": "history",
    "DeviceHistoryPage": "history",
    "DeviceState": "enums",
    "Environment": "enums",
    "Failing": "holdings",
    "Failure": "outcomes",
    "FailurePage": "outcomes",
    "FieldError": "errors",
    "Health": "upkeep",
    "Heliogram": "clients",
    "HeliogramError": "errors",
    "InterruptionLevel": "enums",
    "KeyScope": "enums",
    "Lane": "enums",
    "LaneLoad": "upkeep",
    "Limits": "upkeep",
    "LastAnswer": "holdings",
    "LastCheck": "holdings",
    "LiveActivity": "content",
    "Notification": "outcomes",
    "NotificationPage": "outcomes",
    "NotificationStatus": "enums",
    "Operation": "outcomes",
    "OperationAccepted": "outcomes",
    "OperationPage": "outcomes",
    "OperationStatus": "enums",
    "OperationTimeout": "errors",
    "Outcome": "enums",
    "Pagination": "outcomes",
    "Payload": "outcomes",
    "PayloadSizes": "outcomes",
    "Priority": "enums",
    "Problem": "errors",
    "Provider": "enums",
    "PushType": "enums",
    "Reason": "upkeep",
    "Recipient": "content",
    "Redeliver": "upkeep",
    "Redelivered": "upkeep",
    "RegisterDevice": "holdings",
    "Registration": "holdings",
    "RegistrationPage": "holdings",
    "RegistrationToken": "holdings",
    "Related": "holdings",
    "ResourceAccepted": "outcomes",
    "RotateApiKey": "upkeep",
    "RotateCredential": "holdings",
    "Sample": "outcomes",
    "Schedule": "content",
    "Scope": "enums",
    "Second": "upkeep",
    "SecretRotated": "upkeep",
    "SeenAs": "enums",
    "SeenOutcome": "upkeep",
    "SeenOutcomes": "upkeep",
    "SendRequest": "content",
    "Sender": "content",
    "SenderUsed": "outcomes",
    "Sound": "content",
    "Stats": "outcomes",
    "StoragePolicy": "enums",
    "TokenKind": "enums",
    "Trial": "outcomes",
    "TrialProblem": "outcomes",
    "Unreachable": "errors",
    "UpdateUser": "holdings",
    "UpdateWebhook": "upkeep",
    "User": "holdings",
    "UserPage": "holdings",
    "Webhook": "upkeep",
    "WebhookError": "upkeep",
    "WebhookMade": "upkeep",
    "WebhookPage": "upkeep",
    "WebhookState": "enums",
    "WebhookTested": "upkeep",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
