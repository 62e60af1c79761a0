"""`heliogram devices import`: a file of devices into a running service, each line judged before the first request."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.remote import Remote, remote

TOKENS = [f"{number:02x}" * 32 for number in range(1, 9)]
EXPORT = (
    "id,identifier,session_count,language,timezone,game_version,device_type,tags,invalid_identifier,external_user_id,"
    "timezone_id,test_type\n"
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        made.credential("shop")
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "devices.csv"


def load(there: Remote, file: Path, *more: str) -> tuple[int, str, str]:
    done = there.run("devices", "import", str(file), "--app", "shop", *more)
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_every_column_reaches_the_service(there: Remote, file: Path) -> None:
    """Whatever the case and the underlines of the column's name; a token in the spelling of old apps is taken, too."""
    spaced = f"<{TOKENS[0][:32].upper()} {TOKENS[0][32:]}>"
    file.write_text(
        "Token;external_id;environment;installationId;locale;time_zone;appVersion;kind\n"
        f"{spaced};all;sandbox;5F0E;en-GB;Europe/London;3.1;voip\n"
    )
    assert load(there, file) == (0, "registered 1 device\n", "")
    [found] = there.json("devices", "list", "--user", "all")
    [device] = found["devices"]
    expected = {"token": TOKENS[0], "environment": "sandbox", "kind": "voip", "locale": "en-GB", "appVersion": "3.1"}
    expected |= {"timeZone": "Europe/London", "installationId": "5F0E"}
    assert {name: device[name] for name in expected} == expected


def test_lines_of_json_and_a_rerun(there: Remote, tmp_path: Path) -> None:
    """The same command again renews the devices and makes no second ones; what no line says, --environment says."""
    file = tmp_path / "devices.jsonl"
    lines = [{"token": token, "externalId": "json"} for token in TOKENS[1:4]]
    file.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"token": "ee" * 32, "externalId": None}]))
    for _ in range(2):
        told = json.loads(load(there, file, "--environment", "production", "--json")[1])
        assert told == {"devices": 4, "registered": 4, "refused": 0, "badLines": 0, "skipped": {}}
    [found] = there.json("devices", "list", "--user", "json")
    assert sorted(each["token"] for each in found["devices"]) == TOKENS[1:4]
    assert {each["environment"] for each in found["devices"]} == {"production"}


def test_bad_lines_are_named_and_nothing_is_registered(there: Remote, file: Path) -> None:
    """Every one by its number; with --skip-bad-lines the others are registered."""
    other = "fa" * 32
    rows = [f"{other},bad-lines,", "abc,x,", f"{TOKENS[4]},x,moon", f"{other.upper()},y,", f"{TOKENS[5]},z,,more"]
    file.write_text("\n".join(["token,externalId,environment", *rows]) + "\n")
    code, out, err = load(there, file)
    assert (code, out) == (1, "")
    for number, words in (
        (3, "token: expected 16 to 400 hexadecimal digits, two for each byte, got 3 characters"),
        (4, "environment: expected production or sandbox"),
        (5, "token: that of line 2 again"),
        (6, "4 columns, the header has 3"),
    ):
        assert f"devices.csv:{number}: {words}" in err
    assert "4 bad lines; nothing was registered: mend them, or register the others with --skip-bad-lines" in err
    assert there.json("devices", "list", "--token", other) == []
    code, out, err = load(there, file, "--skip-bad-lines")
    assert (code, out) == (0, "registered 1 device\n4 lines left out; they are named above\n")
    assert len(there.json("devices", "list", "--token", other)) == 1


def test_a_dry_run_registers_nothing(there: Remote, file: Path) -> None:
    """The file is judged, and that is all."""
    file.write_text(f"token\n{'fb' * 32}\n")
    assert load(there, file, "--dry-run") == (0, "would register 1 device; nothing was registered\n", "")
    assert there.json("devices", "list", "--token", "fb" * 32) == []


def test_an_export_of_onesignal(there: Remote, file: Path) -> None:
    """iOS devices that are subscribed, with user, language, zone and environment; the others are counted by why."""
    rows = [
        f"a,{TOKENS[5]},3,de,7200,2.0,0,{{}},f,one,Europe/Berlin,",
        f"b,{TOKENS[6]},1,en,0,2.0,0,{{}},f,one,,1",
        "c,APA91b-android,1,en,0,2.0,1,{},f,two,,",
        f"d,{TOKENS[7]},1,en,0,2.0,0,{{}},t,three,,",
        "e,,1,en,0,2.0,0,{},f,four,,",
    ]
    file.write_text(EXPORT + "\n".join(rows) + "\n")
    code, out, err = load(there, file, "--from", "onesignal")
    assert (code, err) == (0, "")
    assert out == "registered 2 devices\n  1 not an iOS device\n  1 unsubscribed\n  1 without a token\n"
    [found] = there.json("devices", "list", "--user", "one")
    by_token = {each["token"]: each for each in found["devices"]}
    german, english = by_token[TOKENS[5]], by_token[TOKENS[6]]
    assert (german["locale"], german["timeZone"], german["appVersion"]) == ("de", "Europe/Berlin", "2.0")
    assert (german.get("environment"), english["environment"]) == (None, "sandbox")


