"""What arrives on the virtual phones, and what their buttons do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Locator, expect
from playwright.async_api import Route as BrowserRoute
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from support.browser import Shown
from support.sim_client import TOPIC

from heliogram.simulator.control import ControlServer

pytestmark = pytest.mark.anyio


def card(shown: Shown, name: str = "Anna's iPhone") -> Locator:
    """The phone of that name."""
    return shown.page.get_by_role("article", name=name)


def notes(phone: Locator) -> Locator:
    """Its notifications."""
    return phone.locator("li.note")


async def test_a_push_arrives_on_the_lock_screen(shown: Shown) -> None:
    """Title, subtitle, text and app are on the lock screen, the badge is on the app, and it is read out."""
    _, token = shown.phone()
    phone = card(shown)
    await expect(phone.get_by_text("No notification yet.")).to_be_visible()
    alert = {"title": "Table for two", "subtitle": "Tonight", "body": "Confirmed for 19:30"}
    reply = await shown.push(token, {"alert": alert, "badge": 3})
    assert reply.status == 200
    for text in ("Table for two", "Tonight", "Confirmed for 19:30"):
        await expect(notes(phone).get_by_text(text, exact=True)).to_be_visible()
    await expect(phone.get_by_label("badge 3")).to_have_text("3")
    announcer = shown.page.locator("#announcer")
    await expect(announcer).to_have_text("Anna's iPhone, App: Table for two. Tonight. Confirmed for 19:30")
    assert await announcer.get_attribute("aria-live") == "polite"


async def test_a_notification_shows_its_payload_when_it_is_opened(shown: Shown) -> None:
    """Opened, a notification tells the id it has, its collapse id and the payload as it came."""
    _, token = shown.phone()
    reply = await shown.push(token, {"alert": "hello", "sound": "default"}, ("apns-collapse-id", "greeting"))
    note = notes(card(shown))
    await note.get_by_text("hello", exact=True).click()
    await expect(note.get_by_text(reply.headers["apns-id"])).to_be_visible()
    await expect(note.get_by_text("greeting", exact=True)).to_be_visible()
    await expect(note.locator("pre")).to_contain_text('"sound": "default"')


async def test_the_same_collapse_id_replaces(shown: Shown) -> None:
    """Of two pushes with one collapse id, the newer alone is shown (LIFE-8)."""
    _, token = shown.phone()
    phone = card(shown)
    await shown.push(token, {"alert": "0:0"}, ("apns-collapse-id", "score"))
    await expect(notes(phone).get_by_text("0:0")).to_be_visible()
    await shown.push(token, {"alert": "1:0"}, ("apns-collapse-id", "score"))
    await expect(notes(phone).get_by_text("1:0")).to_be_visible()
    await expect(notes(phone)).to_have_count(1)


async def test_a_thread_is_stacked_and_can_be_unfolded(shown: Shown) -> None:
    """Notifications of one thread lie under the newest of them; a button shows them all and hides them again."""
    _, token = shown.phone()
    phone = card(shown)
    for number in (1, 2, 3):
        await shown.push(token, {"alert": f"Order {number}", "thread-id": "orders"})
    more = phone.get_by_role("button", name="2 more in “orders”")
    await expect(more).to_have_attribute("aria-expanded", "false")
    await expect(notes(phone)).to_have_count(1)
    await expect(notes(phone).get_by_text("Order 3")).to_be_visible()
    await more.click()
    await expect(notes(phone)).to_have_count(3)
    await phone.get_by_role("button", name="Show less").click()
    await expect(notes(phone)).to_have_count(1)


async def test_the_interruption_level_is_shown(shown: Shown) -> None:
    """A time-sensitive and a critical notification say so in words, not in colour alone."""
    _, token = shown.phone()
    for level, words in (("time-sensitive", "Time sensitive"), ("critical", "Critical"), ("passive", "Passive")):
        await shown.push(token, {"alert": level, "interruption-level": level})
        await expect(notes(card(shown)).get_by_text(words, exact=True)).to_be_visible()


async def test_a_background_push_is_a_line_in_the_log(shown: Shown) -> None:
    """Nobody sees a background push on the lock screen; the phone's log has it."""
    _, token = shown.phone()
    phone = card(shown)
    headers = (("apns-push-type", "background"), ("apns-priority", "5"))
    await shown.push(token, {"content-available": 1}, *headers)
    await phone.get_by_text("Log (1)").click()
    await expect(phone.get_by_text(f"{TOPIC} was woken by a background push")).to_be_visible()
    await expect(notes(phone)).to_have_count(0)


