"""A webhook's address, read strictly."""

from __future__ import annotations

import pytest

from heliogram.domain.webhooks import MAX_URL
from heliogram.webhooks.urls import BadUrl, Target, UrlRules, read

STRICT = UrlRules()


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example.com", Target(secure=True, host="hooks.example.com", port=443, path="/")),
        (
            "https://hooks.example.com:8443/a?b=c",
            Target(secure=True, host="hooks.example.com", port=8443, path="/a?b=c"),
        ),
        ("HTTPS://Hooks.Example.COM/x", Target(secure=True, host="hooks.example.com", port=443, path="/x")),
        ("https://8.8.8.8/", Target(secure=True, host="8.8.8.8", port=443, path="/")),
        ("https://[2606:4700::1]:444/", Target(secure=True, host="2606:4700::1", port=444, path="/")),
        ("https://example.com?x=1", Target(secure=True, host="example.com", port=443, path="/?x=1")),
    ],
)
def test_a_good_address_is_read(url: str, target: Target) -> None:
    """Host, port and path."""
    assert read(url, STRICT) == target


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com/", "expected an address that begins with https://"),
        ("ftp://example.com/", "expected an address that begins with https://"),
        ("//example.com/", "expected an address that begins with https://"),
        ("example.com", "expected an address that begins with https://"),
        ("https://user@example.com/", "no user name"),
        ("https://user:pass@example.com/", "no user name"),
        ("https://example.com@127.0.0.1/", "no user name"),
        ("https://example.com/#x", "no fragment"),
        ("https://example.com/#", "no fragment"),
        ("https://example.com:0/", "port 0"),
        ("https://example.com:65536/", "not a URL"),
        ("https://example.com:x/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://", "needs a host"),
        ("https:///path", "needs a host"),
        ("https://-x.example/", "needs a host"),
        ("https://a..b/", "needs a host"),
        ("https://" + "a" * 64 + ".example/", "needs a host"),
        ("https://exa mple.com/", "only the characters"),
        ("https://example.com/\r\nX: y", "only the characters"),
        ("https://example.com/\x00", "only the characters"),
        ("https://ex\u00e4mple.com/", "only the characters"),
        ("https://example.com\\@127.0.0.1/", "only the characters"),
        ("https://localhost/", "not a public host"),
        ("https://x.localhost/", "not a public host"),
        ("https://127.0.0.1/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[v1.fe80]/", "in brackets"),
        ("https://[::ffff:169.254.169.254]/", "link-local"),
        ("https://[fe80::1%25eth0]/", "link-local"),
        ("https://2130706433/", "number in disguise"),
        ("https://127.1/", "number in disguise"),
        ("https://0x7f.1/", "number in disguise"),
        ("https://0x7f000001/", "number in disguise"),
        ("https://0177.0.0.1/", "number in disguise"),
        ("https://example.com/" + "a" * MAX_URL, "at most 2048"),
    ],
)
def test_a_bad_address_is_refused(url: str, problem: str) -> None:
    """With what is wrong, and never because something was half understood."""
    with pytest.raises(BadUrl, match=problem):
        read(url, STRICT)


def test_the_longest_address_is_taken() -> None:
    """2,048 characters."""
    url = "https://example.com/" + "a" * (MAX_URL - 20)
    assert read(url, STRICT).path == url[19:]


def test_plain_http_and_private_hosts_are_settings() -> None:
    """Each its own; metadata services stay closed."""
    with pytest.raises(BadUrl, match="expected an address that begins with https://"):
        read("http://127.0.0.1/", UrlRules(allow_private=True))
    with pytest.raises(BadUrl, match="loopback"):
        read("http://127.0.0.1/", UrlRules(allow_http=True))
    both = UrlRules(allow_http=True, allow_private=True)
    assert read("http://localhost:8080/x", both).authority == "localhost:8080"
    assert read("http://[::1]/x", both).authority == "[::1]"
    with pytest.raises(BadUrl, match="link-local"):
        read("http://169.254.169.254/latest/meta-data", both)
