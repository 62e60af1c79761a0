"""Channels through the service's own process."""

from __future__ import annotations

from support.stack import BackEnd, Phones

PUSH = "/v1/PushNotifications"


def test_channels_are_managed_where_the_service_was_pointed(backend: BackEnd, phones: Phones) -> None:
    """`--apns-manage-production` and `--apns-manage-sandbox` reach the simulator's listeners; a broadcast goes where
    pushes go."""
    key = phones.key()
    backend.credential(key)
    backend.credential(key, "APN_SANDBOX")
    update = {"liveActivity": {"event": "update", "contentState": {"home": 1}}}
    for environment in ("production", "sandbox"):
        body = {"storagePolicy": "NO_MESSAGE_STORED", "environment": environment}
        made = backend.call("POST", f"{PUSH}/Apps/app/Channels", body)
        listed = backend.call("GET", f"{PUSH}/Apps/app/Channels?environment={environment}")
        assert made["resourceId"] in [each["id"] for each in listed["channels"]]
        path = f"{PUSH}/Apps/app/Channels/{made['resourceId']}/Broadcasts"
        operation = backend.call("POST", path, {"content": update, "environment": environment})["operationId"]
        assert backend.completed(operation)["stats"]["sent"] == 1
