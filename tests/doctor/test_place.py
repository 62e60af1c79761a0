"""The machine and the data directory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
from click.testing import CliRunner

from heliogram.cli.root import cli
from heliogram.datadir import DATABASE
from heliogram.doctor import Finding, directory, machine

PLENTY = (2 << 30, 4 << 30)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory as a first start leaves it."""
    made = CliRunner().invoke(cli, ["api-keys", "create", "--data", str(tmp_path / "data")])
    assert made.exit_code == 0, made.output
    return tmp_path / "data"


def states(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(each.check, each.state) for each in findings]


def test_a_directory_as_it_should_be(data: Path) -> None:
    """Ours alone, with a database and a key."""
    assert states(directory.directory(data)) == [("data directory", "ok")]
    assert states(directory.database(data)) == [("database", "ok")]
    (key,) = directory.master_key(data, None, shared=False)
    assert key.state == "ok"
    assert (data / "master.key").read_text().split()[-1] not in key.text
    assert states(directory.disk(data)) in ([("fsync", "ok")], [("fsync", "warning")])
    assert not [each for each in data.iterdir() if "doctor" in each.name]


def test_what_others_may_read_is_told(data: Path) -> None:
    """With the command that ends it."""
    data.chmod(0o755)
    (data / "master.key").chmod(0o644)
    found = list(directory.directory(data))
    assert states(iter(found)) == [("data directory", "warning"), ("permissions", "warning")]
    assert found[0].cure == f"chmod 700 {data}"
    assert found[1].cure == f"chmod 600 {data / 'master.key'}"
    assert states(directory.master_key(data, None, shared=False)) == [("master key", "failed")]


def test_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    """The first start makes it, with all that is in it; nothing is made here."""
    data = tmp_path / "new"
    for found in (directory.directory(data), directory.database(data), directory.master_key(data, None, shared=False)):
        assert [state for _, state in states(found)] == ["ok"]
    assert list(directory.disk(data)) == []
    assert not data.exists()


def test_a_file_in_the_directorys_place(tmp_path: Path) -> None:
    """It is named."""
    (tmp_path / "data").touch()
    assert states(directory.directory(tmp_path / "data"))[0] == ("data directory", "failed")


def test_a_database_without_its_key(data: Path) -> None:
    """A new key opens nothing: the copy has to come back."""
    (data / "master.key").unlink()
    (found,) = directory.master_key(data, None, shared=False)
    assert found.state == "failed"
    assert "put the copy that you kept" in found.cure
    (found,) = directory.master_key(data, None, shared=True)
    assert "all nodes on one database need the same" in found.text


def test_a_damaged_database(data: Path) -> None:
    """And one of another program."""
    file = data / DATABASE
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + bytes(8192) + whole[16384:])
    assert states(directory.database(data)) == [("database", "failed")]
    file.unlink()
    for rest in data.glob(f"{DATABASE}-*"):
        rest.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    (found,) = directory.database(data)
    assert found.state == "failed"
    assert "no database of heliogram" in found.text


@pytest.mark.parametrize(
    ("free", "state"),
    [((100 << 20) - 1, "failed"), (100 << 20, "warning"), ((1 << 30) - 1, "warning"), (1 << 30, "ok")],
)
def test_room_on_the_disk(tmp_path: Path, free: int, state: str) -> None:
    """At the bounds and beside them."""
    (found,) = directory.room(tmp_path / "data", lambda place: (free, 4 << 30))
    assert found.state == state
    assert f"free in {tmp_path}" in found.text


@pytest.mark.parametrize(("seconds", "state"), [(0.02, "ok"), (0.021, "warning")])
def test_a_slow_disk_is_told(tmp_path: Path, seconds: float, state: str) -> None:
    """By the median of some writes: each takes so long on this timer."""
    ticks = cycle([0.0, seconds])
    (found,) = directory.disk(tmp_path, lambda: next(ticks))
    assert found.state == state
    assert found.text.startswith(f"{seconds * 1000:.1f} ms a write")


def test_a_directory_of_somebody_else(data: Path) -> None:
    """Who runs it cannot write there, or where it would have to be made."""
    assert states(directory.directory(data, lambda path, mode: False)) == [("data directory", "failed")]
    assert states(directory.directory(data / "new", lambda path, mode: False)) == [("data directory", "failed")]


@pytest.mark.parametrize(("limit", "state"), [(4095, "warning"), (4096, "ok")])
def test_how_many_files_may_be_open(limit: int, state: str) -> None:
    """At the bound and one below."""
    assert states(machine.open_files(limit)) == [("open files", state)]
    assert machine.file_limit() > 0


@pytest.mark.parametrize(("synchronised", "state"), [(True, "ok"), (False, "warning"), (None, "warning")])
def test_whether_somebody_sets_the_clock(synchronised: bool | None, state: str) -> None:
    """As the kernel knows it."""
    assert states(machine.clock(synchronised)) == [("clock", state)]
    assert machine.is_synchronised() in (True, False, None)


def test_versions_are_told() -> None:
    """One line for whoever is asked to help."""
    found = next(iter(machine.versions()))
    assert found.text.startswith("heliogram ")
    assert "Python" in found.text
    assert "OpenSSL" in found.text
