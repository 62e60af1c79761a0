"""`heliogram serve --apns-proxy`: all that it says to APNs goes through the proxy, whose password is never shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.programs import Program, heliogram
from support.proxies import HttpProxy
from support.stack import PUSH, BackEnd, Phones, service, simulator

pytestmark = pytest.mark.anyio

NAMES = ("production", "sandbox", "manage_production", "manage_sandbox")
LOGIN = ("push", "pa55w@rd")
URL_LOGIN = "push:pa55w%40rd"


def name(role: str) -> str:
    """What an APNs is called: nobody but the proxy knows where that is."""
    return f"{role.replace('_', '-')}.invalid"


@pytest.fixture
async def proxy(anyio_backend: str) -> AsyncIterator[HttpProxy]:
    async with HttpProxy(login=LOGIN) as made:
        yield made


class Behind:
    """A simulator that is reached through a proxy alone, and a service there."""

    def __init__(self, proxy: HttpProxy, directory: Path) -> None:
        self.proxy, self.directory = proxy, directory
        words = [word for role in NAMES for word in ("--name", name(role))]
        self.apns = simulator(directory, *words)

    def pointed(self) -> dict[str, Any]:
        """The simulator's ready line, with names that lead nowhere on this machine."""
        ready = dict(self.apns.ready)
        for role in NAMES:
            host, _, port = ready[role].rpartition(":")
            self.proxy.resolve[name(role)] = (host, int(port))
            ready[role] = f"{name(role)}:{port}"
        return ready

    def doctor(self, apns: dict[str, Any], url: str, *words: str) -> tuple[int, dict[str, dict[str, str]], str]:
        """The exit code, what was found by its check, and all that was printed."""
        done = heliogram(
            *("doctor", "--json", "--timeout", "60", "--listen", "127.0.0.1:0", "--apns-proxy", url),
            *("--apns-production", apns["production"], "--apns-sandbox", apns["sandbox"], "--apns-cacert", apns["ca"]),
            *("--apns-manage-production", apns["manage_production"]),
            *("--apns-manage-sandbox", apns["manage_sandbox"], "--data", str(self.directory / "data"), *words),
            timeout=600,
        )
        found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
        return done.returncode, found, done.stdout + done.stderr


def sends_all(served: Program, directory: Path, phones: Phones) -> None:
    """A check of the credential, one push, a campaign by a sender process, and a channel with a broadcast."""
    backend = BackEnd(served.ready["url"], directory / "data")
    key = phones.key()
    credential = backend.credential(key)
    checked = backend.call("POST", f"{PUSH}/Credentials/{credential}/check")
    assert checked["ok"], checked
    phone = phones.phone()
    token = phone.launch()
    backend.completed(backend.send({"token": token, "provider": "APN"}, body="one"))
    assert phone.bodies() == ["one"]
    campaign = backend.send(*[{"token": token, "provider": "APN"}] * 150, body="many")
    assert backend.completed(campaign)["stats"]["sent"] == 150
    made = backend.call("POST", f"{PUSH}/Apps/app/Channels", {"storagePolicy": "NO_MESSAGE_STORED"})
    update = {"content": {"liveActivity": {"event": "update", "contentState": {}}}}
    path = f"{PUSH}/Apps/app/Channels/{made['resourceId']}/Broadcasts"
    assert backend.completed(backend.call("POST", path, update)["operationId"])["stats"]["sent"] == 1
    backend.close()


def everything(proxy: HttpProxy, directory: Path) -> None:
    """The whole story, beside the loop that the proxy runs in."""
    behind = Behind(proxy, directory)
    secret = directory / "apns-proxy"
    secret.write_text(proxy.url(URL_LOGIN) + "\n")
    with behind.apns:
        pointed = behind.pointed()
        phones = Phones(behind.apns)
        served = service(directory, pointed, "--apns-proxy-file", str(secret), "--senders", "1", "--log-level", "debug")
        with served:
            sends_all(served, directory, phones)
        assert {target.partition(":")[0] for target in proxy.targets} == {name("production"), name("manage_production")}
        assert "pa55w" not in (directory / "service.log").read_text()
        code, found, said = behind.doctor(pointed, proxy.url(URL_LOGIN))
        assert code == 0, said
        assert found[f"proxy {proxy.url()}"]["text"].startswith("connected to 127.0.0.1")
        assert f"through the proxy {proxy.url()}" in found[f"tcp {pointed['sandbox']}"]["text"]
        assert found[f"http/2 {pointed['production']}"]["state"] == "ok"
        assert not any(check.startswith("dns ") for check in found)
        code, found, said = behind.doctor(pointed, proxy.url("push:pa55w"))
        assert (code, "pa55w" in said) == (1, False)
        refused = found[f"tcp {pointed['production']}"]
        assert f"proxy {proxy.url()}: did not take the user and password (407)" in refused["text"]
        assert "apns_proxy" in refused["cure"]
        [credential] = [each for check, each in found.items() if check.startswith("credential ")]
        assert "did not take the user and password (407)" in credential["text"]
        phones.close()


async def test_everything_goes_through_the_proxy(proxy: HttpProxy, tmp_path: Path) -> None:
    """Pushes, those of a sender process, checks, channels, broadcasts and the doctor: APNs has names here that only the
    proxy can resolve. A wrong password is told as what it is, and no password is shown."""
    await asyncio.to_thread(everything, proxy, tmp_path)
