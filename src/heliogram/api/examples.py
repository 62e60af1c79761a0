"""Bodies that the OpenAPI document shows as examples: each is one that the API takes."""

from __future__ import annotations

from typing import Any

_TOKEN = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # noqa: S105 - a device's, of none

SEND: list[dict[str, Any]] = [
    {
        "to": [{"externalId": "user-42", "variables": {"name": "Ann", "count": 3}}],
        "from": {"appName": "shop"},
        "content": {
            "title": "Hi {{ name | default: 'there' }}",
            "body": "You have {{ count }} new messages.",
            "badge": 3,
            "sound": "default",
            "threadId": "inbox",
            "data": {"url": "shop://inbox"},
        },
        "ttl": 3600,
        "tags": {"campaign": "spring"},
    },
    {"to": [{"token": _TOKEN, "provider": "APN"}], "content": {"body": "Your order is on its way"}},
    {"to": [{"externalId": "user-42"}], "content": {"pushType": "background", "data": {"sync": True}}},
]
BROADCAST: list[dict[str, Any]] = [
    {"content": {"liveActivity": {"event": "update", "contentState": {"home": 1, "away": 0}}}, "ttl": 3600}
]
REGISTER_DEVICE: list[dict[str, Any]] = [
    {
        "appName": "shop",
        "provider": "APN",
        "token": _TOKEN,
        "externalId": "user-42",
        "environment": "production",
        "installationId": "5F0E3B8C-1D9A-4C57-8E2B-7A6F90D1C3B4",
        "appVersion": "2.4.1 (118)",
        "locale": "en-GB",
        "timeZone": "Europe/London",
    },
    {"appName": "shop", "provider": "APN", "token": _TOKEN, "externalId": "user-42", "kind": "liveActivityStart"},
]
CREATE_CREDENTIAL: list[dict[str, Any]] = [
    {
        "credentialType": "APN",
        "appName": "shop",
        "content": {
            "signingKey": "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1J…",
            "keyId": "ABC123DEFG",
            "teamId": "DEF123GHIJ",
            "bundleId": "com.example.app",
        },
    },
    {"credentialType": "APN_SANDBOX", "appName": "shop", "content": {"pkcs12": "MIIM…", "password": "…"}},
]
UPDATE_USER: list[dict[str, Any]] = [{"externalId": "user-42"}, {"externalId": None}]
CREATE_CHANNEL: list[dict[str, Any]] = [{"storagePolicy": "MOST_RECENT_MESSAGE_STORED", "environment": "production"}]
CREATE_WEBHOOK: list[dict[str, Any]] = [
    {"url": "https://example.com/heliogram", "types": ["notification.*"], "description": "back end"}
]
