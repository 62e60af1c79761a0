"""`heliogram login`: what it asks for on a terminal, that nothing typed is shown, and what no address may hold."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.programs import HELIOGRAM
from support.remote import remote
from support.waiting import HANG_SECONDS

from heliogram.cli.profiles import Profile, Profiles
from heliogram.cli.root import cli

pytestmark = pytest.mark.timeout(2 * HANG_SECONDS)


def typed(answers: list[str], url: str, home: Path) -> tuple[str, str]:
    """What `login` says to somebody who types this, each after its question; and what the terminal showed of it."""
    main, other = pty.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAM_")}
    env["XDG_CONFIG_HOME"] = str(home)
    said = ""
    command = [*HELIOGRAM, "login", "--url", url]
    # In a session without a terminal of its own it asks on standard input and standard error.
    with subprocess.Popen(
        command, stdin=other, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True
    ) as child:
        assert child.stderr is not None
        for answer in answers:
            question = b""
            while not question.endswith(b": "):  # the echo is off by then
                each = child.stderr.read(1)
                assert each, question
                question += each
            os.write(main, answer.encode() + b"\n")
            said += question.decode()
        said += "".join(part.decode() for part in child.communicate(timeout=HANG_SECONDS))
        assert child.returncode == 0, said
    os.set_blocking(main, False)
    os.write(other, b".")
    shown = os.read(main, 65536).decode()
    os.close(main)
    os.close(other)
    return said, shown


def test_a_key_is_given_in_one_piece_or_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id and then its secret, as `api-keys create` shows them, or both with a full stop; none of it is shown."""
    with remote(tmp_path) as there:
        key_id, secret = there.key.split(".")
        for at, answers in enumerate(([there.key], [key_id, secret])):
            home = tmp_path / str(at)
            said, shown = typed(answers, there.url, home)
            assert f"kept the key {key_id}" in said
            assert ("its secret: " in said) == (len(answers) == 2)
            assert secret not in said + shown
            monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
            kept = Profiles.read().profiles["default"]
            assert (kept.url, kept.api_key) == (there.url, there.key)


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:hunter2@127.0.0.1:1",
        "https://hunter2@192.0.2.1",
        "http://ann:hun/ter2@127.0.0.1:1",
        "ann:hunter2@host",
        "http://ann:hunter2@[::1",
        "http://ann:\nhunter2@host",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    """By `login` before a key is asked for, which keeps nothing; and by every command that takes an address,
    wherever it comes from."""
    env = {"HELIOGRAM_URL": "", "HELIOGRAM_API_KEY": "", "XDG_CONFIG_HOME": str(tmp_path)}
    variables = {**env, "HELIOGRAM_URL": url, "HELIOGRAM_API_KEY": "key_a.b"}
    given = ["--url", url, "--api-key", "key_a.b"]
    for words, settings in (
        (["login", "--url", url], env),
        (["apps", "list", *given], env),
        (["apps", "list"], variables),
        (["api-keys", "list", *given], env),
        (["api-keys", "list", "--remote"], variables),
    ):
        done = CliRunner().invoke(cli, words, input="key_a.b\n", env=settings)
        assert (done.exit_code, done.stdout) == (2, ""), done.output
        assert "without user name and password" in " ".join(done.stderr.split())
        assert not {"hunter2", "ter2", "ann"} & {*re.split(r"\W+", done.stderr)}
    assert not (tmp_path / "heliogram").exists()


def test_a_profile_with_a_password_in_its_address_is_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions kept it: neither the profile's own commands nor those for another address repeat it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    known = Profiles.read()
    known.profiles["old"] = Profile("http://ann:hunter2@127.0.0.1:1", "key_a.b")
    known.default = "old"
    known.write()
    assert "hunter2" not in repr(known.profiles)
    for words, message in (
        (["apps", "list"], "the url of profile 'old' has a user name or password in it, http://…@127.0.0.1:1"),
        (["apps", "list", "--url", "http://b"], "the key of profile 'old' is for http://…@127.0.0.1:1"),
    ):
        done = CliRunner().invoke(cli, words, env={"HELIOGRAM_URL": None, "HELIOGRAM_API_KEY": None})
        assert (done.exit_code, done.stdout) == (2, "")
        assert message in " ".join(done.stderr.split())
        assert "hunter2" not in done.stderr