async def test_a_live_activity_is_a_card(shown: Shown) -> None:
    """A Live Activity is a card with its content state, and a push updates the card in place (LA-1)."""
    device, _ = shown.phone()
    started = shown.simulator.apns.registry.activities.start(
        device.id, TOPIC, "DeliveryAttributes", content_state={"stop": "Bakery"}
    )
    cards = card(shown).get_by_role("list", name="Live Activities").get_by_role("listitem")
    await shown.page.reload()
    await expect(cards).to_contain_text(["Bakery"])
    assert started.token is not None
    aps = {"timestamp": 1, "event": "update", "content-state": {"stop": "Harbour"}}
    topic = f"{TOPIC}.push-type.liveactivity"
    reply = await shown.push(
        started.token.value.decode(), aps, ("apns-push-type", "liveactivity"), ("apns-priority", "10"), topic=topic
    )
    assert reply.status == 200
    await expect(cards).to_contain_text(["Harbour"])
    await expect(cards).to_have_count(1)


async def test_a_long_name_leaves_the_phone_as_wide_as_the_others(shown: Shown) -> None:
    """A name of 100 letters without a blank is cut short; buttons and notifications beneath it stay in view."""
    shown.phone("A" * 100)
    shown.phone("B")
    phone, other = (card(shown, name * times) for name, times in (("A", 100), ("B", 1)))
    await expect(phone.get_by_role("button", name="Uninstall")).to_be_visible()
    for each in (phone, other):
        assert await each.evaluate("phone => phone.scrollWidth <= phone.clientWidth")


async def test_requests_that_are_read_last_are_counted_at_the_top(shown: Shown) -> None:
    """The line at the top is right as soon as the requests are, in whatever order the page's questions are answered."""
    page, may_answer = shown.page, asyncio.Event()

    async def late(route: BrowserRoute) -> None:
        answer = await route.fetch()
        await may_answer.wait()
        await route.fulfill(response=answer)

    _, token = shown.phone()
    await expect(notes(card(shown))).to_have_count(0)
    await page.route("**/requests?*", late)
    await shown.push(token, {"alert": "hello"})
    await expect(notes(card(shown))).to_have_count(1)
    await expect(page.locator("#counts")).to_contain_text("1 connection")
    may_answer.set()
    await expect(page.locator("#counts")).to_contain_text("1 request ·")


async def test_text_from_a_push_is_never_markup(shown: Shown) -> None:
    """What looks like HTML in a push is shown letter by letter; nothing of it runs or is fetched."""
    hostile = "<img src=//evil.example/x onerror=alert(1)><b>bold</b>"
    _, token = shown.phone(f"{hostile}"[:90])
    await shown.push(token, {"alert": {"title": hostile, "body": hostile}, "thread-id": hostile})
    await expect(shown.page.locator("li.note strong")).to_have_text(hostile)
    await expect(shown.page.locator("li.note img, li.note b")).to_have_count(0)


async def test_offline_and_online(shown: Shown) -> None:
    """Offline, a push waits at APNs and the phone says so; online again, it arrives (LIFE-6)."""
    _, token = shown.phone()
    phone = card(shown)
    await phone.get_by_role("button", name="Go offline").click()
    await expect(phone.get_by_text("offline", exact=True)).to_be_visible()
    assert (await shown.push(token, {"alert": "waited for you"})).status == 200
    await expect(phone.get_by_text("1 kept by APNs until it is back")).to_be_visible()
    await expect(notes(phone)).to_have_count(0)
    await phone.get_by_role("button", name="Go online").click()
    await expect(notes(phone).get_by_text("waited for you")).to_be_visible()


async def test_restore_makes_a_new_phone(shown: Shown) -> None:
    """The restored phone stands beside the old one with the same app, and gets a token at its launch (LIFE-2)."""
    shown.phone()
    await card(shown).get_by_text("A new phone, a new system").click()
    await card(shown).get_by_role("button", name="Restore").click()
    await expect(card(shown)).to_have_count(2)
    new = card(shown).nth(1)
    await expect(new.get_by_text("no device token: launch it")).to_be_visible()
    await new.get_by_role("button", name=f"Launch {TOPIC}").click()
    await expect(new.get_by_role("button", name=f"Copy token of {TOPIC}")).to_be_visible()


