"""Signing in with an API key, what the session's cookie is, and how a session ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.dashboard_in_process import Desk, csrf, desk, sign_in

from heliogram.domain.accounts import Scope
from heliogram.store.errors import StoreUnavailable
from heliogram.web.session import BELIEVED_SECONDS, LIFETIME_SECONDS
from heliogram.web.throttle import MAX_ADDRESSES, MAX_FAILURES, WINDOW_SECONDS, SignInThrottle

pytestmark = pytest.mark.anyio

WRONG = ("key_01h9krwprkeee8fzqspvwy6nq8", "nothing")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as made:
        yield made


async def test_a_stranger_is_led_to_the_form_and_back(at: Desk) -> None:
    """Without a session every page leads to the sign-in page, and that leads to the page that was asked for."""
    browser = at.browser()
    answer = await browser.get("/dashboard/operations?status=COMPLETED")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/sign-in?next=%2Foperations%3Fstatus%3DCOMPLETED"
    form = await browser.get(answer.headers["location"])
    assert 'value="/operations?status=COMPLETED"' in form.text
    answer = await sign_in(browser, at.service.key, next="/operations?status=COMPLETED")
    assert answer.headers["location"] == "/dashboard/operations?status=COMPLETED"


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_signing_in_leads_nowhere_else(at: Desk, next_: str) -> None:
    """Whatever the address says, the way on is a page of the dashboard."""
    answer = await sign_in(at.browser(), at.service.key, next=next_)
    assert answer.headers["location"] == "/dashboard/"


@pytest.mark.parametrize("mark", [":", "."])
async def test_a_key_may_be_given_in_one_piece(at: Desk, mark: str) -> None:
    """`keyId:secret`, as for curl, and `keyId.secret`, as for Bearer, go into the first field."""
    answer = await sign_in(at.browser(), (mark.join(at.service.key), ""))
    assert answer.status_code == 303


@pytest.mark.parametrize("key", [WRONG, ("key_01h9krwprkeee8fzqspvwy6nq8", ""), ("<b>x</b>", "y"), ("hgr_a.b", "x")])
async def test_a_wrong_key_is_refused(at: Desk, key: tuple[str, str]) -> None:
    """What is no key, or none that is known, begins no session, and what was typed is shown inert."""
    browser = at.browser()
    answer = await sign_in(browser, key)
    assert answer.status_code == 401
    assert "<b>" not in answer.text
    assert not browser.cookies


async def test_ten_wrong_keys_are_enough(at: Desk) -> None:
    """The eleventh try within five minutes is not looked at, a good key neither; then it goes on."""
    browser = at.browser()
    for _ in range(MAX_FAILURES):
        assert (await sign_in(browser, WRONG)).status_code == 401
    answer = await sign_in(browser, at.service.key)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, str(int(WINDOW_SECONDS)))
    at.clock.advance(WINDOW_SECONDS)
    assert (await sign_in(browser, at.service.key)).status_code == 303


async def test_failures_are_counted_for_each_address_and_forgotten_in_bounds(at: Desk) -> None:
    """Nobody waits for others' failures; of more addresses than are kept the oldest is forgotten."""
    throttle = SignInThrottle(at.clock)
    for _ in range(MAX_FAILURES):
        throttle.failed("first")
    for number in range(MAX_ADDRESSES - 1):
        throttle.failed(str(number))
    assert throttle.wait("first") > 0
    assert throttle.wait("0") == 0
    throttle.failed("one more")
    assert throttle.wait("first") == 0


async def test_an_ipv6_network_is_one_address(at: Desk) -> None:
    """Whoever has one address has 2^64 of them; of IPv4 each counts for itself, and what is no address for itself."""
    throttle = SignInThrottle(at.clock)
    for number in range(MAX_FAILURES):
        throttle.failed(f"2001:db8::{number:x}")
        throttle.failed(f"192.0.2.{number}")
        throttle.failed("")
    assert throttle.wait("2001:db8:0:0:ffff::1") > 0
    assert throttle.wait("2001:db8:0:1::") == throttle.wait("192.0.2.1") == 0
    assert throttle.wait("") > 0


