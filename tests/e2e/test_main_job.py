"""The main job over real sockets, between real processes: a back end, the service, APNs, phones."""

from __future__ import annotations

import signal
import stat
from pathlib import Path

import httpx2
import pytest
from support.programs import Program, heliogram
from support.stack import BackEnd, Phones, service
from support.waiting import eventually

PUSH = "/v1/PushNotifications"


def test_a_user_gets_a_notification_on_the_phone(backend: BackEnd, phones: Phones) -> None:
    """TW-29, TW-41, TW-43: Credential, registration, send, COMPLETED with sent 1, and the phone shows it."""
    backend.credential(phones.key())
    phone = phones.phone()
    registration = backend.register(phone.launch())
    operation = backend.send({"userId": registration["userId"]}, sound="default")
    assert backend.completed(operation)["stats"] == {
        "total": 1,
        "recipients": 1,
        "unaddressable": 0,
        "scheduled": 0,
        "queued": 0,
        "sent": 1,
        "failed": 0,
        "canceled": 0,
    }
    (shown,) = phone.shown()
    assert (shown["title"], shown["body"], shown["sound"], shown["priority"]) == ("Hi", "There", "default", 10)


def test_a_user_with_three_devices_is_one_notification_with_three_deliveries(backend: BackEnd, phones: Phones) -> None:
    """TW-30, TW-45: One notification per recipient; its devices are deliveries with ids of their own."""
    backend.credential(phones.key())
    three = [phones.phone() for _ in range(3)]
    user = backend.register(three[0].launch())["userId"]
    for phone in three[1:]:
        backend.register(phone.launch(), user)
    operation = backend.send({"userId": user})
    assert backend.completed(operation)["stats"]["sent"] == 1
    (notification,) = backend.notifications(operation)
    assert notification["status"] == "SENT"
    assert [each["outcome"] for each in notification["deliveries"]] == ["ACCEPTED"] * 3
    assert {each["apnsId"] for each in notification["deliveries"]} == {phone.shown()[0]["apnsId"] for phone in three}
    for delivery in notification["deliveries"]:
        found = backend.call("GET", f"{PUSH}/{notification['id']}")
        assert delivery in found["deliveries"]


def test_a_device_token_can_be_sent_to_directly(backend: BackEnd, phones: Phones) -> None:
    """TW-31: A recipient may be a token with its provider, known to the service or not."""
    backend.credential(phones.key())
    phone = phones.phone()
    operation = backend.send({"token": phone.launch().upper(), "provider": "APN"})
    assert backend.completed(operation)["stats"]["sent"] == 1
    assert phone.bodies() == ["There"]


def test_sandbox_credentials_reach_sandbox_phones(backend: BackEnd, phones: Phones) -> None:
    """`APN_SANDBOX` goes to the sandbox; a registration says which environment its token is of."""
    key = phones.key()
    backend.credential(key)
    backend.credential(key, "APN_SANDBOX")
    phone = phones.phone("sandbox")
    user = backend.register(phone.launch(), environment="sandbox")["userId"]
    operation = backend.send({"userId": user})
    assert backend.completed(operation)["stats"]["sent"] == 1
    (delivery,) = backend.notifications(operation)[0]["deliveries"]
    assert delivery["environment"] == "sandbox"
    assert delivery["apnsUniqueId"] == phone.shown()[0]["uniqueId"]


def test_a_reinstalled_app_gets_the_push_under_its_new_token(backend: BackEnd, phones: Phones) -> None:
    """The old token answers 410 and leaves the registration; the new one is delivered to."""
    backend.credential(phones.key())
    phone = phones.phone()
    old = phone.launch()
    user = backend.register(old)["userId"]
    phone.reinstall()
    new = phone.launch()
    registration = backend.register(new, user)
    assert new != old
    operation = backend.send({"userId": user})
    assert backend.completed(operation)["stats"]["sent"] == 1
    (notification,) = backend.notifications(operation)
    outcomes = {each["token"]: (each["outcome"], each["status"], each["reason"]) for each in notification["deliveries"]}
    assert outcomes[old][:2] == ("REJECTED", 410)
    assert outcomes[old][2] == "Unregistered"
    assert outcomes[new][0] == "ACCEPTED"
    assert phone.bodies() == ["There"]
    left = backend.call("GET", f"{PUSH}/DeviceRegistrations/{registration['id']}")
    assert [device["token"] for device in left["devices"]] == [new]


def test_personal_content_is_rendered_for_each_recipient(backend: BackEnd, phones: Phones) -> None:
    """TW-27, TW-33: Liquid variables with a default."""
    backend.credential(phones.key())
    one, two = phones.phone(), phones.phone()
    operation = backend.send(
        {"token": one.launch(), "provider": "APN", "variables": {"name": "Ada"}},
        {"token": two.launch(), "provider": "APN"},
        body="Hello {{ name | default: 'you' }}!",
    )
    backend.completed(operation)
    assert (one.bodies(), two.bodies()) == (["Hello Ada!"], ["Hello you!"])


def test_what_was_accepted_before_a_kill_is_sent_after_the_restart(
    apns: Program, phones: Phones, tmp_path: Path
) -> None:
    """kill -9 between the 202 and the send loses nothing: the push arrives once, under the id it was given."""
    phone = phones.phone()
    nowhere = apns.ready | {"production": "127.0.0.1:9", "sandbox": "127.0.0.1:9"}
    with service(tmp_path, nowhere) as program:
        backend = BackEnd(program.ready["url"], tmp_path / "data")
        backend.credential(phones.key())
        operation = backend.send({"token": phone.launch(), "provider": "APN"})
        program.kill()
        backend.close()
    assert phone.shown() == []
    with service(tmp_path, apns.ready) as program:
        backend.at(program.ready["url"])
        assert backend.completed(operation)["stats"]["sent"] == 1
        (notification,) = backend.notifications(operation)
        backend.close()
    assert [each["apnsId"] for each in phone.shown()] == [notification["deliveries"][0]["apnsId"]]


def test_a_revoked_key_is_refused_by_the_running_service(backend: BackEnd, tmp_path: Path) -> None:
    """`api-keys revoke` acts from another process, without a restart."""
    assert backend.http.get(f"{PUSH}/Apps").status_code == 200
    done = heliogram("api-keys", "revoke", backend.key[0], "--data", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    eventually(lambda: backend.http.get(f"{PUSH}/Apps").status_code == 401, what="the key to be refused")


def test_sigterm_ends_the_service_with_exit_code_0(served: Program) -> None:
    """SIGTERM drains and exits 0."""
    assert served.stop(signal.SIGTERM) == 0


def test_the_data_directory_is_for_its_owner_alone(served: Program, tmp_path: Path) -> None:
    """The directory is 0700, its files 0600."""
    data = tmp_path / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in data.iterdir()}
    assert set(modes.values()) == {"0o600"}, modes


def test_a_second_service_on_the_same_data_is_refused(served: Program, tmp_path: Path) -> None:
    """Two would take each other's leases; the message says what to do."""
    second = heliogram("serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    assert "another `heliogram serve` is using" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("path", [PUSH, f"{PUSH}/Apps", "/nothing"])
def test_without_a_key_there_is_only_401(backend: BackEnd, path: str) -> None:
    """No key, no answer, not even whether the path exists."""
    backend.http = httpx2.Client(base_url=backend.http.base_url, trust_env=False)
    assert backend.http.get(path).status_code == 401
