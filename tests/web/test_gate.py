"""What stands before every page: forms from elsewhere, headers, files, fragments."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from importlib import resources

import httpx2
import pytest
from starlette.types import Message
from support.dashboard_in_process import Desk, csrf, desk

from heliogram.web.gate import CONTENT_SECURITY_POLICY, MAX_FIELDS, MAX_FORM
from heliogram.web.session import LIFETIME_SECONDS

pytestmark = pytest.mark.anyio

VENDORED = {
    "htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "htmx-ext-sse-2.2.4.min.js": "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136",
    "uplot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uplot-1.6.32.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
}
"""The files of the npm packages htmx.org 2.0.11, htmx-ext-sse 2.2.4 and uplot 1.6.32, by SHA-256."""
SEND = {"to": "ab" * 32, "body": "Hello"}


@pytest.fixture(scope="module")
async def shared(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One service for all tests."""
    async with desk(tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.fixture
async def at(shared: Desk, request: pytest.FixtureRequest) -> Desk:
    """A new account of it, with an app, and a dashboard of its own."""
    made = Desk(await shared.service.tenant(request.node.name))
    await made.service.app_named()
    return made


@pytest.fixture
async def browser(at: Desk) -> httpx2.AsyncClient:
    return await at.signed_in()


async def sent(at: Desk) -> int:
    """How many operations there are."""
    return len((await at.service.get("/Operations")).json()["operations"])


async def test_a_form_of_the_session_is_taken(at: Desk, browser: httpx2.AsyncClient) -> None:
    """With its token in the form or in htmx's header."""
    token = await csrf(browser)
    assert (await browser.post("/dashboard/compose", data={**SEND, "csrf": token})).status_code == 303
    answer = await browser.post("/dashboard/compose", data=SEND, headers={"X-CSRF-Token": token})
    assert answer.status_code == 303
    assert await sent(at) == 2


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("wrong", {}),
        ("other", {}),
        ("own", {"Sec-Fetch-Site": "cross-site"}),
        ("own", {"Sec-Fetch-Site": "same-site"}),
        ("own", {"Origin": "https://evil.example"}),
        ("own", {"Origin": "null"}),
    ],
)
async def test_a_form_from_elsewhere_is_refused(
    at: Desk, browser: httpx2.AsyncClient, token: str, headers: dict[str, str]
) -> None:
    """Without the session's own token, or when the browser says that another site sent it: nothing is done."""
    own = await csrf(browser)
    other = await csrf(await at.signed_in())
    given = {"own": own, "other": other}.get(token, token)
    answer = await browser.post("/dashboard/compose", data={**SEND, "csrf": given}, headers=headers)
    assert answer.status_code == 403
    assert "Nothing was changed" in answer.text
    assert await sent(at) == 0