async def test_an_ipv4_address_counts_for_itself_on_a_socket_of_both_families(at: Desk) -> None:
    """There it is written as IPv6 (RFC 4291, 2.5.5.2): one network for all would shut everybody out for one."""
    throttle = SignInThrottle(at.clock)
    for _ in range(MAX_FAILURES):
        throttle.failed("::ffff:192.0.2.1")
    assert throttle.wait("::ffff:192.0.2.1") == throttle.wait("192.0.2.1") > 0
    assert throttle.wait("::ffff:192.0.2.2") == 0


async def test_the_cookie_over_tls(at: Desk) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite=Strict, with an end; it holds nothing that can be read."""
    answer = await sign_in(at.browser("https://push.example"), at.service.key)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-heliogram=")
    assert set(cookie.lower().split("; ")[1:]) == {
        *("httponly", "path=/", "secure", "samesite=strict", f"max-age={LIFETIME_SECONDS}")
    }
    assert at.service.key[1] not in cookie
    assert at.service.key[0] not in cookie
    assert "max-age=" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
async def test_the_cookie_on_this_machine(at: Desk, host: str) -> None:
    """Not every browser keeps a Secure cookie of http://127.0.0.1: there it is another one, without that."""
    answer = await sign_in(at.browser(f"http://{host}"), at.service.key)
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("heliogram-local=")
    assert "secure" not in cookie
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("host", ["push.example", "10.0.0.7:8080", "127.0.0.1.evil.example"])
async def test_no_key_travels_in_the_clear(at: Desk, host: str) -> None:
    """Over plain HTTP from elsewhere there is no form, but a word on what to do; a key is not looked at."""
    browser = at.browser(f"http://{host}")
    form = await browser.get("/dashboard/sign-in")
    assert "would travel in the clear" in form.text
    assert "<input" not in form.text
    answer = await sign_in(browser, at.service.key)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("told", "status"), [("https", 303), ("http", 403), ("http, https", 303), (None, 303)])
async def test_a_proxy_speaks_tls(tmp_path: Path, told: str | None, status: int) -> None:
    """With --behind-proxy what the proxy says counts, its last word; a proxy that says nothing speaks TLS."""
    async with desk(tmp_path, behind_proxy=True) as at:
        headers = {} if told is None else {"X-Forwarded-Proto": told}
        answer = await sign_in(at.browser("http://push.example", **headers), at.service.key)
        assert answer.status_code == status


async def test_behind_a_proxy_each_address_has_its_own_count(tmp_path: Path) -> None:
    """Wrong keys from one address do not keep another one out; what a caller puts before counts for nothing."""
    async with desk(tmp_path, behind_proxy=True) as at:
        for number in range(MAX_FAILURES):
            browser = at.browser("http://push.example", **{"X-Forwarded-For": f"10.0.0.{number}, 192.0.2.1"})
            await sign_in(browser, WRONG)
        one = at.browser("http://push.example", **{"X-Forwarded-For": "192.0.2.1"})
        other = at.browser("http://push.example", **{"X-Forwarded-For": "192.0.2.2"})
        assert (await sign_in(one, at.service.key)).status_code == 429
        assert (await sign_in(other, at.service.key)).status_code == 303


async def test_a_proxy_may_add_a_line_of_its_own(tmp_path: Path) -> None:
    """What counts is the last line of several, too: a caller who sends one of each kind before is not believed."""
    async with desk(tmp_path, behind_proxy=True) as at:
        browser = at.browser("http://push.example")
        data = {"key_id": WRONG[0], "secret": WRONG[1]}
        for number in range(MAX_FAILURES + 1):
            lines = [("X-Forwarded-For", f"10.0.0.{number}"), ("X-Forwarded-For", "192.0.2.1")]
            answer = await browser.post("/dashboard/sign-in", data=data, headers=lines)
        assert answer.status_code == 429
        lines = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")]
        assert (await browser.post("/dashboard/sign-in", data=data, headers=lines)).status_code == 403


