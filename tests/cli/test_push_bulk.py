"""`heliogram push bulk`: a file to everybody in it, each line judged before the first request, never sent twice."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import heliogram
from support.remote import Remote, remote

USERS = [f"user-{number:02d}" for number in range(7)]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        made.credential("shop")
        for number, user in enumerate(USERS):
            made.client.registrations.create("shop", f"{number:02d}" * 32, external_id=user)
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Seven users and their names."""
    made = tmp_path / "users.csv"
    made.write_text("externalId,name\n" + "".join(f"{user},N{user[-2:]}\n" for user in USERS))
    return made


def bulk(there: Remote, file: Path, *more: str) -> tuple[int, str, str]:
    words = ["push", "bulk", str(file), "--app", "shop", "--template", "Hi {{ name }}", *more]
    done = there.run(*words)
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def operations(there: Remote) -> int:
    return sum(1 for _ in there.client.operations.list(page_size=1000))


def test_everybody_in_a_file_gets_their_own_text(there: Remote, tmp_path: Path) -> None:
    """Tokens of virtual phones with a variable each; the outcome is told, and both phones show theirs."""
    phones = [there.phones.phone() for _ in range(2)]
    file = tmp_path / "phones.csv"
    tokens = [phone.launch() for phone in phones]
    file.write_text("".join(["token,name\n", *(f"{token},P{at}\n" for at, token in enumerate(tokens))]))
    code, out, _ = bulk(there, file, "--wait")
    assert (code, out.splitlines()[-1]) == (0, "2 accepted by APNs")
    assert [phone.bodies() for phone in phones] == [["Hi P0"], ["Hi P1"]]


def test_requests_are_as_large_as_was_asked_and_counted(there: Remote, file: Path) -> None:
    """Seven lines in batches of three are three operations, told with --json, too."""
    code, out, _ = bulk(there, file, "--batch", "3", "--json")
    told = json.loads(out)
    assert (code, told["recipients"], len(told["operations"]), told["rejected"]) == (0, 7, 3, 0)
    sizes = [there.client.operations.get(ident).stats.total for ident in told["operations"]]
    assert sizes == [3, 3, 1]


def test_the_same_command_again_sends_nothing_twice(there: Remote, file: Path) -> None:
    """The keys come from the lines and their place; another --run, template or line makes another send."""
    first = json.loads(bulk(there, file, "--batch", "4", "--json")[1])
    again = json.loads(bulk(there, file, "--batch", "4", "--json")[1])
    assert (again["operations"], again["repeated"]) == (first["operations"], 2)
    _, out, _ = bulk(there, file, "--batch", "4")
    assert "2 requests of them had been accepted before, and were not sent again" in out
    other = json.loads(bulk(there, file, "--batch", "4", "--run", "two", "--json")[1])
    assert not {*other["operations"]} & {*first["operations"]}
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:-1], "user-06,Someone"]) + "\n")
    mended = json.loads(bulk(there, file, "--batch", "4", "--json")[1])
    assert mended["operations"][0] == first["operations"][0]
    assert mended["operations"][1] != first["operations"][1]


def test_bad_lines_are_named_and_nothing_is_sent(there: Remote, tmp_path: Path) -> None:
    """Every one with its line's number; the number of operations stays."""
    file = tmp_path / "users.csv"
    rows = ["user-00,Ann", ",Nobody", "user-01,Bob,more", "", "user-02,\udcff", '"user-03"x,Quoted']
    file.write_bytes("\n".join(["externalId,name", *rows]).encode("utf-8", "surrogateescape"))
    before = operations(there)
    code, out, err = bulk(there, file)
    assert (code, out) == (1, "")
    assert [line.partition("users.csv:")[2][:2] for line in err.splitlines()[:4]] == ["3:", "4:", "6:", "7:"]
    for words in (
        "3: expected one of token",
        "4: user-01: 3 columns, the header has 2",
        "6: user-02: name: not in UTF-8",
    ):
        assert words in err
    assert "7: no CSV" in err
    assert "4 bad lines; nothing was sent: mend them, or send to the others with --skip-bad-lines" in err
    assert operations(there) == before