async def test_a_foreign_site_signs_nobody_in(at: Desk) -> None:
    """The sign-in form, too, is taken from this origin alone."""
    data = {"key_id": at.service.key[0], "secret": at.service.key[1]}
    answer = await at.browser().post("/dashboard/sign-in", data=data, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/dashboard.css", "/nowhere", "/operations/x", "/static/x"])
async def test_every_answer_has_the_headers(browser: httpx2.AsyncClient, path: str) -> None:
    """The policy allows no script or style but the dashboard's own files, and no frame."""
    answer = await browser.get(f"/dashboard{path}")
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    if not path.startswith("/static/"):
        assert answer.headers["cache-control"] == "no-store"


async def test_files_are_kept_by_their_content(browser: httpx2.AsyncClient) -> None:
    """By the address that pages use for a year, otherwise with a tag to ask by; anyone may have them."""
    page = await browser.get("/dashboard/")
    address = page.text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    kept = await browser.get(address)
    assert "immutable" in kept.headers["cache-control"]
    asked = await browser.get("/dashboard/static/dashboard.css")
    assert asked.headers["cache-control"] == "public, no-cache"
    again = await browser.get("/dashboard/static/dashboard.css", headers={"If-None-Match": asked.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["../app.py", "%2e%2e/app.py", "vendor", "", "nothing.js"])
async def test_there_are_no_other_files(browser: httpx2.AsyncClient, name: str) -> None:
    """What is not a file below static/ is not there."""
    assert (await browser.get(f"/dashboard/static/{name}")).status_code == 404


def test_what_others_made_is_as_they_made_it() -> None:
    """The vendored files are those of the named packages, each with its licence beside it."""
    folder = resources.files("heliogram.web") / "static" / "vendor"
    there = {each.name: each.read_bytes() for each in folder.iterdir()}
    scripts = {name: data for name, data in there.items() if not name.endswith(".LICENSE")}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in scripts.items()} == VENDORED
    for name in scripts:
        assert name.partition(".min.")[0] + ".LICENSE" in there


async def test_forms_have_a_limit(browser: httpx2.AsyncClient) -> None:
    """2 MiB and 1,000 fields, as urlencoded text; more, or anything else, is refused in words."""
    token = await csrf(browser)
    kind = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": token}
    path = "/dashboard/compose/preview"
    assert (await browser.post(path, content=b"a=" + b"x" * (MAX_FORM - 2), headers=kind)).status_code == 200
    assert (await browser.post(path, content=b"a=" + b"x" * (MAX_FORM - 1), headers=kind)).status_code == 413
    assert (await browser.post(path, content=b"a=1&" * MAX_FIELDS, headers=kind)).status_code == 400
    assert (await browser.post(path, content=b"a=%ff", headers=kind)).status_code == 400
    other = {**kind, "Content-Type": "multipart/form-data; boundary=x"}
    assert (await browser.post(path, content=b"--x--", headers=other)).status_code == 415


async def test_a_page_that_is_not_there_says_so(browser: httpx2.AsyncClient) -> None:
    """In words, with a way on; what has another method is a 405."""
    answer = await browser.get("/dashboard/nowhere")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert 'href="/dashboard/"' in answer.text
    assert (await browser.get("/dashboard/sign-out")).status_code == 405
    assert (await browser.get("/dashboard/operations/comms_operation_%2e%2e")).status_code == 404


async def test_an_id_leads_to_no_other_path_of_the_api(at: Desk, browser: httpx2.AsyncClient) -> None:
    """A slash in an id, however it is written, is not a segment of the API's."""
    for ident in ("..%2f..%2fAccount", "Operations%2fx", "%2e%2e", "Operations", "Apps"):
        for page in ("operations", "notifications"):
            assert (await browser.get(f"/dashboard/{page}/{ident}")).status_code == 404


async def test_htmx_gets_the_part_alone(browser: httpx2.AsyncClient) -> None:
    """Without the page around it; a session that is over leads the whole window to the sign-in page."""
    token = await csrf(browser)
    headers = {"HX-Request": "true", "X-CSRF-Token": token}
    answer = await browser.post("/dashboard/compose/preview", data=SEND, headers=headers)
    assert answer.text.lstrip().startswith('<div id="preview"')
    assert "HX-Request" in answer.headers["vary"]
    browser.cookies.clear()
    answer = await browser.get("/dashboard/operations", headers=headers)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/dashboard/sign-in")


async def test_a_browser_is_led_from_the_root_and_a_machine_is_not(at: Desk) -> None:
    """`/` leads to the dashboard whoever wants HTML; the API's paths are the API's."""
    browser = at.browser()
    answer = await browser.get("/", headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/dashboard/")
    assert (await browser.get("/")).status_code == 401
    assert (await browser.get("/health")).status_code == 200
    assert (await browser.get("/dashboardx")).status_code == 401
    assert (await browser.get("/dashboard")).status_code == 303
    assert (await (await at.signed_in()).get("/dashboard")).status_code == 200


async def test_a_form_has_a_time_to_arrive(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends a part of one and then nothing more, as any stranger may, is answered, and the connection is closed."""
    monkeypatch.setattr("heliogram.web.gate.FORM_SECONDS", 0.0)
    told: list[Message] = []
    parts: list[Message] = [{"type": "http.request", "body": b"key_id=", "more_body": True}]

    async def receive() -> Message:
        return parts.pop() if parts else await asyncio.Future()

    async def send(message: Message) -> None:
        told.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/dashboard/sign-in", "query_string": b"", "headers": headers}
    await at.app(scope | {"scheme": "http", "client": ("127.0.0.1", 1), "server": None}, receive, send)
    assert told[0]["status"] == 408
    assert (b"connection", b"close") in told[0]["headers"]


async def test_where_htmx_is_led_is_an_address_of_ascii(browser: httpx2.AsyncClient) -> None:
    """As in the redirects of browsers without JavaScript: a header cannot have anything else."""
    answer = await browser.get("/dashboard/sign-in", params={"next": "/users?q=Zoë €"}, headers={"HX-Request": "true"})
    assert answer.headers["hx-redirect"] == "/dashboard/users?q=Zo%C3%AB%20%E2%82%AC"


@pytest.mark.parametrize("end", ["sign-out", "time"])
async def test_live_figures_end_with_the_session(at: Desk, browser: httpx2.AsyncClient, end: str) -> None:
    """A stream that is open shows nothing more once the session was ended or is over."""
    told = asyncio.create_task(browser.get("/dashboard/overview/events"))
    await at.clock.timer_set()
    if end == "sign-out":
        await browser.post("/dashboard/sign-out", data={"csrf": await csrf(browser)})
    at.clock.advance(1.0 if end == "sign-out" else LIFETIME_SECONDS)
    stream = (await told).text
    assert stream.count("event: numbers") == 1
    assert stream.endswith("event: end\ndata: \n\n")
