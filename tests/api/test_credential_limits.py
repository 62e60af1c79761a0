"""The bounds of an uploaded credential, at the edge and one past it."""

from __future__ import annotations

from typing import Any

import pytest
from support.service import Service, token_content

pytestmark = pytest.mark.anyio


async def problems(service: Service, content: dict[str, Any], **more: Any) -> list[tuple[str, int]]:
    """Where an upload is wrong, and with which code."""
    body = {"credentialType": "APN", "appName": "shop", "content": content, **more}
    answer = await service.post("/Credentials", body)
    assert answer.status_code == 400, answer.text
    return [(each["context"], each["code"]) for each in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("field", "most", "others", "code"),
    [
        ("signingKey", 65_536, token_content(), 70030),
        ("certificate", 65_536, {"privateKey": "x"}, 70033),
        ("privateKey", 65_536, {"certificate": "x"}, None),
        ("pkcs12", 65_536, {}, 70033),
        ("keyId", 64, token_content(), 70031),
        ("teamId", 64, token_content(), 70032),
        ("bundleId", 255, token_content(), 70003),
        ("password", 1_024, {"pkcs12": "AAAA"}, None),
    ],
)
async def test_a_field_has_so_many_characters_and_not_one_more(
    service: Service, field: str, most: int, others: dict[str, Any], code: int | None
) -> None:
    """At the bound it is read, and found to be none for a reason of its own; one past it, it is too long."""
    at_the_bound = await problems(service, {**others, field: "A" * most})
    assert ((f"$.content.{field}", code) in at_the_bound) is (code is not None)
    assert await problems(service, {**others, field: "A" * (most + 1)}) == [(f"$.content.{field}", 70003)]


async def test_an_app_s_name_has_64_characters_and_not_one_more(service: Service) -> None:
    """As documented (push-api.md 2.2)."""
    await service.app_named("a" * 64)
    assert await problems(service, token_content(), appName="a" * 65) == [("$.appName", 70003)]


async def test_a_topic_has_255_characters_and_not_one_more(service: Service) -> None:
    """What a header value of APNs takes."""
    longest = "com.example.shop." + "a" * 238
    await service.app_named("shop", content=token_content(topics=["com.example.shop", longest]))
    past = token_content(topics=["com.example.shop", longest + "a"])
    assert await problems(service, past) == [("$.content.topics[1]", 70003)]
