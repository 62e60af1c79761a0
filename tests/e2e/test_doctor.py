"""`heliogram doctor` beside a running service, with the simulator as APNs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.programs import Program, heliogram
from support.stack import BUNDLE, BackEnd, Phones
from support.waiting import HANG_SECONDS


def findings(apns: Program, served: Program, tmp_path: Path, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and what was found by its check."""
    ready = apns.ready
    done = heliogram(
        *(
            "doctor",
            "--json",
            "--timeout",
            str(HANG_SECONDS),
            "--data",
            str(tmp_path / "data"),
            "--listen",
            served.ready["url"].rpartition("/")[2],
        ),
        *("--apns-production", ready["production"], "--apns-sandbox", ready["sandbox"], "--apns-cacert", ready["ca"]),
        *("--apns-manage-production", ready["manage_production"], "--apns-manage-sandbox", ready["manage_sandbox"]),
        *words,
        timeout=600,
    )
    return done.returncode, {each["check"]: each for each in json.loads(done.stdout)["findings"]}


def test_all_is_well_beside_a_running_service(
    apns: Program, served: Program, backend: BackEnd, phones: Phones, tmp_path: Path
) -> None:
    """Every step of the way to APNs, the credential by the service's own check, the service's health; and a credential
    that APNs refuses is told with what to do."""
    good = backend.credential(phones.key())
    code, found = findings(apns, served, tmp_path)
    assert code == 0, [each for each in found.values() if each["state"] == "failed"]
    production = apns.ready["production"]
    assert found[f"http/2 {production}"]["state"] == "ok"
    assert found[f"tls {apns.ready['manage_sandbox']}"]["state"] == "ok"
    assert "APNs accepts the credential" in found[f"credential {good}"]["text"]
    assert "in use by a service" in found["data directory"]["text"]
    assert found["service"]["text"] == "it is ready"

    bad = backend.credential({**phones.key(), "keyId": "ZZZZZZZZZZ"}, kind="APN_SANDBOX")
    code, found = findings(apns, served, tmp_path)
    assert code == 1
    assert found[f"credential {bad}"]["state"] == "failed"
    assert "InvalidProviderToken" in found[f"credential {bad}"]["cure"]


def test_a_key_file_is_asked_about(apns: Program, served: Program, phones: Phones, tmp_path: Path) -> None:
    """With its ids and a topic; nothing is stored for it."""
    key = phones.key()
    (tmp_path / "key.p8").write_text(key["p8"])
    words = ("--key-file", str(tmp_path / "key.p8"), "--key-id", key["keyId"], "--team-id", key["teamId"])
    code, found = findings(apns, served, tmp_path, *words, "--topic", BUNDLE)
    assert code == 0
    assert "APNs accepts the credential" in found["key against APNs (production)"]["text"]
    assert "PRIVATE" not in found["key"]["text"]


def test_a_stranger_on_the_services_port_is_told(apns: Program, served: Program, tmp_path: Path) -> None:
    """What listens there is not heliogram: here, an APNs."""
    address = apns.ready["production"]
    _, found = findings(apns, served, tmp_path, "--offline", "--listen", address)
    assert found[f"listen {address}"]["state"] == "failed"
    assert "something else" in found[f"listen {address}"]["text"]