def test_bad_lines_are_left_out_on_request_and_kept_in_a_file(there: Remote, tmp_path: Path) -> None:
    """The others are sent; the rejects say why, and can be sent once they are mended."""
    file = tmp_path / "users.csv"
    file.write_text("externalId;name\nuser-00;Ann\n;Nobody\nghost;Boo\nuser-01;Bob\n")
    code, out, err = bulk(there, file, "--skip-bad-lines")
    assert code == 0, err
    assert "accepted for 2 recipients in 1 operation" in out
    rejects = tmp_path / "users.rejects.csv"
    assert f"2 bad lines left out: see {rejects}" in out
    assert "users.csv:4: " in err
    with rejects.open(newline="") as opened:
        rows = list(csv.reader(opened, delimiter=";"))
    assert rows[0] == ["externalId", "name", "heliogram_error"]
    assert [row[:2] for row in rows[1:]] == [["", "Nobody"], ["ghost", "Boo"]]
    assert "ghost" in rows[2][2] or "exist" in rows[2][2]
    rejects.write_text(rejects.read_text().replace(";Nobody", "user-02;Cid").replace("ghost;", "user-03;"))
    code, out, _ = bulk(there, rejects)
    assert (code, "accepted for 2 recipients" in out) == (0, True)


def test_what_the_service_refuses_of_a_file_stops_it_with_the_line(there: Remote, tmp_path: Path) -> None:
    """Without --skip-bad-lines; what was accepted before is told, and how to go on."""
    file = tmp_path / "users.csv"
    file.write_text("externalId,name\nuser-00,Ann\nuser-01,Bob\nghost,Boo\n")
    code, _, err = bulk(there, file, "--batch", "2")
    assert code == 1
    assert "users.csv:4: " in err
    assert "2 of 3 recipients were accepted; the same command again goes on where it was" in err


def test_what_was_refused_is_asked_anew(there: Remote, tmp_path: Path) -> None:
    """The service keeps its answer to a request for 24 hours: once what it refused was cured there, as by the user's
    first device, the same command sends what it had not sent, and only that."""
    file = tmp_path / "users.csv"
    file.write_text("externalId,name\nuser-00,Ann\nlate-1,Boo\nlate-2,Coo\n")
    before = operations(there)
    for number, late in enumerate(("late-1", "late-2"), 1):
        for _ in range(2):
            code, _, err = bulk(there, file, "--batch", "1")
            assert (code, f"users.csv:{number + 2}: " in err) == (1, True), err
        assert operations(there) == before + number
        there.client.registrations.create("shop", f"d{number}" * 32, external_id=late)
    code, out, err = bulk(there, file, "--batch", "1")
    assert (code, "accepted for 3 recipients" in out) == (0, True), err
    assert operations(there) == before + 3
    assert "3 requests of them had been accepted before" in bulk(there, file, "--batch", "1")[1]
    assert operations(there) == before + 3


def test_what_was_refused_is_asked_anew_apart_from_what_was_sent_beside_it(there: Remote, tmp_path: Path) -> None:
    """With and without --skip-bad-lines, in any order: nobody gets it twice, and who was refused gets it once."""
    file = tmp_path / "users.csv"
    file.write_text("externalId,name\nuser-00,Ann\nnew-1,Boo\nuser-01,Bob\nnew-2,Coo\n")
    before = operations(there)

    def sent() -> int:
        made = list(there.client.operations.list(page_size=1000))[: operations(there) - before]
        return sum(each.stats.recipients for each in made)

    assert (bulk(there, file)[0], sent()) == (1, 0)
    assert (bulk(there, file, "--skip-bad-lines")[0], sent()) == (0, 2)
    there.client.registrations.create("shop", "e1" * 32, external_id="new-1")
    code, _, err = bulk(there, file)
    assert (code, "users.csv:5: " in err, "users.csv:3: " in err, sent()) == (1, True, False, 2), err
    assert (bulk(there, file, "--skip-bad-lines")[0], sent()) == (0, 3)
    there.client.registrations.create("shop", "e2" * 32, external_id="new-2")
    for more in ([], ["--skip-bad-lines"], []):
        code, out, err = bulk(there, file, *more)
        assert (code, "accepted for 4 recipients" in out, sent()) == (0, True, 4), err