async def test_a_session_ends_after_twelve_hours(at: Desk) -> None:
    """Until then it is there; from then on its cookie opens nothing, and the sign-in page says so."""
    browser = await at.signed_in()
    at.clock.advance(LIFETIME_SECONDS - 1)
    assert (await browser.get("/dashboard/")).status_code == 200
    at.clock.advance(1)
    answer = await browser.get("/dashboard/")
    assert answer.headers["location"] == "/dashboard/sign-in?ended=1"
    assert "Your session is over" in (await browser.get(answer.headers["location"])).text


async def test_a_revoked_key_ends_its_sessions(at: Desk) -> None:
    """Within a second, and the cookie is dropped."""
    key = await at.service.new_key(Scope.READ)
    browser = await at.signed_in(key)
    assert (await browser.get("/dashboard/operations")).status_code == 200
    revoked = await at.service.client.delete(f"/v1/ApiKeys/{key[0]}")
    assert revoked.status_code < 300, revoked.text
    at.clock.advance(1)
    answer = await browser.get("/dashboard/operations")
    assert answer.headers["location"] == "/dashboard/sign-in?ended=1&next=%2Foperations"
    assert not browser.cookies


async def test_an_expired_key_ends_its_sessions(at: Desk) -> None:
    """As if it had been revoked."""
    body = {"name": "short", "scopes": ["read"], "expiresAt": "2100-01-01T00:00:00Z"}
    made = (await at.service.client.post("/v1/ApiKeys", json=body)).json()
    browser = await at.signed_in((made["id"], made["secret"]))
    rotated = await at.service.client.post(f"/v1/ApiKeys/{made['id']}/rotate", json={"graceSeconds": 60})
    assert rotated.status_code < 300, rotated.text
    at.clock.advance(59)
    assert (await browser.get("/dashboard/operations")).status_code == 200
    at.clock.advance(2)
    assert (await browser.get("/dashboard/operations")).headers["location"].startswith("/dashboard/sign-in?ended=1")


async def test_signing_out_ends_the_session_wherever_its_cookie_is(at: Desk) -> None:
    """A copy of the cookie opens nothing afterwards."""
    browser = await at.signed_in()
    copy = at.browser()
    copy.cookies.update(browser.cookies)
    assert (await copy.get("/dashboard/")).status_code == 200
    answer = await browser.post("/dashboard/sign-out", data={"csrf": await csrf(browser)})
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert "heliogram-local" not in browser.cookies
    assert "You are signed out." in (await browser.get("/dashboard/sign-in")).text
    assert (await copy.get("/dashboard/")).status_code == 303


async def test_signing_out_holds_on_other_nodes_and_after_a_restart(at: Desk) -> None:
    """On a node that has just looked within a second, on one that has not at once, and so for as long as it lasts."""
    browser, other = await at.signed_in(), at.restarted()
    copy = other.browser()
    copy.cookies.update(browser.cookies)
    assert (await copy.get("/dashboard/")).status_code == 200
    await browser.post("/dashboard/sign-out", data={"csrf": await csrf(browser)})
    at.clock.advance(BELIEVED_SECONDS)
    assert (await copy.get("/dashboard/")).status_code == 303
    later = at.restarted().browser()
    later.cookies.update(copy.cookies)
    at.clock.advance(LIFETIME_SECONDS - BELIEVED_SECONDS - 1)
    assert await at.service.store.forget_sessions(at.clock.ms) == 0
    assert (await later.get("/dashboard/")).status_code == 303
    at.clock.advance(1)
    assert await at.service.store.forget_sessions(at.clock.ms) == 1


