"""Tags: the caller's own labels."""

from __future__ import annotations

from typing import Any

import pytest
from support.service import TOKEN, Service

pytestmark = pytest.mark.anyio

DIRECT = {"token": TOKEN, "provider": "APN"}
ALLOWED = "ABYZabyz0189._~-"


async def send(service: Service, tags: Any) -> Any:
    service.clock.advance(1)
    return await service.post("", {"to": [DIRECT], "content": {"body": "x"}, "tags": tags})


@pytest.mark.parametrize(
    "tags",
    [{}, None, {ALLOWED: ALLOWED}, {"k" * 128: "v" * 256}, {f"k{n}": "v" for n in range(10)}],
)
async def test_tags_are_kept_and_shown(service: Service, tags: dict[str, str] | None) -> None:
    """TW-16, OWN-7: On the operation and on its notifications, up to ten of the longest."""
    await service.app_named()
    answer = await send(service, tags)
    assert answer.status_code == 202, answer.text
    operation = (await service.get(f"/Operations/{answer.json()['operationId']}")).json()
    (listed,) = (await service.get("")).json()["pushNotifications"]
    single = (await service.get(f"/{listed['id']}")).json()
    assert operation["tags"] == listed["tags"] == single["tags"] == (tags or {})


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({f"k{n}": "v" for n in range(11)}, 70045),
        ({"": "v"}, 70003),
        ({"k" * 129: "v"}, 70003),
        ({"k": ""}, 70003),
        ({"k": "v" * 257}, 70003),
        ({"a b": "v"}, 70003),
        ({"k": "ä"}, 70003),
        ({"k": "a;b"}, 70003),
        ({"k": 1}, 70003),
    ],
)
async def test_a_bad_tag_is_refused(service: Service, tags: dict[str, Any], code: int) -> None:
    """TW-16: One past each edge, and characters that are not allowed."""
    await service.app_named()
    answer = await send(service, tags)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["errors"][0]["context"].startswith("$.tags")


async def test_lists_are_filtered_by_tags(service: Service) -> None:
    """TW-17, OWN-7: All pairs must be there; the last semicolon may be missing; operations and notifications alike."""
    await service.app_named()
    made = {
        name: (await send(service, tags)).json()["operationId"]
        for name, tags in {"a": {"k": "1", "l": "2"}, "b": {"k": "1"}, "c": {"k": "2"}, "d": None}.items()
    }

    async def found(tags: str, path: str, **more: Any) -> list[str]:
        answer = await service.get(path, tags=tags, **more)
        assert answer.status_code == 200, answer.text
        items = answer.json()["operations" if path else "pushNotifications"]
        return ["abcd"[list(made.values()).index(each["id" if path else "operationId"])] for each in items]

    for path in ("", "/Operations"):
        assert await found("k:1", path) == ["b", "a"]
        assert await found("k:1;l:2;", path) == ["a"]
        assert await found("k:2;", path) == ["c"]
        assert await found("l:1", path) == []
    assert await found("k:1", "", operationId=made["b"]) == ["b"]
    assert await found("k:1", "", status="SENT") == []


@pytest.mark.parametrize(
    "text", ["", ";", "k", "k:", ":v", "k:1;;", "k:1;k:2", "a b:1", ";".join(f"k{n}:1" for n in range(11))]
)
@pytest.mark.parametrize("path", ["", "/Operations"])
async def test_a_filter_that_is_none_is_refused(service: Service, text: str, path: str) -> None:
    """Rather than matching nothing."""
    answer = await service.get(path, tags=text)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"] == "query.tags"


async def test_a_page_token_keeps_the_tags(service: Service) -> None:
    """The second page is filtered like the first."""
    await service.app_named()
    for n in range(6):
        await send(service, {"odd": "yes" if n % 2 else "no"})
    first = (await service.get("", tags="odd:yes;", pageSize=2)).json()
    second = (await service.get("", pageToken=first["pagination"]["next"])).json()
    assert [len(page["pushNotifications"]) for page in (first, second)] == [2, 1]


async def test_the_longest_filter_has_page_tokens(service: Service) -> None:
    """Ten tags of 128 and 256 characters: `next` and `self` are taken."""
    await service.app_named()
    tags = {f"{n:0128}": "v" * 256 for n in range(10)}
    for _ in range(2):
        await send(service, tags)
    text = ";".join(f"{key}:{value}" for key, value in tags.items())
    first = (await service.get("/Operations", tags=text, pageSize=1)).json()
    assert (await service.get("/Operations", pageToken=first["pagination"]["self"], pageSize=1)).json() == first
    second = (await service.get("/Operations", pageToken=first["pagination"]["next"], pageSize=1)).json()
    assert len({page["operations"][0]["id"] for page in (first, second)}) == 2
