"""Backup, check and restore around a service that runs and sends, as separate processes."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.programs import Program, heliogram
from support.stack import BackEnd, Phones, service


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def command(*words: str, code: int = 0) -> dict[str, Any]:
    """What a command tells programs."""
    done = heliogram(*words, "--json")
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_restored_service_goes_on_where_the_backup_was_made(
    served: Program, apns: Program, backend: BackEnd, phones: Phones, tmp_path: Path
) -> None:
    """Made while the service sends: the copy is well; restored elsewhere with the key beside it, keys, devices and what
    was sent are there, and what waited goes out, once more under the same ids if it went out since."""
    data, other = str(tmp_path / "data"), tmp_path / "other"
    backend.credential(phones.key())
    phone = phones.phone()
    user = {"userId": backend.register(phone.launch())["userId"]}
    first = backend.completed(backend.send(user, body="first"))
    soon = backend.send(user, body="soon", schedule={"sendAt": [in_seconds(4)]})
    later = backend.send(user, body="later", schedule={"sendAt": [in_seconds(86_400)]})
    copy = command("backup", str(tmp_path / "copy.db"), "--data", data)["file"]
    assert command("check", "--data", data, "--full")["problems"] == []
    assert command("check", "--backup", copy, "--full")["operations"] == 3
    assert heliogram("restore", copy, "--data", data, "--replace").returncode == 1
    backend.completed(soon)
    assert phone.bodies() == ["first", "soon"]
    backend.close()
    served.stop()

    assert command("restore", copy, "--data", str(other / "data"))["waitingRecipients"] == 2
    shutil.copy(tmp_path / "data" / "master.key", other / "data" / "master.key")
    with service(other, apns.ready) as again:
        backend.at(again.ready["url"])
        assert backend.notifications(first["id"])[0]["status"] == "SENT"
        assert backend.completed(soon)["stats"]["sent"] == 1  # once more: the phone shows it in place of the other
        assert backend.notifications(later)[0]["status"] == "SCHEDULED"
        assert backend.completed(backend.send(user, body="second"))["stats"]["sent"] == 1
        assert command("check", "--data", str(other / "data"), "--full")["problems"] == []
    assert phone.bodies() == ["first", "soon", "second"]
