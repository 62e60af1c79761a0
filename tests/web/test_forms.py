"""What a form says arrives as it was typed, and what a page says next comes from the dashboard alone."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import AsyncIterator

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from support.dashboard_in_process import Desk, csrf, desk

from heliogram.web.messages import COOKIE, SECONDS

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def shared(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One service for all tests."""
    async with desk(tmp_path_factory.mktemp("forms")) as made:
        yield made


@pytest.fixture
async def at(shared: Desk, request: pytest.FixtureRequest) -> Desk:
    """A new account of it."""
    return Desk(await shared.service.tenant(request.node.name))


async def left(at: Desk) -> httpx2.AsyncClient:
    """A browser that was just led to the next page, with a message for it."""
    browser = await at.signed_in()
    answer = await browser.post("/dashboard/sign-out", data={"csrf": await csrf(browser)})
    assert answer.status_code == 303
    assert COOKIE in browser.cookies
    return browser


async def test_a_message_is_shown_once(at: Desk) -> None:
    """The page after the form says what was done; the next one no longer."""
    browser = await left(at)
    assert "You are signed out." in (await browser.get("/dashboard/sign-in")).text
    assert "You are signed out." not in (await browser.get("/dashboard/sign-in")).text


async def test_a_message_waits_half_a_minute(at: Desk) -> None:
    """A cookie that was kept for longer says nothing."""
    browser = await left(at)
    at.clock.advance(SECONDS)
    assert "You are signed out." not in (await browser.get("/dashboard/sign-in")).text


@pytest.mark.parametrize("change", ["Call 0900 1234", "", "AAAA", "\xe9", "A" * 3000])
async def test_nobody_else_leaves_messages(at: Desk, change: str) -> None:
    """Whoever can put a cookie there, such as a neighbouring host, puts no words into the dashboard's mouth."""
    browser = await left(at)
    sealed = browser.cookies[COOKIE]
    forged = change or sealed[:-4] + ("BBBB" if sealed.endswith("AAAA") else "AAAA")
    answer = await at.browser().get("/dashboard/sign-in", headers={b"cookie": f"{COOKIE}={forged}".encode("latin-1")})
    assert answer.status_code == 200
    assert 'class="note good"' not in answer.text
    assert "0900" not in answer.text


def p12(password: str) -> str:
    """A certificate of an app with its key, as the Keychain exports it, in base64."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    topic = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.USER_ID, "com.example.shop"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "Apple Push Services: com.example.shop"),
        ]
    )
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(topic).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=300))
    sealed = BestAvailableEncryption(password.encode())
    made = pkcs12.serialize_key_and_certificates(b"push", key, builder.sign(key, hashes.SHA256()), None, sealed)
    return base64.b64encode(made).decode()


@pytest.mark.parametrize("password", [" begins", "ends ", "\u00a0", "in between"])
async def test_a_password_is_as_it_was_typed(at: Desk, password: str) -> None:
    """Space at its edges belongs to it; that around what was pasted beside it does not."""
    browser = await at.signed_in()
    form = {"form": "p12", "appName": " shop ", "credentialType": "APN", "pkcs12": p12(password), "password": password}
    answer = await browser.post("/dashboard/credentials/new", data={"csrf": await csrf(browser), **form})
    assert answer.status_code == 303, answer.text
    assert (await at.service.get("/Apps/shop")).status_code == 200
