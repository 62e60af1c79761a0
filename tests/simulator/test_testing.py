"""`ApnsSimulator`, used from threads without an event loop."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from support.sim_client import TOPIC, Reply, Signer, SimClient

from heliogram.simulator import Conflict, Missing, Settings
from heliogram.simulator.loopthread import LoopThread
from heliogram.simulator.seen import LINES, Notifications, Requests
from heliogram.simulator.testing import ApnsDevice, ApnsSimulator, RegistrationFailed, SigningKey


@pytest.fixture(scope="module")
def server() -> Iterator[ApnsSimulator]:
    with ApnsSimulator() as server:
        yield server


@pytest.fixture
def apns(server: ApnsSimulator) -> ApnsSimulator:
    server.reset()
    return server


def signer_of(key: SigningKey) -> Signer:
    return Signer.from_p8(key.key_id, key.team_id, key.p8)


def push(
    apns: ApnsSimulator, token: str, *extra: tuple[str, str], where: str = "", key: SigningKey | None = None
) -> Reply:
    """One push on a connection of its own, from a loop of its own."""

    async def sent() -> Reply:
        host, port = (where or apns.production).rsplit(":", 1)
        client = await SimClient.connect((host, int(port)), apns.ca_pem.encode())
        bearer = signer_of(key or apns.issue_key()).token(int(time.time()))
        reply = await client.push(token, bearer, *extra)
        await client.close()
        return reply

    return asyncio.run(sent())


def phone_of(apns: ApnsSimulator) -> tuple[ApnsDevice, str]:
    phone = apns.add_device().install(TOPIC)
    return phone, phone.launch(TOPIC)


def test_push_is_there_when_its_answer_is(apns: ApnsSimulator) -> None:
    """What APNs has accepted can be seen on the device at once, and in the log."""
    phone, token = phone_of(apns)
    assert push(apns, token).verdict == (200, None)
    assert [shown.body for shown in phone.notifications] == ["hello"]
    assert [(request.listener, request.status) for request in apns.requests] == [("production", 200)]
    assert apns.violations == []


def test_sandbox(apns: ApnsSimulator) -> None:
    """LIFE-4: an app signed for development gets pushes of the sandbox alone."""
    phone = apns.add_device("Dev", "ipados").install(TOPIC, environment="sandbox")
    token = phone.launch(TOPIC)
    assert push(apns, token, where=apns.sandbox).verdict == (200, None)
    assert push(apns, token).verdict == (400, "BadDeviceToken")


def test_keys(apns: ApnsSimulator) -> None:
    """TOK-11, TOK-19: a key is text and a file, may be for some topics alone, and ends when it is revoked."""
    _, token = phone_of(apns)
    key, other = apns.issue_key("DEF123GHIJ"), apns.issue_key("DEF123GHIJ", topics=["com.example.other"])
    assert key.path.read_text("ascii") == key.p8
    assert key.path.stat().st_mode & 0o077 == 0
    assert "PRIVATE" not in repr(key)
    assert push(apns, token, key=key).verdict == (200, None)
    assert push(apns, token, key=other).verdict == (400, "TopicDisallowed")
    apns.revoke_key(key)
    assert push(apns, token, key=key).verdict == (403, "InvalidProviderToken")


def test_tokens_end(apns: ApnsSimulator) -> None:
    """LIFE-2, LIFE-9, LA-4: installed anew the app has another token; gone or outlived, a token answers 410."""
    phone, first = phone_of(apns)
    second = phone.reinstall(TOPIC).launch(TOPIC)
    assert second != first
    assert push(apns, first).verdict == (410, "Unregistered")
    assert push(apns, second).verdict == (200, None)
    phone.expire(TOPIC)
    assert push(apns, second).verdict == (410, "ExpiredToken")
    third = phone.launch(TOPIC)
    phone.uninstall(TOPIC)
    assert push(apns, third).verdict == (410, "Unregistered")


def test_registration_fails(apns: ApnsSimulator) -> None:
    """LIFE-1: an app that may not receive pushes gets an error, which names the app and the device."""
    phone = apns.add_device("Anna's phone").install(TOPIC, entitlement=False)
    with pytest.raises(RegistrationFailed, match=r"com.example.app on Anna's phone: no valid “aps-environment”"):
        phone.launch(TOPIC)


def test_errors_come_to_the_caller(apns: ApnsSimulator) -> None:
    """What makes no sense raises in the thread that asked for it."""
    phone, _ = phone_of(apns)
    with pytest.raises(Conflict, match="is on device"):
        phone.install(TOPIC)
    with pytest.raises(Missing):
        phone.launch("com.example.absent")


def test_offline_and_asleep(apns: ApnsSimulator) -> None:
    """LIFE-6, LIFE-8: without a network the push waits at APNs; asleep, one of low priority does."""
    phone, token = phone_of(apns)
    phone.go_offline()
    assert push(apns, token, ("apns-expiration", str(int(time.time()) + 600))).verdict == (200, None)
    assert phone.notifications == []
    assert len(phone.go_online().notifications) == 1
    phone.sleep()
    assert push(apns, token, ("apns-priority", "1"), ("apns-expiration", str(int(time.time()) + 600))).status == 200
    assert len(phone.notifications) == 1
    assert len(phone.wake().notifications) == 2


def test_advance(apns: ApnsSimulator) -> None:
    """TOK-8: an hour later the provider token has expired."""
    _, token = phone_of(apns)
    apns.advance(3700)
    assert push(apns, token).verdict == (403, "ExpiredProviderToken")


def test_fault(apns: ApnsSimulator) -> None:
    """A fault meets as many requests as it is for."""
    _, token = phone_of(apns)
    apns.fault(reason="Shutdown", next=1)
    assert push(apns, token).verdict == (503, "Shutdown")
    assert push(apns, token).verdict == (200, None)


def test_wait_for_wakes_up(apns: ApnsSimulator) -> None:
    """Who waits is woken by the arrival itself, and gets everything that is there."""
    phone, token = phone_of(apns)
    sender = threading.Thread(target=lambda: [push(apns, token) for _ in range(2)])
    sender.start()
    assert len(phone.notifications.wait_for(2, timeout=30)) == 2
    sender.join()


def test_wait_for_gives_up(apns: ApnsSimulator) -> None:
    """After its time it fails, and says what is there instead."""
    phone, token = phone_of(apns)
    push(apns, token)
    with pytest.raises(AssertionError, match=r"iPhone has 1 of 2 notifications after 0.01 s\n.*'hello'"):
        phone.notifications.wait_for(2, timeout=0.01)


def test_any_thread(apns: ApnsSimulator) -> None:
    """Calls of many threads at once all happen, one after the other."""
    threads = [threading.Thread(target=lambda: [apns.add_device() for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert apns.call(lambda simulator: len(simulator.devices())) == 400


def test_reset_cuts_connections(apns: ApnsSimulator) -> None:
    """A client that a test has left behind does not reach into the next test."""
    host, port = apns.production.rsplit(":", 1)

    async def left_behind() -> None:
        client = await SimClient.connect((host, int(port)), apns.ca_pem.encode())
        assert apns.call(lambda simulator: simulator.connections) == 1
        await asyncio.to_thread(apns.reset)
        await client.closed

    asyncio.run(left_behind())
    assert apns.call(lambda simulator: simulator.connections) == 0


def test_ca(apns: ApnsSimulator) -> None:
    """The CA is a file and the same as text, and a client trusts it as it is."""
    assert apns.ca_file.read_text("ascii") == apns.ca_pem
    assert len(ssl.create_default_context(cadata=apns.ca_pem).get_ca_certs()) == 1


def test_control_api_starts_when_asked_for() -> None:
    """The control API of the same simulator is there from when somebody asks where it is."""
    with ApnsSimulator() as apns:
        apns.add_device("Seen from outside")
        url = apns.control_url
        assert apns.control_url == url
        assert [device["name"] for device in httpx2.get(f"{url}/devices").json()["devices"]] == ["Seen from outside"]


def test_settings_and_end() -> None:
    """It behaves as its settings say; closed, twice even, it is gone with its files and refuses to be asked."""
    apns = ApnsSimulator(Settings(held=1))
    phone, token = phone_of(apns)
    for _ in range(2):
        push(apns, token)
    assert len(phone.notifications) == 1
    files = [apns.ca_file, apns.issue_key("AAAAAAAAAA").path]
    apns.close()
    apns.close()
    assert not any(Path(file).exists() for file in files)
    with pytest.raises(RuntimeError, match="after its end"):
        apns.add_device()


def test_thread_does_not_wait_for_itself() -> None:
    """Asked on its own thread it says so, where it would stand still for ever."""
    thread = LoopThread("mine")
    with pytest.raises(RuntimeError, match="mine cannot wait for itself"):
        thread.call(lambda: thread.call(lambda: None))
    thread.stop()
    thread.stop()
    assert repr(thread) == "<LoopThread mine alive=False>"


def test_lists_explain_themselves(apns: ApnsSimulator) -> None:
    """An explanation has the latest 20 lines, and says how many came before them."""
    phone, token = phone_of(apns)
    push(apns, token)
    (request,) = apns.requests
    assert (
        Requests([request] * LINES).explain()
        == [f"<200: production POST /3/device/{token[:22]}… com.example.app>"] * 20
    )
    assert Requests([request] * (LINES + 1)).explain()[0] == "(1 earlier)"
    assert len(Requests([request] * (LINES + 1)).explain()) == LINES + 1
    assert repr(phone.notifications) == "[<com.example.app alert 'hello'>]"
    with pytest.raises(RuntimeError, match="belong to no device"):
        Notifications().wait_for(1)
