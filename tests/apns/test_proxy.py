"""Proxies: HTTP CONNECT and SOCKS5 in front of a real TLS server, and every way in which they say no."""

from __future__ import annotations

import asyncio
import random

import pytest
from support.apns_server import ApnsServer
from support.engine import HELLO, TOKEN, MakeClient
from support.manual_clock import ManualClock
from support.proxies import HttpProxy, SmallProxy, SocksProxy

from heliogram.apns import Client, NotSent, SigningKey
from heliogram.apns.connect import Dialer
from heliogram.apns.environment import Endpoint
from heliogram.apns.proxy import Proxy
from heliogram.apns.tunnel import MAX_ANSWER

pytestmark = pytest.mark.anyio

SECRET = "pa55:w@rd"
LOGIN = "user:pa55%3Aw%40rd"
KINDS = (HttpProxy, SocksProxy)


async def cause_of(client: Client) -> str:
    """Why a push could not be sent; fails when it could."""
    outcome = await client.send(TOKEN, HELLO)
    assert isinstance(outcome, NotSent)
    assert "pa55" not in outcome.cause
    return outcome.cause


@pytest.mark.parametrize("kind", KINDS)
async def test_pushes_go_through(server: ApnsServer, make_client: MakeClient, kind: type[SmallProxy]) -> None:
    """A push goes through the proxy, and TLS is with the server itself."""
    async with kind() as proxy:
        client = make_client(proxy=proxy.url())
        assert (await client.send(TOKEN, HELLO)).ok
        assert [one.split(" ")[-1] for one in proxy.targets] == [server.endpoint]
        await client.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_logging_in(server: ApnsServer, make_client: MakeClient, kind: type[SmallProxy]) -> None:
    """User and password of the URL are percent-decoded and given to the proxy."""
    async with kind(login=("user", SECRET)) as proxy:
        client = make_client(proxy=proxy.url(LOGIN))
        assert (await client.send(TOKEN, HELLO)).ok
        await client.close()


