"""`heliogram backup`, `restore` and `check` on data directories without a running service."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from heliogram.cli.root import cli
from heliogram.datadir import own_data_directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a database, an API key in it, and a master key."""
    directory = tmp_path / "data"
    assert run("api-keys", "create", "--name", "first", "--data", str(directory)).exit_code == 0
    return directory


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def files_of(data: Path) -> list[str]:
    """What is in a directory, but for the empty log that reading leaves beside a database."""
    return sorted(path.name for path in data.iterdir() if not path.name.endswith(("-wal", "-shm")))


def names_of(data: Path) -> list[str]:
    return [row["name"] for row in json.loads(run("api-keys", "list", "--json", "--data", str(data)).stdout)]


def test_a_backup_becomes_a_database_elsewhere(data: Path, tmp_path: Path) -> None:
    """With all that was in it; both commands tell programs what they did."""
    copy, other = tmp_path / "copy.db", tmp_path / "other"
    made = run("backup", str(copy), "--data", str(data), "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout) == {"file": str(copy), "bytes": copy.stat().st_size}
    restored = run("restore", str(copy), "--data", str(other), "--json")
    assert restored.exit_code == 0, restored.output
    assert json.loads(restored.stdout)["waitingRecipients"] == 0
    assert names_of(other) == ["first"]
    assert stat.S_IMODE((other / "heliogram.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(other.stat().st_mode) == 0o700


@pytest.mark.parametrize("words", [["backup", "{tmp}/copy.db"], ["restore", "{tmp}/file"]])
def test_what_is_for_the_embedded_database_says_what_postgresql_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    """With --store, and where the environment names it; not where a directory is named, and never with a password."""
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    words = [word.format(tmp=tmp_path) for word in words]
    url = "postgresql://me:hidden@db.example/push"
    given = run(*words, "--store", url)
    monkeypatch.setenv("HELIOGRAM_STORE", url)
    for said in (given, run(*words)):
        assert said.exit_code == 2
        assert "names PostgreSQL: " in said.stderr
        assert "pg_" in said.stderr
        assert "hidden" not in said.output
    assert "PostgreSQL" not in run(*words, "--data", str(tmp_path)).output


def test_the_master_key_is_in_no_backup_and_both_commands_say_so(data: Path, tmp_path: Path) -> None:
    """On standard error, where it is seen also when the output goes to a program."""
    copy = tmp_path / "copy.db"
    made = run("backup", str(copy), "--data", str(data), "--json")
    assert "The master key is NOT in the backup" in made.stderr
    assert str(data / "master.key") in made.stderr
    secret = (data / "master.key").read_text().splitlines()[-1].strip().encode()
    assert len(secret) == 44
    assert secret not in copy.read_bytes()
    restored = run("restore", str(copy), "--data", str(tmp_path / "other"))
    assert f"There is no {tmp_path / 'other' / 'master.key'}" in restored.stderr
    assert not (tmp_path / "other" / "master.key").exists()


def test_a_restore_says_what_may_happen_twice(data: Path, tmp_path: Path) -> None:
    """What waited goes out again, and what was revoked since is good again."""
    run("backup", str(tmp_path / "copy.db"), "--data", str(data))
    said = run("restore", str(tmp_path / "copy.db"), "--data", str(data), "--replace")
    assert "goes out at the next start, also if it went out or was canceled since" in said.stderr
    assert "revoked or disabled since are good again" in said.stderr
    assert "There is no" not in said.stderr


def test_a_database_that_is_there_is_not_replaced_unasked(data: Path, tmp_path: Path) -> None:
    """With --replace it is kept beside, and can be restored itself."""
    copy = tmp_path / "copy.db"
    run("backup", str(copy), "--data", str(data))
    run("api-keys", "create", "--name", "second", "--data", str(data))
    refused = run("restore", str(copy), "--data", str(data))
    assert refused.exit_code == 1
    assert "say --replace" in refused.stderr
    assert names_of(data) == ["second", "first"]
    done = run("restore", str(copy), "--data", str(data), "--replace", "--json")
    assert names_of(data) == ["first"]
    kept = json.loads(done.stdout)["kept"]
    assert Path(kept).name.startswith("heliogram.db.replaced-")
    assert run("restore", kept, "--data", str(tmp_path / "third")).exit_code == 0
    assert names_of(tmp_path / "third") == ["second", "first"]


def test_a_restore_is_refused_while_a_service_runs(data: Path, tmp_path: Path) -> None:
    """It would write into a file that nobody sees any more."""
    run("backup", str(tmp_path / "copy.db"), "--data", str(data))
    with own_data_directory(data):
        refused = run("restore", str(tmp_path / "copy.db"), "--data", str(data), "--replace")
        assert refused.exit_code == 1
        assert "another `heliogram serve` is using" in refused.stderr
        assert run("backup", str(tmp_path / "second.db"), "--data", str(data)).exit_code == 0
    assert files_of(data) == ["heliogram.db", "master.key", "serve.lock"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["backup", "{tmp}/copy.db", "--data", "{tmp}/none"], 1, "there is no database in"),
        (["backup", "{tmp}/none/copy.db", "--data", "{tmp}/data"], 1, "cannot create"),
        (["backup", "{tmp}/data", "--data", "{tmp}/data"], 1, "is there already"),
        (["restore", "{tmp}/none.db", "--data", "{tmp}/new"], 2, "does not exist"),
        (["restore", "{tmp}/data/master.key", "--data", "{tmp}/new"], 1, "is not an SQLite database"),
        (["restore", "{tmp}/data/heliogram.db", "--data", "{tmp}/data", "--replace"], 2, "the database in"),
        (["check", "--data", "{tmp}/none"], 2, "there is no database in"),
        (["check", "--backup", "{tmp}/none.db"], 2, "does not exist"),
    ],
)
def test_what_cannot_be_is_said_with_the_cure(
    data: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    """And makes nothing."""
    result = run(*(word.format(tmp=tmp_path) for word in words))
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert set(files_of(data)) - {"serve.lock"} == {"heliogram.db", "master.key"}


def test_check_ends_with_0_when_all_is_well(data: Path, tmp_path: Path) -> None:
    """Of a data directory and of a backup."""
    copy = tmp_path / "copy.db"
    run("backup", str(copy), "--data", str(data))
    for words in (["--data", str(data)], ["--backup", str(copy), "--full"]):
        result = run("check", *words)
        assert result.exit_code == 0, result.output
        assert "is well" in result.stdout
    found = json.loads(run("check", "--data", str(data), "--json").stdout)
    assert found["ok"] is True
    assert found["problems"] == []
    assert found["full"] is False


def test_check_ends_with_1_and_a_line_for_each_problem(data: Path) -> None:
    """On standard output, so that a program can count them."""
    connection = apsw.Connection(str(data / "heliogram.db"))
    connection.execute("INSERT INTO chunk_user VALUES (x'01', x'02', 0, x'03'), (x'01', x'02', 1, x'03')")
    connection.execute("INSERT INTO chunk_recipients VALUES (x'01', x'02', 0, x'03')")
    connection.close()
    result = run("check", "--data", str(data))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "1 lists of recipients belong to no chunk",
        "2 lists of users belong to no chunk",
    ]
    found = run("check", "--data", str(data), "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["problems"] == result.stdout.splitlines()


def test_check_puts_right_what_it_can(data: Path, tmp_path: Path) -> None:
    """In the data directory; never in a backup."""
    backup = tmp_path / "kept.db"
    assert run("backup", str(backup), "--data", str(data)).exit_code == 0
    connection = apsw.Connection(str(data / "heliogram.db"))
    connection.execute("UPDATE queue_depth SET waiting = waiting + 7")
    connection.close()
    refused = run("check", "--backup", str(backup), "--repair")
    assert (refused.exit_code, "a backup is never changed" in refused.stderr) == (2, True)
    mended = run("check", "--data", str(data), "--repair")
    assert mended.exit_code == 0, mended.output
    assert "repaired: all accounts: recipients that wait were counted as 7, and are 0\n" in mended.stdout
    assert "checking again\n" in mended.stderr
    again = run("check", "--data", str(data), "--repair", "--json")
    assert "repaired" not in json.loads(again.stdout)


def test_check_of_what_is_no_database_is_a_problem(data: Path) -> None:
    """Not a traceback."""
    (data / "heliogram.db").write_text("Dear diary, " * 500)
    result = run("check", "--data", str(data))
    assert result.exit_code == 1
    assert "is not an SQLite database" in result.stdout
