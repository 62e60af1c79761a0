"""A connection goes to an address that was checked, and to no other."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Sequence

import pytest
from support.stores import Bench
from support.telling import Telling
from support.webhooks import LOOPBACK, Receiver, receiving, resolving

from heliogram.webhooks.connecting import Connector, Refused, SystemResolver, Unreachable, look_up
from heliogram.webhooks.urls import UrlRules, read

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"


def target(receiver: Receiver, host: str = "hooks.example.com") -> str:
    return f"http://{host}:{receiver.port}/hook"


async def test_a_name_that_leads_home_is_refused(receiver: Receiver) -> None:
    """Checked after resolving: the name itself looks like any other."""
    connector = Connector(UrlRules(allow_http=True), resolve=resolving("127.0.0.1"))
    with pytest.raises(Refused, match=r"hooks.example.com leads to an address that is not public \(loopback\)"):
        await connector.connect(read(target(receiver), UrlRules(allow_http=True)))
    assert receiver.connections == 0
    assert repr(connector) == "Connector(opened=0, refused=1)"


async def test_one_bad_address_spoils_them_all(receiver: Receiver) -> None:
    """A name with a public and a private address is a trick."""
    connector = Connector(UrlRules(allow_http=True), resolve=resolving(PUBLIC, "127.0.0.1"))
    with pytest.raises(Refused):
        await connector.connect(read(target(receiver), UrlRules(allow_http=True)))
    assert receiver.connections == 0


async def test_a_host_that_rebinds_between_check_and_connect_is_not_reached(receiver: Receiver) -> None:
    """The name is resolved once: what it says the second time is never asked."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) == 1 else ["127.0.0.1"]

    connector = Connector(LOOPBACK, resolve=rebinding, seconds=0.05)
    with pytest.raises(Unreachable):
        await connector.connect(read(target(receiver), LOOPBACK))
    assert (asked, receiver.connections) == (["hooks.example.com"], 0)


async def test_a_host_that_rebinds_between_two_batches_is_refused(bench: Bench, receiver: Receiver) -> None:
    """Each new connection is checked anew; link-local is closed whatever the settings."""
    answers = [["127.0.0.1"], ["169.254.169.254"]]

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    telling = Telling(bench, resolve=rebinding)
    webhook = await telling.webhook(target(receiver))
    for _ in range(2):
        await telling.emit()
        await telling.step()
    assert len(receiver.got) == 1
    assert (await telling.state(webhook)).last_error == (
        "hooks.example.com leads to an address that is not public (link-local)"
    )


async def test_the_connection_goes_to_the_checked_address_under_the_hosts_name(
    trust: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """TLS verifies the name, not the address; no other resolver is asked."""
    async with receiving(server_tls) as receiver:
        connector = Connector(LOOPBACK, tls=trust, resolve=resolving("127.0.0.1"))
        connection = await connector.connect(read(receiver.url, LOOPBACK))
        assert connection.address == "127.0.0.1"
        connection.close()
        other = receiver.url.replace("localhost", "hooks.example.com")
        with pytest.raises(Unreachable, match=r"TLS with hooks\.example\.com failed: Hostname mismatch"):
            await connector.connect(read(other, LOOPBACK))


async def test_an_unknown_certificate_is_refused(server_tls: ssl.SSLContext) -> None:
    """A receiver whose CA nobody vouches for gets nothing."""
    async with receiving(server_tls) as receiver:
        connector = Connector(LOOPBACK, resolve=resolving("127.0.0.1"))
        with pytest.raises(Unreachable, match="TLS with localhost failed"):
            await connector.connect(read(receiver.url, LOOPBACK))
        assert receiver.got == []


async def test_the_next_address_is_tried_when_one_does_not_answer(receiver: Receiver) -> None:
    """As with any host of several addresses."""
    connector = Connector(LOOPBACK, resolve=resolving("127.0.0.9", "127.0.0.1"))
    connection = await connector.connect(read(target(receiver), LOOPBACK))
    assert connection.address == "127.0.0.1"
    connection.close()


async def test_a_host_without_an_address_is_said(receiver: Receiver) -> None:
    """Whether the resolver fails or finds nothing."""

    async def failing(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (failing, resolving()):
        with pytest.raises(Unreachable, match=r"the host hooks.example.com has no address"):
            await Connector(LOOPBACK, resolve=resolve).connect(read(target(receiver), LOOPBACK))


async def test_resolving_counts_towards_the_time_to_connect(receiver: Receiver) -> None:
    """A resolver that is silent does not keep a courier for ever."""

    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    connector = Connector(LOOPBACK, resolve=silent, seconds=0.05)
    with pytest.raises(Unreachable, match=r"no connection to hooks.example.com within 0.05 s"):
        await connector.connect(read(target(receiver), LOOPBACK))


async def test_proxies_of_the_environment_are_ignored(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would see, and reach, what the checks are about."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    telling = Telling(bench)
    await telling.webhook(receiver.url)
    await telling.emit()
    await telling.step()
    assert len(receiver.got) == 1


async def test_a_redirect_is_not_followed(bench: Bench, receiver: Receiver) -> None:
    """Wherever it leads."""
    async with receiving() as other:
        receiver.refuse(307, f"Location: {other.url}")
        telling = Telling(bench)
        await telling.webhook(receiver.url)
        await telling.emit()
        await telling.step()
        assert (len(receiver.got), other.connections) == (1, 0)


async def test_a_name_server_that_is_silent_keeps_nobody_from_the_loops_own_resolver(receiver: Receiver) -> None:
    """Look-ups have threads of their own: connections to APNs open beside any number of them. One that was given up
    counts until it ends."""
    answering = threading.Event()

    def silent(host: str, port: int) -> Sequence[str]:
        answering.wait()
        return ["127.0.0.1"]

    resolver = SystemResolver(silent, at_once=40)
    connector = Connector(LOOPBACK, resolve=resolver, seconds=0.01)
    where = read(target(receiver), LOOPBACK)
    try:
        ends = await asyncio.gather(*(connector.connect(where) for _ in range(40)), return_exceptions=True)
        assert {str(end) for end in ends} == {"no connection to hooks.example.com within 0.01 s"}
        assert await asyncio.get_running_loop().getaddrinfo("localhost", receiver.port)
        with pytest.raises(Unreachable, match="40 names are being looked up already"):
            await connector.connect(where)
        assert repr(resolver) == "SystemResolver(busy=40)"
    finally:
        answering.set()


async def test_a_look_up_ends_with_what_the_system_says(receiver: Receiver) -> None:
    """Addresses, or the error; then it counts no more."""
    resolver = SystemResolver(look_up)
    assert "127.0.0.1" in await resolver("localhost", receiver.port)
    with pytest.raises(OSError):
        await resolver("", 1 << 20)
    assert repr(resolver) == "SystemResolver(busy=0)"