def test_lines_of_json_hold_variables_of_every_kind(there: Remote, tmp_path: Path) -> None:
    """Beside the id, or under `variables`; numbers stay numbers."""
    file = tmp_path / "users.jsonl"
    phone, _ = there.phone("shop", "json")
    lines = [{"externalId": "json", "variables": {"name": "Ann", "n": 3}}, {"external_id": "user-00", "name": "Bob"}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + "\n")
    code, out, err = bulk(there, file, "--wait", "--title", "{{ n | default: 'none' }}")
    assert code == 1, err  # user-00 has no phone of the simulator's
    assert out.splitlines()[-1].startswith("1 accepted by APNs, 1 ")
    assert phone.shown()[0]["title"] == "3"
    for text, message in (
        ('{"externalId": "a", "x": 1, "variables": {}}', "no variables beside it"),
        ("[1]", "expected a JSON object"),
        ("{", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"externalId": "a", "name": NaN}', "NaN is no number in JSON"),
        ('{"externalId": 3}', "externalId: expected printable text"),
        ('{"token": "ab"}', "token: expected 16 to 400 hexadecimal digits"),
        ('{"userId": "user-1"}', "userId: expected comms_pushnotificationuser_"),
        ('{"token": "%s", "provider": "SMS"}' % ("ab" * 32), "provider: expected APN or FCM"),
        ('{"externalId": "%s"}' % ("x" * 256), "externalId: too long, 256 characters"),
        ('{"externalId": "a", "userId": "b"}', "got userId and externalId"),
        ('{"externalId": "a", "name": "%s"}' % ("x" * 16_385), "16,385 characters, at most 16,384"),
        (json.dumps({"externalId": "a", **{f"v{at}": 1 for at in range(101)}}), "101 variables, at most 100"),
    ):
        file.write_text(text + "\n")
        code, _, err = bulk(there, file)
        assert (code, message in err) == (1, True), err


def test_bounds_themselves_are_fine(there: Remote, tmp_path: Path) -> None:
    """255 characters of a name, 16,384 of a text, 100 variables."""
    file = tmp_path / "users.jsonl"
    there.client.registrations.create("shop", "fe" * 32, external_id="x" * 255)
    line = {"externalId": "x" * 255, "name": "y", **{f"v{at}": 1 for at in range(98)}, "long": "z" * 16_384}
    file.write_text(json.dumps(line))
    assert bulk(there, file)[0] == 0


@pytest.mark.parametrize(
    ("text", "more", "code", "message"),
    [
        ("name\nAnn\n", [], 2, "one of them token, userId or externalId"),
        ("externalId,name,name\n", [], 2, "'name' is there twice"),
        ("externalId,my name\n", [], 2, "'my name' cannot be a variable"),
        ("externalId,nme\nuser-00,Ann\n", [], 2, "has no column 'name' (externalId, nme)"),
        ("externalId,name\n", [], 1, "there is nobody in it"),
        ("", [], 2, "the first line names the columns"),
        ("externalId,name\nuser-00,Ann\n", ["--body", "x"], 2, "--template is the same as --body"),
        ("externalId,name\nuser-00,Ann\n", ["--app", "nix"], 1, "--app: There is no app"),
        ("externalId,name\nuser-00,Ann\n", ["--title", "{% if %}"], 1, "--title: Missing expression"),
    ],
)
def test_files_and_templates_that_cannot_be_used_are_refused(
    there: Remote, tmp_path: Path, text: str, more: list[str], code: int, message: str
) -> None:
    """Nothing is sent; the message names the place and the cure."""
    file = tmp_path / "users.csv"
    file.write_text(text)
    before = operations(there)
    done = bulk(there, file, *more)
    assert done[0] == code, done
    assert message in " ".join(done[2].split())
    assert operations(there) == before


