"""The blocks of docs/howto/behind-a-proxy.md for nginx and Caddy, run by the real servers before a real service."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from support.ports import free_ports, own_host
from support.programs import Program
from support.stack import PUSH, BackEnd, Phones, service, simulator
from support.tls import Authority
from support.waiting import HANG_SECONDS, eventually

from heliogram.web.throttle import MAX_FAILURES

pytestmark = [pytest.mark.timeout(4 * HANG_SECONDS), pytest.mark.xdist_group("in_front")]

NAME = "push.example.com"
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "behind-a-proxy.md"
CURES = {"nginx": "scripts/test-services (as root) installs nginx", "caddy": "apt-get install caddy"}
IN_CI = ("nginx",)
"""What scripts/test-services installs."""
_AROUND_NGINX = """
daemon off;
pid {here}/pid;
error_log {here}/log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
{block}
}}
"""
_BEFORE_CADDY = "{\n    admin off\n    auto_https disable_redirects\n}\n"


def program(kind: str) -> str:
    """The server. Without it the test is skipped; in CI it fails for one that is installed there."""
    found = shutil.which(kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        message = f"{kind} is not installed: {CURES[kind]}"
        if os.environ.get("CI") and kind in IN_CI:
            pytest.fail(message)
        pytest.skip(message)
    return found


def block(language: str) -> str:
    """What the page shows."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def put(text: str, changes: dict[str, str]) -> str:
    """The block with what stands for its placeholders, each of which must be there."""
    for old, new in changes.items():
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    return text


def configured(kind: str, here: Path, at: str, behind: str) -> tuple[str, list[str]]:
    """The configuration, and the words that have the server run it."""
    if kind == "nginx":
        changes = {
            "listen 443 ssl": f"listen {at} ssl",
            "/etc/ssl/push.example.com.pem": f"{here}/cert.pem",
            "/etc/ssl/push.example.com.key": f"{here}/key.pem",
            "127.0.0.1:8080": behind,
        }
        text = _AROUND_NGINX.format(here=here, block=put(block("nginx"), changes))
        return text, ["-p", str(here), "-e", str(here / "log"), "-c", str(here / "config")]
    host, _, port = at.rpartition(":")
    opening = f"https://{NAME}:{port} {{\n    bind {host}\n    tls {here}/cert.pem {here}/key.pem"
    changes = {"push.example.com {": opening, "127.0.0.1:8080": behind}
    text = _BEFORE_CADDY + put(block("caddyfile"), changes)
    return text, ["run", "--adapter", "caddyfile", "--config", str(here / "config")]


class Front:
    """A proxy that runs."""

    def __init__(self, kind: str, at: str, cafile: str) -> None:
        self.kind, self.at = kind, at
        self._context = ssl.create_default_context(cafile=cafile)

    def __repr__(self) -> str:
        return f"Front({self.kind}, {self.at})"

    def client(self, *, local: str | None = None, **options: Any) -> httpx2.Client:
        """A client that takes it for the name's server, and may have an address of its own."""

        def named(request: httpx2.Request) -> None:
            request.extensions["sni_hostname"] = NAME

        return httpx2.Client(
            base_url=f"https://{self.at}",
            headers={"Host": NAME, **options.pop("headers", {})},
            transport=httpx2.HTTPTransport(verify=self._context, local_address=local, trust_env=False),
            timeout=HANG_SECONDS,
            event_hooks={"request": [named]},
            **options,
        )


@contextmanager
def front(kind: str, behind: str) -> Iterator[Front]:
    """The proxy before a service at that address, until the end."""
    found = program(kind)
    here = Path(tempfile.mkdtemp(prefix="hgfront-"))
    here.chmod(0o755)
    authority = Authority(here)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME)])
    certificate, key = authority.issue([(NameOID.COMMON_NAME, NAME)], [(names, False)])
    (here / "cert.pem").write_bytes(certificate)
    (here / "key.pem").write_bytes(key)
    host = own_host()
    at = f"{host}:{free_ports(1, host)[0]}"
    text, words = configured(kind, here, at, behind)
    (here / "config").write_text(text)
    home = {"HOME": str(here), "XDG_DATA_HOME": str(here), "XDG_CONFIG_HOME": str(here)}
    with (here / "out").open("wb") as out:
        child = subprocess.Popen([found, *words], stdout=out, stderr=out, env={**os.environ, **home})
    made = Front(kind, at, authority.cafile)
    try:
        eventually(lambda: _answers(made, child, here), what=f"{kind} to answer")
        yield made
    finally:
        child.terminate()
        child.wait(HANG_SECONDS)
        shutil.rmtree(here, ignore_errors=True)