async def test_uninstall_ends_the_token(shown: Shown) -> None:
    """The app leaves the phone, and APNs answers 410 to its token from then on (LIFE-9)."""
    _, token = shown.phone()
    await card(shown).get_by_role("button", name=f"Uninstall {TOPIC}").click()
    await expect(card(shown).get_by_text("No app yet.")).to_be_visible()
    assert (await shown.push(token, {"alert": "too late"})).verdict == (410, "Unregistered")


class AppServer:
    """The server of an app: it remembers the tokens that were forwarded to it."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.http = ControlServer("127.0.0.1", 0)
        self.http.start(Starlette(routes=[Route("/register", self._register, methods=["POST"])]))

    async def _register(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        self.tokens.append(body["token"])
        return JSONResponse({}, status_code=201)


@pytest.fixture
async def app_server() -> AsyncIterator[AppServer]:
    server = AppServer()
    yield server
    await server.http.stop()


async def test_after_a_reinstall_the_next_push_arrives_under_the_new_token(shown: Shown, app_server: AppServer) -> None:
    """From an empty page: a phone whose app forwards its token by itself; re-installed, it forwards another one, the
    next push to that arrives, and the old one is 410 (LIFE-2)."""
    page = shown.page
    await page.locator("#start").get_by_role("button", name="Add a phone").click()
    dialog = page.get_by_role("dialog", name="Add a phone")
    await dialog.get_by_text("Let the app forward its token to a server").click()
    await dialog.get_by_label("URL").fill(f"{app_server.http.url}/register")
    await dialog.get_by_label("API key or registration token").fill("id:secret")
    await dialog.get_by_role("button", name="Add the phone").click()
    phone = card(shown)
    await expect(phone.get_by_text("forwards its token")).to_be_visible()
    (first,) = app_server.tokens
    await phone.get_by_role("button", name=f"Copy token of {TOPIC}").click()
    await expect(phone.get_by_text("Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == first
    await shown.push(first, {"alert": "before"})
    await expect(notes(phone).get_by_text("before")).to_be_visible()

    await phone.get_by_role("button", name=f"Re-install {TOPIC}").click()
    await expect(phone.locator(".app-row code")).not_to_have_text(f"{first[:12]}…")
    await expect(notes(phone)).to_have_count(0)
    _, second = app_server.tokens
    assert (await shown.push(second, {"alert": "after"})).status == 200
    await expect(notes(phone).get_by_text("after")).to_be_visible()
    assert (await shown.push(first, {"alert": "lost"})).verdict == (410, "Unregistered")


async def test_what_the_simulator_refuses_is_said_in_the_dialog(shown: Shown) -> None:
    """A mistake is told where it was made, and what was typed stays."""
    shown.phone()
    await card(shown).get_by_role("button", name="Install an app").click()
    dialog = shown.page.get_by_role("dialog", name="Install an app")
    await dialog.get_by_role("button", name="Install and launch it").click()
    await expect(dialog.get_by_role("alert")).to_contain_text(f"{TOPIC} is on device")
    await expect(dialog.get_by_label("Bundle id")).to_have_value(TOPIC)
    shown.complaints.clear()  # the browser logs every answer of 400 and above


async def test_a_second_try_is_for_the_same_phone(shown: Shown) -> None:
    """A phone whose app was refused is not made again when the mistake is put right."""
    await shown.page.locator("#start").get_by_role("button", name="Add a phone").click()
    dialog = shown.page.get_by_role("dialog", name="Add a phone")
    await dialog.get_by_label("Bundle id").fill("no bundle id!")
    await dialog.get_by_role("button", name="Add the phone").click()
    await expect(dialog.get_by_role("alert")).not_to_be_empty()
    await dialog.get_by_label("Bundle id").fill(TOPIC)
    await dialog.get_by_role("button", name="Add the phone").click()
    await expect(card(shown).get_by_role("button", name=f"Copy token of {TOPIC}")).to_be_visible()
    assert len(shown.simulator.devices()) == 1
    shown.complaints.clear()  # the browser logs every answer of 400 and above
