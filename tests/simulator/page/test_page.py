"""The page beside the phones: keys, requests, connections, clock and faults; and that everybody can use it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Error, Locator, expect
from support.browser import Shown
from support.peers import node_folder
from support.sim_client import TOPIC

from heliogram.simulator.lockscreen import Arrival

pytestmark = pytest.mark.anyio

SCREENSHOTS = os.environ.get("HELIOGRAM_SCREENSHOTS")
"""A directory that the screenshots of the documentation are written to."""
PICTURE_BYTES = 300_000


def requests(shown: Shown) -> Locator:
    return shown.page.get_by_role("list", name="Latest requests, newest first").get_by_role("listitem")


async def test_the_empty_page_teaches_the_way(shown: Shown) -> None:
    """Without phones and requests the page says what comes next, and where APNs listens."""
    host, port = shown.simulator.ports["production"]
    start = shown.page.locator("#start")
    await expect(start.get_by_role("button", name="Add a phone")).to_be_visible()
    await expect(start.get_by_text(f"{host}:{port}")).to_be_visible()
    await expect(shown.page.get_by_text("No request yet. APNs listens here:")).to_be_visible()
    await expect(shown.page.get_by_text(str(shown.simulator.ca_path.resolve())).first).to_be_visible()


async def test_a_key_is_shown_once_and_its_command_line_works(shown: Shown, tmp_path: Path) -> None:
    """The key is saved from the page, the private half leaves the page, and the command works (TOK-7)."""
    page = shown.page
    shown.phone()
    panel = page.get_by_role("region", name="Issue a key")
    await panel.get_by_role("button", name="Issue a key").click()
    await expect(panel.get_by_label("Private key (.p8)")).to_have_value(re.compile("^-----BEGIN PRIVATE KEY-----"))
    async with page.expect_download() as download:
        await panel.get_by_role("link", name="Save as a file").click()
    saved = await download.value
    await saved.save_as(tmp_path / saved.suggested_filename)
    await panel.get_by_role("button", name="I have saved it").click()
    assert await page.locator("#p8").input_value() == ""
    command = await panel.get_by_label("Send with it").input_value()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_shell(
        command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    await expect(page.locator("li.note").get_by_text("From your own APNs")).to_be_visible()


async def test_a_key_that_cannot_be_made_is_told(shown: Shown) -> None:
    """A topic that is none, or one key too many, is said beside the form (TOK-11)."""
    panel = shown.page.get_by_role("region", name="Issue a key")
    await panel.get_by_label("Topics").fill("no topic, ünicode")
    await panel.get_by_role("button", name="Issue a key").click()
    await expect(panel.get_by_role("alert")).not_to_be_empty()
    shown.complaints.clear()  # the browser logs every answer of 400 and above


async def test_requests_are_listed_with_their_answers(shown: Shown) -> None:
    """Each request has status, reason and phone; opened, what else is known; the problems can be seen alone."""
    _, token = shown.phone()
    accepted = await shown.push(token, {"alert": "hello"})
    await shown.push("ab" * 32, {"alert": "to nobody"})
    rows = requests(shown)
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("400BadDeviceToken")
    await expect(rows.nth(1)).to_contain_text("200Accepted")
    await expect(rows.nth(1)).to_contain_text("Anna's iPhone")
    await rows.nth(1).locator("summary").click()
    await expect(rows.nth(1).get_by_text(accepted.headers["apns-id"])).to_be_visible()
    await expect(shown.page.get_by_role("list", name="Answers so far")).to_contain_text("1 BadDeviceToken")
    await shown.page.get_by_label("problems only").check()
    await expect(rows).to_have_count(1)


async def test_findings_and_violations_are_shown(shown: Shown) -> None:
    """What is wrong with a push that was accepted is in its row, what a client did against the rules below them."""
    _, token = shown.phone()
    await shown.push(token, {"alert": 42})
    row = requests(shown).nth(0)
    await row.get_by_text("1 finding").click()
    await expect(row.get_by_text("Finding", exact=True)).to_be_visible()
    shown.simulator.apns.violations.add(1, "TOK-9", "changed its token too early")
    await shown.page.get_by_text("1 violation", exact=True).click()
    await expect(shown.page.get_by_text("changed its token too early")).to_be_visible()


async def test_a_connection_can_be_cut(shown: Shown) -> None:
    """Open connections are listed with what they did; a button breaks one."""
    _, token = shown.phone()
    await shown.push(token, {"alert": "hello"})
    panel = shown.page.get_by_role("region", name="Connections")
    await expect(panel.get_by_role("listitem")).to_contain_text(["1 requests"])
    await panel.get_by_role("button", name="Cut connection 1").click()
    await expect(panel.get_by_text("None open.")).to_be_visible()
    assert shown.simulator.connections == 0


async def test_the_clock_is_moved(shown: Shown) -> None:
    """A press lets time pass in the simulator and on its phones, another one takes it back."""
    shown.phone()
    panel = shown.page.get_by_role("region", name="Clock")
    await panel.get_by_role("button", name="+1 day").click()
    await expect(panel.get_by_text("1 d ahead")).to_be_visible()
    assert shown.simulator.time.offset == 86_400
    await panel.get_by_role("button", name="Real time").click()
    await expect(panel.get_by_text("real time", exact=True)).to_be_visible()


async def test_a_fault_is_set_and_mended(shown: Shown) -> None:
    """A fault applies to as many pushes as it says; one without a number is there until it is mended."""
    _, token = shown.phone()
    panel = shown.page.get_by_role("region", name="Faults")
    faults = panel.get_by_role("list", name="Faults that are set").get_by_role("listitem")
    await panel.get_by_label("How often").fill("")
    await panel.get_by_role("button", name="Break it").click()
    await expect(faults).to_have_count(1)
    assert (await shown.push(token, {"alert": "no"})).verdict == (503, "ServiceUnavailable")
    await expect(faults).to_contain_text(["happened 1 times"])
    await faults.get_by_role("button", name="Mend").click()
    await expect(faults).to_have_count(0)
    assert (await shown.push(token, {"alert": "yes"})).status == 200


async def test_starting_afresh_asks_first(shown: Shown) -> None:
    """Keys, phones and requests go with one press and a yes; the page is the empty one again."""
    shown.phone()
    await expect(shown.page.get_by_role("article")).to_have_count(1)
    shown.page.on("dialog", lambda dialog: dialog.accept())
    await shown.page.get_by_role("button", name="Start afresh").click()
    await expect(shown.page.get_by_text("From nothing to a notification")).to_be_visible()
    assert shown.simulator.devices() == []


async def test_it_says_when_the_simulator_is_gone(shown: Shown) -> None:
    """A page that hears nothing any more says so instead of showing old news as new."""
    await shown.server.stop()
    await expect(shown.page.locator("#live")).to_have_text("connection lost, trying again…")
    shown.complaints.clear()  # the browser logs that nobody answers


async def test_the_browser_enforces_the_policy(shown: Shown) -> None:
    """Neither a script made out of text nor a picture from elsewhere gets past the browser, and it shows here."""
    with pytest.raises(Error, match="TrustedScript"):
        await shown.page.evaluate("document.createElement('script').textContent = 'ran = 1'")
    async with shown.page.expect_console_message():
        await shown.page.evaluate("() => { new Image().src = 'http://evil.example/'; }")
    assert any("Content Security Policy" in each for each in shown.complaints)
    shown.complaints.clear()


async def test_the_way_with_the_keyboard_alone(shown: Shown) -> None:
    """Tab, Enter and Escape are enough: add a phone, launch its app, find every control with a visible focus."""
    page = shown.page
    skip = page.get_by_role("link", name="Skip to the requests")
    await page.keyboard.press("Tab")
    await expect(skip).to_be_focused()
    button = page.get_by_role("region", name="Phones").get_by_role("button", name="Add a phone").first
    await tab_to(shown, button)
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Add a phone")
    await expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("Ben's iPhone")
    await page.keyboard.press("Enter")
    phone = page.get_by_role("article", name="Ben's iPhone")
    await expect(phone.get_by_role("button", name=f"Copy token of {TOPIC}")).to_be_visible()
    token = shown.simulator.devices()[0].apps[TOPIC].token
    assert token is not None
    reinstall = phone.get_by_role("button", name=f"Re-install {TOPIC}")
    await tab_to(shown, reinstall)
    await page.keyboard.press("Space")
    await expect(phone.locator(".app-row code")).not_to_have_text(f"{token.value[:12].decode()}…")
    await expect(reinstall).to_be_focused()


async def tab_to(shown: Shown, wanted: Locator) -> None:
    """Press Tab until it has the focus; on the way, every element with the focus shows it."""
    focus = "() => { const at = getComputedStyle(document.activeElement); return [at.outlineStyle, at.outlineWidth]; }"
    for _ in range(60):
        await shown.page.keyboard.press("Tab")
        style, width = await shown.page.evaluate(focus)
        assert style != "none"
        assert float(width.removesuffix("px")) >= 2
        if await wanted.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{wanted} cannot be reached with Tab")


async def fill(shown: Shown) -> None:
    """A page with something in every part of it."""
    _, token = shown.phone()
    ben, _ = shown.phone("Ben's iPhone", "sandbox")
    shown.phone("Chen's iPhone")
    ben.connect(False)
    notify: list[dict[str, Any]] = [
        {"alert": {"title": "Rain at 15:00", "body": "Take an umbrella."}, "interruption-level": "passive"},
        {"alert": {"title": "Order 1042", "body": "Packed"}, "thread-id": "order"},
        {"alert": {"title": "Order 1042", "body": "On its way, two stops to go"}, "thread-id": "order"},
        {
            "alert": {"title": "Table for two", "subtitle": "Tonight", "body": "19:30 is confirmed. See you soon!"},
            "badge": 3,
            "interruption-level": "time-sensitive",
        },
    ]
    for aps in notify:
        await shown.push(token, aps)
    state = {"courier": "Dana", "stop": "2 of 5", "arrives": "14:25"}
    shown.simulator.apns.registry.activities.start(
        shown.simulator.devices()[0].id, TOPIC, "Delivery", content_state=state
    )
    await shown.push("ab" * 32, {"alert": "to nobody"})
    await shown.page.get_by_role("button", name="Break it").click()
    await expect(requests(shown)).to_have_count(5)
    await expect(shown.page.locator("li.note")).to_have_count(3)
    await expect(shown.page.locator("li.activity")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_accessible(shown: Shown, scheme: Any) -> None:
    """axe finds nothing wrong, neither on the empty page nor on a full one, by day or by night."""
    await shown.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await shown.page.evaluate((node_folder() / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8"))
    assert await problems(shown) == []
    await fill(shown)
    assert await problems(shown) == []
    await shown.page.get_by_role("button", name="Install an app").first.click()
    assert await problems(shown) == []


async def problems(shown: Shown) -> list[str]:
    found = await shown.page.evaluate("async () => (await axe.run()).violations")
    return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_looks_as_in_the_documentation(shown: Shown, scheme: Any, tmp_path: Path) -> None:
    """By day the page is light, by night dark; with HELIOGRAM_SCREENSHOTS it is the picture in the documentation."""
    page = shown.page
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await page.set_viewport_size({"width": 1280, "height": 1270})
    await fill(shown)
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in background.removeprefix("rgb(").removesuffix(")").split(",")) / 3
    assert brightness > 200 if scheme == "light" else brightness < 50
    await page.mouse.move(0, 0)
    await page.evaluate("scrollTo(0, 0)")
    name = "simulator.png" if scheme == "light" else "simulator-dark.png"
    picture = await page.screenshot(path=Path(SCREENSHOTS or tmp_path) / name)
    assert len(picture) < PICTURE_BYTES


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_nothing_sticks_out(shown: Shown, width: int) -> None:
    """At the width of a small phone, too, the page scrolls up and down only, and its parts stay inside it."""
    await shown.page.set_viewport_size({"width": width, "height": 740})
    await fill(shown)
    assert await shown.page.evaluate("document.documentElement.scrollWidth") == width
    await shown.page.get_by_role("button", name="Install an app").first.click()
    box = await shown.page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


async def test_ten_thousand_phones_are_a_handful_of_elements(shown: Shown) -> None:
    """Only the phones in view exist on the page; the others are found by paging, scrolling or searching."""
    for number in range(10_000):
        shown.simulator.add_device(f"Phone {number}")
    articles = shown.page.get_by_role("article")
    window = shown.page.locator("#window")
    await expect(window).to_have_text("1 to 3 of 10,000")
    await shown.page.get_by_role("button", name="Later phones").click()
    await expect(window).to_have_text("4 to 6 of 10,000")
    await expect(shown.page.get_by_role("article", name="Phone 4", exact=True)).to_be_visible()
    await shown.page.locator("#row").evaluate("row => { row.scrollLeft = row.scrollWidth; }")
    await expect(shown.page.get_by_role("article", name="Phone 9999")).to_be_visible()
    await shown.page.get_by_label("Find").fill("phone 777")
    await expect(shown.page.get_by_role("article", name="Phone 777", exact=True)).to_be_visible()
    await expect(window).to_have_text("1 to 3 of 11")
    assert await articles.count() <= 8


async def test_a_burst_is_counted_not_drawn(shown: Shown) -> None:
    """20,000 pushes to 1,000 phones: the page reads what is in view a few times, not once a push, and answers."""
    simulator, page = shown.simulator, shown.page
    tokens = []
    for number in range(1000):
        device = simulator.add_device(f"Phone {number}")
        simulator.install(device.id, TOPIC)
        tokens.append(simulator.apns.registry.tokens[(simulator.launch(device.id, TOPIC).device_token or "").encode()])
    await expect(page.locator("#window")).to_have_text("1 to 3 of 1,000")
    shown.fetched.clear()
    body = json.dumps({"aps": {"alert": "burst"}}).encode()
    for number in range(20_000):
        apns_id = b"%08X-0000-0000-0000-000000000000" % number
        tokens[number % 1000].receive(Arrival(apns_id, None, TOPIC.encode(), b"alert", None, None, body, 1.8e9))
        if number % 500 == 499:
            assert await page.evaluate("1 + 1") == 2
    first = page.get_by_role("article", name="Phone 0")
    await expect(first.locator("li.note")).to_have_count(20)
    assert len(shown.fetched) < 200
    assert await page.locator("*").count() < 4000


HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
HEAR = """() => new Promise((heard) => {
    const stream = new EventSource("/events?counts=true");
    stream.addEventListener("counts", () => { stream.close(); heard(); });
    stream.addEventListener("ready", () => fetch("/network", { method: "PUT", body: '{"reachable": true}',
        headers: { "content-type": "application/json" } }));
})"""


async def test_a_hidden_page_reads_nothing(shown: Shown) -> None:
    """While nobody looks the page fetches nothing; when it is looked at again it shows what has happened."""
    _, token = shown.phone()
    await expect(shown.page.get_by_role("article")).to_have_count(1)
    await shown.page.evaluate(HIDE, True)
    shown.fetched.clear()
    async with asyncio.timeout(90):
        heard = asyncio.ensure_future(shown.page.evaluate(HEAR))
        await shown.page.wait_for_event("request", lambda request: "network" in request.url)
        for number in range(3):
            await shown.push(token, {"alert": f"{number}"})
        await heard
    assert [url for url in shown.fetched if "phones" in url or "requests" in url] == []
    await shown.page.evaluate(HIDE, False)
    await expect(shown.page.locator("li.note")).to_have_count(3)
