"""The steps of the demo, in the order a real app and its back end would live them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click

from . import memory
from .http import Caller
from .narrator import Narrator
from .processes import Processes, StepFailed, variables

APP = "demo"
BUNDLE_ID = "com.example.demo"
WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.05


class Story:
    """From nothing to a notification on a virtual iPhone; every step raises `StepFailed` when it does not work."""

    def __init__(self, data: Path, processes: Processes, narrator: Narrator) -> None:
        self._data, self._processes, self._narrator = data, processes, narrator
        self._file = data / "demo.json"
        self._memory, self._remembered = memory.load(self._file)
        self._phone = ""
        self._service_url = self._simulator_url = self._user = ""

    def __repr__(self) -> str:
        return f"Story(service={self._service_url!r}, simulator={self._simulator_url!r})"

    def tell(self) -> None:
        """All steps, until the phone has the notification."""
        try:
            self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StepFailed(f"cannot use the data directory {self._data}: {error.strerror}") from None
        endpoints = self._start_simulator()
        self._start_service(endpoints)
        self._make_api_key()
        simulator = Caller(self._simulator_url, self._narrator)
        service = self._service()
        try:
            self._make_signing_key(simulator)
            self._upload_credential(service)
            token = self._launch_phone(simulator)
            self._user = self._forwarded(service, token)
            operation = self._send(service, self._user)
            self._watch_operation(service, operation)
            self._look_at_phone(simulator)
        finally:
            simulator.close()
            service.close()

    def stay(self) -> None:
        """Says where to look, and keeps everything running until Ctrl-C."""
        self._where_to_look()
        click.echo("\nEverything keeps running; Ctrl-C stops it.")
        pause = threading.Event()
        while not pause.wait(1.0):
            name = self._processes.died()
            if name is not None:
                raise StepFailed(f"the {name} stopped by itself; its log is {self._data / name}.log")

    def _start_simulator(self) -> dict[str, str]:
        self._narrator.step("Start an APNs of our own: the simulator, in Apple's place")
        ports = self._processes.port
        flags = {
            "production": ports(2197, "APNs (production)"),
            "sandbox": ports(2198, "APNs (sandbox)"),
            "manage-production": ports(2196, "channel management (production)"),
            "manage-sandbox": ports(2195, "channel management (sandbox)"),
            "control": ports(8090, "the simulator's control API"),
        }
        endpoints = {flag: f"127.0.0.1:{port}" for flag, port in flags.items()}
        words = [word for flag, address in endpoints.items() for word in (f"--{flag}", address)]
        self._processes.start("simulator", "simulator", *words, "--data", str(self._data / "simulator"))
        self._simulator_url = f"http://{endpoints['control']}"
        self._narrator.note(f"APNs on {endpoints['production']}, control API on {self._simulator_url}")
        return endpoints

    def _start_service(self, endpoints: dict[str, str]) -> None:
        self._narrator.step("Start Heliogram: one process, one SQLite file")
        port = self._processes.port(8080, "the REST API")
        words = ["--data", str(self._data), "--listen", f"127.0.0.1:{port}"]
        for flag in ("production", "sandbox", "manage-production", "manage-sandbox"):
            words += [f"--apns-{flag}", endpoints[flag]]
        words += ["--apns-cacert", str(self._data / "simulator" / "ca.pem")]
        ready = self._processes.start("service", "serve", *words)
        self._service_url = str(ready["url"])
        self._narrator.note(f"REST API on {self._service_url}, data in {self._data}")

    def _service(self) -> Caller:
        return Caller(self._service_url, self._narrator, (self._memory.api_key_id, self._memory.api_secret))

    def _make_api_key(self) -> None:
        self._narrator.step("An API key for the back end")
        if self._memory.api_key_id:
            service = self._service()
            known = service.exists("/v1/PushNotifications/Apps")
            service.close()
            if known:
                self._narrator.note(f"the one of the last run still opens: {self._memory.api_key_id}")
                return
        words = ["api-keys", "create", "--data", str(self._data), "--name", "demo", "--json"]
        self._narrator.note(f"$ heliogram {' '.join(words)}")
        made = subprocess.run(
            [sys.executable, "-m", "heliogram", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=variables(),
        )
        if made.returncode != 0:
            raise StepFailed(f"`heliogram api-keys create` failed: {made.stderr.strip()}")
        key = json.loads(made.stdout)
        self._narrator.note(f"keyId {key['keyId']}; the secret is shown once and kept nowhere but with you")
        self._memory.api_key_id, self._memory.api_secret = key["keyId"], key["secret"]
        self._remember()

    def _make_signing_key(self, simulator: Caller) -> None:
        self._narrator.step("A .p8 signing key, as Apple's developer portal would issue it")
        mine = self._memory
        where = "the one of the last run" if self._remembered else "a new one"
        self._narrator.note(f"{where}: key id {mine.key_id}, team id {mine.team_id}; its public half goes to APNs")
        simulator.post("/keys", {"keyId": mine.key_id, "teamId": mine.team_id, "publicKey": mine.public_key})
        self._remember()

    def _upload_credential(self, service: Caller) -> None:
        self._narrator.step(f"The key becomes the APN credential of app {APP!r}")
        mine = self._memory
        known = f"/v1/PushNotifications/Credentials/{mine.credential_id}"
        if mine.credential_id and service.exists(known):
            service.get(known)
            return
        content = {"signingKey": mine.p8, "keyId": mine.key_id, "teamId": mine.team_id, "bundleId": BUNDLE_ID}
        # The default, whatever an earlier run whose key is forgotten has left in the app.
        body = {"credentialType": "APN", "appName": APP, "content": content, "isDefault": True}
        mine.credential_id = service.post("/v1/PushNotifications/Credentials", body)["resourceId"]
        self._remember()

    def _launch_phone(self, simulator: Caller) -> str:
        self._narrator.step("A virtual iPhone: the app launches, registers with APNs and forwards its device token")
        self._phone = simulator.post("/devices", {"name": "Demo iPhone", "platform": "ios"})["id"]
        forward = {
            "url": f"{self._service_url}/v1/PushNotifications/DeviceRegistrations",
            "apiKey": f"{self._memory.api_key_id}:{self._memory.api_secret}",
            "appName": APP,
        }
        app = {"bundleId": BUNDLE_ID, "environment": "production", "forward": forward}
        simulator.post(f"/devices/{self._phone}/apps", app)
        launched = simulator.post(f"/devices/{self._phone}/apps/{BUNDLE_ID}/launch", {})
        if not launched.get("deviceToken"):
            raise StepFailed(f"the app could not register with APNs: {launched}")
        self._registration = _registration_of(launched)
        return str(launched["deviceToken"])

    def _forwarded(self, service: Caller, token: str) -> str:
        self._narrator.step("Heliogram knows the device now, as one of a user's")
        found = service.get(f"/v1/PushNotifications/DeviceRegistrations/{self._registration}")
        if token not in [device["token"] for device in found["devices"]]:
            raise StepFailed("the registration does not hold the phone's device token")
        return str(found["userId"])

    def _send(self, service: Caller, user: str) -> str:
        self._narrator.step("A back end sends to that user")
        body = {
            "to": [{"userId": user, "variables": {"name": "Ada"}}],
            "from": {"appName": APP},
            "content": {
                "title": "Hello, {{ name | default: 'you' }}",
                "body": "From your own push service, no black box in between.",
            },
            "sound": "default",
        }
        return str(service.post("/v1/PushNotifications", body)["operationId"])

    def _watch_operation(self, service: Caller, operation: str) -> None:
        self._narrator.step("The operation completes: APNs accepted it")
        path = f"/v1/PushNotifications/Operations/{operation}"
        give_up = time.monotonic() + WAIT_SECONDS
        while service.get(path, quiet=True)["status"] != "COMPLETED":
            if time.monotonic() > give_up:
                raise StepFailed(f"the operation did not complete within {WAIT_SECONDS:.0f} s: {service.get(path)}")
            time.sleep(_POLL_SECONDS)
        if service.get(path)["stats"]["sent"] != 1:
            raise StepFailed("the operation completed, but the notification was not sent")

    def _look_at_phone(self, simulator: Caller) -> None:
        self._narrator.step("The phone shows it")
        shown = simulator.get(f"/devices/{self._phone}/notifications")
        items: list[dict[str, Any]] = shown["notifications"] if isinstance(shown, dict) else shown
        if not items:
            raise StepFailed("the phone has no notification")
        last = items[-1]
        self._narrator.phone([f"▪ {APP.upper()}", str(last.get("title")), str(last.get("body"))])

    def _where_to_look(self) -> None:
        netrc = memory.save_netrc(self._data / "demo.netrc", self._memory)
        body = json.dumps({"to": [{"userId": self._user}], "from": {"appName": APP}, "content": {"body": "Again"}})
        click.echo("\nLook further:")
        click.echo(f"  the dashboard                {self._service_url}/dashboard")
        click.echo(f"    sign in with               {self._memory.api_key_id}, and the apiSecret of {self._file}")
        click.echo(f"  the phones, to look at       {self._simulator_url}/")
        click.echo(f"  the REST API, documented     {self._service_url}/docs")
        click.echo(f"  the simulator, documented    {self._simulator_url}/docs")
        click.echo(f"  what APNs was asked          {self._simulator_url}/requests")
        click.echo(f"  the phone's notifications    {self._simulator_url}/devices/{self._phone}/notifications")
        click.echo("  send another:")
        click.echo(f"    curl --netrc-file {netrc} -H 'content-type: application/json' \\")
        click.echo(f"      {self._service_url}/v1/PushNotifications -d '{body}'")

    def _remember(self) -> None:
        memory.save(self._file, self._memory)


def _registration_of(launched: dict[str, Any]) -> str:
    """The registration's id out of what the service answered the phone."""
    forwarded = launched.get("forwarded") or {}
    body = forwarded.get("body")
    if forwarded.get("status") != 202 or not isinstance(body, dict):
        raise StepFailed(f"the app could not forward its device token: {forwarded}")
    return str(body["resourceId"])
