"""Service and simulator together, and the few moves that most end-to-end tests are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
from support.programs import HELIOGRAM, Program, heliogram
from support.waiting import HANG_SECONDS, eventually

TEAM = "DEF123GHIJ"
BUNDLE = "com.example.app"
PUSH = "/v1/PushNotifications"


class Phones:
    """The simulator's side: keys, virtual devices, what they show."""

    def __init__(self, program: Program) -> None:
        self.ready = program.ready
        self.http = httpx2.Client(base_url=program.ready["control"], trust_env=False, timeout=HANG_SECONDS)

    def call(self, method: str, path: str, body: object | None = None) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def key(self) -> dict[str, str]:
        """A signing key of the team: keyId, teamId, p8."""
        key: dict[str, str] = self.call("POST", "/portal/keys", {"teamId": TEAM})
        return key

    def phone(self, environment: str = "production", *, forward: dict[str, str] | None = None) -> Phone:
        """A new device with the app installed."""
        device = self.call("POST", "/devices", {"name": "iPhone", "platform": "ios"})["id"]
        app = {"bundleId": BUNDLE, "environment": environment, "forward": forward}
        self.call("POST", f"/devices/{device}/apps", app)
        return Phone(self, device)

    def close(self) -> None:
        self.http.close()


class Phone:
    """One virtual device with the app on it."""

    def __init__(self, phones: Phones, device: str) -> None:
        self.phones, self.device = phones, device

    @property
    def app(self) -> str:
        return f"/devices/{self.device}/apps/{BUNDLE}"

    def launch(self) -> str:
        """The device token the app is handed."""
        return str(self.phones.call("POST", f"{self.app}/launch")["deviceToken"])

    def reinstall(self) -> None:
        self.phones.call("POST", f"{self.app}/reinstall")

    def uninstall(self) -> None:
        self.phones.call("DELETE", self.app)

    def shown(self) -> list[dict[str, Any]]:
        notifications: list[dict[str, Any]] = self.phones.call("GET", f"/devices/{self.device}/notifications")[
            "notifications"
        ]
        return notifications

    def bodies(self) -> list[str]:
        return [each["body"] for each in self.shown()]


class BackEnd:
    """The caller's side: a back end with an API key."""

    def __init__(self, url: str, data: Path, *more: str) -> None:
        made = heliogram("api-keys", "create", "--data", str(data), "--json", *more)
        assert made.returncode == 0, made.stderr
        key = httpx2.Response(200, content=made.stdout).json()
        self.key = (key["keyId"], key["secret"])
        self.at(url)

    def at(self, url: str) -> None:
        """Speaks to this address from now on."""
        self.http = httpx2.Client(base_url=url, auth=self.key, trust_env=False, timeout=HANG_SECONDS)

    def call(self, method: str, path: str, body: object | None = None, *, expect: int | None = None) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == expect if expect is not None else answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def credential(self, key: dict[str, str], kind: str = "APN", app: str = "app") -> str:
        content = {"signingKey": key["p8"], "keyId": key["keyId"], "teamId": key["teamId"], "bundleId": BUNDLE}
        body = {"credentialType": kind, "appName": app, "content": content}
        return str(self.call("POST", f"{PUSH}/Credentials", body)["resourceId"])

    def register(self, token: str, user: str | None = None, **more: str) -> dict[str, Any]:
        """The registration, after adding the device to it."""
        body = {"appName": "app", "token": token, "provider": "APN", **more}
        if user is not None:
            body["userId"] = user
        made = self.call("POST", f"{PUSH}/DeviceRegistrations", body)
        registration: dict[str, Any] = self.call("GET", f"{PUSH}/DeviceRegistrations/{made['resourceId']}")
        return registration

    def send(self, *recipients: dict[str, Any], body: str = "There", **more: Any) -> str:
        """The operation's id."""
        request = {"to": list(recipients), "content": {"title": "Hi", "body": body}, **more}
        return str(self.call("POST", PUSH, request)["operationId"])

    def completed(self, operation: str, *, seconds: float = HANG_SECONDS) -> dict[str, Any]:
        """The operation once it is COMPLETED."""

        def ask() -> dict[str, Any] | None:
            found: dict[str, Any] = self.call("GET", f"{PUSH}/Operations/{operation}")
            return found if found["status"] == "COMPLETED" else None

        return eventually(ask, what=f"{operation} to complete", seconds=seconds)

    def notifications(self, operation: str) -> list[dict[str, Any]]:
        """All notifications of an operation, with their deliveries."""
        page = self.call("GET", f"{PUSH}?operationId={operation}&include=deliveries&pageSize=1000")
        found: list[dict[str, Any]] = page["pushNotifications"]
        return found

    def close(self) -> None:
        self.http.close()


def simulator(directory: Path, *more: str) -> Program:
    """The simulator on free ports."""
    names = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
    words = [word for name in names for word in (f"--{name}", "127.0.0.1:0")]
    return Program("simulator", *words, "--data", str(directory / "simulator"), *more, log=directory / "simulator.log")


def service(directory: Path, apns: dict[str, Any], *more: str, command: Sequence[str] = HELIOGRAM) -> Program:
    """The service on a free port, pointed at a simulator's ready line."""
    return Program(
        "serve",
        *("--data", str(directory / "data"), "--listen", "127.0.0.1:0"),
        *("--apns-production", apns["production"], "--apns-sandbox", apns["sandbox"], "--apns-cacert", apns["ca"]),
        *("--apns-manage-production", apns["manage_production"], "--apns-manage-sandbox", apns["manage_sandbox"]),
        *more,
        log=directory / "service.log",
        command=command,
    )
