"""Twilio's own Python client (PyPI `twilio`) against the running service: it knows no push resources yet, but its
transport, authentication, paging and reading of errors are those of every resource it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.stack import BackEnd, Phones, service, simulator
from twilio.base.domain import Domain
from twilio.base.exceptions import TwilioServiceException
from twilio.base.version import Version
from twilio.rest import Client

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BackEnd, Phones]]:
    """A service with a simulator behind it."""
    directory = tmp_path_factory.mktemp("twilio")
    with simulator(directory) as apns, service(directory, apns.ready) as program:
        phones, backend = Phones(apns), BackEnd(program.ready["url"], Path(directory) / "data")
        yield backend, phones
        backend.close()
        phones.close()


@pytest.fixture
def push(stack: tuple[BackEnd, Phones]) -> Version:
    """`/v1/PushNotifications` as one of Twilio's versions."""
    backend, _ = stack
    client = Client(*backend.key)
    return Version(Domain(client, str(backend.http.base_url).rstrip("/")), "v1/PushNotifications")


def test_the_main_job_by_twilio_s_client(push: Version, stack: tuple[BackEnd, Phones]) -> None:
    """TW-1, TW-2, TW-7, TW-30, TW-64: credential, registration and send, with base URL and key changed and nothing
    else."""
    backend, phones = stack
    backend.credential(phones.key())
    phone = phones.phone()
    device = {"appName": "app", "token": phone.launch(), "provider": "APN"}
    pointer = push.create("POST", "/DeviceRegistrations", data=device, headers=JSON)
    user = push.fetch("GET", f"/DeviceRegistrations/{pointer['resourceId']}")["userId"]
    body = {"to": [{"userId": user}], "content": {"title": "Hi", "body": "There"}}
    sent = push.create("POST", "", data=body, headers=JSON)
    backend.completed(sent["operationId"])
    assert phone.bodies() == ["There"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/Apps/nobody", None, 404, 20404),
        ("POST", "", {"to": [], "content": {"body": "x"}}, 400, 70010),
        ("GET", "/Apps?pageSize=0", None, 400, 70003),
    ],
)
def test_errors_are_read(push: Version, method: str, path: str, body: Any, status: int, code: int) -> None:
    """TW-22: as the newer of the two kinds it knows, with status, code, detail and the single errors."""
    call = push.fetch if method == "GET" else push.create
    with pytest.raises(TwilioServiceException) as caught:
        call(method, path, data=body, headers=JSON)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.detail
    assert caught.value.errors


def test_a_wrong_key_is_told(stack: tuple[BackEnd, Phones]) -> None:
    """TW-22, OWN-2: 401 with Twilio's own code for it."""
    backend, _ = stack
    client = Client("key_00000000000000000000000000", "wrong")
    with pytest.raises(TwilioServiceException) as caught:
        Version(Domain(client, str(backend.http.base_url).rstrip("/")), "v1").fetch("GET", "/PushNotifications/Apps")
    assert (caught.value.status, caught.value.code) == (401, 20003)
