"""What is not on the machine: a skip that names the cure, and in CI a failure, but for Go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.peers import PEERS, go_program, node_folder


@pytest.fixture(params=[True, False], ids=["CI", "user"])
def in_ci(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bool:
    """A machine with nothing on it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    if request.param:
        monkeypatch.setenv("CI", "true")
    else:
        monkeypatch.delenv("CI", raising=False)
    return bool(request.param)


def test_node(in_ci: bool) -> None:
    """Node and its packages are for `scripts/peers` to install, and CI has them."""
    with pytest.raises(pytest.fail.Exception if in_ci else pytest.skip.Exception, match="run scripts/peers"):
        node_folder()


def test_go(in_ci: bool) -> None:
    """Go is skipped by name everywhere."""
    with pytest.raises(pytest.skip.Exception, match=r"install Go 1\.21"):
        go_program()


def test_lock_names_no_place() -> None:
    """The locked packages are known by their hashes; where they come from is the machine's affair."""
    text = (PEERS / "node/package-lock.json").read_text("utf-8")
    locked = [package for path, package in json.loads(text)["packages"].items() if path]
    assert len(locked) > 20
    assert all(package["integrity"].startswith("sha512-") for package in locked)
    assert "http" not in text
    assert "resolved" not in text
