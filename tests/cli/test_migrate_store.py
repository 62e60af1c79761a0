"""`heliogram migrate-store` as it is asked, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from support.postgres import server
from support.programs import heliogram


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of a service that has run, with its master key."""
    place = tmp_path / "data"
    made = heliogram("api-keys", "create", "--data", str(place))
    assert made.returncode == 0, made.stderr
    return place


@pytest.fixture
def url() -> str:
    return anyio.run(server().empty)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "/var/lib/heliogram", "--to", "postgresql://h/d"], "expected sqlite:"),
        (["--from", "sqlite:", "--to", "postgresql://h/d"], "expected sqlite:"),
        (["--from", "sqlite:/nowhere", "--to", "mysql://h/d"], "expected an address that begins with postgresql://"),
        (["--from", "sqlite:/nowhere"], "--to: name the database"),
        (["--from", "sqlite:/nowhere", "--to", "postgresql://h/d"], "there is no database /nowhere/heliogram.db"),
        (["--from", "sqlite:/nowhere", "--abort"], "there is no database /nowhere/heliogram.db"),
    ],
)
def test_what_cannot_be_meant_is_said(words: list[str], said: str) -> None:
    """Which option, and what is expected, without a traceback."""
    done = heliogram("migrate-store", *words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_at_the_end_it_says_how_nodes_are_started(data: Path, url: str) -> None:
    """With which database, and where the master key is; a password in the URL is not shown."""
    done = heliogram("migrate-store", "--from", f"sqlite:{data}", "--to", url.replace("heliogram@", "heliogram:pw@"))
    assert done.returncode == 0, done.stderr
    assert "rows are the same on both sides" in done.stdout
    assert "heliogram serve --store postgresql://" in done.stdout
    assert f"from {data / 'master.key'}: copy it to every node" in done.stdout
    assert "pw" not in done.stdout + done.stderr
    assert heliogram("api-keys", "list", "--store", url).stdout.count("active") == 1


def test_programs_get_a_line_of_json_for_each_event(data: Path, url: str) -> None:
    """The last one says what was moved, and from where the master key is."""
    done = heliogram("migrate-store", "--from", f"sqlite:{data}", "--to", url, "--json", "--compare-twice")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["phase"] for event in events if event["event"] == "phase"] == [
        "changes",
        "indexes",
        "compare",
        "last",
    ]
    last = events[-1]
    assert last["event"] == "moved"
    assert last["tables"]["api_key"] == 1
    assert last["rows"] == sum(last["tables"].values())
    assert last["masterKey"]["where"] == str(data / "master.key")
    progress = next(event for event in events if event["event"] == "progress")
    assert {"table", "rows", "ofRows", "rowsPerSecond", "megabytesPerSecond", "secondsLeft"} <= progress.keys()


def test_without_the_master_key_nothing_begins(data: Path, url: str) -> None:
    """Nodes could open nothing of what was moved."""
    (data / "master.key").unlink()
    done = heliogram("migrate-store", "--from", f"sqlite:{data}", "--to", url)
    assert done.returncode == 1
    assert "name the master key that the service has with --master-key" in done.stderr


def test_a_finished_move_is_taken_back_only_with_the_target_named(data: Path, url: str) -> None:
    """Then no node works there any more, and the old directory is served again."""
    source = f"sqlite:{data}"
    assert heliogram("migrate-store", "--from", source, "--abort").stderr == (
        f"Error: nothing is being moved from {data}, and nothing was\n"
    )
    assert heliogram("migrate-store", "--from", source, "--to", url).returncode == 0
    assert "was moved to postgresql://" in heliogram("api-keys", "list", "--data", str(data)).stderr
    unnamed = heliogram("migrate-store", "--from", source, "--abort")
    assert unnamed.returncode == 1
    assert "name it with --to" in unnamed.stderr
    done = heliogram("migrate-store", "--from", source, "--to", url, "--abort")
    assert done.returncode == 0, done.stderr
    assert "active" in heliogram("api-keys", "list", "--data", str(data)).stdout
    assert "given up" in heliogram("api-keys", "list", "--store", url).stderr
