"""Contents of texts alone, which are judged and written with less asking: with the same result."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from heliogram.domain import content_rules, payload
from heliogram.domain.composing import compose
from heliogram.domain.content import MAX_TEXT, Content
from heliogram.domain.content_rules import content_problems
from heliogram.domain.notifications import SendSpec
from heliogram.domain.pushtypes import PushType

TEXTS: list[dict[str, Any]] = [
    {"body": "Hello"},
    {"title": "Hello", "body": "Parcel 4711"},
    {"title": "a", "subtitle": "b", "body": "{{ name }}"},
    {"title": "a"},
    {},
]


@pytest.mark.parametrize("texts", TEXTS, ids=str)
def test_it_is_judged_as_any_other(texts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert needs its text, plain or not."""
    found = content_problems(Content(**texts))
    monkeypatch.setattr(Content, "is_plain", False)
    assert content_problems(Content(**texts)) == found
    assert [problem.path for problem in found] == ([] if "body" in texts else ["$.content.body"])


@pytest.mark.parametrize("name", ["title", "subtitle", "body"])
@pytest.mark.parametrize("more", [0, 1])
def test_its_texts_have_their_bound(name: str, more: int) -> None:
    """Each may have MAX_TEXT characters, and not one more."""
    content = replace(Content(body="b"), **{name: "x" * (MAX_TEXT + more)})
    assert [problem.path for problem in content_problems(content)] == [f"$.content.{name}"] * more


@pytest.mark.parametrize("texts", TEXTS[:3], ids=str)
def test_its_payload_is_written_as_any_other(texts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same names in the same order."""
    spec, _ = compose(Content(**texts), app_name="shop", leaves=0)
    assert spec is not None
    found = _written(spec)
    monkeypatch.setattr(Content, "is_plain", False)
    assert _written(spec) == found


def _written(spec: SendSpec) -> tuple[bytes | None, list[str]]:
    document = payload.document(spec)
    return payload.without_tags(document), [repr(piece) for piece in payload.pieces(document)]


@pytest.mark.parametrize(
    "more",
    [{"data": {}}, {"badge": 0}, {"content_available": True}, {"push_type": PushType.ALERT}, {"loc_args": []}],
    ids=str,
)
def test_whatever_else_it_has_is_asked_about(more: dict[str, Any]) -> None:
    """A field that is there, be it empty, makes it one of the others."""
    assert Content(body="b").is_plain
    assert not replace(Content(body="b"), **more).is_plain
    assert content_rules.content_problems(replace(Content(body="b"), **more)) == []
