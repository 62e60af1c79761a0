"""Paths found by their segments."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from heliogram.rest.direct import PathTree


class Named:
    """An application that is only told apart."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Not called here."""
        raise AssertionError


PATHS = ("/Things", "/Things/{thingId}", "/Things/Parts", "/Things/{thingId}/Parts/{partId}", "/Things/Parts/All", "/")
TREE = PathTree({path: Named(path) for path in PATHS})


@pytest.mark.parametrize(
    ("path", "found", "parameters"),
    [
        ("/", "/", {}),
        ("/Things", "/Things", {}),
        ("/Things/1", "/Things/{thingId}", {"thingId": "1"}),
        ("/Things/Parts", "/Things/Parts", {}),
        ("/Things/Parts/All", "/Things/Parts/All", {}),
        ("/Things/Parts/Parts/2", "/Things/{thingId}/Parts/{partId}", {"thingId": "Parts", "partId": "2"}),
        ("/Things/a:b c/Parts/é", "/Things/{thingId}/Parts/{partId}", {"thingId": "a:b c", "partId": "é"}),
    ],
)
def test_a_path_leads_to_its_application(path: str, found: str, parameters: dict[str, str]) -> None:
    """Literal segments win over parameters, but only where they lead to something."""
    got = TREE.find(path)
    assert got is not None
    app, values = got
    assert isinstance(app, Named)
    assert (app.name, values) == (found, parameters)


@pytest.mark.parametrize(
    "path", ["", "/things", "/Things/", "//", "/Things//Parts/1", "/Things/1/Parts", "/Things/1/2/3/4"]
)
def test_what_is_not_declared_is_not_found(path: str) -> None:
    """No empty parameter, no missing or spare segment, no other case."""
    assert TREE.find(path) is None
