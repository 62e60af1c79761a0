"""Requests that the demo shows as it makes them."""

from __future__ import annotations

from typing import Any

import httpx2

from .narrator import Narrator
from .processes import StepFailed


class Caller:
    """Makes JSON requests to one server, tells the narrator, and fails the step on an unexpected answer."""

    def __init__(self, base: str, narrator: Narrator, auth: tuple[str, str] | None = None) -> None:
        self._client = httpx2.Client(base_url=base, auth=auth, timeout=30.0, trust_env=False)
        self._base = base
        self._narrator = narrator

    def __repr__(self) -> str:
        return f"Caller({self._base})"

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def post(self, path: str, body: object) -> Any:
        """POSTs, shown."""
        return self._ask("POST", path, body)

    def get(self, path: str, *, quiet: bool = False) -> Any:
        """GETs, shown unless quiet."""
        return self._ask("GET", path, None, quiet=quiet)

    def exists(self, path: str) -> bool:
        """Whether a GET is answered with 200; not shown."""
        return self._send("GET", path, None).status_code == 200

    def _ask(self, method: str, path: str, body: object | None, *, quiet: bool = False) -> Any:
        if not quiet:
            self._narrator.request(method, f"{self._base}{path}", body)
        response = self._send(method, path, body)
        try:
            answer = response.json() if response.content else None
        except ValueError:
            answer = response.text
        if not quiet:
            self._narrator.answer(response.status_code, answer)
        if response.status_code >= 300:
            raise StepFailed(f"{method} {self._base}{path} was answered with {response.status_code}: {answer}")
        return answer

    def _send(self, method: str, path: str, body: object | None) -> httpx2.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise StepFailed(f"{method} {self._base}{path}: {error}") from error
