"""The request's quick ways are Starlette's own, told sooner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request as PlainRequest

from heliogram.rest import Request
from heliogram.rest.request import MAX_HOST, QuickHeaders

NAMES = st.sampled_from([b"host", b"content-type", b"x-one", b"authorization"])
VALUES = st.binary(max_size=20).map(lambda raw: raw.replace(b"\0", b"0"))


def scope(headers: list[tuple[bytes, bytes]], **more: object) -> dict[str, object]:
    """What the server tells of a request."""
    place = {"scheme": "http", "server": ("10.0.0.1", 8080), "path": "/v1/x", "query_string": b"", "root_path": ""}
    return {"type": "http", "method": "GET", "headers": headers, **place, **more}


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_headers_are_found_as_starlette_finds_them(headers: list[tuple[bytes, bytes]]) -> None:
    """The first of a name counts, whatever its case, and what is not there is not found."""
    quick, plain = QuickHeaders(scope(headers)), Headers(scope=scope(headers))
    for name in ("host", "Content-Type", "X-One", "authorization"):
        assert (name in quick) is (name in plain)
        assert quick.get(name) == plain.get(name)
        assert quick.get(name, "none") == plain.get(name, "none")
        assert quick.getlist(name) == plain.getlist(name)
        if name not in plain:
            with pytest.raises(KeyError):
                quick[name]


HOSTS = [
    "example.com",
    "example.com:99",
    "EXAMPLE.com:80",
    "[::1]:8080",
    "a b",
    "x:y",
    "x/../y",
    "é",
    "",
    "h" * MAX_HOST,
]


@pytest.mark.parametrize("root", ["", "/root", "/root/"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", [*HOSTS, "h" * (MAX_HOST + 1), None])
def test_the_base_is_the_base_url(host: str | None, scheme: str, root: str) -> None:
    """For every host that a caller may name, and for none, whether it is kept in mind or not."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    given_scope = scope(headers, scheme=scheme, root_path=root)
    for _ in range(2):
        assert Request(dict(given_scope)).base == str(PlainRequest(dict(given_scope)).base_url)