async def test_a_proxy_without_login_is_fine_with_one(server: ApnsServer, make_client: MakeClient) -> None:
    """A SOCKS5 proxy that asks for nothing is used, though a user and a password are at hand."""
    async with SocksProxy() as proxy:
        client = make_client(proxy=proxy.url(LOGIN))
        assert (await client.send(TOKEN, HELLO)).ok
        await client.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_the_proxy_resolves_the_name(
    server: ApnsServer, signing_key: SigningKey, clock: ManualClock, kind: type[SmallProxy]
) -> None:
    """The host name goes to the proxy as it is: this machine never looks it up."""
    async with kind() as proxy:
        host, port = server.endpoint.split(":")
        proxy.resolve["apns.invalid"] = (host, int(port))
        client = Client(
            signing_key, topic="com.x", endpoint="apns.invalid", proxy=proxy.url(), clock=clock, connect_attempts=1
        )
        # It reaches the server, whose certificate is for another name.
        assert "certificate" in (await cause_of(client)).lower()
        await client.close()
        assert [one.removeprefix("name ") for one in proxy.targets] == ["apns.invalid:443"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("login", ["", "user:wrong"])
async def test_wrong_login(make_client: MakeClient, kind: type[SmallProxy], login: str) -> None:
    """A proxy that wants a login gets none, or the wrong one: the cause names the proxy and says so."""
    async with kind(login=("user", SECRET)) as proxy:
        cause = await cause_of(make_client(proxy=proxy.url(login), connect_attempts=1))
        assert f"proxy {proxy.url()}" in cause
        assert ("did not take the user and password" if login else "wants a user and a password") in cause


async def test_http_refusal(make_client: MakeClient) -> None:
    """The status and the proxy's own words are in the cause, without what cannot be printed."""
    async with HttpProxy() as proxy:
        proxy.forbids = True
        cause = await cause_of(make_client(proxy=proxy.url(), connect_attempts=1))
        assert f"proxy {proxy.url()}: refused the tunnel: 403 Not ?here" in cause


@pytest.mark.parametrize(
    ("reply", "words"), [(2, "not allowed by its rules"), (5, "refused by the host"), (77, "(77)")]
)
async def test_socks_refusal(make_client: MakeClient, reply: int, words: str) -> None:
    """A SOCKS5 reply other than 0 is told in words."""
    async with SocksProxy() as proxy:
        proxy.reply = reply
        assert words in await cause_of(make_client(proxy=proxy.url(), connect_attempts=1))


@pytest.mark.parametrize("bound", [b"\x03\x04host\x00\x50", b"\x04" + bytes(18)])
async def test_socks_bound_addresses(server: ApnsServer, make_client: MakeClient, bound: bytes) -> None:
    """Whatever kind of address the reply has, exactly that much is read before TLS."""
    async with SocksProxy() as proxy:
        proxy.bound = bound
        client = make_client(proxy=proxy.url())
        assert (await client.send(TOKEN, HELLO)).ok
        await client.close()


GARBAGE = [
    (HttpProxy, b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/1.1"),
    (HttpProxy, b"HTTP/1.1 abc OK\r\n\r\n", "not HTTP/1.1"),
    (HttpProxy, b"HTTP/2 200\r\n\r\n", "not HTTP/1.1"),
    (HttpProxy, b"HTTP/1.1 200 OK\r\n", "closed the connection instead of answering"),
    (HttpProxy, b"HTTP/1.1 200 OK\r\n\r\nhello", "sent bytes of its own"),
    (HttpProxy, b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_ANSWER, f"more than {MAX_ANSWER} bytes"),
    (SocksProxy, b"HTTP/1.1 400 Bad Request\r\n\r\n", "not SOCKS5"),
    (SocksProxy, b"\x05", "closed the connection instead of answering"),
    (SocksProxy, b"\x05\x01", "was not offered"),
    (SocksProxy, b"\x05\xff", "wants a user and a password"),
    (SocksProxy, b"\x05\x00\x04\x00\x00\x01", "not SOCKS5"),
    (SocksProxy, b"\x05\x00\x05\x00\x00\x09", "unknown type (9)"),
]


@pytest.mark.parametrize("case", range(len(GARBAGE)))
async def test_garbage(make_client: MakeClient, case: int) -> None:
    """An answer that is none ends the attempt, and the cause says what came."""
    kind, answer, words = GARBAGE[case]
    async with kind(answer=answer) as proxy:
        cause = await cause_of(make_client(proxy=proxy.url(), connect_attempts=1))
        assert words in cause
        assert str(proxy.url()) in cause


@pytest.mark.parametrize("excess", [0, 1])
async def test_the_bound_of_an_answer(server: ApnsServer, make_client: MakeClient, excess: int) -> None:
    """Headers of 8192 bytes in all are taken, one more byte is not."""
    frame = b"HTTP/1.1 502 Bad\r\nX: \r\n\r\n"
    answer = frame.replace(b"X: ", b"X: " + b"x" * (MAX_ANSWER - len(frame) + excess))
    assert len(answer) == MAX_ANSWER + excess
    async with HttpProxy(answer=answer) as proxy:
        cause = await cause_of(make_client(proxy=proxy.url(), connect_attempts=1))
        assert ("more than 8192 bytes" if excess else "refused the tunnel: 502") in cause


@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxy_that_hangs(make_client: MakeClient, clock: ManualClock, kind: type[SmallProxy]) -> None:
    """A proxy that takes the connection and says nothing is given up after `proxy_timeout`."""
    async with kind(answer=b"") as proxy:
        sent = make_client(proxy=proxy.url(), connect_attempts=1).send(TOKEN, HELLO)
        await asyncio.wait_for(proxy.asked.wait(), 90)
        clock.advance(7.9)
        await asyncio.sleep(0)
        assert not sent.done()
        clock.advance(0.2)
        outcome = await sent
        assert isinstance(outcome, NotSent)
        assert f"proxy {proxy.url()}: no answer within 8 s" in outcome.cause


async def test_no_proxy_there(make_client: MakeClient) -> None:
    """A proxy that cannot be reached is named, not APNs."""
    async with HttpProxy() as proxy:
        url = proxy.url()
    assert f"proxy {url}: " in await cause_of(make_client(proxy=url, connect_attempts=1))


async def test_closing_while_the_proxy_hangs(make_client: MakeClient, clock: ManualClock) -> None:
    """Closing the client leaves no socket behind in the middle of the talk with the proxy."""
    async with HttpProxy(answer=b"") as proxy:
        client = make_client(proxy=proxy.url())
        sent = client.send(TOKEN, HELLO, timeout=0.1)
        await asyncio.wait_for(proxy.asked.wait(), 90)
        clock.advance(0.2)
        await client.close()
        assert isinstance(await sent, NotSent)


def test_urls() -> None:
    """Kind, host, port and login come out of the URL."""
    plain = Proxy.parse("http://proxy.example:3128")
    assert (plain.kind, plain.address, plain.user) == ("http", Endpoint("proxy.example", 3128), None)
    full = Proxy.parse("socks5h://a%40b:c%3Ad@[::1]:1080/")
    assert (full.kind, full.address, full.user, full.password) == ("socks5", Endpoint("::1", 1080), b"a@b", b"c:d")
    assert str(full) == "socks5://[::1]:1080"


def test_repr_has_no_login() -> None:
    """Neither user nor password is shown."""
    assert repr(Proxy.parse(f"http://{LOGIN}@proxy:8080")) == "<Proxy http://proxy:8080>"


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "user:pa55@proxy:3128",
        "//user:pa55@proxy:3128",
        "http://proxy",
        "http://user:pa55@:3128",
        "http://user:pa55@proxy:0",
        "http://user:pa55@proxy:65536",
        "http://user:pa55@proxy:x",
        "http://user:pa55@proxy:80/path",
        "http://user:pa55@proxy:80?q",
        "https://user:pa55@proxy:443",
        "socks4://user:pa55@proxy:1080",
        "http://user:pa55@pro xy:80",
        "http://user:pa55@prox\u2100y:80",
        "http://us%3Aer:pa55@proxy:80",
        "http://:pa55@proxy:80",
        "http://user:pa55%0d%0aX@proxy:80",
        "socks5://user@proxy:1080",
        "socks5://user:pa55" + "x" * 252 + "@proxy:1080",
        "http://user:pa55" + "x" * 4089 + "@proxy:1080",
        "",
        None,
    ],
)
def test_wrong_urls(url: object) -> None:
    """A URL that cannot work is refused at once, without repeating what may be a password."""
    with pytest.raises(ValueError, match=r"^proxy: ") as caught:
        Proxy.parse(url)
    assert "pa55" not in str(caught.value)