def test_what_the_service_refuses_stops_it_with_the_way_to_go_on(there: Remote, file: Path) -> None:
    """The line is named; --from-line goes on behind it, --skip-bad-lines without it."""
    good = ["%02x" % (0x80 + number) * 32 for number in range(3)]
    file.write_text(f"token,timeZone\n{good[0]},\n{good[1]},Moon\n{good[2]},\n")
    code, _, err = load(there, file)
    assert code == 1
    assert "devices.csv:3: timeZone: Expected a name of the IANA time zone database" in err
    assert "of 3 devices were registered; to go on, run the same command with --from-line 2" in err
    assert load(there, file, "--from-line", "4") == (0, "registered 1 device\n", "")
    code, out, err = load(there, file, "--skip-bad-lines")
    assert (code, out) == (1, "registered 2 devices\n1 line left out; they are named above\n")
    assert "devices.csv:3: timeZone" in err


def test_a_service_that_is_away_or_an_unknown_app_stops_it(there: Remote, file: Path) -> None:
    """What concerns every line is told once."""
    file.write_text(f"token\n{TOKENS[0]}\n{TOKENS[1]}\n")
    away = there.run("devices", "import", str(file), "--app", "shop", env={"HELIOGRAM_URL": "http://127.0.0.1:1"})
    assert (away.exit_code, "Does `heliogram serve` run there?" in away.stderr) == (1, True)
    assert "0 of 2 devices were registered" in away.stderr
    unknown = there.run("devices", "import", str(file), "--app", "nix", "--skip-bad-lines")
    assert unknown.exit_code == 1
    assert "--app: There is no app 'nix'" in unknown.stderr
    assert "devices.csv:" not in unknown.stderr


@pytest.mark.parametrize(
    ("text", "more", "code", "message"),
    [
        ("externalId\nx\n", [], 2, "one of them token"),
        ("", [], 2, "the first line names the columns"),
        ("token,points\n", [], 2, "nobody knows the column 'points'"),
        ("token,userId,user_id\n", [], 2, "the column 'userId' is there twice"),
        ("token\n", [], 1, "there is no device in it"),
        ("token,userId\n", ["--from", "onesignal"], 2, "one of them identifier"),
        (f"token,userId\n{TOKENS[0]},me\n", [], 1, "userId: expected comms_pushnotificationuser_"),
        (f"token,userId,externalId\n{TOKENS[0]},a,b\n", [], 1, "expected one of userId and externalId, got both"),
        (f"token,externalId\n{TOKENS[0]},{'x' * 256}\n", [], 1, "externalId: too long, 256 characters; at most 255"),
        (f"token\n{'a' * 402}\n", [], 1, "got 402 characters"),
        (f'token\n"{TOKENS[0]}"x\n', [], 1, "no CSV"),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    there: Remote, file: Path, text: str, more: list[str], code: int, message: str
) -> None:
    """The message names the place and the cure."""
    file.write_text(text)
    done = load(there, file, *more)
    assert done[0] == code, done
    assert message in " ".join(done[2].split())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "expected a JSON object"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON: it is nested too deeply"),
        ('{"token": 3}', "token: expected printable text"),
        (json.dumps({"token": TOKENS[0], "points": "3"}), "nobody knows 'points'"),
    ],
)
def test_lines_of_json_that_cannot_be_used_are_named(there: Remote, tmp_path: Path, line: str, message: str) -> None:
    """As those of a table are."""
    file = tmp_path / "devices.jsonl"
    file.write_text(line + "\n")
    code, _, err = load(there, file)
    assert code == 1
    assert f"devices.jsonl:1: {message}" in err


def test_bounds_themselves_are_fine(there: Remote, file: Path) -> None:
    """400 digits of a token, 255 characters of a name."""
    file.write_text(f"token,externalId\n{'c1' * 200},{'x' * 255}\n")
    assert load(there, file) == (0, "registered 1 device\n", "")


def test_a_file_by_another_name_needs_its_format(there: Remote, tmp_path: Path) -> None:
    """.csv, .tsv, .jsonl and .ndjson tell theirs."""
    file = tmp_path / "devices.txt"
    file.write_text(f"token\n{TOKENS[0]}\n")
    assert "Say --format" in load(there, file)[2]
    assert load(there, file, "--format", "csv")[0] == 0


def test_a_pipe_is_refused(there: Remote, tmp_path: Path) -> None:
    """It could be read once alone: all lines would be judged, and nothing would be registered."""
    pipe = tmp_path / "devices.jsonl"
    os.mkfifo(pipe)
    code, _, err = load(there, pipe)
    assert (code, "expected a regular file" in err) == (2, True)
