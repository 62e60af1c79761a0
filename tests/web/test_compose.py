"""The compose page's form: sent once, and what is wrong with it said beside the field."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from support.dashboard_in_process import Desk, csrf, desk

from heliogram.web.pages._composing import read
from heliogram.web.pages._moments import moment, zone_of

pytestmark = pytest.mark.anyio

TOKEN = "ab" * 32


@pytest.fixture(scope="module")
async def shared(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One service for all tests of the form."""
    async with desk(tmp_path_factory.mktemp("compose")) as made:
        yield made


@pytest.fixture
async def at(shared: Desk, request: pytest.FixtureRequest) -> Desk:
    """A new account of it, with an app."""
    made = Desk(await shared.service.tenant(request.node.name))
    await made.service.app_named()
    return made


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
        ({"to": TOKEN, "kind": "activity"}, "Give the state as the app decodes it"),
        ({"to": TOKEN, "kind": "activity", "contentState": "[1]", "data": "["}, "Expected a JSON object such as"),
        ({"to": TOKEN, "kind": "activity", "contentState": "{}", "event": "stop"}, "event"),
        ({"to": TOKEN, "kind": "activity", "contentState": "{}", "event": "start"}, "Attributes type"),
        (
            {"to": TOKEN, "kind": "activity", "contentState": "{}", "event": "end", "dismissalDate": "soon"},
            "a time such as",
        ),
        ({"to": TOKEN, "kind": "activity", "contentState": "{}", "event": "end", "relevanceScore": "x"}, "such as 0.5"),
        ({"to": TOKEN, "body": "x", "sendAt": "1960-01-01T09:00"}, "time has passed"),
        ({"to": TOKEN, "body": "x", "sendAt": "1960-01-01T09:00", "zone": "Nowhere/Land"}, "Expected a time zone"),
        ({"to": TOKEN, "body": "x", "sendAt": "0001-01-01T00:00+14:00"}, "There is no such date or time"),
        ({"to": TOKEN, "body": "x", "sendAt": "9999-12-31T23:59-14:00"}, "There is no such date or time"),
        ({"to": TOKEN, "body": "x", "ttl": "5", "expiresAt": "1960-01-01T09:00"}, "either ttl or expiresAt"),
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
    page = await post(await at.signed_in(), "/compose/preview", {"to": TOKEN, "kind": "background", "data": '{"a": 1}'})
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
            "subtitle": " ",
            "contentState": "of another kind",
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


START = {"kind": "activity", "event": "start", "contentState": '{"minutes": 20}', "attributes": '{"order": 77}'}


@pytest.mark.parametrize(
    ("form", "request_"),
    [
        (
            {"kind": "background", "data": '{"a": 1}', "title": "not its own", "priority": "HIGH"},
            {"content": {"pushType": "background", "data": {"a": 1}}},
        ),
        (
            {"kind": "other", "pushType": "voip", "data": '{"call": 1}', "body": "not its own", "priority": "LOW"},
            {"content": {"pushType": "voip", "data": {"call": 1}}, "priority": "LOW"},
        ),
        (
            {**START, "attributesType": "Delivery", "alertTitle": "a", "activityId": "no", "inputPushToken": "yes"},
            {
                "content": {
                    "title": "a",
                    "liveActivity": {
                        "event": "start",
                        "contentState": {"minutes": 20},
                        "attributesType": "Delivery",
                        "attributes": {"order": 77},
                        "inputPushToken": True,
                    },
                }
            },
        ),
        (
            {
                **START,
                "event": "end",
                "activityId": "order-77",
                "zone": "Europe/Berlin",
                "staleDate": "2026-07-01T09:00",
                "dismissalDate": "2026-12-01 09:00:30",
                "relevanceScore": "50",
                "sendAt": "2026-11-24T09:00",
                "expiresAt": "2026-11-24T10:00Z",
                "title": "not its own",
            },
            {
                "content": {
                    "relevanceScore": 50.0,
                    "liveActivity": {
                        "event": "end",
                        "contentState": {"minutes": 20},
                        "activityId": "order-77",
                        "staleDate": "2026-07-01T09:00:00+02:00",
                        "dismissalDate": "2026-12-01T09:00:30+01:00",
                    },
                },
                "schedule": {"sendAt": ["2026-11-24T09:00:00+01:00"]},
                "expiresAt": "2026-11-24T10:00:00+00:00",
            },
        ),
    ],
)
def test_each_kind_has_its_own_fields(form: dict[str, str], request_: dict[str, Any]) -> None:
    """What was filled in for another kind stays in the form, and out of the request."""
    filled = read({"to": "anna", **form})
    assert filled.wrong == {}
    assert filled.request == {"to": [{"externalId": "anna"}], **request_}


@pytest.mark.parametrize(
    ("text", "zone", "at"),
    [
        ("2026-11-24T09:00", "", "2026-11-24T09:00:00+00:00"),
        ("2026-11-24 09:00:30", "+05:30", "2026-11-24T09:00:30+05:30"),
        ("2026-11-24T09:00", "-0330", "2026-11-24T09:00:00-03:30"),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T02:30:00+02:00"),
        ("2026-11-24t09:00:00z", "Europe/Berlin", "2026-11-24T09:00:00+00:00"),
        ("2026-03-29T02:30", "Europe/Berlin", "the clocks are set forward over it"),
        ("2026-02-30T09:00", "", "There is no such date or time"),
        ("2026-11-24T09:00+99:00", "", "There is no such date or time"),
        ("9999-12-31T23:59", "-12:00", "There is no such date or time"),
        ("tomorrow", "", "Expected a date and a time"),
        ("2026-11-24T09:00", "Europe", "Expected a time zone"),
        ("2026-11-24T09:00", "../../etc/passwd", "Expected a time zone"),
        ("2026-11-24T09:00", "+25:00", "Expected a time zone"),
        ("2026-11-24T09:00", "A" * 65, "Expected a time zone"),
    ],
)
def test_a_moment_is_what_the_clock_on_the_wall_shows_there(text: str, zone: str, at: str) -> None:
    """By the rules of that place on that day; what no clock shows is a mistake of the form."""
    try:
        told = moment(text, zone_of(zone))
    except ValueError as error:
        told = str(error)
    assert at in told


async def test_what_people_will_read_keeps_its_space(at: Desk) -> None:
    """And has the line ends of everywhere else: browsers send others."""
    browser = await at.signed_in()
    form = {"to": f" {TOKEN} ", "title": " Hello ", "body": "a\r\n b "}
    assert (await post(browser, "/compose", form)).status_code == 303
    (found,) = (await at.service.get("")).json()["pushNotifications"]
    content = (await at.service.get(f"/{found['id']}")).json()["content"]
    assert content == {"title": " Hello ", "body": "a\n b "}


async def test_a_preview_says_when_it_leaves(at: Desk) -> None:
    """In the zone that was named."""
    browser = await at.signed_in()
    day = datetime.fromtimestamp(at.clock.time(), UTC) + timedelta(days=2)
    form = {"to": TOKEN, "body": "x", "sendAt": f"{day:%Y-%m-%dT%H:%M}", "zone": "+02:00"}
    page = await post(browser, "/compose/preview", form)
    assert f"It leaves <strong>{day:%Y-%m-%d %H:%M} +02:00</strong>, in 1 d." in page.text


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