@pytest.mark.parametrize("how", ["same", "link"])
def test_the_file_itself_is_no_place_for_its_bad_lines(there: Remote, file: Path, how: str) -> None:
    """It would be gone: the rejects are written anew."""
    named = file
    if how == "link":
        named = file.with_name("link.csv")
        named.symlink_to(file)
    text = file.read_text() + ",Nobody\n"
    file.write_text(text)
    code, _, err = bulk(there, file, "--skip-bad-lines", "--rejects", str(named))
    assert (code, file.read_text()) == (2, text)
    assert "--rejects: expected another file" in err


def test_a_pipe_is_refused(there: Remote, tmp_path: Path) -> None:
    """It could be read once alone: all lines would be judged, and nobody would be sent to."""
    pipe = tmp_path / "users.jsonl"
    os.mkfifo(pipe)
    code, _, err = bulk(there, pipe)
    assert (code, "expected a regular file" in err) == (2, True)


def test_what_a_file_says_gives_no_orders_to_the_terminal(there: Remote, tmp_path: Path) -> None:
    """Names out of it are told without their control characters."""
    file = tmp_path / "users.jsonl"
    for line in ({"externalId": "a", "\x1b]0;x\x07": "x" * 16_385}, {"externalId": "user-00", "\x1b[31m": "y"}):
        file.write_text(json.dumps(line) + "\n")
        code, _, err = bulk(there, file)
        assert code != 0
        assert "\x1b" not in err
        assert "\N{REPLACEMENT CHARACTER}[31m" in err or "\N{REPLACEMENT CHARACTER}]0;x" in err


def test_a_file_by_another_name_needs_its_format(there: Remote, file: Path) -> None:
    """.csv, .tsv, .jsonl and .ndjson tell theirs."""
    other = file.rename(file.with_suffix(".txt"))
    assert "Say --format" in bulk(there, other)[2]
    assert bulk(there, other, "--format", "csv")[0] == 0


def test_a_dry_run_lets_the_service_check_and_sends_nothing(there: Remote, file: Path) -> None:
    """Recipients without a device are counted before they cost anything."""
    before = operations(there)
    there.client.registrations.create("shop", "da" * 32, external_id="dry")
    user = there.json("users", "get", "dry")["id"]
    file.write_text(f"userId,name\n{user},Dry\n")
    code, out, _ = bulk(there, file, "--dry-run")
    assert (code, out) == (0, "would send to 1 recipient; nothing was sent\n")
    assert operations(there) == before


def test_a_service_that_asks_to_wait_is_waited_for(there: Remote, file: Path) -> None:
    """429 with Retry-After in the middle of a file: everything is accepted in the end."""
    account = ["--data", str(there.data), "--requests-per-second", "1", "--burst", "1"]
    assert heliogram("accounts", "limits", "default", *account).returncode == 0
    try:
        code, out, err = bulk(there, file, "--batch", "4", "--run", "slow")
    finally:
        unlimited = heliogram("accounts", "limits", "default", "--data", str(there.data), "--unlimited")
    assert unlimited.returncode == 0
    assert code == 0, err
    assert "accepted for 7 recipients in 2 operations" in out


def test_a_service_that_is_away_stops_it_with_the_way_to_go_on(there: Remote, file: Path) -> None:
    """Nothing is lost, nothing is doubled: the same command goes on."""
    env = {"HELIOGRAM_URL": "http://127.0.0.1:1"}
    done = there.run("push", "bulk", str(file), "--template", "x", env=env)
    assert done.exit_code == 1
    assert "Does `heliogram serve` run there?" in done.stderr
    assert "0 of 7 recipients were accepted" in done.stderr
