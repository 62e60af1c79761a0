"""`heliogram push bulk`: what the service says of recipients is told by the lines of the user's file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.remote import Remote, remote


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        made.credential("shop")
        for number in range(3):
            made.client.registrations.create("shop", f"{number:02d}" * 32, external_id=f"user-{number:02d}")
        yield made


def bulk(there: Remote, file: Path, *more: str) -> tuple[int, str, str]:
    """Exit code, standard output, and standard error, which never names a place in a request."""
    done = there.run("push", "bulk", str(file), "--app", "shop", *more)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "to[" not in done.output
    return done.exit_code, done.stdout, done.stderr


def said(text: str) -> str:
    """The words, however they were broken into lines."""
    return " ".join(text.split())


def test_problems_that_the_service_finds_are_named_by_line_and_recipient(there: Remote, tmp_path: Path) -> None:
    """A line with two problems is one line, refused or left out."""
    file = tmp_path / "users.jsonl"
    wrong = {"externalId": "user-00", "a": {"b": {"c": {"d": 1}}}, "e": {"f": {"g": {"h": 1}}}}
    file.write_text(f'{{"externalId": "user-01"}}\n\n{json.dumps(wrong)}\n{{"externalId": "user-02"}}\n')
    code, _, err = bulk(there, file, "--body", "x")
    assert code == 1
    [told] = [line for line in err.splitlines() if line.startswith(f"{file}:")]
    assert told.startswith(f"{file}:3: user-00: variables.a")
    assert "variables.e" in told
    assert "the service refuses 1 line: mend that" in said(err)
    code, out, err = bulk(there, file, "--body", "x", "--skip-bad-lines")
    assert (code, "accepted for 2 recipients" in out, "1 bad line left out" in out) == (0, True, True), err
    assert len((tmp_path / "users.rejects.jsonl").read_text().splitlines()) == 1


def test_a_line_is_where_it_begins(there: Remote, tmp_path: Path) -> None:
    """In CSV a quoted text may go on for lines, or to the end of the file when its end was forgotten."""
    file = tmp_path / "users.csv"
    file.write_text('externalId,name\nuser-00,"An\nn"\n"ghost","Bo\no"\n')
    code, _, err = bulk(there, file, "--body", "{{ name }}")
    assert (code, f"{file}:4: ghost: externalId: There is no user" in err) == (1, True), err
    file.write_text('externalId,name\nuser-00,"An\nn"\nuser-01,"Bo\no\n\n')
    code, _, err = bulk(there, file, "--body", "{{ name }}")
    assert (code, f"{file}:4: no CSV: unexpected end of data" in err) == (1, True), err


def test_lines_are_named_where_the_request_is_wrong_beside(there: Remote, tmp_path: Path) -> None:
    """Both are told, the field by its option; leaving lines out would not help."""
    file = tmp_path / "users.csv"
    file.write_text(f"token,provider,name\n{'ab' * 32},APN,Ann\nfcm token of Bob,FCM,Bob\n")
    for more in ([], ["--skip-bad-lines"]):
        code, _, err = bulk(there, file, "--title", "{% if %}", "--body", "x", *more)
        assert code == 1
        assert f"{file}:3: fcm to…of Bob: token: Expected an FCM registration token" in err
        assert "--title: Missing expression" in err


def test_a_dry_run_names_the_lines_that_would_fail(there: Remote, tmp_path: Path) -> None:
    """With the cure, the first twenty of all requests together; the others are counted."""
    file = tmp_path / "users.csv"
    lines = [f"{number:02x}" * 32 + "," + ("x" * 5_000 if number else "fine") for number in range(30)]
    file.write_text("\n".join(["token,name", *lines]))
    code, out, err = bulk(there, file, "--body", "{{ name }}", "--dry-run", "--batch", "12")
    assert code == 0
    assert "29 would fail: the first are named above" in out
    named = [line for line in err.splitlines() if line.startswith(f"{file}:")]
    assert [int(line.split(":")[1]) for line in named] == [*range(3, 23)]
    assert named[0].startswith(f"{file}:3: 010101…010101: ")
    assert "after rendering" in named[0]
    assert "shorten the content" in named[0]