async def test_to_sign_in_again_ends_the_session_before(at: Desk) -> None:
    """Its cookie, wherever it is kept, opens nothing on any node."""
    browser = await at.signed_in()
    copy = at.restarted().browser()
    copy.cookies.update(browser.cookies)
    assert (await sign_in(browser, at.service.key, csrf=await csrf(browser))).status_code == 303
    assert (await copy.get("/dashboard/")).status_code == 303
    assert (await browser.get("/dashboard/")).status_code == 200


async def test_while_the_store_is_away_nobody_is_let_in_unasked(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page says so and when to try again; signing out says what it could not do, and holds on this node."""

    async def away(*_: object) -> bool:
        raise StoreUnavailable("the database is away")

    browser = await at.signed_in()
    copy = at.browser()
    copy.cookies.update(browser.cookies)
    token = await csrf(browser)
    with monkeypatch.context() as patched:
        patched.setattr(at.service.store, "end_session", away)
        patched.setattr(at.service.store, "is_session_ended", away)
        at.clock.advance(BELIEVED_SECONDS)
        answer = await browser.get("/dashboard/operations")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "the database is away" in answer.text
        assert (await browser.get("/dashboard/sign-in")).status_code == 200
    assert (await browser.get("/dashboard/")).status_code == 200
    with monkeypatch.context() as patched:
        patched.setattr(at.service.store, "end_session", away)
        answer = await browser.post("/dashboard/sign-out", data={"csrf": token})
        assert answer.headers["location"] == "/dashboard/sign-in"
        assert "could not be reached" in (await browser.get("/dashboard/sign-in")).text
    assert (await copy.get("/dashboard/")).status_code == 303


async def test_who_signs_out_while_nobody_can_be_asked_is_signed_out_here(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago the session was looked at; a form that is not the session's own ends nothing, then as ever."""

    async def away(*_: object) -> bool:
        raise StoreUnavailable("the database is away")

    browser = await at.signed_in()
    copy = at.browser()
    copy.cookies.update(browser.cookies)
    token = await csrf(browser)
    with monkeypatch.context() as patched:
        patched.setattr(at.service.store, "end_session", away)
        patched.setattr(at.service.store, "is_session_ended", away)
        at.clock.advance(BELIEVED_SECONDS)
        assert (await browser.post("/dashboard/sign-out", data={"csrf": "x"})).status_code == 403
        answer = await browser.post("/dashboard/sign-out", data={"csrf": token})
        assert answer.headers["location"] == "/dashboard/sign-in"
        assert "heliogram-local" not in browser.cookies
        assert "could not be reached" in (await browser.get("/dashboard/sign-in")).text
    assert (await copy.get("/dashboard/")).status_code == 303


async def test_a_cookie_that_was_changed_opens_nothing(at: Desk) -> None:
    """Nor does one that is no cookie of ours, or one under the name for another transport."""
    browser = await at.signed_in()
    good = browser.cookies["heliogram-local"]
    for value in ("", "x", good[:-4] + "AAAA", "A" * 3000, "é"):
        headers = [(b"cookie", f"heliogram-local={value}".encode())]
        assert (await at.browser().get("/dashboard/", headers=headers)).status_code == 303
    secure = at.browser("https://push.example", Cookie=f"__Host-heliogram={good}")
    assert (await secure.get("/dashboard/")).status_code == 303


async def test_a_key_sees_what_its_scopes_let_it_see(at: Desk) -> None:
    """The API's no is a page that says which scope is lacking; the first page still works."""
    browser = await at.signed_in(await at.service.new_key(Scope.SEND))
    answer = await browser.get("/dashboard/operations")
    assert answer.status_code == 403
    assert "lacks the scope &#39;read&#39;" in answer.text
    assert "No figures for this key" in (await browser.get("/dashboard/")).text
