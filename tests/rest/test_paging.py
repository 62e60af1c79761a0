"""Pages and their tokens."""

from __future__ import annotations

import base64

import pytest
from support.things import Shop, Thing, ThingQuery, shop

from heliogram.rest import Problem, page, resume

pytestmark = pytest.mark.anyio


def shop_of(count: int) -> Shop:
    """A shop with that many things."""
    return Shop({str(i): Thing(id=str(i), name="red" if i % 2 else "blue") for i in range(count)})


async def test_following_next_visits_everything_once() -> None:
    """`next` leads through all entries in order and is null at the end."""
    seen: list[str] = []
    params: dict[str, str | int] = {"pageSize": 3}
    async with shop(state=shop_of(8)) as client:
        while True:
            body = (await client.get("/v1/Things", params=params)).json()
            seen += [each["id"] for each in body["things"]]
            if body["pagination"]["next"] is None:
                break
            params = {"pageSize": 3, "pageToken": body["pagination"]["next"]}
    assert seen == [str(i) for i in range(8)]


async def test_self_repeats_the_page() -> None:
    """`self` as page token answers the same page, the first one included."""
    async with shop(state=shop_of(8)) as client:
        first = (await client.get("/v1/Things", params={"pageSize": 3})).json()
        again = await client.get("/v1/Things", params={"pageSize": 3, "pageToken": first["pagination"]["self"]})
    assert again.json() == first


async def test_the_default_page_holds_fifty() -> None:
    """Without `pageSize` a page has 50 entries."""
    async with shop(state=shop_of(51)) as client:
        assert len((await client.get("/v1/Things")).json()["things"]) == 50


async def test_a_token_carries_its_filters() -> None:
    """A client may follow `next` without repeating its filters."""
    async with shop(state=shop_of(8)) as client:
        first = (await client.get("/v1/Things", params={"pageSize": 2, "colour": "red"})).json()
        second = await client.get("/v1/Things", params={"pageToken": first["pagination"]["next"]})
    assert [each["id"] for each in second.json()["things"]] == ["5", "7"]


@pytest.mark.parametrize("colour", ["red", None])
def test_a_filter_that_contradicts_the_token_is_refused(colour: str | None) -> None:
    """Otherwise pages of two lists would mix."""
    made = page([], "things", query=ThingQuery(colour=colour), cursor=None, next_cursor=1)
    with pytest.raises(Problem, match="differs"):
        resume(ThingQuery(colour="blue", page_token=made["pagination"].next))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "not base64!",
        "é",
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b'{"c":1,"q":{"nope":1}}').decode(),
        base64.urlsafe_b64encode(b'{"c":1,"q":{"colour":1}}').decode(),
        base64.urlsafe_b64encode(b'{"c":1,"x":1}').decode(),
        "A" * 8193,
    ],
)
def test_a_made_up_token_is_a_400(token: str) -> None:
    """Whatever is not a token of ours is refused as such."""
    with pytest.raises(Problem) as caught:
        resume(ThingQuery(page_token=token))
    assert caught.value.status == 400
    assert caught.value.errors[0].path == "query.pageToken"
