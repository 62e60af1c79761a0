"""What a real app does with its token: hand it to its server at every launch, and try again later (LIFE-1)."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx2
import msgspec

from .registry import App, Launch, Registry

DEFAULT_TIMEOUT = 5.0
KEPT_BYTES = 65_536


class Forwarded(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the server said: ``status`` and ``body`` (JSON, or else text), or why it could not be asked."""

    status: int | None = None
    body: Any = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Forwarder:
    """Launches apps and forwards their tokens. ``timeout`` is in seconds, for a whole exchange."""

    def __init__(self, registry: Registry, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._registry = registry
        self._timeout = timeout
        self._failed: dict[int, tuple[str, App]] = {}
        self._client: httpx2.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<Forwarder pending={len(self.pending)}>"

    @property
    def pending(self) -> list[App]:
        """Apps whose token has not reached their server yet."""
        devices = self._registry.devices
        for key, (device_id, app) in list(self._failed.items()):
            device = devices.get(device_id)
            if not app.forward_pending or device is None or device.apps.get(app.bundle_id) is not app:
                del self._failed[key]
        return [app for _, app in self._failed.values()]

    async def launch(self, device_id: str, bundle_id: str) -> tuple[Launch, Forwarded | None]:
        """Start the app: it registers, then forwards. A failed forward never undoes the registration.

        An app that cannot register for want of a network forwards its token when it has one. Raises Missing.
        """
        launch = self._registry.launch(device_id, bundle_id)
        app = self._registry.app(device_id, bundle_id)
        if app.forward is None:
            return launch, None
        if launch.device_token is None:
            self._note(device_id, app, pending=app.registration_pending)
            return launch, None
        return launch, await self._forward(device_id, app)

    async def retry(self) -> list[Forwarded]:
        """Try once more for every app whose last attempt failed, one after the other."""
        waiting = {id(app) for app in self.pending if app.token is not None}
        ready = [failed for key, failed in self._failed.items() if key in waiting]
        return [await self._forward(device_id, app) for device_id, app in ready]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _forward(self, device_id: str, app: App) -> Forwarded:
        result = await self._post(app)
        self._note(device_id, app, pending=not result.succeeded)
        return result

    def _note(self, device_id: str, app: App, *, pending: bool) -> None:
        app.forward_pending = pending
        if pending:
            self._failed[id(app)] = device_id, app
        else:
            self._failed.pop(id(app), None)

    async def _post(self, app: App) -> Forwarded:
        forward, token = app.forward, app.token
        if forward is None or token is None:
            return Forwarded(error="the app has no token to forward")
        body = {
            "appName": forward.app_name or app.bundle_id,
            "token": token.value.decode("ascii"),
            "provider": "APN",
            "environment": app.environment,
        }
        if forward.user_id is not None:
            body["userId"] = forward.user_id
        headers = {
            "authorization": _basic(forward.api_key or forward.registration_token),
            "accept-encoding": "identity",
        }
        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=None, follow_redirects=False, trust_env=False)
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("POST", forward.url, json=body, headers=headers) as answer,
            ):
                return Forwarded(status=answer.status_code, body=_readable(await _beginning(answer)))
        except TimeoutError:
            return Forwarded(error=f"no complete answer within {self._timeout:g} s")
        except Exception as error:  # whatever an address somebody typed makes of the HTTP library is an answer too
            return Forwarded(error=f"{type(error).__name__}: {error}"[:300])


def _basic(credential: str | None) -> str:
    """``keyId:secret`` as it is; a registration token, having no colon, as the password of user ``registration``."""
    text = credential or ""
    pair = text if ":" in text else f"registration:{text}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


async def _beginning(answer: httpx2.Response) -> bytes:
    """The first `KEPT_BYTES` of an answer of any length."""
    content = b""
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) >= KEPT_BYTES:
            break
    return content[:KEPT_BYTES]


def _readable(content: bytes) -> Any:
    if not content:
        return None
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content.decode("utf-8", "replace")
