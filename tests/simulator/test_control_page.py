"""How the simulator's page is served: to whom, from where, under which policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from heliogram.simulator import Simulator
from heliogram.simulator.control import build_control
from heliogram.simulator.control.page import Page, wants_html
from heliogram.simulator.forward import Forwarder

pytestmark = pytest.mark.anyio

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    simulator = Simulator()
    await simulator.start()
    forwarder = Forwarder(simulator.apns.registry)
    transport = httpx2.ASGITransport(build_control(simulator, forwarder))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090") as client:
        yield client
    await forwarder.close()
    await simulator.stop()


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML;q=0.5", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=0.5, application/json", False),
        ("application/json;q=0.9, text/html", True),
        ("text/html;q=no, */*", False),
    ],
)
def test_who_gets_the_page(accept: str, html: bool) -> None:
    """Who asks for HTML by name, and no less than for JSON, gets the page; everybody else the index as JSON."""
    assert wants_html(accept) is html


async def test_the_root_is_a_page_for_browsers_and_an_index_for_programs(http: httpx2.AsyncClient) -> None:
    """One address, two representations, and caches are told what they depend on."""
    page = await http.get("/", headers={"accept": BROWSER})
    index = await http.get("/", headers={"accept": "*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.startswith("<!doctype html>")
    assert index.json()["name"] == "Heliogram simulator"
    assert page.headers["vary"] == index.headers["vary"] == "Accept"


async def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(http: httpx2.AsyncClient) -> None:
    """Scripts and styles come from this address alone; no text becomes HTML; no other page may frame this one."""
    page = await http.get("/", headers={"accept": BROWSER})
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["trusted-types"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|<style", page.text)


async def test_every_file_of_the_page_is_served_and_no_other(http: httpx2.AsyncClient) -> None:
    """Each file of the package has its address and type; nothing beside them can be reached."""
    names = Page().names
    assert {"index.html", "style.css", "app.js"} <= set(names)
    for name in names:
        answer = await http.get(f"/page/{name}")
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("../feed.py", "%2e%2e/feed.py", "none.js", ""):
        assert (await http.get(f"/page/{name}")).status_code == 404


async def test_a_file_that_has_not_changed_is_not_sent_again(http: httpx2.AsyncClient) -> None:
    """The entity tag a browser has already is answered 304 without a body."""
    first = await http.get("/page/app.js")
    again = await http.get("/page/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_files_name_no_other_address() -> None:
    """Nothing in the page points to another machine: it works without a network."""
    for name in Page().names:
        content = Page().respond(name).body
        found = set(re.findall(rb"https?://[\w.-]+", bytes(content)))
        assert found <= {b"http://www.w3.org", b"http://127.0.0.1"}, name
