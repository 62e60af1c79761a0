"""A small application of its own for the tests of the HTTP layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request

from heliogram.rest import Call, PageQuery, Problem, Result, build_app, endpoint, not_found, page, resume


class Part(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A part of a thing."""

    part_name: Annotated[str, msgspec.Meta(min_length=1, max_length=8)]
    weight: Annotated[int, msgspec.Meta(ge=0, description="In grams.")] = 0


class NewThing(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What makes a thing."""

    name: str
    parts: Annotated[list[Part], msgspec.Meta(min_length=1, max_length=100)]
    labels: dict[str, int] = {}
    maker: Part | None = None


class Thing(msgspec.Struct, kw_only=True):
    """A thing."""

    id: str
    name: str


class ThingQuery(PageQuery, kw_only=True):
    """Filters of the list."""

    colour: Annotated[str | None, msgspec.Meta(description="Only of this colour.")] = None


class Things(msgspec.Struct):
    """A page of things."""

    things: list[Thing]


@dataclass
class Shop:
    """The state of the example."""

    things: dict[str, Thing] = field(default_factory=dict)


@endpoint("POST", "/Things", summary="Make", tag="Things", body=NewThing, returns=Thing, status=202, scope="write")
async def make_thing(call: Call[Shop]) -> Result:
    """Makes a thing."""
    body: NewThing = call.body
    thing = Thing(id=str(len(call.state.things) + 1), name=body.name)
    call.state.things[thing.id] = thing
    return Result(thing, headers={"Location": f"{call.prefix}/Things/{thing.id}"})


@endpoint("GET", "/Things", summary="List", tag="Things", query=ThingQuery, returns=Things, scope="read")
async def list_things(call: Call[Shop]) -> dict[str, Any]:
    """Lists things."""
    query, cursor = resume(call.query)
    start = cursor or 0
    things = [each for each in call.state.things.values() if query.colour in (None, each.name)]
    stop = start + query.page_size
    following = stop if stop < len(things) else None
    return page(things[start:stop], "things", query=query, cursor=cursor, next_cursor=following)


@endpoint("GET", "/Things/{thingId}", summary="Get", tag="Things", returns=Thing, scope="read", errors=(404,))
async def get_thing(call: Call[Shop]) -> Thing:
    """Answers a thing."""
    thing = call.state.things.get(call.path["thingId"])
    if thing is None:
        raise not_found("Thing", call.path["thingId"])
    return thing


@endpoint("GET", "/Things/Best", summary="Best", tag="Things", returns=Thing, scope="read", basis="ours")
async def best_thing(call: Call[Shop]) -> Thing:
    """A literal segment that a parameter could swallow."""
    return Thing(id="best", name="best")


@endpoint("DELETE", "/Things/{thingId}", summary="Break", tag="Things", scope="write", status=204)
async def break_thing(call: Call[Shop]) -> None:
    """Fails in a way nobody foresaw."""
    raise RuntimeError("the secret is 42")


@endpoint("GET", "/health", summary="Health", scope=None, returns=Thing, prefixed=False)
async def health(call: Call[Shop]) -> Thing:
    """Open to all."""
    return Thing(id="h", name="ok")


ENDPOINTS = (make_thing, list_things, get_thing, best_thing, break_thing, health)


async def only_ann(request: Request, scope: str | None) -> str:
    """Lets `Bearer ann` do everything and `Bearer bob` only read."""
    who = request.headers.get("authorization", "")
    if who not in ("Bearer ann", "Bearer bob"):
        raise Problem(401, 20003, "Unauthorized", "Who are you?", headers={"WWW-Authenticate": 'Basic realm="t"'})
    if who == "Bearer bob" and scope == "write":
        raise Problem(403, 20403, "Forbidden", "The key lacks the scope 'write'.")
    return who.removeprefix("Bearer ")


def shop_app(**options: Any) -> Starlette:
    """The example application, by default with authentication."""
    options.setdefault("authenticate", only_ann)
    options.setdefault("state", Shop())
    return build_app(options.pop("endpoints", ENDPOINTS), title="Shop", version="1", **options)


def shop(*, key: str | None = "ann", **options: Any) -> httpx2.AsyncClient:
    """A client of the example application."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    transport = httpx2.ASGITransport(shop_app(**options))
    return httpx2.AsyncClient(transport=transport, base_url="http://shop", headers=headers)
