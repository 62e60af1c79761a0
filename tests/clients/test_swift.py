"""The Swift package's requests are ones that the service takes: its own tests hold the code to the same fixtures."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from support.peers import missing
from support.service import Service, serving

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients/swift"
FIXTURES = PACKAGE / "Tests/HeliogramPushCoreTests/Fixtures"
PAGE = ROOT / "docs/howto/ios-app.md"
DEVICES = "/v1/PushNotifications/DeviceRegistrations"


@pytest.fixture
async def service(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Service]:
    async with serving(tmp_path) as made:
        await made.app_named("shop")
        await made.app_named("shop", "APN_SANDBOX")
        yield made


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    return read


async def answer_to(service: Service, request: dict[str, Any], registration: str = "") -> httpx2.Response:
    """What the service says to the fixture's request, with a registration token that is good."""
    minted = await service.post("/RegistrationTokens", {"appName": "shop", "externalId": "user-42"})
    token = minted.json()["registrationToken"]
    headers = {**request["headers"], "Authorization": f"Bearer {token}"}
    assert request["headers"]["Authorization"] == "Bearer hgr_example"
    path = urlsplit(request["url"]).path.removeprefix("/push")
    if registration:
        path = re.sub(r"comms_device_registration_\w+", registration, path)
    content = None if request["body"] is None else json.dumps(request["body"])
    async with service.client_of({}) as client:
        return await client.request(request["method"], path, headers=headers, content=content)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["register", "register-least"])
async def test_the_service_takes_what_the_app_sends(service: Service, name: str) -> None:
    """Every field arrives; the answer has what the app reads of it."""
    request = fixture(name)["request"]
    answer = await answer_to(service, request)
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == set(fixture("answers")["registered"])
    (device,) = (await service.get(f"/DeviceRegistrations/{answer.json()['resourceId']}")).json()["devices"]
    sent = {key: value for key, value in request["body"].items() if key != "appName"}
    assert {key: device[key] for key in sent} == sent


@pytest.mark.anyio
async def test_the_service_takes_the_device_out_at_sign_out(service: Service) -> None:
    """With the same token, and the id that the answer to registering gave."""
    registered = await answer_to(service, fixture("register")["request"])
    removal = fixture("remove")["request"]
    assert urlsplit(removal["url"]).path.startswith(f"{DEVICES}/comms_device_registration_")
    answer = await answer_to(service, removal, registered.json()["resourceId"])
    assert answer.status_code == 202, answer.text
    again = await answer_to(service, removal, registered.json()["resourceId"])
    assert again.status_code == 404  # which the app takes for done


@pytest.mark.anyio
async def test_the_plain_listing_sends_what_the_service_takes(service: Service) -> None:
    """The body in docs/howto/ios-app.md, with a token in its place."""
    (listing,) = re.findall(r"let body = \[(.*)\]$", PAGE.read_text("utf-8"), re.MULTILINE)
    body = json.loads("{" + listing.replace('"token": token', f'"token": "{"ab" * 32}"') + "}")
    request = {**fixture("register")["request"], "body": body}
    assert f"https://push.example.com{DEVICES}" in PAGE.read_text("utf-8")
    answer = await answer_to(service, request)
    assert answer.status_code == 202, answer.text


def test_nothing_stores_the_device_token() -> None:
    """What is written to the defaults is the flag; what is written to a file is the installation's id."""
    sources = {path.name: path.read_text("utf-8") for path in PACKAGE.glob("Sources/*/*.swift")}
    writes = {name: re.findall(r"defaults\.set\((\w+)|\.write\(to: (\w+)", text) for name, text in sources.items()}
    assert {name: found for name, found in writes.items() if found} == {
        "Registrar.swift": [("owed", "")],
        "Installation.swift": [("", "file")],
    }
    assert not [name for name, text in sources.items() if re.search(r"Keychain|SecItem|print\(|NSLog|os_log", text)]


@pytest.mark.timeout(900)
def test_the_package_and_the_listings_compile_and_its_tests_pass(tmp_path: Path) -> None:
    """Where there is a Swift toolchain; what needs UIKit against stand-ins."""
    if shutil.which("swift") is None:
        missing("no Swift here: on Debian 13, apt-get install swiftlang libc6-dev libstdc++-14-dev", in_ci_too=True)
    done = subprocess.run([PACKAGE / "check", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
