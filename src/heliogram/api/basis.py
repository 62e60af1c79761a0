"""Which fields and parameters Twilio's API documents (docs/reference/push-api.md); all others are Heliogram's own.

The OpenAPI document marks those of ours with `x-basis: ours`. What is not named here is ours as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping

PAGING = frozenset({"pageSize", "pageToken"})
_DATES = frozenset({"startDate", "endDate"})

FIELDS: Mapping[str, frozenset[str]] = {
    "SendRequest": frozenset({"to", "content", "from", "priority", "sound"}),
    "RecipientIn": frozenset({"token", "provider", "userId", "variables"}),
    "RecipientOut": frozenset({"token", "provider", "userId"}),
    "Content": frozenset({"title", "body"}),
    "SenderIn": frozenset({"appName", "apn", "fcm"}),
    "SenderOut": frozenset({"apn", "fcm"}),
    "NotificationOut": frozenset(
        {"id", "to", "from", "status", "priority", "sound", "content", "createdAt", "updatedAt", "tags"}
    ),
    "NotificationPage": frozenset({"pagination"}),
    "OperationAccepted": frozenset({"operationId", "operationLocation"}),
    "ResourceAccepted": frozenset({"resourceId", "resourceLocation"}),
    "OperationOut": frozenset({"id", "status", "stats", "createdAt", "updatedAt"}),
    "OperationPage": frozenset({"operations", "pagination"}),
    "Stats": frozenset({"total", "recipients", "unaddressable", "scheduled", "queued", "sent", "failed", "canceled"}),
    "AppOut": frozenset({"name", "isDefault", "defaultCredentials", "createdAt", "updatedAt"}),
    "AppPage": frozenset({"pagination"}),
    "CreateCredential": frozenset({"credentialType", "content", "appName", "isDefault"}),
    "CredentialContent": frozenset({"certificate", "privateKey"}),
    "CredentialOut": frozenset({"id", "credentialType", "isDefault", "appName", "createdAt", "updatedAt"}),
    "CredentialPage": frozenset({"pagination"}),
    "DefaultFlag": frozenset({"isDefault"}),
    "RegisterDevice": frozenset({"appName", "token", "provider", "userId"}),
    "DeviceOut": frozenset({"token", "provider"}),
    "RegistrationOut": frozenset({"id", "appName", "userId", "devices", "related"}),
    "RegistrationPage": frozenset({"deviceRegistrations", "pagination"}),
    "Related": frozenset({"name", "id", "uri"}),
    "UserOut": frozenset({"id", "createdAt", "updatedAt", "deletedAt"}),
    "UserPage": frozenset({"pagination"}),
    "Pagination": frozenset({"next", "self"}),
}
"""The documented fields of each schema that has any."""

PARAMETERS: Mapping[str, frozenset[str]] = {
    "listPushNotifications": PAGING | _DATES | {"operationId", "status", "tags", "user", "provider"},
    "listOperations": PAGING | _DATES | {"status"},
    "listApps": PAGING | _DATES | {"isDefault"},
    "listCredentials": PAGING | _DATES | {"appName", "credentialType", "isDefault"},
    "listDeviceRegistrations": PAGING | {"userId", "appName"},
    "listUsers": PAGING,
}
"""The documented query parameters of each list."""
