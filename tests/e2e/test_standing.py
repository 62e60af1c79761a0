"""Processes of `heliogram serve` on one PostgreSQL database: one serves the API, another sends."""

from __future__ import annotations

import asyncio
import base64
import secrets
from pathlib import Path
from typing import Any

from support.postgres import server
from support.programs import heliogram
from support.stack import PUSH, BackEnd, Phones, service, simulator
from support.waiting import eventually

REFUSED = "InvalidProviderToken"


def test_what_a_worker_meets_the_api_tells(tmp_path: Path) -> None:
    """A credential that APNs refuses fails on the node that sends nothing, too; reconnected there, it works again
    (TOK-20). Beside them, the database is found to be whole."""
    key = tmp_path / "master.key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    key.chmod(0o600)
    store = ("--store", asyncio.run(server().database_for(tmp_path)), "--master-key", str(key))
    with simulator(tmp_path) as apns, service(tmp_path, apns.ready, *store, "--role", "api") as api:
        phones, back_end = Phones(apns), BackEnd(api.ready["url"], tmp_path / "data", *store)
        credential = back_end.credential(phones.key())

        def told() -> dict[str, Any]:
            found: dict[str, Any] = back_end.call("GET", f"{PUSH}/Credentials/{credential}")
            return found

        fault = phones.call("POST", "/faults", {"reason": REFUSED})["id"]
        with service(tmp_path, apns.ready, *store, "--role", "worker,dispatcher"):
            recipient = {"token": phones.phone().launch(), "provider": "APN"}
            operation = back_end.send(recipient)
            failing = eventually(lambda: told()["failing"], what="the API's node to hear of it")
            assert (failing["reason"], failing["waiting"]) == (REFUSED, 1)
            assert (told()["lastAnswer"]["status"], told()["lastSuccessAt"]) == (403, None)
            phones.call("DELETE", f"/faults/{fault}")
            back_end.call("POST", f"{PUSH}/Credentials/{credential}/reconnect", {})
            back_end.completed(operation)
            eventually(lambda: told()["failing"] is None, what="it to hear that it works")
            eventually(lambda: told()["lastSuccessAt"], what="it to hear of the success")
            phones.call("POST", "/faults", {"reason": REFUSED})
            back_end.send(recipient)
            eventually(lambda: told()["failing"], what="it to hear of it again")
        assert told()["failing"] is None  # the worker has ended, and took back what it said
        assert told()["lastAnswer"]["status"] == 403
        checked = heliogram("check", *store[:2], "--full")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        back_end.close()
        phones.close()