def _answers(made: Front, child: subprocess.Popen[bytes], here: Path) -> bool:
    assert child.poll() is None, (here / "out").read_text()
    with made.client() as client:
        try:
            return client.get("/health/ready").status_code == 200
        except httpx2.TransportError:
            return False


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, BackEnd]]:
    """A service that stands behind proxies, and its caller's key."""
    directory = tmp_path_factory.mktemp("front")
    with simulator(directory) as apns, service(directory, apns.ready, "--behind-proxy") as program:
        backend, phones = BackEnd(program.ready["url"], directory / "data"), Phones(apns)
        backend.credential(phones.key())
        yield program, backend
        backend.close()
        phones.close()


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, served: tuple[Program, BackEnd]) -> Iterator[Front]:
    with front(request.param, served[0].ready["url"].removeprefix("http://")) as made:
        yield made


def test_a_campaign_goes_through_with_its_request_id(proxy: Front, served: tuple[Program, BackEnd]) -> None:
    """10,000 recipients in one body; what is larger than the service takes is refused: 413, by whomever. The service
    hears a proxy out that is still sending, or that would say 502."""
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="seconds")
    to = [{"token": number.to_bytes(32, "big").hex(), "provider": "APN"} for number in range(10_000)]
    body = {"to": to, "content": {"body": "There"}, "schedule": {"sendAt": [later]}}
    with proxy.client(auth=served[1].key) as client:
        sent = client.post(PUSH, json=body, headers={"X-Request-Id": "campaign-17"})
        assert sent.status_code == 202, sent.text
        assert sent.headers.get_list("x-request-id") == ["campaign-17"]
        assert client.get(f"{PUSH}/Operations/{sent.json()['operationId']}").json()["stats"]["scheduled"] == 10_000
        made = client.get("/health/live").headers["x-request-id"]
        assert len(made) > 8
        assert client.post(PUSH, content=b" " * (17 << 20)).status_code == 413


def sign_in(browser: httpx2.Client, key: tuple[str, str]) -> None:
    """Begins a session."""
    answer = browser.post("/dashboard/sign-in", data={"key_id": key[0], "secret": key[1]})
    assert answer.status_code == 303, answer.text
    assert "; secure" in answer.headers["set-cookie"].lower()


def test_live_figures_come_as_they_are_made(proxy: Front, served: tuple[Program, BackEnd]) -> None:
    """The stream goes on for minutes: a proxy that collects it would show nothing until then."""
    with proxy.client() as browser:
        sign_in(browser, served[1].key)
        stream = browser.stream("GET", "/dashboard/overview/events", headers={"Accept": "text/event-stream"})
        with stream as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            events: list[str] = []
            for line in answer.iter_lines():
                if line.startswith(":") or line in events:  # of the second picture: little is new, or nothing
                    break
                events += [line] * line.startswith("event: ")
            assert events != []
            assert "event: end" not in events


def test_wrong_keys_count_against_who_sent_them(proxy: Front, served: tuple[Program, BackEnd]) -> None:
    """What a client says of its own address is not believed: the proxy writes it. Others are not kept out by it."""
    away = {"nginx": "127.0.0.2", "caddy": "127.0.0.3"}[proxy.kind]
    wrong = {"key_id": "key_01h9krwprkeee8fzqspvwy6nq8", "secret": "wrong"}
    with proxy.client(local=away) as browser:
        answers = [
            browser.post("/dashboard/sign-in", data=wrong, headers={"X-Forwarded-For": f"198.51.100.{n}"}).status_code
            for n in range(MAX_FAILURES + 1)
        ]
    assert answers == [401] * MAX_FAILURES + [429]
    with proxy.client() as browser:
        sign_in(browser, served[1].key)
