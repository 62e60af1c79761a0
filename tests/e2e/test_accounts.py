"""Accounts, keys and registration tokens between real processes."""

from __future__ import annotations

from pathlib import Path

import httpx2
from support.programs import Program, heliogram
from support.stack import PUSH, BackEnd, Phones
from support.waiting import eventually


def test_a_phone_registers_itself_with_a_registration_token(backend: BackEnd, phones: Phones) -> None:
    """The back end mints a token, the app sends it with its device token at launch, and the user is reached."""
    backend.credential(phones.key())
    minted = backend.call("POST", f"{PUSH}/RegistrationTokens", {"appName": "app", "externalId": "u-42"})
    url = str(backend.http.base_url).rstrip("/") + f"{PUSH}/DeviceRegistrations"
    forward = {"url": url, "appName": "app", "registrationToken": minted["registrationToken"]}
    phone = phones.phone(forward=forward)
    phone.launch()
    backend.completed(backend.send({"externalId": "u-42"}, body="Hello yourself"))
    assert phone.bodies() == ["Hello yourself"]


def test_an_account_is_disabled_beside_the_running_service(backend: BackEnd, served: Program, tmp_path: Path) -> None:
    """The command line changes the data directory; the service refuses the account's keys, and no
    other's."""
    data = str(tmp_path / "data")
    assert heliogram("accounts", "create", "other", "--data", data).returncode == 0
    made = heliogram("api-keys", "create", "--account", "other", "--data", data, "--json")
    key = httpx2.Response(200, content=made.stdout).json()
    with httpx2.Client(
        base_url=served.ready["url"], auth=(key["keyId"], key["secret"]), trust_env=False, timeout=90
    ) as other:
        assert other.get("/v1/Account").json()["name"] == "other"
        assert heliogram("accounts", "disable", "other", "--data", data).returncode == 0
        eventually(lambda: other.get("/v1/Account").status_code == 401, what="the key to be refused")
    assert backend.call("GET", "/v1/Account")["name"] == "default"
