"""Who is asking, behind proxies."""

from __future__ import annotations

import ipaddress

import pytest
from starlette.types import Message, Receive, Scope, Send

from heliogram.forwarded import MAX_ENTRIES, Forwarded, Proxies, address_of
from heliogram.settings import parse_networks

LOAD_BALANCER, PROXY, CALLER, LIE = "198.51.100.7", "10.0.0.2", "192.0.2.1", "203.0.113.9"
NAMED = Proxies(parse_networks(f"{LOAD_BALANCER},10.0.0.0/24", option=""))


@pytest.mark.parametrize(
    ("peer", "lines", "caller"),
    [
        ("127.0.0.1", [CALLER], CALLER),
        ("::1", [CALLER], CALLER),
        ("::ffff:127.0.0.1", [CALLER], CALLER),
        ("172.31.255.255", [CALLER], CALLER),
        ("172.32.0.0", [CALLER], "172.32.0.0"),
        ("fd00::1", [CALLER], CALLER),
        (LIE, [CALLER], LIE),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [f"{LIE}, {CALLER}"], CALLER),
        ("127.0.0.1", [LIE, CALLER], CALLER),
        ("127.0.0.1", [f"{LIE}, 10.9.9.9"], "10.9.9.9"),
        ("127.0.0.1", [f"{LIE}, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", ['"[2001:db8::1]:4711"'], "2001:db8::1"),
        ("127.0.0.1", [f"{CALLER}:4711"], CALLER),
        ("/run/socket", [CALLER], "/run/socket"),
    ],
)
def test_where_no_proxy_is_named_the_last_word_of_one_nearby_counts(peer: str, lines: list[str], caller: str) -> None:
    """On this machine or in a private network there is one proxy; what anybody else says, or was said before, is
    nobody's word, an address inside a private network included."""
    assert Proxies().caller(peer, lines) == caller


@pytest.mark.parametrize(
    ("peer", "lines", "caller"),
    [
        (PROXY, [CALLER], CALLER),
        (LOAD_BALANCER, [f"{LIE}, {CALLER}, {PROXY}"], CALLER),
        (PROXY, [f"{LIE}, {CALLER}", f"10.0.0.9, {LOAD_BALANCER}"], CALLER),
        (PROXY, [f"{LIE}, 10.0.1.1, {LOAD_BALANCER}"], "10.0.1.1"),
        (PROXY, [f"10.0.0.5, {LOAD_BALANCER}"], "10.0.0.5"),
        (PROXY, [f"{LIE}, what?, {LOAD_BALANCER}"], LOAD_BALANCER),
        ("127.0.0.1", [CALLER], "127.0.0.1"),
        (LIE, [CALLER], LIE),
    ],
)
def test_of_named_proxies_the_rightmost_address_that_is_none_of_theirs_counts(
    peer: str, lines: list[str], caller: str
) -> None:
    """However many they are in a row; nobody else is believed then, not even this machine."""
    assert NAMED.caller(peer, lines) == caller


def test_so_many_entries_are_looked_at() -> None:
    """Of a header that is longer the rightmost count: it costs a request nothing to be told more."""
    told = [CALLER, *["10.0.0.5"] * (MAX_ENTRIES - 1)]
    assert NAMED.caller(PROXY, [", ".join(told)]) == CALLER
    assert NAMED.caller(PROXY, [", ".join([*told, "10.0.0.5"])]) == "10.0.0.5"


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "10.0.0", "1.2.3.4.5", "[", "::1::", "push.example:80"])
def test_what_is_no_address_is_none(text: str) -> None:
    """Proxies may write words in place of an address (RFC 7239 §6)."""
    assert address_of(text) is None


def test_an_address_of_a_link_names_none() -> None:
    """The zone of an IPv6 address is this machine's own affair."""
    assert address_of("fe80::1%eth0") == ipaddress.ip_address("fe80::1")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("peer", "told", "client", "scheme"),
    [
        ("127.0.0.1", "https", CALLER, "https"),
        ("127.0.0.1", "http, HTTPS", CALLER, "https"),
        ("127.0.0.1", "https, http", CALLER, "http"),
        ("127.0.0.1", "gopher", CALLER, "http"),
        (LIE, "https", LIE, "http"),
    ],
)
async def test_a_request_comes_as_its_caller_sent_it(peer: str, told: str, client: str, scheme: str) -> None:
    """With the caller's address and scheme, where the proxy is believed."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        return {}

    async def send(_: Message) -> None:
        pass

    headers = [(b"x-forwarded-for", CALLER.encode()), (b"x-forwarded-proto", told.encode())]
    scope = {"type": "http", "scheme": "http", "client": (peer, 4711), "headers": headers}
    await Forwarded(app, Proxies())(scope, receive, send)
    assert (seen[0]["client"][0], seen[0]["scheme"]) == (client, scheme)
    assert (scope["client"], scope["scheme"]) == ((peer, 4711), "http")
