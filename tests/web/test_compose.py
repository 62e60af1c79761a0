"""The compose page's form: sent once, and what is wrong with it said beside the field."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from support.dashboard_in_process import Desk, csrf, desk

from heliogram.web.pages._composing import read

pytestmark = pytest.mark.anyio

TOKEN = "ab" * 32


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as made:
        await made.service.app_named()
        yield made


async def operations(at: Desk) -> int:
    """How many there are."""
    return len((await at.service.get("/Operations")).json()["operations"])


async def post(browser: httpx2.AsyncClient, path: str, form: dict[str, str]) -> httpx2.Response:
    """The form, with its token."""
    return await browser.post(f"/dashboard{path}", data={"csrf": await csrf(browser), **form})


async def test_a_form_that_is_sent_twice_sends_once(at: Desk) -> None:
    """The same form makes the same operation; a new form another one."""
    browser = await at.signed_in()
    made = []
    for _ in range(2):
        page = await browser.get("/dashboard/compose")
        once = page.text.partition('name="once" value="')[2].partition('"')[0]
        form = {"to": TOKEN, "body": "Hello", "once": once}
        made += [(await post(browser, "/compose", form)).headers["location"] for _ in range(2)]
    assert made[0] == made[1] != made[2] == made[3]
    assert await operations(at) == 2


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"to": "", "body": "x"}, "Say to whom"),
        ({"to": TOKEN}, "body"),
        ({"to": "nobody", "body": "x"}, "nobody"),
        ({"to": TOKEN, "body": "x", "badge": "many"}, "Expected a whole number"),
        ({"to": TOKEN, "body": "x", "badge": "-1"}, "badge"),
        ({"to": TOKEN, "body": "x", "ttl": "-1"}, "ttl"),
        ({"to": TOKEN, "body": "x", "data": "[1]"}, "Expected a JSON object"),
        ({"to": TOKEN, "body": "x", "data": "{"}, "Expected a JSON object"),
        ({"to": TOKEN, "body": "{{ a }}", "variables": "no equals"}, "Expected name = value"),
        ({"to": TOKEN, "body": "{% if %}"}, "body"),
        ({"to": TOKEN, "body": "x" * 5000}, "4096"),
        ({"to": TOKEN, "body": "x", "appName": "nowhere"}, "nowhere"),
    ],
)
async def test_a_form_with_mistakes_says_which(at: Desk, form: dict[str, str], words: str) -> None:
    """Whether it was to be sent or to be shown, with what was filled in still there; nothing is sent."""
    browser = await at.signed_in()
    sent, shown = await post(browser, "/compose", form), await post(browser, "/compose/preview", form)
    assert sent.status_code in (400, 404)
    assert shown.status_code == 200
    for page in (sent.text, shown.text):
        assert words in page
        assert form.get("data", "") in page
    assert await operations(at) == 0


async def test_the_preview_is_there_before_the_recipient(at: Desk) -> None:
    """As long as nobody is named it is shown as for anybody."""
    page = await post(
        await at.signed_in(), "/compose/preview", {"to": "", "title": "{{ a }}", "body": "x", "variables": "a = b"}
    )
    assert '<p class="banner-title">b</p>' in page.text


async def test_a_push_that_shows_nothing_says_so(at: Desk) -> None:
    """A background push goes to the app alone."""
    page = await post(
        await at.signed_in(), "/compose/preview", {"to": TOKEN, "pushType": "background", "data": '{"a": 1}'}
    )
    assert "Nothing is shown" in page.text


def test_every_field_goes_where_the_api_has_it() -> None:
    """What is filled in is the request, and nothing else is."""
    filled = read(
        {
            "appName": "shop",
            "to": "anna",
            "title": "a",
            "body": "b",
            "badge": "0",
            "sound": "default",
            "priority": "LOW",
            "ttl": "60",
            "collapseId": "c",
            "image": "https://example.com/a.png",
            "contentAvailable": "yes",
            "variables": "x = 1\n\n y=2=3",
            "once": "k",
        }
    )
    assert filled.wrong == {}
    assert filled.request == {
        "to": [{"externalId": "anna", "variables": {"x": "1", "y": "2=3"}}],
        "from": {"appName": "shop"},
        "content": {
            "title": "a",
            "body": "b",
            "badge": 0,
            "sound": "default",
            "collapseId": "c",
            "image": "https://example.com/a.png",
            "contentAvailable": True,
        },
        "priority": "LOW",
        "ttl": 60,
    }


@pytest.mark.parametrize(
    ("text", "is_token"),
    [
        ("ab" * 8, True),
        ("<abababab abababab\n abababab abababab>", True),
        ("ab" * 200, True),
        ("ab" * 201, False),
        ("ab" * 7, False),
        ("ab" * 8 + "x", False),
        ("ab" * 8 + " " * 200_000 + "x", False),
        ("<" * 200_000 + "ab", False),
        ("ab " * 200_000, False),
    ],
)
def test_what_is_no_token_is_seen_at_once(text: str, is_token: bool) -> None:
    """However it is made: to try the same spaces again and again would hold up everybody for minutes."""
    (recipient,) = read({"to": text}).request["to"]
    assert ("token" in recipient) is is_token


def test_data_that_is_nested_too_deeply_is_a_mistake_of_the_form() -> None:
    """It is told beside the field as every other mistake."""
    assert "nested too deeply" in read({"to": "anna", "data": "[" * 100_000}).wrong["data"]