def test_the_longest_logins() -> None:
    """255 bytes each for SOCKS5 (RFC 1929), 4096 in all for HTTP."""
    assert Proxy.parse(f"socks5://{'u' * 255}:{'p' * 255}@proxy:1080").password == b"p" * 255
    assert Proxy.parse(f"http://u:{'p' * 4095}@proxy:1080").password == b"p" * 4095


def test_proxy_and_connect_exclude_each_other(signing_key: SigningKey) -> None:
    """Two ways at once are a mistake."""
    with pytest.raises(ValueError, match="proxy: given together with connect"):
        Client(signing_key, topic="com.x", proxy="http://proxy:80", connect=Dialer(random.Random()))


def test_ports(signing_key: SigningKey) -> None:
    """Apple's hosts listen on 443, the default, and on 2197 (CONN-1, CONN-5)."""
    shown = [repr(Client(signing_key, topic="com.x", port=port)) for port in (None, 443, 2197)]
    assert ["api.push.apple.com: " in one for one in shown] == [True, True, False]
    assert "api.push.apple.com:2197: " in shown[2]
    sandbox = Client(signing_key, topic="com.x", port=2197, environment="sandbox")
    assert "api.sandbox.push.apple.com:2197: " in repr(sandbox)


@pytest.mark.parametrize("port", [0, 80, 2195, 2196])
def test_wrong_ports(signing_key: SigningKey, port: int) -> None:
    """Another port than Apple's two needs an endpoint, and is not given beside one."""
    with pytest.raises(ValueError, match=f"port: APNs does not listen on {port}; give 443 or 2197"):
        Client(signing_key, topic="com.x", port=port)
    with pytest.raises(ValueError, match="port: given together with endpoint"):
        Client(signing_key, topic="com.x", port=2197, endpoint="localhost:1")
