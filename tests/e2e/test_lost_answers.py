"""The service is killed when it has done what was asked, before it could say so: asked again, it does nothing twice."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.dying import DYING
from support.postgres import server
from support.programs import HELIOGRAM, Program
from support.service import token_content
from support.stack import BackEnd
from support.waiting import HANG_SECONDS, eventually

KEYS, HOOKS, CREDENTIALS = "/v1/ApiKeys", "/v1/Webhooks", "/v1/PushNotifications/Credentials"
HOOK = {"url": "https://hooks.example.com/", "types": ["*"]}
CREDENTIAL = {"credentialType": "APN", "appName": "app", "content": token_content()}


class Lost:
    """A back end whose service is killed at each write with a key, and started again."""

    def __init__(self, directory: Path, *store: str) -> None:
        more = ("--lease-seconds", "5") if store else ()
        self.words = ("--data", str(directory / "data"), "--listen", "127.0.0.1:0", *store, *more)
        self.log = directory / "service.log"
        self.asked: list[tuple[str, Any, str]] = []
        with self.serve() as program:
            self.back_end = BackEnd(program.ready["url"], directory / "data", *store)

    def serve(self, command: Sequence[str] = HELIOGRAM) -> Program:
        return Program("serve", *self.words, log=self.log, command=command)

    def ids(self, path: str) -> list[str]:
        """Of all that there is of a kind, the newest first."""
        (found,) = (each for each in self.back_end.call("GET", path).values() if isinstance(each, list))
        return [each["id"] for each in found]

    def lose(self, path: str, body: Any) -> None:
        """Asks for something with a key; the service dies before its answer is kept. `path` may name the newest key."""
        with self.serve(DYING) as program:
            self.at(program)
            request = (path.format(newest=self.ids(KEYS)[0]), body, secrets.token_hex(8))
            with pytest.raises(httpx2.TransportError):
                self._post(*request)
            self.asked.append(request)
            program.kill()

    def at(self, program: Program) -> None:
        self.back_end.close()
        self.back_end.at(program.ready["url"])

    def again(self) -> list[Any]:
        """What the same requests are answered now."""
        return [self._again(*request) for request in self.asked]

    def _again(self, path: str, body: Any, key: str) -> Any:
        def answered() -> httpx2.Response | None:
            answer = self._post(path, body, key)
            return None if answer.status_code == 409 else answer  # until the dead one's hold on the key ends

        answer = eventually(answered, what="the key to be free")
        assert answer.headers["idempotent-replayed"] == "true", answer.text
        assert self._post(path, body, key).content == answer.content
        return answer.json()

    def _post(self, path: str, body: Any, key: str) -> httpx2.Response:
        return self.back_end.http.post(path, json=body, headers={"Idempotency-Key": key})

    def opens(self, key: dict[str, Any]) -> bool:
        """Whether the secret that was told opens the account."""
        with httpx2.Client(auth=(key["id"], key["secret"]), trust_env=False, timeout=HANG_SECONDS) as client:
            return client.get(self.back_end.http.base_url.join("/v1/Account")).is_success


@pytest.fixture(params=["sqlite", "postgres"])
def lost(request: pytest.FixtureRequest, tmp_path: Path) -> Lost:
    if request.param == "sqlite":
        return Lost(tmp_path)
    key = tmp_path / "master.key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    key.chmod(0o600)
    return Lost(tmp_path, "--store", asyncio.run(server().database_for(tmp_path)), "--master-key", str(key))


def test_a_kill_between_what_was_made_and_its_answer_makes_no_second(lost: Lost) -> None:
    """OWN-10: one API key and one successor, whose secrets open the account; one webhook; one credential."""
    lost.lose(KEYS, {"name": "app", "scopes": ["admin"]})
    lost.lose(KEYS + "/{newest}/rotate", {})
    lost.lose(HOOKS, HOOK)
    lost.lose(CREDENTIALS, CREDENTIAL)
    with lost.serve() as program:
        lost.at(program)
        key, successor, hook, credential = lost.again()
        assert lost.ids(KEYS) == [successor["id"], key["id"], lost.back_end.key[0]]
        assert [lost.opens(each) for each in (key, successor)] == [True, True]
        assert lost.ids(HOOKS) == [hook["id"]]
        assert hook["secret"].startswith("whsec_")
        assert lost.ids(CREDENTIALS) == [credential["resourceId"]]
        lost.back_end.close()
