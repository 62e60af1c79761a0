"""The whole API against its own document, driven by schemathesis over real sockets: no 5xx, no answer that the document
does not know, nothing accepted that it forbids, nothing open without a key."""

from __future__ import annotations

import asyncio
import base64
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.postgres import server
from support.programs import Program
from support.stack import PUSH, BackEnd, Phones, service, simulator
from support.stores import CHOSEN

EXAMPLES = 12
"""Cases an operation in each phase: a fixed budget, so that the checks take as long tomorrow as today."""
SEED = 20261122
SKIPPED = ("positive_data_acceptance",)
"""What the document cannot say: an app must exist, a template compile, a key be a key."""
SPARED = (
    "deleteUser",
    "deleteDeviceRegistration",
    "deleteDevice",
    "deleteCredential",
    "revokeCredential",
    "deleteWebhook",
)
"""Operations that end what the others look at: they are given things of their own."""


def kept_in(directory: Path) -> tuple[str, ...]:
    """The options of another store than the embedded one, where the tests run on that."""
    if CHOSEN == "sqlite":
        return ()
    key = directory / "master.key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    key.chmod(0o600)
    return "--store", asyncio.run(server().database_for(directory)), "--master-key", str(key)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[tuple[BackEnd, Phones]]:
    """A service that has a simulator to send to, and some things in it."""
    store = kept_in(tmp_path)
    with simulator(tmp_path) as apns, service(tmp_path, apns.ready, *store) as program:
        phones, backend = Phones(apns), BackEnd(program.ready["url"], tmp_path / "data", *store)
        yield backend, phones
        backend.close()
        phones.close()
        assert_quiet(program, tmp_path / "service.log")


def assert_quiet(program: Program, log: Path) -> None:
    """Nothing failed that the answers did not tell."""
    assert "Traceback" not in log.read_text("utf-8"), program


def filled(backend: BackEnd, phones: Phones) -> dict[str, Any]:
    """Something of everything there is to find: an id for each path parameter."""
    credential = backend.credential(phones.key(), app="app")
    token = phones.phone().launch()
    registration = backend.register(token)
    operation = backend.send({"userId": registration["userId"]})
    backend.completed(operation)
    (notification,) = backend.notifications(operation)
    webhook = backend.call("POST", "/v1/Webhooks", {"url": "https://hooks.example.com/push", "types": ["*"]})
    key = backend.call("POST", "/v1/ApiKeys", {"name": "another", "scopes": ["read"]})
    channel = backend.call("POST", f"{PUSH}/Apps/app/Channels", {"storagePolicy": "NO_MESSAGE_STORED"})
    return {
        "appName": "app",
        "channelId": channel["resourceId"],
        "credentialId": credential,
        "deviceRegistrationId": registration["id"],
        "userId": registration["userId"],
        "operationId": operation,
        "pushNotificationId": notification["id"],
        "token": token,
        "webhookId": webhook["id"],
        "keyId": key["id"],
    }


def config(known: dict[str, Any], spare: dict[str, Any]) -> str:
    """schemathesis.toml: real ids for the paths, so that it comes past the 404s."""
    lines = ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in known.items())]
    for operation in SPARED:
        lines += ["[[operations]]", f'include-operation-id = "{operation}"', "[operations.parameters]"]
        lines += [f'"path.{name}" = "{value}"' for name, value in spare.items()]
    return "\n".join(lines)


@pytest.mark.timeout(600)
def test_the_api_is_what_its_document_says(stack: tuple[BackEnd, Phones], tmp_path: Path) -> None:
    """TW-19: every operation, with and without a key: no server error, no status or body beside the document."""
    backend, phones = stack
    (tmp_path / "schemathesis.toml").write_text(config(filled(backend, phones), filled(backend, phones)))
    run = subprocess.run(
        [
            *(Path(sys.executable).with_name("st"), "--config-file", "schemathesis.toml"),
            *("run", f"{backend.http.base_url}/openapi.json", "--auth", ":".join(backend.key)),
            *("--checks", "all", "--exclude-checks", ",".join(SKIPPED)),
            *("--max-examples", str(EXAMPLES), "--seed", str(SEED), "--continue-on-failure", "--no-color"),
            *("--generation-database", "none", "--warnings", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    assert backend.call("GET", f"{PUSH}/Operations") is not None
